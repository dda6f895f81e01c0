//! The tokens of one context between two commands: in the system's keyring, or in a file that only
//! its owner can read.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::context_error::ContextError;
use crate::secret::Token;
use crate::secret_files;
use crate::state_dir::StateDir;

/// Seconds before its end at which a session is renewed. A short session is renewed in its last
/// fifth.
const RENEWAL_LEAD_SECONDS: u64 = 60;
/// Bytes reserved for the serialized tokens. A buffer that grows leaves copies of tokens in memory.
const TOKENS_CAPACITY_BYTES: usize = 32 * 1024;

/// Store of session and refresh tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    /// The system's keyring. On Linux the kernel's, which is never on disk and is empty after a
    /// reboot.
    Keyring,
    /// A file that only its owner can read.
    #[default]
    File,
}

impl Store {
    /// Returns the keyring if one works on this machine, else a file.
    #[must_use]
    pub fn best() -> Self {
        if keyring::works() {
            Self::Keyring
        } else {
            Self::File
        }
    }
}

/// A session token, with its end and its time of renewal.
#[derive(Clone, Deserialize)]
pub(crate) struct Session {
    pub(crate) token: Token,
    /// Unix time of the end.
    ends: u64,
    /// Unix time from which on the session is renewed.
    renew: u64,
}

impl Session {
    pub(crate) fn new(token: Token, now: u64, life: u64) -> Self {
        let ends = now.saturating_add(life);
        let renew = ends.saturating_sub(RENEWAL_LEAD_SECONDS.min(life / 5));
        Self { token, ends, renew }
    }

    /// True until the time of renewal.
    pub(crate) const fn is_fresh(&self, now: u64) -> bool {
        now < self.renew
    }
}

/// The stored tokens of a context.
#[derive(Clone, Default, Deserialize)]
pub(crate) struct StoredTokens {
    pub(crate) session: Option<Session>,
    pub(crate) refresh: Option<Token>,
}

#[derive(Serialize)]
struct Written<'a> {
    session: Option<WrittenSession<'a>>,
    refresh: Option<&'a str>,
}

#[derive(Serialize)]
struct WrittenSession<'a> {
    token: &'a str,
    ends: u64,
    renew: u64,
}

impl StoredTokens {
    fn text(&self) -> Result<Zeroizing<Vec<u8>>, ContextError> {
        let session = self.session.as_ref().map(|session| WrittenSession {
            token: session.token.expose(),
            ends: session.ends,
            renew: session.renew,
        });
        let written = Written {
            session,
            refresh: self.refresh.as_ref().map(Token::expose),
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(TOKENS_CAPACITY_BYTES));
        serde_json::to_writer(&mut *bytes, &written).map_err(|_| ContextError::System)?;
        Ok(bytes)
    }
}

/// The token store of one context.
pub(crate) struct Tokens<'a> {
    state_dir: &'a StateDir,
    store: Store,
}

impl<'a> Tokens<'a> {
    pub(crate) const fn of(state_dir: &'a StateDir, store: Store) -> Self {
        Self { state_dir, store }
    }

    /// Reads the stored tokens. Damaged content counts as empty, because a login replaces it.
    pub(crate) fn read(&self) -> Result<StoredTokens, ContextError> {
        let bytes = match self.store {
            Store::Keyring => keyring::read(self.state_dir.name())?,
            Store::File => {
                let path = self.state_dir.file("tokens")?;
                secret_files::read(&path)?
            }
        };
        let stored = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(stored.unwrap_or_default())
    }

    pub(crate) fn write(&self, stored: &StoredTokens) -> Result<(), ContextError> {
        let text = stored.text()?;
        match self.store {
            Store::Keyring => keyring::write(self.state_dir.name(), &text),
            Store::File => {
                let path = self.state_dir.file("tokens")?;
                secret_files::replace(&path, &text)
                    .map_err(|source| ContextError::Storage { path, source })
            }
        }
    }

    pub(crate) fn delete(&self) -> Result<(), ContextError> {
        match self.store {
            Store::Keyring => keyring::delete(self.state_dir.name()),
            Store::File => {
                let path = self.state_dir.file("tokens")?;
                secret_files::delete(&path).map_err(|source| ContextError::Storage { path, source })
            }
        }
    }
}

/// The kernel's keyring: no daemon, no D-Bus, no file. Works over ssh as well.
#[cfg(target_os = "linux")]
mod keyring {
    use linux_keyutils::{
        Key, KeyError, KeyPermissionsBuilder, KeyRing, KeyRingIdentifier, Permission,
    };
    use zeroize::Zeroizing;

    use crate::context_error::ContextError;

    /// The user's keyring, not the session's, so that all terminals of the user share it. Keys are
    /// also linked into the persistent keyring, if the kernel has one, which outlives the user's
    /// last session.
    struct Ring {
        of_user: KeyRing,
        persistent: Option<KeyRing>,
    }

    impl Ring {
        fn open() -> Result<Self, KeyError> {
            let of_user = KeyRing::from_special_id(KeyRingIdentifier::User, false)?;
            let persistent = KeyRing::get_persistent(KeyRingIdentifier::User).ok();
            Ok(Self {
                of_user,
                persistent,
            })
        }

        fn find(&self, name: &str) -> Result<Option<Key>, KeyError> {
            match self.of_user.search(&description(name)) {
                Ok(key) => Ok(Some(key)),
                Err(KeyError::KeyDoesNotExist | KeyError::KeyExpired | KeyError::KeyRevoked) => {
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        }

        fn put(&self, name: &str, bytes: &[u8]) -> Result<(), KeyError> {
            // A process need not possess its user's keyring, and a new key grants rights to its
            // possessor alone. The key is therefore made in a keyring that this thread possesses.
            let own = KeyRing::from_special_id(KeyRingIdentifier::Thread, true)?;
            let key = own.add_key(&description(name), bytes)?;
            let rights = KeyPermissionsBuilder::builder()
                .posessor(Permission::ALL)
                .user(Permission::ALL)
                .build();
            key.set_perms(rights)?;
            // Linking replaces a key of the same name.
            self.of_user.link_key(key)?;
            if let Some(persistent) = &self.persistent {
                persistent.link_key(key)?;
            }
            own.unlink_key(key)
        }
    }

    fn description(name: &str) -> String {
        format!("lanyard:{name}")
    }

    /// Returns true if a key can be stored and read back.
    pub(super) fn works() -> bool {
        let name = "whether-it-works";
        let tried = Ring::open().and_then(|ring| {
            ring.put(name, b"yes")?;
            let found = ring.find(name)?;
            found.map_or(Ok(false), |key| {
                let read = key.read_to_vec()?;
                key.invalidate()?;
                Ok(read == b"yes")
            })
        });
        tried.unwrap_or(false)
    }

    pub(super) fn read(name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, ContextError> {
        let key = Ring::open().and_then(|ring| ring.find(name));
        let Some(key) = key.map_err(fault)? else {
            return Ok(None);
        };
        let bytes = key.read_to_vec().map_err(fault)?;
        Ok(Some(Zeroizing::new(bytes)))
    }

    pub(super) fn write(name: &str, bytes: &[u8]) -> Result<(), ContextError> {
        Ring::open()
            .and_then(|ring| ring.put(name, bytes))
            .map_err(fault)
    }

    pub(super) fn delete(name: &str) -> Result<(), ContextError> {
        let key = Ring::open().and_then(|ring| ring.find(name));
        match key.map_err(fault)? {
            Some(key) => key.invalidate().map_err(fault),
            None => Ok(()),
        }
    }

    fn fault(error: KeyError) -> ContextError {
        ContextError::Keyring(error.to_string())
    }
}

#[cfg(not(target_os = "linux"))]
mod keyring {
    use zeroize::Zeroizing;

    use crate::context_error::ContextError;

    pub(super) const fn works() -> bool {
        false
    }

    fn none() -> ContextError {
        ContextError::Keyring("this system has none: use --store file".into())
    }

    pub(super) fn read(_name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, ContextError> {
        Err(none())
    }

    pub(super) fn write(_name: &str, _bytes: &[u8]) -> Result<(), ContextError> {
        Err(none())
    }

    pub(super) fn delete(_name: &str) -> Result<(), ContextError> {
        Err(none())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn stored() -> StoredTokens {
        StoredTokens {
            session: Some(Session::new(Token::new("session".into()), 1_000, 900)),
            refresh: Some(Token::new("refresh".into())),
        }
    }

    fn holds(tokens: &Tokens<'_>) {
        assert!(tokens.read().unwrap().session.is_none());
        tokens.write(&stored()).unwrap();
        let read = tokens.read().unwrap();
        let session = read.session.unwrap();
        assert_eq!(session.token.expose(), "session");
        assert_eq!(read.refresh.unwrap().expose(), "refresh");
        assert!(session.is_fresh(1_839) && !session.is_fresh(1_840));
        tokens.delete().unwrap();
        tokens.delete().unwrap();
        assert!(tokens.read().unwrap().refresh.is_none());
    }

    // T51
    #[test]
    fn tokens_are_in_a_file_of_their_owners() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::within(directory.path().join("state"), Path::new("a.json"));
        holds(&Tokens::of(&state, Store::File));
        // A planted symbolic link is refused.
        let path = state.file("tokens").unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        let refused = Tokens::of(&state, Store::File).read();
        assert!(matches!(refused, Err(ContextError::Secret(_))));
    }

    #[test]
    fn tokens_are_in_the_keyring_where_there_is_one() {
        if Store::best() == Store::File {
            eprintln!("NOT RUN: this machine has no working keyring");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::within(directory.path().into(), &directory.path().join("a.json"));
        holds(&Tokens::of(&state, Store::Keyring));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_short_session_is_renewed_in_its_last_fifth() {
        let session = Session::new(Token::new("short".into()), 0, 10);
        assert!(session.is_fresh(7) && !session.is_fresh(8));
    }
}
