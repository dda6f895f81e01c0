//! The provider on a fake that is as strict as AWS in what it accepts.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its footing gives way"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lanyard_core::charter::TargetKind;
use lanyard_core::id::{KillId, LeaseId};
use lanyard_core::lease::LeaseRef;
use lanyard_core::provider::{
    Credential, MintRequest, Provider, ProviderError, Revocation, RevocationReport, Revoked,
};
use lanyard_core::secret::Secret;
use lanyard_core::time::Timestamp;
use lanyard_provider_aws::api::{AssumeRole, AwsApi, Held, RoleFacts, Session};
use lanyard_provider_aws::{AwsProvider, AwsTarget, Roles};
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::conformance::{self, Subject, Verdict};
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use parking_lot::Mutex;

const NOW: Timestamp = ManualClock::START;
const ROLE: &str = "arn:aws:iam::111122223333:role/lanyard/plan";

#[derive(Default)]
struct Account {
    asked: Mutex<Vec<AssumeRole>>,
    policies: Mutex<BTreeMap<(String, String), String>>,
    longer: Mutex<bool>,
    iam_is_down: Mutex<bool>,
}

struct Fake(Arc<Account>);

fn down() -> ProviderError {
    ProviderError::Ambiguous {
        provider: "aws",
        operation: "iam",
        code: "down".to_owned(),
    }
}

#[async_trait]
impl AwsApi for Fake {
    async fn assume_role(&self, ask: &AssumeRole) -> Result<Session, ProviderError> {
        let name = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        assert!((2..=64).contains(&ask.lease.len()) && ask.lease.chars().all(name));
        assert!((900..=3600).contains(&ask.seconds) && ask.policy.len() <= 2048);
        serde_json::from_str::<serde_json::Value>(&ask.policy).unwrap();
        self.0.asked.lock().push(ask.clone());
        let longer = if *self.0.longer.lock() { 3600 } else { 0 };
        let seconds = u64::try_from(ask.seconds).unwrap() + longer;
        Ok(Session {
            access_key_id: "ASIA".to_owned(),
            secret_access_key: Secret::new("canary".to_owned()),
            session_token: Secret::new(format!("session of {}", ask.lease)),
            expires: NOW + Duration::from_secs(seconds),
            arn: format!("arn:aws:sts::111122223333:assumed-role/plan/{}", ask.lease),
            source_identity: Some(ask.lease.clone()),
        })
    }

    async fn role_policy(&self, role: &str, policy: &str) -> Result<Option<String>, ProviderError> {
        if *self.0.iam_is_down.lock() {
            return Err(down());
        }
        Ok(self
            .0
            .policies
            .lock()
            .get(&(role.to_owned(), policy.to_owned()))
            .cloned())
    }

    async fn role_policies(&self, role: &str) -> Result<Vec<String>, ProviderError> {
        if *self.0.iam_is_down.lock() {
            return Err(down());
        }
        let policies = self.0.policies.lock();
        let of_role = policies.keys().filter(|(of, _)| of == role);
        Ok(of_role.map(|(_, name)| name.clone()).collect())
    }

    async fn delete_role_policy(&self, role: &str, policy: &str) -> Result<(), ProviderError> {
        let key = (role.to_owned(), policy.to_owned());
        self.0.policies.lock().remove(&key);
        Ok(())
    }

    async fn role_facts(&self, role: &str) -> Result<Option<RoleFacts>, ProviderError> {
        Ok((role == "plan").then(|| RoleFacts {
            boundary: None,
            trust: "{}".to_owned(),
        }))
    }

    async fn holder(&self, session: &Held<'_>) -> Result<Option<String>, ProviderError> {
        let known = session.session_token.expose().starts_with("session of ");
        Ok(known.then(|| "arn:aws:sts::111122223333:assumed-role/plan/x".to_owned()))
    }

    async fn minter(&self) -> Result<String, ProviderError> {
        Ok("arn:aws:iam::111122223333:user/minter".to_owned())
    }

    async fn put_role_policy(
        &self,
        role: &str,
        policy: &str,
        document: &str,
    ) -> Result<(), ProviderError> {
        if *self.0.iam_is_down.lock() {
            return Err(down());
        }
        let mut policies = self.0.policies.lock();
        let others = policies
            .iter()
            .filter(|((of, name), _)| of == role && name != policy);
        let taken: usize = others.map(|(_, text)| text.len()).sum();
        if taken + document.len() > 10_240 {
            return Err(ProviderError::Refused {
                provider: "aws",
                operation: "iam:PutRolePolicy",
                code: "LimitExceeded".to_owned(),
            });
        }
        policies.insert((role.to_owned(), policy.to_owned()), document.to_owned());
        Ok(())
    }
}

fn provider() -> (AwsProvider<Fake>, Arc<Account>) {
    let account = Arc::new(Account::default());
    (target_of(&account, "one"), account)
}

/// A target with the roles of all, and a policy of its own.
fn target_of(account: &Arc<Account>, instance: &str) -> AwsProvider<Fake> {
    let target = AwsTarget {
        region: "eu-west-1".to_owned(),
        plan_role: ROLE.to_owned(),
        apply_role: "arn:aws:iam::111122223333:role/lanyard/apply".to_owned(),
        boundary: None,
        instance: instance.to_owned(),
    };
    AwsProvider::new(target, Fake(Arc::clone(account)))
}

struct Faked {
    provider: AwsProvider<Fake>,
    account: Arc<Account>,
}

#[async_trait]
impl Subject for Faked {
    fn provider(&self) -> &dyn Provider {
        &self.provider
    }

    fn kind(&self) -> TargetKind {
        TargetKind::Aws
    }

    fn now(&self) -> Timestamp {
        NOW
    }

    /// A session is refused where the role's policy names it, or was cut.
    async fn used(&self, credential: &Credential) -> Verdict {
        let Credential::Aws { session_token, .. } = credential else {
            unreachable!("a credential of another kind")
        };
        let policy = deny_policy(&self.account);
        let lease = session_token.expose().rsplit(' ').next().unwrap();
        if policy.contains(lease) || policy.contains("aws:TokenIssueTime") {
            Verdict::Refused
        } else {
            Verdict::Accepted
        }
    }

    fn lists(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn it_does_what_every_provider_does() {
    let (provider, account) = provider();
    conformance::all(&Faked { provider, account }, 41).await;
}

fn request() -> MintRequest {
    let ids = Ids::seeded(1);
    let task = world::task(&ids, NOW);
    world::request(TargetKind::Aws, ids.lease(), &task, NOW)
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

#[tokio::test]
async fn t79_a_longer_session_than_asked_for_is_refused() {
    let (provider, account) = provider();
    *account.longer.lock() = true;
    let request = request();
    let prepared = provider.prepare(&request).unwrap();
    let refused = provider.mint(&request, &prepared).await.unwrap_err();
    assert!(
        matches!(refused, ProviderError::Excessive { .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn nothing_is_minted_that_could_not_be_revoked() {
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
async fn t66_a_revocation_that_was_not_taken_is_not_acknowledged() {
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

/// The policy of another writer, or of somebody else, on the plan role.
fn put(account: &Account, policy: &str, document: String) {
    let key = ("plan".to_owned(), policy.to_owned());
    account.policies.lock().insert(key, document);
}

/// A look at both roles with these leases revoked before.
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
async fn what_somebody_does_to_the_policy_is_said_and_undone_at_the_next_look() {
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
        (Some(without_one), "does not read as this broker writes it"),
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
async fn what_is_over_is_taken_out_and_an_empty_policy_is_deleted() {
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
    // A kill of the first target reaches every session of the role, and stops the mints of both until it settles.
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
    assert!(refused.contains("was cut and settles"), "{refused}");
    // What the other one writes later leaves the cut alone.
    revoke(&other, vec![lease(3)]).await;
    assert!(deny_policy(&account).contains("aws:TokenIssueTime"));
}
