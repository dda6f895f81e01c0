//! Who somebody is, once verified. How that was verified is not known here.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A verified subject of an issuer: compared byte for byte, never normalised (T9, T14).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The issuer, exactly as it stands in the token (`iss`).
    pub issuer: String,
    /// The subject, exactly as it stands in the token (`sub`).
    pub subject: String,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}#{}",
            self.issuer.escape_debug(),
            self.subject.escape_debug()
        )
    }
}

/// What an operator may do. Roles do not include one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperatorRole {
    /// Reads leases, plans, decisions and the journal.
    Viewer,
    /// Approves and denies plans.
    Approver,
    /// Engages kill orders, proposes and confirms re-arms.
    OnCall,
    /// Everything an operator can do but approving and re-arming.
    Admin,
}

/// A person, with what the configuration makes of their claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Who it is.
    pub identity: Identity,
    /// The groups that the issuer vouches for.
    pub groups: BTreeSet<String>,
    /// The roles that the configuration maps those to.
    pub roles: BTreeSet<OperatorRole>,
}

impl Operator {
    /// Whether the operator holds this role.
    #[must_use]
    pub fn is(&self, role: OperatorRole) -> bool {
        self.roles.contains(&role)
    }
}
