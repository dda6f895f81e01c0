//! `cargo xtask bench`: builds for release and measures.

use std::process::Command;

use anyhow::Result;

use crate::build;

/// Everything, or what is named.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let packages = ["lanyard-server", "lanyard-cli", "lanyard-bench"];
    let mut release = Command::new(env!("CARGO"));
    release.args(["build", "--release", "--quiet", "--locked"]);
    for package in packages {
        release.args(["--package", package]);
    }
    build::succeed(&mut release)?;
    let binary = lanyard_rig::binaries()?;
    let binary = binary.with_file_name("release").join("lanyard-bench");
    if !arguments.is_empty() {
        return build::succeed(Command::new(binary).args(arguments));
    }
    for what in [
        &["decide"][..],
        &["lint"],
        &["issue"],
        &["kill", "100000"],
        &["kill", "1000000"],
    ] {
        build::succeed(Command::new(&binary).args(what))?;
    }
    Ok(())
}
