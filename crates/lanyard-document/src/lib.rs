//! YAML documents as trees in which every value knows its place, and the diagnostics that point
//! there.
//!
//! The subset is deliberate: one document, no anchors, aliases, tags or merge keys, no duplicate
//! keys, bounded size and depth (T24). Charters and the configuration are read through here, so
//! both fail alike. The manifests of a plan are what other tools wrote, so there aliases and merge
//! keys are read, within bounds.

mod code;
mod diagnostic;
mod findings;
mod item;
mod order;
mod path;
mod print;
pub mod shape;
mod span;
mod tree;

pub use code::{Code, Severity};
pub use diagnostic::{Diagnostic, Fix, render, render_within};
pub use findings::{Findings, near_names, nearest, suggest};
pub use item::{Entry, Item, Section};
pub use order::in_order;
pub use path::{FieldPaths, path_of};
pub use print::print;
pub use span::{Position, Span};
pub use tree::{
    MAX_ALIASED_BYTES, MAX_DOCUMENT_BYTES, MAX_DOCUMENT_DEPTH, Node, Style, Value, read,
    read_of_any_size, read_with_aliases,
};
