//! What a charter allows, and the states a lease goes through.
//!
//! Everything here is a value or a pure function of values: no IO, no clock, no randomness. Time
//! and ids come in as arguments, so the same inputs give the same decision on every machine and on
//! every replay of the journal.

pub mod action;
pub mod approval;
pub mod command;
pub mod condition;
pub mod decide;
pub mod drill;
pub mod emergency;
pub mod enrolment;
pub mod judge;
pub mod kill;
pub mod lease;
pub mod ledger;
pub mod pause;
pub mod plan;
pub mod provider;
pub mod question;
pub mod references;
pub mod state;
pub mod task;
pub mod trip;
pub mod witness;

// The layers below under the paths that they had here.
pub use lanyard_vocabulary::{count, digest, id, person, secret, time, typed_name};

/// Charters.
pub mod charter {
    pub use lanyard_charter::*;
    pub use lanyard_document::Position;
    pub use lanyard_vocabulary::name::{InvalidName, Name};
    pub use lanyard_vocabulary::revision::Revision;
    pub use lanyard_vocabulary::role::Role;
}

/// YAML documents, and the diagnostics that point into them.
pub mod document {
    pub use lanyard_document::*;
    pub use lanyard_vocabulary::text::{escaped, is_hidden, visible};
}

/// Who somebody is, once verified.
pub mod identity {
    pub use lanyard_vocabulary::caller::Caller;
    pub use lanyard_vocabulary::identity::{Confirmation, Evidence, Identity, Method};
    pub use lanyard_vocabulary::operator::{Login, Operator, OperatorRole};
}

/// What a stop reaches.
pub mod scope {
    pub use lanyard_vocabulary::agent::AgentName;
    pub use lanyard_vocabulary::scope::{Facets, RoleFilter, Scope, TaskFacets};
}
