//! The files of an installation, and how they get into its directory: all of them, or recognizably
//! not all.
//!
//! A list of everything that will be made is written first and removed last. Where the list is
//! found, an earlier run was interrupted, and what it made is removed and made again. Nothing that
//! is not on the list is ever removed, and nothing at all is overwritten.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use zeroize::Zeroizing;

use super::users::User;

/// The list. A daemon started from a directory with the list finds no configuration, which is
/// created last.
pub(crate) const LIST: &str = ".lanyardd-init";

/// A file or directory of an installation.
pub(super) struct Piece {
    /// The path, relative to the installation.
    path: String,
    content: Content,
    readers: Readers,
}

enum Content {
    Directory,
    File(Zeroizing<Vec<u8>>),
}

/// The readers of a piece besides the user who creates the installation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    /// A file for no other user.
    Nobody,
    /// The daemon, which does not change the piece.
    Daemon,
    /// The daemon, which owns the piece.
    DaemonAlone,
}

impl Piece {
    pub(super) fn directory(path: &str, readers: Readers) -> Self {
        Self {
            path: path.to_owned(),
            content: Content::Directory,
            readers,
        }
    }

    pub(super) fn file(
        path: impl Into<String>,
        bytes: impl Into<Vec<u8>>,
        readers: Readers,
    ) -> Self {
        Self {
            path: path.into(),
            content: Content::File(Zeroizing::new(bytes.into())),
            readers,
        }
    }

    fn make(&self, root: &Path, daemon: Option<User>) -> Result<()> {
        let path = root.join(&self.path);
        let shown = || format!("cannot make `{}`", path.display());
        match &self.content {
            Content::Directory => {
                DirBuilder::new()
                    .mode(0o700)
                    .create(&path)
                    .with_context(shown)?;
            }
            Content::File(bytes) => write_new(&path, bytes).with_context(shown)?,
        }
        share(&path, self.readers, daemon)
    }
}

/// Creates all pieces in a directory that is new, empty or left by an interrupted run.
///
/// # Errors
/// When something is in the way or cannot be created.
pub(super) fn make(root: &Path, pieces: &[Piece], daemon: Option<User>) -> Result<()> {
    let shown = root.display();
    match DirBuilder::new().mode(0o700).create(root) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists && root.is_dir() => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let above = root.parent().unwrap_or(root).display();
            bail!("cannot make `{shown}`: there is no directory `{above}`; make that first")
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("`{shown}` is in the way, and no directory: name another")
        }
        Err(error) => return Err(anyhow!(error).context(format!("cannot make `{shown}`"))),
    }
    let list = root.join(LIST);
    let _held = match first(root)? {
        None => begin(&list, pieces)?,
        Some(_) if list.exists() => {
            let held = hold(&list)?;
            clear(root, &list)?;
            if let Some(name) = first(root)?.filter(|name| name != LIST) {
                bail!("{}", in_the_way(root, &name));
            }
            fs::remove_file(&list)
                .with_context(|| format!("cannot remove `{}`", list.display()))?;
            drop(held);
            begin(&list, pieces)?
        }
        Some(name) => bail!("{}", in_the_way(root, &name)),
    };
    share(root, Readers::Daemon, daemon)?;
    for piece in pieces {
        piece.make(root, daemon)?;
    }
    for directory in pieces
        .iter()
        .filter(|piece| matches!(piece.content, Content::Directory))
    {
        sync(&root.join(&directory.path))?;
    }
    sync(root)?;
    fs::remove_file(&list)?;
    sync(root)
}

fn in_the_way(root: &Path, name: &OsString) -> String {
    format!(
        "`{}` is not empty, and nothing in it is overwritten: `{}` is in the way; name a new directory",
        root.display(),
        root.join(name).display()
    )
}

/// The first entry of the directory: the list before any other, so that an interrupted run is
/// recognized.
fn first(root: &Path) -> Result<Option<OsString>> {
    let entries = fs::read_dir(root).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.with_context(|| format!("cannot read `{}`", root.display()))?;
    let mut names: Vec<_> = entries.into_iter().map(|entry| entry.file_name()).collect();
    names.sort_by_key(|name| (name == LIST, name.clone()));
    Ok(names.into_iter().next())
}

/// Writes the list before any piece, and locks out another run.
fn begin(list: &Path, pieces: &[Piece]) -> Result<File> {
    let mut text = "# `lanyardd init` was interrupted here. Run it again: it removes these, and makes them anew.\n".to_owned();
    for piece in pieces {
        text.push_str(&piece.path);
        text.push_str(match piece.content {
            Content::Directory => "/\n",
            Content::File(_) => "\n",
        });
    }
    write_new(list, text.as_bytes())
        .with_context(|| format!("cannot make `{}`", list.display()))?;
    let held = hold(list)?;
    sync(list.parent().unwrap_or(list))?;
    Ok(held)
}

fn hold(list: &Path) -> Result<File> {
    let file = File::open(list).with_context(|| format!("cannot read `{}`", list.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "another `lanyardd init` works in `{}` now",
            list.parent().unwrap_or(list).display()
        ),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Removes the pieces of an interrupted run, by its list.
fn clear(root: &Path, list: &Path) -> Result<()> {
    let text = lanyard_secret_file::read_plain_text(list)?;
    // What is in a directory comes after the directory.
    for line in text.lines().rev().filter(|line| !line.starts_with('#')) {
        let path = Path::new(line);
        if !path
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
        {
            bail!(
                "`{}` is not as `lanyardd init` wrote it: name another directory",
                list.display()
            );
        }
        let path = root.join(path);
        let removed = if line.ends_with('/') {
            fs::remove_dir(&path)
        } else {
            fs::remove_file(&path)
        };
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                let path = path.display().to_string();
                return Err(anyhow!(error).context(format!(
                    "cannot remove `{path}`, which an interrupted `lanyardd init` has made"
                )));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Writes a file that no other user can read, if it does not exist.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync(directory: &Path) -> Result<()> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.with_context(|| format!("cannot sync `{}`", directory.display()))
}

/// Gives the daemon's user access. What the daemon only reads stays root's, readable by the
/// daemon's group.
fn share(path: &Path, readers: Readers, daemon: Option<User>) -> Result<()> {
    let is_directory = path.is_dir();
    let (owner, mode) = match (readers, daemon) {
        (Readers::Daemon, Some(user)) if is_directory => (Some((None, user.group)), 0o750),
        (Readers::Daemon, Some(user)) => (Some((None, user.group)), 0o640),
        (Readers::DaemonAlone, Some(user)) => (Some((Some(user.id), user.group)), 0o700),
        (_, _) if is_directory => (None, 0o700),
        (_, _) => (None, 0o600),
    };
    let shown = || format!("cannot set who owns and reads `{}`", path.display());
    if let Some((user, group)) = owner {
        chown(path, user, Some(group)).with_context(shown)?;
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).with_context(shown)
}

/// Creates a data directory outside of the installation, new or empty.
///
/// # Errors
/// When the directory contains anything, or cannot be created.
pub(super) fn data_directory(path: &Path, daemon: Option<User>) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            if let Some(name) = first(path)? {
                bail!("data directory: {}", in_the_way(path, &name));
            }
        }
        made => made.with_context(|| format!("cannot make data directory `{}`", path.display()))?,
    }
    share(path, Readers::DaemonAlone, daemon)
}

/// Returns the path as an absolute one.
pub(super) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("`{}` is no path", path.display()))
}
