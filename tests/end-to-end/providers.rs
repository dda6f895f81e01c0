//! Kubernetes and AWS behind a real daemon, through the tools that agents use.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lanyard_rig::{Answer, Aws, Cluster};
use lanyard_tests::Stage;
use serde_json::Value;

/// A daemon with a cluster and an account, and the agent's task on both.
pub(crate) struct Both {
    pub(crate) stage: Stage,
    pub(crate) cluster: Cluster,
    pub(crate) aws: Aws,
    home: String,
    task: String,
}

const GRANTS: &str = "
    - name: read-workers
      role: plan
      environments: [production]
      kubernetes:
        target: cluster
        namespace: TARGET
        rules: [{apiGroups: [apps], resources: [deployments], verbs: [get, list]}]
    - name: read-queue
      role: plan
      environments: [production]
      aws:
        target: account
        allow: [{actions: [sqs:ListQueues], resources: ['*']}]
";

pub(crate) fn both(name: &str) -> Option<Both> {
    let (Some(cluster), Some(aws)) = (Cluster::shared(), Aws::shared()) else {
        eprintln!("NOT RUN: no API server or no moto is named; `cargo xtask test` starts them");
        return None;
    };
    let (home, target) = (format!("{name}-leases"), format!("{name}-target"));
    cluster.namespaces(&home, &target).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let account = aws.account(name, directory.path()).unwrap();
    let targets = format!(
        "cluster: {{kind: kubernetes, namespace: {home}, kubeconfig: {}}}\n\
         account: {{kind: aws, region: eu-west-1, endpoint: '{}', plan_role: '{}', apply_role: '{}', \
         minter_profile: {}, revoker_profile: {}}}\n",
        cluster.kubeconfig("broker").display(),
        aws.url(),
        account.plan_role,
        account.apply_role,
        account.minter,
        account.revoker
    );
    let charter = include_str!("both.yaml").trim_end().to_owned();
    let charter = charter + &GRANTS.replace("TARGET", &target);
    let environment = [("AWS_SHARED_CREDENTIALS_FILE", account.credentials)];
    let stage = Stage::set_with(directory, &targets, &charter, &environment).unwrap();
    let task = stage.task_of("both").unwrap();
    Some(Both {
        stage,
        cluster,
        aws,
        home,
        task,
    })
}

impl Both {
    fn creds(&self, tool: &str, grant: &str) -> Result<String> {
        let creds = ["creds", tool, "--task", &self.task, grant];
        self.stage.agent.ok(&creds)
    }

    fn kept(&self, name: &str, text: &str) -> Result<PathBuf> {
        let file = self.stage.directory.path().join(name);
        std::fs::write(&file, text)?;
        Ok(file)
    }

    /// kubectl with this ExecCredential.
    fn kubectl(&self, credential: &str) -> Result<Answer> {
        let folder = self.stage.directory.path();
        let file = self.cluster.kubeconfig_with(folder, credential)?;
        let namespace = self.home.replace("-leases", "-target");
        self.cluster
            .kubectl_with(&file, &["get", "deployments", "-n", &namespace])
    }

    fn queues(&self, process: &Path) -> Result<Answer> {
        let directory = self.stage.directory.path();
        let process = format!("cat {}", process.display());
        self.aws
            .through(&process, directory, &["sqs", "list-queues"])
    }

    /// The number of ServiceAccounts that the broker has in the cluster.
    fn accounts(&self) -> Result<usize> {
        let listed = ["get", "serviceaccounts", "-n", &self.home, "-o", "name"];
        let listed = self.cluster.kubectl("admin", &listed)?;
        Ok(listed
            .stdout
            .lines()
            .filter(|name| name.contains("lanyard-l-"))
            .count())
    }

    /// Asks again until it holds, for half a minute.
    fn until(&self, what: &str, holds: impl Fn() -> Result<bool>) -> Result<()> {
        for _ in 0..300 {
            if holds()? {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        anyhow::bail!("{what}: {}", self.stage.daemon.log())
    }
}

#[test]
fn a_kill_ends_what_the_cluster_gave_and_says_that_aws_is_only_acknowledged() -> Result<()> {
    let Some(both) = both("killed") else {
        return Ok(());
    };
    let kube = both.creds("kube", "read-workers")?;
    let session = both.kept("session", &both.creds("aws", "read-queue")?)?;
    assert_eq!(both.kubectl(&kube)?.code, 0);
    assert_eq!(both.queues(&session)?.code, 0);
    let kill = [
        "-o",
        "json",
        "kill",
        "--charter",
        "both",
        "--reason",
        "drill",
        "--yes",
    ];
    let report = both.stage.oncall.run(&kill)?;
    assert_eq!(report.code, 8, "{}", report.stderr);
    let report: Value = serde_json::from_str(&report.stdout)?;
    let lines = report.get("leases").and_then(Value::as_array);
    let mut states: Vec<_> = lines
        .into_iter()
        .flatten()
        .map(|line| ["target", "state"].map(|field| line.get(field).and_then(Value::as_str)))
        .collect();
    states.sort_unstable();
    assert_eq!(
        states,
        [
            [Some("account"), Some("acknowledged")],
            [Some("cluster"), Some("proved dead")]
        ]
    );
    assert!(both.kubectl(&kube)?.stderr.contains("orbidden"));
    assert!(both.queues(&session)?.stderr.contains("AccessDenied"));
    // T68: nothing is armed again over what is not known to be dead, unless two people say so.
    let order = both.stage.oncall.ok(&["-o", "name", "kill", "list"])?;
    let second = both.stage.daemon.cli("oncall-two")?;
    let proposal = both
        .stage
        .oncall
        .ok(&["rearm", &order, "--reason", "over"])?;
    for flags in [&[][..], &["--despite-unconfirmed", "--reason", "known"]] {
        let confirm = ["rearm", &proposal, "--confirm"];
        let line = second.fails(2, &[&confirm, flags].concat())?;
        assert!(line.contains("neither proved nor presumed dead"), "{line}");
    }
    Ok(())
}

/// Nothing that AWS acknowledged is confirmed for minutes, so that there is something to follow.
#[test]
fn a_watch_goes_on_over_a_restart_of_the_daemon() -> Result<()> {
    let Some(both) = both("watched") else {
        return Ok(());
    };
    both.creds("aws", "read-queue")?;
    let kill = ["kill", "--charter", "both", "--reason", "drill", "--yes"];
    both.stage.oncall.fails(8, &kill)?;
    let order = both.stage.oncall.ok(&["-o", "name", "kill", "list"])?;
    let mut watch = std::process::Command::new(lanyard_rig::binaries()?.join("lanyard"))
        .arg("--context")
        .arg(both.stage.directory.path().join("contexts/oncall.json"))
        .args(["-o", "json", "kill", "watch", &order, "--wait", "12"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    // It has had a report when it has said something.
    let mut said = BufReader::new(watch.stderr.take().context("no stderr")?);
    let mut line = String::new();
    said.read_line(&mut line)?;
    assert_eq!(line.trim(), "1 acknowledged");
    let Stage {
        directory, daemon, ..
    } = both.stage;
    // Nobody who watches keeps it from ending.
    let daemon = daemon.serve_again(|config| config)?;
    let _stage = Stage::of(directory, daemon)?;
    let output = watch.wait_with_output()?;
    let mut rest = String::new();
    said.read_to_string(&mut rest)?;
    assert_eq!(output.status.code(), Some(8), "{rest}");
    assert!(rest.contains("the broker went away"), "{rest}");
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let total = report
        .pointer("/total/acknowledged")
        .and_then(Value::as_u64);
    assert_eq!(total, Some(1), "{report}");
    Ok(())
}

#[test]
fn a_drill_on_aws_passes_and_says_that_death_cannot_be_shown() -> Result<()> {
    let Some(both) = both("drilled") else {
        return Ok(());
    };
    let held = both.stage.oncall.json(&["drill", "account"])?;
    let field = |name: &str| held.pointer(&format!("/0/{name}")).and_then(Value::as_str);
    assert_eq!(
        (field("result"), field("dead")),
        (Some("passed"), Some("cannot be shown")),
        "{held}"
    );
    let line = both.stage.oncall.fails(2, &["drill", "cluster"])?;
    assert!(line.contains("a cluster needs `drill_namespace`"), "{line}");
    Ok(())
}

#[test]
fn a_lease_shorter_than_any_token_of_the_cluster_ends_on_time() -> Result<()> {
    let Some(both) = both("brief") else {
        return Ok(());
    };
    let creds = [
        "creds",
        "kube",
        "--task",
        &both.task,
        "read-workers",
        "--ttl",
        "3s",
    ];
    let kube = both.stage.agent.ok(&creds)?;
    assert_eq!(both.kubectl(&kube)?.code, 0);
    both.until("it goes on", || Ok(both.kubectl(&kube)?.code != 0))?;
    both.until("it is left over", || Ok(both.accounts()? == 0))
}

#[test]
fn releasing_a_lease_ends_it_and_leaves_its_neighbour() -> Result<()> {
    let Some(both) = both("released") else {
        return Ok(());
    };
    let kube = both.creds("kube", "read-workers")?;
    let lease = both.stage.agent.ok(&["-o", "name", "lease", "list"])?;
    let other = both.creds("kube", "read-workers")?;
    both.stage.agent.ok(&["lease", "release", &lease])?;
    both.until("it goes on", || Ok(both.kubectl(&kube)?.code != 0))?;
    assert_eq!(both.kubectl(&other)?.code, 0);
    Ok(())
}

/// T54, on a real cluster: whatever moment the daemon dies at, what it then has there is what its
/// ledger says.
#[test]
fn t54_what_a_crash_leaves_in_the_cluster_is_found_and_ended() -> Result<()> {
    let Some(mut both) = both("crashed") else {
        return Ok(());
    };
    for _ in 0..4 {
        std::thread::scope(|scope| -> Result<()> {
            let agents: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let ask = ["creds", "kube", "--task", &both.task, "read-workers"];
                        both.stage.agent.run(&ask)
                    })
                })
                .collect();
            // Until the first objects are there: the others are on their way.
            both.until("nothing is minted", || Ok(both.accounts()? > 0))?;
            let id = i32::try_from(both.stage.daemon.process())?;
            let id = rustix::process::Pid::from_raw(id).context("no process id")?;
            rustix::process::kill_process(id, rustix::process::Signal::KILL)?;
            for agent in agents {
                drop(agent.join());
            }
            Ok(())
        })?;
        both.stage = both.stage.crash()?;
        both.until("the cluster has what the ledger does not know", || {
            let live = both.stage.agent.json(&["lease", "list"])?;
            let live = live.as_array().map_or(0, |leases| {
                let issued = leases
                    .iter()
                    .filter(|lease| lease.get("state").and_then(Value::as_str) == Some("issued"));
                issued.count()
            });
            Ok(both.accounts()? == live)
        })?;
        let release = both.stage.agent.json(&["lease", "list"])?;
        for lease in release.as_array().into_iter().flatten() {
            if let Some(id) = lease.get("lease").and_then(Value::as_str) {
                both.stage.agent.run(&["lease", "release", id])?;
            }
        }
        both.until("released leases stay", || Ok(both.accounts()? == 0))?;
    }
    Ok(())
}

#[test]
fn lint_against_a_broker_says_what_is_not_set_up_at_the_targets() -> Result<()> {
    let Some(both) = both("against") else {
        return Ok(());
    };
    let directory = both.stage.directory.path();
    let file = directory.join("proposed.yaml");
    let context = directory.join("contexts/oncall.json");
    let config = directory.join("lanyardd.yaml");
    let lint = |text: &str| -> Result<Answer> {
        std::fs::write(&file, text)?;
        let words = [
            &["charter", "lint", "--format", "concise"],
            &[
                "--config",
                config.to_str().unwrap(),
                "--against",
                context.to_str().unwrap(),
            ][..],
            &[file.to_str().unwrap()],
        ];
        both.stage.agent.run(&words.concat())
    };
    let good = std::fs::read_to_string(directory.join("charters/more.yaml"))?;
    let answer = lint(&good)?;
    assert_eq!(answer.code, 0, "{} {}", answer.stdout, answer.stderr);

    let rules = "rules: [{apiGroups: [apps], resources: [deployments], verbs: [get, list]}]";
    let missing = lint(&good.replace(rules, "clusterRole: nowhere"))?;
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(
        missing
            .stdout
            .contains("error[LC501]: grant read-workers: ClusterRole nowhere: "),
        "{missing:?}"
    );

    let many: Vec<String> = (0..60)
        .map(|n| format!("'arn:aws:sqs:eu-west-1:123456789012:queue-{n}'"))
        .collect();
    let large = lint(&good.replace(
        "resources: ['*']",
        &format!("resources: [{}]", many.join(", ")),
    ))?;
    assert!(
        large.stdout.contains("error[LC121]: grant read-queue: ") && large.stdout.contains("2048"),
        "{large:?}"
    );
    Ok(())
}

#[test]
fn an_exchange_gives_what_the_tools_of_each_provider_take() -> Result<()> {
    let Some(both) = both("exchanged") else {
        return Ok(());
    };
    let exchanged = |grant: &str, kind: &str| -> Result<Value> {
        let token = both.stage.agent.ok(&["identity"])?;
        let form = [
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            ("subject_token", token.as_str()),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ("task", both.task.as_str()),
            ("grant", grant),
        ];
        let (status, answer) = both.stage.post("/oauth2/token", &[], &form)?;
        assert_eq!(status, 200, "{answer}");
        let issued = answer.get("issued_token_type").and_then(Value::as_str);
        let expected = format!("urn:lanyard:params:oauth:token-type:{kind}");
        assert_eq!(issued, Some(expected.as_str()));
        answer.get("access_token").cloned().context("no credential")
    };
    let token = exchanged("read-workers", "kubernetes-token")?;
    let credential = serde_json::json!({"status": {"token": token}});
    assert_eq!(both.kubectl(&credential.to_string())?.code, 0);
    let session = exchanged("read-queue", "aws-credentials")?;
    let session = session.as_str().context("no session")?;
    let session = both.kept("session", session)?;
    assert_eq!(both.queues(&session)?.code, 0);
    Ok(())
}
