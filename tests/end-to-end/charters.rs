//! `lanyard charter`: the tools of whoever writes charters, without a broker.

use std::path::{Path, PathBuf};

use anyhow::Result;
use lanyard_rig::Cli;
use lanyard_tests::{Stage, until};
use serde_json::Value;

const WORLD: &[&str] = &[
    "--environment",
    "staging=sandbox",
    "--environment",
    "production=production",
    "--target",
    "tickets=token",
    "--target",
    "payments-prod=aws",
    "--target",
    "prod-eu=kubernetes",
];

fn corpus(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("charters")
        .join(file)
}

fn tool(command: &str, arguments: &[&str]) -> Result<lanyard_rig::Answer> {
    let words = [&["charter", command], WORLD, arguments].concat();
    Cli::offline()?.run(&words)
}

/// Runs a command of `lanyard charter` that needs no environment and no target.
fn tool_alone(command: &str, arguments: &[&str]) -> Result<lanyard_rig::Answer> {
    Cli::offline()?.run(&[&["charter", command], arguments].concat())
}

/// A good charter with one more line behind the one that begins so, in a folder of its own.
fn with(before: &str, line: &str) -> Result<(tempfile::TempDir, String)> {
    let folder = tempfile::tempdir()?;
    let text = std::fs::read_to_string(corpus("good/ticket-router.yaml"))?;
    let changed: String = text
        .split_inclusive('\n')
        .flat_map(|found| {
            let more = found.trim_start().starts_with(before);
            [
                found.to_owned(),
                if more {
                    format!("{line}\n")
                } else {
                    String::new()
                },
            ]
        })
        .collect();
    let file = folder.path().join("router.yaml");
    std::fs::write(&file, changed)?;
    let file = file.to_string_lossy().into_owned();
    Ok((folder, file))
}

#[test]
fn findings_come_in_the_forms_that_machines_read() -> Result<()> {
    let bad = corpus("bad/plan-writes.yaml");
    let bad = bad.to_str().unwrap();
    let lint = |format: &str| -> Result<String> {
        let answer = tool("lint", &[bad, "--format", format])?;
        assert_eq!(answer.code, 1, "{}", answer.stderr);
        Ok(answer.stdout)
    };
    let json: Value = serde_json::from_str(&lint("json")?)?;
    let of = |pointer: &str| json.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!((of("/0/code"), of("/0/line")), ("LC102".into(), 25.into()));
    assert_eq!(
        (of("/0/column"), of("/0/end_column")),
        (23.into(), 35.into())
    );

    let sarif: Value = serde_json::from_str(&lint("sarif")?)?;
    let result = sarif.pointer("/runs/0/results/0").unwrap();
    let place = result.get("ruleIndex").and_then(Value::as_u64).unwrap();
    let rule = sarif.pointer(&format!("/runs/0/tool/driver/rules/{place}/id"));
    assert_eq!(rule, result.get("ruleId"));

    assert!(lint("concise")?.contains(":25:23: error[LC102]: grant read-state"));
    assert!(lint("github")?.starts_with("::error file="));
    assert!(lint("junit")?.contains("<failure message="));
    Ok(())
}

#[test]
fn a_warning_is_allowed_with_a_reason_and_an_allow_is_not_left_behind() -> Result<()> {
    let idle = "  prohibited:\n    - kubernetes: {resources: [widgets]}\n      reason: widgets are not for agents";
    let (_folder, file) = with("revocable_within", idle)?;
    let warned = tool("lint", &[&file])?;
    assert_eq!(warned.code, 0, "{}", warned.stdout);
    assert!(
        warned.stdout.contains("warning[LC203]"),
        "{}",
        warned.stdout
    );
    assert_eq!(tool("lint", &[&file, "--deny-warnings"])?.code, 1);

    let allow = "\n    # lanyard:allow LC203 because later grants\n    - kubernetes";
    let allowed = idle.replace("\n    - kubernetes", allow);
    let (_folder, file) = with("revocable_within", &allowed)?;
    let quiet = tool("lint", &[&file, "--deny-warnings"])?;
    assert_eq!((quiet.code, quiet.stdout.as_str()), (0, ""));

    let (_folder, file) = with(
        "revocable_within",
        &allowed.replace(" because later grants", ""),
    )?;
    let bare = tool("lint", &[&file])?;
    assert!(bare.stdout.contains("error[LC302]"), "{}", bare.stdout);

    let (_folder, file) = with(
        "limits:",
        "    # lanyard:allow LC207 because it was longer once",
    )?;
    let unused = tool("lint", &[&file])?;
    assert!(
        unused.stdout.contains("warning[LC301]"),
        "{}",
        unused.stdout
    );
    tool("lint", &[&file, "--fix"])?;
    let fixed = std::fs::read_to_string(&file)?;
    assert_eq!(
        fixed,
        std::fs::read_to_string(corpus("good/ticket-router.yaml"))?
    );

    let (_folder, file) = with("limits:", "    # lanyard:allow LC108 because we are few")?;
    let error = tool("lint", &[&file])?;
    assert!(error.stdout.contains("error[LC303]"), "{}", error.stdout);
    Ok(())
}

#[test]
fn a_slip_of_the_keyboard_is_fixed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let text = std::fs::read_to_string(corpus("good/ticket-router.yaml"))?;
    let file = folder.path().join("router.yaml");
    std::fs::write(&file, text.replace("live_leases:", "live_lease:"))?;
    let file = file.to_string_lossy();
    assert_eq!(tool("lint", &[&file])?.code, 1);
    assert_eq!(tool("lint", &[&file, "--fix"])?.code, 0);
    assert_eq!(std::fs::read_to_string(&*file)?, text);
    Ok(())
}

#[test]
fn two_files_cannot_hold_one_charter() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for name in ["one.yaml", "two.yaml"] {
        std::fs::copy(corpus("good/ticket-router.yaml"), folder.path().join(name))?;
    }
    let answer = tool("lint", &[folder.path().to_str().unwrap()])?;
    assert_eq!(answer.code, 1);
    assert!(answer.stdout.contains("LC022"), "{}", answer.stdout);
    Ok(())
}

#[test]
fn golden_cases_hold_and_a_wrong_one_is_named_and_written_anew() -> Result<()> {
    let good = corpus("good");
    let answer = tool("test", &[good.to_str().unwrap(), "--coverage"])?;
    assert_eq!(answer.code, 0, "{}", answer.stdout);
    assert!(
        answer.stdout.contains("10 of 11 parts are met"),
        "{}",
        answer.stdout
    );

    let folder = tempfile::tempdir()?;
    for name in ["payments-terraform.yaml", "payments-terraform.test.yaml"] {
        std::fs::copy(good.join(name), folder.path().join(name))?;
    }
    let cases = folder.path().join("payments-terraform.test.yaml");
    let text = std::fs::read_to_string(&cases)?;
    std::fs::write(
        &cases,
        text.replace("people: 2, ttl: 10m", "people: 1, ttl: 5m"),
    )?;
    let place = folder.path().to_str().unwrap();
    let wrong = tool("test", &[place])?;
    assert_eq!(wrong.code, 1);
    assert!(
        wrong.stdout.contains("people 2, not 1; ttl 10m, not 5m"),
        "{}",
        wrong.stdout
    );
    assert_eq!(tool("test", &[place, "--update"])?.code, 0);
    assert_eq!(std::fs::read_to_string(&cases)?, text);
    Ok(())
}

#[test]
fn an_answer_is_explained_by_the_rules_that_were_met_and_by_what_would_be_allowed() -> Result<()> {
    let file = corpus("good/payments-terraform.yaml");
    let file = file.to_str().unwrap();
    let agent = [
        "--agent",
        "https://issuer.acme.example",
        "system:serviceaccount:agents:tf",
    ];
    let asked = [
        &[file],
        &agent[..],
        &["--in", "production", "--grant", "restart"],
    ]
    .concat();
    let denied = tool("explain", &asked)?;
    assert_eq!(denied.code, 1, "{}", denied.stderr);
    for part in [
        "yaml:12:7)",
        "denied by charter payments-terraform (grants, line 36)",
        "would be allowed: in staging, with a plan",
    ] {
        assert!(denied.stdout.contains(part), "{part}: {}", denied.stdout);
    }
    let stranger = ["--agent", "https://issuer.acme.example", "somebody"];
    let asked = [
        &[file],
        &stranger[..],
        &["--in", "staging", "--grant", "restart"],
    ]
    .concat();
    let nothing = tool("explain", &asked)?;
    assert!(!nothing.stdout.contains("yaml:"), "{}", nothing.stdout);

    let code = Cli::offline()?.run(&["explain", "too-few-peopel"])?;
    assert_eq!(code.code, 2);
    assert!(
        code.stderr.contains("did you mean too-few-people?"),
        "{}",
        code.stderr
    );
    Ok(())
}

#[test]
fn a_widening_ends_with_1_and_is_named() -> Result<()> {
    let old = corpus("good/payments-terraform.yaml");
    let old = old.to_str().unwrap();
    let folder = tempfile::tempdir()?;
    let new = folder.path().join("new.yaml");
    let text = std::fs::read_to_string(old)?;
    let diff = |text: String, more: &[&str]| -> Result<lanyard_rig::Answer> {
        std::fs::write(&new, text)?;
        tool("diff", &[&[old, new.to_str().unwrap()], more].concat())
    };
    let same = diff(text.clone(), &[])?;
    assert_eq!((same.code, same.stdout.as_str()), (0, ""));
    let narrower = diff(text.replace("people: 2", "people: 3"), &[])?;
    assert_eq!(narrower.code, 0, "{}", narrower.stdout);
    assert!(
        narrower
            .stdout
            .contains("apply in production: people who approve: 2, now 3")
    );
    let wider = text.replace("s3:ListBucket]", "s3:ListBucket, s3:GetBucketAcl]");
    let wider = diff(wider, &["--format", "markdown"])?;
    assert_eq!(wider.code, 1, "{}", wider.stdout);
    let named = "- grant read-state: s3:GetBucketAcl on arn:aws:s3:::tfstate-payments ";
    assert!(
        wider.stdout.contains("**Allowed from now on**"),
        "{}",
        wider.stdout
    );
    assert!(wider.stdout.contains(named), "{}", wider.stdout);
    Ok(())
}

#[test]
fn a_charter_comes_to_policies_whose_size_is_said() -> Result<()> {
    let file = corpus("good/payments-terraform.yaml");
    let compiled = tool("compile", &[file.to_str().unwrap()])?;
    assert_eq!(compiled.code, 0, "{}", compiled.stderr);
    for part in [
        "# session policy: 413 of 2048 characters",
        "# production: 600 s at most; its plan needs the approval of 2 people of payments-oncall, platform",
        "\"kind\": \"Role\"",
    ] {
        assert!(
            compiled.stdout.contains(part),
            "{part}: {}",
            compiled.stdout
        );
    }
    let folder = tempfile::tempdir()?;
    let large = folder.path().join("large.yaml");
    let many: Vec<String> = (0..90)
        .map(|n| format!("\"arn:aws:sqs:eu-west-1:111122223333:payments-{n}\""))
        .collect();
    let text = std::fs::read_to_string(&file)?;
    let text = text.replace(
        "\"arn:aws:sqs:eu-west-1:111122223333:payments-*\"",
        &many.join(", "),
    );
    std::fs::write(&large, text)?;
    let compiled = tool(
        "compile",
        &[large.to_str().unwrap(), "--grant", "change-queues"],
    )?;
    assert_eq!(compiled.code, 1);
    assert!(
        compiled.stdout.contains("aws accepts 2048"),
        "{}",
        compiled.stdout
    );
    Ok(())
}

#[test]
fn a_first_charter_holds_together_on_every_kind_of_target() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for target in ["tickets", "payments-prod", "prod-eu"] {
        let file = folder.path().join(format!("{target}.yaml"));
        let file = file.to_str().unwrap();
        let agent = ["--agent", "https://i.example", "agent:*"];
        let owners = ["--owners", "a@x.example", "b@x.example", "c@x.example"];
        let place = ["--in", "production", "--on", target, "--out", file];
        let purpose = ["--purpose", "Look: at \"things\"."];
        let words = [&[target], &agent[..], &owners, &place, &purpose].concat();
        let made = tool("init", &words)?;
        assert_eq!(made.code, 0, "{}", made.stderr);
        let linted = tool("lint", &[file, "--deny-warnings"])?;
        assert_eq!(linted.code, 0, "{}", linted.stdout);
        let again = tool("init", &words)?;
        assert_eq!(again.code, 2, "a file that is there is not written over");
        assert_eq!(tool_alone("fmt", &[file, "--check"])?.code, 0);
        let text = std::fs::read_to_string(file)?;
        assert!(text.starts_with("# yaml-language-server: $schema=charter.schema.json\n"));
        let beside = Path::new(file).with_file_name("charter.schema.json");
        let schema = tool_alone("schema", &[])?.stdout;
        let written = std::fs::read_to_string(beside)?;
        assert!(
            written.trim() == schema.trim(),
            "another schema is beside it"
        );
    }
    Ok(())
}

#[test]
fn what_init_is_not_told_it_asks_for_and_without_a_terminal_it_says_what() -> Result<()> {
    let silent = tool("init", &["looker", "--purpose", "Look at things."])?;
    assert_eq!(silent.code, 2, "{silent:?}");
    for part in [
        "--agent ISSUER SUBJECT",
        "--owners ",
        "--in ENVIRONMENT: where (one of production, staging)",
        "--on TARGET",
    ] {
        assert!(silent.stderr.contains(part), "{part}: {silent:?}");
    }
    Ok(())
}

#[test]
fn what_was_really_asked_is_asked_of_a_proposed_charter() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    stage.token(&task)?;
    stage
        .agent
        .fails(3, &["request", "--task", &task, "close-tickets"])?;
    let long = ["request", "--task", &task, "--ttl", "20m", "read-tickets"];
    stage.agent.fails(3, &long)?;
    let unplanned = ["request", "--task", &task, "move-tickets"];
    stage.agent.fails(3, &unplanned)?;
    let charter = stage.directory.path().join("charters/ticket-router.yaml");
    let text = std::fs::read_to_string(&charter)?;
    let data = stage.directory.path().join("data");
    let folder = tempfile::tempdir()?;
    let proposed = folder.path().join("proposed.yaml");
    let simulate = |text: &str| -> Result<lanyard_rig::Answer> {
        std::fs::write(&proposed, text)?;
        let words = [
            proposed.to_str().unwrap(),
            "--data-dir",
            data.to_str().unwrap(),
        ];
        tool("simulate", &words)
    };
    let same = simulate(&text)?;
    assert_eq!(same.code, 0, "{} {}", same.stdout, same.stderr);
    assert!(
        same.stderr
            .contains("4 decisions of ticket-router: 4 unchanged"),
        "{}",
        same.stderr
    );
    // How long was asked for, and whether there was a plan, is asked again too.
    let longer = simulate(&text.replace("ttl: 10m", "ttl: 30m"))?;
    assert!(
        longer
            .stderr
            .contains("3 unchanged, 1 deny to allow, 0 allow to deny"),
        "{}",
        longer.stderr
    );
    let other = simulate(&text.replace("name: read-tickets", "name: close-tickets"))?;
    assert_eq!(other.code, 1, "{}", other.stderr);
    assert!(
        other.stderr.contains("1 deny to allow, 1 allow to deny"),
        "{}",
        other.stderr
    );
    assert!(
        other.stdout.contains("there is no grant read-tickets"),
        "{}",
        other.stdout
    );
    Ok(())
}

#[test]
fn what_shadow_and_an_unlisted_version_would_get_is_recorded_and_not_given() -> Result<()> {
    let stage = Stage::set()?;
    let file = stage.directory.path().join("charters/ticket-router.yaml");
    let usual = std::fs::read_to_string(&file)?;
    let open = |more: &[&str]| {
        let first = ["-o", "name", "task", "open", "ticket-router"];
        let said = ["--environment", "production", "--reason", "x"];
        stage.agent.ok(&[&first[..], &said[..], more].concat())
    };
    let token = |task: &str| {
        stage
            .agent
            .run(&["creds", "token", "--task", task, "read-tickets"])
    };
    stage.amend("  versions: [{model: acme-coder-5}]\n")?;
    let silent = token(&open(&[])?)?;
    assert_eq!(silent.code, 3, "{silent:?}");
    assert!(
        silent.stderr.contains("does not state which version"),
        "{silent:?}"
    );
    let other = token(&open(&["--model", "acme-coder-6"])?)?;
    assert_eq!(other.code, 3, "{other:?}");
    let said = "(versions, line 39): this would be allowed; acme-coder-6 is not among the versions";
    assert!(other.stderr.contains(said), "{other:?}");
    let listed = open(&["--model", "acme-coder-5"])?;
    assert_eq!(token(&listed)?.code, 0);
    let shown = stage.agent.ok(&["task", "show", &listed])?;
    assert!(shown.contains("acme-coder-5"), "{shown}");

    std::fs::write(&file, usual.replace("spec:\n", "spec:\n  mode: shadow\n"))?;
    let said = "(mode): this would be allowed; the charter only records decisions";
    until(|| Ok(token(&listed)?.stderr.contains(said)))
}

#[test]
fn a_charter_is_laid_out_in_place_and_from_the_standard_input() -> Result<()> {
    let (folder, file) = with(
        "purpose:",
        "  # why it is so\n  mode:    enforce   # not yet shadow",
    )?;
    let place = folder.path().to_str().unwrap();
    let checked = tool_alone("fmt", &[place, "--check"])?;
    assert_eq!(
        (checked.code, checked.stdout.trim()),
        (1, file.as_str()),
        "{checked:?}"
    );
    assert_eq!(tool_alone("fmt", &[place])?.code, 0);
    let text = std::fs::read_to_string(&file)?;
    assert!(
        text.contains("\n  # why it is so\n  mode: enforce      # not yet shadow\n"),
        "{text}"
    );
    assert_eq!(tool_alone("fmt", &[place, "--check"])?.code, 0);
    let broken = corpus("bad/anchor.yaml");
    let answer = tool_alone("fmt", &[broken.to_str().unwrap()])?;
    assert!(
        answer.code == 2 && answer.stderr.contains("error[LC006]"),
        "{answer:?}"
    );
    Ok(())
}

#[test]
fn what_is_wrong_with_a_charter_is_said_by_the_status_the_log_and_a_metric() -> Result<()> {
    let mut stage = Stage::set()?;
    let metrics = lanyard_rig::free_port()?;
    let more = format!("metrics_listen: {metrics}\ntls:");
    stage.daemon = stage
        .daemon
        .serve_again(|text| text.replacen("tls:", &more, 1))?;
    let count = |stage: &Stage, name: &str| -> Result<i64> {
        let answer = stage.daemon.http_on(metrics, "/metrics")?;
        let line = answer
            .lines()
            .find_map(|line| line.strip_prefix(&format!("lanyard_{name} ")));
        Ok(line.unwrap_or("-1").parse()?)
    };
    until(|| Ok(count(&stage, "charters_in_force").unwrap_or(-1) == 1))?;
    let found = [
        "charters_out_of_force",
        "admin_equivalent_grants",
        "issuing",
        "pauses",
    ];
    let found: Vec<i64> = found
        .iter()
        .map(|name| count(&stage, name))
        .collect::<Result<_>>()?;
    assert_eq!(found, [0, 0, 1, 0]);
    stage.token(&stage.task()?)?;
    assert_eq!(count(&stage, "live_leases")?, 1);

    let file = stage.directory.path().join("charters/ticket-router.yaml");
    let good = std::fs::read_to_string(&file)?;
    std::fs::write(&file, good.replace("people: 2", "people: 1"))?;
    until(|| Ok(count(&stage, "charters_out_of_force")? == 1))?;
    assert_eq!(count(&stage, "charters_in_force")?, 0);
    let name = file.to_string_lossy().into_owned();
    let config = stage
        .directory
        .path()
        .join("lanyardd.yaml")
        .to_string_lossy()
        .into_owned();
    let lint = [
        "charter", "lint", &name, "--config", &config, "--format", "concise",
    ];
    let linted = Cli::offline()?.run(&lint)?.stdout;
    let said = linted
        .lines()
        .next()
        .unwrap()
        .rsplit_once("ticket-router.yaml")
        .unwrap()
        .1;
    assert!(said.contains("error[LC108]"), "{said}");
    let status = stage.oncall.run(&["status"])?.stderr;
    assert!(status.contains(said), "{status} lacks {said}");
    assert!(stage.daemon.log().contains(said));
    Ok(())
}

#[test]
fn iam10_what_a_charter_comes_to_is_json_where_json_is_asked_for() -> Result<()> {
    let file = corpus("good/payments-terraform.yaml");
    let compiled = tool("compile", &[file.to_str().unwrap(), "-o", "json"])?;
    assert_eq!(compiled.code, 0, "{}", compiled.stderr);
    let document: serde_json::Value = serde_json::from_str(&compiled.stdout)?;
    let grants = document["grants"].as_array().unwrap();
    let names: Vec<_> = grants.iter().map(|grant| grant["grant"].as_str()).collect();
    let expected = ["change-queues", "read-state", "restart"].map(Some);
    assert_eq!(names, expected);
    let state = &grants[1];
    assert_eq!(state["asks"]["Version"], "2012-10-17");
    assert_eq!(grants[0]["characters"], 413);
    assert_eq!(grants[0]["environments"]["production"]["people"], 2);
    Ok(())
}
