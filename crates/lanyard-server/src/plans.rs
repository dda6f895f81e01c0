//! The bytes of plans, under their digest.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use lanyard_core::digest::Digest;

/// A directory of plans. A file's name is the digest of what is in it, which is checked when it is read.
#[derive(Debug, Clone)]
pub(crate) struct PlanStore(PathBuf);

impl PlanStore {
    pub(crate) fn open(directory: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        Ok(Self(directory))
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.0.join(digest.to_string().replace(':', "-"))
    }

    /// Stores the bytes; on return they survive a crash.
    pub(crate) fn put(&self, content: &[u8]) -> io::Result<Digest> {
        let digest = Digest::of(content);
        let path = self.path(digest);
        if path.exists() {
            return Ok(digest);
        }
        let temporary = path.with_extension(format!("{:?}.new", std::thread::current().id()));
        let mut file = fs::File::create(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        fs::File::open(&self.0)?.sync_all()?;
        Ok(digest)
    }

    /// The bytes, if they are still what was stored (T18).
    pub(crate) fn get(&self, digest: Digest) -> io::Result<Vec<u8>> {
        let content = fs::read(self.path(digest))?;
        if Digest::of(&content) == digest {
            Ok(content)
        } else {
            Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a stored plan is not what was stored",
            ))
        }
    }
}
