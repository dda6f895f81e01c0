//! The list of commands: what `cargo xtask --help` shows, and what each one runs.

use std::fmt::Write as _;

use anyhow::{Result, bail};

use crate::{
    bench, chart, conformance, demo, dist, docs, edges, fuzz, iam_data, image, limits, package,
    pods, servers, test, tidy,
};

/// A command, with what its help says.
struct Command {
    name: &'static str,
    /// The arguments that may follow the name, as the help shows them.
    arguments: &'static str,
    what: &'static str,
    /// The time that the command takes, as [`TIMES`] defines it.
    takes: &'static str,
    run: fn(&[String]) -> Result<()>,
}

/// A group of the help.
struct Group {
    heading: &'static str,
    commands: &'static [Command],
}

const TIMES: &str = "Times: two cores, everything compiled, the servers of the tests installed. The first compilation
takes 4 minutes; the servers take 15 more, once for each machine (kept in ~/.cache/lanyard).
`cargo xtask COMMAND --help` shows what a command accepts.
";

const GROUPS: [Group; 5] = [
    Group {
        heading: "See the product",
        commands: &[Command {
            name: "demo",
            arguments: "[--servers]",
            what: "Play the product's story on this machine",
            takes: "2 s",
            run: demo::run,
        }],
    },
    Group {
        heading: "Test",
        commands: &[
            Command {
                name: "test",
                arguments: "",
                what: "Run every test, on real servers where this machine has them",
                takes: "20 min",
                run: |arguments| without(arguments, test::run),
            },
            Command {
                name: "servers",
                arguments: "COMMAND [ARGUMENT…]",
                what: "Run a command with the servers of the tests up",
                takes: "30 s + COMMAND",
                run: servers::run,
            },
            Command {
                name: "conformance",
                arguments: "",
                what: "Play the conformance suite on every provider",
                takes: "2 min",
                run: |arguments| without(arguments, conformance::run),
            },
            Command {
                name: "chart",
                arguments: "",
                what: "Lint, render and test the Helm chart",
                takes: "1 min",
                run: |arguments| without(arguments, chart::run),
            },
            Command {
                name: "pods",
                arguments: "[COMMAND [ARGUMENT…]]",
                what: "Run the tests, or a command, on a cluster with pods",
                takes: "2 min",
                run: pods::run,
            },
            Command {
                name: "fuzz",
                arguments: "[SECONDS [charter|tokens|keys|aws]]",
                what: "Run the fuzzers",
                takes: "4 × 60 s",
                run: fuzz::run,
            },
        ],
    },
    Group {
        heading: "Hold the rules that no compiler knows",
        commands: &[
            Command {
                name: "edges",
                arguments: "[--write]",
                what: "Check which crate depends on which, or draw the picture",
                takes: "1 s",
                run: edges::run,
            },
            Command {
                name: "tidy",
                arguments: "",
                what: "Check file headers, citations, links and decisions",
                takes: "2 s",
                run: |arguments| without(arguments, tidy::run),
            },
            Command {
                name: "limits",
                arguments: "[--check]",
                what: "Write docs/limits.md from the declared bounds",
                takes: "2 s",
                run: limits::run,
            },
            Command {
                name: "iam-data",
                arguments: "",
                what: "Fetch the table of AWS actions anew",
                takes: "2 min",
                run: |arguments| without(arguments, iam_data::run),
            },
        ],
    },
    Group {
        heading: "Measure (builds the profile `dist` first: 10 min)",
        commands: &[
            Command {
                name: "bench",
                arguments: "[decide|verify|lint|issue|flood|kill LEASES|sweep|deliver|providers|simulate [SEEDS]]",
                what: "Measure decisions, lint, issuing, kills and starts",
                takes: "5 min",
                run: bench::run,
            },
            Command {
                name: "chaos",
                arguments: "[--minutes N]",
                what: "Flood a daemon, and hold what others notice to its bounds",
                takes: "5 min",
                run: bench::chaos,
            },
        ],
    },
    Group {
        heading: "Publish",
        commands: &[
            Command {
                name: "docs",
                arguments: "[--api]",
                what: "Build the site of docs/, or the API reference of the crates",
                takes: "1 s, 1 min",
                run: docs::run,
            },
            Command {
                name: "dist",
                arguments: "",
                what: "Build and pack the archives of a release",
                takes: "10 min",
                run: |arguments| without(arguments, dist::run),
            },
            Command {
                name: "package",
                arguments: "deb [--binaries DIR] [--out DIR]",
                what: "Build the Debian package",
                takes: "10 min",
                run: package::run,
            },
            Command {
                name: "image",
                arguments: "[--profile PROFILE] [--name NAME] [--version VERSION] [--source URL] [--context DIR | --archive FILE]",
                what: "Build the container image",
                takes: "3 min",
                run: image::run,
            },
        ],
    },
];

/// Runs the command that the first argument names.
///
/// # Errors
/// When there is no such command, or when the command fails.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let Some((name, rest)) = arguments.split_first() else {
        bail!("no command is given\n\n{}", help());
    };
    if is_help(name) || name == "help" {
        print!("{}", help());
        return Ok(());
    }
    let Some(command) = all().find(|command| command.name == name) else {
        let names: Vec<&str> = all().map(|command| command.name).collect();
        bail!(
            "there is no command `{name}`: the commands are {}",
            names.join(", ")
        );
    };
    // Only the first argument can ask for help: `servers` and `pods` run commands that have a help
    // of their own.
    if rest.first().is_some_and(|first| is_help(first)) {
        print!("{}", command.help());
        return Ok(());
    }
    (command.run)(rest)
}

fn is_help(argument: &str) -> bool {
    ["-h", "--help"].contains(&argument)
}

fn all() -> impl Iterator<Item = &'static Command> {
    GROUPS.iter().flat_map(|group| group.commands)
}

/// Runs a command that takes no argument.
fn without(arguments: &[String], run: fn() -> Result<()>) -> Result<()> {
    if let Some(first) = arguments.first() {
        bail!("`{first}` is one argument too many: the command takes none");
    }
    run()
}

fn help() -> String {
    let mut text = String::from("Usage: cargo xtask COMMAND [ARGUMENT…]\n");
    for group in &GROUPS {
        write!(text, "\n{}:\n", group.heading).ok();
        for command in group.commands {
            let Command {
                name, what, takes, ..
            } = command;
            writeln!(text, "  {name:<12} {what:<61} {takes}").ok();
        }
    }
    write!(text, "\n{TIMES}").ok();
    text
}

impl Command {
    fn help(&self) -> String {
        let Self {
            name,
            arguments,
            what,
            takes,
            ..
        } = self;
        let usage = format!("Usage: cargo xtask {name} {arguments}");
        format!("{what}.\n\n{}\n\nTakes {takes}. {TIMES}", usage.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{all, help};

    #[test]
    fn contributing_shows_the_help() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../CONTRIBUTING.md");
        let page = std::fs::read_to_string(page).unwrap_or_default();
        assert!(
            page.contains(&help()),
            "CONTRIBUTING.md does not show what `cargo xtask --help` prints:\n{}",
            help()
        );
    }

    #[test]
    fn each_command_has_one_line_that_a_terminal_of_100_columns_shows() {
        let help = help();
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
        for command in all() {
            let start = format!("  {} ", command.name);
            let lines = help.lines().filter(|line| line.starts_with(&start));
            assert_eq!(lines.count(), 1, "{}", command.name);
        }
    }
}
