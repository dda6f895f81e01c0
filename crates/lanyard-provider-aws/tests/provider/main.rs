//! The provider on a fake that is as strict as AWS in what it accepts.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod account;
mod conformance;

use std::sync::Arc;
use std::time::Duration;

use lanyard_charter::TargetKind;
use lanyard_core::lease::LeaseRef;
use lanyard_core::provider::{
    MintRequest, Provider, ProviderError, Revocation, RevocationReport, Revoked,
};
use lanyard_provider_aws::{AwsProvider, Roles};
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use lanyard_vocabulary::id::{KillId, LeaseId};
use lanyard_vocabulary::time::{Skew, Timestamp};

use account::{Account, Fake, ROLE, down, provider, target_of};

const NOW: Timestamp = ManualClock::START;

fn request() -> MintRequest {
    let ids = Ids::seeded(1);
    let task = world::task(&ids, NOW);
    world::request(TargetKind::AWS, ids.lease(), &task, NOW)
}

fn lease(bits: u128) -> LeaseRef {
    LeaseRef {
        id: LeaseId::from_bits(bits),
        task: request().task,
        handle: lanyard_core::lease::Handle(ROLE.into()),
        asked: NOW,
        worst_expiry: NOW + Duration::from_secs(600),
        kill: None,
    }
}

fn deny_policy(account: &Account) -> String {
    account
        .policies
        .lock()
        .get(&("plan".to_owned(), "lanyard-deny-one".to_owned()))
        .cloned()
        .unwrap_or_default()
}

async fn revoke(
    provider: &AwsProvider<Fake>,
    due: Vec<LeaseRef>,
) -> Vec<Result<Revoked, ProviderError>> {
    let revocation = Revocation {
        now: NOW,
        due,
        ..Revocation::default()
    };
    provider
        .revoke(&revocation)
        .await
        .outcomes
        .into_iter()
        .map(|(_, outcome)| outcome)
        .collect()
}

#[tokio::test]
async fn a_session_is_named_after_its_lease_and_told_to_end_with_it() {
    let (provider, account) = provider();
    let request = request();
    let prepared = provider.prepare(&request).unwrap();
    let minted = provider.mint(&request, &prepared).await.unwrap();
    assert_eq!(minted.expires, request.expires);
    let asked = account.asked.lock().pop().unwrap();
    assert_eq!(
        (asked.lease, asked.seconds),
        (request.lease.to_string(), 900)
    );
    assert!(asked.policy.contains(&request.expires.to_string()));
}

// AWS compares the keys of session tags without case: two keys that differ only in case are one
// tag, and a kill order's denial would compare the wrong value.
#[tokio::test]
async fn t39_tags_of_a_session_have_one_case_and_one_prefix() {
    let (provider, account) = provider();
    let request = request();
    let prepared = provider.prepare(&request).unwrap();
    provider.mint(&request, &prepared).await.unwrap();
    let asked = account.asked.lock().pop().unwrap();
    let keys: Vec<&str> = asked.tags.iter().map(|(key, _)| *key).collect();
    assert!(!keys.is_empty());
    for key in &keys {
        assert!(key.starts_with("lanyard-"), "{key}");
        assert_eq!(*key, key.to_ascii_lowercase());
    }
    let unique: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(unique.len(), keys.len(), "{keys:?}");
}

#[tokio::test]
async fn no_credential_is_minted_that_could_not_be_revoked() {
    let (provider, account) = provider();
    *account.iam_is_down.lock() = true;
    let request = request();
    let prepared = provider.prepare(&request).unwrap();
    assert!(provider.mint(&request, &prepared).await.is_err());
    assert!(account.asked.lock().is_empty());
}

#[tokio::test]
async fn a_revoked_lease_is_named_and_stays_named_and_is_never_called_proved_dead() {
    let (provider, account) = provider();
    assert_eq!(
        revoke(&provider, vec![lease(1)]).await,
        [Ok(Revoked::Acknowledged)]
    );
    assert_eq!(
        revoke(&provider, vec![lease(2)]).await,
        [Ok(Revoked::Acknowledged)]
    );
    for bits in [1, 2] {
        assert!(deny_policy(&account).contains(&LeaseId::from_bits(bits).to_string()));
    }
    assert_eq!(
        revoke(&provider, vec![lease(2)]).await,
        [Ok(Revoked::Acknowledged)]
    );
}

#[tokio::test]
async fn t66_a_failed_revocation_is_not_acknowledged() {
    let (provider, account) = provider();
    *account.iam_is_down.lock() = true;
    assert_eq!(revoke(&provider, vec![lease(1)]).await, [Err(down())]);
    assert_eq!(deny_policy(&account), "");
}

#[tokio::test]
async fn a_policy_that_somebody_edited_stops_mints_and_is_written_anew() {
    let (provider, account) = provider();
    let name = ("plan".to_owned(), "lanyard-deny-one".to_owned());
    account.policies.lock().insert(
        name,
        r#"{"Version":"2012-10-17","Statement":[]}"#.replace("[]", "{}"),
    );
    let request = request();
    let prepared = provider.prepare(&request).unwrap();
    assert!(provider.mint(&request, &prepared).await.is_err());
    assert_eq!(
        revoke(&provider, vec![lease(1)]).await,
        [Ok(Revoked::Acknowledged)]
    );
    assert!(deny_policy(&account).contains(&LeaseId::from_bits(1).to_string()));
    assert!(provider.mint(&request, &prepared).await.is_ok());
}

/// Writes the policy of another instance, or of another party, to the plan role.
fn put(account: &Account, policy: &str, document: String) {
    let key = ("plan".to_owned(), policy.to_owned());
    account.policies.lock().insert(key, document);
}

/// Checks both roles, with these leases revoked before.
async fn uphold(
    provider: &AwsProvider<Fake>,
    standing: Vec<LeaseRef>,
    now: Timestamp,
) -> RevocationReport {
    let revocation = Revocation {
        now,
        standing,
        ..Revocation::default()
    };
    provider.revoke(&revocation).await
}

fn killed(bits: u128) -> LeaseRef {
    LeaseRef {
        kill: Some(KillId::from_bits(1)),
        ..lease(bits)
    }
}

#[tokio::test]
async fn a_foreign_edit_of_the_policy_is_reported_and_undone() {
    let (provider, account) = provider();
    revoke(&provider, vec![lease(1), lease(2)]).await;
    let whole = deny_policy(&account);
    assert_eq!(
        uphold(&provider, vec![lease(1), lease(2)], NOW)
            .await
            .edited,
        [""; 0]
    );
    let without_one = whole.replace(&LeaseId::from_bits(1).to_string(), "L-nobody");
    let emptied = r#"{"Version":"2012-10-17","Statement":[]}"#.to_owned();
    let edits = [
        (
            Some(without_one),
            "this broker did not write its present text",
        ),
        (Some(emptied), "its entries were changed"),
        (None, "it was deleted"),
    ];
    for (edit, said) in edits {
        match edit {
            Some(document) => put(&account, "lanyard-deny-one", document),
            None => account.policies.lock().clear(),
        }
        let report = uphold(&provider, vec![lease(1), lease(2)], NOW).await;
        let line = report.edited.first().unwrap();
        assert!(line.ends_with(said), "{line}");
        assert_eq!(deny_policy(&account), whole, "{said}");
    }
}

#[tokio::test]
async fn expired_entries_are_removed_and_an_empty_policy_is_deleted() {
    let (provider, account) = provider();
    let longer = LeaseRef {
        worst_expiry: NOW + Duration::from_secs(5 * 3600),
        ..lease(2)
    };
    revoke(&provider, vec![lease(1), longer.clone()]).await;
    let hours = |count: u64| NOW + Duration::from_secs(3600 * count);
    uphold(&provider, vec![longer], hours(3)).await;
    let policy = deny_policy(&account);
    assert!(
        !policy.contains(&LeaseId::from_bits(1).to_string()),
        "{policy}"
    );
    assert!(
        policy.contains(&LeaseId::from_bits(2).to_string()),
        "{policy}"
    );
    let report = uphold(&provider, Vec::new(), hours(8)).await;
    assert_eq!(
        (report.edited, account.policies.lock().len()),
        (Vec::new(), 0)
    );
}

// T42
#[tokio::test]
async fn t42_what_others_write_on_the_role_leaves_less_room_and_a_kill_then_cuts_it() {
    let (provider, account) = provider();
    put(&account, "application", "x".repeat(9_000));
    let due: Vec<_> = (1..=100).map(killed).collect();
    let revocation = Revocation {
        now: NOW,
        due: due.clone(),
        ..Revocation::default()
    };
    let report = provider.revoke(&revocation).await;
    assert_eq!(report.outcomes.len(), due.len());
    assert!(
        report
            .outcomes
            .iter()
            .all(|(_, outcome)| *outcome == Ok(Revoked::Acknowledged))
    );
    let (handle, cut) = report.cuts.first().unwrap();
    assert_eq!((&*handle.0, *cut > NOW), (ROLE, true));
}

#[tokio::test]
async fn two_targets_on_one_role_keep_each_their_own_list_and_share_a_cut() {
    let (one, account) = provider();
    let roles = Arc::<Roles>::default();
    let one = one.beside(Arc::clone(&roles));
    let other = target_of(&account, "other").beside(roles);
    let request = request();
    let prepared = other.prepare(&request).unwrap();
    assert!(other.mint(&request, &prepared).await.is_ok());
    revoke(&one, vec![lease(1)]).await;
    revoke(&other, vec![lease(2)]).await;
    assert_eq!(account.policies.lock().len(), 2);
    // A kill of the first target denies every session of the role, and stops the mints of both
    // targets until its time has passed.
    let revocation = Revocation {
        now: NOW,
        cut: Some(NOW),
        ..Revocation::default()
    };
    let report = one.revoke(&revocation).await;
    assert!(report.cuts.iter().any(|(handle, _)| &*handle.0 == ROLE));
    let refused = other
        .mint(&request, &prepared)
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("a cut was set on the role"), "{refused}");
    // A later write of the other target does not change the cut.
    revoke(&other, vec![lease(3)]).await;
    assert!(deny_policy(&account).contains("aws:TokenIssueTime"));
}

#[tokio::test]
async fn s26_a_lease_about_to_expire_needs_no_entry_except_by_a_kill() {
    let (provider, _account) = provider();
    let ends = |secs, kill: Option<KillId>| {
        let lease = LeaseRef {
            worst_expiry: NOW + Duration::from_secs(secs),
            kill,
            ..lease(1)
        };
        provider.needs_no_revocation(&lease, NOW)
    };
    assert!(ends(0, None) && ends(300, None));
    assert!(!ends(301, None));
    assert!(!ends(0, Some(KillId::from_bits(1))));
}

#[tokio::test]
async fn s26_a_release_on_a_full_list_is_left_to_its_end_and_not_called_acknowledged() {
    let (provider, _account) = provider();
    let due: Vec<_> = (1..=400).map(lease).collect();
    let outcomes = revoke(&provider, due).await;
    let left = |outcome: &&Result<Revoked, ProviderError>| **outcome == Ok(Revoked::LeftToEnd);
    let count = outcomes.iter().filter(left).count();
    assert!((200..300).contains(&count), "{count}");
    let others = outcomes.iter().filter(|outcome| !left(outcome));
    assert!(
        others
            .into_iter()
            .all(|outcome| *outcome == Ok(Revoked::Acknowledged))
    );
}

/// An account whose clock runs ahead by more than the tolerated minute: every session of it seemed
/// longer than requested.
#[tokio::test]
async fn s27_a_session_is_as_long_as_asked_by_whichever_clock() {
    let (provider, account) = provider();
    let ahead = Duration::from_secs(90);
    account.clock.set(NOW + ahead);
    let mut request = request();
    let prepared = provider.prepare(&request).unwrap();
    let unmeasured = provider.mint(&request, &prepared).await;
    assert!(matches!(unmeasured, Err(ProviderError::Excessive { .. })));
    request.skew = Skew::between(NOW, NOW + ahead);
    let minted = provider.mint(&request, &prepared).await.unwrap();
    assert_eq!(minted.expires, request.expires);
}
