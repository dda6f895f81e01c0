//! Charters as Kubernetes objects, on a real API server: what kubectl shows of them, and what comes
//! into force.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use lanyard_rig::{Answer, Cluster, free_port};
use lanyard_tests::{Stage, until};
use serde_json::Value;

const DEFINITION: &str = include_str!("../../docs/kubernetes/charter-crd.yaml");
const RIGHTS: &str = include_str!("../../docs/kubernetes/charter-objects.yaml");
const WEBHOOK: &str = include_str!("../../docs/kubernetes/charter-webhook.yaml");
const ROUTER: &str = include_str!("../../crates/lanyard-server/src/dev/ticket-router.yaml");

/// A daemon that reads charters in two fresh namespaces of a cluster.
struct Place {
    cluster: Cluster,
    stage: Stage,
    /// For charters of any name, and for those that begin with `payments-` and name staging alone.
    one: String,
    two: String,
}

impl Place {
    /// On the cluster that the test command started.
    fn shared(more: &str) -> Result<Option<Self>> {
        let Some(cluster) = Cluster::shared() else {
            eprintln!("NOT RUN: no API server is named; `cargo xtask test` starts one");
            return Ok(None);
        };
        Self::on(cluster, more).map(Some)
    }

    fn on(cluster: Cluster, more: &str) -> Result<Self> {
        let name = format!("charters-{}", free_port()?.port());
        let (one, two) = (format!("{name}-one"), format!("{name}-two"));
        cluster.apply(DEFINITION)?;
        let wait = [
            "wait",
            "--for",
            "condition=established",
            "crd/charters.lanyard.dev",
        ];
        ensure!(cluster.kubectl("admin", &wait)?.code == 0);
        for namespace in [&one, &two] {
            let made = cluster.kubectl("admin", &["create", "namespace", namespace])?;
            ensure!(made.code == 0, "{made:?}");
            cluster.apply(&RIGHTS.replace("NAMESPACE", namespace))?;
        }
        let agents = "agents: [{issuer: 'https://agents.dev.lanyard.invalid', subject: 'agent:*'}]";
        let lines = format!(
            "charter_objects:\n  kubernetes: {{kubeconfig: {}}}\n{more}  namespaces:\n    - {{namespace: {one}, {agents}}}\n    \
             - {{namespace: {two}, names: payments-, environments: [staging], targets: [tickets], {agents}}}",
            cluster.kubeconfig("broker").display()
        );
        let stage = Stage::configured(&[], &lines)?;
        Ok(Self {
            cluster,
            stage,
            one,
            two,
        })
    }

    fn kubectl(&self, namespace: &str, arguments: &[&str]) -> Result<Answer> {
        let all = [&["-n", namespace], arguments].concat();
        self.cluster.kubectl("admin", &all)
    }

    /// Applies this text as a person would.
    fn apply(&self, namespace: &str, text: &str) -> Result<Answer> {
        let file = self.stage.directory.path().join("apply.yaml");
        std::fs::write(&file, text)?;
        self.kubectl(namespace, &["apply", "-f", &file.to_string_lossy()])
    }

    fn applied(&self, namespace: &str, text: &str) -> Result<()> {
        let applied = self.apply(namespace, text)?;
        ensure!(applied.code == 0, "{applied:?}");
        Ok(())
    }

    fn deleted(&self, namespace: &str, name: &str) -> Result<()> {
        let deleted = self.kubectl(namespace, &["delete", "charter", name])?;
        ensure!(deleted.code == 0, "{deleted:?}");
        Ok(())
    }

    /// The condition `InForce` of a charter: its status, its reason and its message.
    fn condition(&self, namespace: &str, name: &str) -> Result<[String; 3]> {
        let found = self.kubectl(namespace, &["get", "charter", name, "-o", "json"])?;
        let object: Value = serde_json::from_str(&found.stdout).unwrap_or_default();
        let part = |part: &str| {
            let pointer = format!("/status/conditions/0/{part}");
            let text = object.pointer(&pointer).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        Ok([part("status"), part("reason"), part("message")])
    }

    /// Waits for a charter to be in force, or to be kept from that for this reason; with what is
    /// said.
    fn becomes(&self, namespace: &str, name: &str, reason: &str) -> Result<String> {
        let done = until(|| Ok(self.condition(namespace, name)?[1] == reason));
        let [_, _, message] = self.condition(namespace, name)?;
        done.with_context(|| format!("{:?}", self.condition(namespace, name)))?;
        Ok(message)
    }

    fn opens(&self, charter: &str) -> Result<Answer> {
        let open = [
            "-o",
            "name",
            "task",
            "open",
            charter,
            "--environment",
            "staging",
        ];
        self.stage
            .agent
            .run(&[&open[..], &["--reason", "ticket 12"]].concat())
    }

    fn is_in_force(&self, charter: &str) -> Result<bool> {
        Ok(self.opens(charter)?.code == 0)
    }
}

/// The usual charter under another name.
fn charter(name: &str) -> String {
    ROUTER.replacen("name: ticket-router", &format!("name: {name}"), 1)
}

/// One that names staging alone.
fn small(name: &str) -> String {
    let text = charter(name);
    let text = text.replace("    production: {autonomy: execute-production}\n", "");
    let (before, rest) = text
        .split_once("    - name: move-tickets")
        .unwrap_or_default();
    let (_, limits) = rest.split_once("  limits:").unwrap_or_default();
    let before = before.replace("[staging, production]", "[staging]");
    format!("{before}  limits:{limits}")
}

#[test]
fn a_charter_that_is_applied_is_in_force_and_one_that_does_not_hold_says_why() -> Result<()> {
    let Some(place) = Place::shared("")? else {
        return Ok(());
    };
    let one = &place.one;
    // Fields that nobody knows are stored, and refused by the reader: none is dropped.
    let misspelt = charter("misspelt").replace("  approvals:", "  aprovals:");
    let prohibits = charter("prohibits").replace(
        "  plans:",
        "  prohibited:\n    - {kubernetes: {resources: [secrets]}, raeson: no}\n  plans:",
    );
    place.applied(one, &charter("good"))?;
    place.applied(one, &misspelt)?;
    place.applied(one, &prohibits)?;
    place.becomes(one, "good", "Accepted")?;
    assert!(place.is_in_force("good")?);
    let said = place.becomes(one, "misspelt", "Refused")?;
    assert!(
        said.contains("spec.aprovals: error[LC013]: there is no field `aprovals` here (did you mean `approvals`?)"),
        "{said}"
    );
    let said = place.becomes(one, "prohibits", "Refused")?;
    assert!(
        said.contains("spec.prohibited[0].raeson: error[LC013]"),
        "{said}"
    );
    assert!(!place.is_in_force("misspelt")? && !place.is_in_force("prohibits")?);
    let listed = place.kubectl(one, &["get", "charters"])?.stdout;
    let mut lines = listed.lines().map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        words.join(" ")
    });
    assert_eq!(
        lines.next().as_deref(),
        Some("NAME IN FORCE REVISION OWNER REASON FINDINGS AGE")
    );
    let good = lines.next().context("no line")?;
    let fields: Vec<_> = good.split(' ').collect();
    assert_eq!(
        (fields[0], fields[1], fields[3], fields[4]),
        ("good", "True", "support-platform@acme.example", "Accepted"),
        "{listed}"
    );
    assert_eq!(fields[2].len(), 12, "{listed}");
    // The revision is that of the broker's books.
    let books = place.stage.oncall.run(&["charter", "list"])?.stdout;
    assert!(books.contains(fields[2]), "{books}");
    let bad = lines.next().context("no line")?;
    assert!(
        bad.starts_with("misspelt False support-platform@acme.example Refused"),
        "{bad}"
    );
    let described = place
        .kubectl(one, &["describe", "charter", "misspelt"])?
        .stdout;
    assert!(
        described.contains("LC013") && described.contains("spec.aprovals"),
        "{described}"
    );
    // A mended one comes into force, and what the agent holds meanwhile is judged by it.
    place.applied(one, &charter("misspelt"))?;
    place.becomes(one, "misspelt", "Accepted")?;
    let explained = place
        .kubectl(one, &["explain", "charter.spec.limits.ttl"])?
        .stdout;
    assert!(
        explained.contains("The longest life of a credential. 12h at most."),
        "{explained}"
    );
    // A denial names the field.
    let ended = charter("ended").replace("  limits:", "  expires: \"2020-01-01\"\n  limits:");
    place.applied(one, &ended)?;
    place.becomes(one, "ended", "Accepted")?;
    let denied = place.opens("ended")?;
    assert!(denied.stderr.contains("spec.expires"), "{denied:?}");
    Ok(())
}

#[test]
fn what_a_gitops_tool_does_ends_in_the_right_state() -> Result<()> {
    let Some(place) = Place::shared("")? else {
        return Ok(());
    };
    let (one, two) = (&place.one, &place.two);
    // Two of one name: the first has it.
    place.applied(one, &small("payments-router"))?;
    place.becomes(one, "payments-router", "Accepted")?;
    // The API server tells the time of an object in seconds: the second comes in another one.
    let made = |name: &str| -> Result<String> {
        let stamp = "jsonpath={.metadata.creationTimestamp}";
        let create = ["create", "configmap", name, "-o", stamp];
        Ok(place.kubectl(one, &create)?.stdout)
    };
    let (first, mut count) = (made("clock")?, 0);
    until(|| {
        count += 1;
        Ok(made(&format!("clock-{count}"))? > first)
    })?;
    place.applied(two, &small("payments-router"))?;
    let said = place.becomes(two, "payments-router", "NameTaken")?;
    assert!(
        said.contains(&format!("the older object `{one}/payments-router`")),
        "{said}"
    );
    // Renamed: the old name goes to the second, the new one is in force.
    place.deleted(one, "payments-router")?;
    place.applied(one, &small("router"))?;
    place.becomes(two, "payments-router", "Accepted")?;
    place.becomes(one, "router", "Accepted")?;
    // A file comes before every object.
    let file = place.stage.directory.path().join("charters/router.yaml");
    std::fs::write(&file, charter("router"))?;
    let said = place.becomes(one, "router", "NameTaken")?;
    assert!(said.contains("a file of the charter directory"), "{said}");
    std::fs::remove_file(&file)?;
    place.becomes(one, "router", "Accepted")?;
    // Beyond its bounds, by name and by environment.
    place.applied(two, &small("router-two"))?;
    let said = place.becomes(two, "router-two", "BeyondBounds")?;
    assert!(
        said.contains("names begin with `payments-` there"),
        "{said}"
    );
    place.applied(two, &charter("payments-all"))?;
    let said = place.becomes(two, "payments-all", "BeyondBounds")?;
    assert!(said.contains("environment `production`"), "{said}");
    assert!(!place.is_in_force("router-two")? && !place.is_in_force("payments-all")?);
    // Deleted.
    place.deleted(one, "router")?;
    until(|| Ok(!place.is_in_force("router")?))?;
    Ok(())
}

#[test]
fn policies_come_from_config_maps_and_by_their_digest() -> Result<()> {
    let Some(place) = Place::shared("")? else {
        return Ok(());
    };
    let one = &place.one;
    let policy = "package main\nimport rego.v1\ndeny contains \"never\" if false\n";
    let digest = ring_digest(policy);
    let with = |policies: &str| {
        charter("judged").replacen(
            "  plans:\n",
            &format!("  plans:\n    policies: {policies}\n"),
            1,
        )
    };
    place.applied(one, &with("[rules/own.rego]"))?;
    let said = place.becomes(one, "judged", "Refused")?;
    assert!(
        said.contains("LC603") && said.contains("spec.plans.policies[0]"),
        "{said}"
    );
    place.applied(
        one,
        &with(&format!("[{{path: rules/own.rego, digest: '{digest}'}}]")),
    )?;
    let said = place.becomes(one, "judged", "PolicyUnusable")?;
    assert!(said.contains("has no ConfigMap `rules`"), "{said}");
    // The ConfigMap comes later, and nobody touches the charter.
    let file = place.stage.directory.path().join("own.rego");
    std::fs::write(&file, policy)?;
    let from = format!("--from-file=own.rego={}", file.display());
    let made = place.kubectl(one, &["create", "configmap", "rules", &from])?;
    ensure!(made.code == 0, "{made:?}");
    place.becomes(one, "judged", "Accepted")?;
    // One that is changed is another policy than the author saw.
    let patch = serde_json::json!({"data": {"own.rego": format!("{policy}# other\n")}}).to_string();
    place.kubectl(
        one,
        &["patch", "configmap", "rules", "--type=merge", "-p", &patch],
    )?;
    let said = place.becomes(one, "judged", "PolicyUnusable")?;
    assert!(said.contains("and the charter names `sha256:"), "{said}");
    until(|| Ok(!place.is_in_force("judged")?))?;
    Ok(())
}

fn ring_digest(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let hex: String = digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

#[test]
fn kubectl_apply_is_refused_in_the_words_of_lint() -> Result<()> {
    let port = free_port()?;
    let Some(place) = Place::shared(&format!("  admission_listen: {port}\n"))? else {
        return Ok(());
    };
    let (one, two) = (&place.one, &place.two);
    let name = format!("charters-{}.lanyard.dev", port.port());
    let authority = std::fs::read(place.stage.directory.path().join("dev-ca.pem"))?;
    let url = format!("url: https://{port}/charters");
    let service =
        "service: {name: lanyard-admission, namespace: NAMESPACE, path: /charters, port: 7073}";
    ensure!(WEBHOOK.contains(service));
    let selector = format!(
        "namespaceSelector: {{matchExpressions: [{{key: kubernetes.io/metadata.name, operator: In, values: [{one}, {two}]}}]}}"
    );
    // A test that hears nothing of the broker has to notice.
    let webhook = WEBHOOK
        .replace(service, &url)
        .replace("CA_BUNDLE", &base64(&authority))
        .replace("charters.lanyard.dev", &name)
        .replace(
            "failurePolicy: Ignore",
            &format!("{selector}\n    failurePolicy: Fail"),
        );
    place.cluster.apply(&webhook)?;
    let _gone = Gone(&place.cluster, &name);
    let bad = charter("bad")
        .replace("role: plan", "role: plann")
        .replace("  approvals:", "  aprovals:");
    let refused = || place.apply(one, &bad);
    // The API server takes a moment to know of a webhook.
    until(|| Ok(refused()?.code != 0))?;
    let said = refused()?.stderr;
    for line in [
        format!("admission webhook \"{name}\" denied the request: charter `bad` would not come into force:"),
        "\nspec.aprovals: error[LC013]: there is no field `aprovals` here (did you mean `approvals`?)".to_owned(),
        "\nspec.grants[0].role: error[LC015]: `plann` is none of plan, apply (did you mean `plan`?)".to_owned(),
    ] {
        assert!(said.contains(&line), "{said}");
    }
    let found = place
        .kubectl(one, &["get", "charters", "-o", "name"])?
        .stdout;
    assert_eq!(found, "");
    // Warnings are warnings.
    let odd = charter("odd").replace("people: 2\n      from: [group:support-leads]", "people: 2");
    let taken = place.apply(one, &odd)?;
    assert_eq!(taken.code, 0, "{taken:?}");
    assert!(
        taken.stderr.contains("Warning: ") && taken.stderr.contains("warning[LC208]"),
        "{taken:?}"
    );
    // Bounds, and whose a name is.
    let beyond = place.apply(two, &charter("payments-all"))?;
    assert!(beyond.stderr.contains("LC601"), "{beyond:?}");
    place.applied(one, &small("payments-one"))?;
    place.becomes(one, "payments-one", "Accepted")?;
    let taken = place.apply(two, &small("payments-one"))?;
    assert!(taken.stderr.contains("LC602"), "{taken:?}");
    // A change of its own is no other's.
    place.applied(one, &charter("payments-one"))?;
    // What is no review is a fault of the call.
    let answer = place
        .stage
        .daemon
        .post_on(port, "/charters", "{\"kind\": 7}")?;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    Ok(())
}

/// A webhook that ends with its test, so that nobody else meets it.
struct Gone<'a>(&'a Cluster, &'a str);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        let delete = ["delete", "validatingwebhookconfiguration", self.1];
        drop(self.0.kubectl("admin", &delete));
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// What is done to the API server and its definitions here, nobody else may meet. Three times it is
/// waited for `stale_after`, in which a loaded machine has to have asked: a minute in all.
#[test]
fn what_cannot_be_read_is_not_gone() -> Result<()> {
    if Cluster::shared().is_none() {
        eprintln!("NOT RUN: no API server is named; `cargo xtask test` starts one");
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let server = lanyard_rig::Kubernetes::start(&directory.path().join("kubernetes"))?;
    let place = Place::on(server.cluster().clone(), "  stale_after: 12s\n")?;
    let one = &place.one;
    let names = ["a", "b", "c", "d"];
    for name in names {
        place.applied(one, &small(name))?;
    }
    for name in names {
        place.becomes(one, name, "Accepted")?;
    }
    let told = |kind: &str, text: &str| -> Result<bool> {
        let listed = place.stage.oncall.ok(&["condition", "list"])?;
        Ok(listed.contains(kind) && listed.contains(text))
    };
    let stays_and_ends = |what: &str| -> Result<()> {
        until(|| told("charters-unread", "stays so for 12s")).context(what.to_owned())?;
        ensure!(place.is_in_force("a")?, "{what}");
        until(|| told("charters-unread", "out of force")).context(what.to_owned())?;
        let denied = place.opens("a")?;
        ensure!(
            denied.stderr.contains("cannot read it from the API server"),
            "{what}: {denied:?}"
        );
        Ok(())
    };
    let mended = |what: &str| until(|| place.is_in_force("a")).context(what.to_owned());
    // Its rights are taken away.
    place.kubectl(one, &["delete", "rolebinding", "lanyardd-charters"])?;
    stays_and_ends("without rights")?;
    place.cluster.apply(&RIGHTS.replace("NAMESPACE", one))?;
    mended("without rights")?;
    // The API server hangs: a kill goes on as ever.
    server.freeze()?;
    until(|| told("charters-unread", "stays so for 12s")).context("the API server hangs")?;
    let task = place.opens("a")?;
    ensure!(task.code == 0, "{task:?}");
    let killed = place.stage.oncall.run(&[
        "kill",
        "--charter",
        "a",
        "--reason",
        "the API server hangs",
        "--yes",
    ])?;
    ensure!(killed.code == 0, "{killed:?}");
    until(|| told("charters-unread", "out of force")).context("it hangs for long")?;
    server.thaw()?;
    until(|| place.is_in_force("b")).context("it goes on")?;
    // Most of them are deleted.
    for name in ["b", "c", "d"] {
        place.deleted(one, name)?;
    }
    until(|| told("charters-deleted", "b, c, d")).context("most are deleted")?;
    ensure!(place.is_in_force("b")? && place.is_in_force("d")?);
    let accept = [
        "condition",
        "accept",
        "charters-deleted",
        "--reason",
        "they are moved",
    ];
    place.stage.oncall.ok(&accept)?;
    until(|| Ok(!place.is_in_force("b")? && !place.is_in_force("d")?))
        .context("an operator said so")?;
    // The definition goes, and the objects with it.
    place.applied(one, &small("e"))?;
    place.becomes(one, "e", "Accepted")?;
    let deleted = place.cluster.kubectl(
        "admin",
        &["delete", "crd", "charters.lanyard.dev", "--wait=false"],
    )?;
    ensure!(deleted.code == 0, "{deleted:?}");
    until(|| told("charters-unread", "CustomResourceDefinition"))
        .context("the definition is deleted")?;
    ensure!(place.is_in_force("e")?);
    until(|| Ok(!place.is_in_force("e")?)).context("it is away for long")?;
    place.cluster.apply(DEFINITION)?;
    Ok(())
}

#[test]
fn a_daemon_starts_while_nobody_serves_its_charters() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let kubeconfig = folder.path().join("kubeconfig");
    let nobody = free_port()?;
    std::fs::write(
        &kubeconfig,
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: it\n\
             clusters: [{{name: it, cluster: {{server: \"https://{nobody}\"}}}}]\n\
             contexts: [{{name: it, context: {{cluster: it, user: it}}}}]\nusers: [{{name: it, user: {{token: x}}}}]\n"
        ),
    )?;
    for kubeconfig in [kubeconfig.as_path(), Path::new("/nowhere")] {
        let lines = format!(
            "charter_objects:\n  kubernetes: {{kubeconfig: {}}}\n  stale_after: 4s\n  namespaces: [{{namespace: lanyard, agents: ['*']}}]",
            kubeconfig.display()
        );
        let stage = Stage::configured(&[], &lines)?;
        // The directory's charters are in force as ever, and kills are taken.
        let task = stage.task()?;
        stage.token(&task)?;
        until(|| {
            let listed = stage.oncall.ok(&["condition", "list"])?;
            Ok(listed.contains("charters-unread"))
        })?;
        let kill = ["kill", "--task", &task, "--reason", "a test", "--yes"];
        stage.oncall.ok(&kill)?;
    }
    Ok(())
}
