//! The way to the local agent. Who finds it, and who starts it, is not known here.

use tonic::Status;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;

/// How the local agent is reached.
#[tonic::async_trait]
pub trait Door: Send + Sync + 'static {
    /// The way to it, wherever it runs by now.
    ///
    /// # Errors
    /// A status that says, in one complete line, why it cannot be reached.
    async fn open(&self) -> Result<Way, Status>;
}

/// A way to the local agent.
#[derive(Debug, Clone)]
pub struct Way {
    /// Where the calls go.
    pub channel: Channel,
    /// What each call says in `lanyard-context`, where it says anything.
    pub context: Option<AsciiMetadataValue>,
}
