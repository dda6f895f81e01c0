//! A request that is repeated.

use lanyard_charter::TargetKind;
use lanyard_engine::mint::{IssueError, IssueRequest};
use lanyard_testkit::world;

#[tokio::test]
async fn t57_a_repeated_request_is_one_credential_whose_secret_is_given_once() {
    let bench = crate::common::bench(world::CHARTER).await;
    let ask = || IssueRequest {
        task: bench.task,
        grant: world::grant(TargetKind::KUBERNETES),
        ttl: None,
        plan: None,
        request: Some("retry-1".to_owned()),
    };
    let issued = bench
        .engine
        .mints()
        .issue(&world::caller(), &ask())
        .await
        .unwrap();
    let lease = issued.lease;
    issued.release.hand_over(|| ()).unwrap();
    for _ in 0..2 {
        let again = bench.engine.mints().issue(&world::caller(), &ask()).await;
        assert!(
            matches!(again, Err(IssueError::Repeated(found)) if found == lease),
            "a second credential, or another answer"
        );
    }
    assert_eq!(bench.provider.minted(), [lease]);
}
