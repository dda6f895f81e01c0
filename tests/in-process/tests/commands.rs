//! The commands that ask the broker: what each prints, and what each refuses.

mod offline;

use lanyard_in_process::{Given, Stage};

use lanyard_tests::keys::Key;

use crate::charters::with_emergency;
use crate::identities::enrolled;

/// The exit code if the broker does not believe the caller's identity.
const NOT_LOGGED_IN: i32 = 4;
/// The exit code if the caller may not do it.
const DENIED: i32 = 3;
/// The exit code of a command that is wrong in itself.
const USAGE: i32 = 2;

const WHY: [&str; 4] = ["--environment", "production", "--reason", "ticket 12"];

#[test]
fn tasks_are_opened_listed_shown_and_closed() {
    let stage = Stage::set().unwrap();
    let open = [&["ticket-router"], &WHY[..]].concat();
    let said = stage.agent.answers("task open", &open).unwrap();
    assert!(said.contains("ticket-router"), "{said}");
    stage.oncall.refuses("task open", DENIED, &open).unwrap();
    let listed = stage.agent.answers("task list", &["-o", "name"]).unwrap();
    let task = listed.lines().next().unwrap();
    assert!(task.starts_with("T-"), "{listed}");
    let shown = stage.oncall.answers("task show", &[task]).unwrap();
    assert!(shown.contains("ticket 12"), "{shown}");
    stage.oncall.refuses("task close", DENIED, &[task]).unwrap();
    stage.agent.answers("task close", &[task]).unwrap();
    let nobody = stage.unbelieved().unwrap();
    nobody.refuses("task list", NOT_LOGGED_IN, &[]).unwrap();
    nobody.refuses("task show", NOT_LOGGED_IN, &[task]).unwrap();
}

#[test]
fn credentials_are_asked_for_listed_and_given_back() {
    let stage = Stage::set().unwrap();
    let task = stage.task().unwrap();
    let grant = ["--task", &task, "read-tickets"];
    let said = stage.agent.answers("request", &grant).unwrap();
    assert!(said.contains("L-"), "{said}");
    let apply = ["--task", &task, "move-tickets"];
    stage.agent.refuses("request", DENIED, &apply).unwrap();
    let token = [&["token", "--direct"], &grant[..]].concat();
    let token = stage.agent.answers("creds", &token).unwrap();
    assert_eq!(token.matches('.').count(), 2, "{token}");
    let token = [&["token", "--direct"], &apply[..]].concat();
    stage.agent.refuses("creds", DENIED, &token).unwrap();

    let leases = stage.agent.answers("lease list", &["-o", "name"]).unwrap();
    let lease = leases.lines().next().unwrap();
    let got = stage.agent.answers("lease get", &[lease]).unwrap();
    assert!(got.contains("read-tickets"), "{got}");
    let who = stage.oncall.answers("who", &[]).unwrap();
    assert!(who.contains("agent:router"), "{who}");
    stage.agent.refuses("who", DENIED, &[]).unwrap();
    let no_id = ["L-nothing"];
    stage.agent.refuses("lease get", USAGE, &no_id).unwrap();
    stage
        .oncall
        .refuses("lease release", DENIED, &[lease])
        .unwrap();
    stage.agent.answers("lease release", &[lease]).unwrap();
    let nobody = stage.unbelieved().unwrap();
    nobody.refuses("lease list", NOT_LOGGED_IN, &[]).unwrap();
}

#[test]
fn git_is_answered_for_the_host_of_its_token_alone() {
    let stage = Stage::set().unwrap();
    let task = stage.task().unwrap();
    let ask = ["creds", "git", "--direct", "--task", &task, "read-tickets"];
    let get = [&ask[..], &["get"]].concat();
    let input = "protocol=https\nhost=tickets.acme.example\n\n";
    let said = stage.agent.fed(&get, input).unwrap();
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("password="), "{said:?}");
}

#[test]
fn plans_are_submitted_listed_and_shown() {
    let stage = Stage::set().unwrap();
    let task = stage.task().unwrap();
    let file = stage.directory.path().join("change.txt");
    std::fs::write(&file, "move ticket 7").unwrap();
    let file = file.to_string_lossy();
    let of = ["--task", &task, "--summary", "move ticket 7", &file];
    let submit = |grant| [&of[..], &["--grant", grant]].concat();
    let said = stage
        .agent
        .answers("plan submit", &submit("move-tickets"))
        .unwrap();
    assert!(said.contains("sha256:"), "{said}");
    stage
        .agent
        .refuses("plan submit", DENIED, &submit("nothing"))
        .unwrap();
    let listed = stage.agent.answers("plan list", &["-o", "name"]).unwrap();
    let plan = listed.lines().next().unwrap();
    let shown = stage.agent.answers("plan show", &[plan]).unwrap();
    assert!(shown.contains("move ticket 7"), "{shown}");
    let raw = stage.agent.ok(&["plan", "show", "--raw", plan]).unwrap();
    assert_eq!(raw, "move ticket 7");
    let nobody = stage.unbelieved().unwrap();
    nobody.refuses("plan list", NOT_LOGGED_IN, &[]).unwrap();
    nobody.refuses("plan show", NOT_LOGGED_IN, &[plan]).unwrap();
}

#[test]
fn approvals_are_listed_shown_given_taken_back_and_denied() {
    let stage = Stage::set().unwrap();
    let task = stage.task().unwrap();
    let (_, digest, id) = stage.plan(&task, "move ticket 7").unwrap();
    let (alice, bob) = (stage.command("alice"), stage.command("bob"));
    let listed = alice.answers("approval list", &[]).unwrap();
    assert!(listed.contains(&id), "{listed}");
    let shown = alice.answers("approval show", &[&id]).unwrap();
    assert!(shown.contains(&digest), "{shown}");
    let approve = [&id, "--digest", &digest, "--comment", "seen"];
    alice.answers("approval approve", &approve).unwrap();
    stage
        .oncall
        .refuses("approval approve", DENIED, &approve)
        .unwrap();
    let back = [&id, "--reason", "too soon"];
    alice.answers("approval withdraw", &back).unwrap();
    bob.refuses("approval withdraw", USAGE, &back).unwrap();
    stage
        .oncall
        .refuses("approval deny", DENIED, &back)
        .unwrap();
    bob.answers("approval deny", &back).unwrap();
    let nobody = stage.unbelieved().unwrap();
    nobody.refuses("approval list", NOT_LOGGED_IN, &[]).unwrap();
    let watch = ["--timeout", "1s"];
    alice.answers("approval watch", &watch).unwrap();
    nobody
        .refuses("approval watch", NOT_LOGGED_IN, &[])
        .unwrap();
    nobody
        .refuses("approval show", NOT_LOGGED_IN, &[&id])
        .unwrap();
}

#[test]
fn what_happened_is_reported_queried_and_explained() {
    let stage = Stage::set().unwrap();
    let task = stage.task().unwrap();
    let report = ["--task", &task, "--tool", "tickets"];
    let how = ["--action", "ticket.move", "--outcome", "succeeded"];
    let report = [&report[..], &how].concat();
    stage.agent.answers("action report", &report).unwrap();
    stage
        .oncall
        .refuses("action report", DENIED, &report)
        .unwrap();
    let found = stage.oncall.answers("audit query", &[&task]).unwrap();
    assert!(found.contains("ticket.move"), "{found}");
    stage.agent.refuses("audit query", DENIED, &[]).unwrap();
    let shown = stage.oncall.answers("audit show", &["0"]).unwrap();
    assert!(!shown.is_empty());
    stage.agent.refuses("audit show", DENIED, &["0"]).unwrap();
    let shadow = stage.oncall.answers("report shadow", &[]).unwrap();
    assert!(shadow.contains("ESCALATED"), "{shadow}");
    stage.agent.refuses("report shadow", DENIED, &[]).unwrap();
    let nope = ["--charter", "nope"];
    let slip = stage.oncall.refuses("report shadow", USAGE, &nope).unwrap();
    assert!(slip.contains("no charter `nope` is known"), "{slip}");
    assert!(slip.contains("ticket-router"), "{slip}");
    let explained = stage.agent.answers("explain", &["PLAN_REQUIRED"]).unwrap();
    assert!(explained.contains("plan"), "{explained}");
    stage.agent.refuses("explain", USAGE, &["NOTHING"]).unwrap();
}

#[test]
fn everybody_sees_who_they_are_and_how_the_broker_is() {
    let stage = Stage::set().unwrap();
    let nobody = stage.unbelieved().unwrap();
    let me = stage.oncall.answers("whoami", &[]).unwrap();
    assert!(me.contains("oncall"), "{me}");
    nobody.refuses("whoami", NOT_LOGGED_IN, &[]).unwrap();
    let token = stage.oncall.answers("identity", &[]).unwrap();
    assert_eq!(token.matches('.').count(), 2);
    stage.oncall.refuses("identity", USAGE, &["--no"]).unwrap();
    let status = stage.oncall.answers("status", &[]).unwrap();
    assert!(status.contains("kill orders"), "{status}");
    nobody.refuses("status", NOT_LOGGED_IN, &[]).unwrap();
    nobody
        .refuses("condition list", NOT_LOGGED_IN, &[])
        .unwrap();
    stage.oncall.answers("condition list", &[]).unwrap();
    stage.clock.step(60_000);
    let accept = ["clock-jumped", "--reason", "it is right now"];
    stage
        .agent
        .refuses("condition accept", DENIED, &accept)
        .unwrap();
    stage.oncall.answers("condition accept", &accept).unwrap();
}

#[test]
fn charters_and_emergencies_are_shown_and_declared() {
    let stage = Stage::given(&Given {
        charters: &[("urgent.yaml", &with_emergency())],
        ..Given::default()
    })
    .unwrap();
    let nobody = stage.unbelieved().unwrap();
    let listed = stage.agent.answers("charter list", &[]).unwrap();
    assert!(listed.contains("ticket-router"), "{listed}");
    nobody.refuses("charter list", NOT_LOGGED_IN, &[]).unwrap();
    let shown = stage.agent.answers("charter show", &["urgent"]).unwrap();
    assert!(shown.contains("move-tickets"), "{shown}");
    stage
        .agent
        .refuses("charter show", USAGE, &["nope"])
        .unwrap();
    let why = ["urgent", "--reason", "tickets pile up"];
    stage
        .agent
        .refuses("emergency declare", DENIED, &why)
        .unwrap();
    stage.oncall.answers("emergency declare", &why).unwrap();
    let lasting = stage.oncall.answers("emergency list", &[]).unwrap();
    assert!(lasting.contains("urgent"), "{lasting}");
    stage.agent.refuses("emergency list", DENIED, &[]).unwrap();
    stage.agent.refuses("emergency end", DENIED, &why).unwrap();
    stage.oncall.answers("emergency end", &why).unwrap();
}

#[test]
fn agents_are_invited_listed_and_removed() {
    let stage = Stage::set().unwrap();
    let admin = stage.command("admin");
    let token = admin.answers("enrolment invite", &["laptop"]).unwrap();
    assert!(token.starts_with("lanyard-join-"), "{token}");
    let oncall = &stage.oncall;
    oncall
        .refuses("enrolment invite", DENIED, &["laptop"])
        .unwrap();
    let listed = admin.answers("enrolment list", &[]).unwrap();
    assert!(listed.contains("laptop"), "{listed}");
    stage.agent.refuses("enrolment list", DENIED, &[]).unwrap();
    let sold = ["laptop", "--reason", "sold"];
    oncall.refuses("enrolment remove", DENIED, &sold).unwrap();
    enrolled(&stage, &token, &Key::fresh().unwrap());
    admin.answers("enrolment remove", &sold).unwrap();
}

#[test]
fn signing_keys_are_listed_rotated_and_revoked() {
    let stage = Stage::set().unwrap();
    let (admin, oncall) = (stage.command("admin"), &stage.oncall);
    let key = oncall.answers("keys list", &["-o", "name"]).unwrap();
    stage.agent.refuses("keys list", DENIED, &[]).unwrap();
    let why = ["--reason", "yearly"];
    oncall.refuses("keys rotate", DENIED, &why).unwrap();
    let next = admin.answers("keys rotate", &why).unwrap();
    let leaked = [key.trim(), "--reason", "leaked"];
    stage.agent.refuses("keys revoke", DENIED, &leaked).unwrap();
    oncall.answers("keys revoke", &leaked).unwrap();
    oncall.refuses("keys revoke", USAGE, &leaked).unwrap();
    let listed = oncall.ok(&["keys", "list"]).unwrap();
    assert!(
        listed.contains(next.trim()) && !listed.contains(key.trim()),
        "{listed}"
    );
}

#[test]
fn a_kill_is_engaged_followed_and_lifted_by_two_people() {
    let stage = Stage::faked().unwrap();
    let (oncall, second) = (&stage.oncall, stage.command("oncall-two"));
    let task = stage.task().unwrap();
    stage.lease(&task).unwrap();
    let all = ["--all", "--reason", "drill", "--yes"];
    stage.agent.refuses("kill", DENIED, &all).unwrap();
    oncall.answers("kill", &all).unwrap();
    assert!(stage.fake.live().is_empty());
    let id = oncall.answers("kill list", &["-o", "name"]).unwrap();
    let nobody = stage.unbelieved().unwrap();
    nobody.refuses("kill list", NOT_LOGGED_IN, &[]).unwrap();
    let shown = oncall.answers("kill show", &[&id]).unwrap();
    assert!(shown.contains("1 of 1 dead"), "{shown}");
    stage.agent.refuses("kill show", DENIED, &[&id]).unwrap();
    oncall.answers("kill watch", &[&id]).unwrap();
    stage.agent.refuses("kill watch", DENIED, &[&id]).unwrap();
    let over = [&id, "--reason", "over"];
    oncall.refuses("kill withdraw", USAGE, &over).unwrap();
    stage.agent.refuses("rearm", DENIED, &over).unwrap();
    let proposal = oncall.answers("rearm", &over).unwrap();
    let waiting = oncall.answers("rearm show", &[]).unwrap();
    assert!(waiting.contains(&proposal), "{waiting}");
    stage.agent.refuses("rearm show", DENIED, &[]).unwrap();
    let listed = oncall.answers("rearm list", &[]).unwrap();
    assert!(listed.contains(&proposal), "{listed}");
    stage.agent.refuses("rearm list", DENIED, &[]).unwrap();
    let confirm = ["rearm", &proposal, "--confirm"];
    oncall.fails(USAGE, &confirm).unwrap();
    // The order in place of the proposal, and the proposal in place of the order.
    for mistaken in [&["rearm", "confirm", &id][..], &["rearm", "--confirm", &id]] {
        let said = second.fails(USAGE, mistaken).unwrap();
        assert!(
            said.contains(&format!("lanyard rearm --confirm {proposal}")),
            "{said}"
        );
    }
    let again = ["rearm", proposal.as_str(), "--reason", "over"];
    let said = second.fails(USAGE, &again).unwrap();
    assert!(
        said.contains("is a proposal, which another person confirms"),
        "{said}"
    );
    let confirm = ["rearm", "confirm", &proposal];
    second.ok(&confirm).unwrap();
    stage.lease(&task).unwrap();
}

#[test]
fn an_order_that_reaches_nothing_says_so_and_is_withdrawn() {
    let stage = Stage::faked().unwrap();
    let nobody = ["kill", "--agent", "nobody", "--reason", "drill", "--yes"];
    let said = stage.oncall.fails(10, &nobody).unwrap();
    assert!(said.contains("REACHES NOTHING"), "{said}");
    let id = stage.oncall.ok(&["-o", "name", "kill", "list"]).unwrap();
    let why = [id.as_str(), "--reason", "a typing error"];
    stage.oncall.answers("kill withdraw", &why).unwrap();
}

#[test]
fn a_kill_test_needs_a_breaker_that_stops_the_task() {
    let usual = include_str!("../../../crates/lanyard-server/src/dev/ticket-router.yaml");
    let breaker = "  breakers:\n    - {on: action, action: ticket.stop, count: 1, within: 1m, per: task, then: stop-task}\n";
    let text = format!("{}\n{breaker}", usual.trim_end());
    let text = text.replacen("name: ticket-router", "name: stopped", 1);
    let stage = Stage::given(&Given {
        charters: &[("stopped.yaml", &text)],
        fakes: &["tickets"],
        ..Given::default()
    })
    .unwrap();
    let test = ["stopped", "--environment", "staging"];
    let grant = ["--grant", "read-tickets", "--action", "ticket.stop"];
    let test = [&test[..], &grant].concat();
    let said = stage.agent.answers("kill test", &test).unwrap();
    assert!(said.contains("proved dead"), "{said}");
    stage.oncall.refuses("kill test", DENIED, &test).unwrap();
}

#[test]
fn a_drill_is_held_by_engineers_on_call() {
    let stage = Stage::set().unwrap();
    let held = stage.oncall.answers("drill", &[]).unwrap();
    assert!(held.contains("passed"), "{held}");
    stage.agent.refuses("drill", DENIED, &[]).unwrap();
}

#[test]
fn a_pause_is_begun_listed_and_ended() {
    let stage = Stage::set().unwrap();
    let look = ["--all", "--reason", "looking"];
    stage.agent.refuses("pause", DENIED, &look).unwrap();
    stage.oncall.answers("pause", &look).unwrap();
    let id = stage.oncall.answers("pause list", &["-o", "name"]).unwrap();
    stage.agent.refuses("pause list", DENIED, &[]).unwrap();
    let shown = stage.oncall.answers("pause show", &[&id]).unwrap();
    assert!(
        shown.contains("looking") && shown.contains("lanyard resume H-"),
        "{shown}"
    );
    let none = stage.oncall.refuses("pause show", USAGE, &["H-1"]).unwrap();
    assert!(none.contains("no pause `H-1` lasts"), "{none}");
    let looked = [id.as_str(), "--reason", "looked"];
    stage.agent.refuses("resume", DENIED, &looked).unwrap();
    stage.oncall.answers("resume", &looked).unwrap();
}

#[test]
fn a_broker_that_is_gone_is_named_with_the_runbook() {
    let mut stage = Stage::set().unwrap();
    stage.stop().unwrap();
    let said = stage.oncall.refuses("status", 7, &[]).unwrap();
    assert!(said.contains("runbook the-broker-is-down"), "{said}");
}

#[test]
fn names_are_printed_with_nothing_beside_them() {
    let stage = Stage::faked().unwrap();
    let (oncall, task) = (&stage.oncall, stage.task().unwrap());
    stage.lease(&task).unwrap();
    // Of each of these there is something, or there is nothing.
    for listing in [
        &["task", "list"][..],
        &["lease", "list"],
        &["who"],
        &["plan", "list"],
        &["approval", "list"],
        &["kill", "list"],
        &["rearm", "list"],
        &["pause", "list"],
        &["emergency", "list"],
        &["enrolment", "list"],
        &["charter", "list"],
        &["audit", "query", "--kind", "open-task"],
        &["audit", "query", "--kind", "reject"],
    ] {
        let printed = oncall.run(&[&["-o", "name"], listing].concat()).unwrap();
        assert_eq!(
            (printed.code, printed.stderr.as_str()),
            (0, ""),
            "{listing:?}"
        );
        let is_name = |line: &str| !line.contains(' ');
        assert!(printed.stdout.lines().all(is_name), "{}", printed.stdout);
    }
    // A person is told of both.
    for (listing, said) in [("task", "1 task open"), ("approval", "0 wait for people")] {
        let printed = oncall.run(&[listing, "list"]).unwrap();
        assert!(printed.stderr.contains(said), "{}", printed.stderr);
    }
}
