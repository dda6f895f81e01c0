//! What the terminal may be sent beyond plain lines: decided here, for every command.

use std::ffi::OsString;
use std::io::{IsTerminal, Write as _};
use std::os::fd::AsFd;

use lanyard_document::{Diagnostic, render_within};
use lanyard_vocabulary::text::{folded, width};

use crate::streams;

/// A colour. The word that it is of always stands there too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    Green,
    Yellow,
    Red,
}

impl Colour {
    const fn code(self) -> u8 {
        match self {
            Self::Green => 32,
            Self::Yellow => 33,
            Self::Red => 31,
        }
    }

    /// A text in this colour, where there are colours.
    pub(crate) fn paint(self, text: &str, screen: Screen) -> String {
        if screen == Screen::Coloured {
            format!("\x1b[{}m{text}\x1b[0m", self.code())
        } else {
            text.to_owned()
        }
    }
}

/// The medium that a stream is shown on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Screen {
    /// None, or one that understands lines alone: a file, a pipe, `TERM=dumb`.
    Lines,
    /// A whose cursor moves; no colours (`NO_COLOR`).
    Plain,
    /// A terminal with colours.
    Coloured,
}

impl Screen {
    /// Returns the medium of a stream: of stdout, or of stderr.
    pub(crate) fn of(stream: &impl IsTerminal) -> Self {
        let is_terminal = stream.is_terminal() && !streams::are_in_memory();
        Self::with(is_terminal, |name| std::env::var_os(name))
    }

    /// Returns the number of columns of a stream; `None` unless it is a terminal that says so.
    pub(crate) fn columns(stream: &(impl IsTerminal + AsFd)) -> Option<usize> {
        if streams::are_in_memory() {
            return None;
        }
        let size = rustix::termios::tcgetwinsize(stream).ok()?;
        (stream.is_terminal() && size.ws_col > 0).then_some(usize::from(size.ws_col))
    }

    /// Tells if what stands there can be drawn over.
    pub(crate) fn is_drawn(self) -> bool {
        self != Self::Lines
    }

    fn with(terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let dumb = variable("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let colourless = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
        match (terminal && !dumb, colourless) {
            (false, _) => Self::Lines,
            (true, true) => Self::Plain,
            (true, false) => Self::Coloured,
        }
    }
}

/// Says a visible message on stderr, folded to the screen.
pub(crate) fn say(line: impl std::fmt::Display) {
    eprintln!(
        "{}",
        fitted(&line.to_string(), Screen::columns(&std::io::stderr()))
    );
}

/// Prints a visible sentence on stdout, folded to the screen.
pub(crate) fn tell(line: impl std::fmt::Display) {
    println!(
        "{}",
        fitted(&line.to_string(), Screen::columns(&std::io::stdout()))
    );
}

/// Asks a visible question on stderr, folded to the screen, and returns the line that is typed,
/// with its end; nothing where the input has ended.
///
/// # Errors
/// As of the streams.
pub(crate) fn answer(question: &str) -> std::io::Result<String> {
    let stderr = std::io::stderr();
    let mut asked = fitted(question.trim_end(), Screen::columns(&stderr));
    asked.push(' ');
    // In one piece: an answer that is typed at once is not shown within the question.
    eprint!("{asked}");
    (&stderr).flush()?;
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed)?;
    Ok(typed)
}

/// Says the findings in a file on stderr, folded to the screen.
pub(crate) fn say_findings(name: &str, text: &str, findings: &[Diagnostic]) {
    let columns = Screen::columns(&std::io::stderr());
    eprint!("{}", render_within(name, text, findings, columns));
}

/// Tells what the parser of the command line answers in place of a command, and returns the exit
/// code: help and the version as they are, a mistake folded to the screen.
pub(crate) fn tell_unread(error: &clap::Error) -> u8 {
    let text = error.render();
    if error.use_stderr() {
        let columns = Screen::columns(&std::io::stderr());
        let is_coloured = Screen::of(&std::io::stderr()) == Screen::Coloured;
        match unread(&text.to_string(), columns) {
            None if is_coloured => eprint!("{}", text.ansi()),
            None => eprint!("{text}"),
            Some(folded) => eprint!("{folded}"),
        }
    } else if Screen::of(&std::io::stdout()) == Screen::Coloured {
        print!("{}", text.ansi());
    } else {
        print!("{text}");
    }
    u8::try_from(error.exit_code()).unwrap_or(u8::MAX)
}

/// Folds a mistake to a screen of so many columns; `None` where it fits as it is.
fn unread(text: &str, columns: Option<usize>) -> Option<String> {
    let columns = columns.filter(|columns| text.lines().any(|line| width(line) > *columns))?;
    Some(folded(text, columns))
}

fn fitted(line: &str, screen: Option<usize>) -> String {
    match screen {
        Some(columns) => folded(line, columns),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::{Colour, Screen, unread};
    use crate::Arguments;
    use crate::text::width;

    #[test]
    fn a_command_that_cannot_be_read_is_told_within_the_screen() {
        let said = |arguments: &[&str]| {
            let read = Arguments::command().try_get_matches_from(arguments);
            read.unwrap_err().render().to_string()
        };
        let long = "a-word-that-nobody-would-type-and-a-script-puts-here-all-the-same".repeat(2);
        for arguments in [
            &["lanyard", "kill", "--reason"][..],
            &["lanyard", "kill", "--all", "--task", "T-1", "--agent", "x"],
            &["lanyard", "rearm", "K-1", "K-2"],
            &["lanyard", "creds", "awz"],
            &["lanyard", "--output", "xml", "charter", "list"],
            &["lanyard", "charter", "init", "--template", "writes"],
            &["lanyard", "task", "open", "shop", "--reasn", "x"],
        ] {
            let whole = said(arguments);
            let shown = unread(&whole, Some(60)).unwrap_or_else(|| whole.clone());
            let is_long_word = |line: &str| !line.trim_start().contains(' ');
            for line in shown.lines() {
                assert!(width(line) <= 60 || is_long_word(line), "{line}\n{shown}");
            }
            let words = |text: &str| {
                text.split_whitespace()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            assert_eq!(words(&shown), words(&whole));
            assert_eq!(unread(&whole, None), None);
        }
        let whole = said(&["lanyard", "task", "list", &long]);
        let shown = unread(&whole, Some(60)).unwrap();
        assert!(shown.contains(&long), "a word is copied whole: {shown}");
    }

    #[test]
    fn colours_are_for_terminals_that_have_them() {
        let of = |terminal, set: &[(&str, &str)]| {
            let find = |name: &str| set.iter().find(|(key, _)| *key == name);
            Screen::with(terminal, |name| find(name).map(|(_, value)| value.into()))
        };
        let term = ("TERM", "xterm-256color");
        assert_eq!(of(true, &[term]), Screen::Coloured);
        assert_eq!(of(true, &[term, ("NO_COLOR", "")]), Screen::Coloured);
        assert_eq!(of(true, &[term, ("NO_COLOR", "1")]), Screen::Plain);
        assert_eq!(of(true, &[("TERM", "dumb")]), Screen::Lines);
        assert_eq!(of(true, &[]), Screen::Lines);
        assert_eq!(of(false, &[term]), Screen::Lines);
        assert_eq!(Colour::Red.paint("fault", Screen::Plain), "fault");
        let painted = Colour::Red.paint("fault", Screen::Coloured);
        assert_eq!(painted, "\x1b[31mfault\x1b[0m");
    }
}
