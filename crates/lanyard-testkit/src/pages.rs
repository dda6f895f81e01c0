//! Code blocks of the documentation, so that tests compare what a page shows with this version.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A code block of a page.
pub struct Block {
    /// File name of the page.
    pub page: String,
    /// Line at which the block begins.
    pub line: usize,
    /// The word after the fence. `None` for an indented block.
    pub language: Option<String>,
    /// Content of the block.
    pub text: String,
}

/// Returns the folder of the documentation.
#[must_use]
pub fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn pages_of(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .expect("the pages are there")
        .flatten()
        .collect();
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            pages_of(&path, found);
        } else if path.extension().is_some_and(|it| it == "md") && !path.ends_with("cli.md") {
            found.push(path);
        }
    }
}

/// Returns every code block of every page, fenced or indented.
#[must_use]
pub fn blocks() -> Vec<Block> {
    let mut files = vec![docs().join("../README.md")];
    pages_of(&docs(), &mut files);
    let mut all = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("the pages are there");
        let page = file
            .file_name()
            .expect("the pages are there")
            .to_string_lossy()
            .into_owned();
        let mut open: Option<Block> = None;
        let mut is_blank = true;
        for (number, line) in text.lines().enumerate() {
            let begun = |language: Option<String>| Block {
                page: page.clone(),
                line: number + 1,
                language,
                text: String::new(),
            };
            let fence = line.trim_start().strip_prefix("```");
            match (&mut open, fence) {
                (Some(block), Some(_)) if block.language.is_some() => all.extend(open.take()),
                (Some(block), _) if block.language.is_some() => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (_, Some(word)) => {
                    all.extend(open.take());
                    open = Some(begun(Some(word.trim().to_owned())));
                }
                (Some(block), None) if line.starts_with("    ") || line.trim().is_empty() => {
                    block.text.push_str(line.strip_prefix("    ").unwrap_or(""));
                    block.text.push('\n');
                }
                (Some(_), None) => all.extend(open.take()),
                (None, None) if is_blank && line.starts_with("    ") => {
                    let mut block = begun(None);
                    block
                        .text
                        .push_str(line.strip_prefix("    ").unwrap_or(line));
                    block.text.push('\n');
                    open = Some(block);
                }
                (None, None) => {}
            }
            is_blank = line.trim().is_empty();
        }
        all.extend(open.take());
    }
    all
}

/// Splits a YAML map in block style by its top-level keys.
#[must_use]
pub fn parts(text: &str) -> Option<BTreeMap<String, String>> {
    let mut parts: BTreeMap<String, String> = BTreeMap::new();
    let mut name = None;
    for line in text.lines() {
        let is_inner = line.starts_with([' ', '-', '#']) || line.trim().is_empty();
        if !is_inner {
            let (key, _) = line.split_once(':')?;
            name = Some(key.to_owned());
            if parts.contains_key(key) {
                return None;
            }
        }
        if let Some(name) = &name {
            let part = parts.entry(name.clone()).or_default();
            part.push_str(line);
            part.push('\n');
        }
    }
    Some(parts)
}
