//! The wire: packages `lanyard.v1`, the broker's, and `lanyard.agent.v1`, the local agent's.
//!
//! A client in another language is generated from the files of `proto/`, as `sdk/python` is. Each
//! module of `v1` ending in `_client` has the calls of one service: tasks, plans and credentials
//! for agents, kills, approvals and audit for people. A refusal carries a `google.rpc.ErrorInfo` of
//! the domain `lanyard.dev`, whose reason is the class and whose metadata has the decision, the
//! limit and the time to wait. Fields and messages are only added.

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
    /// Version 1 of the package `lanyard.agent`.
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
///
/// # Limit
/// - for: a message of gRPC
/// - unit: bytes
/// - beyond: the message is refused with `OUT_OF_RANGE`
/// - test: `t44_a_plan_over_the_limit_and_a_large_message_are_refused`
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// The largest chunk of a plan, in bytes.
///
/// # Limit
/// - for: a part of a plan
/// - unit: bytes
/// - beyond: the client cuts the plan into more parts
/// - test: `a_plan_is_submitted_unchanged_and_its_state_is_shown`
pub const MAX_CHUNK_BYTES: usize = 32 * 1024;
