//! Hostile charters (T24 to T27): whatever the bytes are, the parser answers, in time, and what it
//! prints means the same.
#![no_main]

use std::sync::LazyLock;

use lanyard_charter::{World, parse};
use lanyard_document::{print, render};
use libfuzzer_sys::fuzz_target;

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let declared = include_str!("../../tests/charters/lanyard.yaml");
    World::of_configuration(declared).unwrap_or_default()
});

fuzz_target!(|text: &str| {
    let parsed = parse(text, &WORLD);
    match &parsed {
        Ok(parsed) => drop(render("fuzzed.yaml", text, &parsed.warnings)),
        Err(findings) => {
            assert!(!findings.is_empty(), "refused without a reason");
            drop(render("fuzzed.yaml", text, findings));
        }
    }
    if let Ok(printed) = print(text) {
        assert_eq!(
            print(&printed).as_deref(),
            Ok(printed.as_str()),
            "printed twice is printed once"
        );
        let again = parse(&printed, &WORLD);
        assert_eq!(
            again.is_ok(),
            parsed.is_ok(),
            "laid out, it holds together as before"
        );
    }
});
