//! The records of the journal as they stand on disk, apart from the commands that they hold.
//!
//! The first byte of a record is its form. `{` begins JSON, which Lanyard wrote before it had these
//! messages; [`FORM_V1`] is followed by a [`v1::Record`]. A reader takes every form for ever; a
//! writer writes the newest alone. docs/add-a-record.md has the rule for changes.
//!
//! ```
//! use lanyard_core::command::{Command, Record};
//! use lanyard_vocabulary::time::Timestamp;
//!
//! let record = Record {
//!     at: Timestamp::from_secs(1_800_000_000),
//!     command: Command::Started { version: "0.2.0".to_owned() },
//! };
//! let bytes = lanyard_records::encode(&record);
//! assert_eq!(lanyard_records::decode(&bytes), Ok(record));
//! assert_eq!(lanyard_records::head(&bytes).kind, "started");
//! ```

mod command;
mod head;
mod parts;
mod stored;
mod unread;

use std::borrow::Cow;

use lanyard_core::command::Record;
use prost::Message as _;

pub use head::{Head, head};
pub use unread::Unread;

use head::Numbers;
use stored::Stored as _;

/// The generated messages of proto/lanyard/journal/v1.
#[expect(missing_docs, reason = "generated code")]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/lanyard.journal.v1.rs"));
}

/// The first byte of a record that holds a [`v1::Record`]. No message of protobuf begins with it,
/// nor does JSON.
pub const FORM_V1: u8 = 1;
/// Later forms have smaller numbers than this: the bytes that begin no text.
const FORMS_END: u8 = 32;
/// The first byte of a record in JSON.
const FORM_JSON: u8 = b'{';

/// Renders a record in the newest form.
#[must_use]
pub fn encode(record: &Record) -> Vec<u8> {
    let message = record.store();
    let mut bytes = Vec::with_capacity(1 + message.encoded_len());
    bytes.push(FORM_V1);
    bytes.extend_from_slice(&message.encode_to_vec());
    bytes
}

/// Reads a record of any form.
///
/// # Errors
/// See [`Unread`].
pub fn decode(bytes: &[u8]) -> Result<Record, Unread> {
    match bytes.split_first() {
        Some((&FORM_JSON, _)) => {
            serde_json::from_slice(bytes).map_err(|error| Unread::Malformed(error.to_string()))
        }
        Some((&FORM_V1, message)) => decode_v1(message),
        Some((form, _)) if *form < FORMS_END => Err(Unread::Form(*form)),
        Some(_) => Err(Unread::Malformed(
            "its first byte is that of no form".to_owned(),
        )),
        None => Err(Unread::Malformed("the record is empty".to_owned())),
    }
}

fn decode_v1(message: &[u8]) -> Result<Record, Unread> {
    let malformed = |error: prost::DecodeError| Unread::Malformed(error.to_string());
    let record = v1::Record::decode(message).map_err(malformed)?;
    let malformed = |why: &str| Err(Unread::Malformed(why.to_owned()));
    match (&record.command, head::numbers(message)) {
        (_, Numbers::Several) => malformed("the record has two commands"),
        (None, Numbers::One(number)) => Err(Unread::Kind(number)),
        (_, Numbers::None) => malformed("the record has no command"),
        (Some(_), Numbers::One(_)) => Record::restore(record),
    }
}

/// The record as JSON, in the form that `lanyard audit -o json` promises. A record that was written
/// as JSON is returned as it stands, and a message that cannot be read with its time and kind
/// alone.
#[must_use]
pub fn json(bytes: &[u8]) -> Cow<'_, str> {
    if bytes.first() != Some(&FORM_V1) {
        return String::from_utf8_lossy(bytes);
    }
    let rendered = decode(bytes)
        .ok()
        .map(|record| serde_json::to_string(&record));
    match rendered {
        Some(Ok(json)) => json.into(),
        Some(Err(_)) | None => {
            let Head { at, kind } = head(bytes);
            serde_json::json!({"at": at, "command": {"type": kind}})
                .to_string()
                .into()
        }
    }
}
