//! Values that several sections of the configuration have, with their descriptions.

use std::path::{Path, PathBuf};

use lanyard_document::Item;
use lanyard_document::shape::Form;

/// A path, relative to the folder of the configuration.
pub(crate) const PATH: Form = Form::new("a path", ".");
/// An address that the daemon listens on.
pub(crate) const ADDRESS: Form = Form::new("an address: `127.0.0.1:7070`, `[::]:7070`", ":[0-9]+$");
/// A URL that the daemon calls, or that people open.
pub(crate) const URL: Form = Form::new(
    "an https URL, or one of http on this machine",
    "[Hh][Tt][Tt][Pp][Ss]?:",
);

/// Reads a path, which is relative to the folder of the configuration.
pub(crate) fn path(item: Item<'_>, base: &Path) -> Option<PathBuf> {
    Some(base.join(item.text()?))
}
