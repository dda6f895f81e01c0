//! The part of the daemon's configuration that charters may refer to.

use std::collections::{BTreeMap, BTreeSet};

use lanyard_document::{Diagnostic, Fields, Findings, Node, read};
use lanyard_vocabulary::name::Name;

/// The kind of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TargetKind {
    /// A target for Lanyard's own tokens.
    Token,
    /// An AWS account with its lease roles.
    Aws,
    /// A Kubernetes cluster.
    Kubernetes,
    /// A Vault or OpenBao server.
    Vault,
    /// An owner of repositories at GitHub.
    GitHub,
}

/// The kind of an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvironmentKind {
    /// Production, where the strictest rules hold.
    Production,
    /// Any other environment.
    Sandbox,
}

/// The kinds of target by the names that configurations use.
pub const TARGET_KINDS: &[(&str, TargetKind)] = &[
    ("token", TargetKind::Token),
    ("aws", TargetKind::Aws),
    ("kubernetes", TargetKind::Kubernetes),
    ("vault", TargetKind::Vault),
    ("github", TargetKind::GitHub),
];
/// The kinds of environment by the names that configurations use.
pub const ENVIRONMENT_KINDS: &[(&str, EnvironmentKind)] = &[
    ("production", EnvironmentKind::Production),
    ("sandbox", EnvironmentKind::Sandbox),
];

/// The environments and targets that the configuration declares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    /// The kind of each environment.
    pub environments: BTreeMap<Name, EnvironmentKind>,
    /// The kind of each target.
    pub targets: BTreeMap<Name, TargetKind>,
    /// The account numbers of AWS targets, as far as they are known.
    pub accounts: BTreeMap<Name, String>,
    /// The partitions of AWS targets, as far as they are known: `aws`, `aws-cn`, `aws-us-gov`.
    pub partitions: BTreeMap<Name, String>,
    /// The broker's own Kubernetes namespaces: the one it runs in, and those with the service
    /// accounts of leases.
    pub own_namespaces: BTreeSet<String>,
}

/// The account in a role's ARN.
#[must_use]
pub fn account_of(role: &str) -> Option<String> {
    let account = role.split(':').nth(4)?;
    (account.len() == 12).then(|| account.to_owned())
}

/// The partition in a role's ARN.
#[must_use]
pub fn partition_of(role: &str) -> Option<String> {
    let partition = role.split(':').nth(1).filter(|it| !it.is_empty())?;
    role.starts_with("arn:").then(|| partition.to_owned())
}

impl World {
    /// Reads the environments and targets of a daemon's configuration. Other sections are skipped.
    ///
    /// # Errors
    /// Every fault of the two sections.
    pub fn of_configuration(text: &str) -> Result<Self, Vec<Diagnostic>> {
        let root = read(text).map_err(|fault| vec![fault])?;
        let findings = Findings::default();
        let world = world(&findings, &root);
        let faults = findings.sorted();
        match world {
            Some(world) if faults.is_empty() => Ok(world),
            Some(_) | None => Err(faults),
        }
    }
}

fn world(f: &Findings, root: &Node) -> Option<World> {
    let top = f.map(root)?;
    let environments = top
        .required("environments")
        .map(|node| environments(f, node));
    let targets = top.required("targets").map(|node| {
        let kind = |value| f.one_of(f.map(value)?.required("kind")?, TARGET_KINDS);
        f.map(node)
            .iter()
            .flat_map(Fields::open)
            .filter_map(|(_, key, value)| Some((f.parsed(key)?, kind(value)?)))
            .collect()
    });
    let of_role = |read: fn(&str) -> Option<String>| -> BTreeMap<Name, String> {
        let role = |value| {
            let role = f.map(value)?.optional("plan_role")?;
            read(f.text(role)?)
        };
        let targets = top.optional("targets").and_then(|node| f.map(node));
        let each = targets.iter().flat_map(Fields::open);
        each.filter_map(|(_, key, value)| Some((f.parsed(key)?, role(value)?)))
            .collect()
    };
    let (accounts, partitions) = (of_role(account_of), of_role(partition_of));
    let lease_namespace = |value| {
        let fields = f.map(value)?;
        let is_cluster = f.text(fields.optional("kind")?)? == "kubernetes";
        let namespace = fields.optional("namespace").filter(|_| is_cluster)?;
        f.text(namespace).map(str::to_owned)
    };
    let clusters = top.optional("targets").and_then(|node| f.map(node));
    let clusters = clusters.iter().flat_map(Fields::open);
    let own_namespaces = clusters
        .filter_map(|(_, _, value)| lease_namespace(value))
        .collect();
    Some(World {
        own_namespaces,
        environments: environments?,
        targets: targets?,
        accounts,
        partitions,
    })
}

/// Reads the configuration's section `environments`.
pub fn environments(f: &Findings, node: &Node) -> BTreeMap<Name, EnvironmentKind> {
    f.map(node)
        .iter()
        .flat_map(Fields::open)
        .filter_map(|(_, key, value)| Some((f.parsed(key)?, f.one_of(value, ENVIRONMENT_KINDS)?)))
        .collect()
}
