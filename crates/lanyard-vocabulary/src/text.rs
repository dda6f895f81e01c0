//! Text from outside, as it may be shown: nothing in it acts on a terminal or hides.

use unicode_width::UnicodeWidthChar as _;

/// A character that a terminal acts on or hides: a control, and what is invisible by itself.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control() || is_invisible(c)
}

const fn is_invisible(c: char) -> bool {
    // Default-ignorable characters, controls of direction, line and paragraph separators, fillers, and tags.
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

/// Combining marks that stay on one letter of a text from outside: Thai and Vietnamese need two, Devanagari three.
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
            // A heap of marks reaches the lines above; a mark without a letter is drawn over what is before it.
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
}
