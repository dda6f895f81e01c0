//! How a command ended: the line on stderr and the exit code.

use std::process::ExitCode;

use lanyard_client::ClientError;
use lanyard_core::time::Ttl;

use crate::text;

/// Everything but plain success.
pub(crate) enum Outcome {
    /// 0.
    Done,
    /// 1: a negative answer, already printed.
    Negative,
    /// 2: the command was not understood, or something here is broken.
    Usage(String),
    /// 5: another person has to say the same.
    Pending(String),
    /// 8: fenced, and some revocations are not confirmed.
    Unconfirmed(String),
    /// 124: it took longer than it was given.
    TimedOut(Ttl),
    /// What the broker said.
    Client(ClientError),
    /// 125: a command was not run, for this.
    NotRun(Box<Outcome>),
    /// What a command ended with; it has said itself what there is to say.
    Child(u8),
}

impl From<ClientError> for Outcome {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl Outcome {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// Prints the line, if there is one, and gives the code.
    pub(crate) fn report(self) -> ExitCode {
        let (code, line) = self.told();
        if let Some(line) = line {
            eprintln!("lanyard: {line}");
        }
        ExitCode::from(code)
    }

    /// The exit code, and the line, where there is one.
    pub(crate) fn told(self) -> (u8, Option<String>) {
        match self {
            Self::Done => (0, None),
            Self::Negative => (1, None),
            Self::Usage(lines) => (2, Some(text::lines(&lines))),
            Self::Pending(line) => (5, Some(text::line(&line))),
            Self::Unconfirmed(line) => (8, Some(text::line(&line))),
            Self::TimedOut(most) => (124, Some(format!("not done within {most}"))),
            Self::Client(error) => (code(&error), Some(text::line(&error.to_string()))),
            Self::Child(code) => (code, None),
            Self::NotRun(why) => (125, why.told().1),
        }
    }
}

const fn code(error: &ClientError) -> u8 {
    match error {
        ClientError::Denied(_) => 3,
        ClientError::NotLoggedIn(_) | ClientError::FreshLogin(_) => 4,
        ClientError::ApprovalPending(_) => 5,
        ClientError::Killed(_) => 6,
        ClientError::Unavailable(_) => 7,
        ClientError::NotFound(_) | ClientError::Refused(_) | ClientError::Context(_) => 2,
    }
}
