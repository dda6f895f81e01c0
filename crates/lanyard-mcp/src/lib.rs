//! The MCP server: tools by which a model asks for credentials, and gets handles.
//!
//! It speaks the Model Context Protocol with one client, and gRPC with the local agent, which it finds by a [`Door`]. A secret is in
//! none of its answers: what the local agent says of a credential is dropped where it is read (T53). The protocol's versions
//! from 2024-11-05 to 2025-11-25 begin with `initialize`; 2026-07-28 has no such beginning, and says who it is with each request.

mod approval;
mod arguments;
mod broker;
mod call;
mod credential;
mod door;
mod handle;
mod listen;
mod refused;
mod reply;
mod server;
mod session;
mod shown;
mod text;
mod tool;
mod tools;

pub use door::{Door, Way};
pub use handle::Program;
pub use listen::{ServeError, serve};
pub use session::Ending;

/// How it serves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program of the lines that it answers with.
    pub program: Program,
    /// What becomes of the tasks that it has opened.
    pub at_the_end: AtTheEnd,
}

/// What becomes of tasks when their client has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtTheEnd {
    /// They are closed, and their leases end.
    Close,
    /// They go on until they end by themselves.
    Keep,
}
