//! The AWS command line and boto3 under `lanyard exec`, on moto.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use lanyard_rig::{Answer, Aws, Running, free_port, python_tools};
use lanyard_tests::workshop::{LocalAgent, Workshop, account, silence};
use serde_json::{Value, json};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/end-to-end/with_aws.py");
const GRANTS: &str = "
    - name: read-queue
      role: plan
      environments: [production]
      aws: {target: account, allow: [{actions: [s3:ListAllMyBuckets, sqs:ListQueues], resources: ['*']}]}
    - name: brief
      role: plan
      environments: [production]
      ttl: 6s
      aws: {target: account, allow: [{actions: [sqs:ListQueues], resources: ['*']}]}
    - name: make-queue
      role: apply
      environments: [staging]
      aws: {target: account, allow: [{actions: [sqs:SendMessage], resources: ['*']}]}
    - name: tag-queues
      role: apply
      environments: [staging]
      aws: {target: account, allow: [{actions: [sqs:GetQueueUrl, sqs:ListQueueTags, sqs:TagQueue],
        resources: ['arn:aws:sqs:eu-west-1:123456789012:shop-*']}]}
  approvals:
    - {when: {role: apply, environment: staging}, people: 1, from: ['group:support-leads']}
";
/// The person whose credentials lie in every place where the tools look.
const PERSON: &str = ":user/first-admin";

struct Shop {
    workshop: Workshop,
    role: String,
    moto: String,
    /// A number that no other test of this moto has.
    port: u16,
}

fn shop(name: &str) -> Result<Option<Shop>> {
    shop_with(name, &[])
}

fn shop_with(name: &str, more: &[(&'static str, &str)]) -> Result<Option<Shop>> {
    let Some(aws) = Aws::shared() else {
        eprintln!("NOT RUN: no moto is named; `cargo xtask test` starts one");
        return Ok(None);
    };
    let directory = tempfile::tempdir()?;
    // A moto outlives a run of the tests, where somebody keeps one.
    let port = free_port()?.port();
    let name = format!("{name}-{port}");
    let (target, daemon) = account(&aws, &name, directory.path())?;
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", python_tools()?.display());
    let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(std::env::var);
    let [Ok(key), Ok(secret)] = keys else {
        anyhow::bail!("a shared moto comes without its administrator's key");
    };
    let own = [
        ("PATH", path.as_str()),
        ("AWS_ENDPOINT_URL", aws.url()),
        ("AWS_PROFILE", "person"),
        ("AWS_ACCESS_KEY_ID", &key),
        ("AWS_SECRET_ACCESS_KEY", &secret),
        ("AWS_SHARED_CREDENTIALS_FILE", ""),
    ];
    let own = [&own, more].concat();
    let workshop = Workshop::set(directory, (&target, GRANTS), &daemon, &own)?;
    let profile = format!("aws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
    let profiles = format!("[default]\n{profile}[person]\n{profile}");
    workshop.at_home(".aws/credentials", &profiles)?;
    workshop.at_home(".aws/config", &format!("[profile person]\n{profile}"))?;
    let moto = aws.url().to_owned();
    let role = format!(":assumed-role/{name}-plan/L-");
    Ok(Some(Shop {
        workshop,
        role,
        moto,
        port,
    }))
}

impl Shop {
    /// The answer of the AWS command line with this profile, without `lanyard exec`.
    fn by_profile(&self, process: &str) -> Result<Answer> {
        let lanyard = self.workshop.agent.program().display();
        let context = self.workshop.stage.directory.path();
        let context = context.join("contexts/agent.json");
        let line = format!(
            "{lanyard} --context {} creds aws {process}",
            context.display()
        );
        let config = format!("[profile agent]\nregion = eu-west-1\ncredential_process = {line}\n");
        let config = self.workshop.at_home("agent-profile", &config)?;
        let output = Command::new(python_tools()?.join("aws"))
            .args(["--profile", "agent", "sts", "get-caller-identity"])
            .envs([("AWS_CONFIG_FILE", &config), ("HOME", &self.workshop.home)])
            .env("LANYARD_STATE", context.with_file_name("state"))
            .env("AWS_ENDPOINT_URL", &self.moto)
            .env_remove("AWS_SHARED_CREDENTIALS_FILE")
            .env_remove("AWS_ACCESS_KEY_ID")
            .env_remove("AWS_SECRET_ACCESS_KEY")
            .stdin(Stdio::null())
            .output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        Ok(Answer {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        })
    }

    /// Starts a loop of calls of the command line, which says `called` after each.
    fn calling(&self, flags: &[&str]) -> Result<Running> {
        let calls = "while aws s3 ls; do echo called >&2; done; echo over >&2";
        let mut running = self
            .workshop
            .start(flags, "read-queue", &["sh", "-c", calls])?;
        running.line("called")?;
        Ok(running)
    }
}

// T49
#[test]
fn both_tools_are_the_lease_and_never_the_person_around_them() -> Result<()> {
    let Some(shop) = shop("tools-first")? else {
        return Ok(());
    };
    let both = format!(
        "set -e; aws s3 ls; aws sts get-caller-identity; python {PROGRAM} who; \
         \"$LANYARD_BIN\" exec --mode endpoint -- sh -c 'aws s3 ls; aws sts get-caller-identity; python {PROGRAM} who'"
    );
    let said = shop.workshop.ok(&[], "read-queue", &["sh", "-c", &both])?;
    assert_eq!(said.matches(&shop.role).count(), 4, "{said}");
    assert!(!said.contains(PERSON), "{said}");
    assert!(said.contains("custom-process arn:"), "{said}");
    assert!(said.contains("container-role arn:"), "{said}");
    assert_eq!(shop.workshop.mints("read-queue")?, 1);
    Ok(())
}

#[test]
fn a_thousand_calls_of_boto3_are_one_mint() -> Result<()> {
    let Some(shop) = shop("tools-many")? else {
        return Ok(());
    };
    let many = format!("python {PROGRAM} many 1000");
    let both = format!("{many} && \"$LANYARD_BIN\" exec --mode endpoint -- {many}");
    let said = shop.workshop.ok(&[], "read-queue", &["sh", "-c", &both])?;
    assert_eq!(said, "1\n1");
    assert_eq!(shop.workshop.mints("read-queue")?, 1);
    Ok(())
}

#[test]
fn a_program_goes_on_over_the_end_of_a_lease() -> Result<()> {
    let Some(shop) = shop("tools-refresh")? else {
        return Ok(());
    };
    for mode in ["files", "endpoint"] {
        let before = shop.workshop.mints("brief")?;
        let program = ["python", PROGRAM, "until-other"];
        assert_eq!(
            shop.workshop.ok(&["--mode", mode], "brief", &program)?,
            "other"
        );
        assert_eq!(shop.workshop.mints("brief")?, before + 2, "{mode}");
    }
    // Every call of the command line asks for itself.
    let other = "who() { aws sts get-caller-identity --query Arn --output text; }; \
                 first=$(who) && while [ \"$(who)\" = \"$first\" ]; do :; done && who";
    let said = shop.workshop.ok(&[], "brief", &["sh", "-c", other])?;
    assert!(said.contains(&shop.role), "{said}");
    Ok(())
}

#[test]
fn a_denial_and_a_pending_approval_are_what_the_tool_says() -> Result<()> {
    let Some(shop) = shop("tools-denied")? else {
        return Ok(());
    };
    let denied = shop.workshop.run(&[], "make-queue", &["aws", "s3", "ls"])?;
    assert_eq!(
        (denied.code, denied.stdout.as_str()),
        (125, ""),
        "{denied:?}"
    );
    let line = denied.stderr.as_str();
    let whole = "make-queue is not for environment production; use a grant of this environment: ";
    assert!(
        line.starts_with("lanyard: denied by charter shop (") && line.contains(whole),
        "{line}"
    );
    assert_eq!(line.lines().count(), 1, "{line}");

    let [task, plan, digest, approval] = shop.workshop.plan("make-queue")?;
    let denied = shop.by_profile(&format!("read-queue --task {task}"))?;
    let line = "lanyard: denied by charter shop (grants, line ";
    assert!(denied.stderr.contains(line), "{denied:?}");
    let process = format!("make-queue --task {task} --plan {plan}");
    let pending = shop.by_profile(&process)?;
    assert!(pending.stderr.contains(&approval), "{pending:?}");
    assert_eq!((pending.code, denied.code), (255, 255));

    let arguments = [
        "exec",
        "--plan",
        &plan,
        "--",
        "aws",
        "sts",
        "get-caller-identity",
    ];
    let mut waiting = shop.workshop.agent.start(&arguments)?;
    waiting.line("lanyard: waiting for people")?;
    // Whatever the charter asks for, a plan that nobody can read takes two people.
    for person in ["alice", "bob"] {
        shop.workshop.stage.approve(person, &approval, &digest)?;
    }
    waiting.line("lanyard: approved")?;
    let ran = waiting.end()?;
    assert!(ran.stdout.contains("-apply/L-"), "{ran:?}");
    assert_eq!(ran.code, 0, "{ran:?}");
    Ok(())
}

/// A plan of Terraform that tags this queue.
fn tagging(queue: &str) -> Value {
    let side = |tags: Value| {
        json!({"arn": format!("arn:aws:sqs:eu-west-1:123456789012:{queue}"), "name": queue,
            "url": format!("https://sqs.eu-west-1.amazonaws.com/123456789012/{queue}"), "tags": tags})
    };
    let provider = "registry.terraform.io/hashicorp/aws";
    let (address, kind, name) = ("aws_sqs_queue.it", "aws_sqs_queue", "it");
    json!({"format_version": "1.2", "terraform_version": "1.11.4", "errored": false,
        "resource_changes": [{"address": address, "mode": "managed", "type": kind, "name": name, "provider_name": provider,
            "change": {"actions": ["update"], "before": side(json!({})), "after": side(json!({"colour": "green"})),
                "after_unknown": {}, "before_sensitive": {}, "after_sensitive": {}}}],
        "configuration": {"provider_config": {"aws": {"name": "aws", "full_name": provider}}, "root_module": {"resources": [
            {"address": address, "mode": "managed", "type": kind, "name": name, "provider_config_key": "aws"}]}}})
}

#[test]
fn an_approved_plan_gives_a_session_for_its_own_queue_alone() -> Result<()> {
    let Some(shop) = shop("tools-narrowed")? else {
        return Ok(());
    };
    let aws = Aws::shared().context("no moto")?;
    let queues = ["orders", "refunds"].map(|name| format!("shop-{name}-{}", shop.port));
    for queue in &queues {
        let made = aws.admin(&["sqs", "create-queue", "--queue-name", queue])?;
        ensure!(made.code == 0, "{made:?}");
    }
    let [own, other] = &queues;
    let agent = &shop.workshop.agent;
    let open = "-o name task open shop --environment staging --reason ticket";
    let task = agent.ok(&open.split(' ').collect::<Vec<_>>())?;
    let file = shop
        .workshop
        .at_home("plan.json", &tagging(own).to_string())?;
    let file = file.to_string_lossy();
    let submit = [
        "plan",
        "submit",
        &file,
        "--task",
        &task,
        "--grant",
        "tag-queues",
    ];
    let plan = agent.json(&[&submit[..], &["--summary", "a colour"]].concat())?;
    let field = |name: &str| {
        let text = plan.get(name).and_then(Value::as_str);
        text.with_context(|| format!("no field {name} in {plan}"))
    };
    shop.workshop
        .stage
        .approve("alice", field("approval")?, field("digest")?)?;
    let tag = |queue: &str| {
        let moto = &shop.moto;
        format!(
            "aws --endpoint-url {moto} sqs tag-queue --queue-url {moto}/123456789012/{queue} --tags colour=green"
        )
    };
    // The grant covers both queues, and the role every queue; the plan names one.
    let script = format!(
        "{} || echo other refused; {} && echo own tagged",
        tag(other),
        tag(own)
    );
    let ran = agent.run(&["exec", "--plan", field("plan")?, "--", "sh", "-c", &script])?;
    assert_eq!(ran.stdout, "other refused\nown tagged", "{ran:?}");
    assert!(ran.stderr.contains("AccessDenied"), "{ran:?}");
    Ok(())
}

#[test]
fn a_kill_stops_a_loop_of_calls() -> Result<()> {
    let Some(shop) = shop("tools-killed")? else {
        return Ok(());
    };
    let mut told = shop.calling(&[])?;
    let mut left = shop.calling(&["--on-kill", "none"])?;
    let flags = ["--on-kill", "none", "--mode", "endpoint"];
    let program = ["python", PROGRAM, "until-refused"];
    let mut asking = shop.workshop.start(&flags, "read-queue", &program)?;
    asking.line("arn:")?;
    shop.workshop.kill()?;
    let line = told.line("lanyard: stopped by kill order K-")?;
    assert!(
        line.ends_with(": drill; the command is sent SIGTERM"),
        "{line}"
    );
    assert_eq!(told.end()?.code, 143);
    left.line("over")?;
    let left = left.end()?;
    assert_eq!(left.code, 0);
    assert!(
        left.stderr.contains("lanyard: stopped by kill order K-"),
        "{left:?}"
    );
    let asking = asking.end()?;
    let line =
        "403 from container metadata: {\"code\":\"Killed\",\"message\":\"stopped by kill order K-";
    assert!(asking.stdout.contains(line), "{asking:?}");
    Ok(())
}

#[test]
fn a_broker_that_is_down_is_outlived_for_as_long_as_was_said() -> Result<()> {
    let Some(shop) = shop("tools-down")? else {
        return Ok(());
    };
    let _agent = LocalAgent::start(&shop.workshop.agent, 10)?;
    let program = ["python", PROGRAM, "until-refused"];
    let mut running = shop.workshop.start(&[], "read-queue", &program)?;
    running.line("arn:")?;
    let Workshop { stage, agent, .. } = shop.workshop;
    let stopped = stage.stop()?;
    let ended = running.end()?;
    let silent = silence(&ended.stdout);
    assert!(silent.is_some_and(|it| (10..20).contains(&it)), "{ended:?}");
    // Nothing begins without it.
    let refused = agent.run(&Workshop::exec(&[], "read-queue", &["true"]))?;
    assert_eq!(refused.code, 125, "{refused:?}");
    drop(stopped);
    Ok(())
}

/// The clocks of the agent's machine and of the broker differ: how long a lease lives is said as a
/// span.
#[test]
fn a_clock_that_is_off_leaves_a_lease_its_time() -> Result<()> {
    let libraries = std::fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten();
    let mut found = libraries.map(|entry| entry.path().join("faketime/libfaketime.so.1"));
    let Some(library) = found.find(|it| it.exists()) else {
        eprintln!("NOT RUN: there is no libfaketime in /usr/lib");
        return Ok(());
    };
    let library = library.to_string_lossy();
    for (offset, accepted) in [
        ("-20s", true),
        ("+20s", true),
        ("-2h", false),
        ("+2h", false),
    ] {
        let off = [("LD_PRELOAD", &*library), ("FAKETIME", offset)];
        let Some(shop) = shop_with("tools-skewed", &off)? else {
            return Ok(());
        };
        let left = shop
            .workshop
            .run(&[], "read-queue", &["python", PROGRAM, "left"])?;
        if accepted {
            let left: f64 = left.stdout.parse()?;
            assert!((200.0..=300.0).contains(&left), "{offset}: {left} s");
        } else {
            let line = "lanyard: not logged in: no accepted identity was presented";
            assert_eq!((left.code, left.stderr.as_str()), (125, line), "{left:?}");
        }
    }
    Ok(())
}
