//! Checks the citations of the threat model and of the security review: a line that code cites has
//! to be on its page, and a test that a page names has to exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The pages whose lines are cited. A line is a table row whose first cell is its id.
const PAGES: [&str; 2] = ["docs/threat-model.md", "docs/security-review.md"];

/// Ends the row of a line that no test holds yet. The row has to say why.
const NOT_HELD: &str = "no test";

/// Compares the pages with the sources.
///
/// # Errors
/// When a page or a source cannot be read.
pub(crate) fn faults(sources: &[PathBuf]) -> Result<Vec<String>> {
    let mut lines = BTreeMap::new();
    let mut faults = Vec::new();
    for page in PAGES {
        if !Path::new(page).exists() {
            continue;
        }
        let text = std::fs::read_to_string(page).with_context(|| page.to_owned())?;
        for row in text.lines().filter_map(Row::read) {
            if let Some(before) = lines.insert(row.id.clone(), row) {
                faults.push(format!("{page}: `{}` has two rows", before.id));
            }
        }
    }
    let mut tests = BTreeSet::new();
    for source in sources {
        let text = std::fs::read_to_string(source).with_context(|| source.display().to_string())?;
        for (number, line) in text.lines().enumerate() {
            let declared = function(line);
            let named = declared.into_iter().flat_map(ids_of_name);
            for id in cited(line).chain(named) {
                if !lines.contains_key(&id) {
                    let place = format!("{}:{}", source.display(), number + 1);
                    faults.push(format!("{place}: cites `{id}`, and no page has that line"));
                }
            }
            tests.extend(declared.map(str::to_owned));
        }
    }
    for row in lines.values() {
        faults.extend(row.faults(&tests));
    }
    Ok(faults)
}

/// A row of a page's table.
struct Row {
    /// The row's id, for instance `T12`, `S07` or `IAM3`.
    id: String,
    /// The names that the row has in backticks: paths and tests.
    named: Vec<String>,
    is_held: bool,
}

impl Row {
    fn read(line: &str) -> Option<Self> {
        let cells = line.strip_prefix("| ")?.strip_suffix(" |")?;
        let (id, rest) = cells.split_once(" | ")?;
        let (letters, digits) = split(id)?;
        let known = matches!(letters, "T" | "S" | "A" | "B" | "IAM");
        let id = known.then(|| canonical(letters, digits))?;
        let named = rest.split('`').skip(1).step_by(2).map(str::to_owned);
        Some(Self {
            id,
            named: named.collect(),
            is_held: !rest.trim_end().ends_with(NOT_HELD),
        })
    }

    /// Lists the paths and tests that do not exist, and a row without a test.
    fn faults(&self, tests: &BTreeSet<String>) -> Vec<String> {
        let mut faults = Vec::new();
        let mut held_by = 0_usize;
        for name in &self.named {
            let is_path = name.contains('/') && !name.contains([' ', '*', ':']);
            if is_path
                && ["crates/", "tests/", "sdk/"]
                    .iter()
                    .any(|root| name.starts_with(root))
            {
                if !Path::new(name).exists() {
                    faults.push(format!("`{}` names `{name}`, which is not there", self.id));
                }
            } else if is_test_name(name) {
                held_by += 1;
                if !tests.contains(name) {
                    faults.push(format!(
                        "`{}` names the test `{name}`, which is not there",
                        self.id
                    ));
                }
            }
        }
        if self.is_held && held_by == 0 {
            faults.push(format!("`{}` names no test", self.id));
        }
        faults
    }
}

/// Tells a test's name by its form: three words or more with underscores between them.
fn is_test_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.bytes().all(plain)
        && (name.matches('_').count() >= 2 || name == "t01_tokens" || name == "t07_key_sets")
}

/// Finds the name of the function that a line declares, in Rust or Python.
fn function(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let after = line
        .split_once("fn ")
        .or_else(|| line.split_once("def "))?
        .1;
    let end = after.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')?;
    after.get(..end).filter(|name| !name.is_empty())
}

/// Reads the ids that a test's name cites: `t01_t03_…` cites T1 and T3, `s17_…` cites S17.
fn ids_of_name(name: &str) -> Vec<String> {
    let name = name.strip_prefix("test_").unwrap_or(name);
    // A name without an underscore cites nothing: `b64` is a function's name.
    let name = if name.contains('_') { name } else { "" };
    let words = name.split('_').map_while(|word| {
        let (letters, digits) = split(word)?;
        let known = match letters {
            "t" | "iam" => true,
            // These take two digits, because `s3` is a service of AWS.
            "s" | "a" | "b" => digits.len() == 2,
            _ => false,
        };
        known.then(|| canonical(&letters.to_ascii_uppercase(), digits))
    });
    words.collect()
}

/// Finds the ids that stand in a line as words of their own.
fn cited(line: &str) -> impl Iterator<Item = String> {
    let comment = line.find("//").or_else(|| line.find('#'));
    let comment = comment.and_then(|at| line.get(at..)).unwrap_or("");
    let words = comment.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
    words.filter_map(|word| {
        let (letters, digits) = split(word)?;
        let known = match letters {
            "T" => digits.len() <= 2,
            "S" => digits.len() == 2,
            _ => false,
        };
        known.then(|| canonical(letters, digits))
    })
}

/// Splits a word into letters and the digits behind them, if it has nothing else.
fn split(word: &str) -> Option<(&str, &str)> {
    let at = word.find(|letter: char| letter.is_ascii_digit())?;
    let (letters, digits) = word.split_at_checked(at)?;
    let whole = !letters.is_empty()
        && letters.bytes().all(|byte| byte.is_ascii_alphabetic())
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    whole.then_some((letters, digits))
}

/// Drops leading zeros, so that `t01_` and `T1` are the same id.
fn canonical(letters: &str, digits: &str) -> String {
    let digits = digits.trim_start_matches('0');
    format!("{letters}{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_test_cites_the_lines_it_begins_with() {
        assert_eq!(ids_of_name("t01_t3_the_header"), ["T1", "T3"]);
        assert_eq!(ids_of_name("s07_bodies_have_a_budget"), ["S7"]);
        assert_eq!(ids_of_name("iam10_words"), ["IAM10"]);
        assert!(ids_of_name("s3_is_a_service").is_empty());
        assert!(ids_of_name("a_t12_later").is_empty());
    }

    #[test]
    fn only_words_of_their_own_in_comments_are_citations() {
        assert_eq!(
            cited("x(); // T12, S17").collect::<Vec<_>>(),
            ["T12", "S17"]
        );
        assert_eq!(cited("// at 2026-01-01T10:00 in S3").count(), 0);
        assert_eq!(cited("struct T1;").count(), 0);
    }

    #[test]
    fn a_row_without_a_test_says_so() {
        let row = Row::read("| T70 | A replica is cut off. | Not built. | no test |")
            .map(|row| row.is_held);
        assert_eq!(row, Some(false));
        let tests = BTreeSet::from(["t20_an_approval_is_of_its_task".to_owned()]);
        let faults = |line| Row::read(line).map(|row: Row| row.faults(&tests));
        let held = faults("| T20 | Replay. | Bound. | `t20_an_approval_is_of_its_task` |");
        assert_eq!(held, Some(vec![]));
        let gone = faults("| T20 | Replay. | Bound. | `t20_gone_from_the_tests` |");
        assert_eq!(gone.map(|faults| faults.len()), Some(1));
        let none = faults("| T20 | Replay. | Bound. | |");
        assert_eq!(none.map(|faults| faults.len()), Some(1));
    }
}
