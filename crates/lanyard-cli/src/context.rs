//! `lanyard context`: which broker, and as whom.

use clap::Subcommand;
use lanyard_client::{ClientError, Context, ContextError, Contexts};

use crate::Global;
use crate::outcome::Outcome;
use crate::output::print_one;
use crate::table::{Rows, key, prose, whole};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// The contexts there are.
    List,
    /// Make one the current one.
    Use {
        /// The name of the context.
        name: String,
    },
    /// Show the fields of a context; nothing that is secret.
    Show {
        /// The name of the context; the current one if it is left out.
        name: Option<String>,
    },
    /// Delete one, with the key and the tokens that are kept of it here; log out first to end the
    /// session.
    Delete {
        /// The name of the context.
        name: String,
    },
}

impl From<ContextError> for Outcome {
    fn from(error: ContextError) -> Self {
        Self::Client(ClientError::Context(error))
    }
}

pub(crate) fn run(global: &Global, command: Command) -> Result<(), Outcome> {
    let contexts = Contexts::of_user()?;
    match command {
        Command::List => list(global, &contexts)?,
        Command::Use { name } => {
            contexts.make_current(&name)?;
            global.note(format_args!("{name} is the current context"));
            if let Some(wins) = &global.context {
                let wins = wins.display();
                global.note(format_args!(
                    "{wins} is named by LANYARD_CONTEXT or --context, and wins"
                ));
            }
        }
        Command::Show { name } => {
            let path = match name {
                Some(name) => contexts.existing(&name)?,
                None => global.context()?,
            };
            show(global, &Context::load(&path)?);
        }
        Command::Delete { name } => {
            contexts.delete(&name)?;
            global.note(format_args!("deleted {name}"));
        }
    }
    Ok(())
}

fn list(global: &Global, contexts: &Contexts) -> Result<(), Outcome> {
    let mut rows = Rows::of([
        key("name"),
        whole("current", 1),
        prose("endpoint", 2, 20),
        prose("identity", 3, 12),
    ]);
    let current = contexts.current();
    for name in contexts.names()? {
        let is_current = current.as_ref() == Some(&name);
        let is_current = if is_current { "yes" } else { "" }.to_owned();
        let row = match Context::load(&contexts.path(&name)?) {
            Ok(context) => {
                let identity = context.describe().into_iter().next();
                let identity = identity.map(|(_, text)| text).unwrap_or_default();
                [name, is_current, context.endpoint().to_owned(), identity]
            }
            Err(error) => [name, is_current, String::new(), error.to_string()],
        };
        rows.push(row);
    }
    rows.print(global.output);
    Ok(())
}

fn show(global: &Global, context: &Context) {
    let mut fields = vec![("endpoint", context.endpoint().to_owned())];
    if let Some(url) = context.kill_endpoint() {
        fields.push(("kill endpoint", url.to_owned()));
    }
    fields.extend(context.describe());
    print_one(global.output, &fields);
}
