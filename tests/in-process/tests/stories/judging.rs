//! Policies that ask for more than there is: the plan is denied and not stored, and the daemon goes
//! on.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Result, ensure};
use lanyard_in_process::with;
use lanyard_rig::Answer;
use lanyard_tests::Stage;

const PLAN: &str = r#"{"format_version":"1.2","resource_changes":[{"address":"terraform_data.x","type":"terraform_data","name":"x",
    "mode":"managed","change":{"actions":["create"],"before":null,"after":{"input":"x"},"after_unknown":{}}}],
    "configuration":{"root_module":{"resources":[{"address":"terraform_data.x","type":"terraform_data","name":"x","mode":"managed"}]}}}"#;

/// Hostile policies, each with its name and a part of its denial.
const HOSTILE: &[(&str, &str, &str)] = &[
    (
        "memory",
        "deny contains x if { some x in numbers.range(1, 10000000000); x < 0 }",
        "cannot be evaluated",
    ),
    (
        "output",
        "deny contains sprintf(\"%v\", [[x | some _ in numbers.range(1, 100000); some x in numbers.range(1, 100000)]]) if true",
        "cannot be evaluated",
    ),
    (
        "time",
        "deny contains x if { some a in numbers.range(1, 100000); some b in numbers.range(1, 100000); x := a * b; x < 0 }",
        "cannot be evaluated",
    ),
];

fn charter(name: &str) -> String {
    let text = include_str!("../../../end-to-end/both.yaml")
        .replace("name: both", &format!("name: {name}"));
    let rest = format!(
        "
    - name: move-tickets
      role: apply
      environments: [production]
      token: {{target: tickets, audience: https://tickets.acme.example, scopes: [tickets.move]}}
  plans:
    required: {{role: apply, environments: [production]}}
    policies: [{name}.rego]
  approvals:
    - {{when: {{role: apply, environment: production}}, people: 2}}
"
    );
    text.trim_end().to_owned() + &rest
}

fn stage() -> Result<Stage> {
    let directory = tempfile::tempdir()?;
    let charters = directory.path().join("charters");
    std::fs::create_dir_all(&charters)?;
    for (name, policy, _) in HOSTILE {
        let policy = format!("package p\nimport rego.v1\n{policy}\n");
        std::fs::write(charters.join(format!("{name}.rego")), policy)?;
        std::fs::write(charters.join(format!("{name}.yaml")), charter(name))?;
    }
    let harmless = "package p\nimport rego.v1\ndeny contains \"no\" if input.no\n";
    std::fs::write(charters.join("harmless.rego"), harmless)?;
    std::fs::write(directory.path().join("plan.json"), PLAN)?;
    with(directory, "", &charter("harmless"))
}

fn submission<'a>(task: &'a str, file: &'a str) -> [&'a str; 11] {
    [
        "plan",
        "submit",
        file,
        "--task",
        task,
        "--grant",
        "move-tickets",
        "--format",
        "terraform-json",
        "--summary",
        "move",
    ]
}

#[test]
fn s19_policies_that_take_all_memory_all_time_or_all_stack_deny_the_plan_and_nothing_else()
-> Result<()> {
    let stage = stage()?;
    let file = stage.directory.path().join("plan.json");
    let file = file.to_string_lossy();
    for (name, _, why) in HOSTILE {
        let task = stage.task_of(name)?;
        let said = stage.agent.fails(3, &submission(&task, &file))?;
        ensure!(said.contains(why), "{name}: {said}");
    }
    let task = stage.task_of("harmless")?;
    stage.agent.ok(&submission(&task, &file))?;
    Ok(())
}

// T18
#[test]
fn s18_a_plan_that_is_denied_is_never_stored() -> Result<()> {
    let stage = stage()?;
    let denied = stage.directory.path().join("denied.json");
    let text = PLAN.replacen('{', "{\"no\":true,", 1);
    std::fs::write(&denied, text)?;
    let stored = stage.directory.path().join("data/plans");
    let task = stage.task_of("harmless")?;
    let said = stage
        .agent
        .fails(3, &submission(&task, &denied.to_string_lossy()))?;
    ensure!(said.contains("no"), "{said}");
    ensure!(files(&stored)? == 0, "a denied plan was stored");
    let file = stage.directory.path().join("plan.json");
    stage
        .agent
        .ok(&submission(&task, &file.to_string_lossy()))?;
    ensure!(files(&stored)? == 1);
    Ok(())
}

fn files(folder: &Path) -> Result<usize> {
    Ok(std::fs::read_dir(folder)?.count())
}

/// A stage with a grant on settings in the namespace `payments` of a cluster that nobody reaches.
fn on_a_cluster(policy: &str) -> Result<Stage> {
    let directory = tempfile::tempdir()?;
    let cluster = "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}], \
        clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}], users: [{name: u, user: {token: t}}]}";
    let kubeconfig = directory.path().join("kubeconfig");
    let mut options = std::fs::OpenOptions::new();
    let options = options.write(true).create_new(true).mode(0o600);
    options.open(&kubeconfig)?.write_all(cluster.as_bytes())?;
    let charters = directory.path().join("charters");
    std::fs::create_dir_all(&charters)?;
    let policy = format!("package p\nimport rego.v1\n{policy}\n");
    std::fs::write(charters.join("own.rego"), policy)?;
    let grants = "
    - name: change-settings
      role: apply
      environments: [production]
      kubernetes: {target: cluster, namespace: payments, rules: [{apiGroups: [''], resources: [configmaps], verbs: [get, patch]}]}
  plans:
    required: {role: apply, environments: [production]}
    policies: [own.rego]
    formats: [manifests]
  approvals:
    - {when: {role: apply, environment: production}, people: 2}
";
    let targets = format!(
        "cluster: {{kind: kubernetes, namespace: leases, kubeconfig: {}}}\n",
        kubeconfig.display()
    );
    let charter = include_str!("../../../end-to-end/both.yaml")
        .trim_end()
        .to_owned()
        + grants;
    with(directory, &targets, &charter)
}

/// Submits the manifests as a plan under grant `both`.
fn submitted(stage: &Stage, manifests: &str) -> Result<Answer> {
    let task = stage.task_of("both")?;
    let plan = stage.directory.path().join("settings.yaml");
    std::fs::write(&plan, manifests)?;
    let file = plan.to_string_lossy();
    let submit = ["plan", "submit", &file, "--task", &task];
    let more = ["--grant", "change-settings", "--summary", "the colour"];
    stage.agent.run(&[&submit[..], &more].concat())
}

// The cluster is not asked: a policy denies the plan before it is rehearsed.
#[test]
fn c15_a_policy_reads_a_manifest_in_the_namespace_of_its_grant() -> Result<()> {
    let closed =
        "deny contains \"payments are closed\" if input.metadata.namespace == \"payments\"";
    let stage = on_a_cluster(closed)?;
    let settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n";
    let denied = submitted(&stage, settings)?;
    let said = "a policy denies the plan: payments are closed";
    ensure!(denied.stderr.contains(said), "{denied:?}");
    Ok(())
}

// An agent that names very many objects must not put one of them where its approvers are shown
// nothing more.
#[test]
fn c14_approvers_are_shown_each_object_that_a_session_can_change() -> Result<()> {
    let stage = on_a_cluster("deny contains \"no\" if input.no")?;
    let object = |number: usize| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: s{number:050}}}\n---\n")
    };
    let taken = submitted(&stage, &(0..50).map(object).collect::<String>())?;
    assert_eq!(taken.code, 0, "{taken:?}");
    let waiting = stage.oncall.ok(&["-o", "name", "approval", "list"])?;
    let shown = stage
        .oncall
        .json(&["approval", "show", waiting.trim()])?
        .to_string();
    for number in [0, 25, 49] {
        let name = format!("s{number:050}");
        // Among what changes, and among what the session can do.
        assert!(shown.matches(&name).count() >= 2, "{name}: {shown}");
    }
    Ok(())
}
