//! What the index forgets: the entries of records that retention removed.

use sled::{Batch, Db};

use super::times::TIMES;
use super::{BATCH_AT, FIRST, KIND, MENTION, number};

/// Number of entries that one write to sled removes.
const ENTRIES_PER_WRITE: usize = 8192;

/// Removes the entries of records before `first`, unless that was done before. Reads the whole
/// index, which a removed segment is rare enough for.
pub(super) fn forget(db: &Db, first: u64) -> sled::Result<()> {
    let done = db.get(FIRST)?.map_or(0, |bytes| number(&bytes));
    if done >= first {
        return Ok(());
    }
    let (mut batch, mut count) = (Batch::default(), 0);
    let mut span: Option<sled::IVec> = None;
    for item in db.iter() {
        let (key, value) = item?;
        let Some((letter, at)) = key.first().zip(key.last_chunk::<8>()) else {
            continue;
        };
        let at = u64::from_be_bytes(*at);
        if at >= first || key.as_ref() == FIRST {
            continue;
        }
        match *letter {
            BATCH_AT => batch.remove(key),
            // The last span before `first` goes on behind it.
            TIMES => match span.replace(key) {
                Some(before) => batch.remove(before),
                None => continue,
            },
            KIND | MENTION => {
                let kept: Vec<u8> = value
                    .chunks_exact(8)
                    .filter(|index| number(index) >= first)
                    .flatten()
                    .copied()
                    .collect();
                if let Some(next) = kept.first_chunk::<8>() {
                    let mut moved = key.to_vec();
                    moved.truncate(key.len() - next.len());
                    moved.extend_from_slice(next);
                    batch.insert(moved, kept);
                }
                batch.remove(key);
            }
            _ => continue,
        }
        count += 1;
        if count % ENTRIES_PER_WRITE == 0 {
            db.apply_batch(std::mem::take(&mut batch))?;
        }
    }
    batch.insert(FIRST, &first.to_be_bytes());
    db.apply_batch(batch)
}
