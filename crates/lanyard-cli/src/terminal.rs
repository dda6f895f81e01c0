//! What the terminal may be sent beyond plain lines: decided here, for every command.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::fd::AsFd;

use crate::text;

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

/// What a stream is shown on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Screen {
    /// None, or one that understands lines alone: a file, a pipe, `TERM=dumb`.
    Lines,
    /// One whose cursor moves; no colours (`NO_COLOR`).
    Plain,
    /// One with colours.
    Coloured,
}

impl Screen {
    /// That of a stream: of stdout, or of stderr.
    pub(crate) fn of(stream: &impl IsTerminal) -> Self {
        Self::with(stream.is_terminal(), |name| std::env::var_os(name))
    }

    /// How many columns a stream has, where it is a terminal that says so.
    pub(crate) fn columns(stream: &(impl IsTerminal + AsFd)) -> Option<usize> {
        let size = rustix::termios::tcgetwinsize(stream).ok()?;
        (stream.is_terminal() && size.ws_col > 0).then_some(usize::from(size.ws_col))
    }

    /// Whether what stands there can be drawn over.
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

/// Says a message on stderr.
pub(crate) fn say(line: impl std::fmt::Display) {
    let screen = Screen::columns(&std::io::stderr());
    eprintln!("{}", text::message(&line.to_string(), screen));
}

#[cfg(test)]
mod tests {
    use super::{Colour, Screen};

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
