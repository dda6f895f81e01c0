//! Verified identities. This module does not know how an identity is verified.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

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

/// The way in which an identity was proved, with the claims and the key proved along with it.
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
