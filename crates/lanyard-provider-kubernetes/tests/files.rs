//! A kubeconfig and the files that it names: read as kubectl reads them, or refused.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lanyard_provider_kubernetes::Cluster;
use lanyard_provider_kubernetes::api::{Endpoint, KubernetesApi as _};

fn pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

/// The test never writes to its pipes.
#[tokio::test]
async fn s16_a_pipe_as_kubeconfig_or_as_its_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (config, odd) = (folder.path().join("config"), folder.path().join("pipe"));
    pipe(&odd);
    let refused = Cluster::connect(Some(&odd), None).await;
    let line = refused.err().unwrap().to_string();
    assert!(line.contains("pipe` is not a plain file"), "{line}");
    for (cluster, user) in [
        ("certificate-authority: pipe", "token: t"),
        ("tls-server-name: c", "tokenFile: pipe"),
        (
            "tls-server-name: c",
            "client-certificate: pipe, client-key: key",
        ),
        (
            "tls-server-name: c",
            "client-certificate: config, client-key: pipe",
        ),
    ] {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n\
             clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:1', {cluster}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
        );
        std::fs::write(&config, text).unwrap();
        let refused = Cluster::connect(Some(&config), None).await;
        let line = refused.err().unwrap().to_string();
        assert!(line.contains("pipe` is not a plain file"), "{line}");
    }
}

/// Renders a kubeconfig with this cluster and this user.
fn kubeconfig(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts:\n- name: x\n  context: {{cluster: c, user: u}}\n\
         clusters:\n- name: c\n  cluster:\n{cluster}users:\n- name: u\n  user:\n{user}"
    )
}

async fn connected(text: &str, context: Option<&str>) -> Result<Endpoint, String> {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    std::fs::write(&config, text).unwrap();
    let connected = Cluster::connect(Some(&config), context).await;
    let looked = lanyard_provider_kubernetes::look(Some(&config), context).await;
    assert_eq!(looked.is_ok(), connected.is_ok(), "{text}");
    let connected = connected.map_err(|error| error.to_string())?;
    Ok(connected.endpoint())
}

#[tokio::test]
async fn c36_an_empty_field_of_a_kubeconfig_is_an_absent_one() {
    let cluster = "    server: https://api.acme.example:6443\n    certificate-authority: ''\n    certificate-authority-data:\n    \
                   proxy-url: ''\n    tls-server-name: ''\n    insecure-skip-tls-verify: false\n";
    let user = "    token: ''\n    tokenFile: ''\n    client-certificate: ''\n    client-certificate-data: ''\n    client-key: ''\n    \
                client-key-data: ''\n    username: ''\n    password: ''\n    as: ''\n    exec: {apiVersion: \
                client.authentication.k8s.io/v1, command: 'true', args: null, env: null, interactiveMode: IfAvailable}\n";
    let read = lanyard_provider_kubernetes::look;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    std::fs::write(&config, kubeconfig(cluster, user)).unwrap();
    // The plugin stays the only credential: `look` does not run it.
    read(Some(&config), None).await.unwrap();
    let empty = cluster.replace(
        "certificate-authority-data:",
        "certificate-authority-data: ''",
    );
    let without_exec = user.split("    exec:").next().unwrap();
    for cluster in [cluster, &empty] {
        let endpoint = connected(&kubeconfig(cluster, without_exec), None)
            .await
            .unwrap();
        assert_eq!(endpoint.certificate_authority, "");
        assert_eq!(endpoint.tls_server_name, "");
        assert_eq!(endpoint.proxy_url, "");
    }
}

#[tokio::test]
async fn c36_base64_in_lines_is_read_as_kubectl_reads_it() {
    let made = rcgen::generate_simple_self_signed(["api.acme.example".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let lines = |text: &str| {
        let encoded = STANDARD.encode(text);
        let lines = encoded
            .as_bytes()
            .chunks(76)
            .map(|line| str::from_utf8(line).unwrap());
        lines
            .map(|line| format!("        {line}\n"))
            .collect::<String>()
    };
    let cluster = format!(
        "    server: https://api.acme.example:6443\n    certificate-authority-data: |\n{}",
        lines(&certificate)
    );
    let user = format!(
        "    client-certificate-data: |\n{}    client-key-data: |\n{}",
        lines(&certificate),
        lines(&key)
    );
    let endpoint = connected(&kubeconfig(&cluster, &user), None).await.unwrap();
    assert_eq!(
        endpoint.certificate_authority.replace("\r\n", "\n").trim(),
        certificate.replace("\r\n", "\n").trim()
    );
}

#[tokio::test]
async fn c36_an_unverified_server_is_refused() {
    let token = "    token: t\n";
    for (cluster, why) in [
        (
            "    server: https://api.acme.example:6443\n    insecure-skip-tls-verify: true\n",
            "`insecure-skip-tls-verify` for `https://api.acme.example:6443`",
        ),
        (
            "    server: https://127.0.0.1:6443\n    insecure-skip-tls-verify: true\n    tls-server-name: api\n",
            "certificate-authority-data",
        ),
        (
            "    server: http://api.acme.example:8080\n",
            "`http://api.acme.example:8080` of the kubeconfig is not https",
        ),
        (
            "    server: http://10.0.0.1\n    insecure-skip-tls-verify: true\n",
            "is not https",
        ),
    ] {
        let refused = connected(&kubeconfig(cluster, token), None)
            .await
            .unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
    // The address at which `kubectl proxy` listens.
    for here in [
        "http://127.0.0.1:8001",
        "http://localhost:8001",
        "http://[::1]:8001",
    ] {
        let cluster = format!("    server: {here}\n");
        connected(&kubeconfig(&cluster, token), None).await.unwrap();
    }
}

#[tokio::test]
async fn c36_a_server_below_a_path_keeps_the_path() {
    // The URL of a cluster behind Rancher's proxy.
    let server = "https://rancher.acme.example/k8s/clusters/c-m-7x9k2v";
    let cluster = format!("    server: {server}\n");
    let endpoint = connected(&kubeconfig(&cluster, "    token: t\n"), None)
        .await
        .unwrap();
    assert_eq!(endpoint.server, server);
}

#[tokio::test]
async fn c36_a_missing_context_is_reported_with_the_existing_ones() {
    let of = |current: &str| {
        kubeconfig("    server: https://127.0.0.1:1\n", "    token: t\n")
            .replace("current-context: x", current)
    };
    for (text, context, why) in [
        (
            of("current-context: ''"),
            None,
            "no current context: name one of its contexts with `context` (`x`)",
        ),
        (
            of("kind: Config").replacen("kind: Config\n", "", 1),
            None,
            "no current context",
        ),
        (
            of("current-context: prod"),
            None,
            "no context `prod`: name one of its contexts with `context` (`x`)",
        ),
        (of("current-context: x"), Some("shop"), "no context `shop`"),
        (
            "apiVersion: v1\nkind: Config\nclusters: null\ncontexts: null\nusers: null\n"
                .to_owned(),
            None,
            "(it has none)",
        ),
        (String::new(), None, "(it has none)"),
    ] {
        let refused = connected(&text, context).await.unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
    connected(&of("current-context: ''"), Some("x"))
        .await
        .unwrap();
}
