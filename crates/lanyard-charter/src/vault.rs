//! The rights of a `vault` grant, and which policies no agent is given.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What a token of Vault or OpenBao may do, or what it reads for the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultGrant {
    /// ACL policies, by name. `default` is never added to them.
    pub policies: BTreeSet<String>,
    /// What the agent is given.
    pub gives: VaultGives,
}

/// What an agent is given of Vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum VaultGives {
    /// A service token with the policies.
    Token {
        /// How many requests it is good for; as many as it lives for when absent.
        uses: Option<u32>,
    },
    /// What reading this path gives, and not the token that reads it: a dynamic secret.
    Secret {
        /// `database/creds/migrator`.
        path: String,
    },
}

impl VaultGrant {
    /// Whether a policy of this name is never given to an agent: `root` is everything, and `default` is what the
    /// owners of that Vault change for everybody (T37).
    #[must_use]
    pub fn never_given(policy: &str) -> bool {
        matches!(policy, "root" | "default" | "response-wrapping")
    }
}
