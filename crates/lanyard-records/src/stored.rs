//! The two directions of a conversion, and the tables that give both of them at once.
//!
//! A table names each field once, after how the message holds it, so that no field can go one way
//! alone: a field that is new on either side does not compile until the table has it.

use std::borrow::Cow;

use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::digest::Digest;
use lanyard_vocabulary::id::{
    ActionId, ApprovalId, DecisionId, KillId, LeaseId, PauseId, PlanId, RearmId, TaskId,
};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::revision::Revision;
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::{Timestamp, Ttl};

use crate::unread::Unread;

/// A value of the domain that has a form on disk.
pub(crate) trait Stored: Sized {
    /// The form on disk.
    type Wire;

    /// Converts the value to its form on disk.
    fn store(&self) -> Self::Wire;

    /// Converts the form on disk to the value.
    fn restore(wire: Self::Wire) -> Result<Self, Unread>;
}

/// The ways in which a message holds a field, to it.
pub(crate) mod put {
    use super::Stored;

    /// A scalar that is always there.
    pub(crate) fn one<T: Stored>(value: &T) -> T::Wire {
        value.store()
    }

    /// A scalar or a message that may be absent.
    pub(crate) fn opt<T: Stored>(value: &Option<T>) -> Option<T::Wire> {
        value.as_ref().map(Stored::store)
    }

    /// A message that is always there.
    pub(crate) fn req<T: Stored>(value: &T) -> Option<T::Wire> {
        Some(value.store())
    }

    /// A message that is left out where it says nothing.
    pub(crate) fn usual<T: Stored + Default + PartialEq>(value: &T) -> Option<T::Wire> {
        (*value != T::default()).then(|| value.store())
    }

    /// A list or a set of values, each stored by itself.
    pub(crate) fn many<'a, C, T>(values: &'a C) -> Vec<T::Wire>
    where
        &'a C: IntoIterator<Item = &'a T>,
        T: Stored + 'a,
    {
        values.into_iter().map(Stored::store).collect()
    }

    /// A value that is the same on both sides.
    pub(crate) fn same<T: Clone>(value: &T) -> T {
        value.clone()
    }
}

/// The ways in which a message holds a field, from it.
pub(crate) mod take {
    use super::{Stored, Unread};

    pub(crate) fn one<T: Stored>(wire: T::Wire, _field: &str) -> Result<T, Unread> {
        T::restore(wire)
    }

    pub(crate) fn opt<T: Stored>(wire: Option<T::Wire>, _field: &str) -> Result<Option<T>, Unread> {
        wire.map(T::restore).transpose()
    }

    pub(crate) fn req<T: Stored>(wire: Option<T::Wire>, field: &str) -> Result<T, Unread> {
        T::restore(wire.ok_or_else(|| Unread::missing(field))?)
    }

    pub(crate) fn usual<T: Stored + Default>(
        wire: Option<T::Wire>,
        _field: &str,
    ) -> Result<T, Unread> {
        wire.map_or_else(|| Ok(T::default()), T::restore)
    }

    pub(crate) fn many<C, T>(wire: Vec<T::Wire>, _field: &str) -> Result<C, Unread>
    where
        C: FromIterator<T>,
        T: Stored,
    {
        wire.into_iter().map(T::restore).collect()
    }

    #[expect(clippy::unnecessary_wraps, reason = "a table calls all of these alike")]
    pub(crate) fn same<T>(wire: T, _field: &str) -> Result<T, Unread> {
        Ok(wire)
    }
}

/// Messages whose fields have the names of the domain's.
macro_rules! messages {
    ($($domain:ty => $wire:ident { $($how:ident $field:ident),* $(,)? })*) => {$(
        impl $crate::stored::Stored for $domain {
            type Wire = $crate::v1::$wire;

            fn store(&self) -> Self::Wire {
                $crate::v1::$wire { $($field: $crate::stored::put::$how(&self.$field)),* }
            }

            fn restore(wire: Self::Wire) -> Result<Self, $crate::unread::Unread> {
                Ok(Self {$(
                    $field: $crate::stored::take::$how(
                        wire.$field,
                        concat!(stringify!($wire), ".", stringify!($field)),
                    )?
                ),*})
            }
        }
    )*};
}

/// Enumerations whose variants have the names of the domain's.
macro_rules! enumerations {
    ($($domain:ty => $wire:ident { $($variant:ident),* $(,)? })*) => {$(
        impl $crate::stored::Stored for $domain {
            type Wire = i32;

            fn store(&self) -> i32 {
                match self {
                    $(Self::$variant => $crate::v1::$wire::$variant.into()),*
                }
            }

            fn restore(wire: i32) -> Result<Self, $crate::unread::Unread> {
                match $crate::v1::$wire::try_from(wire) {
                    $(Ok($crate::v1::$wire::$variant) => Ok(Self::$variant),)*
                    Ok($crate::v1::$wire::Unspecified) | Err(_) => {
                        Err($crate::unread::Unread::Value {
                            field: stringify!($wire),
                            value: format!("the number {wire}"),
                        })
                    }
                }
            }
        }
    )*};
}

pub(crate) use {enumerations, messages};

impl<T: Stored> Stored for Box<T> {
    type Wire = T::Wire;

    fn store(&self) -> T::Wire {
        (**self).store()
    }

    fn restore(wire: T::Wire) -> Result<Self, Unread> {
        T::restore(wire).map(Box::new)
    }
}

/// Scalars that are the same on both sides.
macro_rules! same {
    ($($scalar:ty),*) => {$(
        impl Stored for $scalar {
            type Wire = Self;

            fn store(&self) -> Self {
                self.clone()
            }

            fn restore(wire: Self) -> Result<Self, Unread> {
                Ok(wire)
            }
        }
    )*};
}

same!(bool, i64, String, u32, u64);

/// Ids: their 128 bits, most significant first.
macro_rules! ids {
    ($($id:ident),*) => {$(
        impl Stored for $id {
            type Wire = Vec<u8>;

            fn store(&self) -> Vec<u8> {
                self.bits().to_be_bytes().to_vec()
            }

            fn restore(wire: Vec<u8>) -> Result<Self, Unread> {
                let bits = wire.try_into().map_err(|wire: Vec<u8>| length(stringify!($id), &wire))?;
                Ok(Self::from_bits(u128::from_be_bytes(bits)))
            }
        }
    )*};
}

ids!(
    ActionId, ApprovalId, DecisionId, KillId, LeaseId, PauseId, PlanId, RearmId, TaskId
);

fn length(what: &str, wire: &[u8]) -> Unread {
    Unread::Malformed(format!("a {what} of {} bytes", wire.len()))
}

impl Stored for Digest {
    type Wire = Vec<u8>;

    fn store(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    fn restore(wire: Vec<u8>) -> Result<Self, Unread> {
        let bytes = wire
            .try_into()
            .map_err(|wire: Vec<u8>| length("digest", &wire))?;
        Ok(Self::from_bytes(bytes))
    }
}

impl Stored for Timestamp {
    type Wire = u64;

    fn store(&self) -> u64 {
        self.as_millis()
    }

    fn restore(wire: u64) -> Result<Self, Unread> {
        Ok(Self::from_millis(wire))
    }
}

impl Stored for Ttl {
    type Wire = u32;

    fn store(&self) -> u32 {
        self.as_secs()
    }

    fn restore(wire: u32) -> Result<Self, Unread> {
        Self::from_secs(wire).map_err(|error| Unread::Malformed(error.to_string()))
    }
}

impl Stored for Seq {
    type Wire = u64;

    fn store(&self) -> u64 {
        self.0
    }

    fn restore(wire: u64) -> Result<Self, Unread> {
        Ok(Self(wire))
    }
}

impl Stored for Name {
    type Wire = String;

    fn store(&self) -> String {
        self.as_str().to_owned()
    }

    fn restore(wire: String) -> Result<Self, Unread> {
        Self::try_from(wire).map_err(|error| Unread::Malformed(error.to_string()))
    }
}

impl Stored for AgentName {
    type Wire = String;

    fn store(&self) -> String {
        self.0.clone()
    }

    fn restore(wire: String) -> Result<Self, Unread> {
        Ok(Self(wire))
    }
}

impl Stored for Revision {
    type Wire = String;

    fn store(&self) -> String {
        self.as_str().to_owned()
    }

    fn restore(wire: String) -> Result<Self, Unread> {
        Ok(Self::recorded(wire))
    }
}

impl Stored for Box<str> {
    type Wire = String;

    fn store(&self) -> String {
        (**self).to_owned()
    }

    fn restore(wire: String) -> Result<Self, Unread> {
        Ok(wire.into())
    }
}

impl Stored for Cow<'static, str> {
    type Wire = String;

    fn store(&self) -> String {
        (**self).to_owned()
    }

    fn restore(wire: String) -> Result<Self, Unread> {
        Ok(Self::Owned(wire))
    }
}
