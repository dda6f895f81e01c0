//! What makes the command line pleasant: other forms of output, completion, manual pages, quiet,
//! and an end to waiting.

use anyhow::{Context, Result};
use lanyard_rig::Cli;
use lanyard_tests::Stage;
use serde_json::Value;

/// Every listing and every single thing, that an empty stage has something of.
const SHOWN: [&[&str]; 7] = [
    &["whoami"],
    &["status"],
    &["charter", "list"],
    &["lease", "list"],
    &["kill", "list"],
    &["version"],
    &["audit", "query", "--kind", "open-task"],
];

#[test]
fn every_listing_is_json_a_line_each_and_yaml_too() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    stage.token(&task)?;
    let say = |form: &str, command: &[&str]| {
        let arguments = [&["-o", form], command].concat();
        stage.oncall.ok(&arguments)
    };
    for command in SHOWN {
        let json: Value = serde_json::from_str(&say("json", command)?)?;
        let lines = say("jsonl", command)?;
        let lines = lines.lines().map(serde_json::from_str);
        let lines = lines.collect::<Result<Vec<Value>, _>>()?;
        let one = || vec![json.clone()];
        let all = json.as_array().cloned().unwrap_or_else(one);
        assert_eq!(lines.len(), all.len(), "{command:?}");
        let yaml = say("yaml", command)?;
        let names = all.iter().filter_map(Value::as_object);
        for name in names.flat_map(serde_json::Map::keys) {
            assert!(yaml.contains(&format!("{name}:")), "{command:?}: {yaml}");
        }
    }
    let shown = stage.agent.ok(&["-o", "yaml", "task", "show", &task])?;
    assert!(shown.contains(&format!("task: {task}\n")), "{shown}");
    assert!(shown.contains("\nevents:\n  - at: \""), "{shown}");
    let kill = ["kill", "--task", &task, "--reason", "drill", "--yes"];
    let report = stage.oncall.ok(&[&["-o", "yaml"], &kill[..]].concat())?;
    assert!(report.contains("\nleases:\n  - "), "{report}");
    let report = stage.oncall.ok(&[&["-o", "jsonl"], &kill[..]].concat())?;
    let report: Value = serde_json::from_str(&report)?;
    assert_eq!(report.get("confirmed"), Some(&Value::Bool(true)));
    Ok(())
}

#[test]
fn shells_complete_what_there_is() -> Result<()> {
    let tool = Cli::offline()?;
    for (shell, sign) in [
        ("bash", "complete -F _lanyard"),
        ("zsh", "#compdef lanyard"),
        ("fish", "complete -c lanyard"),
        ("elvish", "edit:completion"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = tool.ok(&["completion", shell])?;
        assert!(script.contains(sign), "{shell}");
        assert!(
            script.contains("approval") && script.contains("timeout"),
            "{shell}"
        );
    }
    // What bash makes of it.
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("lanyard.bash");
    std::fs::write(&file, tool.ok(&["completion", "bash"])?)?;
    let line = "source \"$1\"; COMP_WORDS=(lanyard approval ap); COMP_CWORD=2; \
                _lanyard lanyard ap approval; echo \"${COMPREPLY[@]}\"";
    let bash = std::process::Command::new("bash")
        .args(["-c", line, "bash"])
        .arg(&file)
        .output()?;
    assert_eq!(String::from_utf8(bash.stdout)?.trim(), "approve");
    tool.fails(2, &["completion", "cmd"])?;
    Ok(())
}

#[test]
fn every_command_has_a_manual_page() -> Result<()> {
    let tool = Cli::offline()?;
    assert!(tool.ok(&["man"])?.contains(".TH lanyard 1"));
    let folder = tempfile::tempdir()?;
    let pages = folder.path().join("man1");
    tool.ok(&["man", "--out", &pages.to_string_lossy()])?;
    for page in [
        "lanyard.1",
        "lanyard-kill.1",
        "lanyard-kill-watch.1",
        "lanyard-charter-lint.1",
    ] {
        let text = std::fs::read_to_string(pages.join(page)).context(page)?;
        assert!(text.contains(".SH"), "{page}");
    }
    Ok(())
}

#[test]
fn the_version_is_said_without_a_broker() -> Result<()> {
    let tool = Cli::offline()?;
    let version = tool.json(&["version"])?;
    let said = version.get("version").and_then(Value::as_str);
    assert_eq!(said, Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(
        tool.ok(&["-o", "name", "version"])?,
        env!("CARGO_PKG_VERSION")
    );
    Ok(())
}

#[test]
fn quiet_leaves_results_and_errors() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let closed = stage.agent.run(&["-q", "task", "close", &task])?;
    assert_eq!((closed.code, closed.stderr.as_str()), (0, ""));
    let refused = stage.agent.run(&["-q", "task", "close", "T-nonsense"])?;
    assert_ne!(refused.stderr, "");
    Ok(())
}

#[test]
fn a_wait_ends_when_it_was_to_and_nobody_is_asked_who_is_not_there() -> Result<()> {
    let stage = Stage::set()?;
    let tail = stage.oncall.run(&["--timeout", "1s", "audit", "tail"])?;
    assert_eq!(
        (tail.code, tail.stderr.as_str()),
        (124, "lanyard: not done within 1s")
    );
    let kill = ["--no-input", "kill", "--all", "--reason", "drill"];
    let refused = stage.oncall.fails(2, &kill)?;
    assert!(refused.contains("say --yes"), "{refused}");
    let tool = Cli::offline()?;
    tool.fails(2, &["--timeout", "soon", "version"])?;
    Ok(())
}

#[test]
fn output_that_is_lost_is_a_fault_and_a_reader_that_has_seen_enough_is_none() -> Result<()> {
    for (program, arguments) in [
        ("lanyard", &["charter", "schema"][..]),
        ("lanyardd", &["schema"]),
    ] {
        let into = |stdout: std::process::Stdio| -> Result<lanyard_rig::Answer> {
            let program = lanyard_rig::binaries()?.join(program);
            let mut command = std::process::Command::new(program);
            let output = command.args(arguments).stdout(stdout).output()?;
            Ok(lanyard_rig::Answer::of(&output))
        };
        let full = std::fs::File::options().write(true).open("/dev/full")?;
        let lost = into(full.into())?;
        assert_eq!(lost.code, 2, "{}", lost.stderr);
        let begins = format!("{program}: the output cannot be written: No space left");
        assert!(lost.stderr.starts_with(&begins), "{}", lost.stderr);
        // The reader has gone before the first byte.
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let read = into(writer.into())?;
        assert_eq!((read.code, read.stderr.as_str()), (141, ""));
    }
    Ok(())
}
