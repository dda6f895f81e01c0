//! The entry of a kind's objects in the registry of kinds.

use std::fmt;

use serde_json::Value;

use super::objects::{Named, PlanObject, PlanReach, Reached};
use super::resource::ResourceChange;
use crate::target_kind::TargetKind;

/// The objects of one kind of target in plans, for the registry of kinds.
#[derive(Clone, Copy)]
pub struct PlanObjects {
    kind: TargetKind,
    resources: &'static str,
    is_in_every_reach: bool,
    note: fn(&ResourceChange<'_>, &dyn Fn() -> String, &mut PlanReach),
    read: fn(Value) -> serde_json::Result<Reached>,
}

impl PlanObjects {
    /// The objects of this type.
    #[must_use]
    pub fn of<T: PlanObject>() -> Self {
        Self {
            kind: T::KIND,
            resources: T::RESOURCES,
            is_in_every_reach: T::IS_IN_EVERY_REACH,
            note: |change, place, reach| reach.note(T::of_resource(change), place),
            read: |value| Ok(serde_json::from_value::<Named<T>>(value)?.into()),
        }
    }

    /// The kind of target that has such objects.
    #[must_use]
    pub const fn kind(&self) -> TargetKind {
        self.kind
    }

    /// Adds the objects of a resource to what the plan changes, or else the resource's place, if
    /// the resource is of the kind.
    pub fn note(
        &self,
        change: &ResourceChange<'_>,
        place: &dyn Fn() -> String,
        reach: &mut PlanReach,
    ) {
        if change.resource.starts_with(self.resources) {
            (self.note)(change, place, reach);
        }
    }

    /// True if the JSON of every reach names the kind.
    pub(crate) const fn is_in_every_reach(&self) -> bool {
        self.is_in_every_reach
    }

    /// Reads the JSON of the kind's own objects.
    pub(crate) fn read(&self, value: Value) -> serde_json::Result<Reached> {
        (self.read)(value)
    }
}

impl fmt::Debug for PlanObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PlanObjects").field(&self.kind).finish()
    }
}
