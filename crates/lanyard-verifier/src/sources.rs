//! Where what is known of the broker comes from.

use std::sync::Arc;

use crate::broker::Broker;
use crate::clock::Clock;
use crate::fetch::Fetch;

pub(crate) struct Sources {
    pub(crate) broker: Broker,
    pub(crate) fetch: Arc<dyn Fetch>,
    pub(crate) clock: Arc<dyn Clock>,
}
