//! Terraform's plans: judged by the charter's policies, approved, and applied with what they need.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use lanyard_rig::{Aws, Recorder};
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
