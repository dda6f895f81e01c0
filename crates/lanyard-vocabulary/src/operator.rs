//! Operators: people with the roles that the configuration gives them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::identity::Identity;
use crate::name::Name;
use crate::person::Person;
use crate::time::Timestamp;

/// The way and the time in which a person logged in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The time of the person's last authentication (`auth_time` of OpenID Connect), if the issuer
    /// tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The strength of that authentication (`acr` of OpenID Connect), if the issuer tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// The reason why the person's claims give no role, for the person to read. Computed at each
    /// use and never stored.
    #[serde(skip)]
    pub no_role: Option<String>,
}

/// The roles of operators. No role includes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperatorRole {
    /// May read leases, plans, decisions and the journal.
    Viewer,
    /// May approve and reject plans.
    Approver,
    /// May engage kill orders, and propose and confirm re-arms.
    OnCall,
    /// May do everything but approve, reject and re-arm.
    Admin,
}

impl OperatorRole {
    /// The role's name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Approver => "approver",
            Self::OnCall => "on-call",
            Self::Admin => "admin",
        }
    }
}

/// A person, with the groups and roles that the configuration derives from the claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// The identity of the person.
    pub identity: Identity,
    /// The groups that the issuer vouches for.
    pub groups: BTreeSet<String>,
    /// The roles that the configuration maps those groups to.
    pub roles: BTreeSet<OperatorRole>,
    /// The directory of people that the issuer draws on, if the configuration names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<Name>,
    /// The person's name in that directory, which the person's other accounts share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The time at which the issuer vouched for the groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vouched: Option<Timestamp>,
}

impl Operator {
    /// The account, for comparison with other accounts.
    #[must_use]
    pub fn person(&self) -> Person {
        Person {
            issuer: self.identity.issuer.clone(),
            subject: Some(self.identity.subject.clone()),
            directory: self.directory.clone(),
            name: self.name.clone(),
        }
    }

    /// True if the operator has this role.
    #[must_use]
    pub fn is(&self, role: OperatorRole) -> bool {
        self.roles.contains(&role)
    }
}
