//! How a lease ends, and what the provider reports about that.

use std::time::Duration;

use lanyard_core::provider::{Probe, Provider as _, ProviderError, Revocation, Revoked};
use lanyard_rig::Fault;
use lanyard_testkit::conformance::refuser;
use lanyard_vocabulary::time::Timestamp;

use crate::target::{NOW, Target, revoke, token};

const LIST: (&str, &str) = ("GET", "/installation/repositories");

#[tokio::test]
async fn a_token_is_ended_and_proved_dead() {
    let target = Target::start();
    let (one, minted) = target.lease().await;
    let (other, neighbour) = target.lease().await;
    assert_eq!(target.provider.probe(&one).await, Ok(Probe::Live));
    assert_eq!(
        target
            .provider
            .probe_with_credential(&minted.credential)
            .await,
        Ok(Some(true))
    );
    assert_eq!(target.revoke(&one).await, Ok(Revoked::Acknowledged));
    assert_eq!(target.call(LIST, token(&minted)), 401);
    assert_eq!(target.prove(&one).await, Ok(Revoked::ProvedDead));
    assert_eq!(target.provider.probe(&one).await, Ok(Probe::Dead));
    assert_eq!(
        target
            .provider
            .probe_with_credential(&minted.credential)
            .await,
        Ok(Some(false))
    );
    assert_eq!(target.call(LIST, token(&neighbour)), 200);
    assert_eq!(target.provider.probe(&other).await, Ok(Probe::Live));
    // A second revocation is proved by the 401 itself.
    assert_eq!(target.revoke(&one).await, Ok(Revoked::ProvedDead));
}

/// A kill of the whole target ends every token, one by one.
#[tokio::test]
async fn a_kill_of_the_target_ends_every_token() {
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

/// T54: another process needs only the handle and the keys.
#[tokio::test]
async fn t54_a_token_of_an_earlier_process_is_ended() {
    let target = Target::start();
    let (lease, _) = target.lease().await;
    let later = target.restarted();
    let revoked = revoke(&later, &lease, NOW.as_secs()).await;
    assert_eq!(revoked, Ok(Revoked::Acknowledged));
    assert_eq!(target.github.live(), 0);
}

/// T55: nobody can end a token whose answer was lost, and it is not reported as dead.
#[tokio::test]
async fn t55_a_lost_answer_is_pending_until_its_worst_expiry() {
    let target = Target::start();
    target.github.fail_once(Fault::LostAnswer);
    let request = target.request();
    let error = target.mint(&request).await.unwrap_err();
    assert!(matches!(error, ProviderError::Ambiguous { .. }), "{error}");
    assert_eq!(target.github.live(), 1);
    let lease = target.reference(&request);
    for provider in [&target.provider, &target.restarted()] {
        let told = revoke(provider, &lease, NOW.as_secs()).await.unwrap_err();
        // Not retryable: one lost answer does not mean that GitHub is down.
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

/// T54: if the journal does not record the answer, this process still knows the token; a later
/// process reports that it cannot end it.
#[tokio::test]
async fn t54_an_unrecorded_answer_is_known_while_the_process_lives() {
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

/// T55: a request that was never sent left no token.
#[tokio::test]
async fn an_unreachable_server_leaves_no_token() {
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

/// A mint is never repeated, whatever its outcome.
#[tokio::test]
async fn t55_a_mint_is_never_repeated() {
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

/// A new token may be answered with 401 and work a moment later, so 401 proves nothing yet.
#[tokio::test]
async fn a_new_token_with_status_401_is_not_called_dead() {
    let target = Target::start();
    let (lease, minted) = target.lease().await;
    target.github.fail(Fault::NotReplicated);
    let told = target.revoke(&lease).await.unwrap_err();
    // The failure concerns this lease only, and delays neither other leases nor mints.
    assert!(!told.is_retryable(), "{told}");
    assert_eq!(target.provider.probe(&lease).await, Ok(Probe::Unknowable));
    target.github.set_clock(NOW.as_secs() + 6);
    assert_eq!(target.call(LIST, token(&minted)), 200);
    assert_eq!(target.revoke(&lease).await, Ok(Revoked::Acknowledged));
    assert_eq!(target.prove(&lease).await, Ok(Revoked::ProvedDead));
}

/// A token that its holder ended is dead once it is old enough for 401 to mean that.
#[tokio::test]
async fn a_token_that_its_holder_ended_is_dead() {
    let target = Target::start();
    let (lease, minted) = target.lease().await;
    assert_eq!(
        target.call(("DELETE", "/installation/token"), token(&minted)),
        204
    );
    assert!(target.revoke(&lease).await.is_err());
    // The mint may have taken as long as its time limit allows.
    target.github.set_clock(NOW.as_secs() + 149);
    assert_eq!(target.provider.probe(&lease).await, Ok(Probe::Unknowable));
    target.github.set_clock(NOW.as_secs() + 150);
    assert_eq!(target.provider.probe(&lease).await, Ok(Probe::Dead));
    assert_eq!(target.revoke(&lease).await, Ok(Revoked::ProvedDead));
}

/// GitHub confirms an end and does not carry it out: the check finds that, and the lease is not
/// called dead.
#[tokio::test]
async fn an_end_that_github_does_not_carry_out_is_noticed() {
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
async fn t67_one_failed_revocation_does_not_delay_the_others() {
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

/// A suspended installation does not prove death: lifting the suspension revives its tokens.
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
async fn the_declared_capabilities_match_the_documentation() {
    let target = Target::start();
    let capabilities = target.provider.capabilities();
    assert!(
        !capabilities.can_list && capabilities.can_prove && !capabilities.rewrites_whole_document
    );
    assert_eq!(target.provider.list().await, Ok(Vec::new()));
    let said = target.provider.revocability(&target.request().rights);
    assert_eq!(said.worst_case, Some(Duration::from_secs(3600)));
    assert!(said.source.starts_with("unmeasured"), "{}", said.source);
    let prepared = target.provider.prepare(&target.request()).unwrap();
    assert!(prepared.worst_expiry > Timestamp::from_secs(NOW.as_secs() + 3600));
}

/// S47: answers of a proxy or gateway.
#[tokio::test]
async fn s47_a_foreign_answer_in_githubs_place_ends_and_proves_nothing() {
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
            let proved = provider
                .finish_and_prove(std::slice::from_ref(&lease))
                .await;
            assert!(
                proved.iter().all(|(_, it)| it.is_err()),
                "{told}: {proved:?}"
            );
            assert!(provider.probe(&lease).await != Ok(Probe::Dead), "{told}");
            // A mint that the proxy refused may have created a token, so it is ambiguous.
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
