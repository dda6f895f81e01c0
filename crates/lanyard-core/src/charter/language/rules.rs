//! The rules that hold whatever a charter says.

use super::reads;
use crate::charter::{
    ActionPattern, Autonomy, AwsGrant, Charter, EnvironmentKind, Grant, KubernetesRights, Name,
    PolicyRule, Position, Prohibited, Rights, Role, World,
};
use crate::document::{Diagnostic, Findings, Node, Span};

/// How many people an apply in production needs at least.
const PEOPLE_IN_PRODUCTION: u32 = 2;

pub(super) fn check(f: &Findings, charter: &Charter, root: &Node, world: &World) {
    for grant in charter.grants.values() {
        let span = at(root, grant.at);
        match &grant.rights {
            Rights::Aws(rights) => aws(f, span, (grant, rights), charter, world),
            Rights::Kubernetes(rights) => {
                if let KubernetesRights::Rules(rules) = &rights.rights {
                    rules
                        .iter()
                        .for_each(|rule| kubernetes(f, span, grant, rule, charter));
                }
            }
            Rights::Token(_) => {}
        }
        if grant.role == Role::Apply {
            applies(f, span, grant, charter, world);
        }
    }
    autonomy(f, charter, root, world);
}

/// The smallest thing that can be underlined for a rule found again after parsing: its first line.
fn at(root: &Node, position: Position) -> Span {
    find(root, position).unwrap_or(root.span)
}

fn find(node: &Node, position: Position) -> Option<Span> {
    use crate::document::Value;
    if node.span.at == position {
        return Some(node.span);
    }
    match &node.value {
        Value::Scalar { .. } => None,
        Value::List(items) => items.iter().find_map(|item| find(item, position)),
        Value::Map(entries) => entries.iter().find_map(|(_, value)| find(value, position)),
    }
}

fn is_production(name: &Name, world: &World) -> bool {
    world.environments.get(name) == Some(&EnvironmentKind::Production)
}

fn aws(
    f: &Findings,
    span: Span,
    (grant, rights): (&Grant, &AwsGrant),
    charter: &Charter,
    world: &World,
) {
    let error = |code, message| f.add(Diagnostic::error(code, span, message));
    for action in rights.allow.iter().flat_map(|statement| &statement.actions) {
        let lower = action.0.to_ascii_lowercase();
        if lower.starts_with("iam:") || lower.starts_with("sts:") {
            error(
                "identity-action",
                format!("grant {}: {action} is never given to an agent", grant.name),
            );
        }
        if grant.role == Role::Plan
            && let Some(why) = reads::refused(action)
        {
            error(
                "plan-writes",
                format!(
                    "grant {} has the plan role, and {action}: {why}",
                    grant.name
                ),
            );
        }
        let production = grant
            .environments
            .iter()
            .any(|name| is_production(name, world));
        if grant.role == Role::Apply && production && action.is_wild() {
            error(
                "wildcard-in-production",
                format!("grant {}: {action} holds a wildcard", grant.name),
            );
        }
        if prohibited_whole(charter, action) {
            error(
                "prohibited",
                format!(
                    "grant {}: {action} is prohibited by this charter",
                    grant.name
                ),
            );
        }
    }
    for action in &rights.destructive {
        let allowed = rights
            .allow
            .iter()
            .any(|statement| statement.actions.iter().any(|wide| wide.matches(&action.0)));
        if !allowed {
            error(
                "destructive",
                format!(
                    "grant {}: {action} is called destructive and is not allowed",
                    grant.name
                ),
            );
        }
    }
}

fn prohibited_whole(charter: &Charter, action: &ActionPattern) -> bool {
    charter.prohibited.iter().any(|rule| match &rule.what {
        Prohibited::Aws(patterns) => patterns.iter().any(|pattern| {
            crate::charter::pattern_contains(
                &pattern.0.to_ascii_lowercase(),
                &action.0.to_ascii_lowercase(),
            )
        }),
        Prohibited::Kubernetes(_) => false,
    })
}

/// What no rule of a grant may hold, whatever its role.
pub(super) fn dangerous(f: &Findings, node: &Node, rule: &PolicyRule) {
    for what in rule.never_given() {
        let message = format!(
            "`{}` is never given to an agent",
            crate::document::escaped(what)
        );
        f.add(Diagnostic::error("dangerous-rbac", node.span, message));
    }
}

fn kubernetes(f: &Findings, span: Span, grant: &Grant, rule: &PolicyRule, charter: &Charter) {
    if grant.role == Role::Plan {
        for what in rule.more_than_reading() {
            let message = format!(
                "grant {} has the plan role, and {what} can do more than read",
                grant.name
            );
            f.add(Diagnostic::error("plan-writes", span, message));
        }
    }
    for prohibition in &charter.prohibited {
        if let Prohibited::Kubernetes(bad) = &prohibition.what
            && rule.is_touched_by(bad)
        {
            let message = format!(
                "grant {} reaches what this charter prohibits: {}",
                grant.name, prohibition.reason
            );
            f.add(Diagnostic::error("prohibited", span, message));
        }
    }
}

fn applies(f: &Findings, span: Span, grant: &Grant, charter: &Charter, world: &World) {
    for environment in grant
        .environments
        .iter()
        .filter(|name| is_production(name, world))
    {
        let people = charter
            .approvals
            .iter()
            .filter(|rule| rule.role == Role::Apply)
            .filter(|rule| {
                rule.environment
                    .as_ref()
                    .is_none_or(|name| name == environment)
            })
            .map(|rule| rule.people)
            .max()
            .unwrap_or(0);
        if people < PEOPLE_IN_PRODUCTION {
            let message = format!(
                "grant {} applies in {environment}, which needs {PEOPLE_IN_PRODUCTION} people, and the approvals ask for {people}",
                grant.name
            );
            f.add(Diagnostic::error("too-few-people", span, message));
        }
        let planned = charter.plans.as_ref().is_some_and(|rule| {
            rule.role == Role::Apply && rule.environments.contains(environment)
        });
        if !planned {
            let message = format!(
                "grant {} applies in {environment}, and no plan is required there",
                grant.name
            );
            f.add(Diagnostic::error("no-plan", span, message).help("name it in plans.required"));
        }
    }
}

fn autonomy(f: &Findings, charter: &Charter, root: &Node, world: &World) {
    for (name, autonomy) in &charter.environments {
        let production = is_production(name, world);
        if *autonomy == Autonomy::ExecuteSandbox && production {
            let message = format!("{name} is production, and execute-sandbox is for anything else");
            let span = Span {
                end: root.span.start,
                ..root.span
            };
            f.add(
                Diagnostic::error("autonomy", span, message)
                    .help("use observe, propose or execute-production"),
            );
        }
    }
}
