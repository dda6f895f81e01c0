//! The conformance suite of providers, on the fake.

use std::sync::Arc;

use async_trait::async_trait;
use lanyard_charter::TargetKind;
use lanyard_charter::kinds::{AwsCredential, Credential};
use lanyard_core::provider::{MintRequest, Provider};
use lanyard_provider_aws::AwsProvider;
use lanyard_testkit::conformance::{self, Fault, Given, Played, Subject, Verdict};
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::time::Timestamp;

use crate::account::{Account, Fake, Wrong, provider, target_of};

struct Faked {
    provider: AwsProvider<Fake>,
    account: Arc<Account>,
}

#[async_trait]
impl Subject for Faked {
    fn provider(&self) -> &dyn Provider {
        &self.provider
    }

    async fn restarted(&self) -> Box<dyn Provider> {
        Box::new(target_of(&self.account, "one"))
    }

    fn server(&self) -> &'static str {
        "fake"
    }

    fn kind(&self) -> TargetKind {
        TargetKind::AWS
    }

    fn now(&self) -> Timestamp {
        self.account.clock.now()
    }

    async fn pass(&self, until: Timestamp) -> Result<(), Played> {
        self.account.clock.set(until.max(self.now()));
        Ok(())
    }

    /// Moves the request to the other role, since the revocations of one role form one document.
    fn fit_apart(&self, mut request: MintRequest) -> MintRequest {
        request.role = Role::Apply;
        request
    }

    async fn used(&self, credential: &Credential) -> Verdict {
        let Some(AwsCredential { session_token, .. }) = credential.get() else {
            unreachable!("a credential of another kind")
        };
        if self.account.allows(session_token.expose()) {
            Verdict::Accepted
        } else {
            Verdict::Refused
        }
    }

    async fn fault(&self, fault: Fault<'_>) -> Result<(), Played> {
        self.account.wrong.lock().push_back(match fault {
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
        self.account.silent.notified().await;
    }

    fn last_made(&self) -> Option<Credential> {
        self.account.last_made()
    }

    fn lists(&self) -> Given {
        Err("AWS lists no sessions: a stray ends at the time in its session policy")
    }

    fn probes(&self) -> Given {
        Err(
            "no call shows that a session is dead: GetCallerIdentity works under any deny \
             (docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html)",
        )
    }
}

#[tokio::test]
async fn the_provider_passes_the_conformance_suite() {
    let (provider, account) = provider();
    conformance::whole(&Faked { provider, account }, 41).await;
}
