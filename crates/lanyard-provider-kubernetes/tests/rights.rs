//! A charter allows exactly what the API server allows. Every valid charter of the corpus is minted
//! on a real server and compared with the output of `kubectl auth can-i --list` for its token.
//!
//! `cargo xtask test` starts a server; without it these tests print that they do not run.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use lanyard_charter::kinds::KubernetesCredential;
use lanyard_charter::{
    Charter, Grant, KubernetesGrant, KubernetesRights, Usage, World, is_charter_file, parse,
};
use lanyard_core::provider::{MintRequest, Provider};
use lanyard_core::question::{Question, ask, mint_request};
use lanyard_provider_kubernetes::{Cluster, KubernetesProvider, KubernetesTarget};
use lanyard_testkit::ids::Ids;
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::time::Timestamp;

const VERBS: &[&str] = &[
    "get", "list", "watch", "create", "update", "patch", "delete",
];
/// Resources that are asked about for every grant, in addition to the grant's own.
const RESOURCES: &[(&str, &str)] = &[
    ("apps", "deployments"),
    ("apps", "deployments/scale"),
    ("apps", "statefulsets"),
    ("batch", "jobs"),
    ("", "configmaps"),
    ("", "nodes"),
    ("", "pods"),
    ("", "pods/eviction"),
    ("", "pods/log"),
    ("", "secrets"),
];
const NAMES: &[Option<&str>] = &[None, Some("api"), Some("other")];

#[expect(
    clippy::disallowed_methods,
    reason = "a real server has the real clock"
)]
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_secs(since.as_secs())
}

fn charters() -> Vec<Charter> {
    let declared = include_str!("../../../tests/charters/lanyard.yaml");
    let world = World::of_configuration(declared).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/charters/good");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let texts = files
        .filter(|path| is_charter_file(path))
        .map(|path| std::fs::read_to_string(path).unwrap());
    texts
        .map(|text| parse(&text, &world).unwrap().charter.on_a_good_day())
        .collect()
}

/// A line of `kubectl auth can-i --list`.
struct Row {
    resource: String,
    names: BTreeSet<String>,
    verbs: BTreeSet<String>,
}

impl Row {
    /// Parses `deployments.apps   []   [api worker]   [get patch]`; `None` for the heading and for
    /// lines about URLs.
    fn of(line: &str) -> Option<Self> {
        let (resource, rest) = line.split_once('[')?;
        let mut groups = rest
            .split('[')
            .map(|group| group.split(']').next().unwrap_or_default());
        let mut words = || {
            let words = groups.next().unwrap_or_default().split_whitespace();
            words.map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let (_urls, names, verbs) = (words(), words(), words());
        let resource = resource.trim().to_owned();
        (!resource.is_empty()).then_some(Self {
            resource,
            names,
            verbs,
        })
    }

    fn allows(&self, verb: &str, resource: &str, name: Option<&str>) -> bool {
        let named = name.is_some_and(|name| self.names.contains(name));
        self.resource == resource && self.verbs.contains(verb) && (self.names.is_empty() || named)
    }
}

/// Renders `deployments/scale` of group `apps` as kubectl does: `deployments.apps/scale`.
fn written(group: &str, resource: &str) -> String {
    match (group, resource.split_once('/')) {
        ("", _) => resource.to_owned(),
        (_, None) => format!("{resource}.{group}"),
        (_, Some((kind, sub))) => format!("{kind}.{group}/{sub}"),
    }
}

struct Real {
    provider: KubernetesProvider<Cluster>,
    cluster: lanyard_rig::Cluster,
    namespace: &'static str,
    directory: tempfile::TempDir,
}

impl Real {
    /// Returns the rights that the API server lists for a lease of this grant.
    async fn rows(&self, mut request: MintRequest) -> Vec<Row> {
        if let Some(grant) = request.rights.get_mut::<KubernetesGrant>() {
            self.namespace.clone_into(&mut grant.namespace);
        }
        let prepared = self.provider.prepare(&request).unwrap();
        let minted = self.provider.mint(&request, &prepared).await.unwrap();
        let Some(KubernetesCredential {
            server,
            certificate_authority,
            token,
            ..
        }) = minted.credential.get()
        else {
            unreachable!("a credential of another kind")
        };
        let at = (server.as_str(), certificate_authority.as_str());
        let folder = self.directory.path();
        let file = lanyard_rig::Cluster::kubeconfig_of(folder, at, self.namespace, token.expose());
        let file = file.unwrap();
        let answer = self
            .cluster
            .kubectl_with(&file, &["auth", "can-i", "--list"])
            .unwrap();
        assert_eq!(answer.code, 0, "{answer:?}");
        answer.stdout.lines().filter_map(Row::of).collect()
    }
}

fn resources(grant: &KubernetesGrant) -> BTreeSet<(String, String)> {
    let usual = RESOURCES
        .iter()
        .map(|(group, resource)| ((*group).to_owned(), (*resource).to_owned()));
    let mut all: BTreeSet<_> = usual.collect();
    if let KubernetesRights::Rules(rules) = &grant.rights {
        for rule in rules {
            for group in &rule.api_groups {
                all.extend(
                    rule.resources
                        .iter()
                        .map(|resource| (group.clone(), resource.clone())),
                );
            }
        }
    }
    all
}

/// Compares the answers to every request; returns how many were allowed and how many denied.
fn compare(
    charter: &Charter,
    grant: &Grant,
    rights: &KubernetesGrant,
    rows: &[Row],
) -> (usize, usize) {
    let environment = grant.environments.first().unwrap();
    let usual = Question::usual(charter, grant, environment);
    let (mut allowed, mut denied) = (0, 0);
    for (group, resource) in resources(rights) {
        for verb in VERBS {
            for name in NAMES {
                let object = name.map(|name| format!("/{name}")).unwrap_or_default();
                let usage = Usage {
                    action: (*verb).to_owned(),
                    resource: format!("{resource}.{group}{object}"),
                    ..Usage::default()
                };
                let question = Question {
                    usage: Some(usage),
                    ..usual.clone()
                };
                let ours = ask(charter, &question, now()).verdict.is_ok();
                let theirs = rows
                    .iter()
                    .any(|row| row.allows(verb, &written(&group, &resource), *name));
                assert_eq!(
                    ours, theirs,
                    "{} {}: {verb} {resource} of {group:?}, {name:?}",
                    charter.name, grant.name
                );
                if ours { allowed += 1 } else { denied += 1 }
            }
        }
    }
    (allowed, denied)
}

#[tokio::test]
async fn a_charter_allows_what_the_api_server_allows() {
    let Some(cluster) = lanyard_rig::Cluster::shared() else {
        eprintln!("NOT RUN: no API server is named; `cargo xtask test` starts one");
        return;
    };
    let (home, namespace) = ("rights-leases", "rights-target");
    cluster.namespaces(home, namespace).unwrap();
    let api = Cluster::connect(Some(&cluster.kubeconfig("broker")), None)
        .await
        .unwrap();
    let target = KubernetesTarget {
        namespace: home.to_owned(),
        cluster_roles: std::collections::BTreeMap::new(),
        baseline: Vec::new(),
    };
    let real = Real {
        provider: KubernetesProvider::new(target, api),
        cluster,
        namespace,
        directory: tempfile::tempdir().unwrap(),
    };
    let (ids, mut grants, mut allowed, mut denied) = (Ids::seeded(1), 0, 0, 0);
    for charter in charters() {
        for grant in charter.grants.values() {
            let Some(rights) = grant.rights.get::<KubernetesGrant>() else {
                continue;
            };
            let question = Question::usual(&charter, grant, grant.environments.first().unwrap());
            let mut request = mint_request(&charter, &question, now()).unwrap();
            let lease: LeaseId = ids.lease();
            request.lease = lease;
            let rows = real.rows(request).await;
            let (yes, no) = compare(&charter, grant, rights, &rows);
            (grants, allowed, denied) = (grants + 1, allowed + yes, denied + no);
        }
    }
    assert!(
        grants > 3 && allowed > 10 && denied > 100,
        "{grants}, {allowed}, {denied}"
    );
    eprintln!("{grants} grants, {allowed} requests allowed, {denied} denied");
}
