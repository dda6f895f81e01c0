//! `lanyard doctor`: what works here and what does not, and what to do about it.

mod agent;
mod broker;
mod files;
mod settings;
mod tools;

use clap::Args;

use lanyard_client::Proxies;

use crate::Global;
use crate::outcome::Outcome;
use crate::output::Output;
use crate::table::Rows;
use crate::terminal::{Colour, Screen};
use crate::text;

#[derive(Args)]
pub(crate) struct Doctor {
    /// Remove what commands that were killed left behind, and close their tasks.
    #[arg(long)]
    fix: bool,
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    /// The checked thing works, and is perhaps not what was meant.
    Warning,
    /// The checked thing does not work.
    Fault,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Fault => "fault",
        }
    }

    const fn colour(self) -> Colour {
        match self {
            Self::Ok => Colour::Green,
            Self::Warning => Colour::Yellow,
            Self::Fault => Colour::Red,
        }
    }
}

/// A thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Check {
    name: &'static str,
    state: State,
    what: String,
    /// The remedy; empty if nothing has to be done.
    remedy: String,
}

impl Check {
    fn ok(name: &'static str, what: impl Into<String>) -> Self {
        let (state, what, remedy) = (State::Ok, what.into(), String::new());
        Self {
            name,
            state,
            what,
            remedy,
        }
    }

    fn warning(name: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (state, remedy) = (State::Warning, remedy.into());
        Self {
            state,
            remedy,
            ..Self::ok(name, what)
        }
    }

    fn fault(name: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        let state = State::Fault;
        Self {
            state,
            ..Self::warning(name, what, remedy)
        }
    }
}

/// 1 where something does not work.
pub(crate) async fn run(global: &Global, asked: &Doctor) -> Result<(), Outcome> {
    let (context, mut checks) = broker::context(global);
    if let Some(context) = &context {
        checks.push(broker::proxy(
            context.endpoint(),
            &Proxies::of_environment(),
        ));
        checks.extend(broker::look(global, context).await);
    }
    checks.extend(agent::look().await);
    checks.extend(agent::leftovers(global, asked.fix).await);
    checks.extend(files::look(context.as_ref()));
    checks.extend(tools::look().await);
    checks.extend(settings::look(|name| std::env::var_os(name)).await);
    show(global, &checks);
    if checks.iter().any(|check| check.state == State::Fault) {
        return Err(Outcome::Negative);
    }
    Ok(())
}

fn show(global: &Global, checks: &[Check]) {
    if global.output != Output::Table {
        let mut rows = Rows::new(&["check", "state", "what", "remedy"]);
        for check in checks.iter().cloned() {
            let (name, state) = (check.name.to_owned(), check.state.word().to_owned());
            rows.push([name, state, check.what, check.remedy]);
        }
        return rows.print(global.output);
    }
    let screen = Screen::of(&std::io::stdout());
    let width = checks.iter().map(|check| text::width(check.name)).max();
    let width = width.unwrap_or_default();
    let columns = Screen::columns(&std::io::stdout());
    for check in checks {
        if global.quiet && check.state == State::Ok {
            continue;
        }
        let name = text::padded(check.name, width);
        let state = format!("{:<7}", check.state.word());
        // Without its colour, which takes no columns.
        let before = format!("{name}  {state}  ");
        let indent = before.len();
        let line = text::wrapped(&before, &text::line(&check.what), indent, columns);
        let rest = line.strip_prefix(&before).unwrap_or_default();
        let state = check.state.colour().paint(&state, screen);
        println!("{name}  {state}  {rest}");
        if !check.remedy.is_empty() {
            let before = " ".repeat(indent);
            let remedy = text::line(&check.remedy);
            println!("{}", text::wrapped(&before, &remedy, indent, columns));
        }
    }
}
