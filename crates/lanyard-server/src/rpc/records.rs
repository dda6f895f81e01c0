//! Records of the journal that are asked after: each with what it is about, and as a sentence.

use lanyard_ledger::history::{MAX_RECORDS_PER_ANSWER, Query};
use lanyard_proto::v1;
use lanyard_records::Head;

use super::time;

mod about;
mod asked;
mod filters;
mod follow;
mod lookup;

pub(super) use asked::{AskedNames, AskedRecords};
use filters::Filters;
use follow::follow;
pub(super) use lookup::Lookup;

/// Records that one call looks at, whether or not they are asked for: the answer says where the
/// next call goes on.
const RECORDS_LOOKED_AT_PER_CALL: usize = 20_000;

/// A record without a word about it.
fn plain(index: u64, bytes: &[u8], head: Head) -> v1::AuditRecord {
    v1::AuditRecord {
        index,
        time: head.at.and_then(time),
        kind: head.kind.into_owned(),
        body: lanyard_records::json(bytes).into_owned(),
        ..v1::AuditRecord::default()
    }
}

/// The records that were found, and where to go on.
type Found = (Vec<v1::AuditRecord>, Option<u64>);

/// The records that are asked for, oldest first.
fn query(
    lookup: &mut Lookup<'_>,
    mentions: Option<&str>,
    filters: &Filters,
    (from, most): (u64, usize),
) -> Found {
    let history = lookup.history;
    let mut page = Query {
        mentions: mentions.map(str::to_owned),
        kind: filters.kind.clone(),
        since: filters.since,
        until: filters.until,
        from,
        limit: MAX_RECORDS_PER_ANSWER,
    };
    let (mut found, mut looked) = (Vec::new(), 0);
    loop {
        let (records, next) = history.query(&page);
        for (index, bytes) in records {
            if found.len() == most || looked == RECORDS_LOOKED_AT_PER_CALL {
                return (found, Some(index));
            }
            looked += 1;
            found.extend(lookup.asked((index, &bytes), filters));
        }
        match next {
            Some(next) => page.from = next,
            None => return (found, None),
        }
    }
}

/// Returns the records at these places that are asked for; one that is not there is left out.
fn at(lookup: &mut Lookup<'_>, indices: &[u64], filters: &Filters) -> Vec<v1::AuditRecord> {
    let read = indices.iter().filter_map(|index| {
        let bytes = one(lookup, *index)?;
        lookup.asked((*index, &bytes), filters)
    });
    read.collect()
}

/// The bytes of the record at a place.
fn one(lookup: &Lookup<'_>, index: u64) -> Option<Vec<u8>> {
    let (records, _) = lookup.history.query(&Query {
        from: index,
        limit: 1,
        ..Query::default()
    });
    let (at, bytes) = records.into_iter().next()?;
    (at == index).then_some(bytes)
}

#[cfg(test)]
mod tests;
