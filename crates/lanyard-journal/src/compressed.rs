//! Compressed segments: zstd frames of whole batches, and an index of the frames.
//!
//! ```text
//! file:   frame*  index
//! frame:  a zstd frame with a checksum; its plain bytes are whole batches, 256 KiB or one batch
//! index:  0x184D2A50:u32 length:u32                      a frame that the zstd tool passes over
//!         "LANYARDZ" crc:u32 frames:u32 (compressed:u64 plain:u64 crc:u32)* length:u32
//! ```
//! All numbers are little-endian. The index's checksum (CRC-32C) covers everything behind it, and a
//! frame's covers its compressed bytes: zstd ignores a bit of its headers. Put one after
//! the other, the plain bytes are the segment as it was written, byte for byte, so that
//! `zstd -d` restores it.
//!
//! A frame holds whole batches, so a damaged one takes no batch of its neighbours with it, and a
//! record is read without the rest of the segment.

use std::io::{self, Read as _};
use std::ops::Range;

use lanyard_disk::OpenFile;

use crate::batch::{self, BATCH_HEADER, SEGMENT_HEADER};

/// Plain bytes after which a frame ends. Larger frames compress better, and a look-up of one record
/// decompresses one frame.
const FRAME_BYTES: usize = 256 << 10;
/// zstd's level. Segments are compressed once, behind the writer.
const ZSTD_LEVEL: i32 = 9;
/// The first of the magic numbers of frames that every zstd decoder passes over.
const SKIPPABLE: u32 = 0x184D_2A50;
const MAGIC: &[u8; 8] = b"LANYARDZ";
/// Bytes of an index besides those of its frames.
const INDEX_BYTES: usize = 8 + 8 + 4 + 4 + 4;
/// Bytes of a frame in the index.
const ENTRY_BYTES: usize = 20;

/// A frame, by its place in the file and in the plain bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Frame {
    file: Range<u64>,
    plain: Range<u64>,
    checksum: u32,
}

/// A part of a segment that cannot be decompressed. The plain bytes have zeroes there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hole {
    /// The place in the plain bytes; empty where the index alone is damaged.
    pub(crate) plain: Range<usize>,
    /// The offset in the compressed file.
    pub(crate) offset: u64,
    pub(crate) what: &'static str,
}

/// An open compressed segment.
#[derive(Debug)]
pub(crate) struct Compressed {
    file: Box<dyn OpenFile>,
    frames: Vec<Frame>,
    /// The frame that was read last.
    current: Option<(Range<u64>, Vec<u8>)>,
}

impl Compressed {
    pub(crate) fn open(file: Box<dyn OpenFile>) -> io::Result<Self> {
        let length = file.length()?;
        let mut trailer = [0; 4];
        let damaged = || invalid("the index of the compressed segment is damaged");
        let at = length.checked_sub(4).ok_or_else(damaged)?;
        file.read_at(&mut trailer, at)?;
        let size = u64::from(u32::from_le_bytes(trailer));
        let begin = length.checked_sub(size + 8).ok_or_else(damaged)?;
        let mut index = vec![0; usize::try_from(length - begin).map_err(|_| damaged())?];
        file.read_at(&mut index, begin)?;
        Ok(Self {
            frames: parsed(&index, begin).ok_or_else(damaged)?,
            file,
            current: None,
        })
    }

    pub(crate) fn length(&self) -> u64 {
        self.frames.last().map_or(0, |frame| frame.plain.end)
    }

    pub(crate) fn read_at(&mut self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let (mut rest, mut offset) = (bytes, offset);
        while !rest.is_empty() {
            let frame = self.frame(offset)?;
            let from = usize::try_from(offset - frame.0.start).unwrap_or(usize::MAX);
            let there = frame.1.get(from..).unwrap_or_default();
            let some = there.len().min(rest.len());
            let (now, later) = rest.split_at_mut(some);
            now.copy_from_slice(there.get(..some).unwrap_or_default());
            (rest, offset) = (later, offset + some as u64);
        }
        Ok(())
    }

    /// The frame that holds the plain byte at `offset`.
    fn frame(&mut self, offset: u64) -> io::Result<&(Range<u64>, Vec<u8>)> {
        let current = match self.current.take() {
            Some(current) if current.0.contains(&offset) => current,
            Some(_) | None => {
                let at = self.frames.partition_point(|it| it.plain.end <= offset);
                let frame = self.frames.get(at);
                let frame = frame.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
                let length = frame.file.end - frame.file.start;
                let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
                self.file.read_at(&mut bytes, frame.file.start)?;
                let plain = decompressed(&bytes, frame)
                    .ok_or_else(|| invalid("a frame of the compressed segment is damaged"))?;
                (frame.plain.clone(), plain)
            }
        };
        Ok(self.current.insert(current))
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The plain bytes of a frame; `None` where the frame is damaged.
fn decompressed(compressed: &[u8], frame: &Frame) -> Option<Vec<u8>> {
    (crc32c::crc32c(compressed) == frame.checksum).then_some(())?;
    let length = usize::try_from(frame.plain.end - frame.plain.start).ok()?;
    let bytes = zstd::bulk::decompress(compressed, length).ok()?;
    (bytes.len() == length).then_some(bytes)
}

/// All plain bytes of a compressed segment, with zeroes in place of damaged frames.
pub(crate) fn image(file: &[u8]) -> (Vec<u8>, Vec<Hole>) {
    let Some(frames) = frames(file) else {
        // Without an index one frame is read after the other, up to the first that is damaged.
        let mut bytes = Vec::new();
        let decoder = zstd::stream::read::Decoder::with_buffer(file);
        let whole = decoder.and_then(|mut decoder| decoder.read_to_end(&mut bytes));
        let what = match whole {
            Ok(_) => "the index of the compressed segment is damaged",
            Err(_) => "the index of the compressed segment is damaged, and a frame before it",
        };
        let hole = Hole {
            plain: bytes.len()..bytes.len(),
            offset: file.len() as u64,
            what,
        };
        return (bytes, vec![hole]);
    };
    let (mut bytes, mut holes) = (Vec::new(), Vec::new());
    for frame in frames {
        let begin = bytes.len();
        match within(file, &frame.file).and_then(|it| decompressed(it, &frame)) {
            Some(plain) => bytes.extend_from_slice(&plain),
            None => {
                bytes.resize(usize::try_from(frame.plain.end).unwrap_or(begin), 0);
                holes.push(Hole {
                    plain: begin..bytes.len(),
                    offset: frame.file.start,
                    what: "a frame of the compressed segment is damaged",
                });
            }
        }
    }
    (bytes, holes)
}

fn within<'a>(file: &'a [u8], range: &Range<u64>) -> Option<&'a [u8]> {
    file.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}

/// The frames that a whole file's index names; `None` where the index is damaged.
fn frames(file: &[u8]) -> Option<Vec<Frame>> {
    let trailer = file.last_chunk::<4>()?;
    let size = usize::try_from(u32::from_le_bytes(*trailer)).ok()?;
    let begin = file.len().checked_sub(size.checked_add(8)?)?;
    parsed(file.get(begin..)?, begin as u64)
}

/// Reads an index that begins at byte `begin` of the file, which is where the frames end.
fn parsed(index: &[u8], begin: u64) -> Option<Vec<Frame>> {
    let (head, body) = index.split_at_checked(8)?;
    let size = u32::try_from(body.len()).ok()?;
    let is_framed = head == [SKIPPABLE.to_le_bytes(), size.to_le_bytes()].concat();
    let (magic, rest) = body.split_at_checked(MAGIC.len())?;
    let (checksum, covered) = rest.split_at_checked(4)?;
    let is_whole = magic == MAGIC && checksum == crc32c::crc32c(covered).to_le_bytes();
    (is_framed && is_whole).then_some(())?;
    let entries = covered.get(4..covered.len().checked_sub(4)?)?;
    let (mut frames, mut at, mut plain) = (Vec::new(), 0_u64, 0_u64);
    for entry in entries.chunks_exact(ENTRY_BYTES) {
        let (in_file, rest) = entry.split_first_chunk()?;
        let (in_plain, checksum) = rest.split_first_chunk()?;
        let end = at.checked_add(u64::from_le_bytes(*in_file))?;
        let plain_end = plain.checked_add(u64::from_le_bytes(*in_plain))?;
        frames.push(Frame {
            file: at..end,
            plain: plain..plain_end,
            checksum: u32::from_le_bytes(checksum.try_into().ok()?),
        });
        (at, plain) = (end, plain_end);
    }
    (at == begin).then_some(frames)
}

fn rendered(frames: &[Frame]) -> Vec<u8> {
    let mut covered = u32::try_from(frames.len())
        .unwrap_or(u32::MAX)
        .to_le_bytes()
        .to_vec();
    for frame in frames {
        covered.extend_from_slice(&(frame.file.end - frame.file.start).to_le_bytes());
        covered.extend_from_slice(&(frame.plain.end - frame.plain.start).to_le_bytes());
        covered.extend_from_slice(&frame.checksum.to_le_bytes());
    }
    let size = MAGIC.len() + 4 + covered.len() + 4;
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    covered.extend_from_slice(&size.to_le_bytes());
    let mut bytes = Vec::with_capacity(INDEX_BYTES + covered.len());
    bytes.extend_from_slice(&SKIPPABLE.to_le_bytes());
    bytes.extend_from_slice(&size.to_le_bytes());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&crc32c::crc32c(&covered).to_le_bytes());
    bytes.extend_from_slice(&covered);
    bytes
}

/// Compresses a plain segment of the records from `first` up to `until` into an empty file.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] where the segment is not as it was written: a damaged one stays
/// as it is. Otherwise when the file system refuses.
pub(crate) fn compress(
    source: &dyn OpenFile,
    file: &dyn OpenFile,
    records: Range<u64>,
) -> io::Result<()> {
    let mut writer = Writer {
        file,
        frames: Vec::new(),
        pending: Vec::new(),
    };
    writer.copy(source, records)?;
    writer.finish()
}

/// Writes frames to a new file.
struct Writer<'a> {
    file: &'a dyn OpenFile,
    frames: Vec<Frame>,
    /// Plain bytes of the frame that is being filled.
    pending: Vec<u8>,
}

impl Writer<'_> {
    /// Adds every batch of a plain segment.
    fn copy(&mut self, source: &dyn OpenFile, records: Range<u64>) -> io::Result<()> {
        let first = records.start;
        let length = source.length()?;
        let mut header = vec![0; SEGMENT_HEADER];
        source.read_at(&mut header, 0)?;
        let read = batch::read_segment_header(&header);
        if read.is_none_or(|(version, named)| named != first || version > batch::VERSION) {
            return Err(invalid("the segment's header is damaged"));
        }
        self.pending = header;
        let (mut at, mut next) = (SEGMENT_HEADER as u64, first);
        while at < length {
            let mut bytes = vec![0; BATCH_HEADER];
            source.read_at(&mut bytes, at)?;
            let extent = batch::extent(&bytes).filter(|it| at + it.bytes as u64 <= length);
            let extent = extent.ok_or_else(|| invalid("a batch of the segment is damaged"))?;
            bytes.resize(extent.bytes, 0);
            source.read_at(&mut bytes, at)?;
            let batch = batch::parse(&bytes, 0).filter(|it| it.first == next);
            let batch = batch.ok_or_else(|| invalid("a batch of the segment is damaged"))?;
            next += batch.records.len() as u64;
            at += bytes.len() as u64;
            self.pending.append(&mut bytes);
            if self.pending.len() >= FRAME_BYTES {
                self.end_frame()?;
            }
        }
        if next != records.end {
            return Err(invalid("the segment ends before the next one begins"));
        }
        Ok(())
    }

    fn end_frame(&mut self) -> io::Result<()> {
        let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
        compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true))?;
        let bytes = compressor.compress(&self.pending)?;
        let (at, begin) = self
            .frames
            .last()
            .map_or((0, 0), |it| (it.file.end, it.plain.end));
        let frame = Frame {
            file: at..at + bytes.len() as u64,
            plain: begin..begin + self.pending.len() as u64,
            checksum: crc32c::crc32c(&bytes),
        };
        // Read back before the plain bytes go: a fault of the compressor must not take records.
        if decompressed(&bytes, &frame).as_ref() != Some(&self.pending) {
            return Err(invalid(
                "a compressed frame does not give the same bytes back",
            ));
        }
        self.file.write_at(&bytes, at)?;
        self.frames.push(frame);
        self.pending.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            self.end_frame()?;
        }
        let end = self.frames.last().map_or(0, |it| it.file.end);
        self.file.write_at(&rendered(&self.frames), end)
    }
}
