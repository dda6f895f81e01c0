//! Requests for tokens, and the checks of the answers.

use std::collections::BTreeSet;
use std::time::Duration;

use lanyard_charter::kinds::GitHubCredential;
use lanyard_charter::{Access, TargetKind};
use lanyard_core::provider::{PrepareError, Provider as _, ProviderError};
use lanyard_rig::Fault;
use lanyard_testkit::world;
use serde_json::Value;

use crate::target::{NOW, Target, token};

const README: (&str, &str) = ("GET", "/repos/acme/payments/contents/README.md");

#[tokio::test]
async fn a_token_does_what_was_granted_and_nothing_else() {
    let target = Target::start();
    let (_, minted) = target.lease().await;
    let token = token(&minted);
    assert_eq!(minted.expires, NOW + Duration::from_secs(3600));
    let cases = [
        (README, 200),
        (("PUT", README.1), 403),
        (("POST", "/repos/acme/payments/pulls"), 403),
        (("GET", "/repos/acme/ledger/contents/README.md"), 404),
    ];
    for (request, status) in cases {
        assert_eq!(target.call(request, token), status, "{request:?}");
    }
    let Some(GitHubCredential {
        host,
        api,
        owner,
        repositories,
        ..
    }) = minted.credential.get()
    else {
        unreachable!("a credential of another kind")
    };
    assert_eq!(
        (host.as_str(), owner.as_str()),
        ("https://github.com", "acme")
    );
    assert_eq!(*api, target.github.url());
    assert_eq!(*repositories, BTreeSet::from(["payments".to_owned()]));
}

/// T38: the document in the journal is byte for byte the request, and names both repositories and
/// permissions.
#[tokio::test]
async fn t38_repositories_and_permissions_are_always_sent() {
    let target = Target::start();
    let request = target.with(|grant| {
        grant.repositories.insert("ledger".to_owned());
        grant.permissions.insert("issues".to_owned(), Access::Write);
    });
    let prepared = target.provider.prepare(&request).unwrap();
    target.provider.mint(&request, &prepared).await.unwrap();
    let sent = target
        .github
        .asked()
        .into_iter()
        .find(|asked| asked.method == "POST")
        .unwrap();
    assert_eq!(sent.body, prepared.document);
    let sent: Value = serde_json::from_str(&sent.body).unwrap();
    let expected = serde_json::json!({
        "repositories": ["ledger", "payments"],
        "permissions": {"contents": "read", "issues": "write"},
    });
    assert_eq!(sent, expected);
}

/// T38: the fake, like GitHub, reads a missing or empty member as everything; the provider notices.
#[tokio::test]
async fn t38_a_token_for_everything_is_noticed_and_ended() {
    let documents = [
        r#"{"permissions": {"contents": "read"}}"#,
        r#"{"repositories": [], "permissions": {"contents": "read"}}"#,
        r#"{"repositories": ["payments"]}"#,
        r#"{"repositories": ["payments"], "permissions": {}}"#,
    ];
    for document in documents {
        let target = Target::start();
        let request = target.request();
        let mut prepared = target.provider.prepare(&request).unwrap();
        document.clone_into(&mut prepared.document);
        let error = target.provider.mint(&request, &prepared).await.unwrap_err();
        assert!(
            matches!(error, ProviderError::Excessive { .. }),
            "{document}: {error}"
        );
        assert_eq!(target.github.tokens().len(), 1, "{document}");
        assert_eq!(target.github.live(), 0, "{document}");
    }
}

/// T38, T79: GitHub is never asked for a token with all rights.
#[tokio::test]
async fn t38_a_request_for_everything_is_refused() {
    let target = Target::start();
    let many = |count: usize| {
        (0..count)
            .map(|at| format!("r{at}"))
            .collect::<BTreeSet<_>>()
    };
    let cases = [
        target.with(|grant| grant.repositories.clear()),
        target.with(|grant| grant.permissions.clear()),
        target.with(|grant| grant.repositories = many(501)),
        target.with(|grant| {
            grant.repositories = many(51);
            grant.proposes = true;
        }),
        target.with(|grant| grant.repositories = ["../other".to_owned()].into()),
    ];
    for request in cases {
        let refused = target.provider.prepare(&request);
        assert!(
            matches!(refused, Err(PrepareError::Unsupported(_))),
            "{refused:?}"
        );
    }
    let mut long = target.request();
    long.expires = long.now + Duration::from_secs(3601);
    assert!(target.provider.prepare(&long).is_err());
    let mut other = target.request();
    other.rights = world::rights(TargetKind::TOKEN);
    assert!(target.provider.prepare(&other).is_err());
    let most = target.with(|grant| grant.repositories = many(500));
    assert!(target.provider.prepare(&most).is_ok());
}

/// T79: a token with more rights than requested is ended at once, and the mint refused.
#[tokio::test]
async fn t79_a_token_with_too_many_rights_is_ended_and_refused() {
    let faults = [
        Fault::LongerLife,
        Fault::WiderPermissions,
        Fault::WiderRepositories,
        Fault::EveryRepository,
    ];
    for fault in faults {
        let target = Target::start();
        target.github.fail(fault);
        let request = target.request();
        let error = target.mint(&request).await.unwrap_err();
        assert!(
            matches!(error, ProviderError::Excessive { .. }),
            "{fault:?}: {error}"
        );
        assert_eq!(
            (target.github.tokens().len(), target.github.live()),
            (1, 0),
            "{fault:?}"
        );
        // The ledger only has the prepared lease; this process knows that the token has ended.
        let revoked = target.revoke(&target.reference(&request)).await;
        assert!(revoked.is_ok(), "{fault:?}: {revoked:?}");
    }
}

/// T79: if the token cannot be ended at once, the lease's revocation ends it while the process
/// lives.
#[tokio::test]
async fn t79_a_token_with_too_many_rights_is_remembered_while_it_lives() {
    let target = Target::start();
    target.github.fail(Fault::WiderPermissions);
    target.github.fail(Fault::RevocationsFail);
    let request = target.request();
    target.mint(&request).await.unwrap_err();
    assert_eq!(target.github.live(), 1);
    let lease = target.reference(&request);
    assert!(target.revoke(&lease).await.unwrap_err().is_retryable());
    target.github.mend();
    target.revoke(&lease).await.unwrap();
    assert_eq!(target.github.live(), 0);
}

/// The provider assumes nothing about the form of a token: the fake issues both of GitHub's forms
/// in turn.
#[tokio::test]
async fn tokens_of_both_forms_are_minted_and_ended() {
    let target = Target::start();
    for _ in 0..2 {
        let (lease, minted) = target.lease().await;
        assert_eq!(target.call(README, token(&minted)), 200);
        target.revoke(&lease).await.unwrap();
        assert_eq!(target.call(README, token(&minted)), 401);
    }
    let lengths: BTreeSet<_> = target.github.tokens().iter().map(String::len).collect();
    assert_eq!(lengths.len(), 2, "{lengths:?}");
}

/// The installation is looked up once, and again after GitHub reported it gone.
#[tokio::test]
async fn an_installation_is_looked_up_once_until_it_is_gone() {
    let target = Target::start();
    for _ in 0..2 {
        target.lease().await;
    }
    assert_eq!(target.asked("GET", "/orgs/acme/installation"), 1);
    target.github.install(false);
    for _ in 0..2 {
        let error = target.mint(&target.request()).await.unwrap_err();
        assert!(matches!(error, ProviderError::Refused { .. }), "{error}");
    }
    assert_eq!(target.asked("GET", "/orgs/acme/installation"), 2);
    assert_eq!(target.asked("GET", "/users/acme/installation"), 1);
    target.github.install(true);
    target.lease().await;
}

#[tokio::test]
async fn a_suspended_installation_is_reported() {
    let target = Target::start();
    target.github.suspend(true);
    let error = target.mint(&target.request()).await.unwrap_err();
    assert!(error.to_string().contains("is suspended"), "{error}");
    target.github.suspend(false);
    target.lease().await;
    target.github.suspend(true);
    let error = target.mint(&target.request()).await.unwrap_err();
    assert!(error.to_string().contains("is suspended"), "{error}");
}

/// A refusal of GitHub becomes a code with a remedy, and leaves nothing to revoke.
#[tokio::test]
async fn a_refusal_of_github_is_reported_and_leaves_no_token() {
    let target = Target::start();
    let cases = [
        (
            target.with(|grant| grant.repositories = ["elsewhere".to_owned()].into()),
            "a repository of the grant does not exist",
        ),
        (
            target.with(|grant| {
                grant
                    .permissions
                    .insert("administration".to_owned(), Access::Read);
            }),
            "the app was not granted a permission",
        ),
    ];
    for (request, told) in cases {
        let error = target.mint(&request).await.unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        let revoked = target.revoke(&target.reference(&request)).await;
        assert!(revoked.is_ok(), "{revoked:?}");
    }
    assert_eq!(target.asked("DELETE", "/installation/token"), 0);
}

/// T50: a text of GitHub that echoes a token reaches no error.
#[tokio::test]
async fn t50_an_error_that_repeats_a_token_is_a_code() {
    let target = Target::start();
    let (lease, minted) = target.lease().await;
    target.github.fail(Fault::EchoesToken);
    let refused = target.mint(&target.request()).await.unwrap_err();
    let kept = target.revoke(&lease).await.unwrap_err();
    for error in [refused, kept] {
        let shown = format!("{error} {error:?}");
        assert!(
            !shown.contains(token(&minted)) && !shown.contains("Bearer"),
            "{shown}"
        );
        // The app's own token is a JWT.
        assert!(!shown.contains("eyJ"), "{shown}");
        assert!(shown.contains("422"), "{shown}");
    }
}

/// A redirect is refused: following it would send the token to another address.
#[tokio::test]
async fn a_redirect_is_refused() {
    let target = Target::start();
    target.github.fail(Fault::Redirects);
    let error = target.mint(&target.request()).await.unwrap_err();
    assert!(error.to_string().contains("GitHub redirects"), "{error}");
}

/// An answer that is too large may contain a token, so the mint is ambiguous.
#[tokio::test]
async fn an_endless_answer_counts_as_lost() {
    let target = Target::start();
    target.github.fail(Fault::HugeAnswer);
    let request = target.request();
    let error = target.mint(&request).await.unwrap_err();
    assert!(matches!(error, ProviderError::Ambiguous { .. }), "{error}");
    assert!(target.revoke(&target.reference(&request)).await.is_err());
}
