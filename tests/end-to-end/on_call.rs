//! The five things that an on-call engineer does, on a screen of 80 columns and 24 lines, as
//! transcripts; and what an order that reaches nothing says at every door. `LANYARD_UPDATE=1`
//! writes the transcripts anew.

use anyhow::{Context, Result};
use lanyard_tests::Stage;
use serde_json::{Value, json};

use crate::terminal::{Terminal, same, without_ids};

const COLUMNS: usize = 80;
const LINES: usize = 24;

/// The lines that are left on the screen at the end, without the blank ones.
pub(crate) fn screen(shown: &str) -> Vec<String> {
    let mut lines = undrawn(shown);
    lines.retain(|line| !line.is_empty());
    lines
}

/// The lines that are left once every line that the cursor went back up to is drawn over. How often
/// progress is drawn depends on the machine.
pub(crate) fn undrawn(shown: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in shown.replace("\r\n", "\n").replace("\u{1b}[J", "").lines() {
        let mut rest = line;
        while let Some((at, count, length)) = cursor_up(rest) {
            lines.truncate(lines.len().saturating_sub(count));
            rest = rest.get(at + length..).unwrap_or_default();
        }
        lines.push(rest.to_owned());
    }
    lines
}

/// The first sequence that moves the cursor up (CUU of ECMA-48): its offset, its count and its
/// length.
fn cursor_up(text: &str) -> Option<(usize, usize, usize)> {
    text.match_indices("\u{1b}[").find_map(|(at, _)| {
        let (count, _) = text.get(at + 2..)?.split_once('A')?;
        Some((at, count.parse().ok()?, 2 + count.len() + 1))
    })
}

/// Times, spans and addresses of this run, each of one kind.
fn always(line: &str, stage: &Stage) -> String {
    let here = stage.directory.path().display().to_string();
    let address = stage.daemon.address().to_string();
    let line = line.replace(&here, "…").replace(&address, "BROKER");
    let words = line.split(' ').map(|word| {
        let bare = word.trim_end_matches([',', ';', ')']);
        let tail = word.get(bare.len()..).unwrap_or_default();
        let is_time = bare.len() == 20 && bare.ends_with('Z') && bare.get(10..11) == Some("T");
        let is_span = bare.len() > 1
            && bare.ends_with(['s', 'm'])
            && bare.trim_end_matches(['s', 'm']).parse::<f64>().is_ok();
        let is_root = bare.len() == 64 && bare.bytes().all(|it| it.is_ascii_hexdigit());
        // An id that was cut to fit.
        let is_cut = bare.ends_with('…') && bare.get(1..2) == Some("-") && bare.len() > 8;
        if let Some(kind) = bare.get(..1).filter(|_| is_cut) {
            return format!("{kind}-…{tail}");
        }
        match (is_time, is_span, is_root) {
            (true, ..) => format!("TIME{tail}"),
            (_, true, _) => format!("SPAN{tail}"),
            (.., true) => format!("ROOT{tail}"),
            (false, false, false) => word.to_owned(),
        }
    });
    let line = words.collect::<Vec<_>>().join(" ");
    // How long a provider took is another matter every time.
    let line = match line.split_once("; 99 % taken in ") {
        Some((before, _)) => format!("{before}; 99 % taken in SPAN"),
        None => line,
    };
    let line = match line.split_once("records ") {
        Some(("", _)) => "records SOME".to_owned(),
        Some(_) | None => line,
    };
    without_ids(line.trim_end())
}

/// One command and what stands on the screen after it, which is whole on the screen.
fn step(stage: &Stage, command: &str, terminal: Terminal, code: i32) -> Result<String> {
    let (shown, ended) = terminal.end()?;
    let lines = screen(&shown);
    assert_eq!(ended, code, "{command}: {shown}");
    assert!(lines.len() < LINES, "{command}: {shown}");
    for line in &lines {
        // A terminal breaks what is typed after a question by itself.
        let columns = line.chars().count();
        let is_question = line.starts_with("Type ") || line.starts_with("Press ");
        assert!(columns <= COLUMNS || is_question, "{columns}: {line}");
    }
    let lines = lines.iter().map(|line| always(line, stage));
    let lines: Vec<String> = lines.collect();
    Ok(format!("$ {command}\n{}\nexit {code}\n", lines.join("\n")))
}

fn run(stage: &Stage, person: &str, arguments: &[&str], code: i32) -> Result<String> {
    let command = format!("lanyard {}", arguments.join(" "));
    let terminal = Terminal::small(stage, person, arguments)?;
    step(stage, &without_ids(&command), terminal, code)
}

fn leases(stage: &Stage, count: usize) -> Result<String> {
    let task = stage.task()?;
    for _ in 0..count {
        stage.token(&task)?;
    }
    Ok(task)
}

#[test]
fn u06_on_call_looks_at_the_status_and_at_who_holds_what() -> Result<()> {
    let stage = Stage::set()?;
    leases(&stage, 2)?;
    let said = [
        run(&stage, "oncall", &["status"], 0)?,
        run(&stage, "oncall", &["who"], 0)?,
        run(&stage, "oncall", &["lease", "list", "--agent", "router"], 0)?,
    ];
    same("on-call-look.txt", &said.join("\n"))
}

#[test]
fn u06_on_call_kills_an_agent_by_the_end_of_its_name() -> Result<()> {
    let stage = Stage::set()?;
    leases(&stage, 3)?;
    let who = stage.oncall.ok(&["-o", "name", "who"])?;
    let kill = ["kill", "--agent", &who, "--reason", "it loops"];
    let mut terminal = Terminal::small(&stage, "oncall", &kill)?;
    terminal.until("Press Enter")?;
    terminal.press("\n")?;
    let command = format!("lanyard kill --agent {who} --reason 'it loops'");
    let killed = step(&stage, &command, terminal, 0)?;
    let status = run(&stage, "oncall", &["status"], 0)?;
    same("on-call-agent.txt", &[killed, status].join("\n"))
}

#[test]
fn u02_on_call_kills_everything_by_the_name_of_the_broker_and_the_status_says_so() -> Result<()> {
    let stage = Stage::set()?;
    leases(&stage, 2)?;
    let kill = ["kill", "--all", "--reason", "nobody knows"];
    let mut terminal = Terminal::small(&stage, "oncall", &kill)?;
    terminal.until("kill everything there: ")?;
    terminal.press(&format!("{}\n", stage.daemon.address()))?;
    let killed = step(
        &stage,
        "lanyard kill --all --reason 'nobody knows'",
        terminal,
        0,
    )?;
    let status = run(&stage, "oncall", &["status"], 0)?;
    let ready = stage.daemon.http("GET", "/readyz", &[], "")?;
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    assert!(ready.contains("stops all issuing"), "{ready}");
    let doctor = stage.oncall.run(&["doctor"])?;
    assert_eq!(doctor.code, 1, "{doctor:?}");
    assert!(doctor.stdout.contains("no: kill order K-"), "{doctor:?}");
    assert!(!doctor.stdout.contains("can issue"), "{doctor:?}");
    assert!(
        doctor.stdout.contains("lanyard runbook re-arm"),
        "{doctor:?}"
    );
    // What was not drilled has not passed.
    let drill = stage.oncall.run(&["drill"])?;
    assert_eq!(drill.code, 9, "{drill:?}");
    assert!(drill.stdout.contains("held up by K-"), "{drill:?}");
    assert!(drill.stderr.contains("nothing is proved"), "{drill:?}");
    // Another name stops nothing.
    let mut other = Terminal::small(&stage, "oncall", &kill)?;
    other.until("kill everything there: ")?;
    other.press("oncall\n")?;
    assert_eq!(other.end()?.1, 2);
    same("on-call-everything.txt", &[killed, status].join("\n"))
}

#[test]
fn u06_on_call_sees_how_far_orders_got_without_the_drills() -> Result<()> {
    let stage = Stage::set()?;
    leases(&stage, 30)?;
    stage.oncall.ok(&["drill"])?;
    let killed = run(
        &stage,
        "oncall",
        &[
            "kill",
            "--charter",
            "ticket-router",
            "--reason",
            "it loops",
            "--yes",
        ],
        0,
    )?;
    let order = stage.oncall.ok(&["-o", "name", "kill", "list"])?;
    assert_eq!(order.lines().count(), 1, "{order}");
    let said = [
        killed,
        run(&stage, "oncall", &["kill", "list"], 0)?,
        run(&stage, "oncall", &["kill", "list", "--drills"], 0)?,
        run(&stage, "oncall", &["kill", "show", &order], 0)?,
    ];
    same("on-call-follow.txt", &said.join("\n"))
}

#[test]
fn u09_two_people_rearm_and_the_second_sees_what() -> Result<()> {
    let stage = Stage::set()?;
    leases(&stage, 1)?;
    let kill = [
        "kill",
        "--charter",
        "ticket-router",
        "--reason",
        "it loops",
        "--yes",
    ];
    stage.oncall.ok(&kill)?;
    let order = stage.oncall.ok(&["-o", "name", "kill", "list"])?;
    let empty = stage.oncall.fails(2, &["rearm", "", "--confirm"])?;
    assert!(empty.contains("none was given"), "{empty}");
    let propose = ["rearm", &order, "--reason", "rolled back"];
    let proposed = run(&stage, "oncall", &propose, 0)?;
    let known = stage.oncall.ok(&["-o", "name", "rearm", "show", &order])?;
    let shown = run(&stage, "oncall-two", &["rearm", "show", &order], 0)?;
    let confirm = ["rearm", &known, "--confirm"];
    let mut terminal = Terminal::small(&stage, "oncall-two", &confirm)?;
    terminal.until(" go: ")?;
    terminal.press("yes\n")?;
    let confirmed = step(&stage, "lanyard rearm R-… --confirm", terminal, 0)?;
    same(
        "on-call-rearm.txt",
        &[proposed, shown, confirmed].join("\n"),
    )
}

const fn kill([flag, name]: [&str; 2]) -> [&str; 6] {
    ["kill", flag, name, "--reason", "it loops", "--yes"]
}

#[test]
fn u01_an_order_that_reaches_nothing_says_so_at_every_door_and_one_person_takes_it_back()
-> Result<()> {
    let stage = Stage::set()?;
    let line = stage
        .oncall
        .fails(10, &kill(["--charter", "ticket-routr"]))?;
    assert!(line.contains("REACHES NOTHING"), "{line}");
    assert!(line.contains("did you mean `ticket-router`?"), "{line}");
    let order = stage.oncall.ok(&["-o", "name", "kill", "list"])?;
    // Whoever comes later reads it too.
    let shown = stage.oncall.fails(10, &["kill", "show", &order])?;
    let take_back = format!("lanyard kill withdraw {order}");
    assert!(
        shown.contains("REACHES NOTHING") && shown.contains(&take_back),
        "{shown}"
    );
    let listed = stage.oncall.json(&["kill", "list"])?;
    let flag = listed.pointer("/0/reaches_nothing");
    assert_eq!(flag, Some(&Value::Bool(true)), "{listed}");
    let journal = stage.oncall.ok(&["audit", "query", &order])?;
    assert!(journal.contains("REACHES NOTHING"), "{journal}");
    stage
        .oncall
        .ok(&["kill", "withdraw", &order, "--reason", "mistyped"])?;
    stage.oncall.ok(&["kill", "show", &order])?;
    stage
        .oncall
        .fails(2, &["kill", "withdraw", &order, "--reason", "again"])?;
    // In capitals, or with a space behind it, a name means what it can mean.
    stage.oncall.ok(&kill(["--charter", "Ticket-Router "]))?;
    let real = stage.oncall.ok(&["-o", "name", "kill", "list"])?;
    let real = real.lines().next().context("no order")?;
    let refused = stage
        .oncall
        .fails(2, &["kill", "withdraw", real, "--reason", "no"])?;
    assert!(refused.contains("two people"), "{refused}");
    assert!(refused.contains("lanyard rearm K-"), "{refused}");

    // Over HTTP.
    let proof = format!("Bearer {}", stage.oncall.ok(&["identity"])?);
    let headers = [("authorization", proof.as_str())];
    let asked = |scope: Value| -> Result<Value> {
        let body = json!({"scope": scope, "reason": "it loops"}).to_string();
        let answer = stage.daemon.kill_plane(&headers, &body)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
        Ok(serde_json::from_str(body)?)
    };
    let mistyped = asked(json!({"environment": "prod"}))?;
    assert_eq!(mistyped.get("reaches_nothing"), Some(&json!(true)));
    assert_eq!(mistyped.get("near_names"), Some(&json!(["production"])));
    assert_eq!(mistyped.get("fenced"), Some(&json!(true)));
    let known = asked(json!({"environment": "PRODUCTION"}))?;
    assert_eq!(known.get("reaches_nothing"), Some(&json!(false)), "{known}");
    let form = asked(json!("agent:router"))?;
    let form = form.get("error").and_then(Value::as_str);
    let form = form.context("no error")?;
    assert!(form.contains("{\"scope\":{\"agent\":\"NAME\"}"), "{form}");
    let none = asked(json!({"environment": "a b"}))?;
    let why = none
        .get("error")
        .and_then(Value::as_str)
        .context("no error")?;
    assert!(why.ends_with("nothing is stopped"), "{why}");

    // On the machine, with a daemon and without one.
    let beside = stage.local_kill(&["--target", "ticket"])?;
    assert_eq!(beside.code, 10, "{}", beside.stderr);
    assert!(
        beside.stderr.contains("did you mean `tickets`?"),
        "{}",
        beside.stderr
    );
    let stopped = stage.stop()?;
    let alone = stopped.local_kill(&["--charter", "router"])?;
    assert_eq!(alone.code, 10, "{}", alone.stderr);
    assert!(
        alone.stderr.contains("did you mean `ticket-router`?"),
        "{}",
        alone.stderr
    );
    Ok(())
}

#[test]
fn u01_programs_read_from_the_document_that_an_order_reaches_nothing() -> Result<()> {
    let stage = Stage::set()?;
    let kill = [&["-o", "json"], &kill(["--environment", "prod"])[..]].concat();
    let answer = stage.oncall.run(&kill)?;
    assert_eq!(answer.code, 10, "{answer:?}");
    let report: Value = serde_json::from_str(&answer.stdout)?;
    let order = report.pointer("/order/id").and_then(Value::as_str);
    assert_eq!(report.pointer("/order/reaches_nothing"), Some(&json!(true)));
    assert_eq!(report.get("near_names"), Some(&json!(["production"])));
    let error = answer.stderr.lines().last().context("no error")?;
    let error: Value = serde_json::from_str(error)?;
    let of = |name: &str| error.pointer(&format!("/error/{name}")).cloned();
    assert_eq!(of("reason"), Some(json!("REACHES_NOTHING")), "{error}");
    assert_eq!(of("kill_id"), Some(json!(order.context("no order")?)));
    assert_eq!(of("near_names"), Some(json!(["production"])));
    Ok(())
}

#[test]
fn u01_a_pause_with_a_name_that_nothing_has_says_so_and_holds() -> Result<()> {
    let stage = Stage::set()?;
    let pause = ["pause", "--charter", "ticket-routr", "--reason", "odd"];
    let answer = stage.oncall.run(&pause)?;
    assert_eq!(answer.code, 10, "{answer:?}");
    let id = answer.stdout.trim();
    assert!(
        answer.stderr.contains("did you mean `ticket-router`?"),
        "{answer:?}"
    );
    assert!(
        answer.stderr.contains(&format!("lanyard resume {id}")),
        "{answer:?}"
    );
    assert!(stage.oncall.ok(&["pause", "list"])?.contains(id));
    stage.oncall.ok(&["resume", id, "--reason", "mistyped"])?;
    // A short name of an agent is one.
    stage
        .oncall
        .ok(&["pause", "--agent", "Router", "--reason", "odd"])?;
    let task = [
        "task",
        "open",
        "ticket-router",
        "--environment",
        "production",
        "--reason",
        "x",
    ];
    let refused = stage.agent.run(&task)?;
    assert_eq!(refused.code, 9, "{refused:?}");
    Ok(())
}

#[test]
fn u09_a_rearm_that_is_named_wrong_says_what_is_meant() -> Result<()> {
    let stage = Stage::set()?;
    let neither = stage.oncall.fails(2, &["rearm", "show", "R-NOPE"])?;
    assert!(
        neither.contains("R-NOPE") && neither.contains("proposal to re-arm"),
        "{neither}"
    );
    let none = format!("R-{}", "0".repeat(26));
    let unknown = stage.oncall.fails(2, &["rearm", "show", &none])?;
    assert!(unknown.contains("no such proposal to re-arm"), "{unknown}");
    Ok(())
}

#[test]
fn u01_a_kill_on_the_machine_knows_the_names_of_an_installation_that_never_ran() -> Result<()> {
    let stopped = Stage::set()?.stop()?;
    let data = stopped.directory.path().join("data");
    std::fs::remove_dir_all(&data)?;
    std::fs::create_dir(&data)?;
    for scope in [
        ["--charter", "ticket-router"],
        ["--environment", "Production"],
        ["--agent", "ROUTER"],
    ] {
        let killed = stopped.local_kill(&scope)?;
        assert_eq!(killed.code, 0, "{scope:?}: {}", killed.stderr);
        assert!(
            !killed.stderr.contains('{'),
            "no log of a daemon: {}",
            killed.stderr
        );
    }
    let mistyped = stopped.local_kill(&["--charter", "ticket-routr"])?;
    assert_eq!(mistyped.code, 10, "{}", mistyped.stderr);
    assert!(
        mistyped.stderr.contains("did you mean `ticket-router`?"),
        "{}",
        mistyped.stderr
    );
    let spool = std::fs::read_dir(data.join("kill-spool"))?;
    let left = spool
        .flatten()
        .filter(|file| file.path().extension().is_some_and(|it| it == "nothing"));
    assert_eq!(left.count(), 0);
    Ok(())
}

#[test]
fn u08_a_broker_that_is_down_says_where_it_was_looked_for_and_what_to_do() -> Result<()> {
    let stage = Stage::set()?;
    let (address, oncall) = (stage.daemon.address(), stage.daemon.cli("oncall")?);
    let stopped = stage.stop()?;
    let line = oncall.fails(7, &["status"])?;
    assert!(line.contains(&address.to_string()), "{line}");
    assert!(
        line.contains("lanyard runbook the-broker-is-down"),
        "{line}"
    );
    let kill = oncall.fails(7, &["kill", "--all", "--reason", "it loops", "--yes"])?;
    for step in ["/v1/kill", "lanyardd kill --local", "lanyard runbook"] {
        assert!(kill.contains(step), "{step}: {kill}");
    }
    let page = oncall.ok(&["runbook", "the-broker-is-down"])?;
    assert!(page.starts_with("# The broker is down"), "{page}");
    drop(stopped);
    Ok(())
}

#[test]
fn u12_the_journal_is_read_in_sentences_and_by_what_it_is_about() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    stage.token(&task)?;
    let denied = stage
        .agent
        .fails(3, &["request", "--task", &task, "close-tickets"])?;
    let words = denied.split(|c: char| !(c.is_alphanumeric() || c == '-'));
    let decision = words.into_iter().find(|word| word.starts_with("D-"));
    let decision = decision.context("no decision")?;
    let query = |arguments: &[&str]| stage.oncall.ok(&[&["audit", "query"], arguments].concat());
    // A task is followed to its leases, a decision to the lease that it allowed.
    let of_task = query(&[&task])?;
    for said in [
        " opened task T-",
        " was allowed read-tickets",
        " was issued until ",
        " was denied close-tickets",
    ] {
        assert!(of_task.contains(said), "{said}: {of_task}");
    }
    assert!(
        of_task.lines().all(|line| line.get(4..5) == Some("-")),
        "{of_task}"
    );
    let of_decision = query(&[decision])?;
    assert!(
        of_decision.contains("was denied close-tickets"),
        "{of_decision}"
    );
    // A denial has the environment of its task, and is found by it.
    let denials = stage.oncall.json(&[
        "audit",
        "query",
        "--outcome",
        "denied",
        "--environment",
        "production",
        "--charter",
        "ticket-router",
        "--since",
        "1h",
    ])?;
    let first = |path: &str| denials.pointer(path).and_then(Value::as_str);
    assert_eq!(first("/0/environment"), Some("production"), "{denials}");
    assert_eq!(first("/0/command/type"), Some("deny"), "{denials}");
    let place = denials
        .pointer("/0/record")
        .and_then(Value::as_u64)
        .context("no place")?;
    for (filter, value) in [
        ("--environment", "staging"),
        ("--until", "1h"),
        ("--who", "nobody"),
        ("--ticket", "T1"),
    ] {
        let none = stage
            .oncall
            .json(&["audit", "query", "--outcome", "denied", filter, value])?;
        assert_eq!(none, json!([]), "{filter}");
    }
    // By its place, as evidence names it; several at once.
    let shown = stage.oncall.ok(&["audit", "show", &format!("{place},0")])?;
    assert!(shown.contains("was denied close-tickets"), "{shown}");
    assert!(shown.contains("\n    type: deny\n"), "{shown}");
    let missing = stage.oncall.fails(2, &["audit", "show", "999999"])?;
    assert!(missing.contains("no record 999999"), "{missing}");
    Ok(())
}
