//! Files of several YAML documents.

use crate::shown::whole;

/// Splits a file into its documents, each with the number of lines before it. Documents with
/// nothing but blank lines and comments are dropped.
///
/// # Errors
/// The line that separates documents for some readers and not for others.
pub(crate) fn documents(text: &str) -> Result<Vec<(u32, String)>, String> {
    let mut all = vec![(0, String::new())];
    for (row, line) in (1_u32..).zip(text.lines()) {
        let mut content = line;
        if let Some(rest) = line.strip_prefix("---") {
            // kubectl needs no space between `---` and a comment.
            let rest_read = rest.trim();
            if rest_read.is_empty() || rest_read.starts_with('#') {
                all.push((row, String::new()));
                continue;
            }
            if !rest.starts_with(' ') {
                return Err(format!(
                    "line {row}: `{}` begins with `---`, which separates documents for some readers of YAML and not for others; \
                     put it in quotes, or a space behind `---`",
                    whole(line)
                ));
            }
            all.push((row.saturating_sub(1), String::new()));
            content = rest;
        }
        if let Some((_, document)) = all.last_mut() {
            // Concatenated files may each begin with a byte order mark.
            if document.is_empty() {
                content = content.trim_start_matches('\u{feff}');
            }
            document.push_str(content);
            document.push('\n');
        }
    }
    let blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    all.retain(|(_, document)| !document.lines().all(blank));
    Ok(all)
}
