//! AWS actions that a charter prohibits.

use crate::aws::ActionPattern;
use crate::prohibition::{KindProhibition, Prohibition};
use crate::target_kind::TargetKind;
use crate::usage::Usage;

/// Prohibited AWS actions, on every resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProhibitedActions(pub Vec<ActionPattern>);

impl ProhibitedActions {
    /// The AWS actions among the prohibitions.
    pub fn of(prohibited: &[Prohibition]) -> impl Iterator<Item = &ActionPattern> {
        let of_aws = prohibited.iter().filter_map(|rule| rule.what.get::<Self>());
        of_aws.flat_map(|actions| &actions.0)
    }
}

impl KindProhibition for ProhibitedActions {
    fn kind(&self) -> TargetKind {
        TargetKind::AWS
    }

    fn line(&self) -> String {
        let actions: Vec<&str> = self.0.iter().map(|it| it.0.as_str()).collect();
        actions.join(", ")
    }

    fn forbids(&self, usage: &Usage) -> bool {
        usage.is_of_aws() && self.0.iter().any(|it| it.matches(&usage.action))
    }

    fn entries(&self) -> usize {
        self.0.len()
    }

    fn covers(&self, action: &ActionPattern) -> bool {
        self.0.iter().any(|pattern| pattern.matches(&action.0))
    }
}
