//! A target whose clock is not the broker's (S27, T62).

use std::sync::Arc;
use std::time::Duration;

use lanyard_core::ledger::look;
use lanyard_core::provider::ProviderError;
use lanyard_engine::mint::{IssueError, IssueRequest};
use lanyard_engine::revoke::Round;
use lanyard_engine::skew::MAX_SKEW;
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::fake::{FakeProvider, RevokeFault};
use lanyard_testkit::world;
use lanyard_vocabulary::time::Timestamp;

use crate::common::{Bench, bench_at};

/// A broker, and a target with a clock of its own that counts lives by it.
async fn apart() -> (Bench, Arc<ManualClock>) {
    let theirs = Arc::new(ManualClock::at(ManualClock::START));
    let provider = Arc::new(FakeProvider::new(Arc::clone(&theirs)));
    provider.count_by_its_own_clock();
    (bench_at(&[world::CHARTER], provider).await, theirs)
}

async fn issue(bench: &Bench) -> Result<Timestamp, IssueError> {
    let ask = IssueRequest {
        task: bench.task,
        grant: world::name("read-deployments"),
        ttl: None,
        plan: None,
        request: None,
    };
    let issued = bench.engine.mints().issue(&world::caller(), &ask).await?;
    let expires = issued.expires;
    let handed = issued.release.hand_over(|| ());
    handed.map_err(IssueError::Closed).map(|()| expires)
}

#[tokio::test]
async fn s27_a_broker_that_is_behind_gets_no_mint_back_as_excessive() {
    let (bench, theirs) = apart().await;
    theirs.advance(Duration::from_secs(20));
    // Nobody has looked yet: what the target says is taken as it stands.
    let unmeasured = issue(&bench).await;
    assert!(matches!(
        unmeasured,
        Err(IssueError::Provider(ProviderError::Excessive { .. }))
    ));
    bench.engine.clock().measure_skew(&bench.target).await;
    let expires = issue(&bench).await.unwrap();
    let life = expires.since(bench.clock.now());
    assert!(
        life <= world::TTL && life + Duration::from_secs(1) >= world::TTL,
        "{life:?}"
    );
}

#[tokio::test]
async fn s27_a_broker_that_is_ahead_says_expired_of_nothing_that_lives() {
    let (bench, theirs) = apart().await;
    issue(&bench).await.unwrap();
    bench.provider.revocations(RevokeFault::Lost);
    // The broker's clock is an hour ahead, and nobody there knows.
    bench.clock.advance(Duration::from_secs(3600));
    bench.engine.clock().measure_skew(&bench.target).await;
    let house = || async {
        while bench.engine.expiry().expire_due().await {}
        assert_ne!(
            bench.engine.revoker().revoke_round(&bench.target).await,
            Round::Idle
        );
        bench.engine.revoker().presume(&bench.target).await;
        look(bench.ledger.as_ref(), |state| state.leases().len())
    };
    assert_eq!((house().await, bench.provider.live().len()), (1, 1));
    // When its real end has passed, and the leeway that the target gives it, it goes.
    for clock in [&bench.clock, &theirs] {
        clock.advance(world::TTL + Duration::from_secs(40));
    }
    while bench.engine.expiry().expire_due().await {}
    assert!(bench.provider.live().is_empty());
    assert_eq!(look(bench.ledger.as_ref(), |state| state.leases().len()), 0);
}

#[tokio::test]
async fn s27_a_target_whose_clock_is_too_far_off_mints_nothing_and_says_so() {
    let (bench, theirs) = apart().await;
    for (apart, direction) in [(40_i64, "ahead of"), (-40, "behind")] {
        let now = bench
            .clock
            .now()
            .as_millis()
            .saturating_add_signed(apart * 1000);
        theirs.set(Timestamp::from_millis(now));
        bench.engine.clock().measure_skew(&bench.target).await;
        let line = issue(&bench).await.unwrap_err().to_string();
        assert!(
            line.contains(direction) && line.contains("30 s is the limit"),
            "{line}"
        );
    }
    theirs.set((bench.clock.now() + MAX_SKEW).before(Duration::from_secs(2)));
    bench.engine.clock().measure_skew(&bench.target).await;
    issue(&bench).await.unwrap();
}
