//! Kill orders in files beside the journal: written without its lock, when the daemon is down or its journal fails,
//! and taken over before anything is issued.
//!
//! ```text
//! K-….json      an order that waits
//! slot-NN       blocks for an order on a full disk: written in place, and given the name of an order
//! ```

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lanyard_core::condition::{Kind, Reason};
use lanyard_core::id::KillId;
use lanyard_core::kill::KillOrder;
use lanyard_disk::{Access, Files, Length, is_full, replace};
use lanyard_engine::Engine;
use tokio::sync::watch;

/// How often a running daemon looks for orders.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// After how many looks missing slots are made again.
const LOOKS_BETWEEN_REFILLS: u32 = 240;
/// Kill orders that are kept on a full disk before one of them is taken over.
///
/// # Limit
/// - for: a data directory
/// - unit: orders
/// - beyond: the order is not kept, and says so; it is in effect in the process that was told of it
/// - test: `s09_a_full_disk_keeps_one_order_after_the_other`
const MAX_ORDERS_ON_FULL_DISK: usize = 32;
/// The longest kill order that is kept on a full disk.
///
/// # Limit
/// - for: an order
/// - unit: bytes
/// - beyond: the order is not kept while the disk is full, and says so
/// - test: `s09_an_order_that_is_longer_than_its_blocks_waits_for_space`
const MAX_ORDER_BYTES_ON_FULL_DISK: usize = 8 * 1024;

/// The directory of orders.
#[derive(Debug, Clone)]
pub(crate) struct Spool {
    disk: Files,
    directory: PathBuf,
}

impl Spool {
    /// The spool of this data directory. A disk that has no space for slots, or takes nothing, is no error: what waits must be
    /// taken over all the same.
    pub(crate) fn open(disk: &Files, data_dir: &Path) -> Self {
        let spool = Self {
            disk: Files::clone(disk),
            directory: data_dir.join("kill-spool"),
        };
        let made = disk.create_directories(&spool.directory);
        if let Err(error) = made.and_then(|()| spool.refill()) {
            tracing::warn!(%error, spool = %spool.directory.display(), "no blocks are set aside for kill orders on a full disk");
        }
        spool
    }

    /// Makes the slots that are missing.
    fn refill(&self) -> io::Result<()> {
        let there: BTreeSet<_> = self.disk.list(&self.directory)?.into_iter().collect();
        // Of an earlier version, which had one reserve for all orders.
        let reserve = self.directory.join("reserve");
        if there.contains(&reserve) {
            self.disk.remove(&reserve)?;
        }
        let missing = (0..MAX_ORDERS_ON_FULL_DISK).map(|slot| self.slot(slot));
        let missing = missing.filter(|slot| !there.contains(slot));
        for slot in missing {
            let made = self.make_slot(&slot);
            if made.is_err() {
                // Half a slot would be taken for a whole one.
                self.disk.remove(&slot).ok();
            }
            made?;
        }
        self.disk.sync_directory(&self.directory)
    }

    fn make_slot(&self, path: &Path) -> io::Result<()> {
        let file = self.disk.open(path, Access::Create)?;
        if !file.allocate(0, MAX_ORDER_BYTES_ON_FULL_DISK as u64, Length::Grown)? {
            file.write_at(&[0; MAX_ORDER_BYTES_ON_FULL_DISK], 0)?;
        }
        file.sync()
    }

    fn slot(&self, number: usize) -> PathBuf {
        self.directory.join(format!("slot-{number:02}"))
    }

    fn file(&self, id: KillId) -> PathBuf {
        self.directory.join(format!("{id}.json"))
    }

    /// Keeps an order; durable when this returns.
    pub(crate) fn keep(&self, order: &KillOrder) -> io::Result<()> {
        let bytes = serde_json::to_vec(order)?;
        match replace(self.disk.as_ref(), &self.file(order.id), &bytes) {
            Err(error) if is_full(&error) => self.keep_in_slot(order.id, &bytes).ok_or(error)?,
            other => other.map(drop),
        }
    }

    /// `None` where no slot takes it.
    fn keep_in_slot(&self, id: KillId, bytes: &[u8]) -> Option<io::Result<()>> {
        let mut padded = bytes.to_vec();
        padded.resize(MAX_ORDER_BYTES_ON_FULL_DISK.max(bytes.len()), b' ');
        (padded.len() == MAX_ORDER_BYTES_ON_FULL_DISK).then_some(())?;
        let mine = self.directory.join(format!("{id}.unfinished"));
        // Renamed first: another process that keeps an order at this moment must not write to the same slot.
        let claimed = (0..MAX_ORDERS_ON_FULL_DISK)
            .any(|slot| self.disk.rename(&self.slot(slot), &mine).is_ok());
        claimed.then(|| {
            let file = self.disk.open(&mine, Access::Write)?;
            file.write_at(&padded, 0)?;
            file.sync()?;
            self.disk.rename(&mine, &self.file(id))?;
            self.disk.sync_directory(&self.directory)
        })
    }

    /// Whether an order is still waiting to be taken over.
    pub(crate) fn waits(&self, id: KillId) -> bool {
        self.disk.open(&self.file(id), Access::Read).is_ok()
    }

    /// The orders that wait, and why the others of them cannot be read.
    fn waiting(&self) -> (Vec<(PathBuf, KillOrder)>, Vec<Reason>) {
        let unreadable = |path: &Path, why: String| Reason::SpoolUnreadable {
            file: path.display().to_string(),
            why,
        };
        let (mut orders, mut faults) = (Vec::new(), Vec::new());
        let list = match self.disk.list(&self.directory) {
            Ok(list) => list,
            Err(error) => {
                return (orders, vec![unreadable(&self.directory, error.to_string())]);
            }
        };
        for path in list {
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let read = self.disk.read(&path);
            let order = read.and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
            match order {
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
            let known = engine.peek(|state| state.kills().get(order.id).is_some());
            if known == Some(true) && engine.settle().await.is_err() {
                // In effect, and not durable yet: looked at again.
                continue;
            }
            tracing::warn!(kill = %order.id, scope = %order.scope, "a kill order is taken over from the spool");
            if engine.engage(order).await.seq.is_some() {
                self.clear(&path);
            }
        }
        engine.conditions().replace(Kind::SpoolUnreadable, faults);
    }

    /// An order is in the journal. Left here it would be engaged again, which changes nothing.
    fn clear(&self, path: &Path) {
        let length = self
            .disk
            .open(path, Access::Read)
            .and_then(|file| file.length());
        // On a full disk its blocks are there for the next order, and for nobody else.
        let was_slot = length.is_ok_and(|length| length == MAX_ORDER_BYTES_ON_FULL_DISK as u64);
        let free = (0..MAX_ORDERS_ON_FULL_DISK).map(|slot| self.slot(slot));
        let mut free = free.filter(|slot| self.disk.open(slot, Access::Read).is_err());
        let cleared = match free.next().filter(|_| was_slot) {
            Some(slot) => self.disk.rename(path, &slot),
            None => self.disk.remove(path),
        };
        if let Err(error) = cleared.and_then(|()| self.disk.sync_directory(&self.directory)) {
            tracing::warn!(%error, path = %path.display(), "a kill order stays in the spool");
        }
    }

    /// Takes over what comes, until told to stop. While an order cannot be read, nothing is issued, and it is looked at again.
    pub(crate) async fn follow(self, engine: Arc<Engine>, mut stop: watch::Receiver<bool>) {
        let mut looks = 0_u32;
        while !*stop.borrow() {
            self.take_over(&engine).await;
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(LOOKS_BETWEEN_REFILLS) {
                // A disk that is full still is looked at again.
                self.refill().ok();
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
                _ = stop.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
