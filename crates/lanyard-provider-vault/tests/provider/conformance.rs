//! The suite that every provider passes, on the fake.

use async_trait::async_trait;
use lanyard_core::charter::TargetKind;
use lanyard_core::provider::{Credential, Provider};
use lanyard_core::time::Timestamp;
use lanyard_testkit::conformance::{self, Fault, Given, Played, Subject, Verdict};

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
        TargetKind::Vault
    }

    fn now(&self) -> Timestamp {
        self.fake.clock().now()
    }

    async fn pass(&self, until: Timestamp) -> Result<(), Played> {
        self.fake.clock().set(until.max(self.now()));
        Ok(())
    }

    async fn used(&self, credential: &Credential) -> Verdict {
        let Credential::Vault { token, .. } = credential else {
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
async fn it_does_what_every_provider_does() {
    conformance::whole(&faked(), 31).await;
}
