//! The corpus of charters: each good one parses, each bad one fails with exactly the text beside it.
//!
//! `LANYARD_UPDATE=1` writes the texts anew; read the difference before you keep it.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its footing gives way"
)]

use std::fs;
use std::path::{Path, PathBuf};

use lanyard_core::charter::{World, parse};
use lanyard_core::document::{Code, Diagnostic, render};
use proptest::prelude::*;

fn corpus(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/charters")
        .join(kind);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.to_string_lossy();
            name.ends_with(".yaml") && !name.ends_with(".test.yaml")
        })
        .collect();
    files.sort();
    files
}

fn world() -> World {
    let declared = include_str!("../../../tests/charters/lanyard.yaml");
    World::of_configuration(declared).unwrap()
}

#[test]
fn every_good_charter_parses() {
    for path in corpus("good") {
        let text = fs::read_to_string(&path).unwrap();
        let parsed = parse(&text, &world());
        let shown = parsed
            .as_ref()
            .err()
            .map(|findings| render("x.yaml", &text, findings));
        assert!(parsed.is_ok(), "{}:\n{}", path.display(), shown.unwrap());
        assert_eq!(parsed.unwrap().warnings, []);
    }
}

/// Holds what is said of a file to the text beside it.
fn is_said(path: &Path, text: &str, findings: &[Diagnostic]) {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let shown = render(&name, text, findings);
    let golden = path.with_extension("txt");
    if std::env::var_os("LANYARD_UPDATE").is_some() {
        fs::write(&golden, &shown).unwrap();
    }
    assert_eq!(
        shown,
        fs::read_to_string(&golden).unwrap_or_default(),
        "{name}"
    );
}

// T24, T26, T30, T36
#[test]
fn every_bad_charter_fails_with_its_text() {
    for path in corpus("bad") {
        let text = fs::read_to_string(&path).unwrap();
        is_said(&path, &text, &parse(&text, &world()).unwrap_err());
    }
}

#[test]
fn every_odd_charter_holds_together_and_has_its_text() {
    for path in corpus("odd") {
        let text = fs::read_to_string(&path).unwrap();
        is_said(&path, &text, &parse(&text, &world()).unwrap().warnings);
    }
}

#[test]
fn every_finding_about_a_charter_is_in_the_corpus() {
    // Of a file that is too large, of an alias (its anchor is found first), of two files, of the configuration, of the
    // targets.
    let elsewhere = |id: &str| {
        matches!(id, "LC003" | "LC007" | "LC022") || id.starts_with("LC4") || id.starts_with("LC5")
    };
    let texts: String = ["bad", "odd"]
        .into_iter()
        .flat_map(corpus)
        .map(|path| fs::read_to_string(path.with_extension("txt")).unwrap())
        .collect();
    let missing = Code::ALL.iter().map(|code| code.id());
    let missing: Vec<_> = missing
        .filter(|id| !elsewhere(id) && !texts.contains(&format!("[{id}]")))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn t24_a_large_file_is_refused_before_it_is_read() {
    let text = "a: b\n".repeat(60_000);
    assert_eq!(parse(&text, &world()).unwrap_err()[0].code, Code::TooLarge);
}

proptest! {
    #[test]
    fn t24_hostile_text_never_panics(text in "\\PC{0,200}|[ \\-:\\[\\]{}&*!|>'\"%@`#,?a-z\n]{0,200}") {
        drop(parse(&text, &world()));
    }

    #[test]
    fn t24_a_damaged_charter_never_panics(at in 0_usize..1200, with in any::<char>()) {
        let mut text = fs::read_to_string(&corpus("good")[0]).unwrap();
        if let Some((at, old)) = text.char_indices().nth(at) {
            text.replace_range(at..at + old.len_utf8(), &with.to_string());
        }
        let findings = parse(&text, &world()).err().unwrap_or_default();
        drop(render("x.yaml", &text, &findings));
    }
}
