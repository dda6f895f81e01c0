//! `cargo xtask conformance`: puts the columns that the conformance suite left side by side, as
//! `docs/conformance.md` has them.
//!
//! Every provider has to play every case on at least one of its servers.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};
use lanyard_vocabulary::text::folded_below;
use serde_json::Value;

use crate::build;
use crate::servers::Servers;

/// The providers whose columns have to be there.
const PROVIDERS: [&str; 5] = ["aws", "github", "kubernetes", "token", "vault"];
/// The provider of the worked example, which is not shipped.
const EXAMPLE: &str = "hare";
const PAGE: &str = "docs/conformance.md";
/// The width of prose in the documentation.
const PROSE_COLUMNS: usize = 100;
const OPENING: &str = "# What each provider was shown to do

Every provider plays the same cases: the table of the last run of `cargo xtask test`, by provider
and server.

- `passed`: it holds, seen at the server by the use of the credential.
- `rests on`: the provider did its part; what that means there rests on what the note names.
- `not here`: this server cannot play it, and another one of the same provider did.
- `never`: minting and revoking call nobody, so nobody can fail.

The cases are described in `crates/lanyard-testkit/src/conformance/case.rs`;
[a page](add-a-provider.md) shows how a provider of your own is put through them.

";

/// The outcome of every case on one server.
struct Column {
    provider: String,
    server: String,
    cells: Vec<Cell>,
}

struct Cell {
    case: String,
    played: String,
    reason: String,
}

/// Runs the tests of the providers alone, and prints the table.
pub(crate) fn run() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let servers = Servers::start(directory.path());
    let columns = directory.path().join("conformance");
    std::fs::create_dir(&columns)?;
    let mut tests = build::cargo();
    tests.args(["test", "--locked", "--quiet", "--no-fail-fast"]);
    for provider in PROVIDERS {
        tests.args(["--package", &format!("lanyard-provider-{provider}")]);
    }
    tests.env("LANYARD_CONFORMANCE", &columns);
    build::succeed(tests.envs(servers.environment()))?;
    servers.report();
    report(&columns)
}

/// Prints the table, and fails where a provider lacks a case or the page differs.
pub(crate) fn report(folder: &Path) -> Result<()> {
    let columns = read(folder)?;
    let table = table(&columns);
    println!("{table}");
    let lacking = lacking(&columns);
    if !lacking.is_empty() {
        bail!(
            "cases that no server of a provider played:\n  {}",
            lacking.join("\n  ")
        );
    }
    let page = format!("{OPENING}{table}");
    if std::env::var_os("LANYARD_UPDATE").is_some() {
        return std::fs::write(PAGE, page).context(PAGE);
    }
    let written = std::fs::read_to_string(PAGE).unwrap_or_default();
    let there = headings(&table);
    // A server that did not run leaves its column out, and the run has said so before.
    if there.is_subset(&headings(&written)) && there.len() < headings(&written).len() {
        println!("NOT COMPARED with {PAGE}: a server did not run");
    } else if page != written {
        bail!("{PAGE} is out of date: run this with LANYARD_UPDATE=1");
    }
    Ok(())
}

fn read(folder: &Path) -> Result<Vec<Column>> {
    let mut columns = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path)?;
        let column = column(&serde_json::from_str(&text)?);
        columns.push(column.with_context(|| path.display().to_string())?);
    }
    columns.retain(|column: &Column| column.provider != EXAMPLE);
    columns
        .sort_by(|one, other| (&one.provider, &one.server).cmp(&(&other.provider, &other.server)));
    Ok(columns)
}

fn column(value: &Value) -> Option<Column> {
    let text = |value: &Value, name: &str| Some(value.get(name)?.as_str()?.to_owned());
    let cells = value.get("cells")?.as_array()?.iter().map(|cell| {
        Some(Cell {
            case: text(cell, "case")?,
            played: text(cell, "played")?,
            reason: text(cell, "reason")?,
        })
    });
    Some(Column {
        provider: text(value, "provider")?,
        server: text(value, "server")?,
        cells: cells.collect::<Option<_>>()?,
    })
}

/// Returns a line for each case that a provider has not played.
fn lacking(columns: &[Column]) -> Vec<String> {
    let cases: BTreeSet<&str> = columns
        .iter()
        .flat_map(|column| column.cells.iter().map(|cell| cell.case.as_str()))
        .collect();
    let providers = columns.iter().map(|column| column.provider.as_str());
    let providers: BTreeSet<&str> = providers.chain(PROVIDERS).collect();
    let played = |provider: &str, case: &str| {
        let own = columns.iter().filter(|column| column.provider == provider);
        own.flat_map(|column| &column.cells)
            .any(|cell| cell.case == case && cell.played != "not here")
    };
    let mut lacking = Vec::new();
    for provider in providers {
        let owed = cases.iter().filter(|case| !played(provider, case));
        lacking.extend(owed.map(|case| format!("{provider}: {case}")));
    }
    lacking
}

fn table(columns: &[Column]) -> String {
    let mut notes: Vec<&str> = Vec::new();
    let mut table = String::from("| case |");
    for column in columns {
        table.push_str(&format!(" {} {} |", column.provider, column.server));
    }
    table.push_str("\n|---|");
    table.push_str(&"---|".repeat(columns.len()));
    let cases = columns.first().map(|column| column.cells.as_slice());
    for case in cases.unwrap_or_default() {
        table.push_str(&format!("\n| {} |", case.case));
        for column in columns {
            let cell = column.cells.iter().find(|cell| cell.case == case.case);
            let text = cell.map_or_else(|| "missing".to_owned(), |cell| shown(cell, &mut notes));
            table.push_str(&format!(" {text} |"));
        }
    }
    table.push('\n');
    for (n, note) in notes.iter().enumerate() {
        table.push_str(&format!(
            "\n{}",
            folded_below(&format!("{}. {note}", n + 1), PROSE_COLUMNS, 4)
        ));
    }
    table.push('\n');
    table
}

fn shown<'a>(cell: &'a Cell, notes: &mut Vec<&'a str>) -> String {
    if cell.reason.is_empty() {
        return cell.played.clone();
    }
    let known = notes.iter().position(|note| *note == cell.reason);
    let at = known.unwrap_or_else(|| {
        notes.push(&cell.reason);
        notes.len() - 1
    });
    format!("{} ({})", cell.played, at + 1)
}

/// Reads the names of the columns from the table's first line.
fn headings(text: &str) -> BTreeSet<String> {
    let line = text.lines().find(|line| line.starts_with("| case |"));
    let names = line.unwrap_or_default().split('|');
    names
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(provider: &str, server: &str, cells: &[(&str, &str, &str)]) -> Column {
        let cells = cells.iter().map(|(case, played, reason)| Cell {
            case: (*case).to_owned(),
            played: (*played).to_owned(),
            reason: (*reason).to_owned(),
        });
        Column {
            provider: provider.to_owned(),
            server: server.to_owned(),
            cells: cells.collect(),
        }
    }

    fn all() -> Vec<Column> {
        vec![
            column(
                "aws",
                "fake",
                &[("mint", "passed", ""), ("probe", "rests on", "a page")],
            ),
            column(
                "aws",
                "moto",
                &[("mint", "passed", ""), ("probe", "not here", "no")],
            ),
            column(
                "kubernetes",
                "fake",
                &[("mint", "passed", ""), ("probe", "not here", "no")],
            ),
        ]
    }

    #[test]
    fn what_no_server_of_a_provider_played_is_owed_and_so_is_all_of_a_provider_that_is_not_there() {
        let owed = [
            "github: mint",
            "github: probe",
            "kubernetes: probe",
            "token: mint",
            "token: probe",
            "vault: mint",
            "vault: probe",
        ];
        assert_eq!(lacking(&all()), owed);
    }

    #[test]
    fn a_reason_is_noted_once() {
        let expected = "| case | aws fake | aws moto | kubernetes fake |\n|---|---|---|---|\n\
            | mint | passed | passed | passed |\n| probe | rests on (1) | not here (2) | not here (2) |\n\n\
            1. a page\n2. no\n";
        assert_eq!(table(&all()), expected);
    }
}
