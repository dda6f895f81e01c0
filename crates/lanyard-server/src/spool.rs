//! Kill orders in files beside the journal: written without its lock, when the daemon is down or
//! its journal fails, and taken over before anything is issued.
//!
//! ```text
//! K-….json      an order that waits
//! K-….taken     it is in effect in the daemon that runs, whose journal does not take it
//! K-….nothing   why it reaches nothing, for the command that kept it
//! slot-NN       blocks for an order on a full disk: written in place, and given the name of an order
//! ```

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use lanyard_core::condition::{Kind, Reason};
use lanyard_core::kill::{Actor, KillOrder};
use lanyard_core::spool::{KillSpool, NotStored};
use lanyard_disk::{Access, Files, Length, is_full, replace};
use lanyard_engine::Engine;
use lanyard_vocabulary::id::KillId;
use tokio::sync::watch;

use crate::fields::MAX_TEXT_CHARACTERS;

/// The interval at which a running daemon looks for orders.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// After how many looks missing slots are made again.
const LOOKS_BETWEEN_REFILLS: u32 = 240;
/// The longest time that a disk may take to keep an order until whoever gave it is told that it is
/// not kept.
const KEEP_WAIT: Duration = Duration::from_secs(2);
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

/// The most orders that are given to the journal together. Fewer than the gate holds beside it, so
/// that others find room there.
///
/// # No limit
/// The others follow.
const MAX_ORDERS_AT_A_TIME: usize = 1024;

/// A reason that no call has bounded, cut to what a call may give. The end of it says so.
pub(crate) fn bounded(reason: String) -> String {
    let length = reason.chars().count();
    if length <= MAX_TEXT_CHARACTERS {
        return reason;
    }
    let said = format!("… (cut: the reason had {length} characters)");
    let kept = MAX_TEXT_CHARACTERS.saturating_sub(said.chars().count());
    let mut cut: String = reason.chars().take(kept).collect();
    cut.push_str(&said);
    cut
}

/// True if whoever kept an order is told what the order reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tell {
    /// No order was taken in: not all names are known yet.
    Nothing,
    /// The reason why it reaches nothing, where that is so.
    Reach,
}

/// The directory of orders.
#[derive(Debug, Clone)]
pub(crate) struct Spool {
    disk: Files,
    directory: PathBuf,
}

impl Spool {
    /// The spool of this data directory. A disk that has no space for slots, or takes nothing, is
    /// no error: what waits must be taken over all the same.
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

    /// Makes the slots that are missing, and sees to it that the others have their blocks.
    fn refill(&self) -> io::Result<()> {
        let there: BTreeSet<_> = self.disk.list(&self.directory)?.into_iter().collect();
        // Of an earlier version, which had one reserve for all orders.
        let reserve = self.directory.join("reserve");
        if there.contains(&reserve) {
            self.disk.remove(&reserve)?;
        }
        // Those that are there as well: a copy of the directory may have left holes in them.
        for slot in (0..MAX_ORDERS_ON_FULL_DISK).map(|slot| self.slot(slot)) {
            let made = self.make_slot(&slot, there.contains(&slot));
            if made.is_err() {
                // Half a slot would be taken for a whole one.
                self.disk.remove(&slot).ok();
            }
            made?;
        }
        self.disk.sync_directory(&self.directory)
    }

    fn make_slot(&self, path: &Path, is_there: bool) -> io::Result<()> {
        let file = self.disk.open(path, Access::Create)?;
        let length = MAX_ORDER_BYTES_ON_FULL_DISK as u64;
        let is_whole = is_there && file.length()? == length;
        let is_allocated = file.allocate(0, length, Length::Grown)?;
        if is_whole {
            return Ok(());
        }
        if !is_allocated {
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

    /// Keeps an order unless it is here already.
    ///
    /// # Errors
    /// Where an order of this id stops something else; else as of the file system.
    fn keep_once(&self, order: &KillOrder) -> io::Result<()> {
        let Ok(bytes) = self.disk.read(&self.file(order.id)) else {
            return self.keep(order);
        };
        if !stops_the_same(&serde_json::from_slice(&bytes)?, order) {
            return Err(io::Error::other("another order of this id is kept"));
        }
        // Its bytes were durable before it had its name; the name may not be yet.
        self.disk.sync_directory(&self.directory)
    }

    /// `None` where no slot takes it.
    fn keep_in_slot(&self, id: KillId, bytes: &[u8]) -> Option<io::Result<()>> {
        let mut padded = bytes.to_vec();
        padded.resize(MAX_ORDER_BYTES_ON_FULL_DISK.max(bytes.len()), b' ');
        (padded.len() == MAX_ORDER_BYTES_ON_FULL_DISK).then_some(())?;
        let mine = self.directory.join(format!("{id}.unfinished"));
        let mut failed = None;
        for slot in (0..MAX_ORDERS_ON_FULL_DISK).map(|slot| self.slot(slot)) {
            // Renamed first: another process that keeps an order at this moment must not write to
            // the same slot.
            if self.disk.rename(&slot, &mine).is_err() {
                continue;
            }
            let kept = (|| {
                let file = self.disk.open(&mine, Access::Write)?;
                file.write_at(&padded, 0)?;
                file.sync()?;
                self.disk.rename(&mine, &self.file(id))?;
                self.disk.sync_directory(&self.directory)
            })();
            match kept {
                Ok(()) => return Some(Ok(())),
                // Another slot may have the blocks that this one lacks; what this one has is space.
                Err(error) => failed = Some(error),
            }
            self.disk.remove(&mine).ok();
        }
        failed.map(Err)
    }

    /// Tells if an order is still waiting to be taken over.
    pub(crate) fn waits(&self, id: KillId) -> bool {
        self.disk.open(&self.file(id), Access::Read).is_ok()
    }

    fn receipt(&self, id: KillId) -> PathBuf {
        self.directory.join(format!("{id}.taken"))
    }

    /// Tells if an order that waits is in effect in a daemon that runs, and not durable there.
    pub(crate) fn is_taken(&self, id: KillId) -> bool {
        self.disk.open(&self.receipt(id), Access::Read).is_ok()
    }

    /// Says beside an order that it is in effect.
    fn leave_receipt(&self, id: KillId) {
        if !self.is_taken(id)
            && let Err(error) = replace(self.disk.as_ref(), &self.receipt(id), b"")
        {
            tracing::warn!(%error, kill = %id, "nobody beside this process learns that the order is in effect");
        }
    }

    fn reach(&self, id: KillId) -> PathBuf {
        self.directory.join(format!("{id}.nothing"))
    }

    /// Says why an order that was taken over reaches nothing, where that is so: told once.
    pub(crate) fn reaches_nothing(&self, id: KillId) -> Option<String> {
        let path = self.reach(id);
        let said = self.disk.read(&path).ok()?;
        self.disk.remove(&path).ok();
        Some(String::from_utf8_lossy(&said).into_owned())
    }

    /// Tells whoever kept an order on this machine that it reaches nothing. Without space the order
    /// is in effect all the same. Every lease is looked at, on another thread.
    async fn tell_reach(&self, engine: &Arc<Engine>, order: &KillOrder) {
        if order.by != Actor::Local || !order.reaches_nothing {
            return;
        }
        let (path, order, engine) = (self.reach(order.id), order.clone(), Arc::clone(engine));
        self.off_thread(move |spool| {
            let (scope, id) = (&order.scope, order.id);
            let radius = engine.scopes().blast_radius(scope, order.roles, Some(id));
            let Some(said) = radius.unknown_name else {
                return;
            };
            if let Err(error) = replace(spool.disk.as_ref(), &path, said.as_bytes()) {
                tracing::warn!(%error, kill = %id, "nobody beside this process learns that the order reaches nothing");
            }
        })
        .await;
    }

    /// Removes what nobody read who kept an order: those that were there at the sweep before. Says
    /// which are there now.
    fn sweep_unread(&self, before: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
        let there = self.disk.list(&self.directory).unwrap_or_default();
        let is_unread = |path: &PathBuf| path.extension().is_some_and(|end| end == "nothing");
        let unread = there.into_iter().filter(is_unread);
        let (old, new): (BTreeSet<_>, BTreeSet<_>) = unread.partition(|path| before.contains(path));
        for path in old {
            self.disk.remove(&path).ok();
        }
        new
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

    /// Engages what waits. An order that becomes durable in the journal leaves the spool; one that
    /// cannot be read holds up no other, and stops all issuing for as long as it is there: it may
    /// be about anything.
    pub(crate) async fn take_over(&self, engine: &Arc<Engine>, tell: Tell) {
        // Away from the threads that serve: a disk that hangs must not stop one of them.
        let looking = self.clone();
        let looked = tokio::task::spawn_blocking(move || looking.waiting()).await;
        let (orders, mut faults) = looked.unwrap_or_else(|error| {
            let file = self.directory.display().to_string();
            let why = error.to_string();
            (Vec::new(), vec![Reason::SpoolUnreadable { file, why }])
        });
        let (mut new, mut known) = (Vec::new(), Vec::new());
        for (path, mut order) in orders {
            // Whoever wrote the file may have written anything: what the journal keeps is shown for
            // years.
            order.reason = bounded(order.reason);
            let is_known = engine.context().peek(|state| {
                let known = &state.kills().get(order.id)?.order;
                Some(stops_the_same(known, &order))
            });
            match is_known {
                None => new.push((path, order)),
                Some(true) => known.push((path, order.id)),
                Some(false) => faults.push(of_another(&path, &order)),
            }
        }
        if !known.is_empty() {
            // In effect, and not durable yet where this fails: looked at again.
            let is_durable = engine.context().settle().await.is_ok();
            let known = known.into_iter();
            self.put_away(known.map(|(path, id)| (path, id, is_durable)).collect())
                .await;
        }
        for orders in new.chunks(MAX_ORDERS_AT_A_TIME) {
            let engaged = orders.iter().map(|(path, order)| async move {
                tracing::warn!(kill = %order.id, scope = %order.scope, "a kill order is taken over from the spool");
                (path, order, engine.kills().engage(order.clone()).await)
            });
            let mut done = Vec::new();
            for (path, order, fenced) in join_all(engaged).await {
                if stops_the_same(&fenced.order, order) {
                    if tell == Tell::Reach {
                        self.tell_reach(engine, &fenced.order).await;
                    }
                    done.push((path.clone(), order.id, fenced.seq.is_some()));
                } else {
                    faults.push(of_another(path, order));
                }
            }
            self.put_away(done).await;
        }
        engine.conditions().replace(Kind::SpoolUnreadable, faults);
    }

    /// Does something with the disk, away from the threads that serve.
    async fn off_thread(&self, does: impl FnOnce(&Self) + Send + 'static) {
        let spool = self.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || does(&spool)).await {
            tracing::error!(%error, "a kill order stays in the spool");
        }
    }

    /// Removes those of these orders that are durable, and says beside the others that they are in
    /// effect.
    async fn put_away(&self, orders: Vec<(PathBuf, KillId, bool)>) {
        self.off_thread(move |spool| {
            for (path, id, is_durable) in &orders {
                if *is_durable {
                    spool.clear(path);
                    spool.disk.remove(&spool.receipt(*id)).ok();
                } else {
                    spool.leave_receipt(*id);
                }
            }
            if let Err(error) = spool.disk.sync_directory(&spool.directory) {
                tracing::warn!(%error, "kill orders that were taken over may be found in the spool again");
            }
        })
        .await;
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
        if let Err(error) = cleared {
            tracing::warn!(%error, path = %path.display(), "a kill order stays in the spool");
        }
    }

    /// Takes over what comes, until told to stop. While an order cannot be read, nothing is issued,
    /// and it is looked at again.
    pub(crate) async fn follow(self, engine: Arc<Engine>, mut stop: watch::Receiver<bool>) {
        let mut looks = 0_u32;
        let mut unread = BTreeSet::new();
        while !*stop.borrow() {
            self.take_over(&engine, Tell::Reach).await;
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(LOOKS_BETWEEN_REFILLS) {
                let (spool, before) = (self.clone(), std::mem::take(&mut unread));
                let swept = tokio::task::spawn_blocking(move || {
                    // A disk that is full still is looked at again.
                    drop(spool.refill());
                    spool.sweep_unread(&before)
                });
                unread = swept.await.unwrap_or_default();
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
                _ = stop.changed() => {}
            }
        }
    }
}

#[async_trait]
impl KillSpool for Spool {
    /// Without waiting for a disk that hangs: what it takes later is found by the next look.
    async fn store(&self, order: &KillOrder) -> Result<(), NotStored> {
        let (spool, order) = (self.clone(), order.clone());
        let kept = tokio::task::spawn_blocking(move || spool.keep_once(&order));
        match tokio::time::timeout(KEEP_WAIT, kept).await {
            Ok(Ok(kept)) => kept.map_err(|error| NotStored(error.to_string())),
            Ok(Err(error)) => Err(NotStored(error.to_string())),
            Err(_) => Err(NotStored("the disk does not answer".to_owned())),
        }
    }
}

fn stops_the_same(known: &KillOrder, order: &KillOrder) -> bool {
    known.scope == order.scope && known.roles == order.roles
}

/// An order of a known id that stops more, or something else, is another order.
fn of_another(path: &Path, order: &KillOrder) -> Reason {
    let why = format!(
        "an order of this id is known, and not over {}: engage it under another one",
        order.scope
    );
    let file = path.display().to_string();
    Reason::SpoolUnreadable { file, why }
}

#[cfg(test)]
mod power;
#[cfg(test)]
pub(crate) mod tests;
