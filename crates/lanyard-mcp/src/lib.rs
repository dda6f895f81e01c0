//! The MCP server: tools by which a model requests credentials and receives handles.
//!
//! The server speaks the Model Context Protocol with one client, and gRPC with the local agent, to
//! which an [`AgentConnector`] connects. No answer contains a secret: the credential in an answer
//! of the local agent is dropped where it is parsed (T53). Protocol versions 2024-11-05 to
//! 2025-11-25 begin with `initialize`; version 2026-07-28 has no handshake and names the client in
//! each request.

mod approval;
mod arguments;
mod broker;
mod call;
mod connector;
mod credential;
mod handle;
mod listen;
mod redact;
mod refused;
mod reply;
mod server;
mod session;
mod text;
mod tool;
mod tools;

pub use connector::{AgentConnection, AgentConnector};
pub use handle::Program;
pub use listen::{ServeError, serve};
pub use session::Ending;

/// Settings of the server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program that command lines in answers start.
    pub program: Program,
    /// Treatment of the tasks that this server opened.
    pub tasks_at_end: TasksAtEnd,
}

/// Treatment of a client's tasks after the client has disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TasksAtEnd {
    /// Close the tasks, which ends their leases.
    Close,
    /// Leave the tasks open until they expire.
    Keep,
}
