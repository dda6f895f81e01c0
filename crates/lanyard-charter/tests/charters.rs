//! The corpus of charters: each good one parses, each bad one fails with exactly the text beside
//! it.
//!
//! `LANYARD_UPDATE=1` writes the texts anew; read the difference before you keep it.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its footing gives way"
)]

use std::fs;
use std::path::{Path, PathBuf};

use lanyard_charter::{World, parse};
use lanyard_document::{
    Code, Diagnostic, MAX_DOCUMENT_BYTES, MAX_DOCUMENT_DEPTH, render, render_within,
};
use lanyard_vocabulary::text::width;
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

/// A screen has no more columns than the sentences of a finding take. Lines of the file are cut to
/// it, and words and commands stay whole.
fn fits_a_screen(name: &str, text: &str, findings: &[Diagnostic]) {
    let words = |shown: &str| -> Vec<String> {
        let sentences = shown.lines().filter(|line| !is_of_file(line));
        let words = sentences.flat_map(str::split_whitespace);
        words.map(str::to_owned).collect()
    };
    let folded = render_within(name, text, findings, Some(80));
    assert_eq!(words(&folded), words(&render(name, text, findings)));
    for line in folded.lines().filter(|line| !is_of_file(line)) {
        let sentence = line.trim_start().trim_start_matches("= help: ");
        let is_whole = !sentence.contains(' ') || sentence.contains('`');
        assert!(is_whole || width(line) <= 80, "{line}");
    }
}

/// True if the line shows the file or underlines a place of it.
fn is_of_file(line: &str) -> bool {
    line.trim_start_matches([' ', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
        .starts_with('|')
}

/// Holds what is said of a file to the text beside it.
fn is_said(path: &Path, text: &str, findings: &[Diagnostic]) {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    fits_a_screen(&name, text, findings);
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
    // Findings about a file that is too large, an alias (its anchor is found first), two files, the
    // configuration, the targets, Kubernetes objects, and the time at which the charter is linted.
    let elsewhere = |id: &str| {
        let families = ["LC4", "LC5", "LC6"];
        matches!(id, "LC003" | "LC007" | "LC022" | "LC219")
            || families.iter().any(|family| id.starts_with(family))
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

// T24
#[test]
fn t24_a_document_has_so_many_bytes_and_levels_and_no_more() {
    let is = |text: &str, code: Code| {
        let findings = parse(text, &world()).unwrap_err();
        findings.iter().any(|finding| finding.code == code)
    };
    let long = |bytes: usize| format!("a: b\n#{}\n", "x".repeat(bytes - 7));
    assert!(!is(&long(MAX_DOCUMENT_BYTES), Code::TooLarge));
    assert!(is(&long(MAX_DOCUMENT_BYTES + 1), Code::TooLarge));
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let first = (1..1000).find(|levels| is(&deep(*levels), Code::TooDeep));
    // The outermost list is at level zero.
    assert_eq!(first, Some(MAX_DOCUMENT_DEPTH + 2));
}

/// A good charter with one text replaced by another.
fn parses(file: &str, from: &str, to: &str) -> bool {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/charters/good");
    let text = fs::read_to_string(path.join(file)).unwrap();
    assert!(text.contains(from), "{file}: {from}");
    parse(&text.replacen(from, to, 1), &world()).is_ok()
}

#[test]
fn what_a_charter_may_say_has_bounds() {
    let vault = "schema-migrator.yaml";
    let terraform = "payments-terraform.yaml";
    let name = |length: usize| format!("policies: [{}]", "p".repeat(length));
    let secret = |length: usize| format!("secret: database/creds/{}", "s".repeat(length - 15));
    let cases = [
        (
            vault,
            "uses: 20",
            "uses: 100000".to_owned(),
            "uses: 100001".to_owned(),
        ),
        (vault, "policies: [ledger-config]", name(128), name(129)),
        (
            vault,
            "secret: database/creds/reporting",
            secret(512),
            secret(513),
        ),
        (
            vault,
            "    ttl: 10m",
            "    ttl: 12h".to_owned(),
            "    ttl: 721m".to_owned(),
        ),
        (
            vault,
            "task: 2h",
            "task: 24h".to_owned(),
            "task: 1441m".to_owned(),
        ),
        (
            terraform,
            "{on: denied, count: 3, within: 10m,",
            "{on: denied, count: 3, within: 720h,".to_owned(),
            "{on: denied, count: 3, within: 721h,".to_owned(),
        ),
        (
            vault,
            "live_leases: 3",
            "live_leases: 3\n    budget: {mints: 5, time: 720h}".to_owned(),
            "live_leases: 3\n    budget: {mints: 5, time: 721h}".to_owned(),
        ),
    ];
    for (file, from, most, more) in cases {
        assert!(parses(file, from, &most), "{most}");
        assert!(!parses(file, from, &more), "{more}");
    }
    let patterns = |count: usize| {
        let of = (0..count).map(|at| format!("\"sqs:X{at}*\""));
        format!("[{}]", of.collect::<Vec<_>>().join(", "))
    };
    let prohibited = "[\"iam:*\", \"kms:ScheduleKeyDeletion\"]";
    let said = |count: usize| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/charters/good");
        let text = fs::read_to_string(path.join(terraform)).unwrap();
        let parsed = parse(&text.replacen(prohibited, &patterns(count), 1), &world());
        let findings = parsed.err().unwrap_or_default();
        render("x.yaml", "", &findings).contains("at most, and these are")
    };
    // One pattern is of Kubernetes.
    assert!(!said(199) && said(200));
    let repositories = |count: usize| {
        let of = (0..count).map(|at| format!("r{at}"));
        format!("[{}]", of.collect::<Vec<_>>().join(", "))
    };
    let opener = "pull-request-opener.yaml";
    let one = "repositories: [payments, ledger]";
    assert!(parses(
        opener,
        one,
        &format!("repositories: {}", repositories(500))
    ));
    assert!(!parses(
        opener,
        one,
        &format!("repositories: {}", repositories(501))
    ));
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
