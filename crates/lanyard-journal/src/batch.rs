//! The layout of segments and batches, and how a reader tells a whole batch from a torn or damaged
//! one.
//!
//! ```text
//! segment:  "LANYARDJ" version:u32 crc:u32 first:u64             then batches
//! batch:    "BTCH" crc:u32 body:u32 count:u32 first:u64 previous root:[32]   then the body
//! body:     (length:u32 record)*
//! ```
//! All numbers are little-endian. A batch's checksum (CRC-32C) covers everything behind the
//! checksum; a segment's covers the version and the first record (earlier versions wrote a zero
//! there). Version 1 held records in JSON alone; a segment of version 2 holds records of every
//! form. Beside one of version 3, sealed segments may be compressed, or removed by retention:
//! earlier versions would take those for missing. Each batch names the size and the root of the
//! Merkle tree before it, all of which was durable when the batch was written: a batch of another
//! history does not fit.

use std::ops::Range;

use crate::merkle::Hash;

/// The version of a new segment; a reader refuses a later one.
pub(crate) const VERSION: u32 = 3;
/// Size of a segment's header, in bytes.
pub(crate) const SEGMENT_HEADER: usize = 24;
/// Size of a batch's header, in bytes.
pub(crate) const BATCH_HEADER: usize = 56;
const SEGMENT_MAGIC: &[u8; 8] = b"LANYARDJ";
const BATCH_MAGIC: &[u8; 4] = b"BTCH";

/// A place where the journal differs from what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("segment {segment}, byte {offset}, after record {index}: {what}")]
pub struct Fault {
    /// Name of the segment's file.
    pub segment: String,
    /// Byte offset of the damaged batch in the file.
    pub offset: u64,
    /// The number of whole records before the fault.
    pub index: u64,
    /// The kind of damage, in words.
    pub what: String,
}

pub(crate) fn segment_header(first: u64) -> Vec<u8> {
    header_of(VERSION, first)
}

fn header_of(version: u32, first: u64) -> Vec<u8> {
    let mut header = Vec::with_capacity(SEGMENT_HEADER);
    header.extend_from_slice(SEGMENT_MAGIC);
    header.extend_from_slice(&version.to_le_bytes());
    header.extend_from_slice(&header_checksum(version, first).to_le_bytes());
    header.extend_from_slice(&first.to_le_bytes());
    header
}

fn header_checksum(version: u32, first: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&version.to_le_bytes()), &first.to_le_bytes())
}

/// The version and first index in a segment's header; `None` for a damaged header. A checksum of
/// zero is accepted, because earlier versions wrote no checksum.
pub(crate) fn read_segment_header(bytes: &[u8]) -> Option<(u32, u64)> {
    (bytes.get(..8)? == SEGMENT_MAGIC).then_some(())?;
    let (version, checksum, first) = (u32_at(bytes, 8)?, u32_at(bytes, 12)?, u64_at(bytes, 16)?);
    let whole = checksum == 0 || checksum == header_checksum(version, first);
    whole.then_some((version, first))
}

/// Checks whether `bytes` are the begin of a header whose write was cut off. Nothing can follow
/// such a header.
pub(crate) fn is_begun_header(bytes: &[u8], first: u64) -> bool {
    let is_of = |version| {
        let whole = header_of(version, first);
        let mut earlier = whole.clone();
        earlier
            .iter_mut()
            .skip(12)
            .take(4)
            .for_each(|byte| *byte = 0);
        whole.starts_with(bytes) || earlier.starts_with(bytes)
    };
    bytes.len() < SEGMENT_HEADER && ((1..=VERSION).any(is_of) || bytes.iter().all(|it| *it == 0))
}

/// Renders a batch; `None` when a record or the batch exceeds 4 GiB.
pub(crate) fn render<R: AsRef<[u8]>>(records: &[R], first: u64, root: &Hash) -> Option<Vec<u8>> {
    let body: usize = records.iter().map(|record| 4 + record.as_ref().len()).sum();
    let mut bytes = Vec::with_capacity(BATCH_HEADER + body);
    bytes.extend_from_slice(BATCH_MAGIC);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&u32::try_from(body).ok()?.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(records.len()).ok()?.to_le_bytes());
    bytes.extend_from_slice(&first.to_le_bytes());
    bytes.extend_from_slice(root);
    for record in records {
        bytes.extend_from_slice(&u32::try_from(record.as_ref().len()).ok()?.to_le_bytes());
        bytes.extend_from_slice(record.as_ref());
    }
    let checksum = crc32c::crc32c(bytes.get(8..)?);
    bytes
        .get_mut(4..8)?
        .copy_from_slice(&checksum.to_le_bytes());
    Some(bytes)
}

/// A whole batch, found within a segment's bytes.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) first: u64,
    pub(crate) previous_root: Hash,
    pub(crate) records: Vec<Range<usize>>,
    pub(crate) end: usize,
}

/// The size of a batch as its header states it.
pub(crate) struct Extent {
    /// Length of header and body, in bytes.
    pub(crate) bytes: usize,
    /// Index after the batch's last record.
    pub(crate) until: u64,
}

/// Reads a batch's size from its header alone, without a check of the checksum.
pub(crate) fn extent(header: &[u8]) -> Option<Extent> {
    (header.get(..4)? == BATCH_MAGIC).then_some(())?;
    let body = usize::try_from(u32_at(header, 8)?).ok()?;
    Some(Extent {
        bytes: BATCH_HEADER.checked_add(body)?,
        until: u64_at(header, 16)?.checked_add(u64::from(u32_at(header, 12)?))?,
    })
}

/// The batch that begins at `start`, if the batch is whole and its checksum is right.
pub(crate) fn parse(bytes: &[u8], start: usize) -> Option<Batch> {
    let header = bytes.get(start..start.checked_add(BATCH_HEADER)?)?;
    (header.get(..4)? == BATCH_MAGIC).then_some(())?;
    let (checksum, body) = (
        u32_at(header, 4)?,
        usize::try_from(u32_at(header, 8)?).ok()?,
    );
    let (count, first) = (u32_at(header, 12)?, u64_at(header, 16)?);
    let mut previous_root = [0; 32];
    previous_root.copy_from_slice(header.get(24..56)?);
    let end = start.checked_add(BATCH_HEADER)?.checked_add(body)?;
    let covered = bytes.get(start + 8..end)?;
    (crc32c::crc32c(covered) == checksum).then_some(())?;
    let mut records = Vec::new();
    let mut at = start + BATCH_HEADER;
    for _ in 0..count {
        let length = usize::try_from(u32_at(bytes, at)?).ok()?;
        let record = at + 4..at.checked_add(4)?.checked_add(length)?;
        (record.end <= end).then_some(())?;
        at = record.end;
        records.push(record);
    }
    (at == end).then_some(Batch {
        first,
        previous_root,
        records,
        end,
    })
}

/// Offset of the next whole batch at or after `start`. Reading resumes there after damage, so that
/// one bad batch does not hide those behind it.
pub(crate) fn next_good(bytes: &[u8], start: usize) -> Option<usize> {
    let windows = bytes.get(start..)?.windows(BATCH_MAGIC.len()).enumerate();
    windows
        .filter(|(_, window)| window == BATCH_MAGIC)
        .map(|(at, _)| start + at)
        .find(|at| parse(bytes, *at).is_some())
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(
        bytes.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(
        bytes.get(at..at.checked_add(8)?)?.try_into().ok()?,
    ))
}
