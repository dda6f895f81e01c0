//! A broker for each test on a real server.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![allow(
    dead_code,
    reason = "each test file is a program of its own, and none needs all of it"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use lanyard_charter::kinds::{Credential, VaultCredential};
use lanyard_charter::{Rights, TargetKind, VaultGives, VaultGrant};
use lanyard_core::lease::LeaseRef;
use lanyard_core::provider::{MintRequest, Minted, Provider, ProviderError, Revocation, Revoked};
use lanyard_provider_vault::api::Endpoint;
use lanyard_provider_vault::{Login, Server, VaultProvider, VaultTarget};
use lanyard_rig::{AppRole, Vault};
use lanyard_testkit::conformance::{Fault, Given, Played, Subject, Verdict};
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::Timestamp;
use serde_json::Value;

/// A path that the policy `payments-read` allows to read.
pub(crate) const PATH: &str = "kv/data/payments";
const READ: &str = "path \"kv/data/payments\" {\n  capabilities = [\"read\"]\n}\n";

pub(crate) struct Real {
    pub(crate) provider: VaultProvider<Server>,
    pub(crate) vault: Vault,
    pub(crate) broker: AppRole,
    pub(crate) directory: tempfile::TempDir,
}

/// A broker on the server that all tests share.
pub(crate) fn shared(name: &str) -> Option<Real> {
    let Some(vault) = Vault::shared() else {
        eprintln!("NOT RUN: no Vault is named; `cargo xtask test` starts one");
        return None;
    };
    Some(Real::on(&vault, name, &[]))
}

impl Real {
    pub(crate) fn on(vault: &Vault, name: &str, reading: &[&str]) -> Self {
        Self::within(vault, name, reading, "")
    }

    pub(crate) fn within(vault: &Vault, name: &str, reading: &[&str], namespace: &str) -> Self {
        let broker = vault.broker(name).unwrap();
        vault.policy("payments-read", READ).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let login = login(&broker, directory.path());
        Self {
            provider: provider(vault, &broker, login, reading, namespace),
            vault: vault.clone(),
            broker,
            directory,
        }
    }

    /// Makes a request with a lease and an epoch of its own.
    pub(crate) fn request(&self, seed: u64) -> MintRequest {
        let (ids, now) = (Ids::seeded(seed), self.now());
        let task = world::task(&ids, now);
        world::request(TargetKind::VAULT, ids.lease(), &task, now)
    }

    pub(crate) fn secret(&self, seed: u64, policy: &str, path: &str) -> MintRequest {
        let mut request = self.request(seed);
        request.rights = Rights::from(VaultGrant {
            policies: BTreeSet::from([policy.to_owned()]),
            gives: VaultGives::Secret {
                path: path.to_owned(),
            },
        });
        request
    }

    pub(crate) async fn mint(
        &self,
        request: &MintRequest,
    ) -> Result<(LeaseRef, Minted), ProviderError> {
        self.provider.ensure_shared_objects(request).await?;
        let prepared = self.provider.prepare(request).unwrap();
        let minted = self.provider.mint(request, &prepared).await?;
        let handle = minted.handle.clone().unwrap();
        let reference = LeaseRef {
            id: request.lease,
            task: request.task,
            handle,
            asked: request.now,
            worst_expiry: prepared.worst_expiry,
            kill: None,
        };
        Ok((reference, minted))
    }

    pub(crate) async fn refused(&self, request: &MintRequest) -> String {
        match self.mint(request).await {
            Err(
                error @ (ProviderError::Refused { .. }
                | ProviderError::Pending { .. }
                | ProviderError::Excessive { .. }),
            ) => error.to_string(),
            other => unreachable!("{other:?}"),
        }
    }

    pub(crate) async fn revoke(
        &self,
        due: &[&LeaseRef],
        cut: Option<Timestamp>,
    ) -> BTreeMap<LeaseId, Result<Revoked, ProviderError>> {
        let revocation = Revocation {
            now: self.now(),
            due: due.iter().copied().cloned().collect(),
            standing: Vec::new(),
            cut,
        };
        let report = self.provider.revoke(&revocation).await;
        report.outcomes.into_iter().collect()
    }

    pub(crate) async fn prove(
        &self,
        leases: &[&LeaseRef],
    ) -> BTreeMap<LeaseId, Result<Revoked, ProviderError>> {
        let leases: Vec<_> = leases.iter().copied().cloned().collect();
        self.provider
            .finish_and_prove(&leases)
            .await
            .into_iter()
            .collect()
    }

    /// Returns the server's answer to a read of `path` with a token.
    pub(crate) fn get(&self, token: &str, path: &str) -> (u16, Value) {
        self.vault.call("GET", path, Some(token), None).unwrap()
    }
}

pub(crate) fn owned(file: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn login(broker: &AppRole, folder: &Path) -> Login {
    let secret_id_file = folder.join("secret-id");
    std::fs::write(&secret_id_file, format!("{}\n", broker.secret_id)).unwrap();
    owned(&secret_id_file, 0o600);
    Login::AppRole {
        mount: "approle".to_owned(),
        role_id: broker.role_id.clone(),
        secret_id_file,
    }
}

pub(crate) fn provider(
    vault: &Vault,
    broker: &AppRole,
    login: Login,
    reading: &[&str],
    namespace: &str,
) -> VaultProvider<Server> {
    // Another test of this process may have been first.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let endpoint = Endpoint {
        address: vault.url(),
        namespace: namespace.to_owned(),
        certificate_authority: String::new(),
    };
    let target = VaultTarget {
        token_role: broker.token_role.clone(),
        parent_role: broker.parent_role.clone(),
        reading: reading.iter().map(|&path| path.to_owned()).collect(),
    };
    VaultProvider::new(target, Server::new(endpoint, login).unwrap())
}

pub(crate) fn token(credential: &Credential) -> &str {
    let Some(VaultCredential { token, .. }) = credential.get() else {
        unreachable!("a credential of another kind")
    };
    token.expose()
}

/// Moves the request to this epoch.
pub(crate) fn in_epoch(mut request: MintRequest, epoch: u64) -> MintRequest {
    request.epoch = Seq(epoch);
    request
}

pub(crate) fn lasting(mut request: MintRequest, life: Duration) -> MintRequest {
    request.expires = request.now + life;
    request
}

/// Returns the parent's accessor from a handle.
pub(crate) fn parent(lease: &LeaseRef) -> String {
    let held: Value = serde_json::from_str(&lease.handle.0).unwrap();
    held.get("parent").unwrap().as_str().unwrap().to_owned()
}

#[async_trait]
impl Subject for Real {
    fn provider(&self) -> &dyn Provider {
        &self.provider
    }

    fn kind(&self) -> TargetKind {
        TargetKind::VAULT
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a real server has the real clock"
    )]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap())
    }

    async fn used(&self, credential: &Credential) -> Verdict {
        match self.get(token(credential), PATH) {
            (200, answer) => {
                assert_eq!(answer.pointer("/data/data/region").unwrap(), "eu-central-1");
                Verdict::Accepted
            }
            (403, _) => Verdict::Refused,
            other => unreachable!("refused for another reason: {other:?}"),
        }
    }

    async fn restarted(&self) -> Box<dyn Provider> {
        let login = login(&self.broker, self.directory.path());
        Box::new(provider(&self.vault, &self.broker, login, &[], ""))
    }

    fn server(&self) -> &'static str {
        if Vault::stand_in().is_some() {
            "stand-in"
        } else {
            "vault"
        }
    }

    async fn pass(&self, until: Timestamp) -> Result<(), Played> {
        if until.since(self.now()) > POLLING_TIME {
            return Err(Played::NotHere(
                "a test of its own waits until the server ends a token",
            ));
        }
        while self.now() < until {
            self.vault.call("GET", "sys/health", None, None).unwrap();
        }
        Ok(())
    }

    async fn fault(&self, _fault: Fault<'_>) -> Result<(), Played> {
        Err(Played::NotHere("a real server carries out every call"))
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
