//! The section `aws` of a prohibition: actions, on every resource.

use super::section::{actions, actions_shape};
use crate::prohibited_actions::ProhibitedActions;
use crate::world::ProhibitedSection;

pub(super) fn section() -> ProhibitedSection {
    ProhibitedSection {
        meaning: "These actions, on every resource.",
        shape: actions_shape().into(),
        read: |item| {
            let actions = actions(item).into_iter().collect();
            Some(ProhibitedActions(actions).into())
        },
    }
}
