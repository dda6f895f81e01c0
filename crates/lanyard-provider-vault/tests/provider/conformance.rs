//! The conformance suite of providers, on the fake.

use async_trait::async_trait;
use lanyard_charter::TargetKind;
use lanyard_charter::kinds::{Credential, VaultCredential};
use lanyard_core::provider::Provider;
use lanyard_testkit::conformance::{self, Fault, Given, Played, Subject, Verdict};
use lanyard_vocabulary::time::Timestamp;

use crate::fake::Wrong;
use crate::{Faked, faked, provider};

#[async_trait]
impl Subject for Faked {
    fn provider(&self) -> &dyn Provider {
        &self.provider
    }

    async fn restarted(&self) -> Box<dyn Provider> {
        Box::new(provider(&self.fake))
    }

    fn server(&self) -> &'static str {
        "fake"
    }

    fn kind(&self) -> TargetKind {
        TargetKind::VAULT
    }

    fn now(&self) -> Timestamp {
        self.fake.clock().now()
    }

    async fn pass(&self, until: Timestamp) -> Result<(), Played> {
        self.fake.clock().set(until.max(self.now()));
        Ok(())
    }

    async fn used(&self, credential: &Credential) -> Verdict {
        let Some(VaultCredential { token, .. }) = credential.get() else {
            unreachable!("a credential of another kind")
        };
        if self.fake.allows(token.expose()) {
            Verdict::Accepted
        } else {
            Verdict::Refused
        }
    }

    async fn fault(&self, fault: Fault<'_>) -> Result<(), Played> {
        self.fake.state().wrong = Some(match fault {
            Fault::Silence => Wrong::Silence,
            Fault::LostAnswer => Wrong::LostAnswer,
            Fault::Throttle => Wrong::Throttle,
            Fault::Longer => Wrong::Longer,
            Fault::Wider => Wrong::Wider,
            Fault::Echo => Wrong::Echo,
            Fault::Unrevoked { lease, .. } => Wrong::Unrevoked(lease),
        });
        Ok(())
    }

    async fn silent(&self) {
        self.fake.silent().await;
    }

    fn last_made(&self) -> Option<Credential> {
        self.fake.last_made()
    }

    fn lists(&self) -> Given {
        Ok(())
    }

    fn probes(&self) -> Given {
        Ok(())
    }
}

#[tokio::test]
async fn the_provider_passes_the_conformance_suite() {
    conformance::whole(&faked(), 31).await;
}
