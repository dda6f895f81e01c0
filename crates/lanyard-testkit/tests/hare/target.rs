//! Targets of kind `hare` in the daemon's configuration. `docs/add-a-provider.md` explains this
//! file.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use lanyard_charter::TargetKind;
use lanyard_core::provider::Provider;
use lanyard_core::target::{Shared, Target, TargetError, TargetReader};
use lanyard_document::shape::{Map, Shape, required};
use lanyard_document::{Item, Section};
use lanyard_vocabulary::name::Name;

use crate::grant::HARE;
use crate::provider::HareProvider;
use crate::service::Hare;

/// The servers that the configuration may name: one, which is a fake.
pub(crate) static SERVER: LazyLock<Arc<Hare>> = LazyLock::new(Arc::default);

/// The kind's targets, for the registry.
pub(crate) struct HareTargets;

impl TargetReader for HareTargets {
    fn kind(&self) -> TargetKind {
        HARE
    }

    fn meaning(&self) -> &'static str {
        "A Hare server."
    }

    fn shape(&self) -> Map {
        Map::new().with(required("address", "The server's address.", Shape::Text))
    }

    fn read(&self, section: &Section<'_>, _name: &Name, _base: &Path) -> Option<Arc<dyn Target>> {
        let address = section.get("address").and_then(Item::text)?;
        Some(Arc::new(HareTarget {
            address: address.to_owned(),
        }))
    }
}

#[derive(Debug)]
struct HareTarget {
    address: String,
}

#[async_trait]
impl Target for HareTarget {
    async fn provider(&self, _shared: &mut Shared) -> Result<Arc<dyn Provider>, TargetError> {
        if self.address != "hare.example" {
            return Err(format!("no Hare answers at `{}`", self.address).into());
        }
        Ok(Arc::new(HareProvider::new(Arc::clone(&SERVER))))
    }

    fn drill(&self, name: &Name) -> Option<String> {
        Some(format!("hare: {{target: {name}, queues: [lanyard-drill]}}"))
    }
}
