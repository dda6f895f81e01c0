//! YAML documents as trees in which every value knows its place, and the diagnostics that point there.
//!
//! The subset is deliberate: one document, no anchors, aliases, tags or merge keys, no duplicate keys, bounded
//! size and depth (T24). Charters and the configuration are read through here, so both fail alike.

mod code;
mod diagnostic;
mod fields;
mod print;
mod tree;

pub use code::{Code, Severity};
pub use diagnostic::{Diagnostic, Fix, escaped, render, visible};
pub use fields::{Fields, Findings, nearest, suggest};
pub use print::print;
pub use tree::{Node, Span, Style, Value, read};

/// The largest document, in bytes.
pub const SIZE_LIMIT: usize = 256 * 1024;
/// The deepest nesting.
pub const DEPTH_LIMIT: usize = 64;
