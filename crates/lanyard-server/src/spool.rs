//! Kill orders in files beside the journal: written without its lock, when the daemon is down or its journal fails,
//! and taken over before anything is issued.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lanyard_core::condition::{Kind, Reason};
use lanyard_core::kill::KillOrder;
use lanyard_engine::Engine;
use tokio::sync::watch;

/// How often a running daemon looks.
const LOOK: Duration = Duration::from_millis(250);
/// Blocks set aside for orders on a full disk.
const RESERVE: (&str, u64) = ("reserve", 256 * 1024);

/// The directory of orders.
#[derive(Debug, Clone)]
pub(crate) struct Spool(PathBuf);

impl Spool {
    /// The spool of this data directory.
    pub(crate) fn open(data_dir: &Path) -> io::Result<Self> {
        let directory = data_dir.join("kill-spool");
        fs::create_dir_all(&directory)?;
        let reserve = directory.join(RESERVE.0);
        if !fs::metadata(&reserve).is_ok_and(|found| found.len() >= RESERVE.1) {
            let mut file = File::create(&reserve)?;
            io::copy(&mut io::Read::take(io::repeat(0), RESERVE.1), &mut file)?;
            file.sync_all()?;
        }
        Ok(Self(directory))
    }

    fn file(&self, order: &KillOrder) -> PathBuf {
        self.0.join(format!("{}.json", order.id))
    }

    /// Keeps an order; durable when this returns.
    pub(crate) fn keep(&self, order: &KillOrder) -> io::Result<()> {
        match self.write(order) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                fs::remove_file(self.0.join(RESERVE.0))?;
                self.write(order)
            }
            other => other,
        }
    }

    fn write(&self, order: &KillOrder) -> io::Result<()> {
        // Under another name until it is whole: a reader takes nothing for an order that is half of one.
        let unfinished = self.0.join(format!("{}.unfinished", order.id));
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(&serde_json::to_vec(order)?)?;
        file.sync_all()?;
        fs::rename(&unfinished, self.file(order))?;
        File::open(&self.0)?.sync_all()
    }

    /// Whether an order is still waiting to be taken over.
    pub(crate) fn waits(&self, order: &KillOrder) -> bool {
        self.file(order).exists()
    }

    /// The orders that wait, and why the others of them cannot be read.
    fn waiting(&self) -> (Vec<(PathBuf, KillOrder)>, Vec<Reason>) {
        let unreadable = |path: &Path, why: String| Reason::SpoolUnreadable {
            file: path.display().to_string(),
            why,
        };
        let (mut orders, mut faults) = (Vec::new(), Vec::new());
        let list = match fs::read_dir(&self.0) {
            Ok(list) => list,
            Err(error) => return (orders, vec![unreadable(&self.0, error.to_string())]),
        };
        for entry in list {
            let path = match entry {
                Ok(entry) => entry.path(),
                Err(error) => {
                    faults.push(unreadable(&self.0, error.to_string()));
                    continue;
                }
            };
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let read = fs::read(&path).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
            match read {
                Ok(order) => orders.push((path, order)),
                Err(error) => faults.push(unreadable(&path, error.to_string())),
            }
        }
        (orders, faults)
    }

    /// Engages what waits. An order that becomes durable in the journal leaves the spool; one that cannot be read holds up
    /// no other, and stops all issuing for as long as it is there: it may be about anything.
    pub(crate) async fn take_over(&self, engine: &Engine) {
        let (orders, faults) = self.waiting();
        for (path, order) in orders {
            tracing::warn!(kill = %order.id, scope = %order.scope, "a kill order is taken over from the spool");
            if engine.engage(order).await.seq.is_some() {
                // Left there, it is engaged again, which changes nothing.
                if let Err(error) = fs::remove_file(&path) {
                    tracing::warn!(%error, path = %path.display(), "a kill order stays in the spool");
                }
            }
        }
        engine.conditions().replace(Kind::SpoolUnreadable, faults);
    }

    /// Takes over what comes, until told to stop.
    pub(crate) async fn follow(self, engine: Arc<Engine>, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            self.take_over(&engine).await;
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = stop.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lanyard_core::id::KillId;
    use lanyard_core::kill::Actor;
    use lanyard_core::scope::{RoleFilter, Scope};
    use lanyard_core::time::Timestamp;

    use super::*;

    fn order() -> KillOrder {
        KillOrder {
            id: KillId::from_bits(1),
            scope: Scope::All,
            roles: RoleFilter::Both,
            reason: "drill".to_owned(),
            by: Actor::Local,
            at: Timestamp::EPOCH,
            evidence: Vec::new(),
            key: None,
        }
    }

    #[test]
    fn an_order_is_kept_whole_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path()).unwrap();
        assert!(!spool.waits(&order()));
        spool.keep(&order()).unwrap();
        let again = Spool::open(directory.path()).unwrap();
        let (found, faults) = again.waiting();
        let found: Vec<_> = found.into_iter().map(|(_, order)| order).collect();
        assert_eq!((found, faults), (vec![order()], Vec::new()));
    }

    #[test]
    fn half_an_order_is_a_fault_that_names_the_file_and_holds_up_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path()).unwrap();
        fs::write(directory.path().join("kill-spool/K-1.json"), "{").unwrap();
        spool.keep(&order()).unwrap();
        let (found, faults) = spool.waiting();
        assert_eq!(found.len(), 1);
        let line = faults.first().unwrap().to_string();
        assert!(line.contains("K-1.json` cannot be read"), "{line}");
    }
}
