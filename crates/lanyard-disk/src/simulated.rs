//! A disk in memory, for tests: remembers what was synced and loses any part of the rest when the
//! power is cut.
//!
//! A cut does what real disks and journaling file systems may do. Every sector that was written
//! since the last sync of its file, and every change of a length, is kept or lost on its own, in
//! any order. The changes of a directory since its last sync are kept up to one of them and lost
//! from there on.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::{Access, Disk, Length, Lock, OpenFile, directory_of};

/// Size in bytes of the unit that a disk writes as a whole.
pub const SECTOR_BYTES: usize = 512;

/// A disk in memory whose owner decides when it is full, hangs, fails or loses power.
#[derive(Debug, Default)]
pub struct SimulatedDisk(Arc<Mutex<Platter>>);

/// The disk's content and its injected faults.
#[derive(Debug, Clone, Default)]
struct Platter {
    nodes: BTreeMap<u64, Arc<Node>>,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    /// Changes of names since the last sync of their directory.
    changes: Vec<(PathBuf, NameChange)>,
    directories: BTreeSet<PathBuf>,
    locked: BTreeSet<PathBuf>,
    next: u64,
    faults: Faults,
    /// Signalled when held syncs are released.
    released: Arc<Condvar>,
    /// A copy of the platter after every operation, while recording is on.
    recorded: Option<Arc<Mutex<Vec<Platter>>>>,
}

/// Faults that a test has injected.
#[derive(Debug, Clone, Default)]
struct Faults {
    /// The disk's size in bytes; `None` is unlimited.
    capacity: Option<u64>,
    /// The error of every operation that changes something.
    change_error: Option<io::ErrorKind>,
    /// The error of every sync.
    sync_error: Option<io::ErrorKind>,
    /// Holds every sync, as a disk that hangs does.
    holds_syncs: bool,
    /// Number of syncs that are held now.
    held_syncs: usize,
    /// Number of syncs so far.
    syncs: usize,
    unreadable: BTreeSet<PathBuf>,
    /// Refuses to allocate blocks ahead.
    unallocatable: bool,
}

#[derive(Debug, Clone, Default)]
/// A file's content, in memory and on the disk.
struct Node {
    content: Vec<u8>,
    durable: Vec<u8>,
    changes: Vec<Change>,
    /// End of the blocks allocated ahead, in bytes from the file's begin.
    allocated: u64,
    /// Only allocated ranges have blocks, whatever the length says.
    sparse: bool,
}

#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Debug, Clone)]
enum NameChange {
    Link(PathBuf, u64),
    Move(PathBuf, PathBuf),
    Unlink(PathBuf),
}

/// A deterministic random generator (SplitMix64): the same seed gives the same numbers.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// A generator with this seed.
    #[must_use]
    pub const fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `most`, and 0 for a `most` of 0.
    pub const fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % if most == 0 { 1 } else { most }
    }
}

/// The share of sync_error changes that a cut keeps.
#[derive(Debug, Clone, Copy)]
enum KeptShare {
    Nothing,
    Everything,
    /// Each change with a chance of `n` in 8.
    Some(u64),
}

impl KeptShare {
    fn keeps(self, chance: &mut Chance) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Some(of_eight) => chance.below(8) < of_eight,
        }
    }
}

impl SimulatedDisk {
    /// An empty disk without a size limit.
    #[must_use]
    pub fn shared() -> Arc<Self> {
        Arc::default()
    }

    /// Starts recording: each later operation that changes something is a moment for
    /// [`SimulatedDisk::cut`].
    pub fn record(&self) {
        let mut platter = self.0.lock();
        let begin = platter.clone();
        platter.recorded = Some(Arc::new(Mutex::new(vec![begin])));
    }

    /// Number of recorded moments: one before the first operation, and one after each.
    #[must_use]
    pub fn moments(&self) -> usize {
        let platter = self.0.lock();
        let recorded = platter.recorded.as_ref();
        recorded.map_or(0, |recorded| recorded.lock().len())
    }

    /// The disk after a loss of power at `moment`. The seed decides which sync_error changes
    /// survive: 0 keeps none, 1 keeps all.
    #[must_use]
    pub fn cut(&self, moment: usize, seed: u64) -> Arc<Self> {
        let platter = self.0.lock();
        let recorded = platter.recorded.as_ref();
        let then = recorded.and_then(|recorded| recorded.lock().get(moment).cloned());
        let then = then.unwrap_or_else(|| platter.clone());
        Arc::new(Self(Arc::new(Mutex::new(then.without_power(seed)))))
    }

    /// The disk after a crash of its process: every write is kept, and no lock is held.
    #[must_use]
    pub fn after_a_crash(&self) -> Arc<Self> {
        let mut platter = self.0.lock().clone();
        (platter.recorded, platter.locked) = (None, BTreeSet::new());
        (platter.faults.holds_syncs, platter.faults.held_syncs) = (false, 0);
        platter.released = Arc::default();
        Arc::new(Self(Arc::new(Mutex::new(platter))))
    }

    /// Limits the disk to `bytes` of blocks; `None` removes the limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.0.lock().faults.capacity = bytes;
    }

    /// Number of bytes of blocks in use.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.0.lock().used()
    }

    /// Makes every change fail with `kind`, or none.
    pub fn refuse(&self, kind: Option<io::ErrorKind>) {
        self.0.lock().faults.change_error = kind;
    }

    /// Makes every sync fail with `kind`, or none.
    pub fn refuse_syncs(&self, kind: Option<io::ErrorKind>) {
        self.0.lock().faults.sync_error = kind;
    }

    /// Holds every sync from now on, or releases the held ones.
    pub fn hold_syncs(&self, held: bool) {
        let mut platter = self.0.lock();
        platter.faults.holds_syncs = held;
        platter.released.notify_all();
    }

    /// Number of syncs that wait to be released.
    #[must_use]
    pub fn held_syncs(&self) -> usize {
        self.0.lock().faults.held_syncs
    }

    /// Number of syncs so far.
    #[must_use]
    pub fn syncs(&self) -> usize {
        self.0.lock().faults.syncs
    }

    /// Refuses allocations from now on, as a file system without `fallocate` does.
    pub fn refuse_allocations(&self) {
        self.0.lock().faults.unallocatable = true;
    }

    /// Takes the blocks of a file of zeroes, as a copy that leaves holes does.
    pub fn punch(&self, path: &Path) {
        let mut platter = self.0.lock();
        let node = platter.names.get(path).copied();
        let node = node.and_then(|node| platter.nodes.get_mut(&node));
        if let Some(node) = node.map(Arc::make_mut) {
            (node.sparse, node.allocated) = (true, 0);
        }
    }

    /// Makes every read of `path` fail.
    pub fn make_unreadable(&self, path: &Path) {
        let mut platter = self.0.lock();
        platter.faults.unreadable.insert(path.to_path_buf());
    }

    /// Changes a file without its owner's knowledge, durably.
    pub fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut platter = self.0.lock();
        let node = platter.names.get(path).copied();
        let node = node.and_then(|node| platter.nodes.get_mut(&node));
        if let Some(node) = node.map(Arc::make_mut) {
            change(&mut node.content);
            node.durable.clone_from(&node.content);
            node.changes.clear();
        }
    }
}

impl Platter {
    fn used(&self) -> u64 {
        let named: BTreeSet<u64> = self.names.values().copied().collect();
        let nodes = named.iter().filter_map(|node| self.nodes.get(node));
        nodes.map(|node| node.blocks()).sum()
    }

    fn may_change(&self) -> io::Result<()> {
        self.faults
            .change_error
            .map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn record_moment(&mut self) {
        if let Some(recorded) = &self.recorded {
            let mut now = self.clone();
            now.recorded = None;
            recorded.lock().push(now);
        }
    }

    fn rename(&mut self, directory: &Path, change: NameChange) {
        change.apply(&mut self.names);
        self.changes.push((directory.to_path_buf(), change));
        self.record_moment();
    }

    fn sync_names(&mut self, directory: &Path) {
        let (synced, others) = std::mem::take(&mut self.changes)
            .into_iter()
            .partition(|(of, _)| of == directory);
        self.changes = others;
        let synced: Vec<(PathBuf, NameChange)> = synced;
        for (_, change) in synced {
            change.apply(&mut self.durable_names);
        }
        self.record_moment();
    }

    fn node(&self, path: &Path) -> io::Result<(u64, &Node)> {
        let id = self.names.get(path).copied();
        let node = id.and_then(|id| Some((id, self.nodes.get(&id)?.as_ref())));
        node.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change(&mut self, id: u64, change: Change) {
        if let Some(node) = self.nodes.get_mut(&id).map(Arc::make_mut) {
            change.apply(&mut node.content, |_| true);
            match &change {
                Change::Length(length) => {
                    node.allocated = node.allocated.min(blocks(*length as u64));
                    node.sparse &= *length > 0;
                }
                Change::Write { offset, bytes } if node.sparse => {
                    let end = blocks((offset + bytes.len()) as u64);
                    node.allocated = node.allocated.max(end);
                }
                Change::Write { .. } => {}
            }
            node.changes.push(change);
        }
        self.record_moment();
    }

    /// The largest end in bytes, up to `wanted`, to which a file can grow.
    fn room(&self, id: u64, wanted: u64) -> u64 {
        let Some(capacity) = self.faults.capacity else {
            return wanted;
        };
        let own = self.nodes.get(&id).map_or(0, |node| node.blocks());
        let free = capacity.saturating_sub(self.used());
        wanted.min(own + free / SECTOR_BYTES as u64 * SECTOR_BYTES as u64)
    }

    fn without_power(&self, seed: u64) -> Self {
        let mut chance = Chance::of(seed);
        let kept = match seed {
            0 => KeptShare::Nothing,
            1 => KeptShare::Everything,
            _ => KeptShare::Some(1 + chance.below(7)),
        };
        let mut names = self.durable_names.clone();
        for directory in &self.directories {
            let own = self.changes.iter().filter(|(of, _)| of == directory);
            // In order: a file system's own journal replays name changes in the order in which they
            // were made.
            own.take_while(|_| kept.keeps(&mut chance))
                .for_each(|(_, change)| change.apply(&mut names));
        }
        let nodes = self.nodes.iter().map(|(id, node)| {
            let mut bytes = node.durable.clone();
            for change in &node.changes {
                change.apply(&mut bytes, |_| kept.keeps(&mut chance));
            }
            let node = Node {
                durable: bytes.clone(),
                content: bytes,
                ..Node::default()
            };
            (*id, Arc::new(node))
        });
        Self {
            nodes: nodes.collect(),
            durable_names: names.clone(),
            names,
            directories: self.directories.clone(),
            next: self.next,
            ..Self::default()
        }
    }
}

/// Waits while syncs are held, then locks the platter or returns the injected error.
fn lock_for_sync(platter: &Mutex<Platter>) -> io::Result<MutexGuard<'_, Platter>> {
    let mut platter = platter.lock();
    let released = Arc::clone(&platter.released);
    platter.faults.held_syncs += 1;
    platter.faults.syncs += 1;
    released.wait_while(&mut platter, |platter| platter.faults.holds_syncs);
    platter.faults.held_syncs -= 1;
    let refused = platter.faults.sync_error;
    refused.map_or(Ok(()), |kind| Err(io::Error::from(kind)))?;
    platter.may_change()?;
    Ok(platter)
}

fn blocks(bytes: u64) -> u64 {
    bytes.next_multiple_of(SECTOR_BYTES as u64)
}

impl Node {
    fn blocks(&self) -> u64 {
        if self.sparse {
            return self.allocated;
        }
        blocks((self.content.len() as u64).max(self.allocated))
    }
}

impl Change {
    /// Applies the sectors of a write that `keeps` selects; a change of the length is kept or lost
    /// as a whole.
    fn apply(&self, bytes: &mut Vec<u8>, mut keeps: impl FnMut(usize) -> bool) {
        match self {
            Self::Length(length) => {
                if keeps(*length) {
                    bytes.resize(*length, 0);
                }
            }
            Self::Write {
                offset,
                bytes: written,
            } => {
                let (mut at, mut rest) = (*offset, written.as_slice());
                while !rest.is_empty() {
                    let (sector, after) =
                        rest.split_at((SECTOR_BYTES - at % SECTOR_BYTES).min(rest.len()));
                    if keeps(at) {
                        let end = at + sector.len();
                        bytes.resize(bytes.len().max(end), 0);
                        if let Some(place) = bytes.get_mut(at..end) {
                            place.copy_from_slice(sector);
                        }
                    }
                    (at, rest) = (at + sector.len(), after);
                }
            }
        }
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Link(path, node) => drop(names.insert(path.clone(), *node)),
            Self::Move(from, to) => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
            Self::Unlink(path) => drop(names.remove(path)),
        }
    }
}

impl Disk for SimulatedDisk {
    fn create_directories(&self, directory: &Path) -> io::Result<()> {
        let mut platter = self.0.lock();
        if platter.directories.contains(directory) {
            return Ok(());
        }
        platter.may_change()?;
        let above = directory.ancestors().map(Path::to_path_buf);
        platter.directories.extend(above);
        Ok(())
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn OpenFile>> {
        let mut platter = self.0.lock();
        let found = platter
            .node(path)
            .map(|(id, node)| (id, node.content.len()));
        let id = match (found, access) {
            (Err(error), Access::Read | Access::Write) => return Err(error),
            (Ok((id, _)), Access::Read) => id,
            (Ok((id, _)), Access::Write | Access::Create) => {
                platter.may_change()?;
                id
            }
            (Ok((id, length)), Access::Replace) => {
                platter.may_change()?;
                if length > 0 {
                    platter.change(id, Change::Length(0));
                }
                id
            }
            (Err(_), Access::Create | Access::Replace) => {
                platter.may_change()?;
                platter.next += 1;
                let id = platter.next;
                platter.nodes.insert(id, Arc::default());
                let link = NameChange::Link(path.to_path_buf(), id);
                platter.rename(directory_of(path), link);
                id
            }
        };
        Ok(Box::new(SimulatedFile {
            platter: Arc::clone(&self.0),
            id,
        }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let platter = self.0.lock();
        if platter.faults.unreadable.contains(path) {
            return Err(io::Error::other("Input/output error"));
        }
        Ok(platter.node(path)?.1.content.clone())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let platter = self.0.lock();
        if !platter.directories.contains(directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let names = platter.names.keys();
        let within = names.filter(|path| directory_of(path) == directory);
        Ok(within.cloned().collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut platter = self.0.lock();
        platter.may_change()?;
        platter.node(from)?;
        let change = NameChange::Move(from.to_path_buf(), to.to_path_buf());
        platter.rename(directory_of(to), change);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut platter = self.0.lock();
        platter.may_change()?;
        platter.node(path)?;
        platter.rename(directory_of(path), NameChange::Unlink(path.to_path_buf()));
        Ok(())
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let mut platter = lock_for_sync(&self.0)?;
        platter.sync_names(directory);
        Ok(())
    }

    fn lock(&self, directory: &Path) -> io::Result<Option<Lock>> {
        let taken = self.0.lock().locked.insert(directory.to_path_buf());
        let held = HeldLock {
            platter: Arc::clone(&self.0),
            directory: directory.to_path_buf(),
        };
        Ok(taken.then(|| Lock(Box::new(held))))
    }
}

struct HeldLock {
    platter: Arc<Mutex<Platter>>,
    directory: PathBuf,
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        self.platter.lock().locked.remove(&self.directory);
    }
}

#[derive(Debug)]
struct SimulatedFile {
    platter: Arc<Mutex<Platter>>,
    id: u64,
}

impl SimulatedFile {
    fn with<R>(&self, at: impl FnOnce(&Node) -> R) -> io::Result<R> {
        let platter = self.platter.lock();
        let node = platter.nodes.get(&self.id);
        node.map(|node| at(node))
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn place(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(io::Error::other)
}

impl OpenFile for SimulatedFile {
    fn length(&self) -> io::Result<u64> {
        self.with(|node| node.content.len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let (begin, length) = (place(offset)?, bytes.len());
        let found =
            self.with(|node| node.content.get(begin..begin + length).map(<[u8]>::to_vec))?;
        let found = found.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        bytes.copy_from_slice(&found);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut platter = self.platter.lock();
        platter.may_change()?;
        let begin = place(offset)?;
        let room = platter.room(self.id, offset + bytes.len() as u64);
        let fits = place(room)?.saturating_sub(begin).min(bytes.len());
        let written = bytes.get(..fits).unwrap_or_default().to_vec();
        if !written.is_empty() {
            let write = Change::Write {
                offset: begin,
                bytes: written,
            };
            platter.change(self.id, write);
        }
        if fits < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut platter = self.platter.lock();
        platter.may_change()?;
        platter.change(self.id, Change::Length(place(length)?));
        Ok(())
    }

    fn allocate(&self, offset: u64, bytes: u64, length: Length) -> io::Result<bool> {
        let mut platter = self.platter.lock();
        platter.may_change()?;
        if platter.faults.unallocatable {
            return Ok(false);
        }
        let end = offset + bytes;
        if platter.room(self.id, blocks(end)) < blocks(end) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if let Some(node) = platter.nodes.get_mut(&self.id).map(Arc::make_mut) {
            node.allocated = node.allocated.max(blocks(end));
            if length == Length::Grown && (node.content.len() as u64) < end {
                let grown = Change::Length(place(end)?);
                platter.change(self.id, grown);
            }
        }
        Ok(true)
    }

    fn sync(&self) -> io::Result<()> {
        let mut platter = lock_for_sync(&self.platter)?;
        if let Some(node) = platter.nodes.get_mut(&self.id).map(Arc::make_mut) {
            node.durable.clone_from(&node.content);
            node.changes.clear();
        }
        platter.record_moment();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
