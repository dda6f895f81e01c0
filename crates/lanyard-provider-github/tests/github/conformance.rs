//! The conformance suite of providers, on a fake of GitHub.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use lanyard_charter::TargetKind;
use lanyard_charter::kinds::{Credential, GitHubCredential};
use lanyard_core::provider::Provider;
use lanyard_rig::{Fault as Wrong, GitHub};
use lanyard_testkit::conformance::refuser::CANARY;
use lanyard_testkit::conformance::{self, Fault, Given, Played, Subject, Verdict};
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;

use crate::target::Target;

/// Seconds that the fake asks to wait.
const RETRY_AFTER_SECS: u64 = 120;

struct Faked {
    target: Target,
    /// True if the next call comes after the time that the fake asked to wait.
    later: AtomicBool,
}

fn token(credential: &Credential) -> &str {
    let Some(GitHubCredential { token, .. }) = credential.get() else {
        unreachable!("a credential of another kind")
    };
    token.expose()
}

impl Faked {
    fn github(&self) -> &GitHub {
        &self.target.github
    }
}

#[async_trait]
impl Subject for Faked {
    fn provider(&self) -> &dyn Provider {
        &self.target.provider
    }

    async fn restarted(&self) -> Box<dyn Provider> {
        Box::new(self.target.restarted())
    }

    fn server(&self) -> &'static str {
        "fake"
    }

    fn kind(&self) -> TargetKind {
        TargetKind::GITHUB
    }

    fn now(&self) -> Timestamp {
        if self.later.swap(false, Ordering::Relaxed) {
            self.github()
                .set_clock(self.github().now() + RETRY_AFTER_SECS);
        }
        Timestamp::from_secs(self.github().now())
    }

    async fn pass(&self, until: Timestamp) -> Result<(), Played> {
        let now = self.github().now();
        self.github().set_clock(until.as_secs().max(now));
        Ok(())
    }

    fn shortest(&self) -> Duration {
        Duration::from_secs(3600)
    }

    async fn used(&self, credential: &Credential) -> Verdict {
        let file = ("GET", "/repos/acme/payments/contents/README.md");
        match self.target.call(file, token(credential)) {
            200 => Verdict::Accepted,
            401 => Verdict::Refused,
            other => unreachable!("{other}"),
        }
    }

    async fn fault(&self, fault: Fault<'_>) -> Result<(), Played> {
        let github = self.github();
        github.fail_once(match fault {
            Fault::Silence => Wrong::Silence,
            Fault::LostAnswer => Wrong::LostAnswer,
            Fault::Throttle => {
                self.later.store(true, Ordering::Relaxed);
                Wrong::Throttled
            }
            Fault::Longer => Wrong::LongerLife,
            Fault::Wider => Wrong::WiderPermissions,
            Fault::Echo => {
                github.repeat(CANARY);
                Wrong::EchoesToken
            }
            Fault::Unrevoked { credential, .. } => {
                github.keep_once(token(credential));
                return Ok(());
            }
        });
        Ok(())
    }

    async fn silent(&self) {
        let silence = self.github().silence();
        tokio::task::spawn_blocking(move || silence.wait())
            .await
            .unwrap();
    }

    fn last_made(&self) -> Option<Credential> {
        let token = self.github().tokens().pop()?;
        Some(
            GitHubCredential {
                host: "https://github.com".to_owned(),
                api: self.github().url(),
                owner: self.github().owner().to_owned(),
                repositories: ["payments".to_owned()].into(),
                token: Secret::new(token),
            }
            .into(),
        )
    }

    fn lists(&self) -> Given {
        Err("GitHub lists no tokens: a stray expires after its hour")
    }

    fn probes(&self) -> Given {
        Ok(())
    }

    fn reaches_unanswered(&self) -> Given {
        Err("only the token itself can end it: a lost token expires after its hour")
    }
}

#[tokio::test]
async fn the_provider_passes_the_conformance_suite() {
    let faked = Faked {
        target: Target::start(),
        later: AtomicBool::new(false),
    };
    conformance::whole(&faked, 51).await;
}
