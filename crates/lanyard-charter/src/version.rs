//! Which builds of an agent may act.

use std::fmt;

use lanyard_document::Position;
use lanyard_vocabulary::digest::Digest;
use serde::{Deserialize, Serialize};

/// A build of an agent: its model and what it was told to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// The model.
    pub model: String,
    /// The digest of its instructions, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Digest>,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.prompt {
            Some(prompt) => write!(f, "{} with {prompt}", self.model),
            None => f.write_str(&self.model),
        }
    }
}

/// One build of an agent that may act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRule {
    /// The model, as the task states it.
    pub model: String,
    /// The digest of its instructions; any when absent.
    pub prompt: Option<Digest>,
    /// Where it stands.
    pub at: Position,
}

impl VersionRule {
    /// The build that it is about.
    #[must_use]
    pub fn version(&self) -> Version {
        Version {
            model: self.model.clone(),
            prompt: self.prompt,
        }
    }

    /// Whether this rule is about that build.
    #[must_use]
    pub fn matches(&self, version: &Version) -> bool {
        let prompt = self.prompt.is_none() || self.prompt == version.prompt;
        self.model == version.model && prompt
    }
}
