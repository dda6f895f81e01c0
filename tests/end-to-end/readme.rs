//! What README.md shows is what the commands print.

use anyhow::{Context, Result};
use lanyard_rig::Cli;

const README: &str = include_str!("../../README.md");

/// The first block of this language behind a heading.
fn block<'a>(heading: &str, language: &str) -> Result<&'a str> {
    let (_, section) = README.split_once(heading).context("no such section")?;
    let (_, block) = section
        .split_once(&format!("```{language}\n"))
        .with_context(|| format!("no {language} below {heading}"))?;
    let (block, _) = block.split_once("```").context("the block does not end")?;
    Ok(block)
}

#[test]
fn the_charter_of_the_readme_holds_together_and_denies_what_it_is_said_to_deny() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("shop-operator.yaml");
    let heading = "## A charter, and a denial";
    std::fs::write(&file, block(heading, "yaml")?)?;
    let file = file.to_string_lossy();
    let world = [
        "--environment=production=production",
        "--target=shop-account=aws",
        "--target=shop-cluster=kubernetes",
    ];
    let lanyard = Cli::offline()?;
    let linted = lanyard.run(&[&["charter", "lint", &file], &world[..]].concat())?;
    assert_eq!(linted.code, 0, "{linted:?}");
    assert!(!linted.stdout.contains("warning["), "{}", linted.stdout);
    let asked = [
        "--in",
        "production",
        "--agent",
        "https://agents.acme.example",
        "agent:operator",
        "--grant",
        "scale-workers",
    ];
    let explain = ["charter", "explain", &file];
    let explained = lanyard.run(&[&explain, &world[..], &asked].concat())?;
    let folder = format!("{}/", folder.path().display());
    let printed = format!("{}\n{}", explained.stdout, explained.stderr).replace(&folder, "");
    let console = block(heading, "console")?;
    // The first two lines are the command.
    for line in console.lines().skip(2) {
        assert!(printed.contains(line), "not printed: {line}\n{printed}");
    }
    Ok(())
}
