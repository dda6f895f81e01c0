//! The sources of a verifier: the broker's documents, and the means to fetch and date them.

use std::sync::Arc;

use crate::broker::Broker;
use crate::clock::Clock;
use crate::fetch::Fetch;

/// The broker's documents, and the means to fetch and date them.
pub(crate) struct Sources {
    pub(crate) broker: Broker,
    pub(crate) fetch: Arc<dyn Fetch>,
    pub(crate) clock: Arc<dyn Clock>,
}
