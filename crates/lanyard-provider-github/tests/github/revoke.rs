//! How a lease ends, and how far that is known.

use std::time::Duration;

use lanyard_core::provider::{Probe, Provider as _, ProviderError, Revocation, Revoked};
use lanyard_core::time::Timestamp;
use lanyard_rig::Fault;
use lanyard_testkit::conformance::refuser;

use crate::target::{NOW, Target, revoke, token};

const LIST: (&str, &str) = ("GET", "/installation/repositories");

#[tokio::test]
async fn a_token_is_ended_and_proved_dead() {
    let target = Target::start();
    let (one, minted) = target.lease().await;
    let (other, neighbour) = target.lease().await;
    assert_eq!(target.provider.probe(&one).await, Ok(Probe::Live));
    assert_eq!(
        target.provider.try_out(&minted.credential).await,
        Ok(Some(true))
    );
    assert_eq!(target.revoke(&one).await, Ok(Revoked::Acknowledged));
    assert_eq!(target.call(LIST, token(&minted)), 401);
    assert_eq!(target.prove(&one).await, Ok(Revoked::ProvedDead));
    assert_eq!(target.provider.probe(&one).await, Ok(Probe::Dead));
    assert_eq!(
        target.provider.try_out(&minted.credential).await,
        Ok(Some(false))
    );
    assert_eq!(target.call(LIST, token(&neighbour)), 200);
    assert_eq!(target.provider.probe(&other).await, Ok(Probe::Live));
    // Again, by the 401 alone.
    assert_eq!(target.revoke(&one).await, Ok(Revoked::ProvedDead));
}

/// A kill of the whole target is every token, one by one.
#[tokio::test]
async fn a_kill_of_everything_is_every_token() {
    let target = Target::start();
    let mut due = Vec::new();
    for _ in 0..20 {
        due.push(target.lease().await.0);
    }
    let revocation = Revocation {
        now: NOW,
        due,
        cut: Some(NOW),
        ..Revocation::default()
    };
    let report = target.provider.revoke(&revocation).await;
    assert_eq!(report.outcomes.len(), 20);
    assert!(report.outcomes.iter().all(|(_, outcome)| outcome.is_ok()));
    assert_eq!(target.github.live(), 0);
}

/// T54: another process needs the handle and the keys, and nothing else.
#[tokio::test]
async fn t54_a_token_of_an_earlier_process_is_ended() {
    let target = Target::start();
    let (lease, _) = target.lease().await;
    let later = target.restarted();
    let revoked = revoke(&later, &lease, NOW.as_secs()).await;
    assert_eq!(revoked, Ok(Revoked::Acknowledged));
    assert_eq!(target.github.live(), 0);
}

/// T55: a token whose answer was lost is nobody's to end, and nobody says that it has ended.
#[tokio::test]
async fn t55_a_lost_answer_is_pending_until_its_worst_expiry_and_said_to_be() {
    let target = Target::start();
    target.github.fail_once(Fault::LostAnswer);
    let request = target.request();
    let error = target.mint(&request).await.unwrap_err();
    assert!(matches!(error, ProviderError::Ambiguous { .. }), "{error}");
    assert_eq!(target.github.live(), 1);
    let lease = target.reference(&request);
    for provider in [&target.provider, &target.restarted()] {
        let told = revoke(provider, &lease, NOW.as_secs()).await.unwrap_err();
        // Not retryable: one lost answer is no reason to think that GitHub is down.
        assert!(!told.is_retryable());
        let text = told.to_string();
        assert!(
            text.contains("was lost") && text.contains(&lease.worst_expiry.to_string()),
            "{text}"
        );
        assert_eq!(provider.probe(&lease).await, Ok(Probe::Unknowable));
    }
    let last = &target.github.tokens()[0];
    target.github.set_clock((lease.worst_expiry).as_secs());
    assert_eq!(target.call(LIST, last), 401);
    assert!(lease.worst_expiry >= NOW + Duration::from_secs(3600));
}

/// T54: where the journal does not take the answer, this process still knows the token; a later one
/// says that it cannot.
#[tokio::test]
async fn t54_an_answer_that_was_not_journaled_is_known_as_long_as_the_process_lives() {
    let target = Target::start();
    let request = target.request();
    target.mint(&request).await.unwrap();
    let lease = target.reference(&request);
    let later = revoke(&target.restarted(), &lease, NOW.as_secs()).await;
    assert!(
        matches!(later, Err(ProviderError::Refused { .. })),
        "{later:?}"
    );
    assert_eq!(target.revoke(&lease).await, Ok(Revoked::Acknowledged));
    assert_eq!(target.prove(&lease).await, Ok(Revoked::ProvedDead));
}

/// T55: what was never sent left nothing.
#[tokio::test]
async fn a_server_that_is_not_there_leaves_nothing() {
    let target = Target::start();
    let request = target.request();
    let nobody = lanyard_rig::free_port().unwrap();
    let key = target.github.private_key();
    let key = lanyard_provider_github::AppKey::read(target.github.app_id(), &key).unwrap();
    let client = lanyard_provider_github::Client::new(&format!("http://{nobody}"), key, "acme");
    let sealer = lanyard_provider_github::SealingKeys::read(&target.keys()).unwrap();
    let provider = lanyard_provider_github::GitHubProvider::new(
        lanyard_provider_github::GitHubTarget {
            host: "https://github.com".to_owned(),
            branch_rules: lanyard_provider_github::BranchRules::Required,
        },
        client.unwrap(),
        std::sync::Arc::new(sealer),
    );
    let prepared = provider.prepare(&request).unwrap();
    let error = provider.mint(&request, &prepared).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    let revoked = revoke(&provider, &target.reference(&request), NOW.as_secs()).await;
    assert_eq!(revoked, Ok(Revoked::ProvedDead));
}

/// A mint is never tried a second time, whatever came of the first.
#[tokio::test]
async fn t55_a_mint_is_asked_for_once() {
    for fault in [Fault::LostAnswer, Fault::Down, Fault::Throttled] {
        let target = Target::start();
        target.lease().await;
        let before = target.asked("POST", "/access_tokens");
        target.github.fail(fault);
        target.mint(&target.request()).await.unwrap_err();
        assert_eq!(
            target.asked("POST", "/access_tokens"),
            before + 1,
            "{fault:?}"
        );
    }
}

/// A token that was just made may be answered with 401 and work a moment later: that is no proof.
#[tokio::test]
async fn a_young_token_that_is_not_known_everywhere_is_not_called_dead() {
    let target = Target::start();
    let (lease, minted) = target.lease().await;
    target.github.fail(Fault::NotReplicated);
    let told = target.revoke(&lease).await.unwrap_err();
    // Its own fault, which holds up neither the rest nor mints.
    assert!(!told.is_retryable(), "{told}");
    assert_eq!(target.provider.probe(&lease).await, Ok(Probe::Unknowable));
    target.github.set_clock(NOW.as_secs() + 6);
    assert_eq!(target.call(LIST, token(&minted)), 200);
    assert_eq!(target.revoke(&lease).await, Ok(Revoked::Acknowledged));
    assert_eq!(target.prove(&lease).await, Ok(Revoked::ProvedDead));
}

/// A token that its own holder ended is dead, once it is old enough for 401 to mean that.
#[tokio::test]
async fn a_token_that_its_holder_ended_is_dead() {
    let target = Target::start();
    let (lease, minted) = target.lease().await;
    assert_eq!(
        target.call(("DELETE", "/installation/token"), token(&minted)),
        204
    );
    assert!(target.revoke(&lease).await.is_err());
    // Its mint may have taken as long as a mint may take.
    target.github.set_clock(NOW.as_secs() + 149);
    assert_eq!(target.provider.probe(&lease).await, Ok(Probe::Unknowable));
    target.github.set_clock(NOW.as_secs() + 150);
    assert_eq!(target.provider.probe(&lease).await, Ok(Probe::Dead));
    assert_eq!(target.revoke(&lease).await, Ok(Revoked::ProvedDead));
}

/// An end that GitHub took and does not carry out is found out, and never called dead.
#[tokio::test]
async fn an_end_that_was_taken_and_is_none_is_found_out() {
    let target = Target::start();
    let (lease, _) = target.lease().await;
    target.github.fail(Fault::RevocationsIgnored);
    assert_eq!(target.revoke(&lease).await, Ok(Revoked::Acknowledged));
    let told = target.prove(&lease).await.unwrap_err();
    assert!(told.to_string().contains("still accepts it"), "{told}");
    assert_eq!(target.provider.probe(&lease).await, Ok(Probe::Live));
}

/// T67: each token is ended by a call of its own.
#[tokio::test]
async fn t67_one_that_fails_does_not_hold_up_the_rest() {
    let target = Target::start();
    let (one, first) = target.lease().await;
    let (other, _) = target.lease().await;
    target.github.keep_once(token(&first));
    let revocation = Revocation {
        now: NOW,
        due: vec![one.clone(), other.clone()],
        ..Revocation::default()
    };
    let report = target.provider.revoke(&revocation).await;
    let told = |id| {
        report
            .outcomes
            .iter()
            .find(|(lease, _)| *lease == id)
            .unwrap()
    };
    assert!(
        told(one.id)
            .1
            .as_ref()
            .is_err_and(ProviderError::is_retryable)
    );
    assert_eq!(told(other.id).1, Ok(Revoked::Acknowledged));
    assert_eq!(target.revoke(&one).await, Ok(Revoked::Acknowledged));
}

/// A suspended installation is not proof of death: whoever lifts it brings its tokens back.
#[tokio::test]
async fn a_token_of_a_suspended_installation_is_pending() {
    let target = Target::start();
    let (lease, minted) = target.lease().await;
    target.github.suspend(true);
    assert_eq!(target.call(LIST, token(&minted)), 403);
    let told = target.revoke(&lease).await.unwrap_err();
    assert!(told.to_string().contains("is suspended"), "{told}");
    target.github.suspend(false);
    assert_eq!(target.revoke(&lease).await, Ok(Revoked::Acknowledged));
}

#[tokio::test]
async fn what_is_promised_is_what_is_known() {
    let target = Target::start();
    let capabilities = target.provider.capabilities();
    assert!(!capabilities.lists && capabilities.proves && !capabilities.whole);
    assert_eq!(target.provider.list().await, Ok(Vec::new()));
    let said = target.provider.revocability(&target.request().rights);
    assert_eq!(said.worst_case, Some(Duration::from_secs(3600)));
    assert!(said.source.starts_with("unmeasured"), "{}", said.source);
    let prepared = target.provider.prepare(&target.request()).unwrap();
    assert!(prepared.worst_expiry > Timestamp::from_secs(NOW.as_secs() + 3600));
}

/// S47: answers of whatever stands between.
#[tokio::test]
async fn s47_an_answer_that_is_not_githubs_own_ends_nothing_and_shows_nothing() {
    let target = Target::start();
    let (lease, _) = target.lease().await;
    let unanswered = target.request();
    let another = r#"{"message": "Bad credentials", "token": "x"}"#;
    for status in [
        "200 OK",
        "201 Created",
        "204 No Content",
        "401 Unauthorized",
        "403 Forbidden",
        "404 Not Found",
        "422 Unprocessable Content",
        "429 Too Many Requests",
        "500 Internal Server Error",
    ] {
        for (media, body) in [
            ("text/html", "<html>no</html>"),
            ("application/json", "{}"),
            ("application/json", another),
            ("application/json", ""),
        ] {
            let told = format!("{status}, {body}");
            let address = refuser::start(status, media, body.to_owned());
            let provider = target.behind(address);
            let revoked = revoke(&provider, &lease, NOW.as_secs() + 600).await;
            assert!(
                matches!(revoked, Err(ProviderError::Ambiguous { .. })),
                "{told}: {revoked:?}"
            );
            let proved = provider.prove(std::slice::from_ref(&lease)).await;
            assert!(
                proved.iter().all(|(_, it)| it.is_err()),
                "{told}: {proved:?}"
            );
            assert!(provider.probe(&lease).await != Ok(Probe::Dead), "{told}");
            // A mint that it refused may have made a token: nobody says that there is none.
            let prepared = provider.prepare(&unanswered).unwrap();
            let minted = provider.mint(&unanswered, &prepared).await;
            assert!(
                matches!(minted, Err(ProviderError::Ambiguous { .. })),
                "{told}: {minted:?}"
            );
            let unmade = target.reference(&unanswered);
            let revoked = revoke(&provider, &unmade, NOW.as_secs()).await;
            assert!(revoked.is_err(), "{told}: {revoked:?}");
        }
    }
    assert_eq!(target.revoke(&lease).await, Ok(Revoked::Acknowledged));
    assert_eq!(target.prove(&lease).await, Ok(Revoked::ProvedDead));
}
