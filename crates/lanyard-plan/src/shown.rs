//! How people are shown what somebody else wrote: nothing in it moves a cursor, hides, or turns text around (T21, T78).

use lanyard_core::document::visible;

/// The longest line that is kept of a message.
const LONGEST: usize = 300;

/// The most of a plan that is shown, in bytes.
const MOST: usize = 2 * 1024 * 1024;

/// One line of a message, of bounded length.
pub(crate) fn line(text: &str) -> String {
    let joined = visible(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    if joined.chars().count() <= LONGEST {
        return joined;
    }
    let kept: String = joined.chars().take(LONGEST).collect();
    format!("{kept}…")
}

/// Lines as people may see them.
pub(crate) fn shown(text: &str) -> String {
    let lines = text.split('\n').map(visible);
    lines.collect::<Vec<_>>().join("\n")
}

/// What is too long to be read is cut at a line, and says so: nobody approves what they were not shown without knowing.
pub(crate) fn bounded(text: String) -> String {
    if text.len() <= MOST {
        return text;
    }
    let (mut kept, mut left) = (String::new(), 0);
    for line in text.split_inclusive('\n') {
        if left == 0 && kept.len() + line.len() <= MOST {
            kept.push_str(line);
        } else {
            left += 1;
        }
    }
    format!(
        "NOT ALL OF THIS PLAN IS SHOWN: {left} more lines are too much to read. Ask for smaller plans.\n\n{kept}"
    )
}
