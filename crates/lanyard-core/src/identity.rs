//! Who somebody is, once verified. How that was verified is not known here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::charter::Name;
use crate::person::{Person, Sponsor};
use crate::time::Timestamp;

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

/// The key that somebody was seen to hold, by the digest that RFC 7800 confirmations carry. Serialized, it is the member of
/// a `cnf` claim.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Confirmation {
    /// The thumbprint of a public key (RFC 7638), shown by DPoP (RFC 9449).
    #[serde(rename = "jkt")]
    Key(String),
    /// The digest of a client certificate, shown by mutual TLS (RFC 8705).
    #[serde(rename = "x5t#S256")]
    Certificate(String),
}

impl fmt::Display for Confirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(digest) => write!(f, "key {digest}"),
            Self::Certificate(digest) => write!(f, "certificate {digest}"),
        }
    }
}

/// By what an identity was proved.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// It was not: somebody else named it.
    #[default]
    Named,
    /// A token of an OpenID provider, or of another issuer of JWTs.
    Oidc,
    /// A service-account token, by TokenReview.
    TokenReview,
    /// A service-account token, by the keys of its cluster alone, which did not answer.
    ClusterKeys,
    /// An X.509-SVID.
    X509Svid,
    /// A JWT-SVID.
    JwtSvid,
    /// A signed request to AWS STS.
    AwsCallerIdentity,
    /// The key of an enrolled agent.
    EnrolledKey,
}

impl Method {
    /// As records and people write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Named => "named",
            Self::Oidc => "oidc",
            Self::TokenReview => "token-review",
            Self::ClusterKeys => "cluster-keys",
            Self::X509Svid => "x509-svid",
            Self::JwtSvid => "jwt-svid",
            Self::AwsCallerIdentity => "aws-caller-identity",
            Self::EnrolledKey => "enrolled-key",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How an identity was proved, and what was proved with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// By what.
    pub method: Method,
    /// What the issuer says besides, of what the configuration lets through: charters may name it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, String>,
    /// The key that the caller holds, where one was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Confirmation>,
}

impl Evidence {
    /// Whether nothing was proved.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Who calls, and how that was proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub identity: Identity,
    /// How it was proved.
    pub evidence: Evidence,
    /// On whose behalf it says that it acts.
    pub sponsor: Sponsor,
}

impl From<&Identity> for Caller {
    /// Somebody of whom nothing is proved but the name.
    fn from(identity: &Identity) -> Self {
        Self {
            identity: identity.clone(),
            evidence: Evidence::default(),
            sponsor: Sponsor::Nobody,
        }
    }
}

/// How and when a person logged in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// When the person last showed who they are (`auth_time`), where the issuer says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// How strongly (`acr`), where the issuer says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// Why the login gives no role, for the person to read. Found anew at each use, and never kept.
    #[serde(skip)]
    pub no_role: Option<String>,
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

impl OperatorRole {
    /// As the configuration writes it.
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

/// A person, with what the configuration makes of their claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Who it is.
    pub identity: Identity,
    /// The groups that the issuer vouches for.
    pub groups: BTreeSet<String>,
    /// The roles that the configuration maps those to.
    pub roles: BTreeSet<OperatorRole>,
    /// The directory of people that the issuer draws on, where the configuration names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<Name>,
    /// The person's name there, which other accounts of the same person have too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When the issuer vouched for the groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vouched: Option<Timestamp>,
}

impl Operator {
    /// The account, to be held against others.
    #[must_use]
    pub fn person(&self) -> Person {
        Person {
            issuer: self.identity.issuer.clone(),
            subject: Some(self.identity.subject.clone()),
            directory: self.directory.clone(),
            name: self.name.clone(),
        }
    }

    /// Whether the operator holds this role.
    #[must_use]
    pub fn is(&self, role: OperatorRole) -> bool {
        self.roles.contains(&role)
    }
}
