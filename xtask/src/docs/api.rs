//! `cargo xtask docs --api`: builds rustdoc of every crate without a warning, and a front page that
//! says where to start.
//!
//! rustdoc makes no page above the crates of a workspace, so that `cargo doc` ends at whichever
//! comes first.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::build;
use crate::edges::{self, Crate};

/// The tasks of the front page, each with the page of rustdoc where a reader starts.
const STARTS: [(&str, &str, &str); 5] = [
    (
        "Write an agent in Rust",
        "lanyard_client/index.html",
        "a task, the credential that is good now, and the news of a kill",
    ),
    (
        "Put a tool behind Lanyard",
        "lanyard_verifier/index.html",
        "middleware that checks tokens, keys and status lists",
    ),
    (
        "Call the broker in another language",
        "lanyard_proto/v1/index.html",
        "the messages and services of the wire",
    ),
    (
        "Add a provider",
        "lanyard_core/provider/trait.Provider.html",
        "what a provider promises; lanyard_testkit::conformance plays the cases",
    ),
    (
        "Read how a mint and a kill go",
        "lanyard_engine/index.html",
        "the four steps A to D, the gate, and the sweep",
    ),
];

const STYLE: &str = "body { font: 16px/1.5 system-ui, sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em; }
td { padding: .2em 1.2em .2em 0; vertical-align: top; } code { white-space: nowrap; }
@media (prefers-color-scheme: dark) { body { background: #16191d; color: #dde3ea; } a { color: #8cb8ff; } }";

/// Builds the reference, and fails on a warning.
pub(super) fn run() -> Result<()> {
    let mut doc = build::cargo();
    doc.args(["doc", "--workspace", "--no-deps", "--locked", "--quiet"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    build::succeed(&mut doc)?;
    let folder = target()?.join("doc");
    let lost: Vec<&str> = STARTS
        .iter()
        .map(|(_, page, _)| *page)
        .filter(|page| !folder.join(page).exists())
        .collect();
    if !lost.is_empty() {
        bail!(
            "the front page leads to what rustdoc has not made: {}",
            lost.join(", ")
        );
    }
    let page = folder.join("index.html");
    std::fs::write(&page, front(&edges::packages()?, &folder)).context("the front page")?;
    println!("docs: ok, {}", page.display());
    Ok(())
}

/// Returns the folder that cargo builds in.
fn target() -> Result<PathBuf> {
    let mut metadata = build::cargo();
    metadata.args([
        "metadata",
        "--no-deps",
        "--format-version",
        "1",
        "--offline",
    ]);
    let metadata: Value = serde_json::from_str(&build::output(&mut metadata)?)?;
    let target = metadata.get("target_directory").and_then(Value::as_str);
    Ok(PathBuf::from(
        target.context("cargo names no target directory")?,
    ))
}

fn front(crates: &[Crate], folder: &Path) -> String {
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Lanyard: the crates</title>\n\
         <style>{STYLE}</style></head><body>\n<h1>Lanyard: the crates</h1>\n\
         <p>A credential broker for AI agents. Users need the two programs and the pages of docs/; the crates are\n\
         for whoever writes an agent, a tool or a provider, or works on Lanyard.</p>\n<h2>Start here</h2>\n<table>\n"
    );
    for (what, page, why) in STARTS {
        writeln!(
            text,
            "<tr><td><a href=\"{page}\">{what}</a></td><td>{why}</td></tr>"
        )
        .ok();
    }
    text.push_str("</table>\n<h2>All crates</h2>\n<table>\n");
    for it in crates {
        let Some(page) = page_of(&it.name, folder) else {
            continue;
        };
        writeln!(
            text,
            "<tr><td><a href=\"{page}\"><code>{}</code></a></td><td>{}</td></tr>",
            it.name,
            it.what.replace('&', "&amp;").replace('<', "&lt;")
        )
        .ok();
    }
    text.push_str("</table>\n</body></html>\n");
    text
}

/// Finds the crate's own page, whose folder is named after the library.
fn page_of(package: &str, folder: &Path) -> Option<String> {
    let page = format!("{}/index.html", package.replace('-', "_"));
    folder.join(&page).exists().then_some(page)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Crate, front};

    #[test]
    fn the_front_page_lists_the_crates_that_have_a_page() {
        let Ok(folder) = tempfile::tempdir() else {
            return;
        };
        let made = folder.path().join("lanyard_server");
        assert!(std::fs::create_dir(&made).is_ok());
        assert!(std::fs::write(made.join("index.html"), "").is_ok());
        let of = |name: &str| Crate {
            name: name.to_owned(),
            what: "listeners & <wiring>".to_owned(),
            needs: BTreeSet::new(),
        };
        let page = front(&[of("lanyard-server"), of("lanyard-core")], folder.path());
        assert!(
            page.contains("<a href=\"lanyard_server/index.html\"><code>lanyard-server</code></a>")
        );
        assert!(page.contains("listeners &amp; &lt;wiring>"));
        assert!(!page.contains("lanyard-core</code>"));
    }
}
