//! The servers on which both sides are measured. Each side has its own account, namespace or
//! installation on the same server, so that neither reads the other's objects.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use lanyard_charter::{
    KubernetesGrant, KubernetesRights, Rights, TargetKind, VaultGives, VaultGrant,
};
use lanyard_core::provider::Provider;
use lanyard_engine::clock::{Clock as _, SystemClock};
use lanyard_provider_aws::{Access, AwsProvider, AwsTarget, Sdk};
use lanyard_provider_github::{
    AppKey, BranchRules, Client, GitHubProvider, GitHubTarget, SealingKeys,
};
use lanyard_provider_kubernetes::{Cluster, KubernetesProvider, KubernetesTarget};
use lanyard_provider_token::status::Lists;
use lanyard_provider_token::{Keyring, TokenProvider};
use lanyard_provider_vault::api::Endpoint;
use lanyard_provider_vault::{Login, Server, VaultProvider, VaultTarget};
use lanyard_testkit::world;

/// A server: the daemon's configuration for it, and the provider of the bare client.
pub(super) struct Against {
    pub(super) name: &'static str,
    pub(super) kind: TargetKind,
    /// The part of the charter's grant that depends on the provider.
    pub(super) grant: String,
    /// The entry of the daemon's targets file.
    pub(super) target: String,
    pub(super) environment: Vec<(&'static str, PathBuf)>,
    pub(super) provider: Box<dyn Provider>,
    pub(super) rights: Rights,
    /// Files that the provider reads during the measurement.
    _directory: Option<tempfile::TempDir>,
}

/// Returns every provider, or why it is not measured. A further provider needs one more line here,
/// and a function like those below.
pub(super) async fn all() -> Result<Vec<Result<Against, &'static str>>> {
    Ok(vec![
        Ok(token()?),
        match lanyard_rig::Aws::shared() {
            Some(aws) => Ok(on_moto(&aws).await?),
            None => Err("aws: no moto is configured: run `cargo xtask bench providers`"),
        },
        match lanyard_rig::Cluster::shared() {
            Some(cluster) => Ok(on_kubernetes(&cluster).await?),
            None => {
                Err("kubernetes: no API server is configured: run `cargo xtask bench providers`")
            }
        },
        match lanyard_rig::Vault::shared() {
            Some(vault) => Ok(on_vault(&vault)?),
            None => Err("vault: no Vault is configured: run `cargo xtask bench providers`"),
        },
        Ok(on_github()?),
    ])
}

/// Sets up the token provider. It has no server: the bare client signs in this process.
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
        kind: TargetKind::TOKEN,
        grant: "token: {target: tokens, audience: https://tickets.acme.example, scopes: [tickets.read]}"
            .to_owned(),
        target: "tokens: {kind: token}\n".to_owned(),
        environment: Vec::new(),
        provider: Box::new(provider),
        rights: world::rights(TargetKind::TOKEN),
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
        kind: TargetKind::AWS,
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
        rights: world::rights(TargetKind::AWS),
        _directory: Some(directory),
    })
}

fn on_vault(vault: &lanyard_rig::Vault) -> Result<Against> {
    const POLICY: &str = "payments-bench";
    let directory = tempfile::tempdir()?;
    vault.policy(
        POLICY,
        "path \"kv/data/payments\" { capabilities = [\"read\"] }\n",
    )?;
    let (of_broker, of_bare) = (vault.broker("bench-broker")?, vault.broker("bench-bare")?);
    let file = |name: &str, secret: &str| {
        let file = directory.path().join(name);
        std::fs::write(&file, secret)?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
        anyhow::Ok(file)
    };
    let (broker_file, bare_file) = (
        file("broker", &of_broker.secret_id)?,
        file("bare", &of_bare.secret_id)?,
    );
    let endpoint = Endpoint {
        address: vault.url(),
        namespace: String::new(),
        certificate_authority: String::new(),
    };
    let login = Login::AppRole {
        mount: "approle".to_owned(),
        role_id: of_bare.role_id,
        secret_id_file: bare_file,
    };
    let target = VaultTarget {
        token_role: of_bare.token_role,
        parent_role: of_bare.parent_role,
        reading: BTreeSet::new(),
    };
    Ok(Against {
        name: "vault, on Vault in memory",
        kind: TargetKind::VAULT,
        grant: format!("vault: {{target: vault, policies: [{POLICY}]}}"),
        target: format!(
            "vault: {{kind: vault, address: '{}', token_role: {}, parent_role: {}, \
             login: {{kind: approle, role_id: {}, secret_id_file: '{}'}}}}\n",
            vault.url(),
            of_broker.token_role,
            of_broker.parent_role,
            of_broker.role_id,
            broker_file.display()
        ),
        environment: Vec::new(),
        provider: Box::new(VaultProvider::new(target, Server::new(endpoint, login)?)),
        rights: Rights::from(VaultGrant {
            policies: [POLICY.to_owned()].into(),
            gives: VaultGives::Token { uses: None },
        }),
        _directory: Some(directory),
    })
}

fn on_github() -> Result<Against> {
    let directory = tempfile::tempdir()?;
    // The server ends with the process.
    let github = Box::leak(Box::new(lanyard_rig::GitHub::start()?));
    let keys = directory.path().join("sealing.keys");
    std::fs::write(
        &keys,
        "bench AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
    )?;
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o600))?;
    let key = AppKey::read(github.app_id(), &github.private_key())?;
    let client = Client::new(&github.url(), key, github.owner())?;
    let target = GitHubTarget {
        host: "https://github.com".to_owned(),
        branch_rules: BranchRules::Required,
    };
    let sealing = Arc::new(SealingKeys::read(&keys)?);
    Ok(Against {
        name: "github, on a fake",
        kind: TargetKind::GITHUB,
        grant: "github: {target: code, repositories: [payments], permissions: {contents: read}}"
            .to_owned(),
        target: format!(
            "code: {{kind: github, api: '{}', app_id: '{}', private_key: '{}', owner: {}, sealing_keys: '{}'}}\n",
            github.url(),
            github.app_id(),
            github.private_key().display(),
            github.owner(),
            keys.display()
        ),
        environment: Vec::new(),
        provider: Box::new(GitHubProvider::new(target, client, sealing)),
        rights: world::rights(TargetKind::GITHUB),
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
        baseline: Vec::new(),
    };
    let client = Cluster::connect(Some(&kubeconfig), None).await?;
    let rights = world::rights(TargetKind::KUBERNETES);
    let grant = rights.get::<KubernetesGrant>();
    let Some(KubernetesRights::Rules(rules)) = grant.map(|grant| &grant.rights) else {
        return Err(anyhow::anyhow!("the sample has no rules")).context("kubernetes");
    };
    Ok(Against {
        name: "kubernetes, on kube-apiserver",
        kind: TargetKind::KUBERNETES,
        grant: "kubernetes: {target: cluster, namespace: bench-target, rules: [{apiGroups: [apps], resources: \
                [deployments], verbs: [get, list, watch]}]}"
            .to_owned(),
        target: format!(
            "cluster: {{kind: kubernetes, namespace: bench-leases, kubeconfig: {}}}\n",
            kubeconfig.display()
        ),
        environment: Vec::new(),
        provider: Box::new(KubernetesProvider::new(bare, client)),
        rights: Rights::from(KubernetesGrant {
            namespace: TARGET.to_owned(),
            rights: KubernetesRights::Rules(rules.clone()),
            destructive: std::collections::BTreeSet::new(),
        }),
        _directory: None,
    })
}
