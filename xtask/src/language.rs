//! The language of doc comments and constants: a doc comment has a subject and says something that
//! the name does not, a constant's name holds its object and its unit, and comments end at 100
//! columns.

use std::path::PathBuf;

use anyhow::{Context, Result};

/// Words that leave a doc comment without a subject when they begin it.
const NO_SUBJECTS: [&str; 30] = [
    "As",
    "How",
    "It",
    "Its",
    "Nobody",
    "Of",
    "One",
    "Over",
    "Same",
    "Such",
    "That",
    "Their",
    "Them",
    "These",
    "They",
    "This",
    "Those",
    "What",
    "Whatever",
    "When",
    "Where",
    "Whether",
    "Which",
    "Who",
    "Whoever",
    "Whom",
    "Whose",
    "Why",
    "Nothing",
    "Everybody",
];

/// The fewest words of a doc comment; fewer repeat the name.
const FEWEST_WORDS: usize = 4;

/// Words that name no object or no unit, wherever they stand in a constant's name.
const VAGUE_WORDS: [&str; 7] = [
    "LEAST",
    "LONGEST",
    "MOST",
    "PATIENCE",
    "SOON",
    "SOMETIMES",
    "TOGETHER",
];

/// Names of constants that say what is measured, or where, and not both.
const VAGUE_NAMES: [&str; 27] = [
    "AHEAD", "ALL", "AT_ONCE", "BACK", "BATCH", "BETWEEN", "CALL", "CUT", "EACH", "FRESH", "HELD",
    "KEPT", "LEEWAY", "LEVEL", "LIFE", "LIFETIME", "LIMIT", "PAGE", "PAUSE", "PLACES", "RETRY",
    "ROUNDING", "SIZE", "SKEW", "UNREAD", "WAIT", "WINDOW",
];

/// The columns at which comments end.
const COLUMNS: usize = 100;

/// Checks every Rust source: the language of those in `crates`, and the width of all.
///
/// # Errors
/// When a source cannot be read.
pub(crate) fn faults(sources: &[PathBuf]) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let is_rust = |source: &&PathBuf| source.extension().is_some_and(|it| it == "rs");
    for source in sources.iter().filter(is_rust) {
        let text = std::fs::read_to_string(source).with_context(|| source.display().to_string())?;
        let mut of_file: Vec<(usize, String)> = too_wide(&text).collect();
        if source.starts_with("crates") {
            of_file.extend(of_text(&text));
        }
        let of_file = of_file.into_iter();
        faults.extend(of_file.map(|(line, fault)| format!("{}:{line}: {fault}", source.display())));
    }
    Ok(faults)
}

/// Finds the lines of comments that go on behind [`COLUMNS`] although they could be broken before:
/// tables, drawings and addresses cannot.
fn too_wide(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut is_code = false;
    let lines = text.lines().enumerate().filter(move |(_, line)| {
        let written = line.trim_start();
        let Some(comment) = written.strip_prefix("//") else {
            is_code = false;
            return false;
        };
        let comment = comment.trim_start_matches(['/', '!']).trim_start();
        if comment.starts_with("```") {
            is_code = !is_code;
        }
        let fits: String = line.chars().take(COLUMNS).collect();
        let start = line.len() - comment.len();
        let is_breakable = fits.get(start..).is_some_and(|fits| fits.contains(' '));
        !is_code && !comment.starts_with('|') && line.chars().count() > COLUMNS && is_breakable
    });
    lines.map(|(at, _)| {
        (
            at + 1,
            format!("the comment goes on behind column {COLUMNS}"),
        )
    })
}

/// The faults of one file, each with the number of its line.
fn of_text(text: &str) -> impl Iterator<Item = (usize, String)> {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    // Doc comments of a command line are its help, which has a rule of its own: the imperative, and
    // three words or more.
    let is_help = text.contains("clap::");
    let mut faults = Vec::new();
    let mut block: Vec<&str> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if let Some(rest) = line.strip_prefix("///") {
            block.push(rest.trim());
            continue;
        }
        if !block.is_empty() {
            let first = at + 1 - block.len();
            let found = comment_fault(&block.join(" "), is_help);
            faults.extend(found.map(|fault| (first, fault)));
            block.clear();
        }
        faults.extend(constant_fault(line).map(|fault| (at + 1, fault)));
    }
    faults.into_iter()
}

/// The fault of one doc comment.
fn comment_fault(text: &str, is_help: bool) -> Option<String> {
    let mut words = text.split_whitespace();
    let first = words.next().unwrap_or_default();
    let bare = first.trim_end_matches(|c: char| !c.is_alphanumeric());
    if NO_SUBJECTS.contains(&bare) {
        return Some(format!(
            "the doc comment begins with `{bare}`: begin with the subject that acts, or with the thing itself"
        ));
    }
    let count = words.count() + 1;
    (count < FEWEST_WORDS && !is_help).then(|| {
        format!("the doc comment `{text}` has {count} words: say what the name does not, or rename and delete it")
    })
}

/// The fault of a line that declares a constant.
fn constant_fault(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("const ")?;
    let is_declaration = line.starts_with("const ") || line.starts_with("pub");
    let (name, kind) = rest.split_once(':').filter(|_| is_declaration)?;
    // `Code::ALL` is always read with the name of its type.
    let is_vague_name = VAGUE_NAMES.contains(&name) && !kind.contains("Self");
    let is_vague = name.split('_').any(|word| VAGUE_WORDS.contains(&word));
    (is_vague || is_vague_name).then(|| {
        format!("the constant `{name}` names no object or no unit: `MAX_QUEUED_COMMANDS`, `REPORT_INTERVAL`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<(usize, String)> {
        of_text(text).collect()
    }

    #[test]
    fn a_doc_comment_has_a_subject_and_says_more_than_the_name() {
        for bad in [
            "/// It is dead.\nfn a() {}\n",
            "/// Whether the lease is dead, by all that is known.\nfn a() {}\n",
            "fn b() {}\n\n/// The lease.\nfn a() {}\n",
            "/// One.\n///\n/// # Errors\nfn a() {}\n",
        ] {
            assert_eq!(faults(bad).len(), 1, "{bad}");
        }
        assert_eq!(faults("fn b() {}\n\n/// What it is.\nfn a() {}\n")[0].0, 3);
        let good = "/// Revokes the leases that are due.\nfn a() {}\n/// Onerous work is shared.\nfn b() {}\n";
        assert_eq!(faults(good), []);
        let help = "use clap::Args;\n/// Show health\nfn a() {}\n";
        assert_eq!(faults(help), []);
    }

    #[test]
    fn a_comment_ends_at_the_last_column_unless_nothing_breaks_it() {
        let words = "word ".repeat(COLUMNS / 5);
        let wide = format!("fn a() {{}}\n    // {words}more\n");
        let found: Vec<_> = too_wide(&wide).collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, 2);
        let address = "x".repeat(COLUMNS);
        for good in [
            format!("// {}\n", words.trim_end_matches("word ")),
            format!("/// <https://{address}>\n"),
            format!("//! | {words}more |\n"),
            format!("//! ```text\n//! {words}more\n//! ```\n"),
            format!("let text = \"{words}more\";\n"),
        ] {
            assert_eq!(too_wide(&good).count(), 0, "{good}");
        }
    }

    #[test]
    fn a_constant_names_its_object_and_its_unit() {
        for bad in [
            "const MOST: usize = 1;\n",
            "pub(crate) const LONGEST_NAME: usize = 1;\n",
            "    const PATIENCE: Duration = Duration::ZERO;\n",
            "const SIZE: usize = 1;\n",
        ] {
            assert_eq!(faults(bad).len(), 1, "{bad}");
        }
        for good in [
            "const MAX_QUEUED_COMMANDS: usize = 1;\n",
            "const fn most() -> u8 { 1 }\n",
            "let x = |it: *const MOST| 1;\n",
            "const ALMOST_FULL_BYTES: usize = 1;\n",
            "    pub const ALL: [Self; 3] = [Self::A, Self::B, Self::C];\n",
        ] {
            assert_eq!(faults(good), [], "{good}");
        }
    }
}
