//! Checks the links of the pages: each leads to a file that is there, and to a heading that is on
//! it. Every page under `docs/` is in the table of contents.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};
use pulldown_cmark::{Event, Parser, Tag, TagEnd};

/// The table of contents of the site.
pub(crate) const SUMMARY: &str = "docs/SUMMARY.md";

/// The folders of pages, besides the project's root.
const FOLDERS: [&str; 3] = ["docs", "charts", "sdk"];

/// The headings of a page that links can lead to, and the page's own links.
#[derive(Default)]
struct Page {
    anchors: BTreeSet<String>,
    links: Vec<Link>,
}

struct Link {
    line: usize,
    to: String,
}

/// Lists every Markdown page of the project.
///
/// # Errors
/// When a folder cannot be read.
pub(crate) fn pages() -> Result<Vec<PathBuf>> {
    let mut pages = Vec::new();
    collect(Path::new("."), 1, &mut pages)?;
    for folder in FOLDERS {
        collect(Path::new(folder), usize::MAX, &mut pages)?;
    }
    Ok(pages)
}

fn collect(folder: &Path, depth: usize, pages: &mut Vec<PathBuf>) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?.path();
        let entry = entry.strip_prefix(".").unwrap_or(&entry).to_path_buf();
        if entry.is_dir() {
            let name = entry.file_name().unwrap_or_default();
            if depth > 1 && !["node_modules", ".venv"].iter().any(|other| name == *other) {
                collect(&entry, depth.saturating_sub(1), pages)?;
            }
        } else if is_page(&entry) {
            pages.push(entry);
        }
    }
    Ok(())
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|its| its == "md")
}

/// Lists the links that lead nowhere, and the pages that no reader of the site would find.
///
/// # Errors
/// When a page cannot be read.
pub(crate) fn faults() -> Result<Vec<String>> {
    let mut read = BTreeMap::new();
    for path in pages()? {
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        read.insert(path, Page::read(&text));
    }
    let mut faults = Vec::new();
    let mut listed = BTreeSet::new();
    for (path, page) in &read {
        for link in &page.links {
            let (file, anchor) = link.to.split_once('#').unwrap_or((&link.to, ""));
            let leads_to = match file {
                "" => path.clone(),
                file => beside(path, file),
            };
            let fault = |what: &str| format!("{}:{}: {what}", path.display(), link.line);
            if !leads_to.exists() {
                faults.push(fault(&format!(
                    "the link `{}` leads to no file: `{}`",
                    link.to,
                    leads_to.display()
                )));
            } else if let Some(other) = read.get(&leads_to)
                && !anchor.is_empty()
                && !other.anchors.contains(anchor)
            {
                faults.push(fault(&format!(
                    "the link `{}` leads to no heading of `{}`",
                    link.to,
                    leads_to.display()
                )));
            }
            if path == Path::new(SUMMARY) {
                listed.insert(leads_to);
            }
        }
    }
    for page in read.keys() {
        if page.starts_with("docs") && page != Path::new(SUMMARY) && !listed.contains(page) {
            faults.push(format!("{}: is not in {SUMMARY}", page.display()));
        }
    }
    Ok(faults)
}

/// Resolves a link against the page that it is on.
fn beside(page: &Path, link: &str) -> PathBuf {
    let mut path = page.parent().unwrap_or(Path::new("")).to_path_buf();
    for part in Path::new(link).components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::CurDir => {}
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => path.push(part),
        }
    }
    path
}

impl Page {
    fn read(text: &str) -> Self {
        let mut page = Self::default();
        let mut heading: Option<String> = None;
        let mut seen = BTreeMap::<String, usize>::new();
        let options = pulldown_cmark::Options::ENABLE_TABLES;
        for (event, place) in Parser::new_ext(text, options).into_offset_iter() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let slug = slug(&heading.take().unwrap_or_default());
                    let count = seen.entry(slug.clone()).or_default();
                    page.anchors.insert(match *count {
                        0 => slug,
                        count => format!("{slug}-{count}"),
                    });
                    *count += 1;
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. })
                    if !dest_url.contains("://") && !dest_url.starts_with("mailto:") =>
                {
                    let before = text.get(..place.start).unwrap_or_default();
                    page.links.push(Link {
                        line: before.matches('\n').count() + 1,
                        to: dest_url.into_string(),
                    });
                }
                Event::Text(words) | Event::Code(words) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&words);
                    }
                }
                Event::Start(_)
                | Event::End(_)
                | Event::InlineMath(_)
                | Event::DisplayMath(_)
                | Event::Html(_)
                | Event::InlineHtml(_)
                | Event::FootnoteReference(_)
                | Event::SoftBreak
                | Event::HardBreak
                | Event::Rule
                | Event::TaskListMarker(_) => {}
            }
        }
        page
    }
}

/// Makes the anchor of a heading as forges and mdBook do.
fn slug(heading: &str) -> String {
    let kept = heading
        .trim()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c })
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Page, beside, slug};

    #[test]
    fn headings_get_the_anchors_of_forges() {
        let page = Page::read("# One `person`, one vote\n\n## Again\n\n## Again\n");
        let anchors: Vec<&str> = page.anchors.iter().map(String::as_str).collect();
        assert_eq!(anchors, ["again", "again-1", "one-person-one-vote"]);
        assert_eq!(slug("What: is *this*?"), "what-is-this");
    }

    #[test]
    fn links_are_found_with_their_lines_and_outside_ones_are_left() {
        let page = Page::read("a [b](c.md#d)\n\n| ![e](f.svg) | [g](https://h.example) |\n");
        let links: Vec<(usize, &str)> = page
            .links
            .iter()
            .map(|link| (link.line, link.to.as_str()))
            .collect();
        assert_eq!(links, [(1, "c.md#d"), (3, "f.svg")]);
        let code = Page::read("    [not](a-link.md)\n\n```\n[nor](this.md)\n```\n");
        assert_eq!(code.links.len(), 0);
    }

    #[test]
    fn a_link_is_read_from_the_folder_of_its_page() {
        let page = Path::new("docs/how-to/use-git.md");
        assert_eq!(beside(page, "../aws.md"), Path::new("docs/aws.md"));
        assert_eq!(beside(page, "./mcp.md"), Path::new("docs/how-to/mcp.md"));
        assert_eq!(beside(page, "../../README.md"), Path::new("README.md"));
    }
}
