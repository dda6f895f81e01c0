//! `lanyard runbook`: the pages for the night, in the program, so that they are there when nothing
//! else is.

use clap::Args;
use lanyard_document::near_names;

use crate::outcome::Outcome;
use crate::table::{Rows, key, prose};
use crate::{Global, text};

/// So many near names are told.
const NEAR_NAMES: usize = 3;

/// A page: its name, when to read it, and its text.
struct Page {
    name: &'static str,
    when: &'static str,
    text: &'static str,
}

/// The pages, the most urgent first.
const PAGES: [Page; 9] = [
    Page {
        name: "stop-one-agent",
        when: "an agent does what it should not",
        text: include_str!("../../../docs/runbook/stop-one-agent.md"),
    },
    Page {
        name: "stop-everything",
        when: "nobody knows what it is",
        text: include_str!("../../../docs/runbook/stop-everything.md"),
    },
    Page {
        name: "the-broker-is-down",
        when: "the broker does not answer, and something has to stop",
        text: include_str!("../../../docs/runbook/the-broker-is-down.md"),
    },
    Page {
        name: "a-provider-is-down",
        when: "a kill waits for a provider",
        text: include_str!("../../../docs/runbook/a-provider-is-down.md"),
    },
    Page {
        name: "re-arm",
        when: "it is over: two people let it go again",
        text: include_str!("../../../docs/runbook/re-arm.md"),
    },
    Page {
        name: "when-the-disk-fails",
        when: "the status names the disk, the journal or a file",
        text: include_str!("../../../docs/runbook/when-the-disk-fails.md"),
    },
    Page {
        name: "the-clock-is-wrong",
        when: "the status says clock-jumped or journal-ahead",
        text: include_str!("../../../docs/runbook/the-clock-is-wrong.md"),
    },
    Page {
        name: "a-signing-key-leaked",
        when: "somebody may have a signing key, or a backup",
        text: include_str!("../../../docs/runbook/a-signing-key-leaked.md"),
    },
    Page {
        name: "after-a-restore",
        when: "the data directory is an older copy",
        text: include_str!("../../../docs/runbook/after-a-restore.md"),
    },
];

#[derive(Args)]
pub(crate) struct Runbook {
    /// The page; the pages are listed where none is named
    name: Option<String>,
}

pub(crate) fn run(global: &Global, asked: &Runbook) -> Result<(), Outcome> {
    let Some(name) = &asked.name else {
        let mut rows = Rows::of([key("page"), prose("when", 1, 20)]);
        for page in &PAGES {
            rows.push([page.name.to_owned(), page.when.to_owned()]);
        }
        rows.print(global.output);
        return Ok(());
    };
    print!("{}", found(name)?.text);
    Ok(())
}

/// The page of a name, however it is written: with its ending, its folder, or spaces.
fn found(asked: &str) -> Result<&'static Page, Outcome> {
    let name = asked.trim().trim_end_matches(".md");
    let name = name.rsplit('/').next().unwrap_or(name);
    let name = name.to_lowercase().replace([' ', '_'], "-");
    if let Some(page) = PAGES.iter().find(|page| page.name == name) {
        return Ok(page);
    }
    let near = near_names(&name, PAGES.iter().map(|page| page.name), NEAR_NAMES);
    let hint = match near.as_slice() {
        [] => {
            let names: Vec<_> = PAGES.iter().map(|page| page.name).collect();
            format!("; the pages are {}", names.join(", "))
        }
        near => format!("; did you mean {}?", near.join(" or ")),
    };
    let asked = text::line(asked);
    Err(Outcome::usage(format!(
        "there is no page `{asked}` in the runbook{hint}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The folder of the pages in the repository.
    fn folder() -> std::path::PathBuf {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/runbook")
    }

    #[test]
    fn u32_every_page_of_the_runbook_is_in_the_program_and_fits_a_small_screen() {
        let mut files: Vec<String> = std::fs::read_dir(folder())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        files.sort();
        let mut names: Vec<String> = PAGES
            .iter()
            .map(|page| format!("{}.md", page.name))
            .collect();
        names.sort();
        assert_eq!(files, names);
        for page in &PAGES {
            assert!(page.text.starts_with("# "), "{}", page.name);
            assert!(text::width(page.name) + 2 + text::width(page.when) <= 80);
            for (number, line) in page.text.lines().enumerate() {
                assert!(
                    text::width(line) <= 80,
                    "{}.md:{}: {line}",
                    page.name,
                    number + 1
                );
            }
        }
    }

    #[test]
    fn u32_a_page_is_found_however_it_is_written() {
        for asked in [
            "re-arm",
            "re-arm.md",
            "docs/runbook/re-arm.md",
            "Re-Arm",
            " re_arm",
        ] {
            assert_eq!(found(asked).ok().unwrap().name, "re-arm", "{asked}");
        }
        let said = |asked: &str| found(asked).err().unwrap().told().1.unwrap();
        assert!(said("rearm").contains("did you mean re-arm?"));
        assert!(
            said("broker-down").contains("the-broker-is-down"),
            "{}",
            said("broker-down")
        );
        assert!(said("zzz").contains("; the pages are "));
    }
}
