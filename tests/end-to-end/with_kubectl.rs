//! kubectl and the Kubernetes client of Python under `lanyard exec`, on a real API server.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lanyard_rig::{Answer, Cluster, python_tools};
use lanyard_tests::workshop::{LocalAgent, Workshop, silence};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/end-to-end/with_kubectl.py");
const GRANTS: &str = "
    - name: read-settings
      role: plan
      environments: [production]
      kubernetes: {target: cluster, namespace: TARGET, rules: [{apiGroups: [''], resources: [configmaps], verbs: [get, list, watch]}]}
    - name: brief
      role: plan
      environments: [production]
      ttl: 6s
      kubernetes: {target: cluster, namespace: TARGET, rules: [{apiGroups: [''], resources: [configmaps], verbs: [get, list]}]}
    - name: change-settings
      role: apply
      environments: [staging]
      kubernetes: {target: cluster, namespace: TARGET, rules: [{apiGroups: [''], resources: [configmaps], verbs: [create]}]}
  approvals:
    - {when: {role: apply, environment: staging}, people: 1, from: ['group:support-leads']}
";

struct Shop {
    workshop: Workshop,
    cluster: Cluster,
    account: String,
    target: String,
}

fn shop(name: &str) -> Result<Option<Shop>> {
    shop_by(name, |cluster| Ok(cluster.kubeconfig("broker")))
}

/// A shop whose broker has this kubeconfig of the cluster.
fn shop_by(name: &str, broker: impl Fn(&Cluster) -> Result<PathBuf>) -> Result<Option<Shop>> {
    let Some(cluster) = Cluster::shared() else {
        eprintln!("NOT RUN: no API server is named; `cargo xtask test` starts one");
        return Ok(None);
    };
    let name = format!("{name}-{}", lanyard_rig::free_port()?.port());
    let (home, target) = (format!("{name}-leases"), format!("{name}-target"));
    cluster.namespaces(&home, &target)?;
    let targets = format!(
        "cluster: {{kind: kubernetes, namespace: {home}, kubeconfig: {}}}\n",
        broker(&cluster)?.display()
    );
    let kubectl = cluster.program().parent().context("no folder")?.display();
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{kubectl}:{}:{path}", python_tools()?.display());
    // Whoever runs it is an administrator of the same cluster.
    let person = cluster.kubeconfig("admin");
    let own = [
        ("PATH", path.as_str()),
        ("KUBECONFIG", &person.to_string_lossy()),
    ];
    let grants = GRANTS.replace("TARGET", &target);
    let workshop = Workshop::set(tempfile::tempdir()?, (&targets, &grants), &[], &own)?;
    workshop.at_home(".kube/config", &std::fs::read_to_string(&person)?)?;
    let account = format!("system:serviceaccount:{home}:lanyard-l-");
    Ok(Some(Shop {
        workshop,
        cluster,
        account,
        target,
    }))
}

impl Shop {
    fn setting(&self, name: &str) -> Result<()> {
        let create = ["create", "configmap", name, "-n", &self.target];
        let created = self.cluster.kubectl("admin", &create)?;
        ensure!(created.code == 0, "{created:?}");
        Ok(())
    }

    /// kubectl by itself, with a kubeconfig whose user is this helper of lanyard's.
    fn by_kubeconfig(&self, creds: &str) -> Result<Answer> {
        let directory = self.workshop.stage.directory.path();
        let context = directory.join("contexts/agent.json");
        let creds = format!("--context {} creds kube {creds}", context.display());
        let words: Vec<_> = creds.split(' ').collect();
        let exec = serde_json::json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1",
            "command": self.workshop.agent.program(), "args": words, "interactiveMode": "Never"}});
        let admin = std::fs::read_to_string(self.cluster.kubeconfig("admin"))?;
        let config = admin.replace("user: {token: admin-token}", &format!("user: {exec}"));
        let config = self.workshop.at_home("by-hand", &config)?;
        let output = Command::new(self.cluster.program())
            .args(["get", "configmaps", "-n", &self.target])
            .env("KUBECONFIG", config)
            .env("LANYARD_STATE", context.with_file_name("state"))
            .stdin(Stdio::null())
            .output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        Ok(Answer {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        })
    }
}

#[test]
fn both_tools_are_the_lease_and_never_the_person_around_them() -> Result<()> {
    let Some(shop) = shop("kube-first")? else {
        return Ok(());
    };
    shop.setting("blue")?;
    let both = format!(
        "set -e; kubectl auth whoami -o jsonpath={{.status.userInfo.username}}; echo; \
         kubectl get configmaps -o name; python {PROGRAM} list"
    );
    let said = shop
        .workshop
        .ok(&[], "read-settings", &["sh", "-c", &both])?;
    assert_eq!(said.matches(&shop.account).count(), 2, "{said}");
    assert!(
        said.contains("configmap/blue") && said.ends_with(" blue"),
        "{said}"
    );
    assert_eq!(shop.workshop.mints("read-settings")?, 1);
    // What it may not do there is the API server's to say.
    let delete = ["kubectl", "delete", "configmap", "blue"];
    let refused = shop.workshop.run(&[], "read-settings", &delete)?;
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains(&shop.account), "{refused:?}");
    if Command::new("helm").arg("version").output().is_err() {
        eprintln!("NOT RUN: there is no helm");
    }
    Ok(())
}

#[test]
fn c36_a_kubeconfig_as_templates_write_it_serves_the_broker_and_the_agent() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let written = |cluster: &Cluster| -> Result<PathBuf> {
        let [server, certificate, _] = cluster.issuer()?;
        let broker = std::fs::read_to_string(cluster.kubeconfig("broker"))?;
        let token = broker.split_once("token: ").context("no token")?.1;
        let token = token.split(['}', ',', '\n']).next().unwrap_or_default();
        // Lines of 76 characters, as the command `base64` breaks them.
        let encoded = STANDARD.encode(certificate);
        let mut lines = String::new();
        for (place, character) in encoded.chars().enumerate() {
            if place % 76 == 0 {
                lines.push_str("\n      ");
            }
            lines.push(character);
        }
        let text = format!(
            "apiVersion: v1\nkind: Config\npreferences: {{}}\ncurrent-context: it\n\
             contexts: [{{name: it, context: {{cluster: it, user: it, namespace: ''}}}}]\n\
             clusters:\n- name: it\n  cluster:\n    server: {server}\n    tls-server-name: kubernetes.default.svc\n    \
             proxy-url: ''\n    certificate-authority: ''\n    certificate-authority-data: |{lines}\n\
             users:\n- name: it\n  user: {{token: '{token}', tokenFile: '', client-certificate: '', client-key-data: '', \
             username: '', password: '', exec: null}}\n"
        );
        let file = folder.path().join("kubeconfig");
        std::fs::write(&file, text)?;
        Ok(file)
    };
    let Some(shop) = shop_by("kube-template", written)? else {
        return Ok(());
    };
    let look = "kubectl config view --raw -o jsonpath={.clusters[0].cluster}; echo; \
                kubectl auth whoami -o jsonpath={.status.userInfo.username}";
    let said = shop
        .workshop
        .ok(&[], "read-settings", &["sh", "-c", look])?;
    assert!(
        said.contains("\"tls-server-name\":\"kubernetes.default.svc\""),
        "{said}"
    );
    assert!(!said.contains("proxy-url"), "{said}");
    assert!(said.contains(&shop.account), "{said}");
    Ok(())
}

#[test]
fn a_program_and_a_loop_go_on_over_the_end_of_a_lease() -> Result<()> {
    let Some(shop) = shop("kube-refresh")? else {
        return Ok(());
    };
    let program = ["python", PROGRAM, "until-other"];
    assert_eq!(shop.workshop.ok(&[], "brief", &program)?, "other");
    let other = "who() { kubectl auth whoami -o jsonpath={.status.userInfo.username}; }; \
                 first=$(who) && while [ \"$(who)\" = \"$first\" ]; do :; done && who";
    let said = shop.workshop.ok(&[], "brief", &["sh", "-c", other])?;
    assert!(said.starts_with(&shop.account), "{said}");
    Ok(())
}

#[test]
fn a_kill_cuts_a_watch() -> Result<()> {
    let Some(shop) = shop("kube-killed")? else {
        return Ok(());
    };
    let watch = "exec kubectl get configmaps --watch --no-headers >&2";
    let mut watching = shop
        .workshop
        .start(&[], "read-settings", &["sh", "-c", watch])?;
    shop.setting("blue")?;
    watching.line("blue")?;
    shop.workshop.kill()?;
    let line = watching.line("lanyard: stopped by kill order K-")?;
    assert!(
        line.ends_with(": drill; the command is sent SIGTERM"),
        "{line}"
    );
    // kubectl ends by itself on SIGTERM.
    assert_eq!(watching.end()?.code, 1);
    // Nothing begins again.
    let refused = shop.workshop.run(&[], "read-settings", &["true"])?;
    assert_eq!(refused.code, 125);
    assert!(
        refused.stderr.contains("stopped by kill order K-"),
        "{refused:?}"
    );
    Ok(())
}

#[test]
fn a_kill_ends_a_loop_that_is_let_go_on() -> Result<()> {
    let Some(shop) = shop("kube-loop")? else {
        return Ok(());
    };
    let calls = "while kubectl get configmaps; do echo called >&2; done; echo over >&2";
    let flags = ["--on-kill", "none"];
    let mut left = shop
        .workshop
        .start(&flags, "read-settings", &["sh", "-c", calls])?;
    left.line("called")?;
    shop.workshop.kill()?;
    left.line("over")?;
    let left = left.end()?;
    assert_eq!(left.code, 0);
    assert!(
        left.stderr.contains("lanyard: stopped by kill order K-"),
        "{left:?}"
    );
    Ok(())
}

#[test]
fn a_denial_and_a_pending_approval_are_what_kubectl_says() -> Result<()> {
    let Some(shop) = shop("kube-denied")? else {
        return Ok(());
    };
    let [task, plan, _, approval] = shop.workshop.plan("change-settings")?;
    let denied = shop.by_kubeconfig(&format!("read-settings --task {task}"))?;
    let line = "lanyard: denied by charter shop (grants, line ";
    assert!(denied.stderr.contains(line), "{denied:?}");
    let pending = shop.by_kubeconfig(&format!("change-settings --task {task} --plan {plan}"))?;
    assert!(pending.stderr.contains(&approval), "{pending:?}");
    assert_eq!((denied.code, pending.code), (1, 1));
    Ok(())
}

#[test]
fn a_broker_that_is_down_is_outlived_for_as_long_as_was_said() -> Result<()> {
    let Some(shop) = shop("kube-down")? else {
        return Ok(());
    };
    let _agent = LocalAgent::start(&shop.workshop.agent, 10)?;
    let calls = "while kubectl get configmaps; do echo called >&2; done; echo over >&2";
    let mut running = shop
        .workshop
        .start(&[], "read-settings", &["sh", "-c", calls])?;
    running.line("called")?;
    let _stopped = shop.workshop.stage.stop()?;
    running.line("called")?;
    running.line("over")?;
    let ended = running.end()?;
    let silent = silence(&ended.stderr);
    assert!(silent.is_some_and(|it| (10..20).contains(&it)), "{ended:?}");
    Ok(())
}
