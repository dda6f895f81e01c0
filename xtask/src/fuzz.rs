//! `cargo xtask fuzz [SECONDS [TARGET]]`: finds hostile charters, tokens, key sets, AWS
//! proofs and records of the journal by coverage.
//!
//! The same targets run under `cargo fuzz`. Here cargo alone builds them, with the coverage that
//! the fuzzer reads and without sanitizers, which need another compiler; the code under test has no
//! unsafe.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::build::{cargo, succeed};

const USAGE: &str = "usage: cargo xtask fuzz [SECONDS [charter|tokens|keys|aws|records]]";
/// The folder where the targets are built and the findings are kept.
const FOLDER: &str = "target/fuzz";
/// The flags that make the compiler count the edges that a run takes.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";
/// The seconds after which a single input counts as a finding: nothing may take more than linear
/// time.
const SLOW: u32 = 2;
/// The largest input in bytes, which is more than is ever read.
const LARGEST: usize = 300_000;

/// A target, with the folders of its first inputs.
struct Target {
    name: &'static str,
    seeds: &'static [&'static str],
}

const TARGETS: &[Target] = &[
    Target {
        name: "charter",
        seeds: &[
            "tests/charters/good",
            "tests/charters/odd",
            "tests/charters/bad",
        ],
    },
    Target {
        name: "tokens",
        seeds: &["fuzz/seeds/tokens"],
    },
    Target {
        name: "keys",
        seeds: &["fuzz/seeds/keys"],
    },
    Target {
        name: "aws",
        seeds: &["fuzz/seeds/aws"],
    },
    Target {
        name: "records",
        seeds: &["fuzz/seeds/records"],
    },
];

/// Fuzzes every target or the named one, for the given seconds or for a minute.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let seconds = arguments.first().map_or(Ok(60), |text| text.parse());
    let seconds = seconds.context(USAGE)?;
    let built = build()?;
    match arguments.get(1) {
        None => TARGETS
            .iter()
            .try_for_each(|target| target.fuzz(&built, seconds)),
        Some(name) => {
            let target = TARGETS.iter().find(|target| target.name == name);
            target.context(USAGE)?.fuzz(&built, seconds)
        }
    }
}

/// Tells whether this machine can build the fuzzer, which is C++.
pub(crate) fn can_be_built() -> bool {
    Command::new("c++").arg("--version").output().is_ok()
}

/// Fuzzes every target for `seconds`.
pub(crate) fn all(seconds: u32) -> Result<()> {
    let built = build()?;
    TARGETS
        .iter()
        .try_for_each(|target| target.fuzz(&built, seconds))
}

/// Builds the targets, and returns their folder.
fn build() -> Result<PathBuf> {
    let host = host()?;
    let mut build = cargo();
    build
        .args([
            "build",
            "--release",
            "--locked",
            "--quiet",
            "--manifest-path",
            "fuzz/Cargo.toml",
        ])
        // With a target named, cargo builds build scripts without the coverage.
        .args(["--target", &host])
        .env("CARGO_TARGET_DIR", FOLDER)
        .env("RUSTFLAGS", COVERAGE)
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    succeed(&mut build)?;
    Ok(Path::new(FOLDER).join(host).join("release"))
}

impl Target {
    fn fuzz(&self, built: &Path, seconds: u32) -> Result<()> {
        let corpus = Path::new(FOLDER).join("corpus").join(self.name);
        self.seed(&corpus)?;
        let mut fuzz = Command::new(built.join(self.name));
        fuzz.arg(&corpus)
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-timeout={SLOW}"))
            .arg(format!("-max_len={LARGEST}"))
            .arg(format!("-artifact_prefix={FOLDER}/{}-", self.name))
            .args(["-verbosity=0", "-print_final_stats=0"]);
        succeed(&mut fuzz)?;
        println!("fuzz: {} for {seconds} s: ok", self.name);
        Ok(())
    }

    fn seed(&self, corpus: &Path) -> Result<()> {
        fs::create_dir_all(corpus)?;
        for folder in self.seeds {
            for entry in fs::read_dir(folder).context(*folder)? {
                let path = entry?.path();
                let is_seed = path.extension().is_some_and(|extension| {
                    ["yaml", "json", "txt", "xml"]
                        .iter()
                        .any(|of| extension == *of)
                });
                if is_seed {
                    let name = path.file_name().context("no name")?;
                    fs::copy(&path, corpus.join(name))?;
                }
            }
        }
        Ok(())
    }
}

fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output()?;
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc names no host")?.to_owned())
}
