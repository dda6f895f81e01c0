//! `lanyard setup aws`.

use std::path::PathBuf;

use clap::Args;

use super::file::{self, Section};
use super::{Helper, How, Standing};
use crate::Global;
use crate::outcome::Outcome;
use crate::terminal::say;

#[derive(Args)]
pub(crate) struct Profile {
    #[command(flatten)]
    standing: Standing,
    /// The profile's name; the grant's otherwise.
    #[arg(long)]
    profile: Option<String>,
    /// The AWS region of the profile.
    #[arg(long)]
    region: Option<String>,
    #[command(flatten)]
    how: How,
}

pub(super) fn run(global: &Global, asked: &Profile) -> Result<(), Outcome> {
    let name = super::name_of(asked.profile.as_ref(), &asked.standing.grant)?;
    let lines = lines(global, asked, &name)?;
    if asked.how.print {
        print!("{lines}");
        return Ok(());
    }
    if name == "default" {
        let line = "the profile default is everybody's: choose another --profile, and name it with AWS_PROFILE";
        return Err(Outcome::usage(line));
    }
    let path = match std::env::var_os("AWS_CONFIG_FILE").filter(|it| !it.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => super::home()?.join(".aws/config"),
    };
    let section = Section { name: &name };
    let text = file::read(&path)?;
    let without = section
        .cut(&text)
        .map_err(|fault| file::failed(&path, "changed", fault))?;
    if asked.how.undo {
        if without != text {
            file::write(&path, &without)?;
        }
        say(format_args!(
            "the profile {name} is no longer in {}",
            path.display()
        ));
        return Ok(());
    }
    if without
        .lines()
        .any(|line| super::begins(line, &format!("profile {name}")))
    {
        let fault =
            format!("it has a profile {name} that lanyard did not write: choose another --profile");
        return Err(file::failed(&path, "changed", fault));
    }
    let keys = match std::env::var_os("AWS_SHARED_CREDENTIALS_FILE").filter(|it| !it.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => super::home()?.join(".aws/credentials"),
    };
    if file::read(&keys)?
        .lines()
        .any(|line| super::begins(line, &name))
    {
        let keys = keys.display();
        let fault =
            format!("{keys} has keys of {name}, and they would win: choose another --profile");
        return Err(file::failed(&path, "changed", fault));
    }
    file::write(&path, &section.put(&without, &lines))?;
    say(format_args!(
        "wrote the profile {name} to {}; try: aws --profile {name} sts get-caller-identity",
        path.display()
    ));
    Ok(())
}

fn lines(global: &Global, asked: &Profile, name: &str) -> Result<String, Outcome> {
    let helper = Helper::of(global, "aws", &asked.standing)?;
    let region = match &asked.region {
        Some(region) if super::is_name(region) => format!("region = {region}\n"),
        Some(region) => return Err(Outcome::usage(format!("{region:?} is no region"))),
        None => String::new(),
    };
    Ok(format!(
        "[profile {name}]\n{region}credential_process = {}\n",
        helper.line()
    ))
}
