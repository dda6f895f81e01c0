//! A kind of target that no other file of the product names, from its grant in a charter to a mint,
//! a use, a kill and the output of the command line.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lanyard_charter::plan::PlanFormat;
use lanyard_charter::reach::{PlanReach, RecordedReach};
use lanyard_charter::{EnvironmentKind, MoreKinds, Prohibition, Rights, World, kinds, parse};
use lanyard_cli::{Ran, run_here_with};
use lanyard_core::decide::Rule;
use lanyard_core::plan::Judgement;
use lanyard_core::question::{Planned, Question, permit};
use lanyard_rig::binaries;
use lanyard_server::{Daemon, Kinds, Machine};
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::grant::{HARE, HareGrant, HareKind, ProhibitedQueues, Queue};
use crate::target::{HareTargets, SERVER};

/// The registry with this kind added.
/// Held by a test while its daemon runs: a daemon revokes the users of the shared server that its
/// own journal does not know.
static DAEMON: Mutex<()> = Mutex::new(());

const KINDS: Kinds = Kinds::of(&[&HareKind], &[&HareTargets]);

struct Stage {
    directory: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Stage {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
        }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let command = run_here_with(KINDS.grants, arguments, b"");
        self.runtime.block_on(command)
    }

    /// Returns the standard output of a command that succeeds.
    fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        let out = String::from_utf8(ran.stdout).unwrap();
        let error = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.code, 0, "{arguments:?}: {out}{error}");
        out
    }

    /// Prepares a daemon with this kind, one target of it and one charter.
    fn prepare(&self, charter: &str) -> Prepared {
        let targets = "broker: {kind: hare, address: hare.example}\n";
        let targets = self.write("targets.yaml", targets);
        let directory = self.directory.path().join("dev");
        std::fs::create_dir_all(directory.join("charters")).unwrap();
        std::fs::write(directory.join("charters/order-reader.yaml"), charter).unwrap();
        let address = lanyard_rig::free_port().unwrap();
        let config = Daemon::prepare(&directory, address, None, Some(&targets)).unwrap();
        // The users of the fake never expire, whatever the daemon's time.
        SERVER.clock.set(Timestamp::EPOCH);
        Prepared { config, directory }
    }

    /// Returns what a command of this person prints.
    fn as_person(&self, dev: &Prepared, person: &str, arguments: &[&str]) -> String {
        let context = dev.context(person);
        self.ok(&[&["--context", &context], arguments].concat())
    }

    /// Uses a grant, and returns the login at Hare.
    fn login(&self, dev: &Prepared, arguments: &[&str]) -> String {
        let creds = [&["creds", "fields", "--direct"], arguments].concat();
        let fields: Value = serde_json::from_str(&self.as_person(dev, "agent", &creds)).unwrap();
        let field = |name: &str| fields.get(name).and_then(Value::as_str).unwrap();
        format!("{}:{}", field("name"), field("password"))
    }

    /// Opens a task of the agent.
    fn task(&self, dev: &Prepared) -> String {
        let open = ["task", "open", "order-reader", "--environment", "staging"];
        let words = [&["-o", "name"], &open[..], &["--reason", "a test"]].concat();
        self.as_person(dev, "agent", &words).trim().to_owned()
    }

    /// Returns everything that a command prints.
    fn said(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap()
    }
}

/// A daemon that can be started.
struct Prepared {
    config: PathBuf,
    directory: PathBuf,
}

impl Prepared {
    fn start(&self) -> Daemon {
        let machine = Machine {
            kinds: KINDS,
            // Plans are judged by another program, which only tests of plans need.
            judge: binaries().map_or_else(|_| "lanyardd".into(), |at| at.join("lanyardd")),
            ..Machine::default()
        };
        Daemon::start(&self.config, machine).unwrap()
    }

    fn context(&self, person: &str) -> String {
        let path = self.directory.join(format!("contexts/{person}.json"));
        path.display().to_string()
    }
}

fn charter(queues: &str) -> String {
    charter_with(queues, "")
}

/// A charter with more sections.
fn charter_with(queues: &str, more: &str) -> String {
    format!(
        "apiVersion: lanyard.dev/v1\nkind: Charter\nmetadata: {{name: order-reader}}\nspec:\n  \
         purpose: Read the orders.\n  \
         owners: {{business: a@x.example, technical: b@x.example, security: c@x.example}}\n  \
         agents: [{{issuer: https://agents.dev.lanyard.invalid, subject: 'agent:router'}}]\n  \
         environments: {{staging: {{autonomy: observe}}}}\n  grants:\n    - name: read\n      \
         role: plan\n      environments: [staging]\n      \
         hare: {{target: broker, queues: [{queues}]}}\n  \
         limits: {{ttl: 10m, task: 1h, live_leases: 5, mints: {{count: 30, per: 1h}}, \
         revocable_within: 10m}}\n{more}"
    )
}

const DECLARED: [&str; 4] = [
    "--environment",
    "staging=sandbox",
    "--target",
    "broker=hare",
];

#[test]
fn a_custom_kind_is_linted_compared_compiled_described_and_explained() {
    let stage = Stage::new();
    let shown = |path: &Path| path.display().to_string();
    let one = shown(&stage.write("one.yaml", &charter("orders")));
    let two = shown(&stage.write("two.yaml", &charter("orders, invoices")));
    let with = |command: &[&str]| -> Vec<String> {
        let words = ["charter"].iter().chain(command).chain(&DECLARED);
        words.map(|&word| word.to_owned()).collect()
    };
    let said = |command: &[&str]| {
        let words = with(command);
        stage.said(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };

    let never = shown(&stage.write("never.yaml", &charter("users")));
    let all = shown(&stage.write("all.yaml", &charter("everything")));
    let found = said(&["lint", &never]);
    assert!(found.contains("queue `users` is never given"), "{found}");
    let found = said(&["lint", &all]);
    assert!(found.contains("grant read can read every queue"), "{found}");
    let found = said(&["lint", &one]);
    assert!(!found.contains("queue"), "{found}");

    let found = said(&["diff", &one, &two]);
    assert!(found.contains("grant read: queue invoices"), "{found}");

    let found = said(&["compile", &two]);
    assert!(found.contains("order-reader-read"), "{found}");
    assert!(found.contains("\"invoices\""), "{found}");

    let agent = [
        "--agent",
        "https://agents.dev.lanyard.invalid",
        "agent:router",
    ];
    let asked = ["explain", &two, "--in", "staging", "--grant", "read"];
    let asks = |resource: &str| {
        let using = ["--using", "read", resource];
        let words: Vec<&str> = asked.iter().chain(&agent).chain(&using).copied().collect();
        said(&words)
    };
    assert!(asks("invoices").contains("allow"), "{}", asks("invoices"));
    let found = asks("payroll");
    assert!(found.contains("does not give this"), "{found}");

    let schema: Value = serde_json::from_str(&stage.ok(&["charter", "schema"])).unwrap();
    let section = "/properties/spec/properties/grants/items/properties/hare/required";
    assert_eq!(schema.pointer(section), Some(&json!(["target", "queues"])));

    // The built-in kinds do not know this section.
    let lint = ["charter", "lint", &one];
    let ran = stage.runtime.block_on(lanyard_cli::run_here(&lint, b""));
    assert_ne!(ran.code, 0);
}

const PROHIBITED: &str =
    "  prohibited: [{hare: {queues: [payroll]}, reason: salaries are for people}]\n";

#[test]
fn what_is_prohibited_of_a_kind_of_its_own_is_refused_explained_and_compared() {
    let stage = Stage::new();
    let write = |name: &str, text: &str| stage.write(name, text).display().to_string();
    let said = |command: &[&str]| {
        let words = ["charter"].iter().chain(command).chain(&DECLARED);
        stage.said(&words.copied().collect::<Vec<_>>())
    };

    for queue in ["payroll", "everything"] {
        let given = write(
            "given.yaml",
            &charter_with(&format!("orders, {queue}"), PROHIBITED),
        );
        let found = said(&["lint", &given]);
        let reaches = "grant read reaches what this charter prohibits: salaries are for people";
        assert!(found.contains(reaches), "{found}");
        assert!(found.contains("LC104"), "{found}");
    }

    let old = write("old.yaml", &charter_with("orders", PROHIBITED));
    let new = write("new.yaml", &charter("orders, payroll"));
    let found = said(&["diff", &old, &new]);
    let line = "grant read: queue payroll, which was prohibited";
    assert!(found.contains(line), "{found}");

    let asked = ["explain", &old, "--in", "staging", "--grant", "read"];
    let agent = [
        "--agent",
        "https://agents.dev.lanyard.invalid",
        "agent:router",
    ];
    let using = |queue| {
        let using = ["--using", "read", queue];
        let words: Vec<&str> = asked.iter().chain(&agent).chain(&using).copied().collect();
        said(&words)
    };
    let found = using("payroll");
    assert!(
        found.contains("this is prohibited: salaries are for people"),
        "{found}"
    );
    let found = using("orders");
    assert!(found.contains("allow"), "{found}");

    let schema: Value = serde_json::from_str(&stage.ok(&["charter", "schema"])).unwrap();
    let section = "/properties/spec/properties/prohibited/items/properties/hare/required";
    assert_eq!(schema.pointer(section), Some(&json!(["queues"])));
}

/// Lint keeps such a charter out of force. The decision does not rely on lint: a prohibition may
/// come from the charter of another task.
#[test]
fn a_credential_that_gives_what_is_prohibited_is_denied() {
    let name = |name: &str| name.parse().unwrap();
    let world = World {
        environments: [(name("staging"), EnvironmentKind::Sandbox)].into(),
        targets: [(name("broker"), HARE)].into(),
        more_kinds: KINDS.grants,
        ..World::default()
    };
    let mut charter = parse(&charter("orders, payroll"), &world).unwrap().charter;
    let grant = charter.grants.get(&name("read")).unwrap();
    let question = Question::usual(&charter, grant, &name("staging"));
    let now = Timestamp::EPOCH;
    permit(&charter, &question, now).unwrap();

    charter.prohibited.push(Prohibition {
        what: ProhibitedQueues(["payroll".to_owned()].into()).into(),
        reason: "salaries are for people".to_owned(),
        at: grant.at,
    });
    let denial = permit(&charter, &question, now).unwrap_err();
    assert_eq!(denial.rule, Rule::Prohibited);
    let why = "grant read gives payroll, which is prohibited: salaries are for people";
    assert_eq!(denial.message, why);
}

#[test]
fn rights_common_to_two_grants_of_a_custom_kind_remain() {
    let rights = |queues: &[&str]| -> Rights {
        let queues: BTreeSet<_> = queues.iter().map(|&queue| queue.to_owned()).collect();
        HareGrant { queues }.into()
    };
    let (one, two) = (rights(&["a", "b"]), rights(&["b", "c"]));
    assert_eq!(one.narrowed(&two), Some(rights(&["b"])));
    assert_eq!(one.narrowed(&rights(&["c"])), None);
}

#[test]
fn a_credential_of_a_custom_kind_is_minted_used_and_killed() {
    let stage = Stage::new();
    let dev = stage.prepare(&charter("orders, invoices"));
    let _alone = DAEMON.lock();
    let daemon = dev.start();
    let task = stage.task(&dev);
    let login = stage.login(&dev, &["read", "--task", &task]);
    assert!(SERVER.lets_in(&login), "the user may read");

    let words = ["kill", "--task", &task, "--reason", "a test"];
    let words = [&words[..], &["--yes", "--wait", "60s"]].concat();
    stage.as_person(&dev, "oncall", &words);
    assert!(!SERVER.lets_in(&login), "the user is deleted");

    let words = ["--context", &dev.context("oncall"), "drill", "broker"];
    let drilled = stage.said(&words);
    assert!(drilled.contains("broker"), "{drilled}");
    assert_eq!(stage.run(&words).code, 0, "{drilled}");
    daemon.stop().unwrap();
}

/// A charter with a grant that needs an approved plan.
fn planned_charter() -> String {
    charter("orders")
        .replace(
            "{autonomy: observe}",
            "{autonomy: execute-sandbox}",
        )
        .replace(
            "  limits:",
            "    - {name: drain, role: apply, environments: [staging], hare: {target: broker, queues: [orders, invoices]}}\n  \
             plans: {required: {role: apply, environments: [staging]}, formats: [terraform-json]}\n  \
             approvals: [{when: {role: apply}, people: 1, from: [group:support-leads], expires: 30m}]\n  limits:",
        )
}

/// A plan of Terraform that creates resources of this kind.
fn terraform(queues: &[Option<&str>]) -> String {
    let changes = queues.iter().enumerate().map(|(place, queue)| {
        json!({
            "address": format!("hare_queue.q{place}"), "type": "hare_queue", "name": format!("q{place}"), "mode": "managed",
            "change": {"actions": ["create"], "before": null, "after": {"name": queue}, "after_unknown": {"name": queue.is_none()}},
        })
    });
    json!({"format_version": "1.2", "resource_changes": changes.collect::<Vec<_>>()}).to_string()
}

#[test]
fn a_credential_of_a_custom_kind_is_narrowed_to_its_approved_plan() {
    binaries().unwrap();
    let stage = Stage::new();
    let file = stage.write("planned.yaml", &planned_charter());
    let file = file.display().to_string();
    stage.ok(&[&["charter", "lint", &file], &DECLARED[..]].concat());
    let dev = stage.prepare(&planned_charter());
    let _alone = DAEMON.lock();
    let daemon = dev.start();
    let task = stage.task(&dev);
    let submit = |queues: &[Option<&str>]| {
        let file = stage.write("plan.json", &terraform(queues));
        let file = file.display().to_string();
        let words = ["-o", "json", "plan", "submit", &file, "--task", &task];
        let of = ["--grant", "drain", "--summary", "a queue"];
        let context = dev.context("agent");
        stage.run(&[&["--context", &context], &words[..], &of].concat())
    };
    let plan = submit(&[Some("orders")]);
    let plan: Value = serde_json::from_slice(&plan.stdout).unwrap();
    let field = |name: &str| plan.get(name).and_then(Value::as_str).unwrap();
    let show = ["plan", "show", field("plan")];
    let shown = stage.as_person(&dev, "alice", &show);
    for line in ["queue orders", "read orders", "queue invoices"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }

    // Nothing of what the plan changes is in the grant, so nobody is asked.
    let refused = submit(&[Some("payroll")]);
    let why = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.code, 3, "{why}");
    let nothing = "grant drain gives nothing of what the plan changes: the plan changes queue payroll, and the grant read invoices, orders";
    assert!(why.contains(nothing), "{why}");

    // A queue without a name could be any: the credential is the whole grant, and people see that.
    let open = submit(&[Some("orders"), None]);
    let open: Value = serde_json::from_slice(&open.stdout).unwrap();
    let open = open.get("plan").and_then(Value::as_str).unwrap();
    let whole = stage.as_person(&dev, "alice", &["plan", "show", open]);
    assert!(whole.contains("read invoices, orders"), "{whole}");

    let of = ["approval", "approve", field("approval"), "--digest"];
    let words = [&of[..], &[field("digest"), "--comment", "seen"]].concat();
    stage.as_person(&dev, "alice", &words);
    // The journal knows no kinds: what the plan changes is read from it as it was submitted.
    daemon.stop().unwrap();
    let daemon = dev.start();
    assert_eq!(stage.as_person(&dev, "alice", &show), shown);
    let login = stage.login(&dev, &["drain", "--task", &task, "--plan", field("plan")]);
    let readable = SERVER.readable(&login).unwrap();
    assert_eq!(readable, BTreeSet::from(["orders".to_owned()]));
    daemon.stop().unwrap();
}

#[test]
fn a_record_holds_what_a_plan_changes_of_a_custom_kind() {
    let mut reach = PlanReach::default();
    reach.note(vec![Queue("orders".to_owned())], String::new);
    reach.note::<Queue>(Vec::new(), || "hare_queue.later".to_owned());
    let json = serde_json::to_string(&reach).unwrap();
    let held = r#"{"hare":{"named":[{"words":"queue orders","object":"orders"}],"unnamed":["hare_queue.later"]}"#;
    assert!(json.contains(held.trim_start_matches('{')), "{json}");
    let read: PlanReach = serde_json::from_str(&json).unwrap();
    assert_eq!(read, reach);
    assert_eq!(read.of::<Queue>(), reach.of::<Queue>());
    assert_eq!(read.in_short(), "queue orders");
    // An object that the kind cannot read any more is not left out: it has no name.
    let other = json.replace(r#""object":"orders""#, r#""object":{"id":1}"#);
    let read: PlanReach = serde_json::from_str(&other).unwrap();
    let read = read.of::<Queue>();
    assert!(read.named.is_empty());
    assert!(read.unnamed.contains("queue orders"), "{read:?}");
}

/// The approvers of the plan saw a credential for one queue.
#[test]
fn a_plan_whose_record_the_kind_cannot_read_gives_nothing() {
    let name = |name: &str| name.parse().unwrap();
    let world = World {
        environments: [(name("staging"), EnvironmentKind::Sandbox)].into(),
        targets: [(name("broker"), HARE)].into(),
        more_kinds: KINDS.grants,
        ..World::default()
    };
    let charter = parse(&planned_charter(), &world).unwrap().charter;
    let grant = charter.grants.get(&name("drain")).unwrap();
    let given = |object: &str| {
        let json = format!(
            r#"{{"named": [{{"words": "queue orders", "object": {object}}}], "unnamed": []}}"#
        );
        let reach = RecordedReach::read("hare", &json).unwrap();
        let judgement = Judgement::unread(charter.policies_digest());
        let question = Question {
            plan: Some(Planned {
                format: Some(PlanFormat::TerraformJson),
                read: Some((Some(PlanReach::default().with(reach)), judgement)),
                ..Planned::default()
            }),
            ..Question::usual(&charter, grant, &name("staging"))
        };
        permit(&charter, &question, Timestamp::EPOCH)
    };
    let permit = given(r#""orders""#).unwrap();
    assert_eq!(permit.narrowing().unwrap().gives, ["read orders"]);
    let denial = given(r#"{"id": 1}"#).unwrap_err();
    assert_eq!(denial.rule, Rule::Grants);
    let why = "what the plan changes cannot be read from its record any more: the plan does not name queue orders";
    assert_eq!(denial.message, why);
}

#[test]
fn the_section_of_a_target_of_its_own_is_read_with_its_faults() {
    let stage = Stage::new();
    let found = |target: &str| {
        let text = format!(
            "data_dir: data\ncharters: charters\nlisten: 127.0.0.1:0\nissuer: https://lanyard.example\n\
             audience: lanyard\nissuers: []\nenvironments: {{staging: sandbox}}\ntargets: {{broker: {target}}}\n"
        );
        let config = stage.write("lanyardd.yaml", &text);
        let machine = Machine {
            kinds: KINDS,
            ..Machine::default()
        };
        Daemon::start(&config, machine).err().unwrap().to_string()
    };
    for (target, says) in [
        ("{kind: har}", "vault, github, hare (did you mean `hare`?)"),
        (
            "{kind: hare}",
            "8:19: error[LC012]: the field `address` is missing here",
        ),
        (
            "{kind: hare, address: hare.example, adress: x}",
            "there is no field `adress` here (did you mean `address`?)",
        ),
    ] {
        let found = found(target);
        assert!(found.contains(says), "{target}: {found}");
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path
            .extension()
            .is_some_and(|it| it == "rs" || it == "proto")
        {
            found.push(path);
        }
    }
}

/// The files of the daemon that every kind goes through know none of the kinds: each is in a file
/// of its own, and `kinds.rs` names it.
#[test]
fn what_every_kind_goes_through_names_none() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for file in [
        "lanyard-server/src/targets.rs",
        "lanyard-server/src/drill.rs",
        "lanyard-server/src/config.rs",
        "lanyard-server/src/check.rs",
        "lanyard-server/src/check/charters.rs",
        "lanyard-server/src/check/files.rs",
        "lanyard-server/src/check/places.rs",
        "lanyard-charter/src/configuration.rs",
        "lanyard-charter/src/reach.rs",
        "lanyard-charter/src/reach/objects.rs",
        "lanyard-charter/src/reach/registered.rs",
        "lanyard-charter/src/reach/resource.rs",
        "lanyard-core/src/target.rs",
        "lanyard-plan/src/lib.rs",
        "lanyard-plan/src/terraform.rs",
    ] {
        let text = std::fs::read_to_string(crates.join(file)).unwrap();
        let (code, _tests) = text.split_once("#[cfg(test)]").unwrap_or((&text, ""));
        for kind in kinds::names(MoreKinds::default()) {
            let (word, constant) = (kind.0, kind.0.to_uppercase());
            let named = [
                format!("\"{word}\" =>"),
                format!("== \"{word}\""),
                format!("(\"{word}\""),
                format!("TargetKind::{constant}"),
                format!("kinds::{word}"),
            ];
            let found = named.iter().find(|named| code.contains(named.as_str()));
            assert_eq!(found, None, "{file}");
            // The types of Terraform's resources begin with a kind.
            let is_read = file.starts_with("lanyard-plan") && code.contains(&format!("\"{word}_"));
            assert!(!is_read, "{file}: {word}");
        }
    }
    // The crates that decide, keep and carry out have no word for a kind.
    for folder in ["lanyard-core", "lanyard-ledger", "lanyard-engine"] {
        let mut files = Vec::new();
        sources(&crates.join(folder).join("src"), &mut files);
        assert!(files.len() > 10, "{folder}");
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            for (at, line) in code.enumerate() {
                let lower = line.to_lowercase();
                let kinds = kinds::names(MoreKinds::default()).into_iter();
                // A token is also what an agent identifies itself with.
                let mut words = kinds.map(|(word, _)| word).filter(|word| *word != "token");
                let found = words.find(|word| lower.contains(word));
                assert_eq!(found, None, "{}, line of code {at}", file.display());
            }
        }
    }
    let registry = crates.join("lanyard-server/src/kinds.rs");
    let registry = std::fs::read_to_string(registry).unwrap();
    for (kind, _) in kinds::names(MoreKinds::default()) {
        assert!(registry.contains(&format!("    &{kind}::")), "{kind}");
    }
}

/// The page lists the lines that name a kind outside of the kind's own files. Each is a line of the
/// product with the kind put in, and the example has the kind from such a line.
#[test]
fn the_page_lists_every_line_that_names_a_kind() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/add-a-provider.md")).unwrap();
    let rows = page.lines().filter_map(|row| {
        let mut cells = row.strip_prefix("| `crates/")?.split('`');
        Some((cells.next()?, cells.nth(1)?))
    });
    let rows: Vec<_> = rows.collect();
    let lines: Vec<_> = rows.iter().map(|(_, line)| *line).collect();
    let [grants, both] = [
        "const REGISTRY: MoreKinds = MoreKinds(&[&HareKind]);",
        "const REGISTRY: Kinds = Kinds::of(&[&HareKind], &[&HareTargets]);",
    ];
    assert_eq!(lines, [grants, both]);
    for (file, line) in rows {
        let text = std::fs::read_to_string(root.join("crates").join(file)).unwrap();
        let without = line.replace("&HareKind", "").replace("&HareTargets", "");
        let found = text.lines().filter(|own| *own == without).count();
        assert_eq!(found, 1, "{file}: {without}");
    }
    let own = include_str!("whole.rs").replace("const KINDS", "const REGISTRY");
    assert!(own.lines().any(|own| own == both), "{both}");
}

/// Lists the product's files that name this kind. The example's own files are in this folder.
#[test]
fn no_other_file_names_the_kind() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for folder in ["crates", "proto"] {
        sources(&root.join(folder), &mut files);
    }
    assert!(files.len() > 500, "{}", files.len());
    let names = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        ["HareGrant", "HareKind", "HareTargets", "\"hare\""]
            .iter()
            .any(|word| text.contains(word))
    };
    let own = Path::new("lanyard-testkit/tests/hare");
    let others: Vec<_> = files
        .into_iter()
        .filter(names)
        .filter(|path| {
            !path
                .display()
                .to_string()
                .contains(&own.display().to_string())
        })
        .collect();
    assert!(others.is_empty(), "{others:?}");
}
