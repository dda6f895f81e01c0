//! Terraform's plans: judged by the charter's policies, approved, and applied with what they need.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use lanyard_rig::{Aws, Cluster, Recorder};
use lanyard_tests::{Stage, until};
use serde_json::Value;

const CHARTER: &str = "
    - name: change-queues
      role: apply
      environments: [production]
      aws:
        target: account
        allow:
          - actions: [sqs:CreateQueue, sqs:SetQueueAttributes, sqs:DeleteQueue, sqs:GetQueueAttributes]
            resources: ['arn:aws:sqs:eu-west-1:111122223333:payments-*']
  plans:
    required: {role: apply, environments: [production]}
    policies:
      - policies/terraform/no-public-buckets.rego
      - policies/terraform/no-open-admin-ports.rego
      - policies/terraform/stateful.rego
      - policies/terraform/identity.rego
  approvals:
    - {when: {role: apply, environment: production}, people: 2}
";

struct Plans {
    stage: Stage,
    recorder: Recorder,
    task: String,
}

fn plans(name: &str) -> Option<Plans> {
    let Some(aws) = Aws::shared() else {
        eprintln!("NOT RUN: no moto is named; `cargo xtask test` starts one");
        return None;
    };
    let directory = tempfile::tempdir().unwrap();
    let account = aws.account(name, directory.path()).unwrap();
    let recorder = Recorder::start(aws.url()).unwrap();
    let targets = format!(
        "account: {{kind: aws, region: eu-west-1, endpoint: '{}', plan_role: '{}', apply_role: '{}', \
         minter_profile: {}, revoker_profile: {}}}\n",
        recorder.url(),
        account.plan_role,
        account.apply_role,
        account.minter,
        account.revoker
    );
    let policies = directory.path().join("charters/policies/terraform");
    let charter = include_str!("both.yaml").trim_end().to_owned() + CHARTER;
    let environment = [("AWS_SHARED_CREDENTIALS_FILE", account.credentials)];
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policies/terraform");
    let copy = || -> Result<()> {
        std::fs::create_dir_all(&policies)?;
        for entry in std::fs::read_dir(shipped)? {
            let entry = entry?;
            std::fs::copy(entry.path(), policies.join(entry.file_name()))?;
        }
        Ok(())
    };
    copy().unwrap();
    let stage = Stage::set_with(directory, &targets, &charter, &environment).unwrap();
    let task = stage.task_of("both").unwrap();
    Some(Plans {
        stage,
        recorder,
        task,
    })
}

fn fixture(name: &str) -> PathBuf {
    let folder = "../crates/lanyard-plan/tests/plans";
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(folder)
        .join(name)
}

impl Plans {
    fn submission<'a>(&'a self, file: &'a str, format: &'a str) -> Vec<&'a str> {
        vec![
            "plan",
            "submit",
            file,
            "--task",
            &self.task,
            "--grant",
            "change-queues",
            "--format",
            format,
            "--summary",
            "payments queues",
        ]
    }

    fn denied(&self, name: &str, format: &str) -> Result<String> {
        let file = fixture(name);
        self.stage
            .agent
            .fails(3, &self.submission(&file.to_string_lossy(), format))
    }

    fn submit(&self, file: &Path) -> Result<(String, String, String)> {
        let plan = self
            .stage
            .agent
            .json(&self.submission(&file.to_string_lossy(), "terraform-json"))?;
        let field = |name: &str| Some(plan.get(name)?.as_str()?.to_owned());
        let found = || Some((field("plan")?, field("digest")?, field("approval")?));
        found().with_context(|| plan.to_string())
    }

    fn apply<'a>(&'a self, plan: &'a str) -> [&'a str; 7] {
        [
            "creds",
            "aws",
            "--task",
            &self.task,
            "change-queues",
            "--plan",
            plan,
        ]
    }

    /// The newest session policy that was sent.
    fn policy(&self) -> Result<Value> {
        let forms = self.recorder.forms("AssumeRole");
        let form = forms.last().context("no session was asked for")?;
        let policy = form.iter().find(|(name, _)| name == "Policy");
        Ok(serde_json::from_str(&policy.context("no policy")?.1)?)
    }
}

#[test]
fn a_plan_is_judged_approved_and_applied_with_what_it_names() -> Result<()> {
    let Some(plans) = plans("judged") else {
        return Ok(());
    };
    let open = plans.denied("open.json", "terraform-json")?;
    assert!(
        open.contains("a policy denies the plan: aws_s3_bucket_acl.public"),
        "{open}"
    );
    assert!(open.contains("plans.policies, line"), "{open}");
    let unticketed = plans.denied("destroy.json", "terraform-json")?;
    assert!(
        unticketed.contains("the task names no ticket"),
        "{unticketed}"
    );
    // What policies cannot read passes them by in no other form.
    let text = plans.denied("queue.json", "text")?;
    assert!(
        text.contains("a plan in the form text is not taken"),
        "{text}"
    );
    let none = plans.denied("tags-only.json", "manifests");
    assert!(none.is_err(), "JSON that is no object of Kubernetes");

    let (plan, digest, approval) = plans.submit(&fixture("queue.json"))?;
    let shown = plans
        .stage
        .daemon
        .cli("alice")?
        .ok(&["plan", "show", &plan])?;
    for line in [
        "~ aws_sqs_queue.orders is updated in place",
        "~ delay_seconds = 0 -> 5",
        "+ aws_sqs_queue.refunds is created",
        "medium: aws_sqs_queue.orders changes in place",
        "1 created, 1 updated, 0 replaced, 0 destroyed",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    plans.stage.approve("alice", &approval, &digest)?;
    plans.stage.approve("bob", &approval, &digest)?;
    plans.stage.agent.ok(&plans.apply(&plan))?;
    let policy = plans.policy()?.to_string();
    let queues = "arn:aws:sqs:eu-west-1:111122223333:payments-";
    for name in ["orders", "refunds"] {
        assert!(policy.contains(&format!("{queues}{name}")), "{policy}");
    }
    // Only what reads keeps the whole of the grant.
    let statements = plans.policy()?;
    let statements = statements.get("Statement").and_then(Value::as_array);
    for statement in statements.context("no statements")? {
        let text = statement.to_string();
        if text.contains("payments-*") {
            assert!(
                !text.contains("SetQueueAttributes") && !text.contains("DeleteQueue"),
                "{text}"
            );
        }
    }
    would_be_denied(&plans.stage)
}

/// A policy that is only proposed is asked about the plans of the past.
fn would_be_denied(stage: &Stage) -> Result<()> {
    let folder = stage.directory.path();
    let proposed = folder.join("proposed/policies/terraform");
    std::fs::create_dir_all(&proposed)?;
    for entry in std::fs::read_dir(folder.join("charters/policies/terraform"))? {
        let entry = entry?;
        std::fs::copy(entry.path(), proposed.join(entry.file_name()))?;
    }
    let stateful = proposed.join("stateful.rego");
    let text = std::fs::read_to_string(&stateful)?;
    std::fs::write(
        &stateful,
        format!("{text}\ndeny contains \"no queues\" if count(input.resource_changes) > 0\n"),
    )?;
    let charter = folder.join("proposed/more.yaml");
    std::fs::copy(folder.join("charters/more.yaml"), &charter)?;
    let (charter, data) = (charter.to_string_lossy(), folder.join("data"));
    let world = [
        "--environment",
        "production=production",
        "--target",
        "account=aws",
    ];
    let simulate = [
        "charter",
        "simulate",
        &charter,
        "--data-dir",
        &data.to_string_lossy(),
    ];
    let answer = stage.oncall.run(&[&simulate[..], &world].concat())?;
    let said = format!("{}{}", answer.stdout, answer.stderr);
    assert!(
        said.contains("a policy denies the plan: no queues"),
        "{said}"
    );
    Ok(())
}

// T17, T18
#[test]
fn t17_t18_one_byte_and_one_policy_more_and_nothing_is_applied() -> Result<()> {
    let Some(plans) = plans("changed") else {
        return Ok(());
    };
    let (plan, digest, approval) = plans.submit(&fixture("queue.json"))?;
    plans.stage.approve("alice", &approval, &digest)?;
    plans.stage.approve("bob", &approval, &digest)?;

    let changed = std::fs::read_to_string(fixture("queue.json"))?.replacen(
        "\"delay_seconds\": 5",
        "\"delay_seconds\": 6",
        1,
    );
    let file = plans.stage.directory.path().join("changed.json");
    std::fs::write(&file, changed)?;
    let (other, other_digest, _) = plans.submit(&file)?;
    assert_ne!(digest, other_digest);
    let pending = plans.stage.agent.fails(5, &plans.apply(&other))?;
    assert!(pending.contains("0 of 2 approvals given"), "{pending}");

    let policy = plans
        .stage
        .directory
        .path()
        .join("charters/policies/terraform/identity.rego");
    let before = plans.stage.oncall.ok(&["charter", "list"])?;
    let text = std::fs::read_to_string(&policy)?;
    std::fs::write(
        &policy,
        format!("{text}\ndeny contains \"no change today\" if true\n"),
    )?;
    until(|| Ok(plans.stage.oncall.run(&["charter", "list"])?.stdout != before))?;
    let denied = plans.stage.agent.fails(3, &plans.apply(&plan))?;
    assert!(
        denied.contains("a policy denies the plan: no change today"),
        "{denied}"
    );
    assert!(plans.recorder.forms("AssumeRole").is_empty());

    // A policy that cannot be read takes the charter out of force.
    std::fs::write(&policy, "package p\ndeny contains\n")?;
    until(|| {
        Ok(plans
            .stage
            .agent
            .run(&plans.apply(&plan))?
            .stderr
            .contains("not in force"))
    })?;
    let status = plans.stage.oncall.run(&["status"])?;
    let said = format!("{}{}", status.stdout, status.stderr);
    assert!(said.contains("identity.rego:"), "{said}");
    Ok(())
}

const WORKLOADS: &str = "
    - name: change-workloads
      role: apply
      environments: [production]
      kubernetes:
        target: cluster
        namespace: payments
        rules:
          - {apiGroups: [apps], resources: [deployments], verbs: [get, list, patch, delete]}
          - {apiGroups: [''], resources: [configmaps], verbs: [get, list, create, patch]}
  plans:
    required: {role: apply, environments: [production]}
    policies: [policies/terraform/stateful.rego]
  approvals:
    - {when: {role: apply, environment: production}, people: 2}
";

/// The cluster with two workloads, and a daemon whose agent may change some of them.
fn workloads() -> Result<Option<(Stage, Cluster)>> {
    let Some(cluster) = Cluster::shared() else {
        eprintln!("NOT RUN: no API server is named; `cargo xtask test` starts one");
        return Ok(None);
    };
    cluster.namespaces("workloads-leases", "payments")?;
    let directory = tempfile::tempdir()?;
    let targets = format!(
        "cluster: {{kind: kubernetes, namespace: workloads-leases, kubeconfig: {}}}\n",
        cluster.kubeconfig("broker").display()
    );
    let policies = directory.path().join("charters/policies/terraform");
    std::fs::create_dir_all(&policies)?;
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policies/terraform");
    std::fs::copy(
        shipped.join("stateful.rego"),
        policies.join("stateful.rego"),
    )?;
    let charter = include_str!("both.yaml").trim_end().to_owned() + WORKLOADS;
    let stage = Stage::set_with(directory, &targets, &charter, &[])?;
    for name in ["web", "other"] {
        let create = [
            "create",
            "deployment",
            name,
            "--image=web:1.2",
            "-n",
            "payments",
        ];
        let created = cluster.kubectl("admin", &create)?;
        ensure!(created.code == 0, "{}", created.stderr);
    }
    Ok(Some((stage, cluster)))
}

// A plan that OpenTofu made (tests/plans/real-kubernetes.md), from its submission to what can be
// done with its credential.
#[test]
fn a_real_plan_is_applied_with_the_names_that_it_holds_and_no_others() -> Result<()> {
    let Some((stage, cluster)) = workloads()? else {
        return Ok(());
    };
    let task = stage.task_of("both")?;
    let file = fixture("real-kubernetes.json");
    let file = file.to_string_lossy();
    let submit = [
        "plan",
        "submit",
        &file,
        "--task",
        &task,
        "--grant",
        "change-workloads",
        "--format",
        "terraform-json",
        "--summary",
        "three replicas",
    ];
    let plan = stage.agent.json(&submit)?;
    let field = |name: &str| {
        let text = plan.get(name).and_then(Value::as_str);
        text.map(str::to_owned).with_context(|| plan.to_string())
    };
    let (id, digest, approval) = (field("plan")?, field("digest")?, field("approval")?);
    is_shown(&stage, &approval)?;
    for person in ["alice", "bob"] {
        stage.approve(person, &approval, &digest)?;
    }
    let credential = stage.agent.ok(&[
        "creds",
        "kube",
        "--task",
        &task,
        "change-workloads",
        "--plan",
        &id,
    ])?;
    let kubeconfig = cluster.kubeconfig_with(stage.directory.path(), &credential)?;
    let kubectl = |arguments: &[&str]| {
        let arguments = [arguments, &["-n", "payments"]].concat();
        cluster.kubectl_with(&kubeconfig, &arguments)
    };
    let scale = |name: &str| {
        let patch = r#"{"spec":{"replicas":3}}"#;
        kubectl(&["patch", "deployment", name, "-p", patch])
    };
    let web = scale("web")?;
    assert_eq!(web.code, 0, "{}", web.stderr);
    assert_eq!(kubectl(&["get", "deployments"])?.code, 0);
    let made = kubectl(&[
        "create",
        "configmap",
        "settings",
        "--from-literal=level=debug",
    ])?;
    assert_eq!(made.code, 0, "{}", made.stderr);
    let refused = scale("other")?;
    assert!(
        refused.stderr.contains("orbidden"),
        "{}{}",
        refused.stdout,
        refused.stderr
    );
    let deleted = kubectl(&["delete", "deployment", "other"])?;
    assert!(deleted.stderr.contains("orbidden"), "{}", deleted.stderr);
    Ok(())
}

/// Fails unless alice is shown the plan before she approves it.
fn is_shown(stage: &Stage, approval: &str) -> Result<()> {
    let shown = stage
        .daemon
        .cli("alice")?
        .ok(&["approval", "show", approval])?;
    for line in [
        "1 created, 1 updated, 0 replaced, 0 destroyed",
        "deployments.apps/web in payments",
        "configmaps/settings in payments",
        "~ spec[0].replicas = 2 -> 3",
        "+ kubernetes_config_map.settings[0] is created",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    // The broker's token for the cluster is a variable of the plan, and nobody's to read.
    assert!(!shown.contains("admin-token"), "{shown}");
    Ok(())
}
