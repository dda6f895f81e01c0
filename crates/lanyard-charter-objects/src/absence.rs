//! The known objects of one namespace, and the decision whether an object that a list lacks was
//! deleted.
//!
//! A charter counts as deleted once complete lists have lacked it for a while and its definition
//! still exists. An API server that does not answer, refuses the call, or has lost the definition
//! deletes no charter.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::object::Object;

/// The number of deletions that are accepted at once, however few objects exist.
const DELETIONS_BELIEVED: usize = 3;

/// The periods that decide about staleness and deletion.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Time for which known charters stay in force while the API server cannot be read.
    pub stale_after: Duration,
    /// The time for which an object must be missing, while no further object goes missing, before
    /// it counts as deleted.
    pub settle: Duration,
    /// Deletions within this period count as simultaneous.
    pub at_once: Duration,
}

impl Times {
    /// The usual periods, with this `stale_after`.
    #[must_use]
    pub const fn of(stale_after: Duration) -> Self {
        Self {
            stale_after,
            settle: Duration::from_secs(2),
            at_once: Duration::from_secs(600),
        }
    }
}

/// A namespace that is not read at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Time since the last read.
    pub for_time: Duration,
    /// The API server's error, or that it does not answer.
    pub why: String,
    /// The gap exceeds `stale_after`, so the charters are out of force.
    pub is_stale: bool,
}

#[derive(Debug)]
struct KnownObject {
    object: Object,
    /// Time at which a list first lacked the object.
    missing: Option<Duration>,
    /// The object went missing together with so many others that an operator has to confirm the
    /// deletion.
    is_held: bool,
}

/// The known objects of one namespace. Times are counted from the start of the process.
#[derive(Debug, Default)]
pub struct KnownObjects {
    /// Known objects by uid, so that a new object of an old name is another one.
    known: BTreeMap<String, KnownObject>,
    /// Time of the API server's last answer.
    read: Option<Duration>,
    failure: Option<String>,
    /// Times of accepted deletions, within [`Times::at_once`].
    deleted: VecDeque<Duration>,
}

impl KnownObjects {
    /// All objects whose charters count, the held ones included.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.known.values().map(|known| &known.object)
    }

    /// Looks an object up by its uid.
    #[must_use]
    pub fn object(&self, uid: &str) -> Option<&Object> {
        self.known.get(uid).map(|known| &known.object)
    }

    /// Names of the held objects: missing together with so many others that they stay in force
    /// until an operator confirms.
    pub fn held(&self) -> impl Iterator<Item = &str> {
        let held = self.known.values().filter(|known| known.is_held);
        held.map(|known| known.object.origin.name.as_str())
    }

    /// True once a complete list was read.
    #[must_use]
    pub const fn was_read(&self) -> bool {
        self.read.is_some()
    }

    /// Returns true while the last list lacked objects that do not count as deleted yet.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        let mut known = self.known.values();
        known.any(|known| known.missing.is_some() && !known.is_held)
    }

    /// Checks whether `listed` lacks an object that is known and not held.
    #[must_use]
    pub fn lacks(&self, listed: &[Object]) -> bool {
        let has = |uid: &str| listed.iter().any(|object| object.origin.uid == uid);
        let mut known = self.known.iter();
        known.any(|(uid, known)| !known.is_held && !has(uid))
    }

    /// Applies a complete list, which was read while the definition existed. Returns true if
    /// anything changed.
    pub fn listed(&mut self, listed: Vec<Object>, now: Duration, times: &Times) -> bool {
        self.read = Some(now);
        // The end of a failure is a change too, because the gap is reported.
        let mut changed = self.failure.take().is_some();
        let uids: std::collections::BTreeSet<String> = listed
            .iter()
            .map(|object| object.origin.uid.clone())
            .collect();
        let replaced = |object: &Object| {
            let name = &object.origin.name;
            listed.iter().any(|other| other.origin.name == *name)
        };
        // An object that was deleted and created again under its name was replaced, not deleted.
        let before = self.known.len();
        self.known
            .retain(|uid, known| uids.contains(uid) || !replaced(&known.object));
        changed |= self.known.len() != before;
        for object in listed {
            let uid = object.origin.uid.clone();
            let known = KnownObject {
                object,
                missing: None,
                is_held: false,
            };
            let same = |before: &KnownObject| before.object == known.object && !before.is_held;
            changed |= !self.known.get(&uid).is_some_and(same);
            self.known.insert(uid, known);
        }
        for (uid, known) in &mut self.known {
            if !uids.contains(uid) && known.missing.is_none() {
                known.missing = Some(now);
            }
        }
        changed | self.settle(now, times)
    }

    /// Notes that the API server reported no change.
    pub fn unchanged(&mut self, now: Duration) {
        self.read = Some(now);
    }

    /// Notes a failed read. Returns whether the reason is new.
    pub fn failed(&mut self, why: String) -> bool {
        let is_new = self.failure.as_ref() != Some(&why);
        self.failure = Some(why);
        is_new
    }

    /// Deletes the held objects, after an operator's confirmation. Returns whether there were any.
    pub fn confirm_deletions(&mut self) -> bool {
        let before = self.known.len();
        self.known.retain(|_, known| !known.is_held);
        self.known.len() != before
    }

    /// Describes the gap since the last successful read, or since the start of the process. `None`
    /// if the namespace is being read.
    #[must_use]
    pub fn gap(&self, now: Duration, times: &Times) -> Option<Gap> {
        let for_time = now.saturating_sub(self.read.unwrap_or_default());
        let is_stale = for_time >= times.stale_after;
        let why = match (&self.failure, self.read) {
            (Some(why), _) => why.clone(),
            (None, None) => "the namespace was not read yet".to_owned(),
            (None, Some(_)) if is_stale => "no answer".to_owned(),
            (None, Some(_)) => return None,
        };
        Some(Gap {
            for_time,
            why,
            is_stale,
        })
    }

    /// Deletes objects that have been missing long enough, or holds them where too many went
    /// missing together.
    fn settle(&mut self, now: Duration, times: &Times) -> bool {
        let missing = |known: &KnownObject| known.missing.filter(|_| !known.is_held);
        let latest = self.known.values().filter_map(missing).max();
        let Some(latest) = latest else {
            return false;
        };
        if now.saturating_sub(latest) < times.settle {
            return false;
        }
        while let Some(first) = self.deleted.front()
            && now.saturating_sub(*first) > times.at_once
        {
            self.deleted.pop_front();
        }
        let gone = self
            .known
            .values()
            .filter(|known| missing(known).is_some())
            .count();
        let at_once = gone + self.deleted.len();
        let held = self.known.values().filter(|known| known.is_held).count();
        let before = self.known.len() - held + self.deleted.len();
        // More than half of the namespace at once looks like an accident (a pruned folder),
        // so an operator has to confirm it.
        if at_once >= DELETIONS_BELIEVED && at_once * 2 > before {
            for known in self.known.values_mut() {
                known.is_held |= known.missing.is_some();
            }
        } else {
            self.known.retain(|_, known| missing(known).is_none());
            self.deleted.extend(std::iter::repeat_n(now, gone));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::tests::object;

    const TIMES: Times = Times::of(Duration::from_secs(600));

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn some(names: &[u32]) -> Vec<Object> {
        let of = |name: &u32| object("n", &format!("c{name}"), (1, &format!("u{name}")));
        names.iter().map(of).collect()
    }

    fn names(known_objects: &KnownObjects) -> Vec<&str> {
        let objects = known_objects.objects();
        objects.map(|object| object.origin.name.as_str()).collect()
    }

    fn with(count: u32) -> KnownObjects {
        let mut known_objects = KnownObjects::default();
        let all: Vec<u32> = (0..count).collect();
        known_objects.listed(some(&all), at(0), &TIMES);
        known_objects
    }

    #[test]
    fn an_object_missing_from_lists_for_a_while_is_deleted() {
        let mut known_objects = with(2);
        assert!(known_objects.lacks(&some(&[0])));
        known_objects.listed(some(&[0]), at(1), &TIMES);
        assert!(known_objects.is_unsettled());
        assert_eq!(names(&known_objects), ["c0", "c1"]);
        // An object that comes back was never deleted.
        known_objects.listed(some(&[0, 1]), at(2), &TIMES);
        assert!(!known_objects.is_unsettled());
        known_objects.listed(some(&[0]), at(3), &TIMES);
        assert!(known_objects.listed(some(&[0]), at(5), &TIMES));
        assert_eq!(names(&known_objects), ["c0"]);
    }

    #[test]
    fn a_recreated_object_replaces_the_old_one_at_once() {
        let mut known_objects = with(1);
        let again = object("n", "c0", (2, "new"));
        assert!(known_objects.listed(vec![again], at(1), &TIMES));
        let uids: Vec<_> = known_objects
            .objects()
            .map(|it| it.origin.uid.as_str())
            .collect();
        assert_eq!(uids, ["new"]);
        assert!(!known_objects.is_unsettled());
    }

    #[test]
    fn an_error_says_nothing_about_charters() {
        let mut known_objects = with(4);
        assert!(known_objects.failed("403".to_owned()));
        assert!(!known_objects.failed("403".to_owned()));
        assert_eq!(known_objects.objects().count(), 4);
        let gap = known_objects.gap(at(599), &TIMES).unwrap();
        assert!(!gap.is_stale);
        let gap = known_objects.gap(at(600), &TIMES).unwrap();
        assert!(gap.is_stale && gap.why == "403", "{gap:?}");
        assert!(known_objects.listed(some(&[0, 1, 2, 3]), at(700), &TIMES));
        assert_eq!(known_objects.gap(at(701), &TIMES), None);
        // A namespace that was never read counts as unread since the start.
        let fresh = KnownObjects::default();
        assert!(!fresh.gap(at(10), &TIMES).unwrap().is_stale);
        assert!(fresh.gap(at(600), &TIMES).unwrap().is_stale);
        // A silent API server is the same as one that answers with errors.
        assert!(with(1).gap(at(600), &TIMES).unwrap().is_stale);
    }

    #[test]
    fn deleting_more_than_half_needs_an_operator() {
        let mut known_objects = with(6);
        // A person deletes them one after the other: the time starts again with each.
        for (second, left) in [(1, &[0, 1, 2, 3, 4][..]), (2, &[0, 1, 2]), (3, &[0])] {
            known_objects.listed(some(left), at(second), &TIMES);
        }
        assert!(known_objects.is_unsettled());
        assert!(known_objects.listed(some(&[0]), at(5), &TIMES));
        assert_eq!(known_objects.objects().count(), 6);
        assert_eq!(known_objects.held().count(), 5);
        assert!(!known_objects.is_unsettled() && !known_objects.lacks(&some(&[0])));
        // A held object that comes back is no longer held.
        known_objects.listed(some(&[0, 1]), at(6), &TIMES);
        assert_eq!(known_objects.held().count(), 4);
        assert!(known_objects.confirm_deletions() && !known_objects.confirm_deletions());
        assert_eq!(names(&known_objects), ["c0", "c1"]);
    }

    #[test]
    fn deletions_that_follow_each_other_count_together() {
        let mut known_objects = with(6);
        for (second, left) in [
            (1, &[0, 1, 2, 3, 4][..]),
            (11, &[0, 1, 2, 3]),
            (21, &[0, 1, 2]),
        ] {
            known_objects.listed(some(left), at(second), &TIMES);
            known_objects.listed(some(left), at(second + 2), &TIMES);
            assert_eq!(known_objects.objects().count(), left.len());
        }
        known_objects.listed(some(&[0, 1]), at(31), &TIMES);
        known_objects.listed(some(&[0, 1]), at(33), &TIMES);
        assert_eq!(known_objects.held().collect::<Vec<_>>(), ["c2"]);
        // After a while, earlier deletions no longer count.
        let mut known_objects = with(6);
        for left in [5, 4, 3, 2, 1] {
            let left: Vec<u32> = (0..left).collect();
            let second = 1000 * (6 - left.len() as u64);
            known_objects.listed(some(&left), at(second), &TIMES);
            known_objects.listed(some(&left), at(second + 2), &TIMES);
            assert_eq!(known_objects.objects().count(), left.len());
        }
    }

    #[test]
    fn few_are_believed() {
        let mut known_objects = with(2);
        known_objects.listed(Vec::new(), at(1), &TIMES);
        known_objects.listed(Vec::new(), at(3), &TIMES);
        assert_eq!(known_objects.objects().count(), 0);
    }
}
