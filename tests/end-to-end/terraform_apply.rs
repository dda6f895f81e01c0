//! A change by Terraform from its plan to its second apply, with a kill in the middle: on a real API server, with the state
//! and its lock in S3, on moto.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use lanyard_rig::{Aws, Cluster, KUBECTL_PROVIDER, Running, terraform};
use lanyard_tests::workshop::{Workshop, account};
use serde_json::{Value, json};

const GRANTS: &str = "
    - name: read-settings
      role: plan
      environments: [staging]
      kubernetes: {target: cluster, namespace: TARGET, rules: [{apiGroups: [''], resources: [configmaps], verbs: [get, list]}]}
    - name: change-settings
      role: apply
      environments: [staging]
      kubernetes: {target: cluster, namespace: TARGET, rules: [{apiGroups: [''], resources: [configmaps],
        verbs: [get, create, update, patch, delete]}]}
";
/// Grants on the state, by the account that they are in.
const STATE: &str = "
    - name: read-state-ACCOUNT
      role: plan
      environments: [staging]
      aws: {target: ACCOUNT, allow: [{actions: [s3:ListBucket, s3:GetObject], resources: ['*']}]}
    - name: keep-state-ACCOUNT
      role: apply
      environments: [staging]
      aws: {target: ACCOUNT, allow: [{actions: [s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject], resources: ['*']}]}
";
const CONFIGURATION: &str = r#"
terraform {
  required_providers {
    kubectl = { source = "PROVIDER", version = "1.19.0" }
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
resource "kubectl_manifest" "settings" {
  yaml_body = <<-YAML
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: settings, namespace: TARGET}
    data: {colour: COLOUR}
  YAML
}
"#;
/// What an apply waits in, once it has changed the settings.
const WAITS: &str = r#"
resource "terraform_data" "waits" {
  depends_on       = [kubectl_manifest.settings]
  triggers_replace = ["COLOUR"]
  provisioner "local-exec" { command = "echo begun >&2; while :; do sleep 1; done" }
}
"#;
/// moto takes the refusal of one session for one of its whole role, and `lanyard exec` gives sessions back: each run has roles of
/// its own.
const ACCOUNTS: [&str; 7] = [
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh",
];

struct Shop {
    workshop: Workshop,
    aws: Aws,
    cluster: Cluster,
    bucket: String,
    target: String,
    folder: String,
    accounts: std::vec::IntoIter<&'static str>,
    /// The task of the plan that was submitted last.
    task: String,
}

impl Shop {
    fn set() -> Result<Option<Self>> {
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
        let mut grants = GRANTS.replace("TARGET", &target);
        let mut daemon = Vec::new();
        for of in ACCOUNTS {
            let (text, credentials) = account(&aws, &format!("{name}-{of}"), directory.path())?;
            targets.push_str(&text.replacen("account:", &format!("{of}:"), 1));
            grants.push_str(&STATE.replace("ACCOUNT", of));
            daemon = credentials;
        }
        let terraform = terraform(directory.path())?;
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", terraform.folder.display());
        let settings = directory.path().join("home/.terraformrc");
        let own = [
            ("PATH", path.as_str()),
            ("TF_CLI_CONFIG_FILE", &settings.to_string_lossy()),
            ("AWS_ENDPOINT_URL_S3", aws.url()),
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
            workshop,
            aws,
            cluster,
            bucket: name,
            target,
            folder,
            accounts: ACCOUNTS.to_vec().into_iter(),
            task: String::new(),
        };
        Ok(Some(shop))
    }

    /// Writes the configuration with this colour, and what else it has.
    fn configure(&self, colour: &str, more: &str) -> Result<()> {
        let text = format!("{CONFIGURATION}{more}")
            .replace("PROVIDER", KUBECTL_PROVIDER)
            .replace("BUCKET", &self.bucket)
            .replace("TARGET", &self.target)
            .replace("COLOUR", colour);
        self.workshop.at_home("settings/main.tf", &text).map(drop)
    }

    fn account(&mut self) -> Result<&'static str> {
        self.accounts.next().context("no account is left")
    }

    /// Plans, as an agent does under a grant that reads; the plan in JSON.
    fn plan(&mut self) -> Result<String> {
        let state = format!("read-state-{}", self.account()?);
        let run = format!(
            "cd {} && terraform init -input=false -reconfigure >&2 && terraform plan -input=false -lock=false -out=tfplan >&2 \
             && terraform show -json tfplan",
            self.folder
        );
        let asked =
            "exec shop --environment staging --reason settings --grant read-settings --grant";
        let mut arguments: Vec<_> = asked.split(' ').collect();
        arguments.extend([state.as_str(), "--", "sh", "-c", &run]);
        self.workshop.agent.ok(&arguments)
    }

    /// Submits the plan without a word of its form, and has it approved; its id.
    fn approved(&mut self, plan: &str) -> Result<String> {
        let open = "-o name task open shop --environment staging --reason settings";
        let open: Vec<_> = open.split(' ').collect();
        self.task = self.workshop.agent.ok(&open)?;
        let file = self.workshop.at_home("plan.json", plan)?;
        let file = file.to_string_lossy();
        let submit = [
            "plan",
            "submit",
            &file,
            "--task",
            &self.task,
            "--grant",
            "change-settings",
        ];
        let submit = [&submit[..], &["--summary", "the colour"]].concat();
        let submitted = self.workshop.agent.json(&submit)?;
        let field = |name: &str| {
            let text = submitted.get(name).and_then(serde_json::Value::as_str);
            text.with_context(|| format!("no field {name} in {submitted}"))
        };
        assert_eq!(field("form")?, "terraform-json");
        // What only creates is of low risk, and the charter asks for nobody; what runs where Terraform runs takes two people.
        let approval = field("approval")?;
        if !approval.is_empty() {
            let shown = ["approval", "show", approval];
            let shown = self.workshop.stage.oncall.ok(&shown)?;
            ensure!(shown.contains("kubectl_manifest.settings"), "{shown}");
            for person in ["alice", "bob"] {
                let digest = field("digest")?;
                self.workshop.stage.approve(person, approval, digest)?;
            }
        }
        Ok(field("plan")?.to_owned())
    }

    /// The arguments of `lanyard` that apply an approved plan.
    fn apply(&mut self, plan: &str) -> Result<Vec<String>> {
        let state = format!("keep-state-{}", self.account()?);
        let run = format!(
            "cd {} && exec terraform apply -input=false tfplan >&2",
            self.folder
        );
        let arguments = [
            "exec", "--plan", plan, "--grant", &state, "--", "sh", "-c", &run,
        ];
        Ok(arguments.map(str::to_owned).to_vec())
    }

    /// The colour that the cluster has.
    fn colour(&self) -> Result<String> {
        let path = "jsonpath={.data.colour}";
        let get = [
            "get",
            "configmap",
            "settings",
            "-n",
            &self.target,
            "-o",
            path,
        ];
        let got = self.cluster.kubectl("admin", &get)?;
        ensure!(got.code == 0, "{got:?}");
        Ok(got.stdout)
    }

    /// What lies in the bucket.
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

    /// Makes the settings blue, has a change to green approved, and starts it; it waits once the cluster has it.
    fn begun(&mut self) -> Result<Running> {
        self.configure("blue", "")?;
        self.change()?;
        assert_eq!(self.colour()?, "blue");
        self.configure("green", WAITS)?;
        let plan = self.plan()?;
        let plan = self.approved(&plan)?;
        let apply = self.apply(&plan)?;
        let mut running = self.workshop.agent.start(&words(&apply))?;
        running.line("terraform_data.waits (local-exec): begun")?;
        Ok(running)
    }

    /// Plans, has the plan approved, and applies it.
    fn change(&mut self) -> Result<()> {
        let plan = self.plan()?;
        let plan = self.approved(&plan)?;
        let apply = self.apply(&plan)?;
        self.workshop.agent.ok(&words(&apply)).map(drop)
    }

    /// The lease with which the cluster is changed now.
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
    let Some(mut shop) = Shop::set()? else {
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

#[test]
fn an_apply_whose_task_is_killed_leaves_what_its_state_is_mended_with() -> Result<()> {
    let Some(mut shop) = Shop::set()? else {
        return Ok(());
    };
    let mut running = shop.begun()?;
    shop.kill(&["--task", &shop.task])?;
    running.line("lanyard: stopped by kill order K-")?;
    let ended = running.end()?;
    assert_ne!(ended.code, 0, "{ended:?}");
    // AWS refuses the session before Terraform has written its state, or after that. What docs/how-to/use-terraform.md does
    // then is done here in both cases.
    let left = Path::new(&shop.folder).join("errored.tfstate");
    if !left.exists() {
        std::fs::write(&left, shop.object("settings")?)?;
    }
    let state = format!("keep-state-{}", shop.account()?);
    let mend = format!(
        "cd {} && id=$(terraform plan -input=false 2>&1 | sed -n 's/^.* ID: *//p') && \
         {{ [ -z \"$id\" ] || terraform force-unlock -force \"$id\"; }} && terraform state push errored.tfstate",
        shop.folder
    );
    let asked = "exec shop --environment staging --reason mend --grant read-settings --grant";
    let mut arguments: Vec<_> = asked.split(' ').collect();
    arguments.extend([state.as_str(), "--", "sh", "-c", &mend]);
    shop.workshop.agent.ok(&arguments)?;
    let state = shop.object("settings")?;
    assert!(state.contains("green"), "{state}: {ended:?}");
    let objects = shop.objects()?;
    assert!(!objects.contains("tflock"), "{objects}");
    Ok(())
}
