//! What is known of a request that was let through.

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

/// Whose request it is, and what it may do: what the token said. It stands in the extensions of the request. The secret is
/// not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// On whose behalf: the agent itself, or the one that its task was first delegated by.
    pub subject: String,
    /// The agent that asked for the token.
    pub agent: AgentName,
    /// Who acts for the subject, nearest first; nobody where the agent acts for itself.
    pub acting: Vec<AgentName>,
    /// The task: what journals of a tool's own should name.
    pub task: TaskId,
    /// The lease.
    pub lease: LeaseId,
    /// The charter's name.
    pub charter: Name,
    /// The charter's revision.
    pub revision: Revision,
    /// The grant's name.
    pub grant: Name,
    /// plan or apply.
    pub role: Role,
    /// Where the task runs.
    pub environment: Name,
    /// SHA-256 of the approved plan, in hex, for an apply.
    pub plan: Option<String>,
    /// What the token may do, in the words of the tool.
    pub scopes: BTreeSet<String>,
    /// When it ends.
    pub expires: Timestamp,
    /// The key that was shown with it, where it is bound to one.
    pub key: Option<Confirmation>,
}

impl Accepted {
    /// Whether the token gives all of these scopes, each compared byte for byte.
    #[must_use]
    pub fn gives<'a>(&self, scopes: impl IntoIterator<Item = &'a str>) -> bool {
        let mut scopes = scopes.into_iter();
        scopes.all(|scope| self.scopes.contains(scope))
    }
}

/// The certificate that the client showed in the TLS handshake. Whoever ends TLS puts it into the extensions of each request
/// of that connection; nothing in a request's headers may become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate(String);

impl ClientCertificate {
    /// The leaf, in DER.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, der);
        Self(URL_SAFE_NO_PAD.encode(digest.as_ref()))
    }

    /// Its fingerprint, as `cnf` has it (RFC 8705 section 3.1).
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.0
    }
}
