//! Changes of what holds a charter up or lets it go on: hours, versions, breakers, emergencies, delegation.

use std::collections::BTreeSet;

use super::{Changes, Effect, Fewer, within};
use crate::charter::{Breaker, BreakerRule, Charter, EmergencyRule, Hours, Name, VersionRule};

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

/// Whether one trips whenever the other does, with the same consequence for as long.
fn as_quick(one: &Breaker, other: &Breaker) -> bool {
    let alike = (one.on, one.per, one.then) == (other.on, other.per, other.then);
    let as_long = one.lasts.is_none() || other.lasts.is_some_and(|it| Some(it) <= one.lasts);
    alike && one.count <= other.count && one.within >= other.within && as_long
}

/// Whether whatever one gives is given by the other too. Hours of different zones cannot be compared.
fn as_strict(one: &Hours, other: &Hours) -> bool {
    one.zone == other.zone
        && one.minutes().is_subset(&other.minutes())
        && one.outside >= other.outside
        && one.roles.is_superset(&other.roles)
        && within(&other.environments, &one.environments)
}
