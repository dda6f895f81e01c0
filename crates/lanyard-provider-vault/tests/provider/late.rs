//! Tokens that are created during or after their revocation.

use std::time::Duration;

use lanyard_charter::kinds::VaultCredential;
use lanyard_core::provider::{Probe, Provider as _, ProviderError, Revoked};
use lanyard_vocabulary::role::Role;

use crate::fake::Wrong;
use crate::{Faked, faked, provider};

/// T55: a kill meets a mint that has not requested its token yet, or whose answer is on its way.
#[tokio::test]
async fn t55_a_lease_with_a_mint_in_progress_is_not_called_dead() {
    for wrong in [Wrong::SlowMounts, Wrong::SlowChild, Wrong::SlowSecret] {
        let faked = faked();
        let mut request = faked.secret(61);
        request.role = Role::Apply;
        let lease = faked.reference(&request).await;
        let prepared = faked.provider.prepare(&request).unwrap();
        faked.fake.state().wrong = Some(wrong);
        let kill = async {
            faked.fake.silent().await;
            let outcome = faked.revoke(&lease, None).await;
            let proved = faked.prove(&lease).await;
            if wrong != Wrong::SlowSecret {
                assert!(
                    outcome.is_err_and(|error| error.is_retryable()),
                    "{wrong:?}"
                );
                assert!(proved.is_err_and(|error| error.is_retryable()), "{wrong:?}");
            }
            faked.fake.release();
        };
        let (minted, ()) = tokio::join!(faked.provider.mint(&request, &prepared), kill);
        let error = minted.unwrap_err();
        assert!(matches!(error, ProviderError::Refused { .. }), "{error}");
        assert!(error.to_string().contains("ended meanwhile"), "{error}");
        assert_eq!(faked.children(), 0, "{wrong:?}");
        assert!(faked.fake.state().secrets.is_empty(), "{wrong:?}");
        assert_eq!(faked.revoke(&lease, None).await, Ok(Revoked::Acknowledged));
    }
}

/// T55: a lease is revoked after its intent and before its mint.
#[tokio::test]
async fn t55_a_revoked_lease_is_not_minted() {
    let faked = faked();
    let request = faked.request(62);
    let lease = faked.reference(&request).await;
    assert_eq!(faked.revoke(&lease, None).await, Ok(Revoked::Acknowledged));
    let error = faked.mint(&request).await.unwrap_err();
    assert!(matches!(error, ProviderError::Refused { .. }), "{error}");
    assert_eq!(faked.children(), 0);
}

/// T55: a request whose answer was lost may still be carried out while the server works on it; the
/// broker waits for that time.
#[tokio::test]
async fn t55_a_token_not_found_is_dead_once_it_can_no_longer_be_created() {
    let faked = faked();
    let request = faked.request(63);
    let lease = faked.reference(&request).await;
    faked.fake.state().down.insert("child");
    faked.mint(&request).await.unwrap_err();
    faked.fake.state().down.clear();
    assert_eq!(faked.revoke(&lease, None).await, Ok(Revoked::Acknowledged));
    assert_eq!(faked.prove(&lease).await, Ok(Revoked::ProvedDead));
    let late = faked.provider.capabilities().late_request_time;
    assert!(late > Duration::from_secs(90), "the server's own limit");
}

/// A token that appears after its lease was given up is revoked by the next search.
#[tokio::test]
async fn a_token_created_late_is_revoked_by_the_next_search() {
    let faked = faked();
    let request = faked.request(31);
    let lease = faked.reference(&request).await;
    assert_eq!(faked.revoke(&lease, None).await, Ok(Revoked::Acknowledged));
    // A process before this one had requested the token.
    let before = Faked {
        provider: provider(&faked.fake),
        fake: faked.fake.clone(),
    };
    before.mint(&request).await.unwrap();
    assert_eq!(faked.provider.list().await.unwrap(), Vec::new());
    assert!(faked.fake.last_made().is_some_and(|made| {
        let Some(VaultCredential { token, .. }) = made.get() else {
            return false;
        };
        !faked.fake.allows(token.expose())
    }));
}

/// A token whose look-up the server denies could be the token that was searched for, so the lease
/// is not proved dead.
#[tokio::test]
async fn a_denied_look_up_proves_no_death() {
    let faked = faked();
    let request = faked.request(64);
    let lease = faked.reference(&request).await;
    faked.fake.state().denied.insert("left-behind".to_owned());
    assert_eq!(faked.revoke(&lease, None).await, Ok(Revoked::Acknowledged));
    assert_eq!(faked.prove(&lease).await, Ok(Revoked::Acknowledged));
    // It is looked up once, and delays no other search.
    let before = faked.fake.state().lookups;
    faked.mint(&faked.request(65)).await.unwrap();
    assert_eq!(faked.provider.list().await.unwrap().len(), 1);
    assert_eq!(faked.fake.state().lookups, before + 1, "the new lease");
    // The token is gone once no listing contains it.
    faked.fake.state().denied.clear();
    assert_eq!(faked.prove(&lease).await, Ok(Revoked::ProvedDead));
}

/// A token whose look-up is denied counts as dead only after its own revocation was acknowledged.
#[tokio::test]
async fn a_token_with_a_denied_look_up_must_be_revoked_first() {
    let faked = faked();
    let (lease, minted) = faked.mint(&faked.request(66)).await.unwrap();
    let live = faked.fake.live();
    faked.fake.state().denied.extend(live);
    assert_eq!(faked.provider.probe(&lease).await, Ok(Probe::Live));
    faked.fake.state().down.insert("revoke");
    assert!(faked.prove(&lease).await.is_err());
    faked.fake.state().down.clear();
    assert_eq!(faked.prove(&lease).await, Ok(Revoked::ProvedDead));
    drop(minted);
    assert_eq!(faked.children(), 0);
}
