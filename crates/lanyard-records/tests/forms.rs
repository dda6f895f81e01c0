//! Every form of a record on disk, for every kind and every value.
//!
//! `tests/golden` holds the story of `lanyard_testkit::story` in each form that Lanyard has
//! written. `LANYARD_UPDATE=1` writes the newest form again, which is right only until a release
//! has written it; the others are never made again.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where its footing gives way"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use lanyard_core::command::{Command, Record};
use lanyard_records::{FORM_V1, Unread, decode, encode, head, json, v1};
use lanyard_testkit::story;
use proptest::prelude::*;
use prost::Message as _;

/// The records that every form has, the oldest one too.
fn of_every_form() -> Vec<Record> {
    story::story().into_iter().chain(story::apart()).collect()
}

fn records() -> Vec<Record> {
    of_every_form()
        .into_iter()
        .chain(story::after_json())
        .collect()
}

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(file)
}

fn lines(file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(golden(file)).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let places = (0..text.len()).step_by(2);
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    places.map(byte).collect()
}

/// The kind of a record, by serde.
fn kind(record: &Record) -> String {
    let value = serde_json::to_value(record).unwrap();
    value["command"]["type"].as_str().unwrap().to_owned()
}

#[test]
fn the_story_has_every_kind_of_record() {
    let told: BTreeSet<String> = records().iter().map(kind).collect();
    let all: BTreeSet<String> = Command::KINDS.map(str::to_owned).into();
    assert_eq!(told, all);
}

#[test]
fn a_record_is_read_as_it_was_written() {
    for record in records() {
        let bytes = encode(&record);
        assert_eq!(bytes[0], FORM_V1);
        assert_eq!(decode(&bytes).as_ref(), Ok(&record));
        let head = head(&bytes);
        assert_eq!((head.at, &*head.kind), (Some(record.at), &*kind(&record)));
    }
}

#[test]
fn json_of_earlier_versions_is_read_for_ever() {
    let records = of_every_form();
    let lines = lines("json.jsonl");
    assert_eq!(lines.len(), records.len());
    for (line, record) in lines.iter().zip(&records) {
        assert_eq!(decode(line.as_bytes()).as_ref(), Ok(record), "{line}");
        assert_eq!(json(line.as_bytes()), *line);
        let head = head(line.as_bytes());
        assert_eq!((head.at, &*head.kind), (Some(record.at), &*kind(record)));
    }
}

#[test]
fn version_1_is_read_for_ever_and_written_as_before() {
    let records = records();
    if std::env::var_os("LANYARD_UPDATE").is_some() {
        let mut text = String::new();
        for record in &records {
            writeln!(text, "{} {}", kind(record), hex(&encode(record))).unwrap();
        }
        std::fs::write(golden("v1.hex"), text).unwrap();
    }
    let lines = lines("v1.hex");
    assert_eq!(lines.len(), records.len());
    for (line, record) in lines.iter().zip(&records) {
        let (kind, bytes) = line.split_once(' ').unwrap();
        assert_eq!(decode(&unhex(bytes)).as_ref(), Ok(record), "{kind}");
        assert_eq!(hex(&encode(record)), bytes, "{kind}");
    }
}

/// The output of `lanyard audit -o json` does not depend on the form on disk.
#[test]
fn the_json_of_a_record_is_the_same_in_every_form() {
    for (line, record) in lines("json.jsonl").iter().zip(of_every_form()) {
        assert_eq!(json(&encode(&record)), *line);
    }
}

fn message(record: &Record) -> v1::Record {
    v1::Record::decode(&encode(record)[1..]).unwrap()
}

fn framed(message: &v1::Record) -> Vec<u8> {
    [&[FORM_V1], message.encode_to_vec().as_slice()].concat()
}

#[test]
fn a_field_of_a_later_version_is_passed_over() {
    for record in records() {
        let mut bytes = encode(&record);
        // Field 9, a varint: of the envelope, and of no version so far.
        bytes.extend_from_slice(&[9 << 3, 1]);
        assert_eq!(decode(&bytes).as_ref(), Ok(&record));
        assert_eq!(head(&bytes).kind, kind(&record));
    }
}

#[test]
fn what_a_later_version_wrote_is_told_from_damage() {
    let at = [8, 1];
    // Field 57, with a message of one byte.
    let of_tomorrow = [&[FORM_V1], &at[..], &[0xca, 3, 1, 0]].concat();
    assert_eq!(decode(&of_tomorrow), Err(Unread::Kind(57)));
    assert_eq!(head(&of_tomorrow).kind, "unknown-57");
    assert_eq!(
        json(&of_tomorrow),
        r#"{"at":1,"command":{"type":"unknown-57"}}"#
    );

    assert_eq!(decode(&[2, 8, 1]), Err(Unread::Form(2)));

    let kill = |change: &dyn Fn(&mut v1::KillOrder)| {
        let records = records();
        let mut killed = records
            .iter()
            .map(message)
            .find(|message| matches!(message.command, Some(v1::record::Command::Kill(_))))
            .unwrap();
        if let Some(v1::record::Command::Kill(order)) = &mut killed.command {
            change(order);
        }
        decode(&framed(&killed)).unwrap_err()
    };
    let later = [
        kill(&|order| order.roles = 99),
        kill(&|order| order.scope = Some(v1::Scope::default())),
        kill(&|order| order.by = Some(v1::Actor::default())),
    ];
    for why in later {
        assert!(why.is_of_a_later_version(), "{why}");
    }
    let damaged = [
        kill(&|order| order.id = vec![1, 2, 3]),
        kill(&|order| order.scope = None),
        decode(&[]).unwrap_err(),
        decode(b"no JSON at all").unwrap_err(),
        decode(&[FORM_V1]).unwrap_err(),
        decode(&[&[FORM_V1], &at[..], &[0xca, 3, 1, 0], &[0xd2, 3, 1, 0]].concat()).unwrap_err(),
        decode(&[FORM_V1, 8]).unwrap_err(),
        decode(br#"{"at":1,"command":{"type":"of-tomorrow"}}"#).unwrap_err(),
    ];
    for why in damaged {
        assert!(!why.is_of_a_later_version(), "{why}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(place: prop::sample::Index, at: prop::sample::Index, byte: u8) {
        let records = records();
        let mut bytes = encode(&records[place.index(records.len())]);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        drop((head(&bytes), json(&bytes).into_owned()));
        if let Ok(record) = decode(&bytes) {
            prop_assert_eq!(decode(&encode(&record)), Ok(record));
        }
    }
}
