//! A charter for people: what it allows where, who has to approve, and the rest in sentences.

use lanyard_charter::plan::Risk;
use lanyard_charter::requirement::{approvers, persons};
use lanyard_charter::{ApprovalRule, Charter, Grant, Mode, Outside, Stated};
use lanyard_core::decide::{Revisions, requirement};
use lanyard_proto::v1;
use lanyard_vocabulary::count::counted;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::role::Role;

/// Returns what each environment lets the agents do.
pub(super) fn environments(charter: &Charter) -> Vec<v1::CharterEnvironment> {
    let each = charter.environments.iter().map(|(name, autonomy)| {
        let here = || {
            let grants = charter.grants.values();
            grants.filter(|grant| grant.environments.contains(name))
        };
        let reads = here().filter(|grant| grant.role == Role::Plan);
        let changes = here().filter(|grant| grant.role == Role::Apply && autonomy.applies());
        v1::CharterEnvironment {
            name: name.to_string(),
            autonomy: autonomy.to_string(),
            reads: reads.map(|grant| grant.name.to_string()).collect(),
            changes: changes.map(|grant| change(charter, grant, name)).collect(),
        }
    });
    each.collect()
}

fn change(charter: &Charter, grant: &Grant, environment: &Name) -> v1::CharterChange {
    let needed = |risk| requirement(Revisions::of(charter), grant, environment, risk);
    let people = |risk| {
        let needed = needed(risk).ok().flatten();
        needed.map_or(0, |needed| needed.people)
    };
    let high = needed(Risk::High).ok().flatten();
    v1::CharterChange {
        grant: grant.name.to_string(),
        target: grant.target.to_string(),
        kind: grant.rights.provider().to_owned(),
        what: grant.rights.lines(),
        people_low_risk: people(Risk::Low),
        people_high_risk: people(Risk::High),
        groups: high.map_or_else(Vec::new, |needed| needed.from.into_iter().collect()),
    }
}

/// Everything that the fields of the message do not say. A section without lines is left out.
pub(super) fn sections(charter: &Charter) -> Vec<v1::CharterSection> {
    let all = [
        ("grants", charter.grants.values().flat_map(grant).collect()),
        ("prohibited", prohibited(charter)),
        ("plans", plans(charter)),
        (
            "approvals",
            charter.approvals.iter().map(approval).collect(),
        ),
        ("limits", limits(charter)),
        ("requires", requires(charter)),
        ("hours", hours(charter)),
        ("freezes", freezes(charter)),
        ("emergency", emergency(charter)),
        (
            "breakers",
            charter
                .breakers
                .iter()
                .map(|rule| rule.breaker.to_string())
                .collect(),
        ),
        (
            "versions",
            charter
                .versions
                .iter()
                .map(|rule| rule.version().to_string())
                .collect(),
        ),
        (
            "delegates",
            charter.delegates.iter().map(ToString::to_string).collect(),
        ),
    ];
    let said = all
        .into_iter()
        .filter(|(_, lines): &(_, Vec<String>)| !lines.is_empty());
    said.map(|(name, lines)| v1::CharterSection {
        name: name.to_owned(),
        lines,
    })
    .collect()
}

fn names<'a>(all: impl IntoIterator<Item = &'a Name>) -> String {
    let all: Vec<&str> = all.into_iter().map(Name::as_str).collect();
    all.join(", ")
}

fn grant(grant: &Grant) -> Vec<String> {
    let ttl = grant.ttl.map(|ttl| format!(", {ttl} at most"));
    let first = format!(
        "{}: {} on {} ({}) in {}{}",
        grant.name,
        grant.role,
        grant.target,
        grant.rights.provider(),
        names(&grant.environments),
        ttl.unwrap_or_default()
    );
    let what = grant
        .rights
        .lines()
        .into_iter()
        .map(|line| format!("  {line}"));
    std::iter::once(first).chain(what).collect()
}

fn prohibited(charter: &Charter) -> Vec<String> {
    let rules = charter.prohibited.iter();
    let each = rules.map(|rule| format!("{}: {}", rule.what.line(), rule.reason));
    each.collect()
}

fn plans(charter: &Charter) -> Vec<String> {
    let Some(rule) = &charter.plans else {
        return Vec::new();
    };
    let formats: Vec<String> = rule.formats.iter().map(ToString::to_string).collect();
    let needed = format!(
        "{} in {} needs one, as {}",
        rule.role,
        names(&rule.environments),
        formats.join(" or ")
    );
    let policies = rule
        .policies
        .iter()
        .map(|policy| format!("policy {}", policy.path));
    std::iter::once(needed).chain(policies).collect()
}

fn approval(rule: &ApprovalRule) -> String {
    let environment = rule.environment.as_ref();
    let place = environment.map_or_else(|| "everywhere".to_owned(), |name| format!("in {name}"));
    let risk = rule.risk.map(|least| format!(" of {least} risk and above"));
    format!(
        "{} {place}{}: {} of {}, for {} and {}",
        rule.role,
        risk.unwrap_or_default(),
        persons(rule.people),
        approvers(&rule.from),
        rule.expires,
        counted(rule.uses.into(), "session")
    )
}

fn limits(charter: &Charter) -> Vec<String> {
    let limits = &charter.limits;
    let rates = limits.mints.iter();
    let rates: Vec<String> = rates
        .map(|rate| format!("{} per {}", rate.count, rate.per))
        .collect();
    let budget = limits.budget.map(|budget| {
        format!(
            "budget: {}, {} in all, a task",
            counted(budget.mints.into(), "credential"),
            budget.time
        )
    });
    let within = limits
        .revocable_within
        .map(|bound| format!("revocable_within: {bound}"));
    let always = [
        format!("ttl: {}", limits.ttl),
        format!("task: {}", limits.task),
        format!("live_leases: {}", limits.live_leases),
        format!("mints: {}", rates.join(" and ")),
        format!(
            "approval_requests: {} open, {} after a no",
            limits.requests.open, limits.requests.cooldown
        ),
    ];
    always.into_iter().chain(budget).chain(within).collect()
}

fn requires(charter: &Charter) -> Vec<String> {
    let each = charter.requires.iter().map(|stated| {
        match stated {
            Stated::Reason => "reason",
            Stated::Ticket => "ticket",
            Stated::ProofOfPossession => "proof-of-possession",
        }
        .to_owned()
    });
    each.collect()
}

fn roles<'a>(roles: impl IntoIterator<Item = &'a Role>) -> String {
    let roles: Vec<String> = roles.into_iter().map(ToString::to_string).collect();
    roles.join(" and ")
}

fn hours(charter: &Charter) -> Vec<String> {
    let line = charter.hours.as_ref().map(|hours| {
        let outside = match hours.outside {
            Outside::Deny => "denied",
            Outside::RequireApproval => "given with a person's approval",
        };
        format!(
            "{}; outside of them {} is {outside}",
            hours.shown(),
            roles(&hours.roles)
        )
    });
    line.into_iter().collect()
}

fn freezes(charter: &Charter) -> Vec<String> {
    let each = charter.freezes.iter().map(|freeze| {
        format!(
            "{} from {} to {}: {}",
            roles(&freeze.roles),
            freeze.from,
            freeze.to,
            freeze.reason
        )
    });
    each.collect()
}

fn emergency(charter: &Charter) -> Vec<String> {
    let line = charter.emergency.as_ref().map(|rule| {
        format!(
            "{} with {}, for {}",
            names(&rule.grants),
            persons(rule.people),
            rule.lasts
        )
    });
    line.into_iter().collect()
}

/// Returns the name of a mode in charters.
pub(super) const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Shadow => "shadow",
    }
}
