//! The section `targets` of the configuration, and the providers made from it. What a target of a
//! kind is made of is in the kind's own file; `kinds.rs` names the kinds.

mod unusable;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Error, Result};
use lanyard_charter::{TargetKind, World};
use lanyard_core::provider::Provider;
use lanyard_core::target::{Shared, Target};
use lanyard_document::shape::{self, Form, Open};
use lanyard_document::{Entry, Item};
use lanyard_vocabulary::name::Name;

use self::unusable::Unusable;
use crate::kinds::Kinds;

/// A target in the configuration.
#[derive(Debug, Clone)]
pub(crate) struct TargetConfig {
    kind: TargetKind,
    target: Arc<dyn Target>,
}

impl TargetConfig {
    /// The roles whose sessions the target hands out.
    pub(crate) fn lease_roles(&self) -> Vec<&str> {
        self.target.lease_roles()
    }

    /// Checks what the target needs on this machine, and calls nobody.
    ///
    /// # Errors
    /// When something is missing or unsuitable.
    pub(crate) async fn look(&self) -> Result<()> {
        self.target.look().await.map_err(Error::from_boxed)
    }

    /// Sentences on what an operator should change although the target works so.
    pub(crate) fn doubts(&self) -> Vec<&'static str> {
        self.target.doubts()
    }

    /// The section of a grant for the canary of a drill; `None` if no drill can be held here.
    pub(crate) fn drill(&self, name: &Name) -> Option<String> {
        self.target.drill(name)
    }

    /// Makes the target's provider. A target that cannot be reached or used is no error here: its
    /// credentials are refused one by one, and the kill switch works.
    pub(crate) async fn provider(&self, name: &Name, shared: &mut Shared) -> Arc<dyn Provider> {
        for doubt in self.doubts() {
            tracing::warn!(target = %name, "{doubt}");
        }
        let made = self.target.provider(shared).await;
        let made = made.map_err(Error::from_boxed);
        let made = made.with_context(|| format!("target {name}"));
        made.unwrap_or_else(|error| {
            let why = format!("{error:#}");
            tracing::error!(target = %name, error = why, "this target cannot be used: restart once that is mended");
            let provider = self.kind.as_str();
            Arc::new(Unusable { provider, why })
        })
    }
}

/// Describes the section, where targets may be of any of these kinds.
pub(crate) fn shape(kinds: Kinds) -> Open {
    let none = shape::Kinds::told_by("kind");
    let all = kinds.readers().fold(none, |all, reader| {
        all.with(reader.kind().as_str(), reader.meaning(), reader.shape())
    });
    Open::of(Form::NAME, all)
}

/// Reads the section, where targets may be of any of these kinds, and declares the targets to
/// charters.
pub(crate) fn targets(
    item: Item<'_>,
    base: &Path,
    (kinds, world): (Kinds, &mut World),
) -> BTreeMap<Name, TargetConfig> {
    let entries = item.entries().into_iter();
    let read = entries.filter_map(|Entry { key, value, .. }| {
        let name: Name = item.f.parsed(key)?;
        let target = target(value, &name, base, (kinds, world))?;
        Some((name, target))
    });
    read.collect()
}

fn target(
    item: Item<'_>,
    name: &Name,
    base: &Path,
    (kinds, world): (Kinds, &mut World),
) -> Option<TargetConfig> {
    // Without a kind it is not known what the other fields should be.
    let kind = item.kind()?;
    let reader = kinds.readers().find(|it| it.kind().as_str() == kind)?;
    let section = item.section()?;
    world.declare(kind, &section, name.clone());
    let target = reader.read(&section, name, base);
    Some(TargetConfig {
        kind: reader.kind(),
        target: target?,
    })
}
