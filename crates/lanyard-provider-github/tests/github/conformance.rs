//! The suite that every provider passes, on the stand-in.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use lanyard_core::charter::TargetKind;
use lanyard_core::provider::{Credential, Provider};
use lanyard_core::secret::Secret;
use lanyard_core::time::Timestamp;
use lanyard_rig::{Fault as Wrong, GitHub};
use lanyard_testkit::conformance::refuser::CANARY;
use lanyard_testkit::conformance::{self, Fault, Given, Played, Subject, Verdict};

use crate::target::Target;

/// Time that the stand-in asks to wait, in seconds.
const RETRY_AFTER_SECS: u64 = 120;

struct Faked {
    target: Target,
    /// The next caller comes after the time that GitHub asked to wait.
    later: AtomicBool,
}

fn token(credential: &Credential) -> &str {
    let Credential::GitHub { token, .. } = credential else {
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
        TargetKind::GitHub
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
        Some(Credential::GitHub {
            host: "https://github.com".to_owned(),
            api: self.github().url(),
            owner: self.github().owner().to_owned(),
            repositories: ["payments".to_owned()].into(),
            token: Secret::new(token),
        })
    }

    fn lists(&self) -> Given {
        Err("GitHub lists no tokens: a stray lives out its hour")
    }

    fn probes(&self) -> Given {
        Ok(())
    }

    fn reaches_unanswered(&self) -> Given {
        Err("a token is ended with itself alone: one that nobody has lives out its hour")
    }
}

#[tokio::test]
async fn it_does_what_every_provider_does() {
    let faked = Faked {
        target: Target::start(),
        later: AtomicBool::new(false),
    };
    conformance::whole(&faked, 51).await;
}
