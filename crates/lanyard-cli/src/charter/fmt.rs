//! `lanyard charter fmt`: one layout and one order of fields for every charter.

use std::io::Read as _;
use std::path::PathBuf;

use clap::Args;
use lanyard_charter::description;
use lanyard_document::{in_order, print};
use lanyard_vocabulary::count::{counted, verb_for};

use super::files;
use crate::kinds;
use crate::outcome::Outcome;
use crate::streams;
use crate::terminal::{say, say_findings};

#[derive(Args)]
pub(crate) struct Fmt {
    /// Charter files, or folders of them; `-` lays out the standard input to the standard output.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Write nothing; name what is laid out otherwise, with exit code 1.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(asked: &Fmt) -> Result<(), Outcome> {
    if asked.paths.iter().any(|path| path.as_os_str() == "-") {
        let mut text = String::new();
        streams::Input
            .read_to_string(&mut text)
            .map_err(|error| Outcome::usage(format!("the input cannot be read: {error}")))?;
        print!("{}", laid_out("-", &text)?);
        return Ok(());
    }
    let mut otherwise = 0;
    for path in files::files(&asked.paths)? {
        let (name, text) = (path.display().to_string(), files::read(&path)?);
        let printed = laid_out(&name, &text)?;
        if printed == text {
            continue;
        }
        otherwise += 1;
        println!("{name}");
        if !asked.check {
            std::fs::write(&path, printed)
                .map_err(|error| Outcome::usage(format!("{name} cannot be written: {error}")))?;
        }
    }
    if asked.check && otherwise > 0 {
        let files = counted(otherwise, "file");
        let are = verb_for(otherwise, "is", "are");
        say(format_args!("{files} {are} laid out otherwise"));
        return Err(Outcome::Negative);
    }
    Ok(())
}

fn laid_out(name: &str, text: &str) -> Result<String, Outcome> {
    let shape = description::shape(kinds::more());
    let printed = in_order(text, &shape).and_then(|ordered| print(&ordered));
    printed.map_err(|fault| {
        say_findings(name, text, &[fault]);
        Outcome::usage(format!("{name} cannot be read"))
    })
}
