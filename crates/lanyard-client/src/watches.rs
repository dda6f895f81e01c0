//! Connections for long-lived calls. The broker limits concurrent calls per connection, and watches
//! must not use up the calls that are answered at once.

use std::sync::{Arc, Mutex, PoisonError};

use lanyard_proto::v1;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

/// Long-lived calls per connection. The broker allows 128.
const WATCHES_PER_CONNECTION: usize = 100;

/// The open connections, each with the count of its calls.
#[derive(Default)]
pub(crate) struct Watches {
    connections: Mutex<Vec<(Channel, Arc<()>)>>,
}

/// A call's share of a connection. Dropping the value frees the share.
pub(crate) struct ConnectionShare {
    pub(crate) channel: Channel,
    _counted: Arc<()>,
}

/// The stream of messages about one task.
pub struct TaskWatch {
    pub(crate) messages: Streaming<v1::WatchTaskResponse>,
    pub(crate) _place: ConnectionShare,
}

impl TaskWatch {
    /// Returns the next message. `None` when the watch has ended.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn message(&mut self) -> Result<Option<v1::WatchTaskResponse>, Status> {
        self.messages.message().await
    }
}

impl Watches {
    /// Reserves a call on a connection that has room.
    pub(crate) fn place(&self) -> Option<ConnectionShare> {
        let connections = self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (channel, counted) = connections
            .iter()
            .find(|(_, counted)| Arc::strong_count(counted) <= WATCHES_PER_CONNECTION)?;
        Some(ConnectionShare {
            channel: channel.clone(),
            _counted: Arc::clone(counted),
        })
    }

    /// Adds a connection and reserves the first call on it.
    pub(crate) fn add(&self, channel: Channel) -> ConnectionShare {
        let counted = Arc::new(());
        let mut connections = self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        connections.push((channel.clone(), Arc::clone(&counted)));
        ConnectionShare {
            channel,
            _counted: counted,
        }
    }
}
