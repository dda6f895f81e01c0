//! `lanyard charter diff`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use lanyard_charter::{Change, Effect, diff};
use lanyard_vocabulary::count::counted;
use serde_json::{Value, json};

use super::files;
use super::files::Declared;
use crate::outcome::Outcome;
use crate::terminal::tell;
use crate::{Global, text};

/// The form in which changes are printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Print one line for each difference.
    Text,
    /// A comment for a pull request.
    Markdown,
    /// A list of objects.
    Json,
}

#[derive(Args)]
pub(crate) struct Diff {
    /// The charter as it was.
    old: PathBuf,
    /// The charter as it is to be.
    new: PathBuf,
    #[command(flatten)]
    declared: Declared,
    /// The form in which changes are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn run(global: &Global, asked: &Diff) -> Result<(), Outcome> {
    let charters = [asked.new.clone(), asked.old.clone()];
    let world = asked.declared.world_of(global, &charters)?;
    let (old, _) = files::charter(&asked.old, &world)?;
    let (new, _) = files::charter(&asked.new, &world)?;
    let changes = diff(&old, &new);
    match asked.format {
        Format::Text if global.output.is_document() => global.output.document(&document(&changes)),
        Format::Text => {
            for change in &changes {
                let line = format!("{:<9}  {}{}", change.effect, change.what, place(change));
                tell(text::line(&line));
            }
        }
        Format::Markdown => markdown(&old.name.to_string(), &changes),
        Format::Json => println!("{}", text::json(format!("{:#}", document(&changes)))),
    }
    let count = |effect| {
        changes
            .iter()
            .filter(|change| change.effect == effect)
            .count()
    };
    let widenings = count(Effect::Widening);
    let narrowings = count(Effect::Narrowing);
    global.note(format_args!(
        "{}, {}",
        counted(widenings as u64, "widening"),
        counted(narrowings as u64, "narrowing")
    ));
    if widenings > 0 {
        Err(Outcome::Negative)
    } else {
        Ok(())
    }
}

fn document(changes: &[Change]) -> Value {
    let all = changes.iter().map(|change| {
        json!({
            "effect": change.effect.to_string(),
            "what": change.what,
            "line": change.at.map(|at| at.line),
        })
    });
    all.collect()
}

fn place(change: &Change) -> String {
    change
        .at
        .map_or_else(String::new, |at| format!("  (line {})", at.line))
}

fn markdown(name: &str, changes: &[Change]) {
    println!("### Charter `{name}`\n");
    if changes.is_empty() {
        println!("Nothing changed.");
    }
    for (effect, title) in [
        (Effect::Widening, "Allowed from now on"),
        (Effect::Narrowing, "Not allowed any more"),
        (Effect::Neutral, "Neither"),
    ] {
        let lines: Vec<_> = changes
            .iter()
            .filter(|change| change.effect == effect)
            .collect();
        if !lines.is_empty() {
            println!("**{title}**\n");
            for change in lines {
                let what = text::line(&change.what).replace('*', "\\*");
                println!("- {what}{}", place(change));
            }
            println!();
        }
    }
}
