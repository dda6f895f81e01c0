//! Lints: findings that do not keep a charter out of force.

use std::collections::BTreeSet;

use lanyard_document::{Code, Diagnostic, Findings};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::time::Ttl;

use super::agents;
use crate::aws::{ActionPattern, AwsGrant};
use crate::charter::{ApprovalRule, Charter, Grant};
use crate::places::Places;
use crate::plan::PlanFormat;
use crate::world::{Check, GrantKind};

/// The lifetime from which a leaked credential counts as useful for too long.
const LONG: Ttl = Ttl::at_least_a_second(3600);

pub(super) fn look(check: &Check<'_>, kinds: &[&dyn GrantKind]) {
    let (f, charter, world, places) = (check.f, check.charter, check.world, &check.places);
    agents::look(f, charter, places);
    environments(f, charter, places);
    for prohibition in &charter.prohibited {
        let of_prohibition = |kind: &&&dyn GrantKind| kind.id() == prohibition.what.kind();
        kinds
            .iter()
            .filter(of_prohibition)
            .for_each(|kind| kind.lint_prohibition(check, prohibition));
    }
    approvals(f, charter, places);
    plans(f, charter, places);
    state(f, charter, places);
    lifetimes(f, charter, places);
    owners(f, charter, places);
    for grant in charter.grants.values() {
        let of_grant = |kind: &&&dyn GrantKind| kind.id() == grant.rights.kind();
        kinds
            .iter()
            .filter(of_grant)
            .for_each(|kind| kind.lint(check, grant));
        powers_of(f, grant, places);
    }
    let production = |grant: &&Grant| grant.role == Role::Apply && grant.is_in_production(world);
    let bounded = charter.limits.revocable_within.is_some();
    if !bounded && let Some(grant) = charter.grants.values().find(production) {
        let message = format!(
            "grant {} applies in production, and nothing bounds how long its credentials outlive a kill",
            grant.name
        );
        let span = places.field(&["spec", "limits"]);
        f.add(Diagnostic::new(Code::NoBound, span, message).help("write limits.revocable_within"));
    }
}

fn environments(f: &Findings, charter: &Charter, places: &Places<'_>) {
    let used: BTreeSet<&Name> = charter
        .grants
        .values()
        .flat_map(|grant| &grant.environments)
        .collect();
    for name in charter.environments.keys().filter(|n| !used.contains(n)) {
        let span = places.field(&["spec", "environments", name.as_str()]);
        let message = format!("no grant is for {name}");
        f.add(Diagnostic::new(Code::UnusedEnvironment, span, message));
    }
}

fn approvals(f: &Findings, charter: &Charter, places: &Places<'_>) {
    for rule in &charter.approvals {
        let span = places.at(rule.at);
        if !charter.grants.values().any(|grant| is_about(rule, grant)) {
            let message = match &rule.environment {
                Some(environment) => {
                    format!("no grant with the {} role is for {environment}", rule.role)
                }
                None => format!("no grant has the {} role", rule.role),
            };
            f.add(Diagnostic::new(Code::IdleApproval, span, message));
            continue;
        }
        if rule.people > 0 && rule.from.is_empty() {
            let message = "everybody with the approver role may approve this".to_owned();
            let finding = Diagnostic::new(Code::AnybodyApproves, span, message);
            f.add(finding.help("name groups in `from`"));
        }
        if rule.uses > 1 {
            let message = format!("one approval is good for {} applies", rule.uses);
            f.add(Diagnostic::new(Code::ManyUses, span, message));
        }
    }
}

fn is_about(rule: &ApprovalRule, grant: &Grant) -> bool {
    let there = |name: &Name| grant.environments.contains(name);
    grant.role == rule.role && rule.environment.as_ref().is_none_or(there)
}

fn plans(f: &Findings, charter: &Charter, places: &Places<'_>) {
    let Some(rule) = &charter.plans else { return };
    for name in &rule.environments {
        let needed = charter
            .grants
            .values()
            .any(|grant| grant.role == rule.role && grant.environments.contains(name));
        if !needed {
            let message = format!("no grant with the {} role is for {name}", rule.role);
            let span = places.word(rule.at, name.as_str());
            f.add(Diagnostic::new(Code::IdlePlan, span, message));
        }
    }
}

/// Lints Terraform applies that write a state in S3 without a statement that no plan narrows.
fn state(f: &Findings, charter: &Charter, places: &Places<'_>) {
    let Some(rule) = &charter.plans else { return };
    let of_aws = charter.grants.values().filter_map(|grant| {
        let of = |name: &Name| rule.is_about(grant.role, name);
        let rights = grant.rights.get::<AwsGrant>()?;
        let planned = grant.environments.iter().any(of);
        planned.then_some((grant, rights))
    });
    let of_aws: Vec<_> = of_aws.collect();
    let statements = || of_aws.iter().flat_map(|(_, rights)| &rights.allow);
    let is_marked = statements().any(|statement| statement.unnarrowed.is_some());
    let Some((grant, _)) = of_aws.first().filter(|_| !is_marked) else {
        return;
    };
    // Where other forms are taken as well, Terraform is meant where a grant writes what only a
    // backend does.
    let writes = |action: &ActionPattern| {
        matches!(action.lower().as_str(), "s3:putobject" | "dynamodb:putitem")
    };
    let has_state = statements().any(|statement| statement.actions.iter().any(writes));
    let is_terraform = |formats: &BTreeSet<PlanFormat>| {
        formats.contains(&PlanFormat::TerraformJson) && (formats.len() == 1 || has_state)
    };
    if is_terraform(&rule.formats) {
        let message = format!(
            "plans of Terraform narrow grant {}, and no statement is `unnarrowed`: no apply can write a state that is in S3, or its lock",
            grant.name
        );
        let help =
            "mark the statement of the backend with `unnarrowed: Terraform's state and its lock`";
        let finding = Diagnostic::new(Code::StateNarrowed, places.at(rule.at), message);
        f.add(finding.help(help));
    }
}

fn lifetimes(f: &Findings, charter: &Charter, places: &Places<'_>) {
    let most = charter.limits.ttl;
    if most > LONG {
        let message = format!("credentials may live for {most}");
        let span = places.field(&["spec", "limits", "ttl"]);
        f.add(Diagnostic::new(Code::LongTtl, span, message));
    }
    for grant in charter.grants.values() {
        let longer = grant.ttl.filter(|ttl| *ttl > most);
        if let Some(ttl) = longer {
            let message = format!("the charter's limit of {most} is less than {ttl}");
            let span = places.field_of(grant.at, "ttl");
            f.add(Diagnostic::new(Code::IdleTtl, span, message));
        }
    }
}

fn owners(f: &Findings, charter: &Charter, places: &Places<'_>) {
    let owners = &charter.owners;
    if owners.security == owners.technical || owners.security == owners.business {
        let message = format!("{} answers for security and for more", owners.security);
        let span = places.field(&["spec", "owners", "security"]);
        f.add(Diagnostic::new(Code::OneOwner, span, message));
    }
}

fn powers_of(f: &Findings, grant: &Grant, places: &Places<'_>) {
    for (word, path) in grant.rights.powers() {
        let message = format!("grant {} could raise its own power: {path}", grant.name);
        let span = places.word(grant.at, &word);
        f.add(Diagnostic::new(Code::AdminEquivalent, span, message));
    }
}
