//! Credentials, as far as models are told of them: what is asked for, and of which kind it is.

use lanyard_vocabulary::id::{PlanId, TaskId};
use lanyard_vocabulary::name::Name;
use schemars::JsonSchema;
use serde::Serialize;

/// What a credential is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A bearer token.
    Token,
    /// An AWS session.
    Aws,
    /// A token for a Kubernetes API server.
    Kubernetes,
    /// A token of Vault or OpenBao.
    Vault,
    /// A dynamic secret of Vault or OpenBao, such as a user of a database.
    VaultSecret,
    /// An installation token of a GitHub App.
    Github,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) task: TaskId,
    pub(crate) grant: Name,
    pub(crate) plan: Option<PlanId>,
}
