//! Display of foreign text: no character in it moves a cursor, hides, or reverses text (T21, T78).

use lanyard_vocabulary::text::visible;

/// Longest line of a message, in characters. Messages are sentences about a plan; the content of a
/// plan is never cut.
const MESSAGE_CHARS: usize = 300;
/// Characters that are kept from the end of a longer message, where a sentence states its outcome.
const MESSAGE_END_CHARS: usize = 120;

/// Size of the view of one plan.
///
/// # Limit
/// - for: a plan
/// - unit: bytes
/// - beyond: the plan is refused when it is submitted; nothing is left out of what people read
/// - test: `s02_what_people_read_has_a_bound_and_a_longer_plan_is_refused`
pub(crate) const MAX_SHOWN_BYTES: usize = 2 * 1024 * 1024;

/// Renders a text as one line of a message. A longer text is cut in the middle.
pub(crate) fn line(text: &str) -> String {
    let joined = visible(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    let count = joined.chars().count();
    if count <= MESSAGE_CHARS {
        return joined;
    }
    let begin = joined.chars().take(MESSAGE_CHARS - MESSAGE_END_CHARS);
    let end = joined.chars().skip(count - MESSAGE_END_CHARS);
    begin.chain(['…']).chain(end).collect()
}

/// Renders a whole text on one line.
pub(crate) fn whole(text: &str) -> String {
    visible(text)
}

/// Renders lines with control characters made visible.
pub(crate) fn shown(text: &str) -> String {
    let lines = text.split('\n').map(visible);
    lines.collect::<Vec<_>>().join("\n")
}

/// Renders a text in quotes, so that white space can be told apart.
pub(crate) fn quoted(text: &str) -> String {
    visible(&serde_json::Value::String(text.to_owned()).to_string())
}

/// A view of bounded size.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    text: String,
    is_full: bool,
}

impl Shown {
    /// Adds a line if there is room. A view that is full is refused as a whole, since nobody can
    /// approve what was left out.
    pub(crate) fn add(&mut self, line: &str) {
        if self.has_room(line.len() + 1) {
            self.text.push_str(line);
            self.text.push('\n');
        }
    }

    pub(crate) fn has_room(&mut self, bytes: usize) -> bool {
        self.is_full |= self.text.len().saturating_add(bytes) > MAX_SHOWN_BYTES;
        !self.is_full
    }

    /// Marks the view as full, because something was too long for it.
    pub(crate) const fn close(&mut self) {
        self.is_full = true;
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.is_full
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}
