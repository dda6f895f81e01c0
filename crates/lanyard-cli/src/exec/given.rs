//! The credentials that a command is given: the helpers that fetch them, and the variables that
//! name the helpers.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use lanyard_client::v1::credential::Kind;

use crate::words;

/// A grant, and the credential that was issued to begin with.
pub(crate) struct Given {
    pub(crate) grant: String,
    pub(crate) plan: Option<String>,
    pub(crate) kind: Kind,
}

/// The way in which tools ask for a credential.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// Files and helpers that ask the local agent; nothing secret in the environment.
    Files,
    /// The same, and AWS tools ask the agent's endpoint on loopback.
    Endpoint,
    /// Secrets in the environment, which are not renewed: for tools that know nothing else.
    Env,
}

/// The command line of a tool's helper.
pub(crate) struct Helper {
    pub(crate) program: PathBuf,
    pub(crate) context: PathBuf,
    pub(crate) task: String,
}

impl Helper {
    pub(super) fn arguments(&self, tool: &str, given: &Given) -> Vec<String> {
        let mut arguments = vec![
            "--context".to_owned(),
            self.context.display().to_string(),
            "creds".to_owned(),
            tool.to_owned(),
            "--task".to_owned(),
            self.task.clone(),
        ];
        if let Some(plan) = &given.plan {
            arguments.extend(["--plan".to_owned(), plan.clone()]);
        }
        arguments.push(given.grant.clone());
        arguments
    }

    pub(super) fn line(&self, tool: &str, given: &Given) -> String {
        let program = self.program.display().to_string();
        words::line(std::iter::once(program).chain(self.arguments(tool, given)))
    }

    /// For a shell's script.
    pub(super) fn shell(&self, tool: &str, given: &Given) -> String {
        let program = self.program.display().to_string();
        words::pasted(std::iter::once(program).chain(self.arguments(tool, given)))
    }

    /// Names the part that no quoting of every tool could carry.
    pub(crate) fn fault(&self) -> Option<String> {
        let words = [
            self.program.display().to_string(),
            self.context.display().to_string(),
        ];
        let word = words
            .iter()
            .find(|word| word.contains(words::is_unquotable))?;
        Some(format!(
            "{word:?} has a character in its path that not every tool can be given"
        ))
    }
}

/// The variables that are set, and those that are taken away.
#[derive(Default)]
pub(crate) struct Environment {
    pub(crate) set: Vec<(String, OsString)>,
    pub(crate) removed: BTreeSet<OsString>,
}

impl Environment {
    pub(super) fn put(&mut self, name: &str, value: impl Into<OsString>) {
        self.set.push((name.to_owned(), value.into()));
    }

    /// Tells if the command finds this variable as the task needs it.
    pub(super) fn sets(&self, name: &str) -> bool {
        self.set.iter().any(|(set, _)| set == name)
    }
}
