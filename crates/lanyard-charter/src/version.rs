//! The builds of an agent that may act.

use std::fmt;

use lanyard_document::Position;
use lanyard_vocabulary::digest::Digest;
use serde::{Deserialize, Serialize};

/// A build of an agent: its model and what it was told to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// The name of the model.
    pub model: String,
    /// The digest of the instructions, if the agent states it.
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

/// A rule that lists one build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRule {
    /// The model, as tasks state it.
    pub model: String,
    /// The digest of the instructions; every digest matches if absent.
    pub prompt: Option<Digest>,
    /// The rule's position in the charter.
    pub at: Position,
}

impl VersionRule {
    /// The build that the rule lists.
    #[must_use]
    pub fn version(&self) -> Version {
        Version {
            model: self.model.clone(),
            prompt: self.prompt,
        }
    }

    /// True if the rule lists the build.
    #[must_use]
    pub fn matches(&self, version: &Version) -> bool {
        let prompt = self.prompt.is_none() || self.prompt == version.prompt;
        self.model == version.model && prompt
    }
}
