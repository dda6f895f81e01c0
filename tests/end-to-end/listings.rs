//! Listings on a screen of 80 columns and 24 lines: a row takes a line, what somebody types again
//! is whole, and at a thousand leases what matters is still there at the end.

use anyhow::{Context, Result, ensure};
use lanyard_client::{Client, v1};
use lanyard_tests::Stage;
use tokio::task::JoinSet;

use crate::on_call::screen;
use crate::terminal::Terminal;

const COLUMNS: usize = 80;
const LINES: usize = 24;
const LEASES: usize = 1000;
const MINTERS: usize = 8;

/// A charter whose names are as long as those of real ones.
const LONG: &str = "
apiVersion: lanyard.dev/v1
kind: Charter
metadata: {name: reconcile-supplier-invoices}
spec:
  purpose: Match what suppliers send against what was ordered.
  owners: {business: accounts-payable@acme.example, technical: finance-platform@acme.example, security: appsec@acme.example}
  agents: [{issuer: https://agents.dev.lanyard.invalid, subject: agent:router}]
  environments:
    staging: {autonomy: execute-sandbox}
    production: {autonomy: execute-production}
  grants:
    - name: read-invoices-of-suppliers
      role: plan
      environments: [production]
      token: {target: supplier-invoices, audience: https://invoices.acme.example, scopes: [invoices.read]}
  limits: {ttl: 10m, task: 2h, live_leases: 2000, mints: {count: 10000, per: 1h}}
";

fn stage() -> Result<Stage> {
    let directory = tempfile::tempdir()?;
    Stage::set_with(directory, "supplier-invoices: {kind: token}\n", LONG, &[])
}

/// The lines that a command shows on a small screen.
fn lines(stage: &Stage, arguments: &[&str], code: i32) -> Result<Vec<String>> {
    let (shown, ended) = Terminal::small(stage, "oncall", arguments)?.end()?;
    ensure!(ended == code, "{arguments:?} ended with {ended}: {shown}");
    let lines = screen(&shown);
    for line in &lines {
        let columns = line.chars().count();
        ensure!(
            columns <= COLUMNS,
            "{arguments:?}: {columns} columns: {shown}"
        );
    }
    Ok(lines)
}

/// The rows below the heads, none of which goes on in another line.
fn rows(stage: &Stage, arguments: &[&str]) -> Result<Vec<String>> {
    let lines = lines(stage, arguments, 0)?;
    let folded = lines.iter().find(|line| line.starts_with(' '));
    ensure!(folded.is_none(), "{arguments:?}: {folded:?} in {lines:#?}");
    Ok(lines.into_iter().skip(1).collect())
}

#[test]
fn n11_every_listing_has_a_line_for_each_row_on_a_small_screen() -> Result<()> {
    let stage = stage()?;
    let task = stage.task_of("reconcile-supplier-invoices")?;
    let grant = "read-invoices-of-suppliers";
    stage
        .agent
        .ok(&["creds", "token", "--task", &task, grant])?;
    let other = stage.task()?;
    let (_, _, approval) = stage.plan(&other, "move ticket 7 to billing")?;
    let (_, _, waiting) = stage.plan(&other, "move ticket 8 to billing")?;
    let alice = stage.daemon.cli("alice")?;
    let why = "the ticket says nothing of an invoice, and nobody on the support desk knows this supplier at all";
    alice.ok(&["approval", "deny", &approval, "--reason", why])?;
    stage.oncall.ok(&[
        "pause",
        "--charter",
        "ticket-router",
        "--environment",
        "staging",
        "--reason",
        "we look into it, and go on at noon",
    ])?;
    stage.oncall.ok(&["drill"])?;
    let kill = [
        "kill",
        "--charter",
        "ticket-router",
        "--reason",
        "it loops",
        "--yes",
    ];
    stage.oncall.ok(&kill)?;
    for (arguments, whole) in [
        (
            &["lease", "list"][..],
            vec!["L-", "agent:router", "production", "supplier-invoices"],
        ),
        (
            &["lease", "list", "--all"],
            vec!["L-", "agent:router", "production", "supplier-invoices"],
        ),
        (
            &["task", "list"],
            vec![task.as_str(), other.as_str(), "reconcile-supplier-invoices"],
        ),
        (
            &["charter", "list"],
            vec!["reconcile-supplier-invoices", "ticket-router"],
        ),
        (
            &["charter", "list", "--matrix"],
            vec!["agent:router", "move-tickets on tickets"],
        ),
        (&["drill", "--last"], vec!["tickets", "passed"]),
        (&["approval", "list"], vec![]),
        (&["kill", "list"], vec!["K-", "engaged"]),
        (&["kill", "list", "--drills"], vec!["K-", "engaged"]),
        (
            &["pause", "list"],
            vec!["H-", "charter ticket-router in staging"],
        ),
        (&["who"], vec!["router"]),
        (&["context", "list"], vec![]),
        (&["runbook"], vec!["the-broker-is-down"]),
        (&["explain"], vec!["LC108"]),
    ] {
        let rows = rows(&stage, arguments)?;
        let ids = rows.iter().flat_map(|row| row.split_whitespace());
        let is_id =
            |word: &&str| matches!(word.as_bytes(), [kind, b'-', ..] if kind.is_ascii_uppercase());
        for id in ids.filter(is_id) {
            assert_eq!(id.len(), 28, "{arguments:?}: {id}");
        }
        for what in whole {
            assert!(
                rows.iter().any(|row| row.contains(what)),
                "{arguments:?}: {what}: {rows:#?}"
            );
        }
    }
    // What was decided has its reason below it, whole.
    let all = lines(&stage, &["approval", "list", "--all"], 0)?;
    let said = all.join("\n");
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(why), "{said}");
    assert!(said.contains(&format!("{approval}  denied")), "{said}");
    assert!(said.contains(&waiting), "{said}");
    // In a pipe every column is there.
    let piped = stage.oncall.ok(&["lease", "list", "--all"])?;
    for what in [grant, task.as_str()] {
        assert!(piped.contains(what), "{piped}");
    }
    Ok(())
}

#[test]
fn n18_a_filter_that_names_nothing_is_a_slip() -> Result<()> {
    let stage = Stage::set()?;
    stage.task()?;
    for (arguments, why) in [
        (
            &["audit", "query", "--kind", "kil"][..],
            "did you mean `kill`",
        ),
        (
            &["audit", "query", "K-XXXX"],
            "expected `K-` and 26 letters and digits",
        ),
        (
            &["audit", "query", "ticket-routr"],
            "did you mean `ticket-router`?",
        ),
        (
            &["audit", "query", "--charter", "ticket-routr"],
            "did you mean `ticket-router`?",
        ),
        (
            &["audit", "query", "--environment", "prod"],
            "did you mean `production`?",
        ),
        (
            &["audit", "tail", "--kind", "nosuch"],
            "there are charter-in-force",
        ),
        (
            &["task", "list", "--charter", "nope"],
            "no charter `nope` is known",
        ),
        (&["task", "list", "--agent", "routr"], "did you mean `"),
        (
            &["lease", "list", "--target", "ticket"],
            "did you mean `tickets`?",
        ),
    ] {
        let said = stage.oncall.fails(2, arguments)?;
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
    // What there is, and has nothing, is no slip.
    for arguments in [
        &["audit", "query", "--kind", "drill"][..],
        &["audit", "query", "--environment", "staging"],
        &["lease", "list", "--charter", "ticket-router"],
    ] {
        stage.oncall.ok(arguments)?;
    }
    let by_end = stage
        .oncall
        .ok(&["-o", "name", "task", "list", "--agent", "router"])?;
    assert!(by_end.starts_with("T-") || by_end.is_empty(), "{by_end}");
    let documents = stage.oncall.json(&["task", "list", "--agent", "router"])?;
    assert_eq!(documents.as_array().map(Vec::len), Some(1), "{documents}");
    Ok(())
}

#[test]
fn a_tail_takes_the_filters_of_a_query() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    stage.token(&task)?;
    let tail = |arguments: &[&str]| -> Result<String> {
        let tail = ["--timeout", "2s", "audit", "tail"];
        let ended = stage.oncall.run(&[&tail[..], arguments].concat())?;
        ensure!(ended.code == 124, "{ended:?}");
        Ok(ended.stdout)
    };
    let opened = tail(&["--from", "0", "--kind", "open-task"])?;
    assert_eq!(opened.lines().count(), 1, "{opened}");
    assert!(opened.contains(&format!("opened task {task}")), "{opened}");
    let of_task = tail(&[
        "--since",
        "1h",
        "--charter",
        "ticket-router",
        "--outcome",
        "allowed",
    ])?;
    assert!(of_task.contains("was allowed read-tickets"), "{of_task}");
    assert!(!of_task.contains("came into force"), "{of_task}");
    Ok(())
}

async fn minted(context: &std::path::Path, task: &str) -> Result<()> {
    let mut minters = JoinSet::new();
    for _ in 0..MINTERS {
        let (mut client, task) = (Client::connect(context).await?, task.to_owned());
        minters.spawn(async move {
            for _ in 0..LEASES / MINTERS {
                let ask = v1::IssueCredentialRequest {
                    task_id: task.clone(),
                    grant: "read-invoices-of-suppliers".to_owned(),
                    ..Default::default()
                };
                client.issue_credential(ask).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = minters.join_next().await {
        ended??;
    }
    Ok(())
}

#[test]
fn n11_at_a_thousand_leases_nothing_that_matters_scrolls_away() -> Result<()> {
    let stage = stage()?;
    let task = stage.task_of("reconcile-supplier-invoices")?;
    let context = stage.directory.path().join("contexts/agent.json");
    tokio::runtime::Runtime::new()?.block_on(minted(&context, &task))?;
    let who = lines(&stage, &["who"], 0)?;
    assert!(who.len() < LINES, "{who:#?}");
    let said = who.join("\n");
    assert!(said.contains("1000 live leases of 1 agent;"), "{said}");
    // Rows of a line each, and last what narrows them.
    let listed = lines(&stage, &["lease", "list"], 0)?;
    let rows = listed.iter().filter(|line| line.starts_with("L-")).count();
    assert_eq!(rows, 500);
    let last = listed.get(501..).unwrap_or_default().join(" ");
    assert!(last.starts_with("and 500 more: name --agent"), "{last}");
    assert!(last.contains("lanyard who"), "{last}");
    let kill = ["kill", "--agent", "router", "--reason", "it loops", "--yes"];
    let killed = lines(&stage, &kill, 0)?;
    let end = killed.iter().rev().take(LINES).cloned().collect::<Vec<_>>();
    let end = end.join("\n");
    assert!(end.contains("all 1000 leases dead"), "{killed:#?}");
    let order = stage.oncall.ok(&["-o", "name", "kill", "list"])?;
    assert!(
        end.contains(order.lines().next().context("no order")?),
        "{end}"
    );
    for arguments in [
        &["status"][..],
        &["kill", "list"],
        &["task", "list"],
        &["kill", "show", &order],
    ] {
        let shown = lines(&stage, arguments, 0)?;
        assert!(shown.len() < LINES, "{arguments:?}: {shown:#?}");
    }
    Ok(())
}
