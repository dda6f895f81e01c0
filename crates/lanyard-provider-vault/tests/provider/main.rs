//! The provider on a strict fake of a server, which fails where it is told to.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its footing gives way"
)]

mod conformance;
mod fake;
mod late;
mod policies;
mod tidy;

use std::collections::BTreeSet;
use std::time::Duration;

use lanyard_core::charter::{Rights, TargetKind, VaultGives, VaultGrant};
use lanyard_core::lease::{LeaseRef, Seq};
use lanyard_core::provider::{
    MintRequest, Minted, PrepareError, Provider as _, ProviderError, Revocation, Revoked,
};
use lanyard_core::time::Timestamp;
use lanyard_provider_vault::{VaultProvider, VaultTarget};
use lanyard_testkit::conformance::Subject as _;
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;

use crate::fake::{Fake, Wrong};

struct Faked {
    provider: VaultProvider<Fake>,
    fake: Fake,
}

fn provider(fake: &Fake) -> VaultProvider<Fake> {
    let target = VaultTarget {
        token_role: "lanyard-lease".to_owned(),
        parent_role: "lanyard-parent".to_owned(),
        reading: [
            "database/creds/reader",
            "database/roles/*",
            "pki/cert/ca",
            "pki/issue/web",
            "sys/metrics",
        ]
        .map(str::to_owned)
        .into(),
    };
    VaultProvider::new(target, fake.clone())
}

fn faked() -> Faked {
    let fake = Fake::default();
    Faked {
        provider: provider(&fake),
        fake,
    }
}

impl Faked {
    fn request(&self, seed: u64) -> MintRequest {
        let (ids, now) = (Ids::seeded(seed), self.now());
        let task = world::task(&ids, now);
        world::request(TargetKind::Vault, ids.lease(), &task, now)
    }

    fn secret(&self, seed: u64) -> MintRequest {
        let mut request = self.request(seed);
        request.rights = Rights::Vault(VaultGrant {
            policies: BTreeSet::from(["payments-reader".to_owned()]),
            gives: VaultGives::Secret {
                path: "database/creds/reader".to_owned(),
            },
        });
        request
    }

    async fn reference(&self, request: &MintRequest) -> LeaseRef {
        self.provider.ready(request).await.unwrap();
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

    async fn mint(&self, request: &MintRequest) -> Result<(LeaseRef, Minted), ProviderError> {
        let mut reference = self.reference(request).await;
        let prepared = self.provider.prepare(request).unwrap();
        let minted = self.provider.mint(request, &prepared).await?;
        reference.handle = minted.handle.clone().unwrap();
        Ok((reference, minted))
    }

    async fn revoke(
        &self,
        lease: &LeaseRef,
        cut: Option<Timestamp>,
    ) -> Result<Revoked, ProviderError> {
        let revocation = Revocation {
            now: self.now(),
            due: vec![lease.clone()],
            standing: Vec::new(),
            cut,
        };
        let mut report = self.provider.revoke(&revocation).await;
        report.outcomes.pop().unwrap().1
    }

    async fn prove(&self, lease: &LeaseRef) -> Result<Revoked, ProviderError> {
        let mut proved = self.provider.prove(std::slice::from_ref(lease)).await;
        proved.pop().unwrap().1
    }

    /// Counts the live tokens of leases.
    fn children(&self) -> usize {
        let parents = self.fake.live();
        let all = parents.len();
        all - usize::from(all > 0)
    }
}

#[tokio::test]
async fn t79_what_is_more_than_was_asked_for_is_revoked_and_refused() {
    for wrong in [
        Wrong::Longer,
        Wrong::Wider,
        Wrong::Renewable,
        Wrong::Batch,
        Wrong::Orphan,
        Wrong::MoreUses,
    ] {
        let faked = faked();
        let mut request = faked.request(1);
        if let Rights::Vault(grant) = &mut request.rights {
            grant.gives = VaultGives::Token { uses: Some(3) };
        }
        faked.provider.ready(&request).await.unwrap();
        faked.fake.state().wrong = Some(wrong);
        let answer = faked.mint(&request).await;
        assert!(
            matches!(answer, Err(ProviderError::Excessive { .. })),
            "{wrong:?}: {answer:?}"
        );
        assert_eq!(faked.children(), 0, "{wrong:?}");
    }
}

/// T79: the token that is too much cannot be revoked in that moment: it is not said that nothing is
/// there.
#[tokio::test]
async fn t79_what_could_not_be_given_up_may_still_be_there() {
    let faked = faked();
    let request = faked.request(2);
    let lease = faked.reference(&request).await;
    faked.fake.state().wrong = Some(Wrong::Wider);
    faked.fake.state().down.insert("revoke");
    let answer = faked.mint(&request).await;
    assert!(
        matches!(answer, Err(ProviderError::Ambiguous { .. })),
        "{answer:?}"
    );
    faked.fake.state().down.clear();
    assert_eq!(faked.revoke(&lease, None).await, Ok(Revoked::Acknowledged));
    assert_eq!(faked.children(), 0);
}

#[tokio::test]
async fn a_secret_that_was_not_read_leaves_no_token() {
    for (wrong, refused) in [
        (Wrong::NoSecret, true),
        (Wrong::NoLease, true),
        (Wrong::LostSecret, false),
    ] {
        let faked = faked();
        let request = faked.secret(3);
        let lease = faked.reference(&request).await;
        faked.fake.state().wrong = Some(wrong);
        let error = faked.mint(&request).await.unwrap_err();
        assert_eq!(
            matches!(error, ProviderError::Refused { .. }),
            refused,
            "{error:?}"
        );
        assert_eq!(faked.children(), 0, "{wrong:?}");
        assert_eq!(faked.revoke(&lease, None).await, Ok(Revoked::Acknowledged));
    }
    let faked = faked();
    faked.fake.state().wrong = Some(Wrong::LongerSecret);
    let answer = faked.mint(&faked.secret(4)).await;
    assert!(
        matches!(answer, Err(ProviderError::Excessive { .. })),
        "{answer:?}"
    );
    assert!(faked.fake.state().secrets.is_empty());
}

#[tokio::test]
async fn a_secret_is_revoked_at_its_engine_before_its_token() {
    let faked = faked();
    let (lease, _) = faked.mint(&faked.secret(5)).await.unwrap();
    faked.fake.state().down.insert("revoke secret");
    let pending = faked.revoke(&lease, None).await.unwrap_err();
    assert!(pending.is_retryable());
    assert_eq!(
        faked.children(),
        1,
        "the token is not taken away from under the secret"
    );
    faked.fake.state().down.clear();
    assert_eq!(faked.revoke(&lease, None).await, Ok(Revoked::Acknowledged));
    assert_eq!(faked.prove(&lease).await, Ok(Revoked::ProvedDead));
}

/// T66: what an engine gave does not end by itself for certain, nor in a time that is known.
#[tokio::test]
async fn t66_nothing_but_its_revocation_ends_a_secret() {
    let faked = faked();
    let (secret, token) = (faked.secret(51), faked.request(52));
    assert_eq!(
        faked.reference(&secret).await.worst_expiry,
        Timestamp::NEVER
    );
    let bound = |request: &MintRequest| faked.provider.revocability(&request.rights).worst_case;
    assert_eq!(bound(&secret), None);
    assert_eq!(bound(&token), Some(Duration::from_secs(30)));
}

/// T66: an engine that does not answer keeps neither its parent nor a token beside it alive.
#[tokio::test(start_paused = true)]
async fn t66_a_hanging_engine_does_not_keep_parents_alive() {
    let faked = faked();
    let mut due = Vec::new();
    for seed in 60..80 {
        due.push(faked.mint(&faked.secret(seed)).await.unwrap().0);
    }
    let (token, _) = faked.mint(&faked.request(80)).await.unwrap();
    due.push(token.clone());
    faked.fake.state().down.insert("hanging engine");
    let revocation = Revocation {
        now: faked.now(),
        due,
        standing: Vec::new(),
        cut: Some(faked.now()),
    };
    let bound = Duration::from_secs(30);
    let report = tokio::time::timeout(bound, faked.provider.revoke(&revocation)).await;
    let outcomes = report.unwrap().outcomes;
    assert_eq!(outcomes.len(), 21);
    for (lease, outcome) in outcomes {
        // A secret is not taken for gone because its token is.
        assert_eq!(outcome.is_ok(), lease == token.id, "{outcome:?}");
    }
    assert!(faked.fake.live().is_empty());
}

/// T67: that an engine does not end a secret is said of that lease alone, while the server is well.
/// Mints at the target stop when the server as a whole does not do as it is asked.
#[tokio::test(start_paused = true)]
async fn t67_a_secret_that_its_engine_does_not_end_is_no_fault_of_the_server() {
    let faked = faked();
    let (stuck, _) = faked.mint(&faked.secret(81)).await.unwrap();
    let (token, _) = faked.mint(&faked.request(82)).await.unwrap();
    faked.fake.state().down.insert("hanging engine");
    let error = faked.revoke(&stuck, None).await.unwrap_err();
    assert!(!error.is_of_provider() && error.is_retryable(), "{error}");
    assert!(error.to_string().contains("takes long"), "{error}");
    assert_eq!(faked.revoke(&token, None).await, Ok(Revoked::Acknowledged));
    // Where the server does not answer either, it is the server.
    faked.fake.state().down.insert("mounts");
    let error = faked.revoke(&stuck, None).await.unwrap_err();
    assert!(error.is_of_provider(), "{error}");
    faked.fake.state().down.clear();
    assert_eq!(faked.revoke(&stuck, None).await, Ok(Revoked::Acknowledged));
}

/// A read whose answer was lost has no id: that its secret is gone is not claimed.
#[tokio::test]
async fn a_secret_without_an_id_is_never_proved_dead() {
    let faked = faked();
    let request = faked.secret(6);
    let lease = faked.reference(&request).await;
    faked.fake.state().wrong = Some(Wrong::LostSecret);
    faked.fake.state().down.insert("revoke");
    faked.mint(&request).await.unwrap_err();
    faked.fake.state().down.clear();
    assert_eq!(faked.prove(&lease).await, Ok(Revoked::Acknowledged));
    assert_eq!(faked.children(), 0);
}

#[tokio::test]
async fn a_parent_serves_one_epoch_and_outlives_its_children() {
    let faked = faked();
    let one = faked.request(7);
    let mut other = faked.request(8);
    assert_eq!(
        faked.reference(&one).await.handle,
        faked.reference(&other).await.handle
    );
    other.epoch = Seq(one.epoch.0 + 1);
    assert_ne!(
        faked.reference(&one).await.handle,
        faked.reference(&other).await.handle
    );
    let mut long = faked.request(9);
    long.expires = long.now + Duration::from_secs(3 * 24 * 3600);
    assert_ne!(
        faked.reference(&one).await.handle,
        faked.reference(&long).await.handle
    );
    let (lease, _) = faked.mint(&long).await.unwrap();
    faked
        .fake
        .clock()
        .set(long.expires.before(Duration::from_secs(1)));
    let probed = faked.provider.probe(&lease).await;
    assert_eq!(probed, Ok(lanyard_core::provider::Probe::Live));
}

#[tokio::test]
async fn nothing_is_rendered_without_a_parent() {
    let faked = faked();
    let request = faked.request(10);
    let refused = faked.provider.prepare(&request).unwrap_err();
    assert!(matches!(refused, PrepareError::Unsupported(why) if why.contains("no parent token")));
    // And no parent of one epoch is used in the next, even by a request that was rendered before.
    faked.provider.ready(&request).await.unwrap();
    let prepared = faked.provider.prepare(&request).unwrap();
    let mut later = request;
    later.epoch = Seq(99);
    let error = faked.provider.mint(&later, &prepared).await.unwrap_err();
    assert!(error.to_string().contains("held no more"), "{error}");
    assert_eq!(faked.children(), 0);
}

/// T66: the kill of a target meets a server that does not answer: what it could not name is
/// pending, not done.
#[tokio::test]
async fn t66_a_kill_that_was_not_answered_is_pending() {
    let faked = faked();
    let request = faked.request(11);
    let mut lease = faked.reference(&request).await;
    faked.fake.state().wrong = Some(Wrong::LostAnswer);
    faked.mint(&request).await.unwrap_err();
    lease.kill = None;
    for down in ["revoke", "accessors", "lookup"] {
        let faked = &faked;
        faked.fake.state().down.insert(down);
        let pending = faked.revoke(&lease, Some(faked.now())).await;
        faked.fake.state().down.clear();
        if down == "revoke" {
            assert!(pending.is_err_and(|error| error.is_retryable()), "{down}");
        }
    }
    assert_eq!(
        faked.revoke(&lease, Some(faked.now())).await,
        Ok(Revoked::Acknowledged)
    );
    assert!(faked.fake.live().is_empty());
}

/// Facts of a token never change, so each is looked up once.
#[tokio::test]
async fn tokens_are_looked_up_once() {
    let faked = faked();
    for seed in 20..30 {
        faked.mint(&faked.request(seed)).await.unwrap();
    }
    for _ in 0..3 {
        assert_eq!(faked.provider.list().await.unwrap().len(), 10);
    }
    assert_eq!(
        faked.fake.state().lookups,
        11,
        "ten leases and their parent"
    );
}

#[tokio::test]
async fn a_handle_that_cannot_be_read_is_refused() {
    let faked = faked();
    let mut lease = faked.reference(&faked.request(32)).await;
    lease.handle.0 = "{}".into();
    let error = faked.revoke(&lease, Some(faked.now())).await.unwrap_err();
    assert!(error.to_string().contains("the handle cannot be read"));
    assert!(faked.prove(&lease).await.is_err());
}
