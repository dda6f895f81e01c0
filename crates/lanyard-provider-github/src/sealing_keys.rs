//! Seals with keys from a file: AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce in front.
//!
//! Each line holds a key's name and 32 bytes in base64. The first key seals, and every key opens:
//! put a new key on top, and remove an old one when nothing sealed with it can still be needed. One
//! key allows 2^32 random nonces, enough for a hundred years at one lease a second.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lanyard_vocabulary::secret::Secret;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use crate::key_file::{self, KeyFileError};
use crate::seal::{KeyId, SealError, Sealed, Sealer};

/// The reason why sealing keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SealingKeysError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// A line does not hold a key.
    #[error("line {0} of the sealing keys is not `<name> <32 bytes in base64>`")]
    Line(usize),
    /// Two keys have the same name.
    #[error("line {0} of the sealing keys has the name of another key")]
    Twice(usize),
    /// The file has no key.
    #[error("the file of sealing keys has no key")]
    Empty,
}

/// The sealing keys of one file.
pub struct SealingKeys {
    newest: KeyId,
    keys: BTreeMap<KeyId, LessSafeKey>,
}

impl std::fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.keys.keys().collect::<Vec<_>>();
        f.debug_struct("SealingKeys")
            .field("newest", &self.newest)
            .field("keys", &names)
            .finish()
    }
}

impl SealingKeys {
    /// Reads the keys of a file that only its owner may read. Empty lines and lines that begin with
    /// `#` are skipped.
    ///
    /// # Errors
    /// See [`SealingKeysError`].
    pub fn read(path: &Path) -> Result<Self, SealingKeysError> {
        let text = key_file::read(path)?;
        let (mut newest, mut keys) = (None, BTreeMap::new());
        for (at, line) in text.expose().lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (id, key) = parsed(line).ok_or(SealingKeysError::Line(at + 1))?;
            newest.get_or_insert_with(|| id.clone());
            if keys.insert(id, key).is_some() {
                return Err(SealingKeysError::Twice(at + 1));
            }
        }
        let newest = newest.ok_or(SealingKeysError::Empty)?;
        Ok(Self { newest, keys })
    }

    /// Writes a file with one new key atomically, readable by its owner alone.
    ///
    /// # Errors
    /// When the file cannot be written, or the system gives no random bytes.
    pub fn create(path: &Path, name: &KeyId) -> io::Result<()> {
        let mut key = Zeroizing::new([0; 32]);
        let drawn = SystemRandom::new().fill(key.as_mut_slice());
        drawn.map_err(|_| io::Error::other("the system gives no random bits"))?;
        let line = Zeroizing::new(format!("{name} {}\n", STANDARD.encode(key.as_slice())));
        let unfinished = path.with_extension("unfinished");
        // A file that a crash left behind has sealed nothing, because keys are read only under the
        // final name.
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(line.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        path.parent()
            .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }

    /// Seals bytes for `purpose` with the newest key.
    ///
    /// # Errors
    /// [`SealError::Unavailable`].
    pub fn seal_bytes(&self, secret: &[u8], purpose: &[u8]) -> Result<Sealed, SealError> {
        let key = self.keys.get(&self.newest);
        let key = key.ok_or(SealError::Unavailable("the file has no key"))?;
        let mut nonce = [0; NONCE_LEN];
        let drawn = SystemRandom::new().fill(&mut nonce);
        drawn.map_err(|_| SealError::Unavailable("no randomness"))?;
        let mut bytes = Zeroizing::new(secret.to_vec());
        let tag = key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(purpose),
                &mut bytes,
            )
            .map_err(|_| SealError::Unavailable("the cipher failed"))?;
        let bytes = [&nonce, bytes.as_slice(), tag.as_ref()].concat();
        Ok(Sealed {
            key: self.newest.clone(),
            bytes,
        })
    }

    /// Opens bytes that were sealed for `purpose`.
    ///
    /// # Errors
    /// See [`SealError`].
    pub fn open_bytes(
        &self,
        sealed: &Sealed,
        purpose: &[u8],
    ) -> Result<Secret<Vec<u8>>, SealError> {
        let no_key = || SealError::NoKey(sealed.key.clone());
        let changed = || SealError::Changed(sealed.key.clone());
        let key = self.keys.get(&sealed.key).ok_or_else(no_key)?;
        let (nonce, rest) = sealed.bytes.split_first_chunk().ok_or_else(changed)?;
        let mut bytes = Zeroizing::new(rest.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = key.open_in_place(nonce, Aad::from(purpose), &mut bytes);
        Ok(Secret::new(opened.map_err(|_| changed())?.to_vec()))
    }
}

fn parsed(line: &str) -> Option<(KeyId, LessSafeKey)> {
    let (name, key) = line.split_once(char::is_whitespace)?;
    let bytes = Zeroizing::new(STANDARD.decode(key.trim()).ok()?);
    let key = UnboundKey::new(&AES_256_GCM, &bytes).ok()?;
    Some((KeyId::new(name)?, LessSafeKey::new(key)))
}

#[async_trait]
impl Sealer for SealingKeys {
    async fn seal(&self, secret: &Secret<String>, purpose: &[u8]) -> Result<Sealed, SealError> {
        self.seal_bytes(secret.expose().as_bytes(), purpose)
    }

    async fn open(&self, sealed: &Sealed, purpose: &[u8]) -> Result<Secret<String>, SealError> {
        let bytes = self.open_bytes(sealed, purpose)?;
        let text = std::str::from_utf8(bytes.expose());
        let text = text.map_err(|_| SealError::Changed(sealed.key.clone()))?;
        Ok(Secret::new(text.to_owned()))
    }
}
