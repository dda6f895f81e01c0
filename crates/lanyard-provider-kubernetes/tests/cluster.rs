//! The provider on a real Kubernetes API server, with only the rights of the broker.
//!
//! `cargo xtask test` starts the server; without it these tests print that they do not run.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use lanyard_charter::kinds::{Credential, KubernetesCredential};
use lanyard_charter::{KubernetesGrant, KubernetesRights, Rights, TargetKind};
use lanyard_core::provider::{MintRequest, Provider, ProviderError};
use lanyard_provider_kubernetes::{Cluster, KubernetesProvider, KubernetesTarget};
use lanyard_testkit::conformance::{self, Fault, Given, Played, Subject, Verdict};
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use lanyard_vocabulary::time::Timestamp;

struct Real {
    provider: KubernetesProvider<Cluster>,
    target: KubernetesTarget,
    cluster: lanyard_rig::Cluster,
    namespace: String,
    directory: tempfile::TempDir,
}

/// Returns namespaces for one test, so that tests do not share any.
async fn real(name: &str, pins: &[(&str, &str)]) -> Option<Real> {
    let Some(cluster) = lanyard_rig::Cluster::shared() else {
        eprintln!("NOT RUN: no API server is named; `cargo xtask test` starts one");
        return None;
    };
    let (home, namespace) = (format!("{name}-leases"), format!("{name}-target"));
    cluster.namespaces(&home, &namespace).unwrap();
    let api = Cluster::connect(Some(&cluster.kubeconfig("broker")), None)
        .await
        .unwrap();
    let pins = pins
        .iter()
        .map(|(role, digest)| ((*role).to_owned(), (*digest).to_owned()));
    let target = KubernetesTarget {
        namespace: home,
        cluster_roles: pins.collect::<BTreeMap<_, _>>(),
        baseline: Vec::new(),
    };
    Some(Real {
        provider: KubernetesProvider::new(target.clone(), api),
        target,
        cluster,
        namespace,
        directory: tempfile::tempdir().unwrap(),
    })
}

impl Real {
    /// Runs kubectl with only the credential.
    fn kubectl(&self, credential: &Credential, arguments: &[&str]) -> lanyard_rig::Answer {
        self.cluster
            .kubectl_with(&self.kubeconfig(credential), arguments)
            .unwrap()
    }

    fn kubeconfig(&self, credential: &Credential) -> PathBuf {
        let Some(KubernetesCredential {
            server,
            certificate_authority,
            namespace,
            token,
            ..
        }) = credential.get()
        else {
            unreachable!("a credential of another kind")
        };
        let at = (server.as_str(), certificate_authority.as_str());
        let folder = self.directory.path();
        lanyard_rig::Cluster::kubeconfig_of(folder, at, namespace, token.expose()).unwrap()
    }

    fn request(&self, seed: u64) -> MintRequest {
        let (ids, now) = (Ids::seeded(seed), self.now());
        let task = world::task(&ids, now);
        let kind = TargetKind::KUBERNETES;
        self.fit(world::request(kind, ids.lease(), &task, now))
    }

    async fn refused(&self, request: &MintRequest) -> String {
        let prepared = self.provider.prepare(request).unwrap();
        match self.provider.mint(request, &prepared).await {
            Err(
                error @ (ProviderError::Refused { .. }
                | ProviderError::Pending { .. }
                | ProviderError::Excessive { .. }),
            ) => error.to_string(),
            other => unreachable!("{other:?}"),
        }
    }
}

#[async_trait]
impl Subject for Real {
    fn provider(&self) -> &dyn Provider {
        &self.provider
    }

    async fn restarted(&self) -> Box<dyn Provider> {
        let kubeconfig = self.cluster.kubeconfig("broker");
        let api = Cluster::connect(Some(&kubeconfig), None).await.unwrap();
        Box::new(KubernetesProvider::new(self.target.clone(), api))
    }

    fn server(&self) -> &'static str {
        "kube-apiserver"
    }

    fn kind(&self) -> TargetKind {
        TargetKind::KUBERNETES
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a real server has the real clock"
    )]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap())
    }

    fn fit(&self, mut request: MintRequest) -> MintRequest {
        if let Some(grant) = request.rights.get_mut::<KubernetesGrant>() {
            grant.namespace.clone_from(&self.namespace);
        }
        request
    }

    async fn used(&self, credential: &Credential) -> Verdict {
        let answer = self.kubectl(credential, &["get", "deployments"]);
        if answer.code == 0 {
            return Verdict::Accepted;
        }
        let words = ["Forbidden", "Unauthorized", "must be logged in"];
        let said = words.iter().any(|word| answer.stderr.contains(word));
        assert!(said, "refused for another reason: {}", answer.stderr);
        Verdict::Refused
    }

    async fn pass(&self, until: Timestamp) -> Result<(), Played> {
        if until.since(self.now()) > POLLING_TIME {
            return Err(Played::NotHere(
                "the shortest token lives ten minutes, and the server's clock cannot be moved",
            ));
        }
        while self.now() < until {
            self.cluster.kubectl("admin", &["version"]).unwrap();
        }
        Ok(())
    }

    async fn fault(&self, _fault: Fault<'_>) -> Result<(), Played> {
        Err(Played::NotHere("a real API server carries out every call"))
    }

    fn lists(&self) -> Given {
        Ok(())
    }

    fn probes(&self) -> Given {
        Ok(())
    }
}

/// The time for which the server is asked for its time.
const POLLING_TIME: Duration = Duration::from_secs(5);

#[tokio::test]
async fn the_provider_passes_the_conformance_suite() {
    let Some(real) = real("conformance", &[]).await else {
        return;
    };
    conformance::all(&real, 11).await;
    // A shared Role belongs to no single lease: a kill of the target deletes it.
    let left = ["rolebindings", "serviceaccounts", "secrets"].map(|kind| {
        let selector = "app.kubernetes.io/managed-by=lanyardd";
        let all = ["get", kind, "-A", "-l", selector, "--no-headers"];
        let listed = real.cluster.kubectl("admin", &all).unwrap();
        listed.stdout.matches("conformance-").count()
    });
    assert_eq!(left, [0; 3], "nothing of a lease is left in the cluster");
}

#[tokio::test]
async fn a_token_reads_what_was_granted_and_nothing_else() {
    let Some(real) = real("narrow", &[]).await else {
        return;
    };
    let request = real.request(12);
    let prepared = real.provider.prepare(&request).unwrap();
    let minted = real.provider.mint(&request, &prepared).await.unwrap();
    let read = real.kubectl(&minted.credential, &["get", "deployments"]);
    assert_eq!(read.code, 0, "{}", read.stderr);
    for denied in [
        &["delete", "deployment", "web"][..],
        &["get", "secrets"],
        &["get", "deployments", "-n", "default"],
        &["create", "token", "default"],
    ] {
        let answer = real.kubectl(&minted.credential, denied);
        assert!(
            answer.stderr.contains("orbidden"),
            "{denied:?}: {}",
            answer.stderr
        );
    }
}

#[tokio::test]
async fn a_lease_below_the_minimum_lifetime_ends_by_deletion() {
    let Some(real) = real("short", &[]).await else {
        return;
    };
    let mut request = real.request(13);
    request.expires = request.now + Duration::from_secs(60);
    let prepared = real.provider.prepare(&request).unwrap();
    let minted = real.provider.mint(&request, &prepared).await.unwrap();
    assert!(minted.expires > request.now + Duration::from_secs(590));
    assert!(minted.expires <= prepared.worst_expiry);
}

/// T79: another party gave a right to every service account of the broker's namespace.
#[tokio::test]
async fn t79_rights_beyond_the_grant_are_refused() {
    let Some(real) = real("wider", &[]).await else {
        return;
    };
    let manifest = "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\n\
        metadata: {name: too-much, namespace: wider-target}\n\
        rules: [{apiGroups: [''], resources: [secrets], verbs: [get]}]\n---\n\
        apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\n\
        metadata: {name: too-much, namespace: wider-target}\n\
        roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: too-much}\n\
        subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: 'system:serviceaccounts:wider-leases'}]\n";
    real.cluster.apply(manifest).unwrap();
    let why = real.refused(&real.request(14)).await;
    assert!(why.contains("more than was granted: get secrets"), "{why}");
}

/// Gives the broker the right to bind one ClusterRole.
const MAY_BIND: &str = "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: lanyardd-binds-readers}
rules: [{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], verbs: [bind], resourceNames: [readers]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: lanyardd-binds-readers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: lanyardd-binds-readers}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: lanyardd}]
";

fn cluster_role(real: &Real, rules: &str) {
    let manifest = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: readers}\nrules: ";
    real.cluster.apply(&format!("{manifest}{rules}\n")).unwrap();
}

#[tokio::test]
async fn t36_a_cluster_role_must_match_its_pinned_digest() {
    let Some(first) = real("pinned", &[("readers", "sha256:another")]).await else {
        return;
    };
    let mut request = first.request(15);
    request.rights = Rights::from(KubernetesGrant {
        namespace: first.namespace.clone(),
        rights: KubernetesRights::ClusterRole("readers".to_owned()),
        destructive: std::collections::BTreeSet::new(),
    });
    let pinned = |why: &str| {
        let mut words = why.split([' ', ',']);
        words
            .find(|word| word.starts_with("sha256:"))
            .unwrap()
            .to_owned()
    };
    assert!(first.refused(&request).await.contains("does not exist"));

    cluster_role(
        &first,
        "[{apiGroups: [''], resources: [pods], verbs: [get, delete]}]",
    );
    let digest = pinned(&first.refused(&request).await);
    let writes = real("pinned", &[("readers", &digest)]).await.unwrap();
    let why = writes.refused(&request).await;
    assert!(why.contains("it holds delete"), "{why}");

    cluster_role(
        &first,
        "[{apiGroups: [apps], resources: [deployments], verbs: [get, list]}]",
    );
    let digest = pinned(&first.refused(&request).await);
    first.cluster.apply(MAY_BIND).unwrap();
    let reads = real("pinned", &[("readers", &digest)]).await.unwrap();
    let prepared = reads.provider.prepare(&request).unwrap();
    let minted = reads.provider.mint(&request, &prepared).await.unwrap();
    assert_eq!(reads.used(&minted.credential).await, Verdict::Accepted);

    cluster_role(
        &first,
        "[{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]",
    );
    request.lease = Ids::seeded(16).lease();
    assert!(reads.refused(&request).await.contains("pins"));
}

#[tokio::test]
async fn a_missing_right_is_reported_in_the_api_servers_words() {
    let Some(real) = real("outside", &[]).await else {
        return;
    };
    let mut request = real.request(17);
    if let Some(grant) = request.rights.get_mut::<KubernetesGrant>() {
        "kube-system".clone_into(&mut grant.namespace);
    }
    let why = real.refused(&request).await;
    assert!(
        why.contains("cannot create resource \"roles\"") && why.contains("kube-system"),
        "{why}"
    );
}

#[tokio::test]
async fn s27_the_time_is_read_from_the_api_server() {
    let Some(real) = real("time", &[]).await else {
        return;
    };
    let before = real.now().as_secs();
    let told = real.provider.read_clock().await.unwrap().unwrap();
    let after = real.now().as_secs();
    assert!((before..=after).contains(&told.as_secs()), "{told}");
}
