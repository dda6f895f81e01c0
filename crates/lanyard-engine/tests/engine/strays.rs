//! What a provider has and the ledger does not know is revoked; what the ledger knows is left alone.

use lanyard_core::charter::TargetKind;
use lanyard_core::provider::Provider as _;
use lanyard_engine::mint::Ask;
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;

#[tokio::test]
async fn t54_what_no_lease_stands_for_is_revoked() {
    let bench = crate::common::bench(world::CHARTER).await;
    let ask = Ask {
        task: bench.task,
        grant: world::grant(TargetKind::Kubernetes),
        ttl: None,
        plan: None,
        request: None,
    };
    let issued = bench.engine.issue(&world::agent(), ask).await.unwrap();
    issued.release.hand_over(|| ()).unwrap();

    let (ids, now) = (Ids::seeded(1), ManualClock::START);
    let kind = TargetKind::Kubernetes;
    let stray = world::request(kind, ids.lease(), &world::task(&ids, now), now);
    let prepared = bench.provider.prepare(&stray).unwrap();
    bench.provider.mint(&stray, &prepared).await.unwrap();
    assert_eq!(bench.provider.live().len(), 2);

    assert_eq!(bench.engine.revoke_strays(&bench.target).await, Some(1));
    assert_eq!(bench.provider.live(), [issued.lease].into());
    assert_eq!(bench.engine.revoke_strays(&bench.target).await, Some(0));
}
