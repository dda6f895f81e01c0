//! `cargo xtask fuzz [SECONDS]`: hostile charters, found by coverage.
//!
//! The same target runs under `cargo fuzz`. Here it is built by cargo alone, with the coverage that the fuzzer reads and without
//! sanitizers, which need another compiler; the code under test has no unsafe.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::build::succeed;

/// What makes the compiler count the edges that a run takes.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";
/// A single input that takes longer than this, in seconds, is a finding: nothing may take more than linear time.
const SLOW: u32 = 2;
/// The largest input: more than is ever read.
const LARGEST: usize = 300_000;

/// With the seconds on the command line, or for a minute.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let seconds = arguments.first().map_or(Ok(60), |text| text.parse());
    charters(seconds.context("usage: cargo xtask fuzz [SECONDS]")?)
}

/// Whether the fuzzer, which is C++, can be built here.
pub(crate) fn can_be_built() -> bool {
    Command::new("c++").arg("--version").output().is_ok()
}

/// Fuzzes the parser and the printer of charters, from the corpus of charters.
pub(crate) fn charters(seconds: u32) -> Result<()> {
    let host = host()?;
    let target = PathBuf::from("target/fuzz");
    let mut build = Command::new(env!("CARGO"));
    build
        .args([
            "build",
            "--release",
            "--locked",
            "--quiet",
            "--manifest-path",
            "fuzz/Cargo.toml",
        ])
        // With a target, build scripts are built without the coverage.
        .args(["--target", &host])
        .env("CARGO_TARGET_DIR", &target)
        .env("RUSTFLAGS", COVERAGE)
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    succeed(&mut build)?;
    let corpus = target.join("corpus");
    seed(&corpus)?;
    let mut fuzz = Command::new(target.join(&host).join("release/charter"));
    fuzz.arg(&corpus)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={SLOW}"))
        .arg(format!("-max_len={LARGEST}"))
        .arg(format!("-artifact_prefix={}/", target.display()))
        .args(["-verbosity=0", "-print_final_stats=0"]);
    succeed(&mut fuzz)
}

fn seed(corpus: &Path) -> Result<()> {
    fs::create_dir_all(corpus)?;
    for kind in ["good", "odd", "bad"] {
        for entry in fs::read_dir(Path::new("tests/charters").join(kind))? {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "yaml")
            {
                let name = path.file_name().context("no name")?;
                fs::copy(&path, corpus.join(name))?;
            }
        }
    }
    Ok(())
}

fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output()?;
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc names no host")?.to_owned())
}
