//! `lanyard completion`, `lanyard man` and `lanyard version`: what the command line says of itself.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::outcome::Outcome;
use crate::output::print_one;
use crate::{Arguments, Global, streams};

#[derive(Args)]
pub(crate) struct Completion {
    /// The shell that gets the completions.
    shell: Shell,
}

#[derive(Args)]
pub(crate) struct Manual {
    /// Write the pages of all commands into this folder, instead of the first one to stdout.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn completion(asked: &Completion) -> Result<(), Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(
        asked.shell,
        &mut Arguments::command(),
        "lanyard",
        &mut script,
    );
    written(&script)
}

pub(crate) fn manual(asked: &Manual) -> Result<(), Outcome> {
    let command = Arguments::command();
    let Some(folder) = &asked.out else {
        let mut page = Vec::new();
        let rendered = Man::new(command).render(&mut page);
        rendered.map_err(|error| Outcome::usage(error.to_string()))?;
        return written(&page);
    };
    let fault = |error: std::io::Error| fault(folder, &error);
    std::fs::create_dir_all(folder).map_err(fault)?;
    clap_mangen::generate_to(command, folder).map_err(fault)
}

pub(crate) fn version(global: &Global) {
    let platform = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    let fields = [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("platform", platform),
    ];
    print_one(global.output, &fields);
}

fn written(bytes: &[u8]) -> Result<(), Outcome> {
    match streams::Output::Standard.write_all(bytes) {
        // A reader that has seen enough is no fault of ours.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Outcome::usage(error.to_string())),
    }
}

fn fault(folder: &Path, error: &std::io::Error) -> Outcome {
    Outcome::usage(format!("{} cannot be written: {error}", folder.display()))
}
