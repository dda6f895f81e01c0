//! Profile `propose`: what its token may do, and which branch rules it requires.

use lanyard_core::provider::{Provider as _, ProviderError, Revoked};
use lanyard_provider_github::BranchRules;
use lanyard_rig::Fault;

use crate::target::{Target, provider, token};

const PULLS: (&str, &str) = ("POST", "/repos/acme/payments/pulls");
const MERGE: (&str, &str) = ("PUT", "/repos/acme/payments/pulls/1/merge");

/// A proposal can be opened where a review is demanded, and its token cannot merge it.
#[tokio::test]
async fn a_proposal_is_opened_and_cannot_be_merged_by_its_token() {
    let target = Target::start();
    target.github.require_reviews("payments", 1, Some("never"));
    let minted = target.mint(&target.proposal()).await.unwrap();
    assert_eq!(target.call(PULLS, token(&minted)), 201);
    assert_eq!(target.call(MERGE, token(&minted)), 405);
    let body = serde_json::json!({"message": "m", "content": "bQ==", "branch": "main"});
    let write = ("PUT", "/repos/acme/payments/contents/README.md");
    let pushed = target
        .github
        .call(write, token(&minted), Some(&body))
        .unwrap();
    assert_eq!(pushed.0, 409);
    let body = serde_json::json!({"message": "m", "content": "bQ==", "branch": "fix"});
    let pushed = target
        .github
        .call(write, token(&minted), Some(&body))
        .unwrap();
    assert_eq!(pushed.0, 201);
}

/// The token that reads the rules may only read metadata of these repositories, and is ended before
/// another is created.
#[tokio::test]
async fn branch_rules_are_read_with_a_metadata_token_that_is_ended() {
    let target = Target::start();
    target.github.require_reviews("payments", 2, None);
    target.mint(&target.proposal()).await.unwrap();
    let asked = target.github.asked();
    let made: Vec<_> = asked
        .iter()
        .filter(|asked| asked.method == "POST")
        .collect();
    let first: serde_json::Value = serde_json::from_str(&made[0].body).unwrap();
    let expected =
        serde_json::json!({"repositories": ["payments"], "permissions": {"metadata": "read"}});
    assert_eq!(first, expected);
    assert_eq!((made.len(), target.github.live()), (2, 1));
    let place = |method: &str| asked.iter().rposition(|asked| asked.method == method);
    assert!(place("DELETE") < place("POST"));
}

/// Without a rule that demands reviews, the lease's token is not requested; the message says what
/// to set up.
#[tokio::test]
async fn without_a_review_rule_no_token_is_minted() {
    let cases = [
        (None, "no rule demands a review on main"),
        (Some((0, Some("never"))), "no rule demands a review on main"),
        (Some((1, Some("always"))), "may bypass the ruleset"),
        (
            Some((1, Some("pull_requests_only"))),
            "may bypass the ruleset",
        ),
        (Some((1, Some("exempt"))), "may bypass the ruleset"),
    ];
    for (reviews, told) in cases {
        let target = Target::start();
        if let Some((count, bypass)) = reviews {
            target.github.require_reviews("payments", count, bypass);
        }
        let request = target.proposal();
        let error = target.mint(&request).await.unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        assert!(matches!(error, ProviderError::Refused { .. }));
        assert_eq!((target.github.tokens().len(), target.github.live()), (1, 0));
        let revoked = target.revoke(&target.reference(&request)).await;
        assert_eq!(revoked, Ok(Revoked::ProvedDead));
    }
}

/// Each repository is checked: one without a rule suffices to refuse.
#[tokio::test]
async fn every_repository_of_a_proposal_needs_the_rule() {
    let target = Target::start();
    target.github.require_reviews("payments", 1, None);
    let mut request = target.proposal();
    if let Some(grant) = request.rights.get_mut::<lanyard_charter::GitHubGrant>() {
        grant.repositories.insert("website".to_owned());
    }
    let error = target.mint(&request).await.unwrap_err().to_string();
    assert!(
        error.contains("acme/website") && !error.contains("acme/payments"),
        "{error}"
    );
    target.github.require_reviews("website", 1, None);
    target.mint(&request).await.unwrap();
}

/// A new token may be answered with 401 at first, which is no reason to refuse.
#[tokio::test]
async fn the_check_waits_until_its_token_is_known() {
    let target = Target::start();
    target.github.require_reviews("payments", 1, None);
    target.github.fail_once(Fault::NotReplicated);
    target.mint(&target.proposal()).await.unwrap();
    assert_eq!(
        target.asked("GET", "/installation/repositories?per_page=1"),
        2
    );
}

/// T79: the token that reads the rules is checked too.
#[tokio::test]
async fn t79_a_check_token_with_more_than_metadata_is_refused() {
    let target = Target::start();
    target.github.require_reviews("payments", 1, None);
    target.github.fail_once(Fault::WiderPermissions);
    let request = target.proposal();
    let error = target.mint(&request).await.unwrap_err();
    assert!(matches!(error, ProviderError::Excessive { .. }), "{error}");
    assert_eq!((target.github.tokens().len(), target.github.live()), (1, 0));
    let revoked = target.revoke(&target.reference(&request)).await;
    assert_eq!(revoked, Ok(Revoked::ProvedDead));
}

/// The operator can vouch for the target; then no branch rule is read.
#[tokio::test]
async fn branch_rules_are_not_read_if_the_operator_vouches() {
    let target = Target::start();
    let provider = provider(&target.github, &target.keys(), BranchRules::NotChecked);
    let request = target.proposal();
    let prepared = provider.prepare(&request).unwrap();
    provider.mint(&request, &prepared).await.unwrap();
    assert_eq!(target.github.tokens().len(), 1);
}

/// The result for the first token says nothing about the lease's own, which was not requested.
#[tokio::test]
async fn a_lost_check_leaves_no_token_of_the_lease() {
    let target = Target::start();
    target.github.require_reviews("payments", 1, None);
    target.github.fail_once(Fault::LostAnswer);
    let request = target.proposal();
    let error = target.mint(&request).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    let revoked = target.revoke(&target.reference(&request)).await;
    assert_eq!(revoked, Ok(Revoked::ProvedDead));
}

#[test]
fn the_setting_is_written_as_the_configuration_has_it() {
    let read = |text: &str| serde_json::from_str::<BranchRules>(text).ok();
    assert_eq!(read("\"required\""), Some(BranchRules::Required));
    assert_eq!(read("\"not-checked\""), Some(BranchRules::NotChecked));
    assert_eq!(read("\"off\""), None);
    assert_eq!(BranchRules::default(), BranchRules::Required);
}
