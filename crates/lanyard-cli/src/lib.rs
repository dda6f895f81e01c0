//! The command line of agents and operators as a library. Data goes to stdout, everything else to
//! stderr. The program `lanyard` is its [`main`] and an allocator.

#[macro_use]
mod streams;

mod action;
mod agent;
mod approval;
mod audit;
mod charter;
mod condition;
mod context;
mod creds;
mod doctor;
mod drill;
mod emergency;
mod enrolment;
mod exec;
mod explain;
mod keys;
mod kill;
mod kinds;
mod lease;
mod login;
mod mcp;
mod outcome;
mod output;
mod pause;
mod plan;
mod report;
mod runbook;
mod setup;
mod shell;
#[cfg(test)]
mod snippets;
mod span;
mod status;
mod table;
mod task;
mod terminal;
mod text;
mod words;
mod yaml;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use lanyard_charter::MoreKinds;
use lanyard_client::{Client, ClientError, Context, Contexts};
use lanyard_vocabulary::time::Ttl;

use outcome::Outcome;
use output::Output;

/// Ask for credentials, approve plans, stop agents.
#[derive(Parser)]
#[command(name = "lanyard", version)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

// In the help of a command these come after its own options, under a head of their own.
#[derive(Clone, Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// The context, which says where the broker is and who asks: a file, or a name; the current one
    /// if it is left out.
    #[arg(long, env = "LANYARD_CONTEXT", global = true)]
    context: Option<PathBuf>,
    /// The form in which results are printed.
    #[arg(short, long, value_enum, default_value_t = Output::Table, global = true)]
    output: Output,
    /// Say nothing but results and errors.
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Wait no longer than this altogether (`30s`, `5m`): then the exit code is 124. With exec, for
    /// people alone.
    #[arg(long, value_name = "SPAN", value_parser = span::parse, global = true)]
    timeout: Option<Ttl>,
    /// Ask nothing: what would be asked is an error.
    #[arg(long, global = true)]
    no_input: bool,
}

impl Global {
    /// The file of the context that is asked for, or of the current one.
    fn context(&self) -> Result<PathBuf, Outcome> {
        let contexts = Contexts::of_user();
        match (&self.context, contexts) {
            (Some(asked), Ok(contexts)) => Ok(contexts.find(asked)?),
            (Some(asked), Err(_)) => Ok(asked.clone()),
            (None, contexts) => {
                let contexts = contexts?;
                let none = "no context: run lanyard login --endpoint URL, or name one with --context or LANYARD_CONTEXT";
                let current = contexts.current().ok_or_else(|| Outcome::usage(none))?;
                Ok(contexts.existing(&current)?)
            }
        }
    }

    /// The path of the context as seen from any folder, for files that keep it.
    fn whole_context(&self) -> Result<PathBuf, Outcome> {
        let context = self.context()?;
        Ok(std::path::absolute(&context).unwrap_or(context))
    }

    /// Says something beside the results, on stderr.
    fn note(&self, line: impl std::fmt::Display) {
        if !self.quiet {
            terminal::say(text::lines(&line.to_string()));
        }
    }

    /// Says something about a listing to whoever reads it. A script that asks for names wants
    /// nothing beside them.
    fn hint(&self, line: impl std::fmt::Display) {
        if self.output != Output::Name {
            self.note(line);
        }
    }

    /// Tells if somebody is there to be asked.
    fn may_ask(&self) -> bool {
        !self.no_input && !streams::are_in_memory() && std::io::stdin().is_terminal()
    }

    async fn client(&self) -> Result<Client, Outcome> {
        let path = self.context()?;
        let client = Client::connect(&path).await;
        client.map_err(|error| unreached(error, &path))
    }
}

/// A broker that cannot be reached, with the address that was tried, the context that names it, and
/// what to do.
fn unreached(error: ClientError, path: &Path) -> Outcome {
    let ClientError::Unavailable(why) = error else {
        return Outcome::Client(error);
    };
    let context = Context::load(path).ok();
    let tried = context.as_ref().map_or("", Context::endpoint);
    let place = path.display();
    // A certificate is judged by what the context names, and by nothing else where it names
    // something. An authority of the same name and another key, as of a broker that was installed
    // anew, is a bad signature.
    let unknown = ["UnknownIssuer", "unknown issuer", "BadSignature"];
    let remedy = if unknown.iter().any(|words| why.contains(words)) {
        format!(
            "; its certificate is of an authority that the context does not know: put the authority's PEM file into `ca_file` of {place}"
        )
    } else {
        String::new()
    };
    Outcome::Client(ClientError::Unavailable(format!(
        "{tried} (context {place}): {why}{remedy}; lanyard runbook the-broker-is-down says what to do"
    )))
}

#[derive(Subcommand)]
enum Command {
    /// Log in as a person, and begin a session with the broker.
    Login(Box<login::Login>),
    /// End the session, and forget it.
    Logout,
    /// Manage contexts: which brokers there are, and as whom to ask them.
    #[command(subcommand)]
    Context(context::Command),
    /// Agents that hold a key of their own: invite, list, remove; join and rotate as one.
    #[command(subcommand)]
    Enrolment(enrolment::Command),
    /// See and change the keys that sign the broker's own tokens.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Show who the broker takes you for.
    Whoami,
    /// Print a token that proves once who you are, for curl.
    Identity,
    /// Show what the broker issues, its condition and what stops it.
    Status,
    /// Show why the broker issues nothing, and lift it.
    #[command(subcommand)]
    Condition(condition::Command),
    /// Open, list and close tasks.
    #[command(subcommand)]
    Task(task::Command),
    /// Ask for a credential under a grant; prints the lease, never the secret.
    ///
    /// Nobody keeps the secret: `creds` and `exec` ask for a credential of their own, which is
    /// another lease. To see whether one would be issued use --dry-run, which takes no lease; give
    /// a lease back with `lanyard lease release`.
    Request(lease::Request),
    /// Print a credential in the form that a tool expects, and nothing else.
    Creds(creds::Creds),
    /// Run a command with the credentials of a task, and no others.
    Exec(Box<exec::Exec>),
    /// Be git's HTTP transport within lanyard exec.
    #[command(hide = true)]
    GitTransport(exec::Transport),
    /// Set a tool up to get its credentials here.
    #[command(subcommand)]
    Setup(setup::Command),
    /// The local agent, which keeps credentials for the tools of this machine.
    #[command(subcommand)]
    Agent(agent::Command),
    /// Serve a model: the Model Context Protocol on standard input and output.
    Mcp(mcp::Mcp),
    /// List and release leases.
    #[command(subcommand)]
    Lease(lease::Command),
    /// List the agents that hold live leases, as a kill takes them
    Who,
    /// Submit and read plans.
    #[command(subcommand)]
    Plan(plan::Command),
    /// Read, give and refuse approvals.
    #[command(subcommand)]
    Approval(approval::Command),
    /// Report what was done with a credential.
    #[command(subcommand)]
    Action(action::Command),
    /// Query, follow and verify the journal: what happened.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Report what agents asked for over a time, and what became of it.
    #[command(subcommand)]
    Report(report::Command),
    /// Write, check and compare charters.
    #[command(subcommand)]
    Charter(charter::Command),
    /// Explain what a finding means and what to do, or why a decision came out as it did.
    Explain(explain::Explain),
    /// Stop a scope: nothing new is issued, and what is live is revoked.
    Kill(Box<kill::Kill>),
    /// Declare an emergency under a charter, and end it.
    #[command(subcommand)]
    Emergency(emergency::Command),
    /// Stop issuing within a reach, and revoke nothing.
    Pause(Box<pause::Pause>),
    /// End a pause, so that its scope may mint again.
    Resume(pause::Resume),
    /// Lift a kill order by a step: propose it, or confirm another person's proposal.
    Rearm(kill::Rearm),
    /// Hold a drill: kill a canary at each target, and see it dead.
    Drill(drill::Drill),
    /// Read a page of the runbook, or list the pages; without a broker
    Runbook(runbook::Runbook),
    /// Check what works here and what does not, and say what to do about it; 1 if something does
    /// not.
    Doctor(doctor::Doctor),
    /// Print what a shell needs to complete commands.
    Completion(shell::Completion),
    /// Print the manual page, or write those of all commands.
    Man(shell::Manual),
    /// Print the version of this program.
    Version,
}

/// Runs the command line of `lanyard`, and returns the exit code of the process.
#[tokio::main(flavor = "current_thread")]
pub async fn main() -> ExitCode {
    let code = match Arguments::try_parse() {
        Ok(arguments) => ended(arguments).await,
        Err(error) => terminal::tell_unread(&error),
    };
    ExitCode::from(code)
}

/// The result of a command that ran within this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The exit code that the process would have had.
    pub code: u8,
    /// Standard output, which holds data.
    pub stdout: Vec<u8>,
    /// Standard error: everything else.
    pub stderr: Vec<u8>,
}

/// Runs one command within this process, as the program `lanyard` with these arguments would, with
/// `input` on its standard input. A command that starts other programs leaves them the streams of
/// this process, and the variables of this process are the command's.
pub async fn run_here(arguments: &[&str], input: &[u8]) -> Ran {
    run_here_with(kinds::more(), arguments, input).await
}

/// Runs one command as [`run_here`] does, where targets may be of these kinds beside those that are
/// built in.
pub async fn run_here_with(kinds: MoreKinds, arguments: &[&str], input: &[u8]) -> Ran {
    let streams = streams::InMemory::with(input);
    let program = std::iter::once("lanyard").chain(arguments.iter().copied());
    let command = async {
        match Arguments::try_parse_from(program) {
            Ok(arguments) => ended(arguments).await,
            Err(error) => terminal::tell_unread(&error),
        }
    };
    let code = kinds::with(kinds, streams.serve(command)).await;
    let streams::Content { out, err, .. } = streams.take();
    Ran {
        code,
        stdout: out,
        stderr: err,
    }
}

/// Describes the commands of `lanyard`, with their subcommands and options.
#[must_use]
pub fn command_line() -> clap::Command {
    Arguments::command()
}

async fn ended(arguments: Arguments) -> u8 {
    let Arguments { global, command } = arguments;
    // A command that is run takes as long as it takes: there, only people are waited for.
    let bound = global
        .timeout
        .filter(|_| !matches!(command, Command::Exec(_)));
    let outcome = match bound {
        None => run(&global, command).await,
        Some(most) => tokio::time::timeout(most.as_duration(), run(&global, command))
            .await
            .unwrap_or(Err(Outcome::TimedOut(most))),
    };
    outcome.err().unwrap_or(Outcome::Done).report(global.output)
}

async fn run(global: &Global, command: Command) -> Result<(), Outcome> {
    match command {
        Command::Login(asked) => login::login(global, *asked).await,
        Command::Logout => login::logout(global).await,
        Command::Context(command) => context::run(global, command),
        Command::Enrolment(command) => enrolment::run(global, command).await,
        Command::Keys(command) => keys::run(global, command).await,
        Command::Whoami => status::whoami(global).await,
        Command::Identity => status::identity(global),
        Command::Status => status::status(global).await,
        Command::Condition(command) => condition::run(global, command).await,
        Command::Task(command) => task::run(global, command).await,
        Command::Request(request) => lease::request(global, request).await,
        Command::Creds(creds) => creds::run(global, creds).await,
        Command::Exec(asked) => exec::run(global, *asked).await,
        Command::GitTransport(asked) => exec::transport(&asked),
        Command::Setup(command) => setup::run(global, command).await,
        Command::Agent(command) => agent::run(global, command).await,
        Command::Mcp(asked) => mcp::run(global, &asked).await,
        Command::Lease(command) => lease::run(global, command).await,
        Command::Who => lease::who(global).await,
        Command::Plan(command) => plan::run(global, command).await,
        Command::Approval(command) => approval::run(global, command).await,
        Command::Action(command) => action::run(global, command).await,
        Command::Report(command) => report::run(global, command).await,
        Command::Charter(command) => charter::run(global, command).await,
        Command::Explain(asked) => explain::run(global, &asked).await,
        Command::Audit(command) => audit::run(global, command).await,
        Command::Kill(kill) => kill::run(global, *kill).await,
        Command::Emergency(command) => emergency::run(global, command).await,
        Command::Pause(asked) => pause::run(global, *asked).await,
        Command::Resume(asked) => pause::resume(global, asked).await,
        Command::Rearm(rearm) => kill::rearm(global, rearm).await,
        Command::Drill(drill) => drill::run(global, drill).await,
        Command::Runbook(asked) => runbook::run(global, &asked),
        Command::Doctor(asked) => doctor::run(global, &asked).await,
        Command::Completion(asked) => shell::completion(&asked),
        Command::Man(asked) => shell::manual(&asked),
        Command::Version => {
            shell::version(global);
            Ok(())
        }
    }
}
