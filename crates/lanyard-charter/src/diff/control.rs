//! Changes of what suspends or delegates a charter: hours, versions, circuit breakers, emergencies,
//! delegation.

use std::collections::BTreeSet;

use lanyard_vocabulary::name::Name;

use super::{Changes, Effect, Fewer};
use crate::breaker::{Breaker, BreakerRule};
use crate::calendar::Hours;
use crate::charter::{Charter, EmergencyRule, Policy};
use crate::pattern::is_within;
use crate::plan::{PLAN_FORMATS, PlanFormat};
use crate::version::VersionRule;

impl Changes {
    pub(super) fn hours(&mut self, old: &Charter, new: &Charter) {
        let at = |hours: &Hours| Some(hours.at);
        let (one, two) = match (&old.hours, &new.hours) {
            (None, None) => return,
            (Some(one), None) => {
                let what = format!("no hours any more; they were {}", one.shown());
                return self.add(Effect::Widening, what, at(one));
            }
            (None, Some(two)) => {
                let what = format!("hours {}, outside: {}", two.shown(), two.outside);
                return self.add(Effect::Narrowing, what, at(two));
            }
            (Some(one), Some(two)) => (one, two),
        };
        let what = format!(
            "hours {}, outside: {}; now {}, outside: {}",
            one.shown(),
            one.outside,
            two.shown(),
            two.outside
        );
        if !as_strict(two, one) {
            self.add(Effect::Widening, what.clone(), at(two));
        }
        if !as_strict(one, two) {
            self.add(Effect::Narrowing, what, at(two));
        }
    }

    pub(super) fn formats(&mut self, old: &Charter, new: &Charter) {
        let taken = |charter: &Charter| {
            let all = || PLAN_FORMATS.iter().map(|word| word.value).collect();
            let rule = charter.plans.as_ref();
            rule.map_or_else(all, |rule| rule.formats.clone())
        };
        let (one, two): (BTreeSet<PlanFormat>, BTreeSet<PlanFormat>) = (taken(old), taken(new));
        let at = new.plans.as_ref().map(|rule| rule.at);
        for format in two.difference(&one) {
            let what = format!("a plan may be in the form {format}");
            self.add(Effect::Widening, what, at);
        }
        for format in one.difference(&two) {
            let what = format!("a plan may not be in the form {format} any more");
            self.add(Effect::Narrowing, what, at);
        }
    }

    pub(super) fn policies(&mut self, old: &[Policy], new: &[Policy]) {
        let find = |path: &str, all: &[Policy]| all.iter().find(|it| it.path == path).cloned();
        for policy in new {
            let (path, at) = (&policy.path, Some(policy.at));
            match find(path, old) {
                None => {
                    let what = format!("policy {path} judges plans");
                    self.add(Effect::Narrowing, what, at);
                }
                Some(before) if before.text != policy.text => {
                    let what = format!("policy {path} has changed: it may deny less, and more");
                    self.add(Effect::Widening, what.clone(), at);
                    self.add(Effect::Narrowing, what, at);
                }
                Some(_) => {}
            }
        }
        for policy in old
            .iter()
            .filter(|policy| find(&policy.path, new).is_none())
        {
            let what = format!("policy {} judges plans no more", policy.path);
            self.add(Effect::Widening, what, Some(policy.at));
        }
    }

    pub(super) fn versions(&mut self, old: &Charter, new: &Charter) {
        let known = |rule: &VersionRule, all: &[VersionRule]| {
            let covers = |wide: &VersionRule| {
                wide.model == rule.model && (wide.prompt.is_none() || wide.prompt == rule.prompt)
            };
            all.is_empty() || all.iter().any(covers)
        };
        let (one, two) = (&old.versions, &new.versions);
        match (one.is_empty(), two.is_empty()) {
            (true, true) => return,
            (false, true) => {
                let what = "every version of the agent may act".to_owned();
                return self.add(Effect::Widening, what, None);
            }
            (true, false) => {
                let what = "only listed versions of the agent may act".to_owned();
                self.add(Effect::Narrowing, what, two.first().map(|rule| rule.at));
            }
            (false, false) => {}
        }
        for rule in two.iter().filter(|rule| !known(rule, one)) {
            let what = format!("version {} may act", rule.version());
            self.add(Effect::Widening, what, Some(rule.at));
        }
        for rule in one.iter().filter(|rule| !known(rule, two)) {
            let what = format!("version {} may not act any more", rule.version());
            self.add(Effect::Narrowing, what, Some(rule.at));
        }
    }

    pub(super) fn breakers(&mut self, old: &[BreakerRule], new: &[BreakerRule]) {
        let kept = |rule: &BreakerRule, all: &[BreakerRule]| {
            all.iter()
                .any(|other| as_quick(&other.breaker, &rule.breaker))
        };
        for rule in old.iter().filter(|rule| !kept(rule, new)) {
            let what = format!("breaker {} is gone, or slower", rule.breaker);
            self.add(Effect::Widening, what, Some(rule.at));
        }
        for rule in new.iter().filter(|rule| !kept(rule, old)) {
            let what = format!("breaker {}", rule.breaker);
            self.add(Effect::Narrowing, what, Some(rule.at));
        }
    }

    pub(super) fn emergency(&mut self, old: Option<&EmergencyRule>, new: Option<&EmergencyRule>) {
        let of =
            |rule: Option<&EmergencyRule>| rule.map(|rule| rule.grants.clone()).unwrap_or_default();
        let at = new.or(old).map(|rule| rule.at);
        for name in of(new).difference(&of(old)) {
            let what = format!("grant {name} is given on easier terms in an emergency");
            self.add(Effect::Widening, what, at);
        }
        for name in of(old).difference(&of(new)) {
            let what =
                format!("grant {name} is not given on easier terms in an emergency any more");
            self.add(Effect::Narrowing, what, at);
        }
        if let (Some(old), Some(new)) = (old, new) {
            let people = (Fewer(old.people), Fewer(new.people));
            self.more("emergency: people who approve", people, at);
            self.more("emergency: lasts", (old.lasts, new.lasts), at);
        }
    }

    pub(super) fn delegates(&mut self, old: &BTreeSet<Name>, new: &BTreeSet<Name>) {
        for name in new.difference(old) {
            let what = format!("tasks may be opened for the agents of charter {name}");
            self.add(Effect::Widening, what, None);
        }
        for name in old.difference(new) {
            let what = format!("tasks may not be opened for the agents of charter {name} any more");
            self.add(Effect::Narrowing, what, None);
        }
    }
}

/// True if `one` trips whenever `other` does, with the same consequence for as long.
fn as_quick(one: &Breaker, other: &Breaker) -> bool {
    let alike = (one.on, one.per, one.then) == (other.on, other.per, other.then);
    let as_long = one.lasts.is_none() || other.lasts.is_some_and(|it| Some(it) <= one.lasts);
    alike && one.count <= other.count && one.within >= other.within && as_long
}

/// True if everything within the hours of `one` is within those of `other`. Hours in different time
/// zones cannot be compared.
fn as_strict(one: &Hours, other: &Hours) -> bool {
    one.zone == other.zone
        && one.minutes().is_subset(&other.minutes())
        && one.outside >= other.outside
        && one.roles.is_superset(&other.roles)
        && is_within(&other.environments, &one.environments)
}
