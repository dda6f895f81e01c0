//! `lanyard charter`: everything about charter files, offline, and which of them a broker has in
//! force.

mod cases;
mod compile;
mod crd;
mod diff;
mod explain;
pub(crate) mod files;
mod fmt;
mod init;
mod lint;
pub(crate) mod list;
mod plans;
mod report;
mod simulate;
mod test;

use clap::Subcommand;
use lanyard_charter::description;

use crate::Global;
use crate::kinds;
use crate::outcome::Outcome;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the charters that a broker has in force; the files that are not, and why, are on
    /// stderr, with exit code 1.
    List(list::List),
    /// Show a charter that is in force: who may do what where, who approves, and who answers for
    /// it.
    Show {
        /// The name of a charter in force.
        name: String,
    },
    /// Write a first charter that holds together: one that reads.
    Init(Box<init::Init>),
    /// Print the JSON Schema of charters, for editors.
    Schema,
    /// Print the CustomResourceDefinition of charters, for Kubernetes.
    Crd,
    /// Say every fault of charter files, and what is odd about them.
    Lint(lint::Lint),
    /// Lay charter files out, fields in the order of the reference, with their comments.
    Fmt(fmt::Fmt),
    /// Say what a change of a charter allows that was not allowed, and the other way round; 1 when
    /// it allows more.
    Diff(diff::Diff),
    /// Print what a charter comes to: session policies with their size, RBAC, claims, and who
    /// approves.
    Compile(compile::Compile),
    /// Ask a proposed charter what was really asked, from a journal; 1 when an answer would be
    /// another one.
    Simulate(simulate::Simulate),
    /// Hold charters to the golden cases beside them.
    Test(test::Test),
    /// Say what a charter would answer, by which of its rules, and what it would allow instead.
    Explain(Box<explain::Explain>),
}

pub(crate) async fn run(global: &Global, command: Command) -> Result<(), Outcome> {
    match command {
        Command::List(asked) => list::run(global, &asked).await,
        Command::Show { name } => list::show(global, name).await,
        Command::Init(asked) => init::run(global, &asked),
        Command::Schema => {
            println!("{:#}", description::schema(kinds::more()));
            Ok(())
        }
        Command::Crd => {
            print!("{}", crd::text());
            Ok(())
        }
        Command::Lint(lint) => lint::run(global, &lint).await,
        Command::Fmt(asked) => fmt::run(&asked),
        Command::Diff(asked) => diff::run(global, &asked),
        Command::Compile(asked) => compile::run(global, &asked),
        Command::Simulate(asked) => simulate::run(global, &asked),
        Command::Test(test) => test::run(global, &test),
        Command::Explain(asked) => explain::run(global, &asked),
    }
}
