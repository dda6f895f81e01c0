//! What a provider has and the ledger does not know is revoked; what the ledger knows is left
//! alone.

use lanyard_charter::TargetKind;
use lanyard_core::kill::Actor;
use lanyard_core::provider::Provider as _;
use lanyard_engine::mint::IssueRequest;
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::fake::RevokeFault;
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use lanyard_vocabulary::scope::{RoleFilter, Scope};

#[tokio::test]
async fn t54_what_no_lease_stands_for_is_revoked() {
    let bench = crate::common::bench(world::CHARTER).await;
    let ask = IssueRequest {
        task: bench.task,
        grant: world::grant(TargetKind::KUBERNETES),
        ttl: None,
        plan: None,
        request: None,
    };
    let issued = bench
        .engine
        .mints()
        .issue(&world::caller(), &ask)
        .await
        .unwrap();
    issued.release.hand_over(|| ()).unwrap();

    let (ids, now) = (Ids::seeded(1), ManualClock::START);
    let kind = TargetKind::KUBERNETES;
    let stray = world::request(kind, ids.lease(), &world::task(&ids, now), now);
    let prepared = bench.provider.prepare(&stray).unwrap();
    bench.provider.mint(&stray, &prepared).await.unwrap();
    assert_eq!(bench.provider.live().len(), 2);

    assert_eq!(
        bench.engine.reconciler().revoke_strays(&bench.target).await,
        Some(1)
    );
    assert_eq!(bench.provider.live(), [issued.lease].into());
    assert_eq!(
        bench.engine.reconciler().revoke_strays(&bench.target).await,
        Some(0)
    );
}

/// T67: what made a credential does not end it, which is said of that one; neither as a lease nor
/// as a stray after a start does it keep others from being minted.
#[tokio::test]
async fn t67_one_credential_that_does_not_end_stops_no_mint() {
    let charter = world::CHARTER.replace("live_leases: 5", "live_leases: 50");
    let bench = crate::common::bench(&charter).await;
    let mint = async || crate::common::mint_own(&bench).await.unwrap();
    let stuck = mint().await;
    bench.provider.revocations(RevokeFault::Stuck);
    let scope = Scope::Lease(stuck);
    let by = (RoleFilter::Both, "drill".to_owned(), Actor::Local);
    let order = bench.engine.kills().draft(scope, by.0, by.1, by.2).unwrap();
    let order = bench.engine.kills().engage(order).await.order.id;
    bench.engine.kills().sweep_orders().await;
    for _ in 0..10 {
        bench.engine.revoker().revoke_round(&bench.target).await;
        bench.clock.advance(std::time::Duration::from_secs(31));
        mint().await;
        bench.engine.deliveries().settle().await;
        let report = bench.engine.kills().report(order).await.unwrap();
        assert!(!report.is_taken());
        let why = report.lines.first().unwrap().why.clone().unwrap();
        assert!(why.contains("its engine failed to revoke it"), "{why}");
    }
    let (ids, now) = (Ids::seeded(2), bench.clock.now());
    let kind = TargetKind::KUBERNETES;
    let stray = world::request(kind, ids.lease(), &world::task(&ids, now), now);
    let prepared = bench.provider.prepare(&stray).unwrap();
    bench.provider.mint(&stray, &prepared).await.unwrap();
    bench.engine.reconciler().look_before_issuing();
    assert_eq!(
        bench.engine.reconciler().revoke_strays(&bench.target).await,
        Some(1)
    );
    mint().await;
}
