//! The tokens of one context between two commands: in the system's keyring, or in a file of its owner's.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::context_error::ContextError;
use crate::private;
use crate::secret::Token;
use crate::state::State;

/// How long before its end a session is renewed, in seconds; sooner where it is short.
const AHEAD: u64 = 60;
/// Room for what is written, in bytes: growing would leave copies behind.
const ROOM: usize = 32 * 1024;

/// Where tokens are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    /// The keyring of the system: on Linux the kernel's, which is never on disk and forgets at the next boot.
    Keyring,
    /// A file that its owner alone may read.
    #[default]
    File,
}

impl Store {
    /// The keyring where there is one that works, else a file.
    #[must_use]
    pub fn best() -> Self {
        if keyring::works() {
            Self::Keyring
        } else {
            Self::File
        }
    }
}

/// A session with the broker.
#[derive(Clone, Deserialize)]
pub(crate) struct Session {
    pub(crate) token: Token,
    /// When it ends, in seconds since the epoch.
    ends: u64,
    /// When it is renewed.
    renew: u64,
}

impl Session {
    pub(crate) fn new(token: Token, now: u64, life: u64) -> Self {
        let ends = now.saturating_add(life);
        let renew = ends.saturating_sub(AHEAD.min(life / 5));
        Self { token, ends, renew }
    }

    /// Whether it is still good for a while.
    pub(crate) const fn is_fresh(&self, now: u64) -> bool {
        now < self.renew
    }
}

/// What is kept of a context.
#[derive(Clone, Default, Deserialize)]
pub(crate) struct Kept {
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

impl Kept {
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
        let mut bytes = Zeroizing::new(Vec::with_capacity(ROOM));
        serde_json::to_writer(&mut *bytes, &written).map_err(|_| ContextError::System)?;
        Ok(bytes)
    }
}

/// The tokens of one context.
pub(crate) struct Tokens<'a> {
    state: &'a State,
    store: Store,
}

impl<'a> Tokens<'a> {
    pub(crate) const fn of(state: &'a State, store: Store) -> Self {
        Self { state, store }
    }

    /// What is kept. What cannot be read as such is as good as nothing.
    pub(crate) fn read(&self) -> Result<Kept, ContextError> {
        let bytes = match self.store {
            Store::Keyring => keyring::read(self.state.name())?,
            Store::File => {
                let path = self.state.file("tokens")?;
                private::read(&path)?
            }
        };
        let kept = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(kept.unwrap_or_default())
    }

    pub(crate) fn write(&self, kept: &Kept) -> Result<(), ContextError> {
        let text = kept.text()?;
        match self.store {
            Store::Keyring => keyring::write(self.state.name(), &text),
            Store::File => {
                let path = self.state.file("tokens")?;
                private::replace(&path, &text).map_err(|source| ContextError::Kept { path, source })
            }
        }
    }

    pub(crate) fn delete(&self) -> Result<(), ContextError> {
        match self.store {
            Store::Keyring => keyring::delete(self.state.name()),
            Store::File => {
                let path = self.state.file("tokens")?;
                private::delete(&path).map_err(|source| ContextError::Kept { path, source })
            }
        }
    }
}

/// The kernel's keyring: no daemon, no D-Bus, nothing on disk; it is there over ssh as well.
#[cfg(target_os = "linux")]
mod keyring {
    use linux_keyutils::{
        Key, KeyError, KeyPermissionsBuilder, KeyRing, KeyRingIdentifier, Permission,
    };
    use zeroize::Zeroizing;

    use crate::context_error::ContextError;

    /// The keyring of this user, and not of the session: another terminal's has to be the same. What persists a while
    /// without any session of the user's is linked to it, where the kernel has that.
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
            // A process need not possess its user's keyring, and a key begins with rights for its possessor alone: it is
            // made in a keyring that this thread does possess.
            let own = KeyRing::from_special_id(KeyRingIdentifier::Thread, true)?;
            let key = own.add_key(&description(name), bytes)?;
            let rights = KeyPermissionsBuilder::builder()
                .posessor(Permission::ALL)
                .user(Permission::ALL)
                .build();
            key.set_perms(rights)?;
            // It takes the place of one of the same name.
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

    /// Whether a key can be kept and read again.
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
        ContextError::Keyring("there is none for this system: use --store file".into())
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

    fn kept() -> Kept {
        Kept {
            session: Some(Session::new(Token::new("session".into()), 1_000, 900)),
            refresh: Some(Token::new("refresh".into())),
        }
    }

    fn holds(tokens: &Tokens<'_>) {
        assert!(tokens.read().unwrap().session.is_none());
        tokens.write(&kept()).unwrap();
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
        let state = State::within(directory.path().join("state"), Path::new("a.json"));
        holds(&Tokens::of(&state, Store::File));
        // Somebody else's file in their place is refused.
        let path = state.file("tokens").unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        let refused = Tokens::of(&state, Store::File).read();
        assert!(matches!(refused, Err(ContextError::Secret(_))));
    }

    #[test]
    fn tokens_are_in_the_keyring_where_there_is_one() {
        if Store::best() == Store::File {
            eprintln!("NOT RUN: this machine has no keyring that works");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let state = State::within(directory.path().into(), &directory.path().join("a.json"));
        holds(&Tokens::of(&state, Store::Keyring));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_short_session_is_renewed_in_its_last_fifth() {
        let session = Session::new(Token::new("short".into()), 0, 10);
        assert!(session.is_fresh(7) && !session.is_fresh(8));
    }
}
