//! The file format of a stored plan: a line with the key's name and the identity that the plan is
//! charged to, then the sealed bytes.
//!
//! The line is authenticated with the bytes, so that a file with a changed name or owner does not
//! open. Earlier versions stored the plan's bytes unsealed, under their digest.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanyard_secret_file::open_plain;
use lanyard_vocabulary::digest::Digest;
use parking_lot::Mutex;

use crate::seal::{KeyId, Sealed};
use crate::sealing_keys::SealingKeys;

/// Beginning of the first line.
const FIRST_LINE_PREFIX: &str = "lanyard-plan-1 ";
/// The longest first line, in bytes: the beginning, a key's name, a digest.
const FIRST_LINE_BYTES: u64 = 256;
/// Name of the key file in the data directory, used when the configuration names none.
const KEY_FILE: &str = "plan-sealing-keys";
/// Name of the first key in that file.
const FIRST_KEY: &str = "plans-1";

/// The owner that plans of earlier versions are charged to.
#[must_use]
pub fn nobody() -> Digest {
    Digest::of(b"")
}

/// Seals and opens plans. The keys are read at first use, because a local kill in the data
/// directory needs none.
#[derive(Debug)]
pub struct Seals {
    path: PathBuf,
    /// The key file belongs to the data directory and is created when missing.
    own: bool,
    keys: Mutex<Option<Arc<SealingKeys>>>,
}

/// A parsed file with a sealed plan.
#[derive(Debug)]
pub struct SealedPlan {
    owner: Digest,
    sealed: Sealed,
}

/// An unsealed plan of an earlier version.
#[derive(Debug)]
pub struct Plain(
    /// The plan's bytes, unsealed.
    pub Vec<u8>,
);

impl Plain {
    /// Wraps the content of a file; `None` when the file is sealed.
    #[must_use]
    pub fn of(file: Vec<u8>) -> Option<Self> {
        parsed(&file).is_none().then_some(Self(file))
    }
}

impl Seals {
    /// The seals of a data directory, with keys from `keys` or from the directory's own file.
    #[must_use]
    pub fn new(data_dir: &Path, keys: Option<&Path>) -> Self {
        Self {
            path: keys.map_or_else(|| data_dir.join(KEY_FILE), Path::to_path_buf),
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

    /// Renders the file for a plan's bytes.
    ///
    /// # Errors
    /// When there are no keys, or no random bits.
    pub fn seal(&self, digest: Digest, owner: Digest, content: &[u8]) -> io::Result<Vec<u8>> {
        let sealed = self.keys()?.seal_bytes(content, &purpose(digest, owner));
        let sealed = sealed.map_err(io::Error::other)?;
        let line = format!("{FIRST_LINE_PREFIX}{} {owner}\n", sealed.key);
        Ok([line.as_bytes(), &sealed.bytes].concat())
    }

    /// Opens a plan that was sealed under `digest`.
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

/// Parses a file; `None` when the file is of an earlier version, and unsealed.
#[must_use]
pub fn parsed(file: &[u8]) -> Option<SealedPlan> {
    let rest = file.strip_prefix(FIRST_LINE_PREFIX.as_bytes())?;
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

/// Reads the owner of a stored plan from the first line of its file.
///
/// # Errors
/// When the file cannot be read.
pub fn owner_of(path: &Path) -> io::Result<Digest> {
    let mut head = Vec::new();
    let file = open_plain(path)?;
    file.take(FIRST_LINE_BYTES).read_to_end(&mut head)?;
    Ok(parsed(&head).map_or_else(nobody, |plan| plan.owner))
}
