//! `lanyard charter`: everything about charter files, offline.

mod cases;
mod compile;
mod diff;
mod explain;
mod files;
mod lint;
mod report;
mod test;

use clap::Subcommand;

use crate::Global;
use crate::outcome::Outcome;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Say every fault of charter files, and what is odd about them.
    Lint(lint::Lint),
    /// Say what a change of a charter allows that was not allowed, and the other way round; 1 when it allows more.
    Diff(diff::Diff),
    /// Print what a charter comes to: session policies with their size, RBAC, claims, and who approves.
    Compile(compile::Compile),
    /// Hold charters to the golden cases beside them.
    Test(test::Test),
    /// Say what a charter would answer, by which of its rules, and what it would allow instead.
    Explain(Box<explain::Explain>),
}

pub(crate) fn run(_global: &Global, command: Command) -> Result<(), Outcome> {
    match command {
        Command::Lint(lint) => lint::run(&lint),
        Command::Diff(asked) => diff::run(&asked),
        Command::Compile(asked) => compile::run(&asked),
        Command::Test(test) => test::run(&test),
        Command::Explain(asked) => explain::run(&asked),
    }
}
