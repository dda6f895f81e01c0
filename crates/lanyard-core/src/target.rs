//! The port to a kind of target in the daemon: how the kind's targets are configured, and the
//! provider of each.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use lanyard_charter::TargetKind;
use lanyard_document::Section;
use lanyard_document::shape::Map;
use lanyard_vocabulary::name::Name;

use crate::provider::Provider;

/// A kind of target in the daemon's configuration.
pub trait TargetReader: Send + Sync {
    /// The kind whose targets are read.
    fn kind(&self) -> TargetKind;

    /// The meaning of the kind in one sentence, for editors and the reference.
    fn meaning(&self) -> &'static str;

    /// Describes the fields beside `kind`.
    fn shape(&self) -> Map;

    /// Reads the fields of the target with this name. Paths are relative to `base`.
    fn read(&self, section: &Section<'_>, name: &Name, base: &Path) -> Option<Arc<dyn Target>>;
}

/// The reason why a target cannot be used.
pub type TargetError = Box<dyn Error + Send + Sync>;

/// A target as the configuration describes it.
#[async_trait]
pub trait Target: fmt::Debug + Send + Sync {
    /// Makes the target's provider.
    ///
    /// # Errors
    /// Why the target cannot be used. Its credentials are then refused one by one.
    async fn provider(&self, shared: &mut Shared) -> Result<Arc<dyn Provider>, TargetError>;

    /// Checks what the target needs on this machine, and calls nobody. By default it makes the
    /// provider.
    ///
    /// # Errors
    /// When something is missing or unsuitable.
    async fn look(&self) -> Result<(), TargetError> {
        self.provider(&mut Shared::default()).await.map(drop)
    }

    /// Sentences on what an operator should change although the target works so.
    fn doubts(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// The AWS roles whose sessions the target hands out: no caller is known by one of them.
    fn lease_roles(&self) -> Vec<&str> {
        Vec::new()
    }

    /// The section of a grant that reads one thing which does not exist on the target of this name,
    /// for the canary of a drill; `None` if no drill can be held there. Lines are relative to the
    /// grant.
    fn drill(&self, _name: &Name) -> Option<String> {
        None
    }
}

/// Values that the daemon lends to its targets, or that targets of a kind share: one of each type.
#[derive(Default)]
pub struct Shared(BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl Shared {
    /// Adds a value, in the place of another one of its type.
    pub fn lend<T: Any + Send + Sync>(&mut self, value: T) {
        self.0.insert(TypeId::of::<T>(), Arc::new(value));
    }

    /// The value of this type, if there is one.
    #[must_use]
    pub fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let value = Arc::clone(self.0.get(&TypeId::of::<T>())?);
        value.downcast().ok()
    }

    /// The value of this type, which the first target that asks makes.
    pub fn get_or_default<T: Any + Send + Sync + Default>(&mut self) -> Arc<T> {
        self.get().unwrap_or_else(|| {
            let made = Arc::new(T::default());
            self.0.insert(TypeId::of::<T>(), Arc::clone(&made) as _);
            made
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_share_one_value_of_a_type() {
        let mut shared = Shared::default();
        assert_eq!(shared.get::<String>(), None);
        shared.lend("lent".to_owned());
        assert_eq!(shared.get_or_default::<String>().as_str(), "lent");
        let made = shared.get_or_default::<Vec<u8>>();
        assert!(Arc::ptr_eq(&made, &shared.get_or_default::<Vec<u8>>()));
    }
}
