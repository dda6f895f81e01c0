//! Measures a process: its memory, from `/proc`, and the growth of its journal, record by record.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use lanyard_journal::Cursor;
use serde_json::Value;

/// The time between two samples of the memory.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// The highest memory that was sampled, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Memory {
    /// The memory of the daemon's own process.
    pub(super) daemon: u64,
    /// The sum over the daemon's child processes that judge plans.
    pub(super) judges: u64,
}

/// A thread that samples the memory of a process and its children until [`end`](Self::end).
pub(super) struct Sampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Memory>,
}

impl Sampler {
    pub(super) fn of(process: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut most = Memory::default();
            while !told.load(Ordering::Relaxed) {
                most.daemon = most.daemon.max(resident(process).unwrap_or(0));
                most.judges = most.judges.max(children(process));
                std::thread::sleep(SAMPLE_INTERVAL);
            }
            most
        });
        Self { stop, thread }
    }

    pub(super) fn end(self) -> Result<Memory> {
        self.stop.store(true, Ordering::Relaxed);
        let most = self.thread.join();
        most.ok().context("the memory was never sampled")
    }
}

/// Returns the resident memory of a process, in bytes.
pub(super) fn resident(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kilobytes.context("no VmRSS")?.parse::<u64>()? * 1024)
}

/// Returns the resident memory of all children of a process together, in bytes.
fn children(parent: u32) -> u64 {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_child = |process: &u32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // The name in parentheses can contain any character; the parent is the second field after
        // it.
        let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
        behind.split_whitespace().nth(1) == Some(&parent.to_string())
    };
    let children = processes.filter(is_child);
    children.filter_map(|process| resident(process).ok()).sum()
}

/// The growth of the journal, and the size of its index.
#[derive(Debug, Clone, Default)]
pub(super) struct Grown {
    /// The number of records and their bytes, by who caused them and by their kind.
    pub(super) kinds: BTreeMap<(String, String), (u64, u64)>,
    /// The size of the index on disk, in bytes.
    pub(super) index: u64,
}

/// A reader that follows the journal of a data directory as it grows.
pub(super) struct Journal {
    directory: PathBuf,
    cursor: Cursor,
    /// The owners of tasks and leases, by id.
    owners: HashMap<String, String>,
}

/// Bytes of the frame around a record in a batch of one.
const FRAME_BYTES: u64 = 60;
/// The owner of records that no request caused.
pub(super) const BROKER: &str = "broker";

impl Journal {
    pub(super) fn of(data_directory: &Path) -> Self {
        Self {
            directory: data_directory.to_path_buf(),
            cursor: Cursor::at(&data_directory.join("journal"), 0),
            owners: HashMap::new(),
        }
    }

    /// Reads the records that were appended since the last call, up to the first `size` of the
    /// journal.
    pub(super) fn grown(&mut self, size: u64) -> Result<Grown> {
        let mut grown = Grown::default();
        let owners = &mut self.owners;
        if self.cursor.index() < size {
            self.cursor.read(size, |entry| {
                let bytes = entry.record.len() as u64 + FRAME_BYTES;
                let record = lanyard_records::json(entry.record);
                let record = serde_json::from_str(&record).unwrap_or(Value::Null);
                let command = record.get("command").unwrap_or(&Value::Null);
                let kind = command.get("type").and_then(Value::as_str).unwrap_or("?");
                let who = owner(owners, command);
                let (count, all) = grown.kinds.entry((who, kind.to_owned())).or_default();
                *count += 1;
                *all += bytes;
            })?;
        }
        grown.index = taken(&self.directory.join("history"));
        Ok(grown)
    }
}

/// Finds the owner of a record: the identity that it names, or the owner of the task or lease that
/// it concerns.
fn owner(owners: &mut HashMap<String, String>, command: &Value) -> String {
    let text = |path: &str| command.pointer(path).and_then(Value::as_str);
    let kind = text("/type").unwrap_or_default();
    if kind == "kill" {
        return "on-call".to_owned();
    }
    let named = [
        "/task/identity/subject",
        "/identity/subject",
        "/by/agent/subject",
    ];
    let named = named.into_iter().find_map(text).map(str::to_owned);
    let of = [
        "/task",
        "/task/id",
        "/plan/task",
        "/lease",
        "/leases/0",
        "/progress/0/0",
    ];
    let known = of
        .into_iter()
        .filter_map(text)
        .find_map(|id| owners.get(id).cloned());
    let by_agent = text("/agent").map(str::to_owned);
    let who = named
        .or(known)
        .or(by_agent)
        .unwrap_or_else(|| BROKER.to_owned());
    let own = if kind == "open-task" {
        text("/task/id")
    } else {
        text("/lease")
    };
    if let Some(id) = own {
        owners.insert(id.to_owned(), who.clone());
    }
    who
}

/// Returns the bytes that a folder's files take on disk.
fn taken(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => taken(&entry.path()),
            Ok(meta) => meta.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}
