//! The commands that need no broker.

use lanyard_in_process::{Command, Stage};

use super::USAGE;

const CHARTER: &str = include_str!("../../../../crates/lanyard-server/src/dev/ticket-router.yaml");
const CASES: &str = "apiVersion: lanyard.dev/v1
kind: CharterTest
charter: router.yaml
agent: {issuer: https://agents.dev.lanyard.invalid, subject: agent:router}
cases:
  - {name: tickets are read, environment: staging, grant: read-tickets, expect: {decision: allow}}
";
/// The environments and targets that the charter above may name.
const WORLD: [&str; 6] = [
    "--environment",
    "staging=sandbox",
    "--environment",
    "production=production",
    "--target",
    "tickets=token",
];

/// A folder with the charter, and a command line without a broker.
struct Desk {
    folder: tempfile::TempDir,
    command: Command,
}

impl Desk {
    fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let command = Command::without_broker();
        let desk = Self { folder, command };
        desk.write("router.yaml", CHARTER);
        desk
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

#[test]
fn the_program_describes_itself() {
    let desk = Desk::set();
    let command = &desk.command;
    let version = command.answers("version", &[]).unwrap();
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    command.refuses("version", USAGE, &["more"]).unwrap();
    let script = command.answers("completion", &["bash"]).unwrap();
    assert!(script.contains("_lanyard"), "{script}");
    command.refuses("completion", USAGE, &["tcsh"]).unwrap();
    let page = command.answers("man", &[]).unwrap();
    assert!(page.contains(".TH lanyard"), "{page}");
    let file = desk.write("no-folder", "");
    command.refuses("man", USAGE, &["--out", &file]).unwrap();
    let pages = command.answers("runbook", &[]).unwrap();
    assert!(pages.contains("the-broker-is-down"), "{pages}");
    command.refuses("runbook", USAGE, &["nothing"]).unwrap();
    let rules = command.answers("plan rules", &[]).unwrap();
    assert!(rules.contains("package"), "{rules}");
    command.refuses("plan rules", USAGE, &["more"]).unwrap();
    let schema = command.answers("charter schema", &[]).unwrap();
    assert!(schema.contains("\"$schema\""), "{schema}");
    command.refuses("charter schema", USAGE, &["x"]).unwrap();
    let crd = command.answers("charter crd", &[]).unwrap();
    assert!(crd.contains("CustomResourceDefinition"), "{crd}");
    command.refuses("charter crd", USAGE, &["x"]).unwrap();
}

#[test]
fn a_charter_is_linted_laid_out_and_compared() {
    let desk = Desk::set();
    let command = &desk.command;
    let good = desk.write("router.yaml", CHARTER);
    let bad = desk.write("bad.yaml", &CHARTER.replace("role: plan", "role: plann"));
    let more = CHARTER.replace(
        "scopes: [tickets.read]",
        "scopes: [tickets.read, tickets.all]",
    );
    let more = desk.write("more.yaml", &more);
    let linted = [&[good.as_str()], &WORLD[..]].concat();
    command.answers("charter lint", &linted).unwrap();
    let odd = [&[bad.as_str()], &WORLD[..]].concat();
    command.refuses("charter lint", 1, &odd).unwrap();
    command.answers("charter fmt", &["--check", &good]).unwrap();
    let untidy = desk.write(
        "untidy.yaml",
        &CHARTER.replace("kind: Charter", "kind:   Charter"),
    );
    command
        .refuses("charter fmt", 1, &["--check", &untidy])
        .unwrap();
    let laid = command
        .fed(&["charter", "fmt", "-"], "kind:   Charter\n")
        .unwrap();
    assert_eq!(laid.stdout, "kind: Charter");
    let same = [&[good.as_str(), &good], &WORLD[..]].concat();
    command.answers("charter diff", &same).unwrap();
    let wider = [&[good.as_str(), &more], &WORLD[..]].concat();
    command.refuses("charter diff", 1, &wider).unwrap();
}

#[test]
fn a_charter_is_compiled_explained_and_held_to_cases() {
    let desk = Desk::set();
    let command = &desk.command;
    let good = desk.write("router.yaml", CHARTER);
    let bad = desk.write("bad.yaml", "kind: Nothing\n");
    let compile = [&[good.as_str()], &WORLD[..]].concat();
    let compiled = command.answers("charter compile", &compile).unwrap();
    assert!(compiled.contains("tickets.move"), "{compiled}");
    let broken = [&[bad.as_str()], &WORLD[..]].concat();
    command.refuses("charter compile", USAGE, &broken).unwrap();
    let agent = ["https://agents.dev.lanyard.invalid", "agent:router"];
    let of = |grant: &'static str| {
        let ask = [
            "--agent", agent[0], agent[1], "--in", "staging", "--grant", grant,
        ];
        [&[good.as_str()], &ask[..], &WORLD[..]].concat()
    };
    let allowed = command
        .answers("charter explain", &of("read-tickets"))
        .unwrap();
    assert!(allowed.contains("allowed"), "{allowed}");
    command
        .refuses("charter explain", 1, &of("move-tickets"))
        .unwrap();
    let cases = desk.write("router.test.yaml", CASES);
    let test = [&[cases.as_str()], &WORLD[..]].concat();
    command.answers("charter test", &test).unwrap();
    let wrong = CASES.replace("decision: allow", "decision: deny");
    let wrong = desk.write("wrong.test.yaml", &wrong);
    let test = [&[wrong.as_str()], &WORLD[..]].concat();
    command.refuses("charter test", 1, &test).unwrap();
}

#[test]
fn a_first_charter_is_written() {
    let desk = Desk::set();
    let who = ["--agent", "https://issuer.example", "agent:new"];
    let owners = [
        "--owners",
        "a@acme.example",
        "b@acme.example",
        "c@acme.example",
    ];
    let place = [
        "first",
        "--in",
        "staging",
        "--on",
        "tickets",
        "--purpose",
        "Read tickets.",
    ];
    let init = [&place[..], &who, &owners, &WORLD].concat();
    let text = desk.command.answers("charter init", &init).unwrap();
    assert!(text.contains("name: first"), "{text}");
    desk.command
        .refuses("charter init", USAGE, &["first", "--no-input"])
        .unwrap();
}

#[test]
fn tickets_and_break_glass_tokens_are_signed_by_keys() {
    let desk = Desk::set();
    let stage = Stage::set().unwrap();
    let key = stage.directory.path().join("dev-issuer.pk8");
    let key = key.to_string_lossy();
    let ticket = ["--kid", "dev", "--audience", "lanyard-dev", "--all"];
    let signed = [&["--key", &key], &ticket[..]].concat();
    let token = desk.command.answers("kill ticket", &signed).unwrap();
    assert_eq!(token.matches('.').count(), 2);
    let missing = [&["--key", "nowhere.pk8"], &ticket[..]].concat();
    desk.command
        .refuses("kill ticket", USAGE, &missing)
        .unwrap();
    let glass = ["--key", &key, "--audience", "lanyard-dev"];
    let token = desk.command.answers("kill break-glass", &glass).unwrap();
    assert_eq!(token.matches('.').count(), 2);
    let missing = ["--key", "nowhere.pk8", "--audience", "lanyard-dev"];
    desk.command
        .refuses("kill break-glass", USAGE, &missing)
        .unwrap();
}

#[test]
fn a_journal_is_verified_and_replayed_from_its_directory() {
    let mut stage = Stage::set().unwrap();
    let task = stage.task().unwrap();
    stage.lease(&task).unwrap();
    stage.stop().unwrap();
    let desk = Desk::set();
    let data = stage.directory.path().join("data").display().to_string();
    let of = ["--data-dir", data.as_str()];
    let verified = desk.command.answers("audit verify", &of).unwrap();
    assert!(verified.contains("records"), "{verified}");
    let root = "0".repeat(64);
    let beyond = [&of[..], &["--size", "1", "--root", &root]].concat();
    desk.command.refuses("audit verify", 1, &beyond).unwrap();
    let good = desk.write("router.yaml", CHARTER);
    let same = [&[good.as_str()], &of[..], &WORLD].concat();
    desk.command.answers("charter simulate", &same).unwrap();
    let less = CHARTER.replace("subject: agent:router", "subject: agent:other");
    let less = desk.write("less.yaml", &less);
    let other = [&[less.as_str()], &of[..], &WORLD].concat();
    desk.command.refuses("charter simulate", 1, &other).unwrap();
}
