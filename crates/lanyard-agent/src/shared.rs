//! The state that the calls of the service and of the endpoint share.

use std::time::SystemTime;

use tokio::sync::Notify;

use crate::tasks::Tasks;
use crate::tokens::Endpoint;

/// State that all calls share.
pub(crate) struct Shared {
    pub(crate) tasks: Tasks,
    pub(crate) endpoint: Endpoint,
    pub(crate) started: SystemTime,
    pub(crate) stop: Notify,
}
