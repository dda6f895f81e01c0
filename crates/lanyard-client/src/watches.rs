//! Connections for calls that last, so that they never take the room of those that are answered: the broker allows so many calls at
//! once on a connection.

use std::sync::{Arc, Mutex, PoisonError};

use lanyard_proto::v1;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

/// How many lasting calls one connection carries; the broker allows 128.
const EACH: usize = 100;

/// The connections that there are.
#[derive(Default)]
pub(crate) struct Watches {
    connections: Mutex<Vec<(Channel, Arc<()>)>>,
}

/// A place on one, until it is dropped.
pub(crate) struct Place {
    pub(crate) channel: Channel,
    _counted: Arc<()>,
}

/// What becomes of a task, message by message.
pub struct TaskWatch {
    pub(crate) messages: Streaming<v1::WatchTaskResponse>,
    pub(crate) _place: Place,
}

impl TaskWatch {
    /// The next message; nothing when the watch has ended.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn message(&mut self) -> Result<Option<v1::WatchTaskResponse>, Status> {
        self.messages.message().await
    }
}

impl Watches {
    /// A place on a connection that has one.
    pub(crate) fn place(&self) -> Option<Place> {
        let connections = self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (channel, counted) = connections
            .iter()
            .find(|(_, counted)| Arc::strong_count(counted) <= EACH)?;
        Some(Place {
            channel: channel.clone(),
            _counted: Arc::clone(counted),
        })
    }

    /// The first place on another one.
    pub(crate) fn add(&self, channel: Channel) -> Place {
        let counted = Arc::new(());
        let mut connections = self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        connections.push((channel.clone(), Arc::clone(&counted)));
        Place {
            channel,
            _counted: counted,
        }
    }
}
