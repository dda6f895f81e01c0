//! Reading records again while the journal grows, up to what is known to be durable.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::batch::{self, Fault, SEGMENT_HEADER};
use crate::journal::{OpenError, segments};

/// A place in the journal of a directory. It takes no lock.
#[derive(Debug)]
pub struct Cursor {
    directory: PathBuf,
    segment: Option<PathBuf>,
    offset: u64,
    index: u64,
}

impl Cursor {
    /// Before this record.
    #[must_use]
    pub fn at(directory: &Path, index: u64) -> Self {
        Self {
            directory: directory.to_path_buf(),
            segment: None,
            offset: 0,
            index,
        }
    }

    /// The record that comes next.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Gives every record from here up to, and without, `until`, which has to be durable.
    ///
    /// # Errors
    /// When the journal does not hold them. What was given before was whole.
    pub fn read(&mut self, until: u64, mut each: impl FnMut(u64, &[u8])) -> Result<(), OpenError> {
        while self.index < until {
            let before = self.index;
            self.enter()?;
            let bytes = self.rest()?;
            let mut at = 0;
            while self.index < until
                && let Some(batch) = batch::parse(&bytes, at)
            {
                for (index, record) in (batch.first..).zip(batch.records) {
                    if index >= self.index {
                        each(index, bytes.get(record).unwrap_or_default());
                        self.index = index + 1;
                    }
                }
                at = batch.end;
            }
            self.offset += at as u64;
            if self.index == before {
                return Err(self.missing());
            }
        }
        Ok(())
    }

    /// Opens the segment that the next record is in, where that is another one.
    fn enter(&mut self) -> Result<(), OpenError> {
        let paths = segments(&self.directory)?;
        let holds = |path: &&PathBuf| {
            let name = path.file_stem().and_then(|name| name.to_str());
            name.and_then(|name| name.parse::<u64>().ok())
                .is_some_and(|first| first <= self.index)
        };
        let found = paths.iter().rfind(holds).ok_or_else(|| self.missing())?;
        if self.segment.as_ref() != Some(found) {
            self.segment = Some(found.clone());
            self.offset = SEGMENT_HEADER as u64;
        }
        Ok(())
    }

    fn rest(&self) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.segment.as_deref().unwrap_or(&self.directory))?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn missing(&self) -> OpenError {
        let name = self.segment.as_ref().and_then(|path| path.file_name());
        OpenError::Damaged(Fault {
            segment: name.unwrap_or_default().to_string_lossy().into_owned(),
            offset: self.offset,
            index: self.index,
            what: "the next record is not there",
        })
    }
}
