//! Rules that no charter can turn off.

use lanyard_document::{Code, Diagnostic, Findings, Node};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::text::escaped;

use super::places::Places;
use super::{perils, powers};
use crate::aws::{ActionPattern, power};
use crate::charter::{Autonomy, Charter, Grant, Prohibited};
use crate::github::GitHubGrant;
use crate::kubernetes::{KubernetesGrant, KubernetesRights, PolicyRule};
use crate::plan::Risk;
use crate::requirement::persons;
use crate::rights::Rights;
use crate::world::{EnvironmentKind, World};

/// The least number of people for an apply in production, and for a grant that could extend its own
/// rights.
const PEOPLE: u32 = 2;

pub(super) fn check(f: &Findings, charter: &Charter, root: &Node, world: &World) {
    let rules = Rules {
        f,
        charter,
        places: Places::new(root),
        prohibited: prohibited(charter),
        world,
        suggested: std::cell::Cell::default(),
    };
    for grant in charter.grants.values() {
        match &grant.rights {
            Rights::Aws(rights) => rules.aws(grant, rights),
            Rights::Kubernetes(rights) => {
                rules.namespace(grant, rights);
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
    rules.prohibited_names();
    rules.autonomy();
    rules.emergency();
}

/// Checks for rights that no grant may have, whatever its role.
pub(super) fn dangerous(f: &Findings, node: &Node, rule: &PolicyRule) {
    let places = Places::new(node);
    for what in rule.never_given() {
        let message = format!("`{}` is never given to an agent", escaped(what));
        let span = places.word(node.span.at, what);
        f.add(Diagnostic::new(Code::DangerousRbac, span, message));
    }
}

pub(super) struct Rules<'a> {
    pub(super) f: &'a Findings,
    pub(super) charter: &'a Charter,
    pub(super) places: Places<'a>,
    /// The prohibited patterns, in lower case.
    pub(super) prohibited: Vec<String>,
    pub(super) world: &'a World,
    /// The number of unknown names that a suggestion was searched for.
    pub(super) suggested: std::cell::Cell<u32>,
}

impl Rules<'_> {
    pub(super) fn about(
        &self,
        grant: &Grant,
        word: &str,
        code: Code,
        message: String,
    ) -> Diagnostic {
        Diagnostic::new(code, self.places.word(grant.at, word), message)
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

    fn namespace(&self, grant: &Grant, rights: &KubernetesGrant) {
        let namespace = &rights.namespace;
        if self.world.own_namespaces.contains(namespace) {
            let message = format!(
                "grant {} is for namespace `{namespace}`, which is the broker's own",
                grant.name
            );
            let finding = self.about(grant, namespace, Code::OwnNamespace, message);
            self.f.add(finding.help("name the namespace of a workload"));
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
                let help = format!(
                    "write `required: {{role: apply, environments: [{environment}]}}` under `spec.plans`, or add {environment} there"
                );
                self.f.add(finding.help(help));
            }
        }
    }

    fn people(&self, grant: &Grant, environment: &Name, what: &str) {
        let about = self.charter.approvals.iter().enumerate();
        let about = about.filter(|(_, rule)| rule.is_about(grant.role, environment, Risk::Low));
        let most = about.max_by_key(|(_, rule)| rule.people);
        let people = most.map_or(0, |(_, rule)| rule.people);
        if people >= PEOPLE {
            return;
        }
        let message = format!(
            "grant {} {what} {environment}, which needs {PEOPLE} people, and the approvals ask for {people}",
            grant.name
        );
        let finding = self.about(grant, grant.name.as_str(), Code::TooFewPeople, message);
        let (role, places) = (grant.role, self.charter.approvals.len());
        let help = match most {
            Some((place, rule)) if rule.environment.is_some() => format!(
                "write `people: {PEOPLE}` in `spec.approvals[{place}]` (line {})",
                rule.at.line
            ),
            // A rule that is about every environment would ask as many everywhere.
            Some(_) | None => format!(
                "add to `spec.approvals`, as `[{places}]`: `{{when: {{role: {role}, environment: {environment}}}, people: \
                 {PEOPLE}, from: [group:NAME]}}`; a rule with `risk: medium` or `risk: high` does not count, because a plan of \
                 low risk passes it"
            ),
        };
        self.f.add(finding.help(help));
    }

    /// Checks that every apply in production needs enough people.
    fn always_two(&self, grant: &Grant) {
        let elsewhere = |name: &&Name| !is_production(name, self.world);
        if let Some(why) = grave(self.charter, grant).filter(|_| grant.role == Role::Apply) {
            for environment in grant.environments.iter().filter(elsewhere) {
                self.people(grant, environment, &format!("{why} in"));
            }
        }
    }

    /// Checks the terms of an emergency: whoever declares it is one of the people that a grant
    /// needs.
    fn emergency(&self) {
        let Some(rule) = &self.charter.emergency else {
            return;
        };
        for name in &rule.grants {
            let Some(grant) = self.charter.grants.get(name) else {
                continue;
            };
            let applies = grant.role == Role::Apply;
            let least = match grave(self.charter, grant) {
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
                let help = format!(
                    "write `people: {least}` in `spec.emergency`, or take {name} out of `spec.emergency.grants`"
                );
                self.f
                    .add(Diagnostic::new(Code::TooFewPeople, span, message).help(help));
            }
        }
    }

    pub(super) fn in_production(&self, grant: &Grant) -> bool {
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
                let more = if is_production(name, self.world) {
                    Autonomy::ExecuteProduction
                } else {
                    Autonomy::ExecuteSandbox
                };
                let help = format!(
                    "write `autonomy: {more}` in `spec.environments.{name}`, or take {name} out of the grant's `environments`"
                );
                self.f.add(finding.help(help));
            }
        }
    }
}

/// Why a grant needs two people wherever it applies; `None` if it does not.
fn grave(charter: &Charter, grant: &Grant) -> Option<String> {
    let raises = powers::paths(&grant.rights).into_iter().next();
    let raises = raises.map(|_| "could raise its own power".to_owned());
    let raises = raises.or_else(|| {
        let Rights::Aws(rights) = &grant.rights else {
            return None;
        };
        let statements = rights.allow.iter();
        let mut each = statements.flat_map(|statement| {
            let actions = statement.actions.iter();
            actions.map(move |action| (action, &statement.when))
        });
        each.find_map(|(action, when)| {
            if let Some((found, _)) = power(rights, action, when) {
                return Some(format!("can change who may do what ({found})"));
            }
            let mut named = charter.unlisted.iter();
            let unlisted = named.any(|one| one.lower() == action.lower());
            unlisted.then(|| format!("does what nobody has looked at ({action})"))
        })
    });
    raises.or_else(|| perils::found(&grant.rights).map(|(word, why)| format!("{why} ({word})")))
}

impl Grant {
    /// True if one of the grant's environments is production.
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
