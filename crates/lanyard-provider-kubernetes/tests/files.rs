//! A kubeconfig, and the files that it names, where something else is in their place.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its footing gives way"
)]

use std::path::Path;

use lanyard_provider_kubernetes::Cluster;

fn pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

/// The test never writes to its pipes.
#[tokio::test]
async fn s16_a_pipe_in_the_place_of_a_kubeconfig_or_of_what_one_names_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (config, odd) = (folder.path().join("config"), folder.path().join("pipe"));
    pipe(&odd);
    let refused = Cluster::connect(Some(&odd), None).await;
    let line = refused.err().unwrap().to_string();
    assert!(line.contains("pipe` is not a plain file"), "{line}");
    for (cluster, user) in [
        ("certificate-authority: pipe", "token: t"),
        ("insecure-skip-tls-verify: true", "tokenFile: pipe"),
        (
            "insecure-skip-tls-verify: true",
            "client-certificate: pipe, client-key: key",
        ),
        (
            "insecure-skip-tls-verify: true",
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
