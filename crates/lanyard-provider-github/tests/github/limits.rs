//! Rate limits (T46).

use std::time::Duration;

use lanyard_core::provider::{Provider as _, ProviderError, Revoked};
use lanyard_rig::Fault;

use crate::target::{NOW, Target};

/// T46: until the time that GitHub names, only revocations are sent, and they succeed.
#[tokio::test]
async fn t46_mints_wait_as_long_as_github_says_and_revocations_do_not() {
    let cases = [
        (Fault::Throttled, 120),
        (Fault::LimitReached, 1800),
        (Fault::SecondaryLimit, 60),
    ];
    for (fault, seconds) in cases {
        let target = Target::start();
        let (lease, _) = target.lease().await;
        target.github.fail_once(fault);
        let request = target.request();
        let error = target.mint(&request).await.unwrap_err();
        assert!(
            matches!(error, ProviderError::Throttled { .. }),
            "{fault:?}: {error}"
        );
        let asked = target.github.asked().len();
        target.github.set_clock(NOW.as_secs() + seconds - 1);
        let error = target.mint(&target.request()).await.unwrap_err();
        assert!(
            matches!(error, ProviderError::Throttled { .. }),
            "{fault:?}: {error}"
        );
        assert_eq!(
            target.github.asked().len(),
            asked,
            "{fault:?}: it was asked all the same"
        );
        assert_eq!(
            target.revoke(&lease).await,
            Ok(Revoked::Acknowledged),
            "{fault:?}"
        );
        target.github.set_clock(NOW.as_secs() + seconds);
        target.lease().await;
        // Neither mint left a token behind.
        assert!(target.revoke(&target.reference(&request)).await.is_ok());
    }
}

/// T46: a revocation that meets a limit is retryable, and each retry is sent.
#[tokio::test]
async fn t46_a_revocation_is_always_tried() {
    let target = Target::start();
    let (lease, _) = target.lease().await;
    target.github.fail(Fault::OnlyRevocations);
    target.github.fail(Fault::Throttled);
    for _ in 0..3 {
        let error = target.revoke(&lease).await.unwrap_err();
        assert!(matches!(error, ProviderError::Throttled { .. }) && error.is_retryable());
    }
    assert_eq!(target.asked("DELETE", "/installation/token"), 3);
    // The limit concerned only this revocation: mints are not delayed.
    target.lease().await;
    target.github.mend();
    assert_eq!(target.revoke(&lease).await, Ok(Revoked::Acknowledged));
}

/// An endless wait is not obeyed.
#[tokio::test]
async fn a_server_that_is_down_sets_no_limit() {
    let target = Target::start();
    target.github.fail_once(Fault::Down);
    let request = target.request();
    assert!(target.mint(&request).await.unwrap_err().is_retryable());
    let (lease, _) = target.lease().await;
    assert!(lease.worst_expiry > NOW + Duration::from_secs(3600));
    assert!(
        target
            .provider
            .check_setup(&request)
            .await
            .unwrap()
            .is_empty()
    );
}
