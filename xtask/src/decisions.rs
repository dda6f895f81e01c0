//! The form of docs/adr: numbers without a gap, four headings, one page, and a row in the index.

use std::path::Path;

use anyhow::{Context as _, Result};

const FOLDER: &str = "docs/adr";
const INDEX: &str = "README.md";
const HEADINGS: [&str; 4] = [
    "## Context",
    "## Decision",
    "## Consequences",
    "## Decided against",
];
/// The longest that a decision's page may be.
const MOST_LINES: usize = 60;

/// Every page that has another form.
///
/// # Errors
/// When a page cannot be read.
pub(crate) fn faults() -> Result<Vec<String>> {
    let folder = Path::new(FOLDER);
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(folder).context(FOLDER)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(folder.join(&name)).with_context(|| name.clone())?;
        pages.push((name, text));
    }
    pages.sort();
    Ok(in_form(&pages))
}

/// The faults of pages by their names, the index among them.
fn in_form(pages: &[(String, String)]) -> Vec<String> {
    let index = pages.iter().find(|(name, _)| name == INDEX);
    let index = index.map_or("", |(_, text)| text);
    let decisions = pages.iter().filter(|(name, _)| name != INDEX);
    let mut faults = Vec::new();
    for (number, (name, text)) in (1..).zip(decisions) {
        let mut fault = |what: String| faults.push(format!("{FOLDER}/{name}: {what}"));
        if !name.starts_with(&format!("{number:04}-")) {
            fault(format!("the number after the page before is {number:04}"));
        }
        if !text.starts_with(&format!("# {number}. ")) {
            fault(format!("does not begin with `# {number}. `"));
        }
        let headings: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("## "))
            .collect();
        if headings != HEADINGS {
            fault(format!("the headings are not {}", HEADINGS.join(", ")));
        }
        if text.lines().count() > MOST_LINES {
            fault(format!("is longer than one page of {MOST_LINES} lines"));
        }
        if !index.contains(&format!("]({name})")) {
            fault(format!("has no row in {FOLDER}/{INDEX}"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::in_form;

    fn page(name: &str, text: &str) -> (String, String) {
        (name.to_owned(), text.to_owned())
    }

    const GOOD: &str =
        "# 1. One\n\n## Context\n\n## Decision\n\n## Consequences\n\n## Decided against\n";

    #[test]
    fn a_page_has_its_number_its_headings_and_its_row() {
        let index = page("README.md", "| 1 | [One](0001-one.md) |\n");
        let good = [page("0001-one.md", GOOD), index.clone()];
        assert_eq!(in_form(&good), Vec::<String>::new());
        for (name, text) in [
            ("0002-one.md", GOOD.to_owned()),
            ("0001-one.md", GOOD.replace("# 1.", "# 2.")),
            ("0001-one.md", GOOD.replace("## Decided against", "## More")),
            ("0001-one.md", format!("{GOOD}{}", "line\n".repeat(60))),
            ("0001-other.md", GOOD.to_owned()),
        ] {
            let bad = [page(name, &text), index.clone()];
            assert!(!in_form(&bad).is_empty(), "{name}: {text}");
        }
    }
}
