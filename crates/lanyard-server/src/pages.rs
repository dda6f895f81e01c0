//! Manual pages and shell completions of the daemon's command line, for packages.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::description;
use crate::kinds::Kinds;
use crate::terminal;

/// Writes a page for the daemon and one for each of its commands.
///
/// # Errors
/// When the directory or a page cannot be written.
pub(crate) fn manual(mut command: Command, folder: &Path) -> Result<()> {
    let shown = || format!("cannot write into `{}`", folder.display());
    fs::create_dir_all(folder).with_context(shown)?;
    command.build();
    let own = command.get_name().to_owned();
    let subcommands = command.get_subcommands();
    let subcommands = subcommands.filter(|it| !it.is_hide_set() && it.get_name() != "help");
    for page in subcommands.chain([&command]) {
        let name = match page.get_name() {
            name if name == own => own.clone(),
            name => format!("{own}-{name}"),
        };
        let mut text = Vec::new();
        let man = Man::new(page.clone()).title(&name).section("8");
        man.render(&mut text).with_context(shown)?;
        fs::write(folder.join(format!("{name}.8")), text).with_context(shown)?;
    }
    Ok(())
}

/// Prints the JSON Schema of the configuration.
///
/// # Errors
/// When stdout is closed.
pub(crate) fn schema() -> Result<()> {
    let schema = serde_json::to_string_pretty(&description::schema(Kinds::default()))?;
    Ok(terminal::print_whole(&format!("{schema}\n"))?)
}

/// Prints the completions for a shell.
///
/// # Errors
/// When stdout is closed.
pub(crate) fn completion(mut command: Command, shell: Shell) -> Result<()> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    Ok(terminal::print_whole(&String::from_utf8_lossy(&script))?)
}
