//! How a plan lies on the disk: a line that names the key and the identity that it is charged to, then the sealed bytes.
//!
//! The line is bound to the bytes: a file that was given another name, or another owner, does not open. Before plans were
//! sealed a file was the bytes alone, under their digest.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanyard_core::digest::Digest;
use lanyard_secret_file::open_plain;

use crate::seal::{KeyId, Sealed};
use crate::sealing_keys::SealingKeys;
use parking_lot::Mutex;

/// What the first line begins with.
const MARK: &str = "lanyard-plan-1 ";
/// The longest first line, in bytes: the mark, the name of a key, a digest.
const HEAD_BYTES: u64 = 256;
/// The file with the keys, where the configuration names none.
const KEYS: &str = "plan-sealing-keys";
/// The name of the first key in it.
const FIRST_KEY: &str = "plans-1";

/// Whom plans of earlier versions are charged to: an owner of its own, the same for all of them.
#[must_use]
pub fn nobody() -> Digest {
    Digest::of(b"")
}

/// What seals and opens plans. The keys are read when they are first needed: a kill from the data directory needs none.
#[derive(Debug)]
pub struct Seals {
    path: PathBuf,
    /// The file is made where it is not there.
    own: bool,
    keys: Mutex<Option<Arc<SealingKeys>>>,
}

/// A file, read.
#[derive(Debug)]
pub struct SealedPlan {
    owner: Digest,
    sealed: Sealed,
}

/// The bytes of a file of an earlier version.
#[derive(Debug)]
pub struct Plain(
    /// The plan, in clear.
    pub Vec<u8>,
);

impl Plain {
    /// The file, unless it is sealed.
    #[must_use]
    pub fn of(file: Vec<u8>) -> Option<Self> {
        parsed(&file).is_none().then_some(Self(file))
    }
}

impl Seals {
    /// The seals of a data directory, with the keys of this file or of the directory itself.
    #[must_use]
    pub fn new(data_dir: &Path, keys: Option<&Path>) -> Self {
        Self {
            path: keys.map_or_else(|| data_dir.join(KEYS), Path::to_path_buf),
            own: keys.is_none(),
            keys: Mutex::new(None),
        }
    }

    fn keys(&self) -> io::Result<Arc<SealingKeys>> {
        let mut keys = self.keys.lock();
        if let Some(keys) = &*keys {
            return Ok(Arc::clone(keys));
        }
        if self.own && !self.path.exists() {
            let name = KeyId::new(FIRST_KEY);
            let name = name.ok_or_else(|| io::Error::other("the first key has no name"))?;
            SealingKeys::create(&self.path, &name)?;
        }
        let read = Arc::new(SealingKeys::read(&self.path).map_err(io::Error::other)?);
        *keys = Some(Arc::clone(&read));
        Ok(read)
    }

    /// The file for these bytes.
    ///
    /// # Errors
    /// When there are no keys, or no random bits.
    pub fn seal(&self, digest: Digest, owner: Digest, content: &[u8]) -> io::Result<Vec<u8>> {
        let sealed = self.keys()?.seal_bytes(content, &purpose(digest, owner));
        let sealed = sealed.map_err(io::Error::other)?;
        let line = format!("{MARK}{} {owner}\n", sealed.key);
        Ok([line.as_bytes(), &sealed.bytes].concat())
    }

    /// What was sealed under this digest.
    ///
    /// # Errors
    /// When there are no keys, or the bytes were not sealed under this digest and owner.
    pub fn open(&self, digest: Digest, plan: &SealedPlan) -> io::Result<Vec<u8>> {
        let purpose = purpose(digest, plan.owner);
        let opened = self.keys()?.open_bytes(&plan.sealed, &purpose);
        let opened = opened.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(opened.expose().clone())
    }
}

fn purpose(digest: Digest, owner: Digest) -> Vec<u8> {
    format!("plan {digest} of {owner}").into_bytes()
}

/// The sealed plan in a file; nothing where the file is of an earlier version.
#[must_use]
pub fn parsed(file: &[u8]) -> Option<SealedPlan> {
    let rest = file.strip_prefix(MARK.as_bytes())?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let (line, bytes) = rest.split_at(end);
    let (key, owner) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    Some(SealedPlan {
        owner: owner.parse().ok()?,
        sealed: Sealed {
            key: KeyId::new(key)?,
            bytes: bytes.get(1..)?.to_vec(),
        },
    })
}

/// Whom the plan in this file is charged to.
///
/// # Errors
/// When the file cannot be read.
pub fn owner_of(path: &Path) -> io::Result<Digest> {
    let mut head = Vec::new();
    let file = open_plain(path)?;
    file.take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok(parsed(&head).map_or_else(nobody, |plan| plan.owner))
}
