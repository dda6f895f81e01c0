//! Prohibitions: rights that no grant of a charter can give.

use std::sync::Arc;

use lanyard_document::Position;

use crate::aws::ActionPattern;
use crate::of_kind::{OfKind, Typed};
use crate::target_kind::TargetKind;
use crate::usage::Usage;

/// A prohibition: rights that no grant can give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prohibition {
    /// The rights that the charter prohibits.
    pub what: Prohibited,
    /// The reason, in the words that the agent reads.
    pub reason: String,
    /// The prohibition's position in the charter.
    pub at: Position,
}

/// The rights that a prohibition takes away, of whatever kind.
pub type Prohibited = OfKind<dyn KindProhibition>;

/// The rights of one kind that a prohibition takes away.
///
/// The first three methods are what every kind with a section in prohibitions has to say.
pub trait KindProhibition: Typed {
    /// The kind of target.
    fn kind(&self) -> TargetKind;

    /// Describes for people what is prohibited.
    fn line(&self) -> String;

    /// True if the prohibition forbids this use of a credential of its kind.
    fn forbids(&self, usage: &Usage) -> bool;

    /// The number of entries, of which a charter has a bounded number.
    fn entries(&self) -> usize {
        1
    }

    /// True if a destructive action that a plan names is prohibited.
    fn covers(&self, _action: &ActionPattern) -> bool {
        false
    }
}

impl<T: KindProhibition> From<T> for Prohibited {
    fn from(what: T) -> Self {
        Self::new(Arc::new(what))
    }
}
