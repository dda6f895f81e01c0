//! Copies of files, durable on return, with their digests.

use std::io;
use std::path::Path;

use lanyard_disk::{Access, OpenFile, each_chunk, replace_with, system};
use lanyard_vocabulary::digest::hex;
use ring::digest::{Context, SHA256};

use super::manifest::FileEntry;

/// Copies a regular file, and makes the copy and its name durable. `None` for anything else, such
/// as a link, which is not followed.
///
/// # Errors
/// When the file system refuses. `NotFound` means that the file went meanwhile.
pub(super) fn file(from: &Path, to: &Path) -> io::Result<Option<FileEntry>> {
    if !std::fs::symlink_metadata(from)?.is_file() {
        return Ok(None);
    }
    let disk = system();
    let source = disk.open(from, Access::Read)?;
    let mut entry = None;
    replace_with(disk.as_ref(), to, |copy| {
        let write = |at, chunk: &[u8]| copy.write_at(chunk, at);
        entry = Some(read_through(source.as_ref(), write)?);
        Ok(())
    })?;
    Ok(entry)
}

/// Reads a file's length and digest.
///
/// # Errors
/// When the file system refuses.
pub(super) fn entry(path: &Path) -> io::Result<FileEntry> {
    let file = system().open(path, Access::Read)?;
    read_through(file.as_ref(), |_, _| Ok(()))
}

fn read_through(
    source: &dyn OpenFile,
    mut take: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<FileEntry> {
    let mut digest = Context::new(&SHA256);
    let mut bytes = 0;
    each_chunk(source, |at, chunk| {
        digest.update(chunk);
        bytes = at + chunk.len() as u64;
        take(at, chunk)
    })?;
    Ok(FileEntry {
        bytes,
        sha256: hex(digest.finish().as_ref()),
    })
}
