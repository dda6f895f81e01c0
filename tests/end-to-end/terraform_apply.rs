//! A change by Terraform from its plan to its second apply, with a kill in the middle. The state
//! and its lock are in S3, on moto; the change is one of a real API server, or one of a queue on
//! moto by Terraform's own provider for AWS.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use lanyard_rig::{Aws, Cluster, KUBECTL_PROVIDER, Running, TERRAFORM_PROVIDERS, terraform};
use lanyard_tests::workshop::{Workshop, account};
use serde_json::{Value, json};

/// A resource that Terraform changes, and the grants for the change.
struct Work {
    grants: &'static str,
    /// The grant of the role apply that the plan is submitted for.
    changes: &'static str,
    provider: &'static str,
    resource: &'static str,
    address: &'static str,
}

/// A ConfigMap of a cluster. The state has a grant of its own.
const SETTINGS: Work = Work {
    grants: "
    - name: read-settings
      role: plan
      environments: [staging]
      kubernetes: {target: cluster, namespace: TARGET, rules: [{apiGroups: [''], resources: [configmaps], verbs: [get, list]}]}
    - name: change-settings
      role: apply
      environments: [staging]
      kubernetes: {target: cluster, namespace: TARGET, rules: [{apiGroups: [''], resources: [configmaps],
        verbs: [get, create, update, patch, delete]}]}
    - name: read-account
      role: plan
      environments: [staging]
      aws: {target: account, allow: [{actions: [s3:ListBucket, s3:GetObject], resources: ['*']}]}
    - name: keep-state
      role: apply
      environments: [staging]
      aws: {target: account, allow: [{actions: [s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject], resources: ['*']}]}
",
    changes: "change-settings",
    provider: r#"kubectl = { source = "PROVIDER", version = "1.19.0" }"#,
    resource: r#"
resource "kubectl_manifest" "it" {
  yaml_body = <<-YAML
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: settings, namespace: TARGET}
    data: {colour: COLOUR}
  YAML
}
"#,
    address: "kubectl_manifest.it",
};

/// A queue of AWS. The state is in a statement of the same grant that no plan narrows.
const QUEUE: Work = Work {
    grants: "
    - name: read-account
      role: plan
      environments: [staging]
      aws: {target: account, allow: [{actions: [s3:ListBucket, s3:GetObject, sqs:GetQueueAttributes, sqs:GetQueueUrl,
        sqs:ListQueueTags], resources: ['*']}]}
    - name: change-queues
      role: apply
      environments: [staging]
      aws:
        target: account
        allow:
          - {actions: [sqs:CreateQueue, sqs:SetQueueAttributes, sqs:TagQueue, sqs:UntagQueue, sqs:GetQueueAttributes, sqs:GetQueueUrl,
             sqs:ListQueueTags], resources: ['arn:aws:sqs:eu-west-1:123456789012:BUCKET-*']}
          - {actions: [s3:ListBucket], resources: ['arn:aws:s3:::BUCKET']}
          - actions: [s3:GetObject, s3:PutObject, s3:DeleteObject]
            resources: ['arn:aws:s3:::BUCKET/*']
            unnarrowed: Terraform's state and its lock
  approvals:
    - {when: {role: apply, environment: staging}, people: 2, from: ['group:support-leads']}
",
    changes: "change-queues",
    provider: r#"aws = { source = "hashicorp/aws" }"#,
    resource: r#"
provider "aws" {
  region                      = "eu-west-1"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}
resource "aws_sqs_queue" "it" {
  name = "BUCKET-orders"
  tags = { colour = "COLOUR" }
}
"#,
    address: "aws_sqs_queue.it",
};
const BACKEND: &str = r#"
terraform {
  required_providers {
    PROVIDER
  }
  backend "s3" {
    bucket = "BUCKET"
    key    = "settings"
    region = "eu-west-1"
    use_lockfile                = true
    use_path_style              = true
    skip_credentials_validation = true
    skip_requesting_account_id  = true
  }
}
"#;
/// A resource in which an apply waits, once it has made the change.
const WAITS: &str = r#"
resource "terraform_data" "waits" {
  depends_on       = [ADDRESS]
  triggers_replace = ["COLOUR"]
  provisioner "local-exec" { command = "echo begun >&2; while :; do sleep 1; done" }
}
"#;
struct Shop {
    work: &'static Work,
    workshop: Workshop,
    aws: Aws,
    cluster: Cluster,
    bucket: String,
    target: String,
    folder: String,
    /// The task of the plan that was submitted last.
    task: String,
}

impl Shop {
    fn set(work: &'static Work) -> Result<Option<Self>> {
        let (Some(aws), Some(cluster)) = (Aws::shared(), Cluster::shared()) else {
            eprintln!("NOT RUN: no moto or no API server is named; `cargo xtask test` starts both");
            return Ok(None);
        };
        let directory = tempfile::tempdir()?;
        let name = format!("terraform-{}", lanyard_rig::free_port()?.port());
        let (home, target) = (format!("{name}-leases"), format!("{name}-target"));
        cluster.namespaces(&home, &target)?;
        let mut targets = format!(
            "cluster: {{kind: kubernetes, namespace: {home}, kubeconfig: {}}}\n",
            cluster.kubeconfig("broker").display()
        );
        let (account, daemon) = account(&aws, &name, directory.path())?;
        targets.push_str(&account);
        let grants = work.grants.replace("TARGET", &target);
        let grants = grants.replace("BUCKET", &name);
        let terraform = terraform(directory.path())?;
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", terraform.folder.display());
        let settings = directory.path().join("home/.terraformrc");
        let own = [
            ("PATH", path.as_str()),
            ("TF_CLI_CONFIG_FILE", &settings.to_string_lossy()),
            ("AWS_ENDPOINT_URL", aws.url()),
            ("CHECKPOINT_DISABLE", "1"),
            ("TF_IN_AUTOMATION", "1"),
            ("TF_CLI_ARGS", "-no-color"),
        ];
        let workshop = Workshop::set(directory, (&targets, &grants), &daemon, &own)?;
        workshop.at_home(".terraformrc", &terraform.configuration)?;
        let made = aws.admin(&["s3", "mb", &format!("s3://{name}")])?;
        ensure!(made.code == 0, "{made:?}");
        let folder = workshop.home.join("settings").display().to_string();
        let shop = Self {
            work,
            workshop,
            aws,
            cluster,
            bucket: name,
            target,
            folder,
            task: String::new(),
        };
        Ok(Some(shop))
    }

    /// Writes the configuration with this colour, and what else it has.
    fn configure(&self, colour: &str, more: &str) -> Result<()> {
        let text = [BACKEND, self.work.resource, more]
            .concat()
            .replace("PROVIDER", self.work.provider)
            .replace("PROVIDER", KUBECTL_PROVIDER)
            .replace("ADDRESS", self.work.address)
            .replace("BUCKET", &self.bucket)
            .replace("TARGET", &self.target)
            .replace("COLOUR", colour);
        self.workshop.at_home("settings/main.tf", &text).map(drop)
    }

    fn is_of_cluster(&self) -> bool {
        self.work.changes == SETTINGS.changes
    }

    /// Runs this in the folder of the configuration under grants that read; its stdout.
    fn reading(&self, script: &str) -> Result<String> {
        let asked = "exec shop --environment staging --reason settings --grant read-account";
        let mut arguments: Vec<_> = asked.split(' ').collect();
        if self.is_of_cluster() {
            arguments.extend(["--grant", "read-settings"]);
        }
        let script = format!("cd {} && {script}", self.folder);
        arguments.extend(["--", "sh", "-c", &script]);
        self.workshop.agent.ok(&arguments)
    }

    /// Plans; the plan in JSON.
    fn plan(&self) -> Result<String> {
        self.reading(
            "terraform init -input=false -reconfigure >&2 && terraform plan -input=false -lock=false -out=tfplan >&2 \
             && terraform show -json tfplan",
        )
    }

    /// Submits the plan without a word of its form, and has it approved; the arguments of `lanyard`
    /// that apply it.
    fn approved(&mut self, plan: &str) -> Result<Vec<String>> {
        let open = "-o name task open shop --environment staging --reason settings";
        let open: Vec<_> = open.split(' ').collect();
        self.task = self.workshop.agent.ok(&open)?;
        let file = self.workshop.at_home("plan.json", plan)?;
        let file = file.to_string_lossy();
        let submit = ["plan", "submit", &file, "--task", &self.task];
        let more = ["--grant", self.work.changes, "--summary", "the colour"];
        let submitted = self.workshop.agent.json(&[&submit[..], &more].concat())?;
        let field = |name: &str| {
            let text = submitted.get(name).and_then(Value::as_str);
            text.with_context(|| format!("no field {name} in {submitted}"))
        };
        assert_eq!(field("form")?, "terraform-json");
        // A plan that only creates is of low risk, for which the charter asks nobody. A provisioner
        // takes two people.
        let approval = field("approval")?;
        if !approval.is_empty() {
            let shown = ["approval", "show", approval];
            let shown = self.workshop.stage.oncall.ok(&shown)?;
            ensure!(shown.contains(self.work.address), "{shown}");
            for person in ["alice", "bob"] {
                let digest = field("digest")?;
                self.workshop.stage.approve(person, approval, digest)?;
            }
        }
        let run = format!(
            "cd {} && exec terraform apply -input=false tfplan >&2",
            self.folder
        );
        let mut arguments = vec!["exec", "--plan", field("plan")?];
        if self.is_of_cluster() {
            arguments.extend(["--grant", "keep-state"]);
        }
        arguments.extend(["--", "sh", "-c", &run]);
        Ok(arguments.into_iter().map(str::to_owned).collect())
    }

    /// The colour of the ConfigMap or of the queue.
    fn colour(&self) -> Result<String> {
        let got = if self.is_of_cluster() {
            let target = self.target.as_str();
            let object = ["get", "configmap", "settings", "-n", target];
            let field = ["-o", "jsonpath={.data.colour}"];
            self.cluster
                .kubectl("admin", &[&object[..], &field].concat())?
        } else {
            let queue = format!("{}/123456789012/{}-orders", self.aws.url(), self.bucket);
            let tags = "sqs list-queue-tags --region eu-west-1 --output text --query Tags.colour --queue-url";
            let tags: Vec<_> = tags.split(' ').chain([queue.as_str()]).collect();
            self.aws.admin(&tags)?
        };
        ensure!(got.code == 0, "{got:?}");
        Ok(got.stdout.trim().to_owned())
    }

    /// Lists the objects of the bucket.
    fn objects(&self) -> Result<String> {
        let listed = self
            .aws
            .admin(&["s3", "ls", &format!("s3://{}", self.bucket)])?;
        ensure!(listed.code == 0, "{listed:?}");
        Ok(listed.stdout)
    }

    /// An object of the bucket.
    fn object(&self, name: &str) -> Result<String> {
        let object = format!("s3://{}/{name}", self.bucket);
        let got = self.aws.admin(&["s3", "cp", &object, "-"])?;
        ensure!(got.code == 0, "{got:?}");
        Ok(got.stdout)
    }

    /// Makes the settings blue, has a change to green approved, and starts it; it waits once the
    /// change is made.
    fn begun(&mut self) -> Result<Running> {
        self.configure("blue", "")?;
        self.change()?;
        assert_eq!(self.colour()?, "blue");
        self.configure("green", WAITS)?;
        let plan = self.plan()?;
        let apply = self.approved(&plan)?;
        let mut running = self.workshop.agent.start(&words(&apply))?;
        running.line("terraform_data.waits (local-exec): begun")?;
        Ok(running)
    }

    /// Plans, has the plan approved, and applies it.
    fn change(&mut self) -> Result<()> {
        let plan = self.plan()?;
        let apply = self.approved(&plan)?;
        self.workshop.agent.ok(&words(&apply)).map(drop)
    }

    /// The lease that changes the cluster now.
    fn live(&self) -> Result<String> {
        let leases = self.workshop.stage.oncall.json(&["lease", "list"])?;
        let leases = leases.as_array().context("no leases")?;
        let has = |lease: &Value, field: &str, text: &str| {
            lease.get(field).and_then(Value::as_str) == Some(text)
        };
        let live = leases
            .iter()
            .find(|lease| has(lease, "grant", "change-settings") && has(lease, "state", "issued"));
        let live = live.and_then(|lease| lease.get("lease")?.as_str());
        Ok(live.with_context(|| format!("{leases:?}"))?.to_owned())
    }

    fn kill(&self, scope: &[&str]) -> Result<()> {
        let kill = [&["kill"], scope, &["--reason", "drill", "--yes"]].concat();
        let killed = self.workshop.stage.oncall.run(&kill)?;
        // 8: AWS has only acknowledged.
        ensure!(matches!(killed.code, 0 | 8), "{killed:?}");
        Ok(())
    }
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[test]
fn an_apply_whose_cluster_is_killed_saves_its_state_and_the_next_one_is_clean() -> Result<()> {
    let Some(mut shop) = Shop::set(&SETTINGS)? else {
        return Ok(());
    };
    let mut running = shop.begun()?;
    let state = shop.object("settings")?;
    assert!(state.contains("blue"), "{state}");
    // The session that keeps the state lives on.
    shop.kill(&["--lease", &shop.live()?])?;
    running.line("lanyard: stopped by kill order K-")?;
    let ended = running.end()?;
    assert_ne!(ended.code, 0, "{ended:?}");
    assert_eq!(shop.colour()?, "green");
    let state = shop.object("settings")?;
    assert!(state.contains("green"), "{state}");
    let objects = shop.objects()?;
    assert!(!objects.contains("tflock"), "{objects}");

    shop.configure("red", "")?;
    shop.change()?;
    assert_eq!(shop.colour()?, "red");
    let plan: Value = serde_json::from_str(&shop.plan()?)?;
    let changes = plan.get("resource_changes").and_then(Value::as_array);
    for change in changes.context("no changes")? {
        let actions = change.pointer("/change/actions");
        assert_eq!(actions, Some(&json!(["no-op"])), "{change}");
    }
    Ok(())
}

/// Kills the task of an apply in its middle; the file with the state that Terraform left, wherever
/// that was.
fn killed(shop: &mut Shop) -> Result<PathBuf> {
    let mut running = shop.begun()?;
    shop.kill(&["--task", &shop.task])?;
    running.line("lanyard: stopped by kill order K-")?;
    let ended = running.end()?;
    assert_ne!(ended.code, 0, "{ended:?}");
    assert_eq!(shop.colour()?, "green");
    // AWS refuses the session before Terraform has written its state, or after that; both are
    // mended alike.
    let left = Path::new(&shop.folder).join("errored.tfstate");
    if !left.exists() {
        std::fs::write(&left, shop.object("settings")?)?;
    }
    let state = std::fs::read_to_string(&left)?;
    assert!(state.contains("green"), "{state}: {ended:?}");
    Ok(left)
}

#[test]
fn an_apply_whose_task_is_killed_leaves_what_its_state_is_mended_with() -> Result<()> {
    let Some(mut shop) = Shop::set(&SETTINGS)? else {
        return Ok(());
    };
    killed(&mut shop)?;
    let mend = format!(
        "cd {} && id=$(terraform plan -input=false 2>&1 | sed -n 's/^.* ID: *//p') && \
         {{ [ -z \"$id\" ] || terraform force-unlock -force \"$id\"; }} && terraform state push errored.tfstate",
        shop.folder
    );
    let asked = "exec shop --environment staging --reason mend --grant read-settings --grant";
    let mut arguments: Vec<_> = asked.split(' ').collect();
    arguments.extend(["keep-state", "--", "sh", "-c", &mend]);
    shop.workshop.agent.ok(&arguments)?;
    let state = shop.object("settings")?;
    assert!(state.contains("green"), "{state}");
    let objects = shop.objects()?;
    assert!(!objects.contains("tflock"), "{objects}");
    Ok(())
}

#[test]
fn a_queue_is_changed_by_the_provider_of_aws_and_its_state_kept_by_a_statement_that_no_plan_narrows()
-> Result<()> {
    if std::env::var_os(TERRAFORM_PROVIDERS).is_none() {
        eprintln!(
            "NOT RUN: {TERRAFORM_PROVIDERS} names no mirror with Terraform's provider of AWS"
        );
        return Ok(());
    }
    let Some(mut shop) = Shop::set(&QUEUE)? else {
        return Ok(());
    };
    let left = killed(&mut shop)?;
    // As somebody who has the account.
    let state = format!("s3://{}/settings", shop.bucket);
    let lock = format!("{state}.tflock");
    for words in [
        &["s3", "cp", &left.to_string_lossy(), &state][..],
        &["s3", "rm", &lock],
    ] {
        let done = shop.aws.admin(words)?;
        ensure!(done.code == 0, "{done:?}");
    }
    std::fs::remove_file(left)?;
    shop.configure("red", "")?;
    shop.change()?;
    assert_eq!(shop.colour()?, "red");
    Ok(())
}
