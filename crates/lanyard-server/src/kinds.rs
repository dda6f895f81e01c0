//! The registry of kinds of target in the daemon: those that are built in, one module for each, and
//! those that a program adds.

mod aws;
mod github;
mod kubernetes;
pub(crate) mod token;
mod vault;

use std::fmt;

use lanyard_charter::{GrantKind, MoreKinds};
use lanyard_core::target::TargetReader;

/// The registry: every kind that is built in, in the order in which people are told of them.
const BUILT_IN: &[&dyn TargetReader] = &[
    &token::Token,
    &aws::Aws,
    &kubernetes::Kubernetes,
    &vault::Vault,
    &github::GitHub,
];

/// The kinds of the program `lanyardd` beside those that are built in.
const REGISTRY: Kinds = Kinds::of(&[], &[]);

/// Kinds of target that a program adds to the daemon.
#[derive(Clone, Copy)]
pub struct Kinds {
    /// The meaning of the kinds in grants.
    pub grants: MoreKinds,
    /// The readers of the configuration, which make the providers.
    pub targets: &'static [&'static dyn TargetReader],
}

impl Kinds {
    /// Kinds with these meanings in grants and these readers of the configuration.
    #[must_use]
    pub const fn of(
        grants: &'static [&'static dyn GrantKind],
        targets: &'static [&'static dyn TargetReader],
    ) -> Self {
        Self {
            grants: MoreKinds(grants),
            targets,
        }
    }

    /// The reader of each kind, those that are built in first.
    pub(crate) fn readers(self) -> impl Iterator<Item = &'static dyn TargetReader> {
        BUILT_IN.iter().chain(self.targets).copied()
    }
}

impl Default for Kinds {
    /// The kinds of the program `lanyardd`.
    fn default() -> Self {
        REGISTRY
    }
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.targets.iter().map(|target| target.kind()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use lanyard_charter::kinds;

    use super::*;

    #[test]
    fn every_kind_of_a_grant_has_targets() {
        let readers: Vec<_> = Kinds::default().readers().map(|it| it.kind()).collect();
        let grants = kinds::names(MoreKinds::default()).into_iter();
        assert_eq!(readers, grants.map(|(_, kind)| kind).collect::<Vec<_>>());
    }
}
