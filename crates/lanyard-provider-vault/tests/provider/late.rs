//! What comes to be while it is being ended, or after.

use std::time::Duration;

use lanyard_core::charter::Role;
use lanyard_core::provider::{Probe, Provider as _, ProviderError, Revoked};

use crate::fake::Wrong;
use crate::{Faked, faked, provider};

/// T55: a kill meets a mint that has not asked for its token yet, or whose answer is on its way.
#[tokio::test]
async fn t55_a_mint_that_is_under_way_is_not_said_to_be_dead() {
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

/// T55: the revocation of an intent comes before its mint does.
#[tokio::test]
async fn t55_a_lease_that_was_ended_is_not_minted_any_more() {
    let faked = faked();
    let request = faked.request(62);
    let lease = faked.reference(&request).await;
    assert_eq!(faked.revoke(&lease, None).await, Ok(Revoked::Acknowledged));
    let error = faked.mint(&request).await.unwrap_err();
    assert!(matches!(error, ProviderError::Refused { .. }), "{error}");
    assert_eq!(faked.children(), 0);
}

/// T55: a request whose answer was lost may still be carried out for as long as the server works on
/// one, which is for the broker to wait for.
#[tokio::test]
async fn t55_what_was_not_found_is_dead_when_it_cannot_come_any_more() {
    let faked = faked();
    let request = faked.request(63);
    let lease = faked.reference(&request).await;
    faked.fake.state().down.insert("child");
    faked.mint(&request).await.unwrap_err();
    faked.fake.state().down.clear();
    assert_eq!(faked.revoke(&lease, None).await, Ok(Revoked::Acknowledged));
    assert_eq!(faked.prove(&lease).await, Ok(Revoked::ProvedDead));
    let late = faked.provider.capabilities().late_requests;
    assert!(late > Duration::from_secs(90), "the server's own limit");
}

/// A token that turns up after its lease was given up is revoked when the target is looked through.
#[tokio::test]
async fn a_token_that_comes_late_is_revoked_when_it_is_seen() {
    let faked = faked();
    let request = faked.request(31);
    let lease = faked.reference(&request).await;
    assert_eq!(faked.revoke(&lease, None).await, Ok(Revoked::Acknowledged));
    // As what the process before this one had asked for.
    let before = Faked {
        provider: provider(&faked.fake),
        fake: faked.fake.clone(),
    };
    before.mint(&request).await.unwrap();
    assert_eq!(faked.provider.list().await.unwrap(), Vec::new());
    assert!(faked.fake.last_made().is_some_and(|made| {
        let lanyard_core::provider::Credential::Vault { token, .. } = made else {
            return false;
        };
        !faked.fake.allows(token.expose())
    }));
}

/// A token that the server does not describe could be the one that was searched: the lease is not
/// called proved dead.
#[tokio::test]
async fn what_the_server_does_not_tell_of_is_not_proved_dead() {
    let faked = faked();
    let request = faked.request(64);
    let lease = faked.reference(&request).await;
    faked.fake.state().denied.insert("left-behind".to_owned());
    assert_eq!(faked.revoke(&lease, None).await, Ok(Revoked::Acknowledged));
    assert_eq!(faked.prove(&lease).await, Ok(Revoked::Acknowledged));
    // It is looked at once, and stands in nobody's way.
    let before = faked.fake.state().lookups;
    faked.mint(&faked.request(65)).await.unwrap();
    assert_eq!(faked.provider.list().await.unwrap().len(), 1);
    assert_eq!(faked.fake.state().lookups, before + 1, "the new lease");
    // And gone when it is listed no more.
    faked.fake.state().denied.clear();
    assert_eq!(faked.prove(&lease).await, Ok(Revoked::ProvedDead));
}

/// A token of which the server does not tell is dead once its own revocation was taken, and not
/// before.
#[tokio::test]
async fn a_token_that_is_not_told_of_has_to_be_revoked_first() {
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
