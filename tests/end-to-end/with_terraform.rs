//! Terraform (OpenTofu, where this machine has none) under `lanyard exec`, with its state in S3, on
//! moto.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use lanyard_rig::{Aws, terraform};
use lanyard_tests::workshop::{Workshop, account};

const GRANTS: &str = "
    - name: read-state
      role: plan
      environments: [production]
      aws: {target: account, allow: [{actions: [s3:ListBucket, s3:GetObject], resources: ['*']}]}
    - name: write-state
      role: apply
      environments: [staging]
      aws: {target: account, allow: [{actions: [s3:ListBucket, s3:GetObject, s3:PutObject], resources: ['*']}]}
  approvals:
    - {when: {role: apply, environment: staging}, people: 1, from: ['group:support-leads']}
";
/// The state of another configuration, with its output.
const STATE: &str = r#"{"version": 4, "terraform_version": "1.0.0", "serial": 1, "lineage": "it", "resources": [],
    "outputs": {"vpc": {"value": "vpc-7", "type": "string"}}}"#;
const READS: &str = r#"
data "terraform_remote_state" "network" {
  backend = "s3"
  config  = { bucket = "BUCKET", key = "network", region = "eu-west-1", use_path_style = true,
    skip_credentials_validation = true, skip_requesting_account_id = true }
}
output "vpc" { value = data.terraform_remote_state.network.outputs.vpc }
"#;
const WRITES: &str = r#"
terraform {
  backend "s3" {
    bucket = "BUCKET"
    key    = "shop"
    region = "eu-west-1"
    use_path_style              = true
    skip_credentials_validation = true
    skip_requesting_account_id  = true
  }
}
resource "terraform_data" "it" { input = "blue" }
"#;
const WAITS: &str = r#"
resource "terraform_data" "it" {
  provisioner "local-exec" { command = "echo begun >&2; while :; do sleep 1; done" }
}
"#;

struct Shop {
    workshop: Workshop,
    bucket: String,
    terraform: PathBuf,
}

fn shop(name: &str) -> Result<Option<Shop>> {
    let Some(aws) = Aws::shared() else {
        eprintln!("NOT RUN: no moto is named; `cargo xtask test` starts one");
        return Ok(None);
    };
    let directory = tempfile::tempdir()?;
    let name = format!("{name}-{}", lanyard_rig::free_port()?.port());
    let (target, daemon) = account(&aws, &name, directory.path())?;
    let terraform = terraform(directory.path())?;
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", terraform.folder.display());
    let settings = directory.path().join("home/.terraformrc");
    let own = [
        ("PATH", path.as_str()),
        ("TF_CLI_CONFIG_FILE", &settings.to_string_lossy()),
        ("AWS_ENDPOINT_URL_S3", aws.url()),
        ("AWS_PROFILE", "person"),
        ("CHECKPOINT_DISABLE", "1"),
        ("TF_IN_AUTOMATION", "1"),
        ("TF_CLI_ARGS", "-no-color"),
    ];
    let workshop = Workshop::set(directory, (&target, GRANTS), &daemon, &own)?;
    workshop.at_home(".terraformrc", &terraform.configuration)?;
    let state = workshop.at_home("state", STATE)?;
    let bucket = format!("s3://{name}");
    let object = format!("{bucket}/network");
    for words in [
        ["s3", "mb", &bucket].as_slice(),
        &["s3", "cp", &state.to_string_lossy(), &object],
    ] {
        let done = aws.admin(words)?;
        ensure!(done.code == 0, "{done:?}");
    }
    Ok(Some(Shop {
        workshop,
        bucket: name,
        terraform: terraform.folder.join("terraform"),
    }))
}

impl Shop {
    /// A folder with this configuration.
    fn configured(&self, name: &str, text: &str) -> Result<String> {
        let text = text.replace("BUCKET", &self.bucket);
        let file = self.workshop.at_home(&format!("{name}/main.tf"), &text)?;
        Ok(file
            .parent()
            .unwrap_or(Path::new("."))
            .display()
            .to_string())
    }
}

#[test]
fn a_plan_reads_state_in_both_modes_under_one_lease() -> Result<()> {
    let Some(shop) = shop("terraform-plan")? else {
        return Ok(());
    };
    let folder = shop.configured("reads", READS)?;
    let plan = "terraform init -input=false >/dev/null && terraform plan -input=false -lock=false";
    let both =
        format!("cd {folder} && {plan} && \"$LANYARD_BIN\" exec --mode endpoint -- sh -c '{plan}'");
    let said = shop.workshop.ok(&[], "read-state", &["sh", "-c", &both])?;
    assert_eq!(said.matches("+ vpc = \"vpc-7\"").count(), 2, "{said}");
    assert_eq!(shop.workshop.mints("read-state")?, 1);
    Ok(())
}

#[test]
fn an_apply_waits_for_people_and_keeps_its_state_where_it_may() -> Result<()> {
    let Some(shop) = shop("terraform-apply")? else {
        return Ok(());
    };
    let folder = shop.configured("writes", WRITES)?;
    let [_, plan, digest, approval] = shop.workshop.plan("write-state")?;
    let apply = format!(
        "cd {folder} && terraform init -input=false && terraform apply -input=false -auto-approve && terraform state list"
    );
    let arguments = ["exec", "--plan", &plan, "--", "sh", "-c", &apply];
    let mut waiting = shop.workshop.agent.start(&arguments)?;
    waiting.line("lanyard: waiting for people")?;
    // Whatever the charter asks for, a plan that nobody can read takes two people.
    for person in ["alice", "bob"] {
        shop.workshop.stage.approve(person, &approval, &digest)?;
    }
    waiting.line("lanyard: approved")?;
    let ran = waiting.end()?;
    assert!(ran.stdout.ends_with("terraform_data.it"), "{ran:?}");
    Ok(())
}

#[test]
fn a_kill_interrupts_an_apply() -> Result<()> {
    let Some(shop) = shop("terraform-killed")? else {
        return Ok(());
    };
    let folder = shop.configured("waits", WAITS)?;
    let apply = format!(
        "cd {folder} && terraform init -input=false && exec terraform apply -input=false -auto-approve >&2"
    );
    let mut running = shop
        .workshop
        .start(&[], "read-state", &["sh", "-c", &apply])?;
    running.line("terraform_data.it (local-exec): begun")?;
    shop.workshop.kill()?;
    running.line("lanyard: stopped by kill order K-")?;
    let ended = running.end()?;
    assert_eq!(ended.code, 1, "{ended:?}");
    Ok(())
}

#[test]
fn terraform_says_why_there_are_no_credentials() -> Result<()> {
    let Some(shop) = shop("terraform-denied")? else {
        return Ok(());
    };
    let [task, plan, _, approval] = shop.workshop.plan("write-state")?;
    let folder = shop.configured("denied", WRITES)?;
    let context = shop
        .workshop
        .stage
        .directory
        .path()
        .join("contexts/agent.json");
    let lanyard = shop.workshop.agent.program().display().to_string();
    for (creds, expected) in [
        (
            format!("read-state --task {task}"),
            "lanyard: denied by charter shop (grants, line ",
        ),
        (
            format!("write-state --task {task} --plan {plan}"),
            approval.as_str(),
        ),
    ] {
        let config = format!(
            "[default]\nregion = eu-west-1\ncredential_process = {lanyard} --context {} creds aws {creds}\n",
            context.display()
        );
        let config = shop.workshop.at_home("by-hand", &config)?;
        let output = Command::new(&shop.terraform)
            .args(["init", "-input=false", "-no-color"])
            .current_dir(&folder)
            .env("AWS_CONFIG_FILE", config)
            .env("HOME", &shop.workshop.home)
            .env("LANYARD_STATE", context.with_file_name("state"))
            .env_remove("AWS_ACCESS_KEY_ID")
            .env_remove("AWS_SECRET_ACCESS_KEY")
            .env_remove("AWS_SHARED_CREDENTIALS_FILE")
            .stdin(Stdio::null())
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(expected), "{said}");
    }
    Ok(())
}
