//! `lanyard setup`: an entry in the settings of a tool, for credentials without `lanyard exec`.

mod file;
mod git;
mod kubeconfig;
mod mcp;
mod profile;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::Global;
use crate::outcome::Outcome;
use crate::words;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// A profile in the AWS configuration file.
    Aws(profile::Profile),
    /// A kubeconfig file of its own.
    Kube(kubeconfig::Kubeconfig),
    /// A credential helper for one place, in git's global configuration.
    Git(git::Git),
    /// An entry for `lanyard mcp` in the project's .mcp.json.
    ClaudeCode(mcp::Entry),
}

/// The task and the grant that the credentials are for.
#[derive(Args)]
pub(crate) struct Standing {
    /// The grant whose credentials the tool gets.
    #[arg(long)]
    grant: String,
    /// The charter of the task.
    #[arg(long)]
    charter: String,
    /// The environment of the task.
    #[arg(long)]
    environment: String,
    /// The reason of the task that is opened when a credential is asked for.
    #[arg(long)]
    reason: String,
}

/// The change that is made to an entry.
#[derive(Args)]
#[group(multiple = false)]
pub(crate) struct How {
    /// Print it, and write nothing.
    #[arg(long)]
    print: bool,
    /// Take it out again.
    #[arg(long)]
    undo: bool,
}

pub(crate) async fn run(global: &Global, command: Command) -> Result<(), Outcome> {
    match command {
        Command::Aws(profile) => profile::run(global, &profile),
        Command::Kube(kubeconfig) => kubeconfig::run(global, &kubeconfig).await,
        Command::Git(git) => git::run(global, &git),
        Command::ClaudeCode(entry) => mcp::run(global, &entry),
    }
}

/// The command by which a tool gets a credential: this program, and its arguments.
struct Helper {
    program: PathBuf,
    arguments: Vec<String>,
}

impl Helper {
    fn of(global: &Global, tool: &str, standing: &Standing) -> Result<Self, Outcome> {
        let context = global.whole_context()?;
        let arguments = [
            "--context",
            &context.display().to_string(),
            "creds",
            tool,
            "--charter",
            &standing.charter,
            "--environment",
            &standing.environment,
            "--reason",
            &standing.reason,
            &standing.grant,
        ];
        let helper = Self {
            program: crate::agent::program()?,
            arguments: arguments.map(str::to_owned).to_vec(),
        };
        let unquotable = helper
            .words()
            .find(|word| word.contains(words::is_unquotable));
        match unquotable {
            Some(word) => {
                let line = format!(
                    "{word:?} cannot be written so that every tool reads it: no quotes, $, `, \\, %, #, ;, ! or line ends"
                );
                Err(Outcome::usage(line))
            }
            None => Ok(helper),
        }
    }

    fn words(&self) -> impl Iterator<Item = String> {
        let program = self.program.display().to_string();
        std::iter::once(program).chain(self.arguments.iter().cloned())
    }

    /// Returns the command as one line, for tools that split it as a shell does.
    fn line(&self) -> String {
        words::line(self.words())
    }
}

/// A name that is good in every one of those files.
fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 64 && name.chars().all(plain) && !name.starts_with(['-', '.'])
}

/// Tells if a line begins a section of this name, however it is spaced.
fn begins(line: &str, name: &str) -> bool {
    let inner = line
        .trim()
        .strip_prefix('[')
        .and_then(|rest| rest.split(']').next());
    inner.is_some_and(|inner| inner.split_whitespace().eq(name.split_whitespace()))
}

fn name_of(given: Option<&String>, grant: &str) -> Result<String, Outcome> {
    let name = given.cloned().unwrap_or_else(|| grant.to_owned());
    if is_name(&name) {
        Ok(name)
    } else {
        let line =
            format!("{name:?} is no name: letters, digits, dots, dashes and underscores, up to 64");
        Err(Outcome::usage(line))
    }
}

fn home() -> Result<PathBuf, Outcome> {
    let home = std::env::var_os("HOME").filter(|it| !it.is_empty());
    home.map(PathBuf::from)
        .ok_or_else(|| Outcome::usage("there is no HOME to write to: use --print"))
}
