//! The conformance suite. A token is signed in this process; whether it still works is asked of
//! introspection, over a ledger that fences revoked leases.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use lanyard_charter::kinds::{Credential, TokenCredential};
use lanyard_charter::{Rights, TargetKind};
use lanyard_core::lease::LeaseRef;
use lanyard_core::provider::{
    Capabilities, FoundCredential, MintRequest, Minted, PrepareError, Prepared, Probe, Provider,
    ProviderError, Revocability, Revocation, RevocationReport,
};
use lanyard_provider_token::introspection::{Answer, LeaseView, answer};
use lanyard_provider_token::status::Lists;
use lanyard_provider_token::{Keyring, TokenProvider};
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::conformance::{self, Fault, Given, Played, Subject, Verdict};
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

const ISSUER: &str = "https://lanyard.acme.example";
const CALLS_NOBODY: &str =
    "a token is signed in the broker's own process: minting and revoking make no call";

/// The fate of a token after its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Silence,
    Lost,
}

/// The provider in a process that may stop between the signature and the answer.
struct Interrupted {
    provider: TokenProvider,
    way: Mutex<Option<Way>>,
    signed: Mutex<Option<String>>,
    silent: Notify,
}

struct Books {
    directory: tempfile::TempDir,
    keyring: Arc<Keyring>,
    clock: ManualClock,
    provider: Interrupted,
    fenced: Mutex<BTreeSet<LeaseId>>,
}

#[async_trait]
impl Provider for Interrupted {
    fn capabilities(&self) -> Capabilities {
        self.provider.capabilities()
    }

    fn revocability(&self, rights: &Rights) -> Revocability {
        self.provider.revocability(rights)
    }

    fn prepare(&self, request: &MintRequest) -> Result<Prepared, PrepareError> {
        self.provider.prepare(request)
    }

    async fn mint(
        &self,
        request: &MintRequest,
        prepared: &Prepared,
    ) -> Result<Minted, ProviderError> {
        let minted = self.provider.mint(request, prepared).await?;
        if let Some(TokenCredential { jwt }) = minted.credential.get() {
            *self.signed.lock() = Some(jwt.expose().clone());
        }
        let way = self.way.lock().take();
        match way {
            None => return Ok(minted),
            Some(Way::Silence) => {
                self.silent.notify_one();
                std::future::pending::<()>().await;
            }
            Some(Way::Lost) => {}
        }
        Err(ProviderError::Ambiguous {
            provider: "token",
            operation: "mint",
            code: "stopped".to_owned(),
        })
    }

    async fn revoke(&self, revocation: &Revocation) -> RevocationReport {
        self.provider.revoke(revocation).await
    }

    async fn probe(&self, lease: &LeaseRef) -> Result<Probe, ProviderError> {
        self.provider.probe(lease).await
    }

    async fn list(&self) -> Result<Vec<FoundCredential>, ProviderError> {
        self.provider.list().await
    }
}

impl Books {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = ManualClock::default();
        let keyring = Keyring::load_or_create(directory.path(), clock.now()).unwrap();
        let keyring = Arc::new(keyring);
        let lists = Arc::new(Lists::new(1));
        let provider = TokenProvider::new(ISSUER.to_owned(), Arc::clone(&keyring), lists);
        Self {
            directory,
            keyring,
            clock,
            provider: Interrupted {
                provider,
                way: Mutex::default(),
                signed: Mutex::default(),
                silent: Notify::new(),
            },
            fenced: Mutex::default(),
        }
    }
}

#[async_trait]
impl Subject for Books {
    fn provider(&self) -> &dyn Provider {
        &self.provider
    }

    async fn restarted(&self) -> Box<dyn Provider> {
        let keyring = Keyring::load_or_create(self.directory.path(), self.now()).unwrap();
        Box::new(TokenProvider::new(
            ISSUER.to_owned(),
            Arc::new(keyring),
            Arc::new(Lists::new(2)),
        ))
    }

    fn server(&self) -> &'static str {
        "in process"
    }

    fn kind(&self) -> TargetKind {
        TargetKind::TOKEN
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn pass(&self, until: Timestamp) -> Result<(), Played> {
        self.clock.set(until.max(self.now()));
        Ok(())
    }

    fn fenced(&self, leases: &[LeaseRef]) {
        self.fenced
            .lock()
            .extend(leases.iter().map(|lease| lease.id));
    }

    async fn used(&self, credential: &Credential) -> Verdict {
        let Some(TokenCredential { jwt }) = credential.get() else {
            unreachable!("a credential of another kind")
        };
        let Ok(claims) = self.keyring.verify(jwt.expose(), ISSUER, self.now()) else {
            return Verdict::Refused;
        };
        let live = !self.fenced.lock().contains(&claims.jti);
        let lease = LeaseView {
            live,
            valid: live,
            // The token's own expiry counts: the ledger may be gone by then.
            expires: Timestamp::NEVER,
        };
        match answer(claims, Some(lease), self.now()) {
            Answer::Active(_) => Verdict::Accepted,
            Answer::Inactive => Verdict::Refused,
        }
    }

    async fn fault(&self, fault: Fault<'_>) -> Result<(), Played> {
        let way = match fault {
            Fault::Silence => Way::Silence,
            Fault::LostAnswer => Way::Lost,
            Fault::Throttle
            | Fault::Longer
            | Fault::Wider
            | Fault::Echo
            | Fault::Unrevoked { .. } => return Err(Played::Never(CALLS_NOBODY)),
        };
        *self.provider.way.lock() = Some(way);
        Ok(())
    }

    async fn silent(&self) {
        self.provider.silent.notified().await;
    }

    fn last_made(&self) -> Option<Credential> {
        let jwt = Secret::new(self.provider.signed.lock().clone()?);
        Some(TokenCredential { jwt }.into())
    }

    fn lists(&self) -> Given {
        Err("a signature leaves nothing behind that could be listed: a stray ends at its `exp`")
    }

    fn probes(&self) -> Given {
        Err("introspection reads the lease in the broker's own ledger")
    }
}

#[tokio::test]
async fn the_provider_passes_the_conformance_suite() {
    conformance::whole(&Books::new(), 51).await;
}
