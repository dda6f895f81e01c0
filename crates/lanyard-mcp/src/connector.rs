//! Connecting to the local agent. The embedding program knows how to find and start it.

use async_trait::async_trait;
use tonic::Status;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;

/// A way to connect to the local agent.
#[async_trait]
pub trait AgentConnector: Send + Sync + 'static {
    /// Connects to the local agent, wherever it runs now.
    ///
    /// # Errors
    /// A status whose message says in one complete line why the local agent cannot be reached.
    async fn connect(&self) -> Result<AgentConnection, Status>;
}

/// A connection to the local agent.
#[derive(Debug, Clone)]
pub struct AgentConnection {
    /// The gRPC channel of the calls.
    pub channel: Channel,
    /// Value of the `lanyard-context` header of each call, if any.
    pub context: Option<AsciiMetadataValue>,
}
