//! The inputs of event delivery.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use lanyard_engine::Engine;
use lanyard_ledger::Embedded;
use lanyard_provider_token::Keyring;

/// The parts of the broker that event delivery reads, and the number of events given up.
pub(crate) struct EventSources {
    pub(crate) engine: Arc<Engine>,
    pub(crate) ledger: Arc<Embedded>,
    /// The keys that sign security events.
    pub(crate) keyring: Arc<Keyring>,
    /// The issuer (`iss`) of security events.
    pub(crate) issuer: String,
    /// Events given up since the broker started: the receiver never accepted them, or this version
    /// cannot decode their record.
    pub(crate) given_up: Arc<AtomicUsize>,
}
