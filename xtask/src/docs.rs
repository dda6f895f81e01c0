//! `cargo xtask docs`: builds the pages as a site, in `target/site`, with README.md as its first
//! page. With `--api`, it builds the reference of the crates instead.

mod api;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::build;
use crate::links;

/// The release of mdBook that builds the site.
const MDBOOK: &str = "0.5.4";

const BOOK: &str = r#"[book]
title = "Lanyard"
description = "A credential broker for AI agents"
language = "en"
src = "pages"

[build]
build-dir = "book"
create-missing = false

[output.html]
smart-punctuation = false
"#;

const USAGE: &str = "usage: cargo xtask docs [--api]";

/// Builds the site, or the reference of the crates.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => site(),
        ["--api"] => api::run(),
        [..] => bail!("{USAGE}"),
    }
}

/// Checks the links, and builds the site.
fn site() -> Result<()> {
    let faults = links::faults()?;
    if !faults.is_empty() {
        bail!("links:\n  {}", faults.join("\n  "));
    }
    let folder = Path::new("target/site");
    let pages = folder.join("pages");
    if pages.exists() {
        std::fs::remove_dir_all(&pages)?;
    }
    std::fs::create_dir_all(&pages)?;
    std::fs::write(folder.join("book.toml"), BOOK)?;
    for page in tracked()? {
        let copy = pages.join(&page);
        if let Some(parent) = copy.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::copy(&page, &copy).with_context(|| page.display().to_string())?;
    }
    let summary = std::fs::read_to_string(links::SUMMARY)?;
    std::fs::write(pages.join("SUMMARY.md"), from_the_top(&summary))?;
    build::succeed(Command::new(mdbook()?).arg("build").arg(folder))?;
    println!("docs: ok, {}", folder.join("book/index.html").display());
    Ok(())
}

/// Lists the pages, and the files that they show or link to.
fn tracked() -> Result<Vec<PathBuf>> {
    let listed = Command::new("git")
        .args([
            "ls-files",
            "*.md",
            "docs",
            "charts",
            "sdk",
            "crates/*/examples",
        ])
        .args(["LICENSE", "crates/lanyard-testkit/tests/hare"])
        .output()
        .context("git does not start")?;
    let listed = String::from_utf8(listed.stdout)?;
    Ok(listed.lines().map(PathBuf::from).collect())
}

/// Returns the table of contents with links that start at the project's root.
fn from_the_top(summary: &str) -> String {
    summary
        .replace("](../", "](\u{0}")
        .replace("](", "](docs/")
        .replace("](docs/)", "]()")
        .replace("](docs/\u{0}", "](")
}

/// Finds mdBook, if this machine has the release that builds the site.
fn mdbook() -> Result<PathBuf> {
    let install = format!("install it with `cargo install mdbook --locked --version {MDBOOK}`");
    let Ok(version) = Command::new("mdbook").arg("--version").output() else {
        bail!("there is no mdbook on this machine: {install}");
    };
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    if !version.ends_with(MDBOOK) {
        bail!("this machine has {version}, and the site is made with v{MDBOOK}: {install}");
    }
    Ok(PathBuf::from("mdbook"))
}

#[cfg(test)]
mod tests {
    use super::from_the_top;

    #[test]
    fn the_table_of_contents_is_seen_from_the_top() {
        let summary = "[Overview](../README.md)\n- [Part]()\n  - [Quickstart](quickstart.md)\n";
        assert_eq!(
            from_the_top(summary),
            "[Overview](README.md)\n- [Part]()\n  - [Quickstart](docs/quickstart.md)\n"
        );
    }
}
