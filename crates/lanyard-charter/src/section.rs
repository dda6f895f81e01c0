//! Readers of fields that several sections of a charter share, and the sections of kinds too.

pub(crate) mod bounds;
pub(crate) mod names;
pub(crate) mod words;
