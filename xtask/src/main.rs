//! The project's own commands: `cargo xtask --help` lists them.

mod bench;
mod build;
mod chart;
mod circles;
mod citations;
mod commands;
mod conformance;
mod decisions;
mod demo;
mod dist;
mod docs;
mod edges;
mod fuzz;
mod iam_data;
mod image;
mod language;
mod limits;
mod links;
mod package;
mod pods;
mod servers;
mod test;
mod tidy;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match commands::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
