//! The lines of the daemon's commands for whoever typed them: folded to a screen, whole in a file.
//! What a command says is visible text by then.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write as _};
use std::os::fd::AsFd;

use lanyard_vocabulary::text::{folded, folded_below};

/// Says a message on stderr.
pub(crate) fn say(message: impl Display) {
    let stderr = io::stderr();
    let message = fitted(&message.to_string(), columns(&stderr));
    // Who has closed stderr reads the exit code.
    writeln!(stderr.lock(), "{message}").ok();
}

/// Prints a message on stdout.
///
/// # Errors
/// The stream is closed.
pub(crate) fn print(message: &str) -> io::Result<()> {
    let stdout = io::stdout();
    let message = fitted(message, columns(&stdout));
    writeln!(stdout.lock(), "{message}")
}

/// Prints a name and its value on stdout. A long value goes on below its beginning.
///
/// # Errors
/// The stream is closed.
pub(crate) fn print_row(name: &str, value: &str) -> io::Result<()> {
    let stdout = io::stdout();
    let row = match columns(&stdout) {
        Some(columns) => folded_below(&format!("{name}{value}"), columns, name.len()),
        None => format!("{name}{value}"),
    };
    writeln!(stdout.lock(), "{row}")
}

fn fitted(message: &str, screen: Option<usize>) -> String {
    match screen {
        Some(columns) => folded(message, columns),
        None => message.to_owned(),
    }
}

/// Returns the number of columns of a stream; `None` unless it is a terminal that says so.
fn columns(stream: &(impl IsTerminal + AsFd)) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    (stream.is_terminal() && size.ws_col > 0).then_some(usize::from(size.ws_col))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_folded_to_a_screen_and_whole_in_a_file() {
        let message = "lanyardd: cannot read key file `dev-tls.key`: permissions are 0644, must be 0600; \
                       then start again with `lanyardd serve --config lanyardd.yaml`";
        assert_eq!(fitted(message, None), message);
        let shown = fitted(message, Some(60));
        assert!(
            shown.lines().all(|line| line.chars().count() <= 60),
            "{shown}"
        );
        assert!(shown.contains("`lanyardd serve --config lanyardd.yaml`"));
        assert_eq!(
            shown.split_whitespace().count(),
            message.split_whitespace().count()
        );
    }
}
