//! The wire: packages `lanyard.v1`, the broker's, and `lanyard.agent.v1`, the local agent's.

mod redacted;

/// The generated messages, clients and servers.
#[expect(
    clippy::allow_attributes_without_reason,
    missing_docs,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("lanyard.v1");
}

/// The generated messages, client and server of the local agent.
pub mod agent {
    /// Version 1.
    #[expect(
        clippy::allow_attributes_without_reason,
        missing_docs,
        reason = "generated code"
    )]
    pub mod v1 {
        tonic::include_proto!("lanyard.agent.v1");
    }
}

/// The largest message, in bytes (T44).
pub const MESSAGE_LIMIT: usize = 64 * 1024;
/// The largest chunk of a plan, in bytes.
pub const CHUNK_LIMIT: usize = 32 * 1024;
