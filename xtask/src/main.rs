//! The project's own commands: `cargo xtask demo | test | chart | conformance | bench | chaos | dist | docs | fuzz | servers | pods | image | iam-data | limits | package | edges | tidy`.

mod bench;
mod build;
mod chart;
mod citations;
mod conformance;
mod demo;
mod dist;
mod docs;
mod edges;
mod fuzz;
mod iam_data;
mod image;
mod limits;
mod links;
mod package;
mod pods;
mod servers;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask <demo|test|chart|conformance|bench|chaos|dist|docs|fuzz|servers|pods|image|iam-data|limits|package|edges|tidy>";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("demo") => demo::run(arguments.get(1..).unwrap_or_default()),
        Some("test") => test::run(),
        Some("chart") => chart::run(),
        Some("conformance") => conformance::run(),
        Some("bench") => bench::run(arguments.get(1..).unwrap_or_default()),
        Some("chaos") => bench::chaos(arguments.get(1..).unwrap_or_default()),
        Some("dist") => dist::run(),
        Some("docs") => docs::run(),
        Some("fuzz") => fuzz::run(arguments.get(1..).unwrap_or_default()),
        Some("servers") => servers::run(arguments.get(1..).unwrap_or_default()),
        Some("pods") => pods::run(arguments.get(1..).unwrap_or_default()),
        Some("image") => image::run(arguments.get(1..).unwrap_or_default()),
        Some("iam-data") => iam_data::run(),
        Some("limits") => limits::run(arguments.get(1..).unwrap_or_default()),
        Some("package") => package::run(arguments.get(1..).unwrap_or_default()),
        Some("edges") => edges::run(),
        Some("tidy") => tidy::run(),
        Some(other) => bail!("there is no command `{other}`; {USAGE}"),
        None => bail!("{USAGE}"),
    }
}
