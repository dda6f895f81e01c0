//! How a command ended: the line on stderr and the exit code.

use lanyard_client::ClientError;
use lanyard_vocabulary::time::Ttl;
use serde_json::{Value, json};

use crate::output::Output;
use crate::terminal::say;
use crate::{span, text};

/// Everything but plain success.
pub(crate) enum Outcome {
    /// The command succeeded: exit code 0.
    Done,
    /// 1: a negative answer, already printed.
    Negative,
    /// 2: the command was not understood, or something here is broken.
    Usage(String),
    /// 9: refused for now, as this program knows by itself.
    HeldUp(String),
    /// 5: another person has to say the same.
    Pending(String),
    /// 8: fenced, and some revocations are not confirmed.
    Unconfirmed(String),
    /// 10: a kill order or a pause is in effect, and nothing that is known is in its reach. The
    /// line, and the same for programs.
    ReachesNothing(String, Value),
    /// 124: it took longer than it was given.
    TimedOut(Ttl),
    /// The broker refused, or could not be asked.
    Client(ClientError),
    /// The broker refused, or could not be asked, and these lines say what to do about it.
    ClientThen(ClientError, String),
    /// 125: a command was not run, for this.
    NotRun(Box<Outcome>),
    /// The command's own end, with its exit code; it has said itself what there is to say.
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
    pub(crate) fn report(self, output: Output) -> u8 {
        let document = output.is_document().then(|| self.document());
        let (code, line) = self.told();
        match (document, line) {
            (Some(mut document), Some(line)) => {
                document.insert("exit_code".to_owned(), json!(code));
                document.insert("message".to_owned(), json!(line));
                eprintln!("{}", text::json(json!({"error": document}).to_string()));
            }
            (None, Some(line)) => say(format_args!("lanyard: {line}")),
            (_, None) => {}
        }
        code
    }

    /// Returns the broker's answer for programs: the names are those of the details on the wire.
    fn document(&self) -> serde_json::Map<String, Value> {
        let said = match self {
            Self::Client(error) | Self::ClientThen(error, _) => error.said(),
            Self::NotRun(why) => return why.document(),
            Self::Done
            | Self::Negative
            | Self::Usage(_)
            | Self::Pending(_)
            | Self::HeldUp(_)
            | Self::Unconfirmed(_)
            | Self::ReachesNothing(..)
            | Self::TimedOut(_)
            | Self::Child(_) => None,
        };
        let mut document = serde_json::Map::new();
        if let Self::ReachesNothing(_, Value::Object(facts)) = self {
            document.insert("reason".to_owned(), json!("REACHES_NOTHING"));
            document.extend(facts.clone());
        }
        if let Some(said) = said {
            document.insert("reason".to_owned(), json!(said.reason));
            let facts = said.facts.iter().map(|(name, value)| {
                let number = name
                    .ends_with("_seconds")
                    .then(|| value.parse::<u64>().ok());
                let value = number
                    .flatten()
                    .map_or_else(|| json!(value), |it| json!(it));
                (name.clone(), value)
            });
            document.extend(facts);
        }
        document
    }

    /// The exit code, and the line, where there is one.
    pub(crate) fn told(self) -> (u8, Option<String>) {
        match self {
            Self::Done => (0, None),
            Self::Negative => (1, None),
            Self::Usage(lines) => (2, Some(text::lines(&lines))),
            Self::Pending(line) => (5, Some(text::line(&line))),
            Self::HeldUp(line) => (9, Some(text::line(&line))),
            Self::Unconfirmed(line) => (8, Some(text::line(&line))),
            Self::ReachesNothing(lines, _) => (10, Some(text::lines(&lines))),
            Self::TimedOut(most) => (124, Some(format!("not done within {most}"))),
            Self::Client(error) => (code(&error), Some(told(&error))),
            Self::ClientThen(error, what) => {
                let line = text::line(&error.to_string());
                (
                    code(&error),
                    Some(format!("{line}\n{}", text::lines(&what))),
                )
            }
            Self::Child(code) => (code, None),
            Self::NotRun(why) => (125, why.told().1),
        }
    }
}

/// The line of an error; of one that waiting helps with, also how long.
fn told(error: &ClientError) -> String {
    let line = text::line(&error.to_string());
    let ClientError::RefusedForNow(said) = error else {
        return line;
    };
    match (said.retry_at(), said.retry_after()) {
        (Some(at), Some(wait)) => {
            let wait = span::shown(wait);
            format!("{line}\nretry after {} (in {wait})", text::line(at))
        }
        (Some(at), None) => format!("{line}\nretry after {}", text::line(at)),
        (None, _) => line,
    }
}

const fn code(error: &ClientError) -> u8 {
    match error {
        ClientError::Denied(_) => 3,
        ClientError::NotLoggedIn(_) | ClientError::FreshLogin(_) => 4,
        ClientError::ApprovalPending(_) => 5,
        ClientError::Killed(_) => 6,
        ClientError::Unavailable(_) => 7,
        ClientError::RefusedForNow(_) => 9,
        ClientError::NotFound(_) | ClientError::Refused(_) | ClientError::Context(_) => 2,
    }
}
