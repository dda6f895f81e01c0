//! The files of segments: their names, and how the bytes of one are read, whether the file is plain
//! (`N.seg`) or compressed (`N.seg.zst`).
//!
//! Offsets are those of the plain bytes everywhere. Where both files of a segment are there, a
//! crash came between the compression and the removal of the plain file, and the plain one is read.

use std::io;
use std::path::{Path, PathBuf};

use lanyard_disk::{Access, Disk, OpenFile};

use crate::compressed::{self, Compressed, Hole};

const PLAIN: &str = "seg";
const COMPRESSED: &str = "seg.zst";

/// A segment in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentFile {
    pub(crate) directory: PathBuf,
    /// Index of the segment's first record.
    pub(crate) first: u64,
    pub(crate) is_compressed: bool,
}

/// The plain bytes of a segment.
pub(crate) struct Image {
    pub(crate) bytes: Vec<u8>,
    /// The parts of a compressed file that cannot be read.
    pub(crate) holes: Vec<Hole>,
}

/// An open segment, read by the offsets of its plain bytes.
#[derive(Debug)]
pub(crate) enum OpenSegment {
    Plain(Box<dyn OpenFile>),
    Compressed(Compressed),
}

impl SegmentFile {
    pub(crate) fn path(&self) -> PathBuf {
        if self.is_compressed {
            compressed_path(&self.directory, self.first)
        } else {
            segment_path(&self.directory, self.first)
        }
    }

    pub(crate) fn name(&self) -> String {
        let path = self.path();
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Reads all bytes, of the compressed file where another process has compressed the segment
    /// since it was listed.
    pub(crate) fn read(&mut self, disk: &dyn Disk) -> io::Result<Image> {
        let read = disk.read(&self.path());
        let bytes = match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.is_compressed => {
                self.is_compressed = true;
                disk.read(&self.path()).map_err(|_| error)?
            }
            other => other?,
        };
        if self.is_compressed {
            let (bytes, holes) = compressed::image(&bytes);
            return Ok(Image { bytes, holes });
        }
        Ok(Image {
            bytes,
            holes: Vec::new(),
        })
    }
}

impl OpenSegment {
    /// Opens the segment whose first record is `first`.
    pub(crate) fn open(disk: &dyn Disk, directory: &Path, first: u64) -> io::Result<Self> {
        match disk.open(&segment_path(directory, first), Access::Read) {
            Ok(file) => Ok(Self::Plain(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = disk.open(&compressed_path(directory, first), Access::Read)?;
                Ok(Self::Compressed(Compressed::open(file)?))
            }
            Err(error) => Err(error),
        }
    }

    /// The length of the plain bytes.
    pub(crate) fn length(&self) -> io::Result<u64> {
        match self {
            Self::Plain(file) => file.length(),
            Self::Compressed(file) => Ok(file.length()),
        }
    }

    /// Fills `bytes` from `offset` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] where the segment ends before, and
    /// [`io::ErrorKind::InvalidData`] where a compressed one is damaged.
    pub(crate) fn read_at(&mut self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.read_at(bytes, offset),
            Self::Compressed(file) => file.read_at(bytes, offset),
        }
    }
}

/// The segments of a directory, oldest first.
pub(crate) fn segments(disk: &dyn Disk, directory: &Path) -> io::Result<Vec<SegmentFile>> {
    let found = disk.list(directory)?;
    let mut found: Vec<SegmentFile> = found.iter().filter_map(|path| parsed(path)).collect();
    found.sort_by_key(|it| (it.first, it.is_compressed));
    found.dedup_by_key(|it| it.first);
    Ok(found)
}

fn parsed(path: &Path) -> Option<SegmentFile> {
    let (first, kind) = path.file_name()?.to_str()?.split_once('.')?;
    let is_compressed = match kind {
        PLAIN => false,
        COMPRESSED => true,
        _ => return None,
    };
    Some(SegmentFile {
        directory: path.parent()?.to_path_buf(),
        first: first.parse().ok()?,
        is_compressed,
    })
}

/// Path of the plain segment whose first record is `first`.
pub(crate) fn segment_path(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("{first:020}.{PLAIN}"))
}

/// Path of the compressed segment whose first record is `first`.
pub(crate) fn compressed_path(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("{first:020}.{COMPRESSED}"))
}
