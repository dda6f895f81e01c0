//! A target on the fake, and the requests of these tests.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lanyard_charter::kinds::GitHubCredential;
use lanyard_charter::{Access, GitHubGrant, TargetKind};
use lanyard_core::lease::LeaseRef;
use lanyard_core::provider::{
    MintRequest, Minted, Provider as _, ProviderError, Revocation, Revoked,
};
use lanyard_provider_github::{
    AppKey, BranchRules, Client, GitHubProvider, GitHubTarget, SealingKeys,
};
use lanyard_rig::GitHub;
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use lanyard_vocabulary::time::Timestamp;
use tempfile::TempDir;

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
pub(crate) const KEY: &str = "k1 MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n";
pub(crate) const OTHER_KEY: &str = "k2 ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=\n";

pub(crate) struct Target {
    pub(crate) github: GitHub,
    pub(crate) provider: GitHubProvider,
    folder: TempDir,
    ids: Ids,
}

pub(crate) fn write(path: &Path, text: &str, mode: u32) {
    let mut options = std::fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(mode);
    let mut file = options.open(path).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}

impl Target {
    pub(crate) fn start() -> Self {
        let github = GitHub::start().unwrap();
        github.set_clock(NOW.as_secs());
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("sealing.keys");
        write(&keys, KEY, 0o600);
        Self {
            provider: provider(&github, &keys, BranchRules::Required),
            github,
            folder,
            ids: Ids::seeded(7),
        }
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.folder.path().join("sealing.keys")
    }

    /// Returns the provider of a restarted daemon.
    pub(crate) fn restarted(&self) -> GitHubProvider {
        provider(&self.github, &self.keys(), BranchRules::Required)
    }

    /// Returns the provider of the same app at another address.
    pub(crate) fn behind(&self, address: std::net::SocketAddr) -> GitHubProvider {
        let target = GitHubTarget {
            host: "https://github.com".to_owned(),
            branch_rules: BranchRules::Required,
        };
        let key = AppKey::read(self.github.app_id(), &self.github.private_key()).unwrap();
        let client = Client::new(&format!("http://{address}"), key, "acme").unwrap();
        let sealer = Arc::new(SealingKeys::read(&self.keys()).unwrap());
        GitHubProvider::new(target, client, sealer)
    }

    /// Makes a request to read the code of one repository for five minutes.
    pub(crate) fn request(&self) -> MintRequest {
        let now = Timestamp::from_secs(self.github.now());
        let task = world::task(&self.ids, now);
        let mut request = world::request(TargetKind::GITHUB, self.ids.lease(), &task, now);
        request.expires = now + Duration::from_secs(300);
        request
    }

    pub(crate) fn with(&self, change: impl FnOnce(&mut GitHubGrant)) -> MintRequest {
        let mut request = self.request();
        if let Some(grant) = request.rights.get_mut::<GitHubGrant>() {
            change(grant);
        }
        request
    }

    pub(crate) fn proposal(&self) -> MintRequest {
        self.with(|grant| {
            grant.proposes = true;
            grant.permissions = [
                ("contents".to_owned(), Access::Write),
                ("metadata".to_owned(), Access::Read),
                ("pull_requests".to_owned(), Access::Write),
            ]
            .into();
        })
    }

    pub(crate) async fn mint(&self, request: &MintRequest) -> Result<Minted, ProviderError> {
        let prepared = self.provider.prepare(request).unwrap();
        self.provider.mint(request, &prepared).await
    }

    /// Mints a lease, and returns it as the ledger has it after the answer.
    pub(crate) async fn lease(&self) -> (LeaseRef, Minted) {
        let request = self.request();
        let minted = self.mint(&request).await.unwrap();
        let mut reference = self.reference(&request);
        reference.handle = minted.handle.clone().unwrap();
        (reference, minted)
    }

    /// Returns a lease as the ledger has it before the answer.
    pub(crate) fn reference(&self, request: &MintRequest) -> LeaseRef {
        let prepared = self.provider.prepare(request).unwrap();
        LeaseRef {
            id: request.lease,
            task: request.task,
            handle: prepared.handle,
            asked: request.now,
            worst_expiry: prepared.worst_expiry,
            kill: None,
        }
    }

    pub(crate) async fn revoke(&self, lease: &LeaseRef) -> Result<Revoked, ProviderError> {
        revoke(&self.provider, lease, self.github.now()).await
    }

    pub(crate) async fn prove(&self, lease: &LeaseRef) -> Result<Revoked, ProviderError> {
        let proved = self
            .provider
            .finish_and_prove(std::slice::from_ref(lease))
            .await;
        let (id, outcome) = proved.into_iter().next().unwrap();
        assert_eq!(id, lease.id);
        outcome
    }

    pub(crate) fn call(&self, request: (&str, &str), token: &str) -> u16 {
        self.github.call(request, token, None).unwrap().0
    }

    /// Counts the requests with this method whose path ends with `end`.
    pub(crate) fn asked(&self, method: &str, end: &str) -> usize {
        let asked = self.github.asked();
        let such =
            |asked: &&lanyard_rig::Asked| asked.method == method && asked.target.ends_with(end);
        asked.iter().filter(such).count()
    }
}

pub(crate) async fn revoke(
    provider: &GitHubProvider,
    lease: &LeaseRef,
    now: u64,
) -> Result<Revoked, ProviderError> {
    let revocation = Revocation {
        now: Timestamp::from_secs(now),
        due: vec![lease.clone()],
        ..Revocation::default()
    };
    let report = provider.revoke(&revocation).await;
    let (id, outcome) = report.outcomes.into_iter().next().unwrap();
    assert_eq!(id, lease.id);
    outcome
}

pub(crate) fn client(github: &GitHub) -> Client {
    let key = AppKey::read(github.app_id(), &github.private_key()).unwrap();
    Client::new(&github.url(), key, github.owner()).unwrap()
}

pub(crate) fn provider(github: &GitHub, keys: &Path, branch_rules: BranchRules) -> GitHubProvider {
    let target = GitHubTarget {
        host: "https://github.com".to_owned(),
        branch_rules,
    };
    let sealer = Arc::new(SealingKeys::read(keys).unwrap());
    GitHubProvider::new(target, client(github), sealer)
}

pub(crate) fn token(minted: &Minted) -> &str {
    let Some(GitHubCredential { token, .. }) = minted.credential.get() else {
        unreachable!("a credential of another kind")
    };
    token.expose()
}
