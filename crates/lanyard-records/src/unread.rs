//! Why a record cannot be read.

/// The reason why a record cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// The record has a form that this version does not know: a later version wrote it.
    #[error("its form {0} is unknown")]
    Form(u8),
    /// The record is of a kind that this version does not know: a later version wrote it.
    #[error("its kind, number {0}, is unknown")]
    Kind(u32),
    /// A field has a value that this version does not know: a later version wrote it.
    #[error("its field `{field}` holds {value}, which is unknown")]
    Value {
        /// The message and the field, or the enumeration.
        field: &'static str,
        /// The value, in words.
        value: String,
    },
    /// No version writes such a record: its bytes were changed together with the checksum.
    #[error("{0}")]
    Malformed(String),
}

impl Unread {
    /// True if a later version of Lanyard wrote the record: that version reads it.
    #[must_use]
    pub const fn is_of_a_later_version(&self) -> bool {
        match self {
            Self::Form(_) | Self::Kind(_) | Self::Value { .. } => true,
            Self::Malformed(_) => false,
        }
    }

    pub(crate) fn missing(field: &str) -> Self {
        Self::Malformed(format!("its field `{field}` is missing"))
    }

    /// A choice of which no variant that this version knows is set.
    pub(crate) fn choice(field: &'static str) -> Self {
        Self::Value {
            field,
            value: "no variant of this version".to_owned(),
        }
    }
}
