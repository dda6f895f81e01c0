//! The listeners under clients of HTTP/2 that are not ours: one that knows the standard, and one
//! that means harm.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lanyard_rig::{Abuse, Daemon, Http2, Seen};
use lanyard_tests::Stage;

/// How much memory the daemon has taken at most in the end, in KiB. It begins with some 60 MiB, as
/// it is built for tests.
const MEMORY: u64 = 384 * 1024;
/// The number of streams that a connection has open at a time.
const STREAMS: u64 = 128;
/// How often somebody else asks meanwhile: at least, and at most.
const ASKED: (usize, usize) = (40, 200);

fn tool() -> Option<Http2> {
    match Http2::build() {
        Ok(tool) => Some(tool),
        Err(error) => {
            eprintln!("NOT RUN: there is no Go to build h2spec and a hostile client: {error:#}");
            None
        }
    }
}

/// The most memory that the daemon has ever had, in KiB.
fn peak(daemon: &Daemon) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.process()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.context("no VmHWM")?.parse()?)
}

/// Asks as somebody else while others do harm, each time over a connection of its own; how long
/// each took.
#[expect(
    clippy::disallowed_methods,
    reason = "how long the client waits is the client's affair"
)]
fn asked(daemon: &Daemon, abuses: &mut [Abuse]) -> Result<Vec<Duration>> {
    let mut took = Vec::new();
    loop {
        let mut last = false;
        for abuse in &mut *abuses {
            last |= abuse.lasts()?;
        }
        if took.len() >= ASKED.1 || (!last && took.len() >= ASKED.0) {
            took.sort_unstable();
            return Ok(took);
        }
        let began = Instant::now();
        // An answer that takes more than ten seconds is none.
        let answer = daemon.http("GET", "/readyz", &[], "")?;
        took.push(began.elapsed());
        ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

/// Serves others during these abuses, of so many connections each and so many at a time, and ends
/// every one of theirs.
fn withstood(tool: &Http2, kinds: &[&str], many: (u64, u64)) -> Result<BTreeMap<String, Seen>> {
    let stage = Stage::set()?;
    let before = peak(&stage.daemon)?;
    let begun = |kind: &&str| tool.abuse(kind, stage.daemon.address(), many);
    let mut abuses = kinds.iter().map(begun).collect::<Result<Vec<_>>>()?;
    let took = asked(&stage.daemon, &mut abuses)?;
    let mut seen = BTreeMap::new();
    for (kind, abuse) in kinds.iter().zip(abuses) {
        let of_kind = abuse.end()?;
        assert_eq!(of_kind.kept, 0, "{kind}: {of_kind:?}");
        seen.insert((*kind).to_owned(), of_kind);
    }
    // A client of gRPC is served as ever.
    let task = stage.task()?;
    stage.token(&task)?;
    let after = peak(&stage.daemon)?;
    let at = |percent: usize| took.get(took.len().saturating_sub(1) * percent / 100);
    eprintln!(
        "MEASURED {kinds:?}, {many:?}: memory {} MiB, then {} MiB at most; {} others, p50 {:?}, p99 {:?}; {seen:?}",
        before / 1024,
        after / 1024,
        took.len(),
        at(50).context("none")?,
        at(99).context("none")?,
    );
    assert!(after < MEMORY, "{after} KiB");
    stage.stop()?;
    Ok(seen)
}

/// Cases of h2spec that did not pass.
fn failed(tool: &Http2, daemon: &Daemon, path: &str) -> Result<(BTreeSet<String>, usize)> {
    let cases = tool.h2spec(daemon.address(), path)?;
    let open = cases.iter().filter(|case| case.said != "passed");
    let open = open.map(|case| format!("{} {}", case.name, case.about));
    Ok((open.collect(), cases.len()))
}

#[test]
fn h2spec_finds_nothing() -> Result<()> {
    // An answer with a body that some cases need, and a request whose body is waited for, which
    // others need: where the answer comes first, there is nothing left of the stream to find fault
    // with (RFC 9113 section 8.1).
    const PATHS: [&str; 2] = [
        "/.well-known/jwks.json",
        "/lanyard.v1.AuditService/GetStatus",
    ];
    /// The rounds of the test: an answer or the next frame may come first.
    const ROUNDS: usize = 5;
    let Some(tool) = tool() else { return Ok(()) };
    let stage = Stage::set()?;
    let mut never: Option<BTreeSet<String>> = None;
    for round in 0..ROUNDS {
        for path in PATHS {
            let (open, all) = failed(&tool, &stage.daemon, path)?;
            assert!(all > 140, "{all} cases");
            eprintln!("MEASURED h2spec {path}, round {round}: {all} cases, not passed: {open:?}");
            never = Some(never.map_or_else(|| open.clone(), |never| &never & &open));
        }
        if never.as_ref().is_some_and(BTreeSet::is_empty) {
            return Ok(());
        }
    }
    panic!("never passed: {never:?}")
}

#[test]
fn t43_floods_are_cut_off_and_others_are_served() -> Result<()> {
    let Some(tool) = tool() else { return Ok(()) };
    let calm = |kind: &str, many: u64| -> Result<BTreeMap<String, u64>> {
        let seen = withstood(&tool, &[kind], (many, 8))?;
        let seen = seen.get(kind).context("not there")?;
        assert_eq!(seen.ended, many, "{seen:?}");
        assert!(!seen.statuses.contains_key("200"), "{seen:?}");
        Ok(seen.reasons.clone())
    };
    for kind in [
        "rapid-reset",
        "made-reset",
        "continuation",
        "large-head",
        "packed-head",
    ] {
        let reasons = calm(kind, 400)?;
        assert!(!reasons.is_empty(), "{kind}");
    }
    for kind in ["ping", "settings"] {
        calm(kind, 80)?;
    }
    Ok(())
}

#[test]
fn t43_slow_peers_are_not_waited_for_and_others_are_served() -> Result<()> {
    let Some(tool) = tool() else { return Ok(()) };
    let kinds = [
        "slow-handshake",
        "slow-head",
        "slow-body",
        "no-request",
        "no-window",
    ];
    let many = (64, 64);
    for (kind, seen) in withstood(&tool, &kinds, many)? {
        assert_eq!(seen.ended, many.0, "{kind}: {seen:?}");
        let answered = |status: &str| seen.statuses.get(status).copied().unwrap_or(0);
        if kind == "no-window" {
            // Some answers began, and none could end; the others were too many of an address whom
            // nobody knows.
            assert!(answered("200") > 0, "{kind}: {seen:?}");
            let all = answered("200") + answered("429");
            assert_eq!(all, many.0 * STREAMS, "{kind}: {seen:?}");
        } else {
            assert_eq!(answered("200"), 0, "{kind}: {seen:?}");
        }
    }
    Ok(())
}

#[test]
fn t43_a_peer_has_so_many_connections_and_no_more() -> Result<()> {
    let Some(tool) = tool() else { return Ok(()) };
    let many = (3000, 3000);
    let seen = withstood(&tool, &["idle"], many)?;
    let seen = seen.get("idle").context("not there")?;
    assert_eq!(seen.made + seen.refused, many.0, "{seen:?}");
    assert!(seen.made > 0 && seen.refused > 0, "{seen:?}");
    Ok(())
}

// T48
#[test]
fn t43_a_flood_of_the_kill_plane_does_not_keep_a_kill() -> Result<()> {
    let Some(tool) = tool() else { return Ok(()) };
    let stage = Stage::set()?;
    let task = stage.task()?;
    let token = stage.token(&task)?;
    let bearer = format!("Bearer {}", stage.oncall.ok(&["identity"])?);
    let flood = tool.abuse("ping", stage.daemon.kill_address(), (200, 8))?;
    let headers = [("authorization", bearer.as_str())];
    let body = r#"{"scope":{"charter":"ticket-router"},"reason":"drill"}"#;
    let answer = stage.daemon.kill_plane(&headers, body)?;
    assert!(answer.contains(r#""durable":true"#), "{answer}");
    let seen = flood.end()?;
    assert_eq!((seen.ended, seen.kept), (200, 0), "{seen:?}");
    let proof = stage.oncall.ok(&["identity"])?;
    assert!(
        !stage.is_active(&token, &proof)?,
        "a token outlived the kill"
    );
    Ok(())
}
