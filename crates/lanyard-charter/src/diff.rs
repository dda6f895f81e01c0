//! The meaning of a charter's change: requests that are allowed now and were not before, and the
//! reverse.
//!
//! The comparison covers each grant in each environment where it can be used. A change counts as a
//! widening if two patterns cannot be compared.

mod control;
mod limits;

use std::collections::BTreeSet;
use std::fmt;

use lanyard_document::Position;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::time::Timestamp;

use crate::agent::{AgentRule, SubjectPattern};
use crate::calendar::Freeze;
use crate::charter::{Charter, Grant, Mode, Stated};
use crate::pattern::is_within;
use crate::plan::Risk;
use crate::requirement::{Requirement, Unsatisfiable};

/// The approval demanded, or why nobody could give it.
type Needed = Result<Option<Requirement>, Unsatisfiable>;

/// The effect of a change on what is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// The charter allows something that it did not allow.
    Widening,
    /// The charter no longer allows something.
    Narrowing,
    /// The charter allows the same.
    Neutral,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Widening => "widening",
            Self::Narrowing => "narrowing",
            Self::Neutral => "neutral",
        })
    }
}

/// A change between two revisions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The effect of the change.
    pub effect: Effect,
    /// The change in one line, for people.
    pub what: String,
    /// The position in the new file, or in the old one if the part is gone.
    pub at: Option<Position>,
}

/// Compares two revisions; widenings come first.
#[must_use]
pub fn diff(old: &Charter, new: &Charter) -> Vec<Change> {
    let mut changes = Changes::default();
    let (before, after) = (usable(old), usable(new));
    for (name, environment) in before.union(&after) {
        let pair = (name.clone(), environment.clone());
        let at = |charter: &Charter| charter.grants.get(name).map(|grant| grant.at);
        match (before.contains(&pair), after.contains(&pair)) {
            (true, true) => changes.grant(old, new, name, environment),
            (false, _) => changes.add(
                Effect::Widening,
                format!("grant {name} can be used in {environment}"),
                at(new),
            ),
            (true, false) => changes.add(
                Effect::Narrowing,
                format!("grant {name} cannot be used in {environment} any more"),
                at(old),
            ),
        }
    }
    if !before.is_empty() && !after.is_empty() {
        changes.agents(&old.agents, &new.agents);
        changes.limits(old, new);
        changes.formats(old, new);
        changes.policies(old.policies(), new.policies());
        changes.calendar(old, new);
        changes.hours(old, new);
        changes.versions(old, new);
        changes.delegates(&old.delegates, &new.delegates);
        changes.breakers(&old.breakers, &new.breakers);
        changes.emergency(old.emergency.as_ref(), new.emergency.as_ref());
        changes.requires(old, new);
    }
    changes.neutral(old, new);
    changes.0.into_iter().collect()
}

/// The grants that can be used, each with its environments.
fn usable(charter: &Charter) -> BTreeSet<(Name, Name)> {
    if charter.mode == Mode::Shadow || charter.agents.is_empty() {
        return BTreeSet::new();
    }
    let mut usable = BTreeSet::new();
    for grant in charter.grants.values() {
        for name in &grant.environments {
            let autonomy = charter.environments.get(name);
            if autonomy.is_some_and(|autonomy| grant.role == Role::Plan || autonomy.applies()) {
                usable.insert((grant.name.clone(), name.clone()));
            }
        }
    }
    usable
}

#[derive(Default)]
struct Changes(BTreeSet<Change>);

impl Changes {
    fn add(&mut self, effect: Effect, what: String, at: Option<Position>) {
        self.0.insert(Change { effect, what, at });
    }

    /// Compares a number of which more is wider.
    fn more<T: PartialOrd + fmt::Display>(
        &mut self,
        what: &str,
        (old, new): (T, T),
        at: Option<Position>,
    ) {
        let effect = match old.partial_cmp(&new) {
            Some(std::cmp::Ordering::Less) => Effect::Widening,
            Some(std::cmp::Ordering::Greater) => Effect::Narrowing,
            Some(std::cmp::Ordering::Equal) | None => return,
        };
        self.add(effect, format!("{what}: {old}, now {new}"), at);
    }

    fn grant(&mut self, old: &Charter, new: &Charter, name: &Name, environment: &Name) {
        let (Some(one), Some(two)) = (old.grants.get(name), new.grants.get(name)) else {
            return;
        };
        let at = Some(two.at);
        if one.target != two.target || one.role != two.role {
            let what = format!(
                "grant {name}: {} on {}, now {} on {}",
                one.role, one.target, two.role, two.target
            );
            self.add(Effect::Widening, what.clone(), at);
            self.add(Effect::Narrowing, what, at);
            return;
        }
        let (gained, lost) = (given((two, new), (one, old)), given((one, old), (two, new)));
        for what in gained {
            self.add(Effect::Widening, format!("grant {name}: {what}"), at);
        }
        for what in lost {
            let what = format!("grant {name}: no more {what}");
            self.add(Effect::Narrowing, what, at);
        }
        let life = |charter: &Charter, grant: &Grant| {
            let most = charter.limits.ttl;
            grant.ttl.map_or(most, |own| own.min(most))
        };
        let lives = (life(old, one), life(new, two));
        self.more(&format!("grant {name}: ttl"), lives, at);
        self.planned(old, new, two, environment);
        let needed = |risk| {
            let of = |charter: &Charter| charter.requirement(two, environment, risk);
            (of(old), of(new))
        };
        let at_most = needed(Risk::High);
        for risk in [Risk::Low, Risk::Medium] {
            let less = needed(risk);
            if less != at_most {
                self.approved(less, two.role, (environment, risk));
            }
        }
        self.approved(at_most, two.role, (environment, Risk::High));
    }

    fn planned(&mut self, old: &Charter, new: &Charter, grant: &Grant, environment: &Name) {
        let needs = |charter: &Charter| {
            let rule = charter.plans.as_ref();
            rule.is_some_and(|rule| rule.is_about(grant.role, environment))
        };
        let role = grant.role;
        match (needs(old), needs(new)) {
            (true, false) => self.add(
                Effect::Widening,
                format!("{role} in {environment} needs no plan any more"),
                None,
            ),
            (false, true) => self.add(
                Effect::Narrowing,
                format!("{role} in {environment} needs a plan"),
                new.plans.as_ref().map(|rule| rule.at),
            ),
            (true, true) | (false, false) => {}
        }
    }

    fn approved(
        &mut self,
        (old, new): (Needed, Needed),
        role: Role,
        (environment, risk): (&Name, Risk),
    ) {
        let of = format!("{role} in {environment}");
        let of = match risk {
            Risk::High => of,
            Risk::Low | Risk::Medium => format!("{of} at {risk} risk"),
        };
        let (old, new) = match (old, new) {
            (Ok(old), Ok(new)) => (old, new),
            (Err(_), Err(_)) => return,
            (Err(nobody), Ok(_)) => {
                let what = format!("{of}: {nobody}; somebody can, now");
                return self.add(Effect::Widening, what, None);
            }
            (Ok(_), Err(nobody)) => {
                return self.add(Effect::Narrowing, format!("{of}: {nobody}"), None);
            }
        };
        let people = |needed: &Option<Requirement>| needed.as_ref().map_or(0, |it| it.people);
        // Fewer people is wider.
        self.more(
            &format!("{of}: people who approve"),
            (Fewer(people(&old)), Fewer(people(&new))),
            None,
        );
        let (Some(old), Some(new)) = (old, new) else {
            return;
        };
        self.more(
            &format!("{of}: an approval lasts"),
            (old.expires, new.expires),
            None,
        );
        self.more(
            &format!("{of}: uses of an approval"),
            (old.uses, new.uses),
            None,
        );
        let groups = |all: &BTreeSet<String>| {
            let names: Vec<&str> = all.iter().map(String::as_str).collect();
            if names.is_empty() {
                "everybody".to_owned()
            } else {
                names.join(", ")
            }
        };
        let what = format!(
            "{of}: approved by {}, now {}",
            groups(&old.from),
            groups(&new.from)
        );
        if !is_within(&new.from, &old.from) {
            self.add(Effect::Widening, what.clone(), None);
        }
        if !is_within(&old.from, &new.from) {
            self.add(Effect::Narrowing, what, None);
        }
    }

    fn agents(&mut self, old: &[AgentRule], new: &[AgentRule]) {
        let known = |rule: &AgentRule, all: &[AgentRule]| {
            all.iter().any(|wide| {
                wide.issuer == rule.issuer && covers(&wide.subject, &rule.subject) && {
                    // Every claim that the wide one asks for, the narrow one asks for at least as
                    // closely.
                    let mut asked = wide.claims.iter();
                    asked.all(|(name, wide)| {
                        let narrow = rule.claims.get(name);
                        narrow.is_some_and(|narrow| covers(wide, narrow))
                    })
                }
            })
        };
        for rule in new.iter().filter(|rule| !known(rule, old)) {
            self.add(
                Effect::Widening,
                format!("agent {} may open tasks", shown(rule)),
                Some(rule.at),
            );
        }
        for rule in old.iter().filter(|rule| !known(rule, new)) {
            let what = format!("agent {} may not open tasks any more", shown(rule));
            self.add(Effect::Narrowing, what, Some(rule.at));
        }
    }

    fn requires(&mut self, old: &Charter, new: &Charter) {
        let asked = [
            (
                Stated::Ticket,
                "a task need not name a ticket",
                "a task has to name a ticket",
            ),
            (
                Stated::ProofOfPossession,
                "an agent need not show that it holds a key",
                "an agent has to show that it holds a key",
            ),
        ];
        for (what, wider, narrower) in asked {
            match (old.requires.contains(&what), new.requires.contains(&what)) {
                (true, false) => self.add(Effect::Widening, wider.to_owned(), None),
                (false, true) => self.add(Effect::Narrowing, narrower.to_owned(), None),
                (true, true) | (false, false) => {}
            }
        }
    }

    fn calendar(&mut self, old: &Charter, new: &Charter) {
        let ends = (
            Until(old.expires.map(|end| end.when)),
            Until(new.expires.map(|end| end.when)),
        );
        self.more("expires", ends, new.expires.map(|end| end.at));
        let kept = |freeze: &Freeze, all: &[Freeze]| {
            all.iter().any(|other| {
                other.from <= freeze.from
                    && freeze.to <= other.to
                    && freeze.roles.is_subset(&other.roles)
                    && is_within(&freeze.environments, &other.environments)
            })
        };
        let line = |freeze: &Freeze| format!("{} to {}: {}", freeze.from, freeze.to, freeze.reason);
        for freeze in old
            .freezes
            .iter()
            .filter(|freeze| !kept(freeze, &new.freezes))
        {
            let what = format!("the freeze from {} is gone, or shorter", line(freeze));
            self.add(Effect::Widening, what, Some(freeze.at));
        }
        for freeze in new
            .freezes
            .iter()
            .filter(|freeze| !kept(freeze, &old.freezes))
        {
            let what = format!("a freeze from {}", line(freeze));
            self.add(Effect::Narrowing, what, Some(freeze.at));
        }
    }

    fn neutral(&mut self, old: &Charter, new: &Charter) {
        let mut changed = |what: &str, is: bool| {
            if is {
                self.add(Effect::Neutral, format!("{what} changed"), None);
            }
        };
        changed("the purpose", old.purpose != new.purpose);
        changed("an owner", old.owners != new.owners);
        changed("a label", old.labels != new.labels);
        changed("the name", old.name != new.name);
        let same = self.0.is_empty() && old.revision != new.revision;
        if same {
            let what = "the text changed, and nothing that is allowed".to_owned();
            self.add(Effect::Neutral, what, None);
        }
    }
}

/// A number of which less is wider.
#[derive(PartialEq)]
struct Fewer(u32);

impl PartialOrd for Fewer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        other.0.partial_cmp(&self.0)
    }
}

impl fmt::Display for Fewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A bound; `None` is the widest.
#[derive(PartialEq)]
struct Bound(Option<lanyard_vocabulary::time::Ttl>);

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        match (self.0, other.0) {
            (Some(one), Some(two)) => one.partial_cmp(&two),
            (one, two) => one.is_none().partial_cmp(&two.is_none()),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bound) => bound.fmt(f),
            None => f.write_str("no bound"),
        }
    }
}

/// A time; `None` is the latest.
#[derive(PartialEq)]
struct Until(Option<Timestamp>);

impl PartialOrd for Until {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        match (self.0, other.0) {
            (Some(one), Some(two)) => one.partial_cmp(&two),
            (one, two) => one.is_none().partial_cmp(&two.is_none()),
        }
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(when) => when.fmt(f),
            None => f.write_str("never"),
        }
    }
}

fn covers(wide: &SubjectPattern, narrow: &SubjectPattern) -> bool {
    match (wide, narrow) {
        (_, SubjectPattern::Exact(subject)) => wide.matches(subject),
        (SubjectPattern::Prefix(one), SubjectPattern::Prefix(two)) => one == two,
        (SubjectPattern::Exact(_), SubjectPattern::Prefix(_)) => false,
    }
}

fn shown(rule: &AgentRule) -> String {
    let mut shown = format!("{} of {}", rule.subject, rule.issuer);
    for (name, pattern) in &rule.claims {
        shown.push_str(&format!(", {name} {pattern}"));
    }
    shown
}

/// The rights that the first grant gives and the second does not, each under its charter.
fn given((grant, charter): (&Grant, &Charter), (other, of): (&Grant, &Charter)) -> Vec<String> {
    if grant.rights.kind() != other.rights.kind() {
        return vec![format!("a credential of {}", grant.rights.provider())];
    }
    let prohibited = [charter.prohibited.as_slice(), of.prohibited.as_slice()];
    grant.rights.beyond(&other.rights, prohibited)
}
