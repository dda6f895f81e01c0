//! The worked example of `docs/add-a-provider.md`: a provider of a service of one's own, put
//! through the suite.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its footing gives way"
)]

mod provider;
mod service;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use lanyard_core::charter::TargetKind;
use lanyard_core::provider::{Credential, Provider};
use lanyard_core::secret::Secret;
use lanyard_core::time::Timestamp;
use lanyard_testkit::conformance::{self, Fault, Given, Played, Subject, Verdict};

use provider::HareProvider;
use service::{Hare, Wrong};

struct OnFake {
    hare: Arc<Hare>,
    provider: HareProvider<Hare>,
}

fn login(credential: &Credential) -> &str {
    match credential {
        Credential::Token { jwt } => jwt.expose(),
        Credential::Aws { .. }
        | Credential::Kubernetes { .. }
        | Credential::Vault { .. }
        | Credential::VaultSecret { .. }
        | Credential::GitHub { .. } => unreachable!("a credential of another kind"),
    }
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
        TargetKind::Token
    }

    fn now(&self) -> Timestamp {
        self.hare.clock.now()
    }

    async fn pass(&self, until: Timestamp) -> Result<(), Played> {
        self.hare.clock.set(until.max(self.now()));
        Ok(())
    }

    async fn used(&self, credential: &Credential) -> Verdict {
        if self.hare.lets_in(login(credential)) {
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
                let (name, _) = login(credential).split_once(':').unwrap();
                Wrong::Undeleted(name.to_owned())
            }
        });
        Ok(())
    }

    async fn silent(&self) {
        self.hare.silent.notified().await;
    }

    fn last_made(&self) -> Option<Credential> {
        let jwt = Secret::new(self.hare.last_made()?);
        Some(Credential::Token { jwt })
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
    let hare = Arc::new(Hare::default());
    let provider = HareProvider::new(Arc::clone(&hare));
    conformance::whole(&OnFake { hare, provider }, 71).await;
}

/// Every Rust block of the page stands in one of these files, line by line.
#[test]
fn the_page_shows_this_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("../../docs/add-a-provider.md")).unwrap();
    let files = ["provider.rs", "service.rs", "main.rs"].map(|file| {
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
