//! `lanyard setup git`.

use std::process::Command;

use clap::Args;

use super::{Helper, How, Standing};
use crate::Global;
use crate::creds::split;
use crate::outcome::Outcome;
use crate::terminal::say;

#[derive(Args)]
pub(crate) struct Git {
    #[command(flatten)]
    standing: Standing,
    /// For which place, such as `https://git.example/team`: the audience of the grant, or a part of
    /// it.
    #[arg(long)]
    url: String,
    #[command(flatten)]
    how: How,
}

pub(super) fn run(global: &Global, asked: &Git) -> Result<(), Outcome> {
    let no_place = || {
        Outcome::usage(format!(
            "{:?} is no place: expected https://HOST or https://HOST/PATH",
            asked.url
        ))
    };
    let (origin, path) = split(&asked.url).ok_or_else(no_place)?;
    let place = format!("{origin}/{path}");
    let place = place.trim_end_matches('/');
    if place.contains(crate::words::is_unquotable) {
        return Err(no_place());
    }
    let helper = format!("!{}", Helper::of(global, "git", &asked.standing)?.line());
    let key = |of: &str| format!("credential.{place}.{of}");
    // An empty helper takes away those that were named before: nobody else is asked there.
    let entries = [
        (key("helper"), String::new()),
        (key("helper"), helper),
        (key("useHttpPath"), "true".to_owned()),
    ];
    if asked.how.print {
        for (key, value) in &entries {
            println!("git config --global --add {key} '{value}'");
        }
        return Ok(());
    }
    let keys = [key("helper"), key("useHttpPath")];
    let found = git(&["--get-all", &keys[0]])?;
    let ours = found
        .lines()
        .filter(|line| !line.is_empty())
        .all(|line| line.starts_with('!') && line.contains(" creds git "));
    if !ours {
        let line =
            format!("git has a helper for {place} that lanyard did not write: take it out first");
        return Err(Outcome::usage(line));
    }
    if !found.is_empty() {
        for key in &keys {
            git(&["--unset-all", key])?;
        }
    }
    if asked.how.undo {
        say(format_args!("git asks lanyard no longer for {place}"));
        return Ok(());
    }
    for (key, value) in &entries {
        git(&["--add", key, value])?;
    }
    say(format_args!("git asks lanyard for {place}"));
    Ok(())
}

/// Runs git and returns what it prints; nothing if there is no such key.
fn git(arguments: &[&str]) -> Result<String, Outcome> {
    let output = Command::new("git")
        .args(["config", "--global"])
        .args(arguments)
        .output();
    let output = output.map_err(|error| Outcome::usage(format!("git does not start: {error}")))?;
    // 1 and 5: there is no such key (git-config(1)).
    if output.status.success() || matches!(output.status.code(), Some(1 | 5)) {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Outcome::usage(format!("git config: {}", said.trim())))
}
