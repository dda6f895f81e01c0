//! One use of a credential, in the words of whoever asks whether a charter allows the use.

use std::collections::BTreeMap;

/// A use of a credential: `s3:GetObject arn:…`, `get deployments.apps/web`, `scope tickets.read`.
/// Each kind of target reads the words in its own way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// The action in the words of its kind.
    pub action: String,
    /// The object of the action.
    pub resource: String,
    /// The condition keys of an AWS request with their values.
    pub context: BTreeMap<String, String>,
}

/// The action of a use of Lanyard's own tokens.
pub(crate) const SCOPE: &str = "scope";

impl Usage {
    /// True for a request of AWS: its actions alone are written `service:Action`.
    #[must_use]
    pub fn is_of_aws(&self) -> bool {
        self.action.contains(':')
    }
}
