//! `cargo xtask test`: every test, and at the end what ran.

use std::process::Command;

use anyhow::Result;
use lanyard_rig::Moto;

use crate::build;

/// Builds the binaries, starts the servers once, and runs the tests of the whole workspace.
pub(crate) fn run() -> Result<()> {
    build::binaries()?;
    let directory = tempfile::tempdir()?;
    let moto = Moto::start(&directory.path().join("moto.log"));
    let mut tests = Command::new(env!("CARGO"));
    tests.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    if let Ok(moto) = &moto {
        // Credentials that mean nothing, so that no others are found and used.
        tests
            .env("LANYARD_MOTO_URL", moto.url())
            .env("AWS_ACCESS_KEY_ID", "testing");
        tests
            .env("AWS_SECRET_ACCESS_KEY", "testing")
            .env("AWS_EC2_METADATA_DISABLED", "true");
    }
    build::succeed(&mut tests)?;
    println!("ran: unit, property, golden and simulation tests");
    println!("ran: end to end on a daemon of its own, through the command line and HTTP");
    match &moto {
        Ok(_) => println!("ran: the AWS provider on the SDK against moto"),
        Err(error) => println!("DID NOT RUN: the AWS provider against moto: {error:#}"),
    }
    println!("did not run: anything on a Kubernetes API server, which this version does not reach");
    println!("test: ok");
    Ok(())
}
