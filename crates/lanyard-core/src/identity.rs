//! Verified identities. This module does not know how an identity is verified.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::charter::Name;
use crate::person::{Person, Sponsor};
use crate::time::Timestamp;

/// A verified subject of an issuer. Both parts are compared byte for byte and never normalized (T9,
/// T14).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The issuer, exactly as the token's `iss` claim has it.
    pub issuer: String,
    /// The subject, exactly as the token's `sub` claim has it.
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

/// The key whose possession a caller proved, by the digest of an RFC 7800 confirmation. Serialized
/// as the member of a `cnf` claim.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Confirmation {
    /// The thumbprint of a public key (RFC 7638), proved by DPoP (RFC 9449).
    #[serde(rename = "jkt")]
    Key(String),
    /// The digest of a client certificate, proved by mutual TLS (RFC 8705).
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

/// The method by which an identity was proved.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Not proved: somebody else named the identity.
    #[default]
    Named,
    /// A token of an OpenID provider, or of another issuer of JWTs.
    Oidc,
    /// A Kubernetes service-account token, checked by TokenReview.
    TokenReview,
    /// A Kubernetes service-account token, checked against the cluster's keys because TokenReview
    /// did not answer.
    ClusterKeys,
    /// An X.509-SVID of SPIFFE.
    X509Svid,
    /// A JWT-SVID of SPIFFE.
    JwtSvid,
    /// A signed `GetCallerIdentity` request, checked by AWS STS.
    AwsCallerIdentity,
    /// The key of an enrolled agent.
    EnrolledKey,
}

impl Method {
    /// The method's name in records and in output.
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

/// How an identity was proved, with the claims and the key proved along with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The method of the proof.
    pub method: Method,
    /// The issuer's further claims that the configuration admits. Charters may name them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, String>,
    /// The key whose possession the caller proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Confirmation>,
}

impl Evidence {
    /// True if nothing was proved.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// A caller's identity with its evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The caller's identity.
    pub identity: Identity,
    /// The evidence for that identity.
    pub evidence: Evidence,
    /// The person on whose behalf the caller says it acts.
    pub sponsor: Sponsor,
}

impl From<&Identity> for Caller {
    /// Makes a caller of whom only the name is known, and nothing proved.
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
    /// The time of the person's last authentication (`auth_time` of OpenID Connect), if the issuer
    /// tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The strength of that authentication (`acr` of OpenID Connect), if the issuer tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// Why the person's claims give no role, for the person to read. Computed at each use and never
    /// stored.
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
    /// The person's identity.
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
