//! The description beside the charters of the tree, and beside a charter with one entry changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanyard_document::{Code, Diagnostic, Findings, Node, Severity, read};
use lanyard_testkit::schema::{Validator, changed};
use lanyard_vocabulary::digest::Digest;

use super::*;
use crate::charter::Charter;
use crate::language::PolicyFiles;
use crate::world::World;

/// Every field of the language.
const FULL: &str = include_str!("full.yaml");
/// The text of every policy.
const POLICY: &str = "package lanyard";

/// A folder in which every policy stands.
struct Every;

impl PolicyFiles for Every {
    fn read(&self, paths: &[&str]) -> Result<Vec<Arc<str>>, Vec<(usize, String)>> {
        Ok(paths.iter().map(|_| POLICY.into()).collect())
    }
}

fn full() -> Node {
    let digest = Digest::of(POLICY.as_bytes()).to_string();
    let text = FULL.replace("PROMPT", &format!("\"{digest}\""));
    read(&text.replace("POLICY", &format!("\"{digest}\""))).unwrap()
}

fn world() -> World {
    let text = include_str!("../../../../../tests/charters/lanyard.yaml");
    World::of_configuration(text).unwrap()
}

/// Reads a charter, without the rules that no field breaks alone.
fn faults(root: &Node, shape: &Shape, world: &World) -> (Option<Charter>, Vec<Diagnostic>) {
    let findings = Findings::default();
    let charter = sections::charter(findings.item(root, shape), "", (world, &Every));
    let mut faults = findings.sorted();
    faults.retain(|fault| fault.severity() == Severity::Error);
    (charter, faults)
}

fn corpus(kind: &str) -> Vec<(PathBuf, Node)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/charters");
    let entries = std::fs::read_dir(folder.join(kind)).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    let charters = files.filter(|path| crate::is_charter_file(path));
    let read = charters.filter_map(|path| {
        let root = read(&std::fs::read_to_string(&path).unwrap()).ok()?;
        Some((path, root))
    });
    read.collect()
}

#[test]
fn every_described_field_is_read_and_every_field_that_is_read_is_described() {
    let shape = shape(MoreKinds::default());
    let (charter, faults) = faults(&full(), &shape, &world());
    assert!(charter.is_some() && faults.is_empty(), "{faults:?}");
    assert_eq!(shape.untaken(), Vec::<String>::new());
}

/// Holds the schema to the reader; tells whether the reader accepts the charter, and whether it
/// misses a field or finds one too many.
fn compare(root: &Node, faults: &[Diagnostic], fits: bool) -> (bool, bool) {
    assert!(fits || !faults.is_empty(), "the schema refuses {root:?}");
    let about_fields =
        |fault: &Diagnostic| matches!(fault.code, Code::UnknownField | Code::Missing);
    let by_fields = faults.iter().any(about_fields);
    assert!(!fits || !by_fields, "the schema accepts {faults:?}");
    (faults.is_empty(), by_fields)
}

#[test]
fn the_schema_refuses_nothing_that_the_reader_accepts_and_knows_the_same_fields() {
    let (shape, schema, world) = (
        shape(MoreKinds::default()),
        schema(MoreKinds::default()),
        world(),
    );
    let validator = Validator::default();
    let (mut accepted, mut refused) = (0, 0);
    for root in changed(&full(), &["", "x", "9h"]) {
        let (_, faults) = faults(&root, &shape, &world);
        let (reads, by_fields) = compare(&root, &faults, validator.fits(&schema, &root));
        accepted += u32::from(reads);
        refused += u32::from(by_fields);
    }
    assert!(accepted > 150 && refused > 200, "{accepted} {refused}");
}

#[test]
fn the_schema_and_the_reader_agree_about_the_charters_of_the_tree() {
    let (shape, schema, world) = (
        shape(MoreKinds::default()),
        schema(MoreKinds::default()),
        world(),
    );
    let validator = Validator::default();
    for kind in ["good", "odd", "bad"] {
        let all = corpus(kind);
        assert!(all.len() > 4, "{kind}");
        for (path, root) in all {
            let (_, faults) = faults(&root, &shape, &world);
            compare(&root, &faults, validator.fits(&schema, &root));
            assert!(kind == "bad" || faults.is_empty(), "{path:?}: {faults:?}");
        }
    }
}

const HEAD: &str = "# Charter reference

Every field of a charter, from the description that charters are read by; [charter.md](charter.md)
says what they mean together, and [findings.md](findings.md) what lint says of them. `lanyard charter
schema` prints the same as a JSON Schema, for editors. A list is written `name[]`, and a map whose
names you choose `name.*`.

";

/// `LANYARD_UPDATE=1` writes the page anew.
#[test]
fn the_reference_is_the_description() {
    let page = lanyard_testkit::pages::docs().join("charter-reference.md");
    let text = format!("{HEAD}{}", shape(MoreKinds::default()).reference());
    if std::env::var_os("LANYARD_UPDATE").is_some() {
        std::fs::write(&page, &text).unwrap();
    }
    let written = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(
        written == text,
        "run this with LANYARD_UPDATE=1, and read the difference"
    );
}
