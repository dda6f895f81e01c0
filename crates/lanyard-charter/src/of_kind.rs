//! Values that belong to one kind of target and are passed on without their type.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A value that can be told from others of its type, and from those of another.
pub trait Typed: Any + fmt::Debug + Send + Sync {
    /// The value with its type to be found out.
    fn as_any(&self) -> &dyn Any;

    /// The value to be changed, with its type to be found out.
    fn as_any_mut(&mut self) -> &mut dyn Any;

    /// True if the other value is of the same type and equal.
    fn is_same(&self, other: &dyn Any) -> bool;
}

impl<T: Any + PartialEq + fmt::Debug + Send + Sync> Typed for T {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn is_same(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<T>() == Some(self)
    }
}

/// A value of one kind of target behind the trait that every kind implements.
pub struct OfKind<K: ?Sized>(Arc<K>);

impl<K: Typed + ?Sized> OfKind<K> {
    pub(crate) fn new(value: Arc<K>) -> Self {
        Self(value)
    }

    /// The value as that of one kind; `None` if it is of another.
    #[must_use]
    pub fn get<T: Typed>(&self) -> Option<&T> {
        (*self.0).as_any().downcast_ref()
    }

    /// The value as that of one kind, to be changed; `None` if it is of another.
    #[must_use]
    pub fn get_mut<T: Typed + Clone>(&mut self) -> Option<&mut T>
    where
        Self: From<T>,
    {
        if Arc::get_mut(&mut self.0).is_none() {
            *self = self.get::<T>()?.clone().into();
        }
        Arc::get_mut(&mut self.0)?.as_any_mut().downcast_mut()
    }
}

impl<K: ?Sized> Clone for OfKind<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: ?Sized> Deref for OfKind<K> {
    type Target = K;

    fn deref(&self) -> &K {
        &self.0
    }
}

impl<K: Typed + ?Sized> PartialEq for OfKind<K> {
    fn eq(&self, other: &Self) -> bool {
        (*self.0).is_same((*other.0).as_any())
    }
}

impl<K: Typed + ?Sized> Eq for OfKind<K> {}

impl<K: Typed + ?Sized> fmt::Debug for OfKind<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
