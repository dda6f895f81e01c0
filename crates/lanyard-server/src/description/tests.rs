//! The description beside the configurations of the tree, and beside each of them with one entry
//! changed.

use std::path::Path;

use lanyard_document::{Code, Diagnostic, Findings, Node, read};
use lanyard_testkit::schema::{Validator, changed};

use super::*;
use crate::config::tests::{GOOD, parsed};
use crate::config::{self, Config};

/// Every field, but for those that exclude each other.
const FULL: &str = include_str!("full.yaml");
/// The fields that `FULL` has no place for.
const OTHERS: &str = include_str!("others.yaml");

fn faults(root: &Node, shape: &Shape) -> (Option<Config>, Vec<Diagnostic>) {
    let findings = Findings::default();
    let read = config::config(
        findings.item(root, shape),
        Path::new("/x"),
        Kinds::default(),
    );
    (read, findings.sorted())
}

#[test]
fn every_described_field_is_read_and_every_field_that_is_read_is_described() {
    let shape = shape(Kinds::default());
    for text in [FULL, OTHERS] {
        let (config, faults) = faults(&read(text).unwrap(), &shape);
        assert!(config.is_some() && faults.is_empty(), "{faults:?}");
    }
    assert_eq!(shape.untaken(), Vec::<String>::new());
}

#[test]
fn an_empty_section_is_an_absent_one() {
    let with = |more: &str| parsed(&format!("{GOOD}{more}")).identities;
    let (absent, empty) = (
        with(""),
        with("sessions: {}\nquotas: {}\nfresh_login: {}\n"),
    );
    assert_eq!(empty.lifetimes.agents, absent.lifetimes.agents);
    assert_eq!(empty.lifetimes.people, absent.lifetimes.people);
    assert_eq!(empty.quotas, absent.quotas);
}

/// The configurations of this crate, and those of the pages.
fn corpus() -> Vec<Node> {
    let own = [FULL, OTHERS, GOOD, include_str!("../dev/lanyardd.yaml")];
    let mut all: Vec<_> = own.into_iter().map(|text| read(text).unwrap()).collect();
    for block in lanyard_testkit::pages::blocks() {
        let is_whole = ["data_dir:", "environments:", "targets:"];
        if is_whole.iter().all(|part| block.text.contains(part)) {
            all.extend(read(&block.text));
        }
    }
    all
}

#[test]
fn the_schema_refuses_nothing_that_the_reader_accepts_and_knows_the_same_fields() {
    let (shape, schema) = (shape(Kinds::default()), schema(Kinds::default()));
    let validator = Validator::default();
    let (mut accepted, mut refused) = (0, 0);
    for document in corpus() {
        let all = changed(
            &document,
            &["", "x", "0", "9h", "https://x.example", "read me"],
        );
        for document in all.into_iter().chain([document]) {
            let (_, faults) = faults(&document, &shape);
            let fits = validator.fits(&schema, &document);
            if faults.is_empty() {
                accepted += 1;
                assert!(fits, "the schema refuses {document:?}");
            }
            let by_fields = faults.iter().any(|fault| {
                let about_fields = matches!(fault.code, Code::UnknownField | Code::Missing);
                // What another section of the file would have to say.
                about_fields && !fault.message.contains("nothing says which agents")
            });
            if by_fields {
                refused += 1;
                assert!(!fits, "the schema accepts {faults:?}");
            }
        }
    }
    assert!(accepted > 200 && refused > 150, "{accepted} {refused}");
}

const HEAD: &str = "# Configuration reference

Every field of `lanyardd.yaml`, from the description that the daemon reads the file by; [configuration.md](configuration.md) says
what they mean together. `lanyardd schema` prints the same as a JSON Schema, for editors. A list is written `name[]`, and a map whose
names you choose `name.*`.

";

/// `LANYARD_UPDATE=1` writes the page anew.
#[test]
fn the_reference_is_the_description() {
    let page = lanyard_testkit::pages::docs().join("configuration-reference.md");
    let text = format!("{HEAD}{}", shape(Kinds::default()).reference());
    if std::env::var_os("LANYARD_UPDATE").is_some() {
        std::fs::write(&page, &text).unwrap();
    }
    let written = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(
        written == text,
        "run this with LANYARD_UPDATE=1, and read the difference"
    );
}
