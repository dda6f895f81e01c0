//! The rights of a `vault` grant, and the policies that no agent gets.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The rights of a Vault or OpenBao token, or the secret read with such a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultGrant {
    /// The names of ACL policies. `default` is never added.
    pub policies: BTreeSet<String>,
    /// What the agent gets.
    pub gives: VaultGives,
}

/// The kinds of credential that a Vault grant gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum VaultGives {
    /// A service token with the policies.
    Token {
        /// How many requests the token is good for; unlimited if absent.
        uses: Option<u32>,
    },
    /// The dynamic secret read at this path, without the token that reads it.
    Secret {
        /// The path, such as `database/creds/migrator`.
        path: String,
    },
}

impl VaultGrant {
    /// True if no agent ever gets the policy: `root` allows everything, and `default` is what the
    /// Vault's owners change for everybody (T37).
    #[must_use]
    pub fn never_given(policy: &str) -> bool {
        matches!(policy, "root" | "default" | "response-wrapping")
    }
}
