//! Reads the part of the daemon's configuration that charters may refer to.

use std::collections::BTreeMap;

use lanyard_document::{Diagnostic, Fields, Findings, Node, read};
use lanyard_vocabulary::name::Name;

use crate::kinds;
use crate::world::{ENVIRONMENT_KINDS, EnvironmentKind, MoreKinds, World};

impl World {
    /// Reads the environments and targets of a daemon's configuration. Other sections are skipped.
    ///
    /// # Errors
    /// Every fault of the two sections.
    pub fn of_configuration(text: &str) -> Result<Self, Vec<Diagnostic>> {
        Self::of_configuration_with(text, MoreKinds::default())
    }

    /// Reads the same, where targets may be of these kinds too.
    ///
    /// # Errors
    /// Every fault of the two sections.
    pub fn of_configuration_with(text: &str, more: MoreKinds) -> Result<Self, Vec<Diagnostic>> {
        let root = read(text).map_err(|fault| vec![fault])?;
        let findings = Findings::default();
        let top = findings.map(&root);
        let world = top.and_then(|top| Self::read(&findings, &top, more));
        let faults = findings.sorted();
        match world {
            Some(world) if faults.is_empty() => Ok(world),
            Some(_) | None => Err(faults),
        }
    }

    /// Reads the environments and targets among the fields of a configuration.
    pub fn read(f: &Findings, top: &Fields<'_>, more_kinds: MoreKinds) -> Option<Self> {
        let mut world = Self {
            more_kinds,
            ..Self::default()
        };
        let declared = top
            .required("environments")
            .map(|node| environments(f, node));
        let targets = top
            .required("targets")
            .map(|node| targets(f, node, &mut world));
        world.environments = declared?;
        targets?;
        Some(world)
    }
}

fn targets(f: &Findings, node: &Node, world: &mut World) {
    let kinds = kinds::all(world.more_kinds).into_iter();
    let kinds: Vec<_> = kinds.map(|kind| (kind.id().as_str(), kind)).collect();
    for (_, key, value) in f.map(node).iter().flat_map(Fields::open) {
        let (Some(name), Some(fields)) = (f.parsed::<Name>(key), f.map(value)) else {
            continue;
        };
        let kind = fields
            .required("kind")
            .and_then(|node| f.one_of(node, &kinds));
        if let Some(kind) = kind {
            kind.declare(f, &fields, &name, world);
            world.targets.insert(name, kind.id());
        }
    }
}

/// Reads the configuration's section `environments`.
fn environments(f: &Findings, node: &Node) -> BTreeMap<Name, EnvironmentKind> {
    f.map(node)
        .iter()
        .flat_map(Fields::open)
        .filter_map(|(_, key, value)| Some((f.parsed(key)?, f.one_of(value, ENVIRONMENT_KINDS)?)))
        .collect()
}
