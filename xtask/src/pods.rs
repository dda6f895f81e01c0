//! Runs what needs a cluster that runs pods: the image, two versions of it, and the tests on it.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use lanyard_rig::{Image, PodCluster};

use crate::build;
use crate::image;

/// The tests that need pods.
const TESTS: [&str; 6] = [
    "test",
    "--locked",
    "--package",
    "lanyard-tests",
    "--test",
    "pods",
];
/// The versions of the image; the second is the same program under another number.
const VERSIONS: [&str; 2] = ["1", "2"];

/// Starts a cluster that has the images, from binaries that are already built.
#[expect(clippy::disallowed_methods, reason = "says how long a start took")]
fn start(directory: &Path) -> Result<PodCluster> {
    let from = Instant::now();
    let cluster = PodCluster::start(&directory.join("pods"))?;
    let started = from.elapsed();
    let own = std::env::current_exe()?;
    let binaries = own.parent().context("this program is in no folder")?;
    let context = directory.join("context");
    let bytes = image::collect(binaries, &context)?;
    for version in VERSIONS {
        let name = format!("localhost/lanyardd:{version}");
        load(&cluster, &context, &name, &[("VERSION", version)])?;
    }
    // An agent's pod runs the command line, in a container that waits for commands.
    std::fs::copy(cluster.pause(), context.join("root/bin/pause"))?;
    let file = "FROM scratch\nCOPY root/ /\nUSER 65532:65532\nENTRYPOINT [\"/bin/pause\"]\n";
    std::fs::write(context.join("Containerfile"), file)?;
    load(&cluster, &context, "localhost/agent:1", &[])?;
    std::fs::remove_dir_all(context)?;
    println!(
        "pods: the node took {:.1} s to start; the images of {:.1} MB took {:.1} s",
        started.as_secs_f64(),
        bytes as f64 / 1e6,
        (from.elapsed() - started).as_secs_f64()
    );
    Ok(cluster)
}

/// Builds an image and loads it onto the node.
fn load(
    cluster: &PodCluster,
    context: &Path,
    name: &str,
    arguments: &[(&str, &str)],
) -> Result<()> {
    let archive = context.with_extension("tar");
    let image = Image {
        context,
        name,
        arguments,
    };
    image.archive(&archive)?;
    cluster.pods().load(&archive)?;
    Ok(std::fs::remove_file(archive)?)
}

/// Runs the tests that need pods, and returns a line about them or the reason why they could not
/// run.
pub(crate) fn test() -> Result<String> {
    let what = "the image and the chart, on a cluster with pods";
    let directory = tempfile::tempdir()?;
    let cluster = match start(directory.path()) {
        Ok(cluster) => cluster,
        Err(error) => return Ok(format!("DID NOT RUN: {what}: {error:#}")),
    };
    let mut tests = build::cargo();
    tests.args(TESTS).args(["--", "--nocapture"]);
    build::succeed(tests.envs(cluster.pods().environment()))?;
    Ok(format!("ran: {what}"))
}

/// Runs `cargo xtask pods [COMMAND…]`: the tests, or another command, with the cluster up.
pub(crate) fn run(command: &[String]) -> Result<()> {
    build::binaries()?;
    let [program, arguments @ ..] = command else {
        println!("{}", test()?);
        return Ok(());
    };
    let directory = tempfile::tempdir()?;
    let cluster = start(directory.path())?;
    build::succeed(
        Command::new(program)
            .args(arguments)
            .envs(cluster.pods().environment()),
    )
}
