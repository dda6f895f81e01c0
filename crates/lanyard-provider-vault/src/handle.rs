//! What a lease is revoked by, and what is written on its token.

use std::collections::BTreeMap;

use lanyard_core::id::LeaseId;
use lanyard_core::lease::Handle;
use lanyard_core::provider::MintRequest;
use serde::{Deserialize, Serialize};

/// What is written on a lease's token.
const LEASE: &str = "lanyard-lease";
const PARENT: &str = "lanyard-parent";
const READS: &str = "lanyard-reads";

/// The text of a lease's handle. Accessors and the ids of leases open nothing: they are looked up and revoked by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// The parent's accessor.
    pub(crate) parent: String,
    /// The token's, once the server has said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) accessor: Option<String>,
    /// The path that the token reads for the agent, where it is not for the agent itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reads: Option<String>,
    /// The id of the lease that the server gave for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
}

impl Held {
    pub(crate) fn handle(&self) -> Handle {
        Handle(serde_json::json!(self).to_string().into())
    }

    pub(crate) fn read(handle: &Handle) -> Option<Self> {
        serde_json::from_str(&handle.0).ok()
    }

    /// What is written on the token of this lease.
    pub(crate) fn meta(&self, request: &MintRequest) -> BTreeMap<String, String> {
        let mut meta: BTreeMap<String, String> = [
            (LEASE, request.lease.to_string()),
            (PARENT, self.parent.clone()),
            ("lanyard-task", request.task.to_string()),
            ("lanyard-charter", request.charter.to_string()),
            ("lanyard-grant", request.grant.to_string()),
            ("lanyard-role", request.role.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        if let Some(path) = &self.reads {
            meta.insert(READS.to_owned(), path.clone());
        }
        meta
    }

    /// The lease that a token is of, by what is written on it.
    pub(crate) fn of(accessor: &str, meta: &BTreeMap<String, String>) -> Option<(LeaseId, Self)> {
        let lease = meta.get(LEASE)?.parse().ok()?;
        let held = Self {
            parent: meta.get(PARENT)?.clone(),
            accessor: Some(accessor.to_owned()),
            reads: meta.get(READS).cloned(),
            secret: None,
        };
        Some((lease, held))
    }
}
