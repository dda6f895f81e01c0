//! The section `aws` of a prohibition: actions, on every resource.

use super::section::actions;
use crate::prohibited_actions::ProhibitedActions;
use crate::schema::aws_actions;
use crate::world::ProhibitedSection;

pub(super) fn section() -> ProhibitedSection {
    ProhibitedSection {
        meaning: "These actions, on every resource.",
        schema: aws_actions(),
        read: |f, node| {
            let actions = actions(f, node).into_iter().collect();
            Some(ProhibitedActions(actions).into())
        },
    }
}
