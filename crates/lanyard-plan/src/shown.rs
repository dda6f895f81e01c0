//! How people are shown what somebody else wrote: nothing in it moves a cursor, hides, or turns text around (T21, T78).

use lanyard_core::document::visible;

/// The longest line that is kept of a message.
const LONGEST: usize = 300;

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
