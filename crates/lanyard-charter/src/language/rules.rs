//! Rules that no charter can turn off.

use lanyard_document::{Code, Diagnostic};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::role::Role;

use crate::charter::{Autonomy, Charter, Grant};
use crate::plan::Risk;
use crate::requirement::persons;
use crate::world::{Check, GrantKind, is_production};

/// The least number of people for an apply in production, and for a grant that could extend its own
/// rights.
const PEOPLE: u32 = 2;

pub(super) fn check(check: &Check<'_>, kinds: &[&dyn GrantKind]) {
    for grant in check.charter.grants.values() {
        let of_grant = |kind: &&&dyn GrantKind| kind.id() == grant.rights.kind();
        kinds
            .iter()
            .filter(of_grant)
            .for_each(|kind| kind.check(check, grant));
        if grant.role == Role::Apply {
            check.applies(grant);
        }
        check.always_two(grant);
        check.prohibited(grant);
    }
    for prohibition in &check.charter.prohibited {
        let of_prohibition = |kind: &&&dyn GrantKind| kind.id() == prohibition.what.kind();
        kinds
            .iter()
            .filter(of_prohibition)
            .for_each(|kind| kind.check_prohibition(check, prohibition));
    }
    check.unlisted_actions();
    check.autonomy();
    check.emergency();
}

impl Check<'_> {
    /// Checks that the grant gives nothing that the charter prohibits and no credential could deny.
    fn prohibited(&self, grant: &Grant) {
        for prohibition in &self.charter.prohibited {
            for word in grant.rights.prohibited(&prohibition.what) {
                let message = format!(
                    "grant {} reaches what this charter prohibits: {}",
                    grant.name, prohibition.reason
                );
                self.report(grant, &word, Code::Prohibited, message);
            }
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

/// Says why a grant needs two people wherever it applies; `None` if it does not.
fn grave(charter: &Charter, grant: &Grant) -> Option<String> {
    let rights = &grant.rights;
    let raises = !rights.powers().is_empty();
    let raises = raises.then(|| "could raise its own power".to_owned());
    let grave = raises.or_else(|| rights.grave(&charter.unlisted));
    grave.or_else(|| rights.peril().map(|(word, why)| format!("{why} ({word})")))
}
