//! The tokens of the loopback endpoint, each for one task, and the files that hold them.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ring::digest;
use ring::rand::SecureRandom as _;

use crate::socket::{AgentSocket, remove};

/// The tokens of tasks. They are indexed by digest, so that a look-up takes the same time wherever
/// a guessed token differs.
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    place: AgentSocket,
    tasks: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    by_token: BTreeMap<Vec<u8>, Asked>,
    files: BTreeMap<Asked, PathBuf>,
}

/// Context file and task id.
pub(crate) type Asked = (PathBuf, String);

impl Endpoint {
    pub(crate) fn new(address: SocketAddr, place: AgentSocket) -> Self {
        Self {
            address,
            place,
            tasks: Mutex::default(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the file with the token of a task. A task keeps its token.
    pub(crate) fn open(
        &self,
        context: PathBuf,
        task: &str,
        is_kept: impl Fn(&Asked) -> bool,
    ) -> io::Result<PathBuf> {
        let mut open = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Tokens of ended tasks are dropped here, because no other event ends them.
        open.by_token.retain(|_, asked| is_kept(asked));
        let over: Vec<Asked> = open
            .files
            .keys()
            .filter(|asked| !is_kept(asked))
            .cloned()
            .collect();
        for asked in over {
            if let Some(file) = open.files.remove(&asked) {
                remove(&file)?;
            }
        }
        let asked = (context, task.to_owned());
        if let Some(file) = open.files.get(&asked) {
            return Ok(file.clone());
        }
        let mut bytes = [0; 32];
        ring::rand::SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| io::Error::other("the system gives no random bits"))?;
        let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let name: String = digest_of(format!("{}\0{task}", asked.0.display()).as_bytes())
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let file = self.place.beside(&format!("endpoint-{name}.token"));
        write(&file, &token)?;
        open.by_token
            .insert(digest_of(token.as_bytes()), asked.clone());
        open.files.insert(asked, file.clone());
        Ok(file)
    }

    pub(crate) fn task(&self, token: &str) -> Option<Asked> {
        let open = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        open.by_token.get(&digest_of(token.as_bytes())).cloned()
    }

    /// Removes the token files of all tasks.
    pub(crate) fn close(&self) {
        let open = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for file in open.files.into_values() {
            if let Err(error) = std::fs::remove_file(&file) {
                eprintln!("lanyard: cannot remove `{}`: {error}", file.display());
            }
        }
    }
}

fn digest_of(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

/// Writes a file that only its owner can read, and replaces a file of an earlier local agent (T51).
fn write(path: &Path, token: &str) -> io::Result<()> {
    remove(path)?;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(token.as_bytes())
}
