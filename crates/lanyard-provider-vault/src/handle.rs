//! The handle that a lease is revoked by, and the metadata of its token.

use std::collections::BTreeMap;

use lanyard_core::lease::Handle;
use lanyard_core::provider::MintRequest;
use lanyard_vocabulary::id::LeaseId;
use serde::{Deserialize, Serialize};

/// Metadata keys of a lease's token.
const LEASE_META: &str = "lanyard-lease";
const PARENT_META: &str = "lanyard-parent";
const READS_META: &str = "lanyard-reads";

/// The text of a lease's handle. Accessors and lease ids give no access: they only look up and
/// revoke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeaseHandle {
    /// Accessor of the parent token.
    pub(crate) parent: String,
    /// Accessor of the lease's token, once the server has returned it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) accessor: Option<String>,
    /// Path of the secret that the token reads on the agent's behalf; `None` if the agent gets the
    /// token itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reads: Option<String>,
    /// The server's lease id of that secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
}

impl LeaseHandle {
    pub(crate) fn handle(&self) -> Handle {
        Handle(serde_json::json!(self).to_string().into())
    }

    pub(crate) fn read(handle: &Handle) -> Option<Self> {
        serde_json::from_str(&handle.0).ok()
    }

    /// Metadata for the token of this lease.
    pub(crate) fn meta(&self, request: &MintRequest) -> BTreeMap<String, String> {
        let mut meta: BTreeMap<String, String> = [
            (LEASE_META, request.lease.to_string()),
            (PARENT_META, self.parent.clone()),
            ("lanyard-task", request.task.to_string()),
            ("lanyard-charter", request.charter.to_string()),
            ("lanyard-grant", request.grant.to_string()),
            ("lanyard-role", request.role.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        if let Some(path) = &self.reads {
            meta.insert(READS_META.to_owned(), path.clone());
        }
        meta
    }

    /// The lease of a token, read back from its metadata.
    pub(crate) fn of(accessor: &str, meta: &BTreeMap<String, String>) -> Option<(LeaseId, Self)> {
        let lease = meta.get(LEASE_META)?.parse().ok()?;
        let held = Self {
            parent: meta.get(PARENT_META)?.clone(),
            accessor: Some(accessor.to_owned()),
            reads: meta.get(READS_META).cloned(),
            secret: None,
        };
        Some((lease, held))
    }
}
