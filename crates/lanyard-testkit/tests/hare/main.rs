//! The worked example of `docs/add-a-provider.md`: a provider for an invented service called Hare,
//! with the conformance suite.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod grant;
mod provider;
mod service;
mod target;
mod whole;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use lanyard_charter::TargetKind;
use lanyard_charter::kinds::Credential;
use lanyard_core::provider::{MintRequest, Provider};
use lanyard_core::task::Task;
use lanyard_testkit::conformance::{self, Fault, Given, Played, Subject, Verdict};
use lanyard_testkit::world;
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;

use grant::{HARE, HareCredential, HareGrant};
use provider::HareProvider;
use service::{Hare, Wrong};

struct OnFake {
    hare: Arc<Hare>,
    provider: HareProvider<Hare>,
}

fn login(credential: &Credential) -> String {
    let user = credential.get::<HareCredential>().unwrap();
    format!("{}:{}", user.name, user.password.expose())
}

#[async_trait]
impl Subject for OnFake {
    fn provider(&self) -> &dyn Provider {
        &self.provider
    }

    async fn restarted(&self) -> Box<dyn Provider> {
        Box::new(HareProvider::new(Arc::clone(&self.hare)))
    }

    fn server(&self) -> &'static str {
        "fake"
    }

    fn kind(&self) -> TargetKind {
        HARE
    }

    fn sample(&self, lease: LeaseId, task: &Task, now: Timestamp) -> MintRequest {
        let queues = ["orders".to_owned()].into();
        MintRequest {
            rights: HareGrant { queues }.into(),
            ..world::request(TargetKind::TOKEN, lease, task, now)
        }
    }

    fn now(&self) -> Timestamp {
        self.hare.clock.now()
    }

    async fn pass(&self, until: Timestamp) -> Result<(), Played> {
        self.hare.clock.set(until.max(self.now()));
        Ok(())
    }

    async fn used(&self, credential: &Credential) -> Verdict {
        if self.hare.lets_in(&login(credential)) {
            Verdict::Accepted
        } else {
            Verdict::Refused
        }
    }

    async fn fault(&self, fault: Fault<'_>) -> Result<(), Played> {
        *self.hare.wrong.lock() = Some(match fault {
            Fault::Silence => Wrong::Silence,
            Fault::LostAnswer => Wrong::LostAnswer,
            Fault::Throttle => Wrong::Throttle,
            Fault::Longer => Wrong::Longer,
            Fault::Wider => Wrong::Wider,
            Fault::Echo => Wrong::Echo,
            Fault::Unrevoked { credential, .. } => {
                let user = credential.get::<HareCredential>().unwrap();
                Wrong::Undeleted(user.name.clone())
            }
        });
        Ok(())
    }

    async fn silent(&self) {
        self.hare.silent.notified().await;
    }

    fn last_made(&self) -> Option<Credential> {
        let login = self.hare.last_made()?;
        let (name, password) = login.split_once(':')?;
        let user = HareCredential {
            name: name.to_owned(),
            password: Secret::new(password.to_owned()),
        };
        Some(user.into())
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
    let hare = Arc::new(Hare::default());
    let provider = HareProvider::new(Arc::clone(&hare));
    conformance::whole(&OnFake { hare, provider }, 71).await;
}

/// Every Rust block of the page stands in one of these files, line by line.
#[test]
fn the_page_shows_this_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("../../docs/add-a-provider.md")).unwrap();
    let files = [
        "grant.rs",
        "provider.rs",
        "service.rs",
        "target.rs",
        "main.rs",
    ]
    .map(|file| {
        let text = std::fs::read_to_string(root.join("tests/hare").join(file)).unwrap();
        plain(&text)
    });
    let mut blocks = page.split("```rust\n").skip(1);
    let (mut shown, mut differs) = (0, Vec::new());
    for block in &mut blocks {
        let (block, _) = block.split_once("```").unwrap();
        shown += 1;
        if !files.iter().any(|file| file.contains(&plain(block))) {
            differs.push(block);
        }
    }
    assert!(shown > 5, "the page shows the code");
    assert!(differs.is_empty(), "not in tests/hare: {differs:#?}");
}

/// Removes the indentation, which the page leaves out.
fn plain(text: &str) -> String {
    text.lines()
        .map(|line| format!("{}\n", line.trim()))
        .collect()
}
