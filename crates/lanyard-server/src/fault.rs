//! Failures of the daemon's commands: a plain line on stderr and an exit code.

use std::process::ExitCode;

use lanyard_vocabulary::text::visible;

use crate::causes::chain;
use crate::config::ConfigError;
use crate::terminal::say;

/// The exit code when the usage, configuration or machine keeps the command from working.
const FAULT: u8 = 2;

/// Prints the error in one line, or a configuration with several faults in one line each; a screen
/// folds them.
pub(crate) fn told(error: &anyhow::Error) -> ExitCode {
    lines(error).iter().for_each(say);
    ExitCode::from(FAULT)
}

fn lines(error: &anyhow::Error) -> Vec<String> {
    match error.downcast_ref() {
        Some(ConfigError::Faults(faults)) => faults.clone(),
        Some(ConfigError::Unreadable(_)) | None => {
            vec![format!("lanyardd: {}", visible(&chain(error)))]
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn an_error_is_one_line_whatever_is_in_it() {
        let error = anyhow!("disk full").context("cannot write `a\nb\u{1b}[2J`");
        assert_eq!(
            lines(&error),
            ["lanyardd: cannot write `a\\u{a}b\\u{1b}[2J`: disk full"]
        );
    }

    #[test]
    fn each_fault_of_a_configuration_has_its_line() {
        let faults = vec!["c.yaml:1:1: one".to_owned(), "c.yaml:2:1: two".to_owned()];
        let error = anyhow::Error::from(ConfigError::Faults(faults.clone()));
        assert_eq!(lines(&error), faults);
    }
}
