//! The reading of plans, and what policies say of them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use lanyard_charter::plan::{PlanFormat, Risk};
use lanyard_charter::{Arn, KubernetesObject, MoreKinds, Policy, PolicyFiles};
use lanyard_core::plan::{Judgement, Plan, Unjudged};
use lanyard_core::task::Task;
use lanyard_document::Position;
use lanyard_plan::{Context, Document, PolicyFolder, PolicySet};
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use lanyard_vocabulary::time::Timestamp;
use serde_json::Value;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The policies that are shipped, and some that are not.
fn policy_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in [
        "tests/policies",
        "../../docs/policies/terraform",
        "../../docs/policies/kubernetes",
    ] {
        let entries = std::fs::read_dir(here(folder)).unwrap();
        files.extend(entries.map(|entry| entry.unwrap().path()));
    }
    files.sort();
    files
}

fn policy(path: &str) -> Policy {
    Policy {
        path: path.to_owned(),
        text: Arc::from(read(&here(path))),
        at: Position { line: 1, column: 1 },
    }
}

fn terraform(name: &str) -> Document {
    let content = read(&here(&format!("tests/plans/{name}.json")));
    Document::read(PlanFormat::TerraformJson, content.as_bytes()).unwrap()
}

fn workloads() -> Document {
    let content = read(&here("tests/plans/workloads.yaml"));
    Document::read(PlanFormat::Manifests, content.as_bytes()).unwrap()
}

fn task(ticket: Option<&str>) -> Task {
    Task {
        ticket: ticket.map(str::to_owned),
        ..world::task(&Ids::seeded(1), Timestamp::EPOCH)
    }
}

fn plan() -> Plan {
    world::plan(&task(None), PlanFormat::TerraformJson)
}

fn judge(policies: &[&str], document: &Document, ticket: Option<&str>) -> Judgement {
    let policies: Vec<Policy> = policies.iter().map(|path| policy(path)).collect();
    let set = PolicySet::of(&policies).unwrap();
    let (task, plan) = (task(ticket), plan());
    set.judge(
        document,
        Context {
            task: &task,
            plan: &plan,
        },
    )
}

const BUCKETS: &str = "../../docs/policies/terraform/no-public-buckets.rego";
const PORTS: &str = "../../docs/policies/terraform/no-open-admin-ports.rego";
const STATEFUL: &str = "../../docs/policies/terraform/stateful.rego";
const IDENTITY: &str = "../../docs/policies/terraform/identity.rego";
const WORKLOADS: &str = "../../docs/policies/kubernetes/workloads.rego";

#[test]
fn no_bucket_is_opened_to_everybody() {
    let open = judge(&[BUCKETS], &terraform("open"), None);
    for part in [
        "aws_s3_bucket_acl.public: the ACL public-read",
        "aws_s3_bucket_public_access_block.public: block_public_policy is off",
        "aws_s3_bucket_public_access_block.public: ignore_public_acls is off",
        "aws_s3_bucket_policy.public: a statement allows everybody",
        "aws_s3_bucket_policy.later: the policy is not known",
    ] {
        assert!(
            open.denied.iter().any(|line| line.starts_with(part)),
            "{part}: {open:#?}"
        );
    }
    assert_eq!(judge(&[BUCKETS], &terraform("queue"), None).denied, [""; 0]);
}

// A grant for `payments` applies what names no namespace to `payments`: a rule about namespaces has
// to see that.
#[test]
fn c15_policies_read_an_object_in_the_namespace_that_it_is_applied_to() {
    let policy = r#"package own
import rego.v1
deny contains msg if {
    namespace := object.get(input.metadata, "namespace", "none")
    msg := sprintf("%s %s is in %s", [input.kind, input.metadata.name, namespace])
}"#;
    let set = PolicySet::compile([("own.rego", policy)]).unwrap();
    let object = |version: &str, kind: &str, metadata: &str| {
        format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: it{metadata}}}\n---\n")
    };
    let text = [
        object("v1", "ConfigMap", ""),
        object("v1", "Secret", ", namespace: ''"),
        object("v1", "Service", ", namespace: null"),
        object("v1", "Pod", ", namespace: other"),
        object("acme.example/v1", "Widget", ""),
        object("v1", "Namespace", ""),
        object("rbac.authorization.k8s.io/v1", "ClusterRole", ""),
        "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: ServiceAccount, metadata: {name: it}}]\n".to_owned(),
    ];
    let document = Document::read(PlanFormat::Manifests, text.concat().as_bytes()).unwrap();
    let said = |namespace: Option<&str>| {
        let task = task(None);
        let plan = Plan {
            namespace: namespace.map(str::to_owned),
            ..plan()
        };
        let context = Context {
            task: &task,
            plan: &plan,
        };
        set.judge(&document, context).denied
    };
    assert_eq!(
        said(Some("payments")),
        [
            "ClusterRole it is in none",
            "ConfigMap it is in payments",
            "Namespace it is in none",
            "Pod it is in other",
            "Secret it is in payments",
            "Service it is in payments",
            "ServiceAccount it is in payments",
            "Widget it is in payments",
        ]
    );
    // A grant on anything but a cluster has no namespace.
    assert!(said(None).contains(&"ConfigMap it is in none".to_owned()));
}

#[test]
fn no_admin_port_is_open_to_everywhere() {
    let open = judge(&[PORTS], &terraform("open"), None).denied;
    let of = |address: &str| open.iter().filter(|line| line.starts_with(address)).count();
    assert_eq!(
        of("aws_security_group.bastion: port 22 is open to 0.0.0.0/0"),
        1
    );
    assert_eq!(of("aws_security_group.bastion"), 1);
    assert_eq!(of("aws_vpc_security_group_ingress_rule.all"), 13);
    assert_eq!(of("aws_security_group_rule.web"), 0);
}

#[test]
fn what_holds_state_goes_with_a_ticket_and_two_people() {
    let without = judge(&[STATEFUL], &terraform("destroy"), None);
    assert_eq!(without.denied.len(), 2);
    assert!(without.denied[0].starts_with("aws_db_instance.main holds state, and"));
    let with = judge(&[STATEFUL], &terraform("destroy"), Some("PAY-7"));
    assert_eq!((with.denied.len(), with.people), (0, 2));
    let harmless = judge(&[STATEFUL], &terraform("queue"), None);
    assert_eq!((harmless.denied.len(), harmless.people), (0, 0));
}

#[test]
fn who_may_do_what_changes_with_the_security_owner() {
    let said = judge(&[IDENTITY], &terraform("identity"), None);
    assert_eq!(said.groups, BTreeSet::from(["security".to_owned()]));
    assert_eq!((said.risk, said.people), (Risk::High, 2));
    assert!(
        judge(&[IDENTITY], &terraform("queue"), None)
            .groups
            .is_empty()
    );
}

#[test]
fn policies_of_the_old_language_judge_each_object() {
    let said = judge(&[WORKLOADS], &workloads(), None);
    assert_eq!(
        said.denied,
        [
            "StatefulSet store may run as root",
            "StatefulSet store: store:latest is not pinned"
        ]
    );
    assert_eq!(
        said.warned,
        ["StatefulSet store: store has no memory limit"]
    );
}

#[test]
fn risk_is_low_for_tags_medium_for_what_runs_and_high_for_what_cannot_be_undone() {
    let risk = |name| judge(&[], &terraform(name), None);
    assert_eq!(risk("tags-only").risk, Risk::Low);
    let queue = risk("queue");
    assert_eq!((queue.risk, queue.people), (Risk::Medium, 0));
    assert_eq!(
        queue.reasons,
        [
            "medium: aws_sqs_queue.orders changes in place",
            "medium: aws_region.here is read during the apply"
        ]
    );
    for name in ["destroy", "open", "identity"] {
        let said = risk(name);
        assert_eq!((said.risk, said.people), (Risk::High, 2), "{name}");
        assert!(said.reasons[0].starts_with("high: "), "{said:#?}");
    }
    let text = Document::read(PlanFormat::Text, b"trust me").unwrap();
    assert_eq!(judge(&[], &text, None).risk, Risk::High);
}

// A policy that cannot be evaluated denies.
#[test]
fn what_cannot_be_evaluated_denies() {
    let said = judge(&["tests/policies/fails.rego"], &terraform("queue"), None);
    assert_eq!(said.denied.len(), 1, "{said:#?}");
    assert!(
        said.denied[0].contains("data.fails.deny cannot be evaluated"),
        "{said:#?}"
    );

    let endless = "package p\ndeny contains x if { some a in numbers.range(1, 100000); some b in numbers.range(1, 100000); x := a * b; x < 0 }\n";
    let policies = [Policy {
        text: Arc::from(endless),
        ..policy(BUCKETS)
    }];
    let set = PolicySet::of(&policies).unwrap();
    let (task, plan) = (task(None), plan());
    let said = set.judge(
        &terraform("queue"),
        Context {
            task: &task,
            plan: &plan,
        },
    );
    assert_eq!(said.denied.len(), 1, "{said:#?}");
    assert!(said.denied[0].contains("time"), "{said:#?}");

    for (value, why) in [
        ("deny := 7", "expected a set of messages"),
        (
            "risk contains {\"level\": \"huge\"} if true",
            "needs a level",
        ),
        (
            "approval contains {\"people\": 900} if true",
            "people is a number",
        ),
        (
            "approval contains {\"group\": 7} if true",
            "group is the name",
        ),
        (
            "approval contains \"somebody\" if true",
            "people or a group",
        ),
    ] {
        let policies = [Policy {
            text: Arc::from(format!("package p\n{value}\n")),
            ..policy(BUCKETS)
        }];
        let set = PolicySet::of(&policies).unwrap();
        let said = set.judge(
            &terraform("queue"),
            Context {
                task: &task,
                plan: &plan,
            },
        );
        assert!(
            said.denied.iter().any(|line| line.contains(why)),
            "{value}: {said:#?}"
        );
    }
}

#[test]
fn a_plan_is_read_for_what_it_changes_and_by_which_names() {
    let reading = terraform("queue").reading(MoreKinds::default());
    let effects = reading.effects;
    assert_eq!(
        (effects.created, effects.updated, effects.destroyed),
        (1, 1, 0)
    );
    let arns: Vec<String> = reading
        .reach
        .of::<Arn>()
        .named
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        arns,
        [
            "arn:*:sqs:*:*:payments-refunds",
            "arn:aws:sqs:eu-west-1:111122223333:payments-orders"
        ]
    );
    assert!(reading.reach.of::<Arn>().is_whole());

    let open = terraform("open").reading(MoreKinds::default()).reach;
    let open = open.of::<Arn>();
    assert!(open.unnamed.contains("aws_security_group.bastion"));
    assert_eq!(open.named.len(), 2);

    let reading = workloads().reading(MoreKinds::default());
    let objects: Vec<String> = reading
        .reach
        .of::<KubernetesObject>()
        .named
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        objects,
        [
            "deployments.apps/web in payments",
            "statefulsets.apps/store in payments"
        ]
    );
}

// Sensitive values are in no line that people are shown (T49), and nothing in a line acts on a
// terminal (T21).
#[test]
fn approvers_read_what_changes_and_no_secrets() {
    let text = terraform("destroy").text();
    assert!(!text.contains("canary"), "{text}");
    let expected = "-/+ aws_db_instance.main is destroyed and created anew\n\
                    \x20   ~ arn = \"arn:aws:rds:eu-west-1:111122223333:db:main\" -> (known after apply)\n\
                    \x20   ~ engine = \"postgres\" -> \"mysql\"\n\
                    \x20   ~ password = (sensitive) -> (sensitive)\n\
                    - aws_sqs_queue.old is destroyed\n\
                    \x20   its configuration is gone: a `removed` block may run a command with it that no plan shows\n\
                    \x20   - arn = \"arn:aws:sqs:eu-west-1:111122223333:payments-old\"\n\
                    \x20   - name = \"payments-old\"\n";
    assert_eq!(text, expected);
    let odd = r#"{"format_version":"1.2","resource_changes":[{"address":"aws_sqs_queue.a\u001b[2J\u202e","type":"aws_sqs_queue",
        "change":{"actions":["create"],"before":null,"after":{"name":"x\u001b]0;y"},"after_unknown":{}}}]}"#;
    let text = Document::read(PlanFormat::TerraformJson, odd.as_bytes())
        .unwrap()
        .text();
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
}

// T44
#[test]
fn a_plan_that_is_too_long_to_read_is_refused() {
    let long: Vec<usize> = (1_000_000..1_200_000).collect();
    let plan = serde_json::json!({
        "format_version": "1.2",
        "resource_changes": [{
            "address": "terraform_data.long", "type": "terraform_data",
            "change": {"actions": ["create"], "before": null, "after": {"input": long}, "after_unknown": {}},
        }],
    });
    let plan = plan.to_string();
    let refused = Document::read(PlanFormat::TerraformJson, plan.as_bytes()).unwrap_err();
    assert!(
        refused.to_string().contains("more than 2048 KiB"),
        "{refused}"
    );
}

#[test]
fn what_is_no_plan_is_refused_with_the_place() {
    let no = |format, text: &str| match Document::read(format, text.as_bytes()) {
        Err(Unjudged::Form { why, .. }) => why,
        other => panic!("{text}: {other:?}"),
    };
    for (text, why) in [
        ("{", "EOF while parsing an object at line 1 column 1"),
        ("[]", "expected struct Outline"),
        (
            r#"{"format_version":"2.0"}"#,
            "format_version 2.0 is not 1.x",
        ),
        (
            r#"{"format_version":"1.2","errored":true}"#,
            "ended with an error",
        ),
        (r#"{"format_version":"1.2"}"#, "it changes nothing"),
        (
            r#"{"format_version":"1.2","resource_changes":[{"address":"a.b","type":"a","change":{"actions":["explode"]}}]}"#,
            "unknown variant `explode`",
        ),
    ] {
        let found = no(PlanFormat::TerraformJson, text);
        assert!(found.contains(why), "{text}: {found}");
    }
    for (text, why) in [
        ("", "it is empty"),
        ("# nothing\n---\n", "holds no object"),
        ("kind: Pod\n", "apiVersion, kind and metadata.name"),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: !t x}\n",
            "line 3",
        ),
        ("---\napiVersion: v1\nkind: Pod\nkind: Pod\n", "line 4"),
    ] {
        let found = no(PlanFormat::Manifests, text);
        assert!(found.contains(why), "{text}: {found}");
    }
}

// T25
#[test]
fn policies_are_beneath_the_charters_folder() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::NamedTempFile::new().unwrap();
    std::fs::create_dir(folder.path().join("policies")).unwrap();
    let good = "package p\ndeny contains \"no\" if input.x\n";
    std::fs::write(folder.path().join("policies/good.rego"), good).unwrap();
    std::fs::write(outside.path(), good).unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join("policies/link.rego")).unwrap();
    std::fs::write(
        folder.path().join("broken.rego"),
        "package p\ndeny contains \"x\" if {\n",
    )
    .unwrap();
    std::fs::write(
        folder.path().join("idle.rego"),
        "package p\nallow := true\n",
    )
    .unwrap();
    std::fs::write(
        folder.path().join("calls.rego"),
        "package p\ndeny contains x if x := nothing.here(1)\n",
    )
    .unwrap();
    let padded = |bytes: usize| format!("{good}#{}", "x".repeat(bytes - good.len() - 1));
    std::fs::write(folder.path().join("most.rego"), padded(256 * 1024)).unwrap();
    std::fs::write(folder.path().join("more.rego"), padded(256 * 1024 + 1)).unwrap();
    let pipe = folder.path().join("pipe.rego");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    std::fs::write(folder.path().join("bytes.rego"), b"\xff").unwrap();
    let files = PolicyFolder::at(folder.path().to_path_buf());
    assert!(files.read(&["most.rego"]).is_ok());
    let fault = |path: &str| files.read(&[path]).unwrap_err().remove(0).1;
    assert_eq!(&*files.read(&["policies/good.rego"]).unwrap()[0], good);
    for (path, why) in [
        ("policies/link.rego", "leads out of the charter's folder"),
        ("policies/none.rego", "cannot be read"),
        ("policies", "is a directory"),
        ("pipe.rego", "is not a file"),
        ("bytes.rego", "is not UTF-8"),
        ("more.rego", "is larger than 256 KiB"),
        ("broken.rego", "broken.rego:"),
        ("idle.rego", "there is no deny"),
        ("calls.rego", "calls.rego:2:"),
    ] {
        let found = fault(path);
        assert!(found.contains(why), "{path}: {found}");
    }
}

/// Evaluates, with this process's engine, every rule of a file whose name conftest knows.
fn own(path: &Path, input: &Value, data: &str) -> BTreeMap<String, Option<Value>> {
    let text = read(path);
    let mut engine = regorus::Engine::new();
    engine.set_strict_builtin_errors(true);
    if engine
        .add_policy("p.rego".to_owned(), text.clone())
        .is_err()
    {
        engine.set_rego_v0(true);
        engine
            .add_policy("p.rego".to_owned(), text.clone())
            .unwrap();
    }
    engine.add_data_json(data).unwrap();
    engine.set_input_json(&input.to_string()).unwrap();
    let package = engine.get_packages().unwrap().remove(0);
    let names: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| {
            line.split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
        })
        .filter(|name| {
            ["deny", "warn", "violation", "approval", "risk"]
                .iter()
                .any(|kind| name.starts_with(kind))
        })
        .collect();
    let value = |name: &str| {
        let value = engine.eval_rule(format!("{package}.{name}")).ok()?;
        if matches!(value, regorus::Value::Undefined) {
            return Some(Value::Null);
        }
        Some(serde_json::from_str(&value.to_json_str().unwrap()).unwrap())
    };
    let mut value = value;
    names
        .into_iter()
        .map(|name| (format!("{package}.{name}"), value(name)))
        .collect()
}

// The same answers as opa's, rule by rule: what one fails on, the other fails on.
#[test]
fn answers_are_those_of_opa() {
    let Some(opa) = std::env::var_os("LANYARD_OPA") else {
        eprintln!("skipped: there is no opa here");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let data = r#"{"lanyard":{"task":{"ticket":"PAY-7"}}}"#;
    let (data_file, input_file) = (
        folder.path().join("data.json"),
        folder.path().join("input.json"),
    );
    std::fs::write(&data_file, data).unwrap();
    let mut inputs: Vec<Value> = Vec::new();
    for entry in std::fs::read_dir(here("tests/plans")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "json") {
            inputs.push(serde_json::from_str(&read(&path)).unwrap());
        }
    }
    inputs.push(serde_json::json!({"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": {"spec": {
        "containers": [{"name": "web", "image": "web:latest"}]}}}}));
    let (mut compared, mut failed) = (0, 0);
    for path in policy_files() {
        let old = !read(&path).contains("import rego.v1");
        for input in &inputs {
            std::fs::write(&input_file, input.to_string()).unwrap();
            for (rule, value) in own(&path, input, data) {
                let mut command = Command::new(&opa);
                command.args(["eval", "--format", "json", "--strict-builtin-errors"]);
                if old {
                    command.arg("--v0-compatible");
                }
                let files = [
                    (&"--data", &path),
                    (&"--data", &data_file),
                    (&"--input", &input_file),
                ];
                for (flag, file) in files {
                    command.arg(flag).arg(file);
                }
                let output = command.arg(&rule).output().unwrap();
                let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
                let theirs = if answer.get("errors").is_some() {
                    None
                } else {
                    let at = "/result/0/expressions/0/value";
                    Some(answer.pointer(at).cloned().unwrap_or(Value::Null))
                };
                assert_eq!(value, theirs, "{rule} of {} on {input}", path.display());
                compared += 1;
                failed += u32::from(theirs.is_none());
            }
        }
    }
    assert!(
        compared > 100 && failed > 0,
        "{compared} compared, {failed} failed on both sides"
    );
}
