//! YAML documents as trees in which every value knows its place, and the diagnostics that point there.
//!
//! The subset is deliberate: one document, no anchors, aliases, tags or merge keys, no duplicate keys, bounded
//! size and depth (T24). Charters and the configuration are read through here, so both fail alike. The manifests of a plan are
//! what other tools wrote, so there aliases and merge keys are read, within bounds.

mod code;
mod diagnostic;
mod fields;
mod path;
mod position;
mod print;
mod tree;

pub use code::{Code, Severity};
pub use diagnostic::{Diagnostic, Fix, render};
pub use fields::{Fields, Findings, near_names, nearest, suggest};
pub use lanyard_vocabulary::text::{escaped, is_hidden, visible};
pub use path::{FieldPaths, path_of};
pub use position::Position;
pub use print::print;
pub use tree::{
    MAX_ALIASED_BYTES, Node, Span, Style, Value, read, read_of_any_size, read_with_aliases,
};

/// The largest document, in bytes.
///
/// # Limit
/// - for: a charter, a configuration
/// - unit: bytes
/// - beyond: the file is refused with LC003 before it is read
/// - test: `t24_a_document_has_so_many_bytes_and_levels_and_no_more`
pub const MAX_DOCUMENT_BYTES: usize = 256 * 1024;
/// The deepest nesting.
///
/// # Limit
/// - for: a charter, a configuration
/// - unit: levels
/// - beyond: the file is refused with LC004
/// - test: `t24_a_document_has_so_many_bytes_and_levels_and_no_more`
pub const MAX_DOCUMENT_DEPTH: usize = 64;
