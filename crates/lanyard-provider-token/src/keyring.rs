//! The signing keys of an issuer, one after another, and the time for which each stays published.
//!
//! A key signs from its own time until that of the next key. Its public half is published before
//! that time, so that verifiers' cached JWKS have it, and until the last token that the key can
//! have signed has expired. Both times follow from the keys' own times, so that a restart forgets
//! nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::{Mutex, RwLock};
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;

use crate::key::{Jwks, SigningKey};
use crate::key_file::{self, KeyFileError};

/// The longest life of a token, and the time for which a key stays published after it last signed.
///
/// # Limit
/// - for: a token
/// - unit: of time
/// - beyond: the token is refused before it is signed
/// - test: `an_impossible_token_is_refused_before_signing`
pub const MAX_TOKEN_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// Time for which a new key is published before it signs: the longest that a verifier may cache the
/// JWKS.
pub const PUBLISHED_BEFORE_USE: Duration = Duration::from_secs(5 * 60);

/// Time past `exp` for which a verifier may still accept a token.
pub(crate) const VERIFIER_LEEWAY: Duration = Duration::from_secs(60);

/// Signing keys that are published at the same time.
///
/// # Limit
/// - for: the broker
/// - unit: keys
/// - beyond: no key is made until one of them retires
/// - test: `rotating_without_end_is_refused`
const MAX_PUBLISHED_KEYS: usize = 32;

/// The reason why there is no keyring, or no new key.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// A key cannot be read from disk, or not written.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The operating system gave no random bytes.
    #[error("cannot generate a signing key: no random bytes from the system")]
    NoRandomness,
    /// Keys were rotated faster than old ones retire.
    #[error("{MAX_PUBLISHED_KEYS} signing keys are published already: wait until one retires")]
    TooMany,
    /// No published key has this id.
    #[error("there is no signing key `{0}`")]
    Unknown(String),
    /// The new key signs, and is not on disk.
    #[error(
        "signing key `{kid}` signs in this process, but cannot be written: what it signs is not valid after the next start"
    )]
    Unwritten {
        /// The id of the key.
        kid: String,
        /// The reason why the key is not on disk.
        source: KeyFileError,
    },
    /// The key is revoked, and its file is still there.
    #[error(
        "signing key `{kid}` is revoked in this process, but comes back at the next start: remove its file first"
    )]
    Undeleted {
        /// The id of the key.
        kid: String,
        /// The reason why the file is still there.
        source: KeyFileError,
    },
}

/// The outcome of taking keys away.
#[derive(Debug)]
pub struct Replaced {
    /// The key that signs in their place; `None` if none of them was the one that signs.
    pub successor: Option<PublishedKey>,
    /// The changes that the disk did not take, the gravest first: they are in effect until the next
    /// start.
    pub failures: Vec<KeyringError>,
}

/// A published key and its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedKey {
    /// The id of the key, as in the JWKS.
    pub kid: String,
    /// The time from which the key signs.
    pub signs_from: Timestamp,
    /// The time from which the next key signs; `None` for the newest key.
    pub signs_until: Option<Timestamp>,
    /// The time from which the key is no longer published, since no token of it can be valid;
    /// `None` for the newest key.
    pub retires: Option<Timestamp>,
}

impl PublishedKey {
    fn of(key: &SigningKey, successor: Option<&SigningKey>) -> Self {
        let signs_until = successor.map(|successor| successor.not_before);
        Self {
            kid: key.kid.clone(),
            signs_from: key.not_before,
            signs_until,
            retires: signs_until.map(retires),
        }
    }
}

/// The time at which a key retires whose successor signs from `signs_until` on.
fn retires(signs_until: Timestamp) -> Timestamp {
    signs_until + MAX_TOKEN_LIFE + VERIFIER_LEEWAY
}

/// The signing keys of one issuer.
#[derive(Debug)]
pub struct Keyring {
    dir: PathBuf,
    /// INVARIANT: sorted by `not_before`, and never empty.
    keys: RwLock<Vec<Arc<SigningKey>>>,
    problems: Vec<KeyFileError>,
    /// Held during a change, so that two of them never take the last key together.
    changes: Mutex<()>,
}

/// The key, and its PKCS#8 document for the disk.
type Generated = (SigningKey, Secret<Vec<u8>>);

impl Keyring {
    /// Reads the keys in `dir`, or creates the first one. Files that cannot be used stay where they
    /// are, as does a directory that cannot be used; [`Keyring::problems`] names them. Without any
    /// usable key, a key of this process alone signs.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn load_or_create(dir: &Path, now: Timestamp) -> Result<Self, KeyringError> {
        let (keys, mut problems) = key_file::read_all(dir);
        let mut keys: Vec<_> = keys.into_iter().map(Arc::new).collect();
        if keys.is_empty() {
            let (key, pkcs8) = generate(now)?;
            // Do not write a key beside an unreadable one: after a restart it would pass for the
            // only key that ever existed, and tokens of the unreadable key would no longer verify.
            if problems.is_empty()
                && let Err(error) = key_file::write(dir, &key, &pkcs8)
            {
                problems.push(error);
            }
            keys.push(Arc::new(key));
        }
        sort(&mut keys);
        Ok(Self {
            dir: dir.to_owned(),
            keys: RwLock::new(keys),
            problems,
            changes: Mutex::default(),
        })
    }

    /// The files that could not be used when the keys were read, a sentence each.
    pub fn problems(&self) -> impl Iterator<Item = String> + '_ {
        self.problems.iter().map(|error| {
            let why = std::error::Error::source(error);
            why.map_or_else(|| error.to_string(), |why| format!("{error}: {why}"))
        })
    }

    /// Adds a key that signs after [`PUBLISHED_BEFORE_USE`], and removes keys that have retired.
    ///
    /// # Errors
    /// When the key cannot be written, or too many are published. The existing keys stay in use.
    pub fn rotate(&self, now: Timestamp) -> Result<PublishedKey, KeyringError> {
        let _turn = self.changes.lock();
        self.retire(now)?;
        if self.keys.read().len() >= MAX_PUBLISHED_KEYS {
            return Err(KeyringError::TooMany);
        }
        self.add(now + PUBLISHED_BEFORE_USE)
    }

    /// Removes keys that have retired, and rotates once the newest key has signed for `every`,
    /// counted so that the next one signs on time. Returns the new key.
    ///
    /// # Errors
    /// See [`Keyring::rotate`].
    pub fn rotate_when_due(
        &self,
        every: Duration,
        now: Timestamp,
    ) -> Result<Option<PublishedKey>, KeyringError> {
        self.retire(now)?;
        let newest = self.keys.read().last().map(|key| key.not_before);
        let is_due = newest.is_none_or(|from| from + every <= now + PUBLISHED_BEFORE_USE);
        is_due.then(|| self.rotate(now)).transpose()
    }

    /// Revokes a key at once: it signs no more, is published no more, and its file is removed.
    /// Where it was the key that signs, another one takes its place without having been published
    /// before.
    ///
    /// # Errors
    /// When there is no such key, or the system gives no random bytes.
    pub fn revoke(&self, kid: &str, now: Timestamp) -> Result<Replaced, KeyringError> {
        let _turn = self.changes.lock();
        let revoked = self.key(kid, now);
        let revoked = revoked.ok_or_else(|| KeyringError::Unknown(kid.to_owned()))?;
        let signs = self.newest(now).is_some_and(|newest| newest.kid == kid);
        let new = signs.then(|| generate(now)).transpose()?;
        Ok(self.replace(vec![revoked], new))
    }

    /// Puts a new key in the place of all others, at once.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn replace_all(&self, now: Timestamp) -> Result<Replaced, KeyringError> {
        let _turn = self.changes.lock();
        let others = self.keys.read().clone();
        let new = generate(now)?;
        Ok(self.replace(others, Some(new)))
    }

    /// Takes keys away and puts a new one in. A disk that fails keeps no revoked key valid: the
    /// failures are told, and the change is in effect in this process.
    fn replace(&self, old: Vec<Arc<SigningKey>>, new: Option<Generated>) -> Replaced {
        let (mut undeleted, mut unwritten) = (Vec::new(), Vec::new());
        let new = new.map(|(key, pkcs8)| {
            if let Err(source) = key_file::write(&self.dir, &key, &pkcs8) {
                unwritten.push(KeyringError::Unwritten {
                    kid: key.kid.clone(),
                    source,
                });
            }
            Arc::new(key)
        });
        let successor = new.as_ref().map(|key| PublishedKey::of(key, None));
        {
            let mut keys = self.keys.write();
            keys.retain(|key| old.iter().all(|old| old.kid != key.kid));
            keys.extend(new);
            sort(&mut keys);
        }
        for key in old {
            if let Err(source) = key_file::delete(&self.dir, &key) {
                undeleted.push(KeyringError::Undeleted {
                    kid: key.kid.clone(),
                    source,
                });
            }
        }
        undeleted.append(&mut unwritten);
        Replaced {
            successor,
            failures: undeleted,
        }
    }

    /// Every published key, the oldest first.
    #[must_use]
    pub fn published(&self, now: Timestamp) -> Vec<PublishedKey> {
        let keys = self.keys.read();
        let successors = published(&keys, now).skip(1).map(Some).chain([None]);
        let pairs = published(&keys, now).zip(successors);
        let shown =
            pairs.map(|(key, successor)| PublishedKey::of(key, successor.map(|key| &**key)));
        shown.collect()
    }

    /// The id of the key that signs at `now`. `None` only if there is no key at all.
    #[must_use]
    pub fn signing(&self, now: Timestamp) -> Option<String> {
        self.newest(now).map(|key| key.kid.clone())
    }

    fn add(&self, not_before: Timestamp) -> Result<PublishedKey, KeyringError> {
        let (key, pkcs8) = generate(not_before)?;
        // On disk before it is published: a verifier must never hold a key that a restart would
        // forget.
        key_file::write(&self.dir, &key, &pkcs8)?;
        let added = PublishedKey::of(&key, None);
        let mut keys = self.keys.write();
        keys.push(Arc::new(key));
        sort(&mut keys);
        Ok(added)
    }

    fn retire(&self, now: Timestamp) -> Result<(), KeyringError> {
        let retired: Vec<_> = {
            let mut keys = self.keys.write();
            let retired = keys.len() - published(&keys, now).count();
            keys.drain(..retired).collect()
        };
        // Without the lock: a disk that hangs must keep no kill from being verified.
        for key in retired {
            key_file::delete(&self.dir, &key)?;
        }
        Ok(())
    }

    /// The public keys, beginning with the oldest whose tokens may still be valid.
    #[must_use]
    pub fn jwks(&self, now: Timestamp) -> Jwks {
        Jwks {
            keys: published(&self.keys.read(), now)
                .map(|key| key.jwk())
                .collect(),
        }
    }

    /// Signs with the newest key that is due. `None` only if there is no key at all.
    pub(crate) fn sign(&self, payload: &[u8], now: Timestamp) -> Option<Secret<String>> {
        self.newest(now).map(|key| key.sign(payload))
    }

    /// Signs another kind of token under its own `typ`, so that it cannot pass for an access token,
    /// nor an access token for it (RFC 8725 section 3.11).
    #[must_use]
    pub fn sign_as(&self, typ: &str, payload: &[u8], now: Timestamp) -> Option<Secret<String>> {
        self.newest(now).map(|key| key.sign_as(typ, payload))
    }

    fn newest(&self, now: Timestamp) -> Option<Arc<SigningKey>> {
        let keys = self.keys.read();
        // After the clock was set back, no key's time may have come: the oldest one signs then.
        let due = keys.iter().rfind(|key| key.not_before <= now);
        due.or_else(|| keys.first()).cloned()
    }

    /// The published key whose id is `kid`.
    pub(crate) fn key(&self, kid: &str, now: Timestamp) -> Option<Arc<SigningKey>> {
        published(&self.keys.read(), now)
            .find(|key| key.kid == kid)
            .cloned()
    }
}

fn generate(not_before: Timestamp) -> Result<Generated, KeyringError> {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .map(|document| Secret::new(document.as_ref().to_vec()))
        .map_err(|_| KeyringError::NoRandomness)?;
    let key = SigningKey::from_pkcs8(&pkcs8, not_before).map_err(|_| KeyringError::NoRandomness)?;
    Ok((key, pkcs8))
}

fn sort(keys: &mut [Arc<SigningKey>]) {
    keys.sort_by(|a, b| (a.not_before, &a.kid).cmp(&(b.not_before, &b.kid)));
}

/// The keys that are published at `now`: a key stays until its successor has signed for as long as
/// any token of the key can be accepted.
fn published(keys: &[Arc<SigningKey>], now: Timestamp) -> impl Iterator<Item = &Arc<SigningKey>> {
    let retired = keys
        .iter()
        .skip(1)
        .take_while(|successor| retires(successor.not_before) <= now)
        .count();
    keys.iter().skip(retired)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_800_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    fn kids(keyring: &Keyring, now: Timestamp) -> Vec<String> {
        keyring
            .jwks(now)
            .keys
            .into_iter()
            .map(|key| key.kid)
            .collect()
    }

    fn signer(keyring: &Keyring, now: Timestamp) -> String {
        let token = keyring.sign(b"{}", now).expect("signed");
        let (message, signature) = token.expose().rsplit_once('.').expect("three parts");
        let signature =
            base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, signature)
                .expect("base64url");
        let keys = keyring.keys.read();
        keys.iter()
            .find(|key| key.verifies(message.as_bytes(), &signature))
            .expect("one of ours")
            .kid
            .clone()
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_until_its_last_token_has_expired() {
        let dir = tempfile::tempdir().expect("directory");
        let keyring = Keyring::load_or_create(dir.path(), START).expect("keyring");
        let [first] = kids(&keyring, START).try_into().expect("one key");
        keyring.rotate(START).expect("rotated");
        let [_, second] = kids(&keyring, START).try_into().expect("two keys");

        let handover = START + PUBLISHED_BEFORE_USE;
        assert_eq!(signer(&keyring, handover.before(SECOND)), first);
        assert_eq!(signer(&keyring, handover), second);
        assert_eq!(signer(&keyring, START.before(SECOND)), first);

        let retires = handover + MAX_TOKEN_LIFE + VERIFIER_LEEWAY;
        assert_eq!(kids(&keyring, retires.before(SECOND)), [&*first, &*second]);
        assert!(keyring.key(&first, retires.before(SECOND)).is_some());
        assert_eq!(kids(&keyring, retires), [&*second]);
        assert!(keyring.key(&first, retires).is_none());
    }

    #[test]
    fn keys_rotate_on_schedule_and_show_their_times() {
        let dir = tempfile::tempdir().expect("directory");
        let keyring = Keyring::load_or_create(dir.path(), START).expect("keyring");
        let day = Duration::from_secs(24 * 3600);
        let due = (START + day).before(PUBLISHED_BEFORE_USE);
        assert_eq!(
            keyring
                .rotate_when_due(day, due.before(SECOND))
                .expect("kept"),
            None
        );
        let next = keyring
            .rotate_when_due(day, due)
            .expect("rotated")
            .expect("a key");
        assert_eq!(next.signs_from, START + day);
        assert_eq!(keyring.rotate_when_due(day, due).expect("kept"), None);
        let shown = keyring.published(due);
        assert_eq!(shown.len(), 2);
        assert_eq!(shown[0].signs_until, Some(START + day));
        assert_eq!(
            shown[0].retires,
            Some(START + day + MAX_TOKEN_LIFE + VERIFIER_LEEWAY)
        );
        assert_eq!(shown[1], next);
        assert_eq!(keyring.signing(due), Some(shown[0].kid.clone()));
        assert_eq!(keyring.signing(START + day), Some(next.kid));
    }

    #[test]
    fn a_revoked_key_is_gone_at_once_and_for_ever_and_another_one_signs() {
        let dir = tempfile::tempdir().expect("directory");
        let keyring = Keyring::load_or_create(dir.path(), START).expect("keyring");
        let [leaked] = kids(&keyring, START).try_into().expect("one key");
        let next = keyring.rotate(START).expect("rotated");
        let revoked = keyring.revoke(&leaked, START).expect("revoked");
        assert!(revoked.failures.is_empty(), "{revoked:?}");
        let successor = revoked.successor.expect("a key");
        assert_eq!(signer(&keyring, START), successor.kid);
        assert_eq!(kids(&keyring, START), [&*successor.kid, &*next.kid]);
        assert!(keyring.key(&leaked, START).is_none());
        let again = Keyring::load_or_create(dir.path(), START).expect("keyring");
        assert_eq!(kids(&again, START), [&*successor.kid, &*next.kid]);

        let revoked = again.revoke(&next.kid, START).expect("revoked");
        assert_eq!(revoked.successor, None);
        assert_eq!(kids(&again, START), [&*successor.kid]);
        let unknown = again.revoke(&leaked, START);
        assert!(matches!(unknown, Err(KeyringError::Unknown(kid)) if kid == leaked));
    }

    #[test]
    fn a_key_whose_file_stays_is_revoked_and_said() {
        let dir = tempfile::tempdir().expect("directory");
        let keyring = Keyring::load_or_create(dir.path(), START).expect("keyring");
        let [leaked] = kids(&keyring, START).try_into().expect("one key");
        let file = dir
            .path()
            .join(format!("{}-{leaked}.pk8", START.as_millis()));
        std::fs::remove_file(&file).expect("removed");
        std::fs::create_dir(&file).expect("a directory in its place");
        let revoked = keyring.revoke(&leaked, START).expect("revoked");
        let failure = revoked.failures.first();
        assert!(matches!(failure, Some(KeyringError::Undeleted { kid, .. }) if *kid == leaked));
        assert!(keyring.key(&leaked, START).is_none());
        assert_ne!(signer(&keyring, START), leaked);
    }

    /// A folder that is gone takes no file.
    #[test]
    fn a_disk_that_takes_nothing_keeps_no_revoked_key_valid() {
        let dir = tempfile::tempdir().expect("directory");
        let place = dir.path().join("keys");
        let keyring = Keyring::load_or_create(&place, START).expect("keyring");
        let [leaked] = kids(&keyring, START).try_into().expect("one key");
        std::fs::remove_dir_all(&place).expect("removed");
        let revoked = keyring.revoke(&leaked, START).expect("revoked");
        let successor = revoked.successor.expect("a key");
        assert!(
            revoked.failures.iter().any(
                |failure| matches!(failure, KeyringError::Unwritten { kid, .. } if *kid == successor.kid)
            ),
            "{:?}",
            revoked.failures
        );
        assert!(keyring.key(&leaked, START).is_none());
        assert_eq!(signer(&keyring, START), successor.kid);
    }

    #[test]
    fn all_keys_are_replaced_at_once() {
        let dir = tempfile::tempdir().expect("directory");
        let keyring = Keyring::load_or_create(dir.path(), START).expect("keyring");
        keyring.rotate(START).expect("rotated");
        let replaced = keyring.replace_all(START).expect("replaced");
        assert!(replaced.failures.is_empty(), "{replaced:?}");
        let new = replaced.successor.expect("a key");
        assert_eq!(kids(&keyring, START), [&*new.kid]);
        assert_eq!(signer(&keyring, START), new.kid);
        let again = Keyring::load_or_create(dir.path(), START).expect("keyring");
        assert_eq!(kids(&again, START), [new.kid]);
    }

    #[test]
    fn a_restart_has_the_same_keys_and_the_retired_ones_leave_the_disk() {
        let dir = tempfile::tempdir().expect("directory");
        let keyring = Keyring::load_or_create(dir.path(), START).expect("keyring");
        keyring.rotate(START).expect("rotated");
        let before = kids(&keyring, START);
        drop(keyring);
        let keyring = Keyring::load_or_create(dir.path(), START).expect("keyring");
        assert_eq!(kids(&keyring, START), before);
        let later = START + MAX_TOKEN_LIFE * 2;
        keyring.rotate(later).expect("rotated");
        let files = std::fs::read_dir(dir.path()).expect("directory").count();
        assert_eq!(files, kids(&keyring, later).len());
        assert_eq!(files, 2);
    }

    #[test]
    fn rotating_without_end_is_refused() {
        let dir = tempfile::tempdir().expect("directory");
        let keyring = Keyring::load_or_create(dir.path(), START).expect("keyring");
        for _ in 1..MAX_PUBLISHED_KEYS {
            keyring.rotate(START).expect("rotated");
        }
        let refused = keyring.rotate(START).expect_err("too many");
        assert_eq!(
            refused.to_string(),
            "32 signing keys are published already: wait until one retires"
        );
    }

    // T51
    #[test]
    fn t51_a_key_is_readable_by_its_owner_alone_and_else_refused() {
        let dir = tempfile::tempdir().expect("directory");
        let keys = dir.path().join("keys");
        Keyring::load_or_create(&keys, START).expect("keyring");
        let mode = |path: &Path| path.metadata().expect("metadata").permissions().mode() & 0o777;
        let file = std::fs::read_dir(&keys)
            .expect("directory")
            .map(|entry| entry.expect("entry").path())
            .next()
            .expect("one file");
        assert_eq!((mode(&keys), mode(&file)), (0o700, 0o600));

        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("chmod");
        let again = Keyring::load_or_create(&keys, START).expect("keyring");
        let problems: Vec<_> = again.problems().collect();
        assert!(problems[0].contains("has mode 0640"), "{problems:?}");
        assert!(again.key(file_kid(&file), START).is_none());
    }

    fn file_kid(file: &Path) -> &str {
        let stem = file.file_stem().and_then(|stem| stem.to_str());
        stem.and_then(|stem| stem.split_once('-'))
            .expect("a name")
            .1
    }

    #[test]
    fn a_damaged_key_is_named_and_what_a_crash_left_is_removed() {
        let dir = tempfile::tempdir().expect("directory");
        let left = dir.path().join("1-x.unfinished");
        std::fs::write(&left, b"half a k").expect("written");
        Keyring::load_or_create(dir.path(), START).expect("keyring");
        assert!(!left.exists());

        let damaged = dir.path().join("1-x.pk8");
        std::fs::write(&damaged, b"half a k").expect("written");
        std::fs::set_permissions(&damaged, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        let keyring = Keyring::load_or_create(dir.path(), START).expect("keyring");
        let problems: Vec<_> = keyring.problems().collect();
        assert!(
            problems[0].contains("1-x.pk8` is not a key"),
            "{problems:?}"
        );
    }

    #[test]
    fn s16_an_unusable_key_prevents_neither_the_start_nor_other_keys() {
        let dir = tempfile::tempdir().expect("directory");
        let first = kids(
            &Keyring::load_or_create(dir.path(), START).expect("keyring"),
            START,
        );
        let file = std::fs::read_dir(dir.path())
            .expect("directory")
            .map(|entry| entry.expect("entry").path())
            .next()
            .expect("one file");
        let good = std::fs::read(&file).expect("key");
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        for bad in [&b""[..], &good[..good.len() / 2], &flipped] {
            std::fs::write(&file, bad).expect("written");
            let keyring = Keyring::load_or_create(dir.path(), START).expect("keyring");
            assert_eq!(keyring.problems().count(), 1);
            // The fallback key signs, and is not written beside the damaged one.
            assert!(keyring.sign(b"{}", START).is_some());
            assert_ne!(kids(&keyring, START), first);
            assert_eq!(std::fs::read_dir(dir.path()).expect("directory").count(), 1);
        }
        std::fs::write(&file, &good).expect("written");
        std::fs::create_dir(dir.path().join("x.unfinished")).expect("directory");
        std::fs::write(dir.path().join("old-copy.pk8"), &good).expect("written");
        let keyring = Keyring::load_or_create(dir.path(), START).expect("keyring");
        assert_eq!(keyring.problems().count(), 1);
        assert_eq!(kids(&keyring, START), first);
        let no_directory = Keyring::load_or_create(&file, START).expect("keyring");
        assert_eq!(no_directory.problems().count(), 1);
    }
}
