//! Requests for credentials, and the kinds of credentials, as models are told of them.

use lanyard_vocabulary::id::{PlanId, TaskId};
use lanyard_vocabulary::name::Name;
use schemars::JsonSchema;
use serde::Serialize;

/// The kind of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A bearer token for any API.
    Token,
    /// Credentials of an AWS session.
    Aws,
    /// A token for a Kubernetes API server.
    Kubernetes,
    /// A token of Vault or OpenBao.
    Vault,
    /// A dynamic secret of Vault or OpenBao, such as a user of a database.
    VaultSecret,
    /// An installation token of a GitHub App.
    Github,
    /// A credential of another kind of target.
    Other,
}

/// A request for a credential.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) task: TaskId,
    pub(crate) grant: Name,
    pub(crate) plan: Option<PlanId>,
}
