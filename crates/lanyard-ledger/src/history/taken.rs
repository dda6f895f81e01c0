//! The index entries that records add to the history.

use std::collections::BTreeMap;

use lanyard_core::references::references;
use lanyard_journal::merkle::Frontier;
use lanyard_journal::{Entry, Place};
use lanyard_records::Head;
use sled::Batch;

use super::times::Times;
use super::{APPLIED, BATCH_AT, KIND, MENTION, ROOT, key, list};

/// Distance in bytes between the batches whose positions are indexed; the batches between are found
/// by reading on. One position per batch would cost
/// more disk writes, since sled rewrites a page for every few entries.
const POSITION_SPACING_BYTES: u64 = 16 << 10;

/// The index entries that a run of records adds.
#[derive(Default)]
pub(super) struct IndexUpdate {
    batch: Batch,
    lists: BTreeMap<Vec<u8>, Vec<u64>>,
    last: Option<Place>,
    times: Times,
}

impl IndexUpdate {
    pub(super) fn add(&mut self, entry: Entry<'_>) {
        let place = entry.batch;
        let is_near = |last: Place| {
            last.segment == place.segment
                && place.offset.saturating_sub(last.offset) < POSITION_SPACING_BYTES
        };
        if !self.last.is_some_and(is_near) {
            self.last = Some(place);
            let mut at = place.segment.to_be_bytes().to_vec();
            at.extend_from_slice(&place.offset.to_be_bytes());
            self.batch.insert(key(vec![BATCH_AT], place.first), at);
        }
        let Head { at, kind } = lanyard_records::head(entry.record);
        self.times.note(entry.index, at);
        if !kind.is_empty() {
            self.note(list(KIND, &kind), entry.index);
        }
        // Of a record that this version cannot read, only the time and the kind are indexed.
        if let Ok(record) = lanyard_records::decode(entry.record) {
            for reference in references(&record.command) {
                self.note(list(MENTION, &reference), entry.index);
            }
        }
    }

    pub(super) fn into_batch(self, tree: &Frontier) -> Batch {
        let mut batch = self.batch;
        for (prefix, indices) in self.lists {
            let first = indices.first().copied().unwrap_or_default();
            let indices: Vec<u8> = indices.into_iter().flat_map(u64::to_be_bytes).collect();
            batch.insert(key(prefix, first), indices);
        }
        self.times.add_to(&mut batch);
        batch.insert(APPLIED, &tree.size().to_be_bytes());
        batch.insert(ROOT, &tree.root());
        batch
    }

    fn note(&mut self, list: Vec<u8>, index: u64) {
        let indices = self.lists.entry(list).or_default();
        if indices.last() != Some(&index) {
            indices.push(index);
        }
    }
}
