//! Texts of others on a screen: bounded, visible, in columns of the width that they take, and on
//! lines that nobody else begins.

pub(crate) use lanyard_vocabulary::text::width;
use lanyard_vocabulary::text::{is_hidden, visible};
use unicode_width::UnicodeWidthChar as _;

/// The longest text of others on one line, as it was before [`visible`].
///
/// # Limit
/// - for: a text that the command line prints for people
/// - unit: characters
/// - beyond: the text is cut, and ends with `…`; `-o json` prints it whole
/// - test: `a_line_is_bounded_and_nothing_acts_on_the_screen`
const MAX_LINE_CHARACTERS: usize = 2000;
/// The widest cell of a table.
///
/// # Limit
/// - for: a cell of a table for people
/// - unit: columns of the screen
/// - beyond: the cell is cut, and ends with `…`; `-o json` prints it whole
/// - test: `a_table_holds_whatever_others_wrote`
const MAX_CELL_COLUMNS: usize = 300;
/// The narrowest part of a screen that text is wrapped into.
const MIN_COLUMNS: usize = 20;

/// A line, however long the text is and whatever is in it.
pub(crate) fn line(text: &str) -> String {
    let (head, is_cut) = head(text, MAX_LINE_CHARACTERS);
    let mut line = visible(head);
    if is_cut {
        line.push('…');
    }
    line
}

/// A message of this program, whose line ends are its own: each of its lines by itself.
pub(crate) fn lines(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(line).collect();
    lines.join("\n")
}

/// A text of many lines, which is not cut: the rendering of a plan.
pub(crate) fn whole(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(visible).collect();
    lines.join("\n")
}

/// A cell of a table.
pub(crate) fn cell(text: &str) -> String {
    // A letter with the marks that `visible` leaves on it has four characters at most.
    let (head, is_cut) = head(text, 4 * MAX_CELL_COLUMNS);
    let mut cell = visible(head);
    if is_cut {
        cell.push('…');
    }
    cut(&cell, MAX_CELL_COLUMNS)
}

/// JSON whose strings have nothing that a terminal acts on; programs read the same from it.
pub(crate) fn json(text: String) -> String {
    // The encoder has escaped the ASCII in strings; the line ends between them are left.
    let acts = |c: char| is_hidden(c) && (!c.is_ascii() || c == '\u{7f}');
    if !text.contains(acts) {
        return text;
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A visible text, filled up with spaces. The width of Rust's formatter counts characters, and
/// panics above 65,535.
pub(crate) fn padded(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(width(text));
    let mut padded = text.to_owned();
    padded.extend(std::iter::repeat_n(' ', missing));
    padded
}

/// A visible text that takes so many columns at most.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let (head, _) = split(text, columns.saturating_sub(1));
    format!("{head}…")
}

/// A visible text after what stands before it, wrapped into the screen: lines after the first are
/// indented, so that none of them begins as a line of this program does.
pub(crate) fn wrapped(before: &str, text: &str, indent: usize, screen: Option<usize>) -> String {
    let Some(screen) = screen else {
        return format!("{before}{text}");
    };
    let indent = if indent + MIN_COLUMNS > screen {
        2
    } else {
        indent
    };
    let mut shown = before.to_owned();
    let mut room = screen.saturating_sub(width(before));
    let mut rest = text;
    loop {
        let (mut head, tail) = split(rest, room);
        if tail.is_empty() {
            shown.push_str(head);
            return shown;
        }
        // Between words, where there is a place.
        if let Some((words, _)) = head.rsplit_once(' ')
            && !words.trim_end().is_empty()
            && !rest
                .get(head.len()..)
                .is_some_and(|next| next.starts_with(' '))
        {
            head = words;
        }
        shown.push_str(head.trim_end_matches(' '));
        rest = rest.get(head.len()..).unwrap_or_default();
        rest = rest.trim_start_matches(' ');
        shown.push('\n');
        shown.extend(std::iter::repeat_n(' ', indent));
        room = screen.saturating_sub(indent).max(2);
    }
}

/// The first characters, and whether there are more.
fn head(text: &str, characters: usize) -> (&str, bool) {
    match text.char_indices().nth(characters) {
        Some((end, _)) => (text.get(..end).unwrap_or_default(), true),
        None => (text, false),
    }
}

/// Splits a text after as many characters as so many columns hold.
fn split(text: &str, columns: usize) -> (&str, &str) {
    let mut taken = 0;
    let end = text.char_indices().find(|(_, c)| {
        taken += c.width().unwrap_or(0);
        taken > columns
    });
    let end = end.map_or(text.len(), |(end, _)| end);
    text.split_at_checked(end).unwrap_or((text, ""))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Texts that break or fool a screen.
    pub(crate) fn hostile() -> Vec<String> {
        let mut texts: Vec<String> = [
            "",
            " ",
            "a\nK-0 everything",
            "a\r\u{1b}[2Jb\u{7}\u{8}",
            "\u{9b}31m\u{7f}\u{0}",
            "\u{202e}dlrow \u{2066}x\u{200f}",
            "שלום עולם",
            "東京の日本語 ｗｉｄｅ",
            "a\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
            "\u{301}\u{336}x",
            "👩‍👩‍👧‍👦 🇩🇪 ❤\u{fe0f}",
            "a\u{2028}b\u{2029}c\u{85}d\u{a0}e\u{3000}f",
            "x                                                                                K-0 everything",
        ]
        .map(str::to_owned)
        .to_vec();
        for piece in [
            "r", "東", "a\u{301}", "\u{202e}", "\n", "word ", " ", "\u{301}",
        ] {
            texts.push(piece.repeat(100_000));
        }
        texts
    }

    fn acts(text: &str) -> bool {
        text.contains(|c: char| c != '\n' && is_hidden(c))
    }

    #[test]
    fn a_line_is_bounded_and_nothing_acts_on_the_screen() {
        for text in hostile() {
            let line = line(&text);
            assert!(!acts(&line) && !line.contains('\n'), "{line}");
            assert!(line.len() <= MAX_LINE_CHARACTERS * 10 + 3);
            let is_cut = text.chars().count() > MAX_LINE_CHARACTERS;
            assert_eq!(line.ends_with('…'), is_cut);
            assert!(width(&cell(&text)) <= MAX_CELL_COLUMNS);
            assert!(width(&padded(&line, 70_000)) == 70_000);
        }
        assert_eq!(line(&"r".repeat(2000)), "r".repeat(2000));
        assert_eq!(line(&"r".repeat(2001)), "r".repeat(2000) + "…");
        assert_eq!(lines("a\nb\u{1b}c"), "a\nb\\u{1b}c");
    }

    #[test]
    fn a_wide_character_takes_two_columns_and_a_mark_none() {
        assert_eq!(width("東京"), 4);
        assert_eq!(width("e\u{301}"), 1);
        assert_eq!(padded("東", 4), "東  ");
        assert_eq!(cut("東京都", 4), "東…");
        assert_eq!(cut("東京", 4), "東京");
    }

    #[test]
    fn a_wrapped_text_begins_no_line_of_the_screen() {
        for text in hostile() {
            let text = line(&text);
            for screen in [1, 10, 40, 80] {
                let shown = wrapped("reason  ", &text, 8, Some(screen));
                let mut each = shown.split('\n');
                each.next();
                for line in each {
                    assert!(line.starts_with("  "), "{line}");
                    assert!(width(line) <= screen.max(4), "{screen}: {line}");
                }
                let plain = |text: &str| text.replace([' ', '\n'], "");
                assert_eq!(plain(&shown), plain(&format!("reason{text}")));
            }
            assert_eq!(wrapped("a ", &text, 2, None), format!("a {text}"));
        }
        assert_eq!(
            wrapped("why  ", "one two three four five", 5, Some(30)),
            "why  one two three four five"
        );
        assert_eq!(
            wrapped("why  ", "one two three four five six", 5, Some(25)),
            "why  one two three four\n     five six"
        );
    }

    #[test]
    fn a_document_has_nothing_that_a_terminal_acts_on_and_says_the_same() {
        for text in hostile() {
            let value = serde_json::json!({"reason": text, text.clone(): [1]});
            for printed in [json(value.to_string()), json(format!("{value:#}"))] {
                assert!(!acts(&printed), "{printed}");
                let again: serde_json::Value = serde_json::from_str(&printed).unwrap();
                assert_eq!(again, value);
            }
        }
    }
}
