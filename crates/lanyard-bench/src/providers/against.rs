//! The servers that are measured against. Each side has its own account, namespace or installation on the same server, so
//! that neither reads what the other wrote.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use lanyard_core::charter::{KubernetesGrant, KubernetesRights, Rights, TargetKind};
use lanyard_core::provider::Provider;
use lanyard_engine::clock::{Clock as _, SystemClock};
use lanyard_provider_aws::{Access, AwsProvider, AwsTarget, Sdk};
use lanyard_provider_kubernetes::{Cluster, KubernetesProvider, KubernetesTarget};
use lanyard_provider_token::status::Lists;
use lanyard_provider_token::{Keyring, TokenProvider};
use lanyard_testkit::world;

/// One server: what the daemon is told of it, and the provider of the bare client.
pub(super) struct Against {
    pub(super) name: &'static str,
    pub(super) kind: TargetKind,
    /// The rest of the charter's grant.
    pub(super) grant: String,
    /// The daemon's targets.
    pub(super) target: String,
    pub(super) environment: Vec<(&'static str, PathBuf)>,
    pub(super) provider: Box<dyn Provider>,
    pub(super) rights: Rights,
    /// What lasts as long as the measurement.
    _directory: Option<tempfile::TempDir>,
}

/// Every provider, or why it is not measured. One more is one more line here, and a function like those below.
pub(super) async fn all() -> Result<Vec<Result<Against, &'static str>>> {
    Ok(vec![
        Ok(token()?),
        match lanyard_rig::Aws::shared() {
            Some(aws) => Ok(on_moto(&aws).await?),
            None => Err("aws: no moto is named: run `cargo xtask bench providers`"),
        },
        match lanyard_rig::Cluster::shared() {
            Some(cluster) => Ok(on_kubernetes(&cluster).await?),
            None => Err("kubernetes: no API server is named: run `cargo xtask bench providers`"),
        },
        Err("vault: the daemon has no such target yet"),
        Err("github: the daemon has no such target yet"),
    ])
}

/// There is no server: the bare client signs in this process.
fn token() -> Result<Against> {
    let directory = tempfile::tempdir()?;
    let keyring = Keyring::load_or_create(directory.path(), SystemClock::default().now())?;
    let provider = TokenProvider::new(
        "https://bench.invalid".to_owned(),
        Arc::new(keyring),
        Arc::new(Lists::new(1)),
    );
    Ok(Against {
        name: "token, signed in the process",
        kind: TargetKind::Token,
        grant: "token: {target: tokens, audience: https://tickets.acme.example, scopes: [tickets.read]}"
            .to_owned(),
        target: "tokens: {kind: token}\n".to_owned(),
        environment: Vec::new(),
        provider: Box::new(provider),
        rights: world::rights(TargetKind::Token),
        _directory: Some(directory),
    })
}

async fn on_moto(aws: &lanyard_rig::Aws) -> Result<Against> {
    let directory = tempfile::tempdir()?;
    let of_broker = aws.account("bench-broker", directory.path())?;
    let of_bare = aws.account("bench-bare", directory.path())?;
    let region = "eu-west-1".to_owned();
    let access = Access {
        region: region.clone(),
        minter_profile: Some(of_bare.minter),
        revoker_profile: Some(of_bare.revoker),
        endpoint: Some(aws.url().to_owned()),
    };
    let target = AwsTarget {
        region,
        plan_role: of_bare.plan_role,
        apply_role: of_bare.apply_role,
        boundary: None,
        instance: "bare".to_owned(),
    };
    Ok(Against {
        name: "aws, on moto",
        kind: TargetKind::Aws,
        grant: "aws: {target: account, allow: [{actions: ['s3:GetObject', 's3:ListBucket'], resources: \
                ['arn:aws:s3:::tfstate-payments', 'arn:aws:s3:::tfstate-payments/*']}]}"
            .to_owned(),
        target: format!(
            "account: {{kind: aws, region: eu-west-1, endpoint: '{}', plan_role: '{}', apply_role: '{}', \
             minter_profile: {}, revoker_profile: {}}}\n",
            aws.url(),
            of_broker.plan_role,
            of_broker.apply_role,
            of_broker.minter,
            of_broker.revoker
        ),
        environment: vec![("AWS_SHARED_CREDENTIALS_FILE", of_broker.credentials)],
        provider: Box::new(AwsProvider::new(target, Sdk::connect(&access).await)),
        rights: world::rights(TargetKind::Aws),
        _directory: Some(directory),
    })
}

async fn on_kubernetes(cluster: &lanyard_rig::Cluster) -> Result<Against> {
    const TARGET: &str = "bench-bare-target";
    cluster.namespaces("bench-leases", "bench-target")?;
    cluster.namespaces("bench-bare-leases", TARGET)?;
    let kubeconfig = cluster.kubeconfig("broker");
    let bare = KubernetesTarget {
        namespace: "bench-bare-leases".to_owned(),
        cluster_roles: BTreeMap::new(),
    };
    let client = Cluster::connect(Some(&kubeconfig), None).await?;
    let Rights::Kubernetes(KubernetesGrant {
        rights: KubernetesRights::Rules(rules),
        ..
    }) = world::rights(TargetKind::Kubernetes)
    else {
        return Err(anyhow::anyhow!("the sample has no rules")).context("kubernetes");
    };
    Ok(Against {
        name: "kubernetes, on kube-apiserver",
        kind: TargetKind::Kubernetes,
        grant: "kubernetes: {target: cluster, namespace: bench-target, rules: [{apiGroups: [apps], resources: \
                [deployments], verbs: [get, list, watch]}]}"
            .to_owned(),
        target: format!(
            "cluster: {{kind: kubernetes, namespace: bench-leases, kubeconfig: {}}}\n",
            kubeconfig.display()
        ),
        environment: Vec::new(),
        provider: Box::new(KubernetesProvider::new(bare, client)),
        rights: Rights::Kubernetes(KubernetesGrant {
            namespace: TARGET.to_owned(),
            rights: KubernetesRights::Rules(rules),
        }),
        _directory: None,
    })
}
