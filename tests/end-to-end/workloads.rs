//! Agents that their platforms vouch for: service accounts of a real cluster, and SVIDs.

use anyhow::{Context, Result};
use lanyard_rig::{Aws, Cluster, Kubernetes};
use lanyard_tests::issuer::{Keys, Provider};
use lanyard_tests::keys::{Key, now};
use lanyard_tests::{Stage, until};
use serde_json::{Value, json};

/// The issuer that the rig's API servers have.
const ISSUER: &str = "https://kubernetes.invalid";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// A stage that believes this cluster, with one of its service accounts in the charter.
fn believing(cluster: &Cluster, namespace: &str) -> Result<Stage> {
    let kubeconfig = cluster.kubeconfig("broker");
    let issuer = format!(
        "  - issuer: {ISSUER}\n    kind: agents\n    kubernetes: {{kubeconfig: {}}}\n",
        kubeconfig.display()
    );
    let stage = Stage::believing(&[], &issuer)?;
    stage.admit(&format!(
        "    - issuer: {ISSUER}\n      subject: system:serviceaccount:{namespace}:agent\n"
    ))?;
    let kubectl = |arguments: &[&str]| -> Result<()> {
        let answer = cluster.kubectl("admin", arguments)?;
        anyhow::ensure!(answer.code == 0, "{}", answer.stderr);
        Ok(())
    };
    kubectl(&["create", "namespace", namespace])?;
    kubectl(&[
        "--namespace",
        namespace,
        "create",
        "serviceaccount",
        "agent",
    ])?;
    for name in ["one", "two"] {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace},
            "spec": {"serviceAccountName": "agent", "containers": [{"name": "agent", "image": "agent"}]},
        });
        cluster.apply(&pod.to_string())?;
    }
    Ok(stage)
}

/// A token of the service account, bound to a pod where one is named.
fn token(cluster: &Cluster, namespace: &str, audience: &str, pod: Option<&str>) -> Result<String> {
    let mut arguments = vec!["--namespace", namespace, "create", "token", "agent"];
    if !audience.is_empty() {
        arguments.extend(["--audience", audience]);
    }
    if let Some(pod) = pod {
        arguments.extend(["--bound-object-kind", "Pod", "--bound-object-name", pod]);
    }
    let answer = cluster.kubectl("admin", &arguments)?;
    anyhow::ensure!(answer.code == 0, "{}", answer.stderr);
    Ok(answer.stdout.trim().to_owned())
}

fn exchanged(stage: &Stage, token: &str, key: Option<&Key>) -> Result<u16> {
    let proof = key.map(|key| key.proof(&stage.url("/oauth2/token"), None));
    let proof = proof.transpose()?;
    let headers: Vec<_> = proof.iter().map(|proof| ("dpop", proof.as_str())).collect();
    let form = [
        ("grant_type", EXCHANGE),
        ("subject_token", token),
        ("subject_token_type", JWT),
        ("charter", "ticket-router"),
        ("environment", "staging"),
        ("reason", "ticket 12"),
        ("grant", "read-tickets"),
    ];
    let (status, _) = stage.post("/oauth2/token", &headers, &form)?;
    Ok(status)
}

/// How the agents of the last tasks were proved.
fn evidence(stage: &Stage) -> Result<Vec<Value>> {
    let opened = stage
        .oncall
        .json(&["audit", "query", "--kind", "open-task"])?;
    let records = opened.as_array().into_iter().flatten();
    let bodies = records.map(|record| {
        let evidence = record.pointer("/command/task/evidence").cloned();
        evidence.with_context(|| record.to_string())
    });
    bodies.collect()
}

#[test]
fn t8_a_service_account_is_who_its_api_server_says_it_is_and_while_its_pod_lives() -> Result<()> {
    let Some(cluster) = Cluster::shared() else {
        eprintln!("NOT RUN: no API server is named; `cargo xtask test` starts one");
        return Ok(());
    };
    let namespace = "who-is-asking";
    let stage = believing(&cluster, namespace)?;
    let ours = |pod| token(&cluster, namespace, "lanyard-dev", pod);
    let first = ours(Some("one"))?;
    let key = Key::fresh()?;
    until(|| Ok(exchanged(&stage, &first, Some(&key))? == 200))?;
    let proved = evidence(&stage)?;
    let last = proved.last().context("no task")?;
    assert_eq!(last.get("method"), Some(&json!("token-review")), "{last}");
    assert_eq!(last.pointer("/claims/pod"), Some(&json!("one")), "{last}");
    assert!(last.pointer("/claims/pod_uid").is_some(), "{last}");

    // A token for the API server itself, and one for somebody else.
    assert_eq!(
        exchanged(&stage, &token(&cluster, namespace, "", None)?, None)?,
        401
    );
    assert_eq!(
        exchanged(&stage, &token(&cluster, namespace, "other", None)?, None)?,
        401
    );

    // A pod that is gone takes its tokens with it.
    let orphan = ours(Some("two"))?;
    let delete = [
        "delete",
        "pod",
        "two",
        "--namespace",
        namespace,
        "--force",
        "--grace-period=0",
    ];
    assert_eq!(cluster.kubectl("admin", &delete)?.code, 0);
    assert_eq!(exchanged(&stage, &orphan, Some(&Key::fresh()?))?, 401);
    assert!(stage.daemon.log().contains("the API server rejected it"));
    Ok(())
}

/// A stage whose operators are service accounts of this cluster.
fn operated(cluster: &Cluster, namespace: &str) -> Result<Stage> {
    let kubeconfig = cluster.kubeconfig("broker");
    let issuer = format!(
        "  - issuer: {ISSUER}\n    kind: agents\n    kubernetes: {{kubeconfig: {}}}\n    \
           operators: {{viewer: ['system:serviceaccount:{namespace}:looks'], \
             on-call: ['system:serviceaccount:{namespace}:stops']}}\n",
        kubeconfig.display()
    );
    let stage = Stage::believing(&[], &issuer)?;
    for arguments in [
        vec!["create", "namespace", namespace],
        vec!["-n", namespace, "create", "serviceaccount", "looks"],
        vec!["-n", namespace, "create", "serviceaccount", "stops"],
        vec!["-n", namespace, "create", "serviceaccount", "nobody"],
    ] {
        let answer = cluster.kubectl("admin", &arguments)?;
        anyhow::ensure!(answer.code == 0, "{}", answer.stderr);
    }
    for account in ["looks", "stops", "nobody"] {
        let create = [
            "-n",
            namespace,
            "create",
            "token",
            account,
            "--audience",
            "lanyard-dev",
        ];
        let token = cluster.kubectl("admin", &create)?;
        anyhow::ensure!(token.code == 0, "{}", token.stderr);
        let contexts = stage.directory.path().join("contexts");
        std::fs::write(contexts.join(format!("{account}.token")), token.stdout)?;
        let context = json!({"endpoint": stage.url(""), "ca_file": "../dev-ca.pem",
            "identity": {"token_file": format!("{account}.token")}});
        std::fs::write(
            contexts.join(format!("{account}.json")),
            context.to_string(),
        )?;
    }
    Ok(stage)
}

#[test]
fn people_look_and_stop_as_service_accounts_and_a_kill_waits_for_no_api_server() -> Result<()> {
    if Cluster::shared().is_none() {
        eprintln!("NOT RUN: no API server is named; `cargo xtask test` starts one");
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let own = Kubernetes::start(&directory.path().join("own"))?;
    let stage = operated(own.cluster(), "operators")?;
    let cli = |name: &str| stage.daemon.cli(name);
    until(|| Ok(cli("looks")?.run(&["status"])?.code == 0))?;
    let who = cli("looks")?.ok(&["whoami"])?;
    assert!(
        who.contains("system:serviceaccount:operators:looks"),
        "{who}"
    );
    // Each has its own role, and an account that no role names has none.
    let kill = [
        "kill",
        "--charter",
        "ticket-router",
        "--yes",
        "--reason",
        "it loops",
    ];
    assert_eq!(cli("looks")?.run(&kill)?.code, 3);
    assert_eq!(cli("nobody")?.run(&kill)?.code, 3);
    let refused = cli("nobody")?.run(&["status"])?;
    assert_ne!(refused.code, 0, "{refused:?}");
    // Without the API server.
    let token = std::fs::read_to_string(stage.directory.path().join("contexts/stops.token"))?;
    drop(own);
    let bearer = format!("Bearer {}", token.trim());
    let body = r#"{"scope":{"charter":"ticket-router"},"reason":"it loops"}"#;
    let headers = [("authorization", bearer.as_str())];
    let answer = stage.daemon.http("POST", "/v1/kill", &headers, body)?;
    assert!(answer.contains("\"fenced\":true"), "{answer}");
    let orders = stage.oncall.ok(&["kill", "list"])?;
    assert!(
        orders.contains("system:serviceaccount:operators:stops"),
        "{orders}"
    );
    Ok(())
}

#[test]
fn a_token_of_another_cluster_is_refused_and_keys_alone_are_enough_for_a_while() -> Result<()> {
    if Cluster::shared().is_none() {
        eprintln!("NOT RUN: no API server is named; `cargo xtask test` starts one");
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let (one, two) = (
        Kubernetes::start(&directory.path().join("one"))?,
        Kubernetes::start(&directory.path().join("two"))?,
    );
    let namespace = "who-is-asking";
    let stage = believing(one.cluster(), namespace)?;
    let other = believing(two.cluster(), namespace)?;
    drop(other);
    let good = token(one.cluster(), namespace, "lanyard-dev", Some("one"))?;
    let key = Key::fresh()?;
    until(|| Ok(exchanged(&stage, &good, Some(&key))? == 200))?;
    // The same issuer, account and pod, byte for byte; other keys.
    let foreign = token(two.cluster(), namespace, "lanyard-dev", Some("one"))?;
    assert_eq!(exchanged(&stage, &foreign, None)?, 401);

    let later = token(one.cluster(), namespace, "lanyard-dev", Some("two"))?;
    drop(one);
    assert_eq!(exchanged(&stage, &later, Some(&Key::fresh()?))?, 200);
    let proved = evidence(&stage)?;
    let methods: Vec<_> = proved.iter().filter_map(|one| one.get("method")).collect();
    assert_eq!(methods, [&json!("token-review"), &json!("cluster-keys")]);
    Ok(())
}

#[test]
fn a_jwt_svid_is_of_its_own_trust_domain_alone() -> Result<()> {
    let (acme, other) = (Key::fresh()?, Key::fresh()?);
    let bundle = |key: &Key| {
        let jwks: Value = serde_json::from_str(&key.jwks())?;
        let mut jwk = jwks.pointer("/keys/0").cloned().context("no key")?;
        if let Some(members) = jwk.as_object_mut() {
            members.insert("use".to_owned(), json!("jwt-svid"));
        }
        anyhow::Ok(json!({"keys": [jwk], "spiffe_sequence": 1}).to_string())
    };
    // One bundle is in a file, the other where a federated domain serves it.
    let mut stage = Stage::set()?;
    let endpoint = Provider::start(stage.directory.path(), Keys::Are(bundle(&other)?))?;
    let issuers = format!(
        "issuers:\n  - {{issuer: 'spiffe://acme.example', kind: agents, bundle_file: acme.json}}\n  \
         - issuer: spiffe://other.example\n    kind: agents\n    \
           bundle_endpoint: {{url: '{}/bundle', ca_file: dev-ca.pem}}\n",
        endpoint.url()
    );
    std::fs::write(stage.directory.path().join("acme.json"), bundle(&acme)?)?;
    let change = |config: String| config.replacen("issuers:\n", &issuers, 1);
    stage.daemon = stage.daemon.serve_again(change)?;
    stage.admit("    - spiffe: spiffe://acme.example/agents/*\n")?;
    let svid = |key: &Key, id: &str| {
        let claims = json!({"sub": id, "aud": ["lanyard-dev"], "exp": now()? + 120});
        anyhow::Ok(key.token(&claims))
    };
    let id = "spiffe://acme.example/agents/router";
    until(|| Ok(exchanged(&stage, &svid(&acme, id)?, None)? == 200))?;
    // Another trust domain says so, says it of itself, or says what is no ID.
    assert_eq!(exchanged(&stage, &svid(&other, id)?, None)?, 401);
    let elsewhere = "spiffe://other.example/agents/router";
    until(|| Ok(exchanged(&stage, &svid(&other, elsewhere)?, None)? == 403))?;
    assert_eq!(
        exchanged(
            &stage,
            &svid(&acme, "spiffe://acme.example@other.example/x")?,
            None
        )?,
        401
    );
    let proved = evidence(&stage)?;
    let method = proved.last().and_then(|it| it.get("method"));
    assert_eq!(method, Some(&json!("jwt-svid")));
    Ok(())
}

#[test]
fn a_workload_of_aws_is_who_sts_says_signed_its_request() -> Result<()> {
    let Some(aws) = Aws::shared() else {
        eprintln!("NOT RUN: no moto is named; `cargo xtask test` starts one");
        return Ok(());
    };
    let mut stage = Stage::set()?;
    let account = aws.account("who-is-asking", stage.directory.path())?;
    let number = account.plan_role.split(':').nth(4).context("no account")?;
    let lines = format!(
        "aws_identities: {{server_id: lanyard.acme.example, regions: [eu-west-1], accounts: ['{number}'], endpoint: '{}'}}\n\
         targets:",
        aws.url()
    );
    let change = |config: String| config.replacen("targets:", &lines, 1);
    stage.daemon = stage.daemon.serve_again(change)?;
    let context = |server: &str| {
        let context = json!({"endpoint": stage.url(""), "ca_file": "../dev-ca.pem",
            "identity": {"aws": {"region": "eu-west-1", "server_id": server}}});
        let name = stage
            .directory
            .path()
            .join(format!("contexts/{server}.json"));
        std::fs::write(name, context.to_string())
    };
    context("lanyard.acme.example")?;
    context("another.example")?;
    let credentials = std::fs::read_to_string(&account.credentials)?;
    let signing = |server: &str, secret: Option<&str>| -> Result<_> {
        let of = |name: &str| {
            let line = credentials.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split('=').nth(1));
            value.map(str::trim).context("no credentials")
        };
        let (id, own) = (of("aws_access_key_id")?, of("aws_secret_access_key")?);
        let environment = [
            ("AWS_ACCESS_KEY_ID", id),
            ("AWS_SECRET_ACCESS_KEY", secret.unwrap_or(own)),
        ];
        Ok(stage.daemon.cli(server)?.with(&environment))
    };
    let good = signing("lanyard.acme.example", None)?;
    // S5: whom no charter names is told so, and gets no session.
    let stranger = good.fails(4, &["whoami"])?;
    assert!(stranger.contains("no charter and no role"), "{stranger}");
    let agent =
        format!("    - issuer: aws:{number}\n      subject: 'arn:aws:iam::{number}:user/*'\n");
    stage.admit(&agent)?;
    let me = good.json(&["whoami"])?;
    let field = |name: &str| me.get(name).and_then(Value::as_str).unwrap_or_default();
    assert_eq!(field("issuer"), format!("aws:{number}"));
    assert!(
        field("subject").starts_with(&format!("arn:aws:iam::{number}:user/")),
        "{me}"
    );
    assert_eq!(field("proved_by"), "aws-caller-identity");
    // For another broker, and by nobody's key.
    signing("another.example", None)?.fails(4, &["whoami"])?;
    std::fs::remove_dir_all(stage.directory.path().join("contexts/state"))?;
    signing("lanyard.acme.example", Some("wrong"))?.fails(4, &["whoami"])?;
    Ok(())
}
