//! The lists of RPCs and of commands, compared with what the tests of this folder call.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Commands whose subject is the process itself, its surroundings or other programs, or that go on
/// until a signal, each with the end-to-end test that runs it.
const OF_PROCESSES: &[(&str, &str)] = &[
    ("agent endpoint", "local_agent.rs"),
    ("agent run", "local_agent.rs"),
    ("agent status", "local_agent.rs"),
    ("agent stop", "local_agent.rs"),
    ("audit tail", "comfort.rs"),
    ("context delete", "login.rs"),
    ("context list", "login.rs"),
    ("context show", "login.rs"),
    ("context use", "login.rs"),
    ("doctor", "doctor.rs"),
    ("enrolment join", "enrolment.rs"),
    ("enrolment rotate", "enrolment.rs"),
    ("exec", "exec.rs"),
    ("login", "login.rs"),
    ("logout", "login.rs"),
    ("mcp", "mcp.rs"),
    ("setup aws", "setup.rs"),
    ("setup claude-code", "setup.rs"),
    ("setup git", "setup.rs"),
    ("setup kube", "with_kubectl.rs"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The text of all tests of this folder, without white space between tokens.
fn tests() -> String {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut text = String::new();
    for folder in [tests.join("commands"), tests] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && !path.ends_with("every_one.rs") {
                text.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    text.split_whitespace().collect()
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[test]
fn every_rpc_has_a_test_of_its_answer_and_one_of_a_refusal() {
    let proto = root().join("proto");
    let files = std::fs::read_dir(proto.join("lanyard/v1")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let described = protox::compile(files, [&proto]).unwrap();
    let tests = tests();
    let (mut missing, mut rpcs) = (BTreeSet::new(), 0);
    for file in &described.file {
        for service in &file.service {
            for method in &service.method {
                rpcs += 1;
                let call = format!("{}Client::{}(", service.name(), snake(method.name()));
                for what in ["answers", "refuses"] {
                    let begins = format!("{what}!(");
                    let is_tested = tests
                        .split(&begins)
                        .skip(1)
                        .filter_map(|rest| rest.split_once(','))
                        .any(|(_, rest)| rest.starts_with(&call));
                    if !is_tested {
                        missing.insert(format!("{what}!({call}…)"));
                    }
                }
            }
        }
    }
    assert!(rpcs > 50, "{rpcs} RPCs were found");
    assert_eq!(missing, BTreeSet::new());
}

/// The commands that have no subcommands, and those that do something without one.
fn leaves(command: &clap::Command, above: &str, found: &mut BTreeSet<String>) {
    for command in command.get_subcommands() {
        let name = format!("{above} {}", command.get_name()).trim().to_owned();
        if command.get_name() == "help" || command.is_hide_set() {
            continue;
        }
        if !command.has_subcommands() || command.is_subcommand_negates_reqs_set() {
            found.insert(name.clone());
        }
        leaves(command, &name, found);
    }
}

#[test]
fn every_command_has_a_test_of_its_answer_and_one_of_a_refusal() {
    let mut commands = BTreeSet::new();
    leaves(&lanyard_cli::command_line(), "", &mut commands);
    assert!(commands.len() > 70, "{commands:?}");
    let tests = tests();
    let mut missing = BTreeSet::new();
    for command in &commands {
        let elsewhere = OF_PROCESSES.iter().find(|(name, _)| name == command);
        if let Some((_, file)) = elsewhere {
            let file = root().join("tests/end-to-end").join(file);
            let text = std::fs::read_to_string(&file).unwrap();
            let last = command.rsplit(' ').next().unwrap();
            if !text.contains(last) {
                missing.insert(format!("`{command}` in {}", file.display()));
            }
            continue;
        }
        let name: String = command.split_whitespace().collect();
        for what in ["answers", "refuses"] {
            if !tests.contains(&format!(".{what}(\"{name}\",")) {
                missing.insert(format!("{what}(\"{command}\", …)"));
            }
        }
    }
    let unknown = OF_PROCESSES.iter().map(|(name, _)| *name);
    let unknown = unknown.filter(|name| !commands.contains(*name));
    missing.extend(unknown.map(|name| format!("`{name}` is no command")));
    assert_eq!(missing, BTreeSet::new());
}
