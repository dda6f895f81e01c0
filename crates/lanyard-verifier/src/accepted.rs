//! The facts about a request that a verifier has accepted.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::{LeaseId, TaskId};
use lanyard_vocabulary::identity::Confirmation;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::revision::Revision;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::time::Timestamp;

/// The claims of a verified token. A verifier puts them into the extensions of an accepted request,
/// without the token itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// The subject on whose behalf the token acts: the agent itself, or the agent that delegated
    /// the first task of the lineage.
    pub subject: String,
    /// The agent that asked for the token.
    pub agent: AgentName,
    /// The agents that act for the subject, nearest first; empty where the agent acts for itself.
    pub acting: Vec<AgentName>,
    /// The task of the token, which a tool's own logs should name.
    pub task: TaskId,
    /// The lease of the token.
    pub lease: LeaseId,
    /// Name of the charter that the lease rests on.
    pub charter: Name,
    /// Revision of that charter.
    pub revision: Revision,
    /// Name of the charter's grant.
    pub grant: Name,
    /// The lease's role, `plan` or `apply`.
    pub role: Role,
    /// The environment that the task runs in.
    pub environment: Name,
    /// SHA-256 of the approved plan, in hex, for an apply.
    pub plan: Option<String>,
    /// The scopes of the token, in the tool's own words.
    pub scopes: BTreeSet<String>,
    /// The time at which the token expires.
    pub expires: Timestamp,
    /// The key whose possession the caller proved, if the token is bound to one.
    pub key: Option<Confirmation>,
}

impl Accepted {
    /// Returns true when the token has all of these scopes, compared byte for byte.
    #[must_use]
    pub fn gives<'a>(&self, scopes: impl IntoIterator<Item = &'a str>) -> bool {
        let mut scopes = scopes.into_iter();
        scopes.all(|scope| self.scopes.contains(scope))
    }
}

/// The client certificate of a TLS connection. The server that terminates TLS puts it into the
/// extensions of each request. It must never be read from a request header, which the caller
/// controls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate(String);

impl ClientCertificate {
    /// Takes the leaf certificate in DER.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, der);
        Self(URL_SAFE_NO_PAD.encode(digest.as_ref()))
    }

    /// The certificate's SHA-256 thumbprint in base64url, as `cnf` has it (RFC 8705 section 3.1).
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.0
    }
}
