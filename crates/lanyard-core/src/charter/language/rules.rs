//! The rules that hold whatever a charter says.

use super::places::Places;
use super::{perils, powers, reads};
use crate::approval::persons;
use crate::charter::{
    ActionPattern, Autonomy, AwsGrant, Charter, EnvironmentKind, GitHubGrant, Grant,
    KubernetesGrant, KubernetesRights, Name, PolicyRule, Prohibited, Rights, Role, World,
    pattern_contains,
};
use crate::document::{Code, Diagnostic, Findings, Node, escaped};
use crate::plan::Risk;

/// How many people an apply in production needs at least, and a grant that could raise its own power anywhere.
const PEOPLE: u32 = 2;

pub(super) fn check(f: &Findings, charter: &Charter, root: &Node, world: &World) {
    let rules = Rules {
        f,
        charter,
        places: Places::new(root),
        prohibited: prohibited(charter),
        world,
    };
    for grant in charter.grants.values() {
        match &grant.rights {
            Rights::Aws(rights) => rules.aws(grant, rights),
            Rights::Kubernetes(rights) => {
                if let KubernetesRights::Rules(all) = &rights.rights {
                    all.iter().for_each(|rule| rules.kubernetes(grant, rule));
                    rules.held_back(grant, rights, all);
                }
            }
            Rights::GitHub(rights) => rules.github(grant, rights),
            // What its policies hold is known to that Vault alone, and looked at before each mint.
            Rights::Token(_) | Rights::Vault(_) => {}
        }
        if grant.role == Role::Apply {
            rules.applies(grant);
        }
        rules.always_two(grant);
    }
    rules.autonomy();
    rules.emergency();
}

/// What no rule of a grant may hold, whatever its role.
pub(super) fn dangerous(f: &Findings, node: &Node, rule: &PolicyRule) {
    let places = Places::new(node);
    for what in rule.never_given() {
        let message = format!("`{}` is never given to an agent", escaped(what));
        let span = places.word(node.span.at, what);
        f.add(Diagnostic::new(Code::DangerousRbac, span, message));
    }
}

struct Rules<'a> {
    f: &'a Findings,
    charter: &'a Charter,
    places: Places<'a>,
    /// In lower case.
    prohibited: Vec<String>,
    world: &'a World,
}

impl Rules<'_> {
    fn about(&self, grant: &Grant, word: &str, code: Code, message: String) -> Diagnostic {
        Diagnostic::new(code, self.places.word(grant.at, word), message)
    }

    fn aws(&self, grant: &Grant, rights: &AwsGrant) {
        let name = &grant.name;
        for action in rights.allow.iter().flat_map(|statement| &statement.actions) {
            let add = |code, message| self.f.add(self.about(grant, &action.0, code, message));
            let lower = action.lower();
            if lower.starts_with("iam:") || lower.starts_with("sts:") {
                let message = format!("grant {name}: {action} is never given to an agent");
                add(Code::IdentityAction, message);
            }
            if grant.role == Role::Plan
                && let Some(why) = reads::refused(action)
            {
                let message = format!("grant {name} has the plan role, and {action}: {why}");
                add(Code::PlanWrites, message);
            }
            if grant.role == Role::Apply && self.in_production(grant) && action.is_wild() {
                let message = format!("grant {name}: {action} holds a wildcard");
                add(Code::WildcardInProduction, message);
            }
            if self
                .prohibited
                .iter()
                .any(|pattern| pattern_contains(pattern, &lower))
            {
                let message = format!("grant {name}: {action} is prohibited by this charter");
                add(Code::Prohibited, message);
            }
        }
        for action in &rights.destructive {
            let mut allowed = rights.allow.iter().flat_map(|statement| &statement.actions);
            if !allowed.any(|wide| wide.matches(&action.0)) {
                let message =
                    format!("grant {name}: {action} is called destructive and is not allowed");
                let finding = self.about(grant, &action.0, Code::Destructive, message);
                self.f.add(finding);
            }
        }
    }

    fn held_back(&self, grant: &Grant, rights: &KubernetesGrant, all: &[PolicyRule]) {
        for action in &rights.destructive {
            let gives = |rule: &PolicyRule| {
                rule.verbs.iter().any(|verb| {
                    rule.resources.iter().any(|resource| {
                        let mut groups = rule.api_groups.iter();
                        groups.any(|group| action.is_of_rbac(verb, resource, group))
                    })
                })
            };
            if !all.iter().any(gives) {
                let name = &grant.name;
                let message =
                    format!("grant {name}: {action} is called destructive and is not allowed");
                self.f
                    .add(self.about(grant, &action.0, Code::Destructive, message));
            }
        }
    }

    fn kubernetes(&self, grant: &Grant, rule: &PolicyRule) {
        let name = &grant.name;
        if grant.role == Role::Plan {
            for what in rule.more_than_reading() {
                let message =
                    format!("grant {name} has the plan role, and {what} can do more than read");
                self.f
                    .add(self.about(grant, what, Code::PlanWrites, message));
            }
        }
        for prohibition in &self.charter.prohibited {
            if let Prohibited::Kubernetes(bad) = &prohibition.what
                && rule.is_touched_by(bad)
            {
                let message = format!(
                    "grant {name} reaches what this charter prohibits: {}",
                    prohibition.reason
                );
                let word = rule
                    .resources
                    .iter()
                    .find(|one| bad.resources.contains(*one));
                let word = word.map_or(name.as_str(), String::as_str);
                self.f
                    .add(self.about(grant, word, Code::Prohibited, message));
            }
        }
    }

    fn github(&self, grant: &Grant, rights: &GitHubGrant) {
        let name = &grant.name;
        if grant.role == Role::Apply {
            return;
        }
        for (what, why) in rights.more_than_planning() {
            let message = format!("grant {name} has the plan role, and {what} {why}");
            let finding = self.about(grant, what, Code::PlanWrites, message);
            self.f.add(finding);
        }
        let observed = |environment: &&Name| {
            let autonomy = self.charter.environments.get(*environment);
            autonomy == Some(&Autonomy::Observe)
        };
        if rights.proposes
            && let Some(environment) = grant.environments.iter().find(observed)
        {
            let message = format!(
                "grant {name} can open a proposal, and the autonomy in {environment} is observe"
            );
            let finding = self.about(grant, environment.as_str(), Code::Autonomy, message);
            self.f.add(finding.help("use propose or more there"));
        }
    }

    fn applies(&self, grant: &Grant) {
        let production = |name: &&Name| is_production(name, self.world);
        for environment in grant.environments.iter().filter(production) {
            self.people(grant, environment, "applies in");
            let plans = self.charter.plans.as_ref();
            let planned = plans.is_some_and(|rule| rule.is_about(Role::Apply, environment));
            if !planned {
                let message = format!(
                    "grant {} applies in {environment}, and no plan is required there",
                    grant.name
                );
                let finding = self.about(grant, grant.name.as_str(), Code::NoPlan, message);
                self.f.add(finding.help("name it in plans.required"));
            }
        }
    }

    fn people(&self, grant: &Grant, environment: &Name, what: &str) {
        let people = self
            .charter
            .approvals
            .iter()
            .filter(|rule| rule.is_about(grant.role, environment, Risk::Low))
            .map(|rule| rule.people)
            .max()
            .unwrap_or(0);
        if people < PEOPLE {
            let message = format!(
                "grant {} {what} {environment}, which needs {PEOPLE} people, and the approvals ask for {people}",
                grant.name
            );
            let finding = self.about(grant, grant.name.as_str(), Code::TooFewPeople, message);
            self.f.add(finding);
        }
    }

    /// In production every apply needs as many.
    fn always_two(&self, grant: &Grant) {
        let elsewhere = |name: &&Name| !is_production(name, self.world);
        if let Some(why) = grave(grant).filter(|_| grant.role == Role::Apply) {
            for environment in grant.environments.iter().filter(elsewhere) {
                self.people(grant, environment, &format!("{why} in"));
            }
        }
    }

    /// Whoever declares an emergency is one of the people that a grant needs.
    fn emergency(&self) {
        let Some(rule) = &self.charter.emergency else {
            return;
        };
        for name in &rule.grants {
            let Some(grant) = self.charter.grants.get(name) else {
                continue;
            };
            let applies = grant.role == Role::Apply;
            let least = match grave(grant) {
                Some(_) if applies => PEOPLE,
                _ if applies && self.in_production(grant) => PEOPLE - 1,
                _ => 0,
            };
            if rule.people < least {
                let message = format!(
                    "grant {name} needs {} besides whoever declares the emergency, and this asks for {}",
                    persons(least),
                    rule.people
                );
                let span = self.places.field_of(rule.at, "people");
                self.f
                    .add(Diagnostic::new(Code::TooFewPeople, span, message));
            }
        }
    }

    fn in_production(&self, grant: &Grant) -> bool {
        grant.is_in_production(self.world)
    }

    fn autonomy(&self) {
        for (name, autonomy) in &self.charter.environments {
            let span = self.places.field(&["spec", "environments", name.as_str()]);
            if *autonomy == Autonomy::ExecuteSandbox && is_production(name, self.world) {
                let message =
                    format!("{name} is production, and execute-sandbox is for anything else");
                let finding = Diagnostic::new(Code::Autonomy, span, message);
                self.f
                    .add(finding.help("use observe, propose or execute-production"));
            }
            if autonomy.applies() {
                continue;
            }
            let applies =
                |grant: &&Grant| grant.role == Role::Apply && grant.environments.contains(name);
            for grant in self.charter.grants.values().filter(applies) {
                let message = format!(
                    "grant {} has the apply role, and the autonomy in {name} is for the plan role alone",
                    grant.name
                );
                let finding = self.about(grant, name.as_str(), Code::Autonomy, message);
                self.f.add(finding);
            }
        }
    }
}

/// Why a grant takes two people wherever it applies, if it does.
fn grave(grant: &Grant) -> Option<String> {
    let power = powers::paths(&grant.rights).into_iter().next();
    let power = power.map(|_| "could raise its own power".to_owned());
    power.or_else(|| perils::found(&grant.rights).map(|(word, why)| format!("{why} ({word})")))
}

impl Grant {
    /// Whether one of its environments is production.
    #[must_use]
    pub fn is_in_production(&self, world: &World) -> bool {
        self.environments
            .iter()
            .any(|name| is_production(name, world))
    }
}

fn is_production(name: &Name, world: &World) -> bool {
    world.environments.get(name) == Some(&EnvironmentKind::Production)
}

fn prohibited(charter: &Charter) -> Vec<String> {
    let rules = charter.prohibited.iter();
    let patterns = rules.filter_map(|rule| match &rule.what {
        Prohibited::Aws(patterns) => Some(patterns),
        Prohibited::Kubernetes(_) => None,
    });
    patterns.flatten().map(ActionPattern::lower).collect()
}
