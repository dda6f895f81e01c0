//! A disk in memory, for tests: it remembers what was synced, and loses the rest when the power goes.
//!
//! What a cut may do is what a disk and a journaling file system may do. Of a file, every sector that was written since the
//! last sync, and every change of its length, is kept or lost on its own, in any order. Of a directory, the changes
//! since its last sync are kept up to one of them and lost from there on.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::{Access, Disk, Length, Lock, OpenFile, directory_of};

/// What a disk writes as a whole, in bytes.
pub const SECTOR: usize = 512;

/// A disk in memory.
#[derive(Debug, Default)]
pub struct SimulatedDisk(Arc<Mutex<Platter>>);

/// What is on it, and what happens to it.
#[derive(Debug, Clone, Default)]
struct Platter {
    nodes: BTreeMap<u64, Arc<Node>>,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    /// Changes of names since the directory was synced.
    changes: Vec<(PathBuf, NameChange)>,
    directories: BTreeSet<PathBuf>,
    locked: BTreeSet<PathBuf>,
    next: u64,
    trouble: Trouble,
    /// Rings when syncs that were held are let go.
    let_go: Arc<Condvar>,
    /// The platter after every operation so far, while it is recorded.
    recorded: Option<Arc<Mutex<Vec<Platter>>>>,
}

#[derive(Debug, Clone, Default)]
struct Trouble {
    /// How many bytes of blocks there are.
    capacity: Option<u64>,
    /// What every change fails with.
    refused: Option<io::ErrorKind>,
    /// What every sync fails with.
    unsynced: Option<io::ErrorKind>,
    /// No sync returns.
    held: bool,
    /// How many syncs wait.
    waiting: usize,
    /// How many there were.
    syncs: usize,
    unreadable: BTreeSet<PathBuf>,
    /// Blocks cannot be allocated ahead.
    unallocatable: bool,
}

#[derive(Debug, Clone, Default)]
struct Node {
    now: Vec<u8>,
    durable: Vec<u8>,
    changes: Vec<Change>,
    /// Blocks that were allocated ahead, in bytes from the begin.
    allocated: u64,
    /// What is not allocated has no blocks, whatever the length says.
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

/// Numbers that look random and are the same for the same seed (SplitMix64).
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// From a seed.
    #[must_use]
    pub const fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below this one.
    pub const fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % if most == 0 { 1 } else { most }
    }
}

/// How much of what was not synced a cut keeps.
#[derive(Debug, Clone, Copy)]
enum Kept {
    Nothing,
    Everything,
    /// Each part on its own, in so many of 8 cases.
    Some(u64),
}

impl Kept {
    fn keeps(self, chance: &mut Chance) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Some(of_eight) => chance.below(8) < of_eight,
        }
    }
}

impl SimulatedDisk {
    /// An empty one, as it is shared.
    #[must_use]
    pub fn shared() -> Arc<Self> {
        Arc::default()
    }

    /// From now on, every operation that changes something is a moment to cut at.
    pub fn record(&self) {
        let mut platter = self.0.lock();
        let begin = platter.clone();
        platter.recorded = Some(Arc::new(Mutex::new(vec![begin])));
    }

    /// How many moments there are so far: one before the first operation, and one after each.
    #[must_use]
    pub fn moments(&self) -> usize {
        let platter = self.0.lock();
        let recorded = platter.recorded.as_ref();
        recorded.map_or(0, |recorded| recorded.lock().len())
    }

    /// The disk after a loss of power at a moment; what was not synced is kept or lost by the seed. Seeds 0 and 1 lose and
    /// keep all of it.
    #[must_use]
    pub fn cut(&self, moment: usize, seed: u64) -> Arc<Self> {
        let platter = self.0.lock();
        let recorded = platter.recorded.as_ref();
        let then = recorded.and_then(|recorded| recorded.lock().get(moment).cloned());
        let then = then.unwrap_or_else(|| platter.clone());
        Arc::new(Self(Arc::new(Mutex::new(then.without_power(seed)))))
    }

    /// The disk as it is now, after its process died: nothing is lost, and no lock is held.
    #[must_use]
    pub fn after_a_crash(&self) -> Arc<Self> {
        let mut platter = self.0.lock().clone();
        (platter.recorded, platter.locked) = (None, BTreeSet::new());
        (platter.trouble.held, platter.trouble.waiting) = (false, 0);
        platter.let_go = Arc::default();
        Arc::new(Self(Arc::new(Mutex::new(platter))))
    }

    /// So many bytes of blocks and no more; `None` for any number.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.0.lock().trouble.capacity = bytes;
    }

    /// How many bytes of blocks are taken.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.0.lock().used()
    }

    /// Every change fails with this, or none.
    pub fn refuse(&self, kind: Option<io::ErrorKind>) {
        self.0.lock().trouble.refused = kind;
    }

    /// Every sync fails with this, or none.
    pub fn refuse_syncs(&self, kind: Option<io::ErrorKind>) {
        self.0.lock().trouble.unsynced = kind;
    }

    /// From now on no sync returns, as on a disk that hangs; or those that wait are let go.
    pub fn hold_syncs(&self, held: bool) {
        let mut platter = self.0.lock();
        platter.trouble.held = held;
        platter.let_go.notify_all();
    }

    /// How many syncs wait to be let go.
    #[must_use]
    pub fn held_syncs(&self) -> usize {
        self.0.lock().trouble.waiting
    }

    /// How many syncs there were.
    #[must_use]
    pub fn syncs(&self) -> usize {
        self.0.lock().trouble.syncs
    }

    /// Blocks cannot be allocated ahead, as on file systems that do not know how.
    pub fn refuse_allocations(&self) {
        self.0.lock().trouble.unallocatable = true;
    }

    /// A file of zeroes has no blocks any more, as after a copy that leaves holes.
    pub fn punch(&self, path: &Path) {
        let mut platter = self.0.lock();
        let node = platter.names.get(path).copied();
        let node = node.and_then(|node| platter.nodes.get_mut(&node));
        if let Some(node) = node.map(Arc::make_mut) {
            (node.sparse, node.allocated) = (true, 0);
        }
    }

    /// This file cannot be read any more.
    pub fn make_unreadable(&self, path: &Path) {
        let mut platter = self.0.lock();
        platter.trouble.unreadable.insert(path.to_path_buf());
    }

    /// Changes a file behind everybody's back; durable.
    pub fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut platter = self.0.lock();
        let node = platter.names.get(path).copied();
        let node = node.and_then(|node| platter.nodes.get_mut(&node));
        if let Some(node) = node.map(Arc::make_mut) {
            change(&mut node.now);
            node.durable.clone_from(&node.now);
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
        self.trouble.refused.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn noted(&mut self) {
        if let Some(recorded) = &self.recorded {
            let mut now = self.clone();
            now.recorded = None;
            recorded.lock().push(now);
        }
    }

    fn rename(&mut self, directory: &Path, change: NameChange) {
        change.apply(&mut self.names);
        self.changes.push((directory.to_path_buf(), change));
        self.noted();
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
        self.noted();
    }

    fn node(&self, path: &Path) -> io::Result<(u64, &Node)> {
        let id = self.names.get(path).copied();
        let node = id.and_then(|id| Some((id, self.nodes.get(&id)?.as_ref())));
        node.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change(&mut self, id: u64, change: Change) {
        if let Some(node) = self.nodes.get_mut(&id).map(Arc::make_mut) {
            change.apply(&mut node.now, |_| true);
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
        self.noted();
    }

    /// How many bytes of a file may be, when `wanted` are asked for.
    fn room(&self, id: u64, wanted: u64) -> u64 {
        let Some(capacity) = self.trouble.capacity else {
            return wanted;
        };
        let own = self.nodes.get(&id).map_or(0, |node| node.blocks());
        let free = capacity.saturating_sub(self.used());
        wanted.min(own + free / SECTOR as u64 * SECTOR as u64)
    }

    fn without_power(&self, seed: u64) -> Self {
        let mut chance = Chance::of(seed);
        let kept = match seed {
            0 => Kept::Nothing,
            1 => Kept::Everything,
            _ => Kept::Some(1 + chance.below(7)),
        };
        let mut names = self.durable_names.clone();
        for directory in &self.directories {
            let own = self.changes.iter().filter(|(of, _)| of == directory);
            // Their order is that of the file system's own journal.
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
                now: bytes,
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

/// The platter, once a sync may go on.
fn syncing(platter: &Mutex<Platter>) -> io::Result<MutexGuard<'_, Platter>> {
    let mut platter = platter.lock();
    let let_go = Arc::clone(&platter.let_go);
    platter.trouble.waiting += 1;
    platter.trouble.syncs += 1;
    let_go.wait_while(&mut platter, |platter| platter.trouble.held);
    platter.trouble.waiting -= 1;
    let refused = platter.trouble.unsynced;
    refused.map_or(Ok(()), |kind| Err(io::Error::from(kind)))?;
    platter.may_change()?;
    Ok(platter)
}

fn blocks(bytes: u64) -> u64 {
    bytes.next_multiple_of(SECTOR as u64)
}

impl Node {
    fn blocks(&self) -> u64 {
        if self.sparse {
            return self.allocated;
        }
        blocks((self.now.len() as u64).max(self.allocated))
    }
}

impl Change {
    /// Sector by sector; a change of the length as a whole.
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
                    let (sector, after) = rest.split_at((SECTOR - at % SECTOR).min(rest.len()));
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
        let found = platter.node(path).map(|(id, node)| (id, node.now.len()));
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
        if platter.trouble.unreadable.contains(path) {
            return Err(io::Error::other("Input/output error"));
        }
        Ok(platter.node(path)?.1.now.clone())
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
        let mut platter = syncing(&self.0)?;
        platter.sync_names(directory);
        Ok(())
    }

    fn lock(&self, directory: &Path) -> io::Result<Option<Lock>> {
        let taken = self.0.lock().locked.insert(directory.to_path_buf());
        let held = Held {
            platter: Arc::clone(&self.0),
            directory: directory.to_path_buf(),
        };
        Ok(taken.then(|| Lock(Box::new(held))))
    }
}

struct Held {
    platter: Arc<Mutex<Platter>>,
    directory: PathBuf,
}

impl Drop for Held {
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
        self.with(|node| node.now.len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let (begin, length) = (place(offset)?, bytes.len());
        let found = self.with(|node| node.now.get(begin..begin + length).map(<[u8]>::to_vec))?;
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
        if platter.trouble.unallocatable {
            return Ok(false);
        }
        let end = offset + bytes;
        if platter.room(self.id, blocks(end)) < blocks(end) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if let Some(node) = platter.nodes.get_mut(&self.id).map(Arc::make_mut) {
            node.allocated = node.allocated.max(blocks(end));
            if length == Length::Grown && (node.now.len() as u64) < end {
                let grown = Change::Length(place(end)?);
                platter.change(self.id, grown);
            }
        }
        Ok(true)
    }

    fn sync(&self) -> io::Result<()> {
        let mut platter = syncing(&self.platter)?;
        if let Some(node) = platter.nodes.get_mut(&self.id).map(Arc::make_mut) {
            node.durable.clone_from(&node.now);
            node.changes.clear();
        }
        platter.noted();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
