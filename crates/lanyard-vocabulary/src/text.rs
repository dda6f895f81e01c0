//! Text for a screen: text from outside, in which nothing acts on a terminal or hides, and messages
//! folded to its columns.

use unicode_width::UnicodeWidthChar as _;

/// A character that a terminal acts on or hides: a control, and what is invisible by itself.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control() || is_invisible(c)
}

const fn is_invisible(c: char) -> bool {
    // Default-ignorable characters, controls of direction, line and paragraph separators, fillers,
    // and tags.
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Makes a text visible as [`visible`] does, and cuts it to what fits into a sentence.
#[must_use]
pub fn escaped(text: &str) -> String {
    const SHOWN_CHARACTERS: usize = 128;
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => visible(text.get(..end).unwrap_or_default()) + "…",
        None => visible(text),
    }
}

/// True for right-to-left letters and the digits among them, which reverse the text beside them.
const fn turns_around(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}' | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// True for white space that looks like a space and is another character.
fn is_odd_space(c: char) -> bool {
    c != ' ' && c.is_whitespace()
}

/// Combining marks that stay on one letter of a text from outside: Thai and Vietnamese need two,
/// Devanagari three.
///
/// # Limit
/// - for: a letter
/// - unit: marks
/// - beyond: the mark is shown by its number
/// - test: `a_text_from_outside_draws_over_nothing_and_hides_nothing`
const MAX_MARKS_ON_LETTER: u32 = 3;

/// True for marks that strike through or enclose the letter before them.
const fn covers_a_letter(c: char) -> bool {
    matches!(c, '\u{334}'..='\u{338}' | '\u{20d0}'..='\u{20ff}' | '\u{488}'..='\u{489}')
}

/// Makes every character of a foreign text visible that a terminal would act on or hide, or that
/// would reverse or cover other text (T21).
#[must_use]
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    // How many more marks the last letter takes; none where no letter is before them.
    let mut marks_left = 0_u32;
    for c in text.chars() {
        let is_mark = c.width() == Some(0);
        let stays = !(c.is_control() || is_invisible(c) || turns_around(c) || is_odd_space(c))
            && (!is_mark || marks_left > 0 && !covers_a_letter(c));
        if stays {
            shown.push(c);
        } else {
            shown.extend(c.escape_unicode());
        }
        marks_left = match (stays, is_mark) {
            (true, true) => marks_left.saturating_sub(1),
            (true, false) if c.is_alphanumeric() => MAX_MARKS_ON_LETTER,
            (true | false, _) => 0,
        };
    }
    shown
}

/// Returns the number of columns of a screen that a visible text takes.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// The indentation of the lines in which a message goes on.
const MESSAGE_INDENT: usize = 2;

/// Folds a visible message to a screen of so many columns. Lines break between words. A command
/// that is to be copied, and a word wider than the screen, stay whole.
#[must_use]
pub fn folded(text: &str, columns: usize) -> String {
    folded_below(text, columns, MESSAGE_INDENT)
}

/// Folds as [`folded`] does, and indents the lines after the first by so many columns.
#[must_use]
pub fn folded_below(text: &str, columns: usize, indent: usize) -> String {
    let room = columns.saturating_sub(indent);
    let lines = text.split('\n').map(|line| {
        let mut shown = String::new();
        let mut used = 0;
        for (place, piece) in pieces(line, room).into_iter().enumerate() {
            let (wide, is_first) = (width(piece), place == 0);
            if !is_first && used + 1 + wide > columns {
                shown.push('\n');
                shown.extend(std::iter::repeat_n(' ', indent));
                used = indent;
            } else if !is_first {
                shown.push(' ');
                used += 1;
            }
            shown.push_str(piece);
            used += wide;
        }
        shown
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The words of a line. A command with its arguments counts as one word if so many columns hold it.
fn pieces(line: &str, columns: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let end = rest.find(' ').unwrap_or(rest.len());
        let end = command(rest)
            .filter(|command| width(command) <= columns)
            .map_or(end, str::len);
        let (piece, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
        pieces.push(piece);
        rest = behind.strip_prefix(' ').unwrap_or(behind);
    }
    pieces
}

/// The command of Lanyard that a text begins with, up to its closing quote or to where the sentence
/// goes on.
fn command(text: &str) -> Option<&str> {
    let is_quoted = text.starts_with('`');
    let bare = text.strip_prefix('`').unwrap_or(text);
    if !["lanyard ", "lanyardd "]
        .iter()
        .any(|name| bare.starts_with(name))
    {
        return None;
    }
    let end = match is_quoted {
        true => text.get(1..)?.find('`')? + 2,
        false => text.find(['`', ';', ',', '(']).unwrap_or(text.len()),
    };
    // What belongs to its last word stays with it.
    let behind = text.get(end..)?.find(' ').unwrap_or(text.len() - end);
    Some(text.get(..end + behind)?.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_outside_draws_over_nothing_and_hides_nothing() {
        for (text, shown) in [
            ("a\nb\tc\u{1b}[2J", "a\\u{a}b\\u{9}c\\u{1b}[2J"),
            ("\u{9b}2J\u{7f}", "\\u{9b}2J\\u{7f}"),
            ("\u{202e}dlrow\u{200f}", "\\u{202e}dlrow\\u{200f}"),
            (
                "Stra\u{df}e \u{6771}\u{4eac}",
                "Stra\u{df}e \u{6771}\u{4eac}",
            ),
            // Letters in parts stay letters: Vietnamese, Thai.
            ("e\u{302}\u{301}", "e\u{302}\u{301}"),
            ("\u{e17}\u{e35}\u{e48}", "\u{e17}\u{e35}\u{e48}"),
            // A heap of marks reaches the lines above; a mark without a letter is drawn over what
            // is before it.
            (
                "a\u{301}\u{301}\u{301}\u{301}\u{301}",
                "a\u{301}\u{301}\u{301}\\u{301}\\u{301}",
            ),
            ("\u{301}x", "\\u{301}x"),
            (" \u{301}", " \\u{301}"),
            // Struck through, `apply` reads as if it were taken back.
            ("a\u{336}p\u{20dd}", "a\\u{336}p\\u{20dd}"),
        ] {
            assert_eq!(visible(text), shown);
        }
    }

    #[test]
    fn what_is_visible_stays_as_it_is() {
        let text: String = (0..=0x1ffff).filter_map(char::from_u32).collect();
        let once = visible(&text);
        assert_eq!(visible(&once), once);
    }

    #[test]
    fn n11_a_message_breaks_between_words_and_keeps_commands_whole() {
        let id = "K-01KBA7M4X8R2V5T9W3Y6Z0C1DE";
        let text = format!(
            "{id} is engaged and REACHES NOTHING: no agent `rooter` is known; did you mean `router`?\n\
             kill again with the right name; lift this one with: lanyard kill withdraw {id} --reason …"
        );
        assert_eq!(
            folded(&text, 80),
            format!(
                "{id} is engaged and REACHES NOTHING: no agent `rooter`\n  is known; did you mean `router`?\n\
                 kill again with the right name; lift this one with:\n  lanyard kill withdraw {id} --reason …"
            )
        );
        let quoted = format!("ask again with `lanyard kill show {id}`, or wait for it to end");
        let daemon =
            "is there no daemon? `lanyardd kill --config lanyardd.yaml --all --reason …` stops all";
        for columns in [1, 20, 40, 60, 80, 200] {
            for text in [
                text.as_str(),
                &quoted,
                daemon,
                "",
                " ",
                "a  b",
                "\u{6771}\u{4eac} ".repeat(30).as_str(),
                "x".repeat(90).as_str(),
            ] {
                let shown = folded(text, columns);
                let words = |text: &str| -> Vec<String> {
                    text.split_whitespace().map(str::to_owned).collect()
                };
                assert_eq!(words(&shown), words(text), "{columns}");
                for line in shown.lines() {
                    let is_word = line.split_whitespace().count() <= 1;
                    assert!(is_word || width(line) <= columns, "{columns}: {line}");
                }
            }
        }
        assert_eq!(
            folded_below("  = help: name the agent, or ask its owner", 26, 10),
            "  = help: name the agent,\n          or ask its owner"
        );
        assert!(folded(&quoted, 60).contains(&format!("`lanyard kill show {id}`")));
        assert!(
            folded(daemon, 70).contains("`lanyardd kill --config lanyardd.yaml --all --reason …`")
        );
    }
}
