//! How people are shown what somebody else wrote: nothing in it moves a cursor, hides, or turns text around (T21, T78).

use lanyard_core::document::visible;

/// The longest line of a message, in characters. Messages are sentences about a plan; what is in a plan is never cut.
const MESSAGE_CHARS: usize = 300;
/// How much of a longer message is kept from its end, where a sentence says what becomes of its subject.
const MESSAGE_END_CHARS: usize = 120;

/// The most that people are asked to read of one plan.
///
/// # Limit
/// - for: a plan
/// - unit: bytes
/// - beyond: the plan is refused when it is submitted; nothing is left out of what people read
/// - test: `s02_what_people_read_has_a_bound_and_a_longer_plan_is_refused`
pub(crate) const MAX_SHOWN_BYTES: usize = 2 * 1024 * 1024;

/// One line of a message, of bounded length: a longer one is cut in its middle.
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

/// All of a text, on one line.
pub(crate) fn whole(text: &str) -> String {
    visible(text)
}

/// Lines as people may see them.
pub(crate) fn shown(text: &str) -> String {
    let lines = text.split('\n').map(visible);
    lines.collect::<Vec<_>>().join("\n")
}

/// A text in quotes, in which white space can be told apart.
pub(crate) fn quoted(text: &str) -> String {
    visible(&serde_json::Value::String(text.to_owned()).to_string())
}

/// What people are shown, as long as it is not too much for them to read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    text: String,
    is_full: bool,
}

impl Shown {
    /// Adds a line, unless there are too many: then none is shown, since nobody approves what was left out.
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

    /// Takes no more: something was too long to be shown.
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
