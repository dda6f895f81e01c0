//! What the daemon's configuration declares and a charter may name.

use std::collections::BTreeMap;

use super::Name;

/// Which kind of target a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TargetKind {
    /// Lanyard's own tokens.
    Token,
    /// An AWS account and its lease roles.
    Aws,
    /// A Kubernetes cluster.
    Kubernetes,
}

/// Whether an environment is production.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvironmentKind {
    /// Where the strictest rules hold.
    Production,
    /// Anything else.
    Sandbox,
}

/// The environments and targets that exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    /// By name.
    pub environments: BTreeMap<Name, EnvironmentKind>,
    /// By name.
    pub targets: BTreeMap<Name, TargetKind>,
}
