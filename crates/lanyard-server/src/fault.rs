//! Failures of the daemon's commands: a plain line on stderr and an exit code.

use std::io::Write as _;
use std::process::ExitCode;

use lanyard_core::document::visible;

use crate::config::ConfigError;

/// The exit code when the usage, configuration or machine keeps the command from working.
const FAULT: u8 = 2;

/// Prints the error in one line, or a configuration with several faults in one line each.
pub(crate) fn told(error: &anyhow::Error) -> ExitCode {
    let mut stderr = std::io::stderr().lock();
    for line in lines(error) {
        // Who has closed stderr reads the exit code.
        writeln!(stderr, "{line}").ok();
    }
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

/// The error with each cause that its message does not contain already.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        let cause = cause.trim_end();
        if said.is_empty() {
            said.push_str(cause);
        } else if !said.contains(cause) {
            said.push_str(": ");
            said.push_str(cause);
        }
    }
    said
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
    fn a_cause_that_a_message_names_already_is_named_once() {
        let error = anyhow!("no such file").context("cannot read `x`: no such file");
        assert_eq!(chain(&error), "cannot read `x`: no such file");
    }

    #[test]
    fn each_fault_of_a_configuration_has_its_line() {
        let faults = vec!["c.yaml:1:1: one".to_owned(), "c.yaml:2:1: two".to_owned()];
        let error = anyhow::Error::from(ConfigError::Faults(faults.clone()));
        assert_eq!(lines(&error), faults);
    }
}
