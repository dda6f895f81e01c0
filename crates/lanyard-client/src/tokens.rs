//! The tokens of one context between two commands: in the system's keyring, or in a file of its owner's.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::context::ContextError;
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
    /// The keyring of the system: on Linux the kernel's, which forgets at the next boot.
    Keyring,
    /// A file that its owner alone may read.
    #[default]
    File,
}

impl Store {
    /// The keyring where there is one that outlives a command, else a file.
    #[must_use]
    pub fn best() -> Self {
        if keyring::outlives_a_command() {
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
                private::read(&path).map_err(|source| ContextError::Kept { path, source })?
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
    use keyring_core::api::CredentialStoreApi as _;
    use keyring_core::{Entry, Error};
    use linux_keyutils_keyring_store::{Cred, Store};
    use zeroize::Zeroizing;

    use crate::context::ContextError;

    const SERVICE: &str = "lanyard";

    fn entry(name: &str) -> Result<Entry, Error> {
        Store::new()?.build(SERVICE, name, None)
    }

    /// Without a persistent keyring, what is in the session's would be gone with the shell.
    pub(super) fn outlives_a_command() -> bool {
        let entry = entry("none");
        entry.is_ok_and(|entry| {
            let linux = entry.as_any().downcast_ref::<Cred>();
            linux.is_some_and(|linux| linux.persistent.is_some())
        })
    }

    pub(super) fn read(name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, ContextError> {
        match entry(name).and_then(|entry| entry.get_secret()) {
            Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(ContextError::Keyring(error.to_string())),
        }
    }

    pub(super) fn write(name: &str, bytes: &[u8]) -> Result<(), ContextError> {
        let written = entry(name).and_then(|entry| entry.set_secret(bytes));
        written.map_err(|error| ContextError::Keyring(error.to_string()))
    }

    pub(super) fn delete(name: &str) -> Result<(), ContextError> {
        match entry(name).and_then(|entry| entry.delete_credential()) {
            Ok(()) | Err(Error::NoEntry) => Ok(()),
            Err(error) => Err(ContextError::Keyring(error.to_string())),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod keyring {
    use zeroize::Zeroizing;

    use crate::context::ContextError;

    pub(super) const fn outlives_a_command() -> bool {
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
        assert!(matches!(refused, Err(ContextError::Kept { .. })));
    }

    #[test]
    fn tokens_are_in_the_keyring_where_there_is_one() {
        if Store::best() == Store::File {
            eprintln!("NOT RUN: this machine has no keyring that outlives a command");
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
