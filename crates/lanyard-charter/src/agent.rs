//! Agents of a charter: rules that name an agent by issuer, subject and further claims.

use std::collections::BTreeMap;
use std::fmt;

use lanyard_document::Position;
use lanyard_vocabulary::identity::{Evidence, Identity};

/// A rule that names identities of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRule {
    /// The issuer, compared exactly.
    pub issuer: String,
    /// The subject, or a pattern of subjects.
    pub subject: SubjectPattern,
    /// The further claims that the issuer must have vouched for.
    pub claims: BTreeMap<String, SubjectPattern>,
    /// The rule's position in the charter.
    pub at: Position,
}

impl AgentRule {
    /// True if the rule names the identity, whatever its evidence.
    #[must_use]
    pub fn names(&self, identity: &Identity) -> bool {
        self.issuer == identity.issuer && self.subject.matches(&identity.subject)
    }

    /// The one identity that the rule names, if the subject is exact.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        match &self.subject {
            SubjectPattern::Exact(subject) => Some(Identity {
                issuer: self.issuer.clone(),
                subject: subject.clone(),
            }),
            SubjectPattern::Prefix(_) => None,
        }
    }

    /// True if the rule names the identity and the evidence has every claim. A claim without proof
    /// counts as absent.
    #[must_use]
    pub fn matches(&self, identity: &Identity, evidence: &Evidence) -> bool {
        let said = |(name, pattern): (&String, &SubjectPattern)| {
            let claim = evidence.claims.get(name);
            claim.is_some_and(|claim| pattern.matches(claim))
        };
        self.names(identity) && self.claims.iter().all(said)
    }
}

/// An exact subject, or a prefix of whole segments (`system:serviceaccount:agents:*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectPattern {
    /// Matches this subject alone.
    Exact(String),
    /// Matches subjects that begin with this text, which ends in a separator (`:` or `/`), and go
    /// on with at least one character and no further separator.
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
    /// A subject that the pattern matches.
    #[must_use]
    pub fn sample(&self) -> String {
        match self {
            Self::Exact(exact) => exact.clone(),
            Self::Prefix(prefix) => format!("{prefix}agent"),
        }
    }

    /// True if the pattern matches the subject.
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
