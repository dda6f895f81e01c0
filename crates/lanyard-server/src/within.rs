//! A daemon within another process: the whole of it but for what a process alone has, which is its
//! signals, its command line, its log and its protection against other processes of the user.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use anyhow::{Result, anyhow};
use tokio::sync::oneshot;

use crate::machine::Machine;
use crate::wire::Lifetime;
use crate::{config, data_dir, dev, wire};

/// A daemon that serves on threads of its own until it is stopped or dropped.
pub struct Daemon {
    /// The sender whose drop ends the daemon.
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Daemon {
    /// Makes the directory of `lanyardd dev`, and returns the path of its configuration.
    ///
    /// # Errors
    /// When an address is not on loopback, or the directory cannot be written.
    pub fn prepare(
        directory: &Path,
        listen: SocketAddr,
        kill_listen: Option<SocketAddr>,
        targets: Option<&Path>,
    ) -> Result<PathBuf> {
        dev::prepare(directory, listen, kill_listen, targets)
    }

    /// Serves the configuration at `config`, and returns when its addresses answer.
    ///
    /// # Errors
    /// When the configuration is wrong, or the daemon ends before it serves.
    pub fn start(config: &Path, machine: Machine) -> Result<Self> {
        crate::choose_cryptography();
        let config = config::load_with(config, machine.kinds)?;
        data_dir::prepare(&config.data_dir)?;
        let (end, ends) = oneshot::channel();
        let (ready, serves) = oneshot::channel();
        let lifetime = Lifetime {
            serves: Some(ready),
            ends: Box::pin(async {
                // A daemon that was dropped ends as well.
                ends.await.ok();
            }),
        };
        let thread = std::thread::Builder::new().name("daemon".to_owned());
        let thread = thread.spawn(move || {
            let served = wire::serve(config, &machine, lifetime);
            crate::runtime()?.block_on(served)
        })?;
        let daemon = Self {
            end: Some(end),
            thread: Some(thread),
        };
        match serves.blocking_recv() {
            Ok(()) => Ok(daemon),
            Err(_) => Err(daemon
                .stop()
                .err()
                .unwrap_or_else(|| anyhow!("the daemon ended before it served"))),
        }
    }

    /// Ends the daemon as a signal would, and waits until its ledger is closed.
    ///
    /// # Errors
    /// When the daemon ends with a failure.
    pub fn stop(mut self) -> Result<()> {
        drop(self.end.take());
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        thread.join().map_err(|_| anyhow!("the daemon panicked"))?
    }
}
