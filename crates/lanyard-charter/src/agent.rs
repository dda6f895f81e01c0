//! Who may open a task: agents by their issuer, their subject, and what the issuer says besides.

use std::collections::BTreeMap;
use std::fmt;

use lanyard_document::Position;
use lanyard_vocabulary::identity::{Evidence, Identity};

/// Which identities are one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRule {
    /// The exact issuer.
    pub issuer: String,
    /// The subject.
    pub subject: SubjectPattern,
    /// What the issuer has to say besides.
    pub claims: BTreeMap<String, SubjectPattern>,
    /// Where it stands.
    pub at: Position,
}

impl AgentRule {
    /// Whether this rule is about that identity, whatever else is proved of it.
    #[must_use]
    pub fn names(&self, identity: &Identity) -> bool {
        self.issuer == identity.issuer && self.subject.matches(&identity.subject)
    }

    /// Whether this rule is about that identity, proved like this. A claim that was not proved is none.
    #[must_use]
    pub fn matches(&self, identity: &Identity, evidence: &Evidence) -> bool {
        let said = |(name, pattern): (&String, &SubjectPattern)| {
            let claim = evidence.claims.get(name);
            claim.is_some_and(|claim| pattern.matches(claim))
        };
        self.names(identity) && self.claims.iter().all(said)
    }
}

/// An exact subject, or a whole-segment prefix (`system:serviceaccount:agents:*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectPattern {
    /// Every byte.
    Exact(String),
    /// The text up to and including the last separator (`:` or `/`); at least one more character follows, and no further separator.
    Prefix(String),
}

impl fmt::Display for SubjectPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => f.write_str(text),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

impl SubjectPattern {
    /// A text that it is about.
    #[must_use]
    pub fn sample(&self) -> String {
        match self {
            Self::Exact(exact) => exact.clone(),
            Self::Prefix(prefix) => format!("{prefix}agent"),
        }
    }

    /// Whether this pattern is about that subject.
    #[must_use]
    pub fn matches(&self, subject: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == subject,
            Self::Prefix(prefix) => subject
                .strip_prefix(prefix.as_str())
                .is_some_and(|rest| !rest.is_empty() && !rest.contains([':', '/'])),
        }
    }
}
