//! When records were made: spans of them, so that a question about a time reads few.

use std::collections::BTreeMap;
use std::ops::Range;

use lanyard_vocabulary::time::Timestamp;
use sled::{Batch, Db};

use super::{Query, applied, key, number};

pub(super) const TIMES: u8 = b't';
/// Records whose times are kept as one span: a question about a time reads all of them, or none.
const RECORDS_PER_SPAN: u64 = 256;

/// The first record of each span, with the earliest and the latest time in it.
#[derive(Default)]
pub(super) struct Times(BTreeMap<u64, (u64, u64)>);

impl Times {
    /// A record whose time cannot be read may be of any.
    pub(super) fn note(&mut self, index: u64, at: Option<Timestamp>) {
        let (earliest, latest) = at.map_or((0, u64::MAX), |at| (at.as_millis(), at.as_millis()));
        let last = self.0.last_entry();
        let last = last.filter(|last| index.saturating_sub(*last.key()) < RECORDS_PER_SPAN);
        match last {
            Some(mut last) => {
                let (first, end) = *last.get();
                last.insert((first.min(earliest), end.max(latest)));
            }
            None => drop(self.0.insert(index, (earliest, latest))),
        }
    }

    pub(super) fn add_to(self, batch: &mut Batch) {
        for (first, (earliest, latest)) in self.0 {
            let mut times = earliest.to_be_bytes().to_vec();
            times.extend_from_slice(&latest.to_be_bytes());
            batch.insert(key(vec![TIMES], first), times);
        }
    }
}

/// Returns the ranges of indices, in order, in which records of the query's time may be. A broker's
/// clock is set back now and then: no place in the journal is behind all earlier times, so that
/// each span of records is compared with the query by itself.
pub(super) fn spans(db: &Db, query: &Query) -> Vec<Range<u64>> {
    let applied = applied(db);
    if query.since.is_none() && query.until.is_none() {
        return std::iter::once(query.from..applied).collect();
    }
    let begin = db.get_lt(key(vec![TIMES], query.from.saturating_add(1)));
    let begin = begin.ok().flatten().filter(|(key, _)| is_times(key));
    let begin = begin.map_or_else(|| key(vec![TIMES], 0), |(found, _)| found.to_vec());
    let kept = db.range(begin..=key(vec![TIMES], u64::MAX)).flatten();
    let mut found: Vec<Range<u64>> = Vec::new();
    let mut last: Option<(u64, bool)> = None;
    let mut take = |last: Option<(u64, bool)>, end: u64| {
        let first = last.filter(|(_, is_timely)| *is_timely);
        let first = first.map(|(first, _)| first.max(query.from));
        match (found.last_mut(), first) {
            (Some(before), Some(first)) if before.end == first => before.end = end,
            (_, Some(first)) if first < end => found.push(first..end),
            (_, Some(_) | None) => {}
        }
    };
    for (key, times) in kept.filter(|(key, _)| is_times(key)) {
        let first = key.get(1..).map_or(0, number);
        let (earliest, latest) = times.split_at_checked(8).unwrap_or_default();
        let is_since = query
            .since
            .is_none_or(|since| number(latest) >= since.as_millis());
        let is_until = query
            .until
            .is_none_or(|until| number(earliest) <= until.as_millis());
        take(last, first);
        last = Some((first, is_since && is_until));
    }
    take(last, applied);
    found
}

fn is_times(key: &[u8]) -> bool {
    key.first() == Some(&TIMES) && key.len() == 9
}
