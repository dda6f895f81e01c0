//! The standard streams of a command: those of the process, or those in memory that a caller of the
//! library gives it.
//!
//! The macros of this module take the names of the standard library's throughout this crate, so
//! that no line is printed beside these streams.

use std::fmt;
use std::io::{self, Cursor, Read, Write};
use std::process;
use std::sync::{Arc, Mutex, PoisonError};

/// The exit code of a program whose reader closed the pipe, as of `SIGPIPE`.
const CLOSED_PIPE: i32 = 141;
/// The exit code of a command whose output could not be written.
const LOST_OUTPUT: i32 = 2;

tokio::task_local! {
    /// Set for the time of one command only: the process has no streams in memory of its own.
    static IN_MEMORY: InMemory;
}

/// Standard streams in memory.
#[derive(Clone)]
pub(crate) struct InMemory(Arc<Mutex<Content>>);

#[derive(Default)]
pub(crate) struct Content {
    input: Cursor<Vec<u8>>,
    pub(crate) out: Vec<u8>,
    pub(crate) err: Vec<u8>,
}

impl InMemory {
    /// Makes streams with `input` on the standard input.
    pub(crate) fn with(input: &[u8]) -> Self {
        let input = Cursor::new(input.to_vec());
        Self(Arc::new(Mutex::new(Content {
            input,
            ..Content::default()
        })))
    }

    /// Runs a command on these streams.
    pub(crate) async fn serve<T>(&self, command: impl Future<Output = T>) -> T {
        IN_MEMORY.scope(self.clone(), command).await
    }

    /// Takes what was printed.
    pub(crate) fn take(&self) -> Content {
        self.lend(std::mem::take)
    }

    fn lend<T>(&self, work: impl FnOnce(&mut Content) -> T) -> T {
        // A command that panicked while it printed has printed what is there.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Returns true if the streams are in memory, where no person reads.
pub(crate) fn are_in_memory() -> bool {
    IN_MEMORY.try_with(|_| ()).is_ok()
}

/// The standard input of the program.
pub(crate) struct Input;

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match IN_MEMORY.try_with(InMemory::clone) {
            Ok(streams) => streams.lend(|content| content.input.read(buffer)),
            Err(_) => io::stdin().read(buffer),
        }
    }
}

/// A stream that a command writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Standard,
    Error,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match (IN_MEMORY.try_with(InMemory::clone), *self) {
            (Ok(streams), Self::Standard) => streams.lend(|content| content.out.write(bytes)),
            (Ok(streams), Self::Error) => streams.lend(|content| content.err.write(bytes)),
            (Err(_), Self::Standard) => io::stdout().write(bytes),
            (Err(_), Self::Error) => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match (are_in_memory(), *self) {
            (true, _) => Ok(()),
            (false, Self::Standard) => io::stdout().flush(),
            (false, Self::Error) => io::stderr().flush(),
        }
    }
}

/// Prints; the process ends where its reader has gone, as `| head` does when it has seen enough.
pub(crate) fn print(mut to: Output, text: fmt::Arguments<'_>) {
    let Err(error) = to.write_fmt(text) else {
        return;
    };
    if error.kind() == io::ErrorKind::BrokenPipe || to == Output::Error {
        process::exit(CLOSED_PIPE);
    }
    // What was asked for is not where it was to go, as on a full disk.
    let line = format!("lanyard: the output cannot be written: {error}\n");
    Output::Error.write_all(line.as_bytes()).ok();
    process::exit(LOST_OUTPUT);
}

macro_rules! print {
    ($($text:tt)*) => {
        $crate::streams::print($crate::streams::Output::Standard, format_args!($($text)*))
    };
}

macro_rules! println {
    () => {
        print!("\n")
    };
    ($($text:tt)*) => {
        print!("{}\n", format_args!($($text)*))
    };
}

macro_rules! eprint {
    ($($text:tt)*) => {
        $crate::streams::print($crate::streams::Output::Error, format_args!($($text)*))
    };
}

macro_rules! eprintln {
    () => {
        eprint!("\n")
    };
    ($($text:tt)*) => {
        eprint!("{}\n", format_args!($($text)*))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_in_memory_reads_and_prints_there_alone() {
        assert!(!are_in_memory());
        let streams = InMemory::with(b"typed\n");
        let command = async {
            assert!(are_in_memory());
            let mut read = String::new();
            Input.read_to_string(&mut read).unwrap();
            println!("read {read:?}");
            eprint!("and {}", "said so");
            read
        };
        assert_eq!(streams.serve(command).await, "typed\n");
        assert!(!are_in_memory());
        let content = streams.take();
        assert_eq!(content.out, b"read \"typed\\n\"\n");
        assert_eq!(content.err, b"and said so");
    }
}
