//! The lines of the daemon's commands for whoever typed them: folded to a screen, whole in a file.
//! What a command says is visible text by then.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write as _};
use std::os::fd::AsFd;
use std::process::ExitCode;

use lanyard_vocabulary::text::{folded, folded_below, width};

/// The exit code of a program whose reader closed the pipe, as of `SIGPIPE`.
const CLOSED_PIPE: i32 = 141;

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
    print_whole(&format!("{message}\n"))
}

/// Prints a text on stdout as it is. The process ends where its reader has gone, as `| head` does
/// when it has seen enough.
///
/// # Errors
/// The text cannot be written.
pub(crate) fn print_whole(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    written.map_err(|error| {
        if error.kind() == io::ErrorKind::BrokenPipe {
            std::process::exit(CLOSED_PIPE);
        }
        io::Error::new(
            error.kind(),
            format!("the output cannot be written: {error}"),
        )
    })
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
    print_whole(&format!("{row}\n"))
}

/// Tells what the parser of the command line answers in place of a command, and returns the exit
/// code: help and the version as they are, a mistake folded to the screen.
pub(crate) fn tell_unread(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    let columns = columns(&io::stderr());
    let is_wide = columns.is_some_and(|columns| text.lines().any(|line| width(line) > columns));
    if error.use_stderr() && is_wide {
        say(text.trim_end());
    } else {
        // Who has closed the stream reads the exit code.
        error.print().ok();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(u8::MAX))
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
