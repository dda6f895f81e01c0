//! The provider on a strict fake of a server, with injected faults.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod conformance;
mod fake;
mod late;
mod policies;
mod unused_parents;

use std::collections::BTreeSet;
use std::time::Duration;

use lanyard_charter::{Rights, TargetKind, VaultGives, VaultGrant};
use lanyard_core::lease::LeaseRef;
use lanyard_core::provider::{
    MintRequest, Minted, PrepareError, Provider as _, ProviderError, Revocation, Revoked,
};
use lanyard_provider_vault::{VaultProvider, VaultTarget};
use lanyard_testkit::conformance::Subject as _;
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::Timestamp;

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
        world::request(TargetKind::VAULT, ids.lease(), &task, now)
    }

    fn secret(&self, seed: u64) -> MintRequest {
        let mut request = self.request(seed);
        request.rights = Rights::from(VaultGrant {
            policies: BTreeSet::from(["payments-reader".to_owned()]),
            gives: VaultGives::Secret {
                path: "database/creds/reader".to_owned(),
            },
        });
        request
    }

    async fn reference(&self, request: &MintRequest) -> LeaseRef {
        self.provider.ensure_shared_objects(request).await.unwrap();
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
        let mut proved = self
            .provider
            .finish_and_prove(std::slice::from_ref(lease))
            .await;
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
async fn t79_a_token_with_too_many_rights_is_revoked_and_refused() {
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
        if let Some(grant) = request.rights.get_mut::<VaultGrant>() {
            grant.gives = VaultGives::Token { uses: Some(3) };
        }
        faked
            .provider
            .ensure_shared_objects(&request)
            .await
            .unwrap();
        faked.fake.state().wrong = Some(wrong);
        let answer = faked.mint(&request).await;
        assert!(
            matches!(answer, Err(ProviderError::Excessive { .. })),
            "{wrong:?}: {answer:?}"
        );
        assert_eq!(faked.children(), 0, "{wrong:?}");
    }
}

/// T79: a token with too many rights cannot be revoked at once, so the mint is ambiguous.
#[tokio::test]
async fn t79_a_failed_clean_up_makes_the_mint_ambiguous() {
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

/// T66: a dynamic secret does not end by itself within any known time.
#[tokio::test]
async fn t66_only_its_revocation_ends_a_secret() {
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

/// T66: an engine that hangs keeps neither its parent alive nor any other token.
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
        // The end of the token does not show that its secret is gone.
        assert_eq!(outcome.is_ok(), lease == token.id, "{outcome:?}");
    }
    assert!(faked.fake.live().is_empty());
}

/// T67: if an engine fails to end a secret while the server is up, only that lease fails. If the
/// server as a whole fails, mints at the target stop.
#[tokio::test(start_paused = true)]
async fn t67_a_failing_engine_does_not_count_as_a_failing_server() {
    let faked = faked();
    let (stuck, _) = faked.mint(&faked.secret(81)).await.unwrap();
    let (token, _) = faked.mint(&faked.request(82)).await.unwrap();
    faked.fake.state().down.insert("hanging engine");
    let error = faked.revoke(&stuck, None).await.unwrap_err();
    assert!(!error.is_of_provider() && error.is_retryable(), "{error}");
    assert!(
        error.to_string().contains("did not finish in time"),
        "{error}"
    );
    assert_eq!(faked.revoke(&token, None).await, Ok(Revoked::Acknowledged));
    // If the server does not answer either, the server is at fault.
    faked.fake.state().down.insert("mounts");
    let error = faked.revoke(&stuck, None).await.unwrap_err();
    assert!(error.is_of_provider(), "{error}");
    faked.fake.state().down.clear();
    assert_eq!(faked.revoke(&stuck, None).await, Ok(Revoked::Acknowledged));
}

/// A read whose answer was lost leaves a secret without an id, which is never called dead.
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
async fn a_request_without_a_parent_is_refused() {
    let faked = faked();
    let request = faked.request(10);
    let refused = faked.provider.prepare(&request).unwrap_err();
    assert!(matches!(refused, PrepareError::Unsupported(why) if why.contains("no parent token")));
    // A parent of one epoch is not used in the next, not even by an earlier request.
    faked
        .provider
        .ensure_shared_objects(&request)
        .await
        .unwrap();
    let prepared = faked.provider.prepare(&request).unwrap();
    let mut later = request;
    later.epoch = Seq(99);
    let error = faked.provider.mint(&later, &prepared).await.unwrap_err();
    assert!(error.to_string().contains("no longer in memory"), "{error}");
    assert_eq!(faked.children(), 0);
}

/// T66: the server does not answer a kill of its target: leases that could not be revoked by name
/// are pending.
#[tokio::test]
async fn t66_a_kill_without_an_answer_is_pending() {
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

/// A token's properties never change, so each token is looked up once.
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
