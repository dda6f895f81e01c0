//! The time and the kind of a record, also of a kind that this version does not know.

use std::borrow::Cow;

use lanyard_vocabulary::time::Timestamp;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use serde_json::Value;

use crate::{FORM_JSON, FORM_V1};

/// The time and the kind of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The time at which the writer accepted the command; `None` where it cannot be read.
    pub at: Option<Timestamp>,
    /// The kind by the name of [`lanyard_core::command::Command::KINDS`]; `unknown-57` for a number
    /// that this version does not know, and empty where it cannot be read.
    pub kind: Cow<'static, str>,
}

/// The numbers of the kinds in `v1::Record`. A number is never used again.
const KINDS: [(u32, &str); 36] = [
    (10, "begin-mint"),
    (11, "confirm-mint"),
    (12, "delivered"),
    (13, "stop"),
    (14, "advance"),
    (15, "forget"),
    (16, "charter-in-force"),
    (17, "charter-withdrawn"),
    (18, "open-task"),
    (19, "close-task"),
    (20, "deny"),
    (21, "deny-more"),
    (22, "outlives"),
    (23, "submit-plan"),
    (24, "approve"),
    (25, "reject"),
    (26, "withdraw"),
    (27, "recognize"),
    (28, "kill"),
    (29, "withdraw-kill"),
    (30, "pause"),
    (31, "resume"),
    (32, "declare-emergency"),
    (33, "end-emergency"),
    (34, "report"),
    (35, "alert"),
    (36, "propose-rearm"),
    (37, "confirm-rearm"),
    (38, "observe"),
    (39, "begin-session"),
    (40, "enrolment"),
    (41, "drill"),
    (42, "started"),
    (43, "clock"),
    (44, "accept"),
    (45, "signing-key"),
];
/// The least number of a kind; smaller ones belong to the envelope.
const FIRST_KIND: u32 = 10;
const AT: u32 = 1;

/// Reads the time and the kind of a record of any form, without the rest.
#[must_use]
pub fn head(bytes: &[u8]) -> Head {
    match bytes.split_first() {
        Some((&FORM_JSON, _)) => head_of_json(bytes),
        Some((&FORM_V1, message)) => {
            let (at, numbers) = scan(message);
            Head {
                at: Some(at),
                kind: match numbers {
                    Numbers::One(number) => kind(number),
                    Numbers::None | Numbers::Several => Cow::default(),
                },
            }
        }
        Some(_) | None => Head::default(),
    }
}

/// The kinds in a message. A writer puts in one; two would be found under one kind and take effect
/// as the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    None,
    One(u32),
    Several,
}

/// The numbers of the kinds in a message.
pub(crate) fn numbers(message: &[u8]) -> Numbers {
    scan(message).1
}

fn kind(number: u32) -> Cow<'static, str> {
    let known = KINDS.iter().find(|(known, _)| *known == number);
    known.map_or_else(
        || format!("unknown-{number}").into(),
        |(_, name)| (*name).into(),
    )
}

fn scan(mut message: &[u8]) -> (Timestamp, Numbers) {
    let (mut at, mut numbers) = (Timestamp::EPOCH, Numbers::None);
    while !message.is_empty() {
        let Ok((tag, wire_type)) = decode_key(&mut message) else {
            break;
        };
        if tag >= FIRST_KIND {
            numbers = match numbers {
                Numbers::None => Numbers::One(tag),
                Numbers::One(_) | Numbers::Several => Numbers::Several,
            };
        }
        let read = if tag == AT && wire_type == WireType::Varint {
            decode_varint(&mut message).map(|millis| at = Timestamp::from_millis(millis))
        } else {
            skip_field(wire_type, tag, &mut message, DecodeContext::default())
        };
        if read.is_err() {
            break;
        }
    }
    (at, numbers)
}

fn head_of_json(bytes: &[u8]) -> Head {
    let record: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let kind = record
        .get("command")
        .and_then(|command| command.get("type"))
        .and_then(Value::as_str);
    Head {
        at: record
            .get("at")
            .and_then(Value::as_u64)
            .map(Timestamp::from_millis),
        kind: kind.unwrap_or_default().to_owned().into(),
    }
}
