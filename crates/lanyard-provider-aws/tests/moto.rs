//! The provider with the real SDK against moto: tests the wire protocol, and not the meaning of the
//! policies.
//!
//! `cargo xtask test` starts moto and names it in `LANYARD_MOTO_URL`; without that, this says that
//! it does not run.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use lanyard_charter::TargetKind;
use lanyard_charter::kinds::{AwsCredential, Credential};
use lanyard_core::lease::LeaseRef;
use lanyard_core::provider::{MintRequest, Provider, ProviderError, Revocation, Revoked};
use lanyard_provider_aws::api::AwsApi as _;
use lanyard_provider_aws::{Access, AwsProvider, AwsTarget, Sdk};
use lanyard_testkit::conformance::{self, Fault, Given, Played, Subject, Verdict};
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use lanyard_vocabulary::time::Timestamp;

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}"#;

/// The roles of one test, so that tests do not share any.
struct Account {
    access: Access,
    target: AwsTarget,
}

async fn account(name: &str) -> Option<Account> {
    let Ok(endpoint) = std::env::var("LANYARD_MOTO_URL") else {
        eprintln!("NOT RUN: LANYARD_MOTO_URL names no moto; `cargo xtask test` starts one");
        return None;
    };
    let region = "eu-west-1".to_owned();
    let loader =
        aws_config::defaults(BehaviorVersion::latest()).region(Region::new(region.clone()));
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = loader
        .endpoint_url(&endpoint)
        .http_client(http)
        .load()
        .await;
    let iam = aws_sdk_iam::Client::new(&config);
    let mut roles = Vec::new();
    for role in ["plan", "apply"] {
        let role = format!("{name}-{role}");
        let created = iam
            .create_role()
            .role_name(&role)
            .assume_role_policy_document(TRUST)
            .send()
            .await
            .unwrap();
        roles.push(created.role.unwrap().arn);
    }
    let apply_role = roles.pop().unwrap();
    let plan_role = roles.pop().unwrap();
    let target = AwsTarget {
        region: region.clone(),
        plan_role,
        apply_role,
        boundary: None,
        instance: "test".to_owned(),
    };
    let access = Access {
        region,
        minter_profile: None,
        revoker_profile: None,
        endpoint: Some(endpoint),
    };
    Some(Account { access, target })
}

/// STS stamps its sessions by the real time.
#[expect(clippy::disallowed_methods, reason = "moto has no other clock")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    Timestamp::from_secs(since.as_secs())
}

fn request(seed: u64) -> MintRequest {
    let ids = Ids::seeded(seed);
    let (lease, now) = (ids.lease(), now());
    world::request(TargetKind::AWS, lease, &world::task(&ids, now), now)
}

/// moto's sessions do not end. Its clock can therefore be assumed to run ahead, by less than the
/// shortest session lasts.
const CLOCK_AHEAD: Duration = Duration::from_secs(240);

struct OnMoto {
    provider: AwsProvider<Sdk>,
    account: Account,
    ahead: parking_lot::Mutex<Duration>,
}

#[async_trait::async_trait]
impl Subject for OnMoto {
    fn provider(&self) -> &dyn Provider {
        &self.provider
    }

    async fn restarted(&self) -> Box<dyn Provider> {
        let sdk = Sdk::connect(&self.account.access).await;
        Box::new(AwsProvider::new(self.account.target.clone(), sdk))
    }

    fn server(&self) -> &'static str {
        "moto"
    }

    fn kind(&self) -> TargetKind {
        TargetKind::AWS
    }

    fn now(&self) -> Timestamp {
        now() + *self.ahead.lock()
    }

    async fn pass(&self, until: Timestamp) -> Result<(), Played> {
        let ahead = until.since(now());
        if ahead > CLOCK_AHEAD {
            return Err(Played::NotHere("moto does not end sessions"));
        }
        let mut before = self.ahead.lock();
        *before = ahead.max(*before);
        Ok(())
    }

    async fn used(&self, _credential: &Credential) -> Verdict {
        Verdict::Unknown(
            "moto does not evaluate conditions: iam-simulate tests the meaning of the written policies",
        )
    }

    async fn fault(&self, _fault: Fault<'_>) -> Result<(), Played> {
        Err(Played::NotHere("moto carries out every call"))
    }

    fn lists(&self) -> Given {
        Err("AWS lists no sessions: a stray ends at the time in its session policy")
    }

    fn probes(&self) -> Given {
        Err(
            "no call shows that a session is dead: GetCallerIdentity works under any deny \
             (docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html)",
        )
    }
}

#[tokio::test]
async fn the_provider_passes_the_conformance_suite() {
    let Some(account) = account("conformance").await else {
        return;
    };
    let sdk = Sdk::connect(&account.access).await;
    let subject = OnMoto {
        provider: AwsProvider::new(account.target.clone(), sdk),
        account,
        ahead: parking_lot::Mutex::default(),
    };
    conformance::all(&subject, 42).await;
}

#[tokio::test]
async fn a_session_is_minted_and_its_lease_is_denied_on_the_role() {
    let Some(account) = account("minted").await else {
        return;
    };
    let sdk = Sdk::connect(&account.access).await;
    let provider = AwsProvider::new(account.target.clone(), Sdk::connect(&account.access).await);
    let request = request(1);
    let prepared = provider.prepare(&request).unwrap();
    let minted = provider.mint(&request, &prepared).await.unwrap();
    assert_eq!(minted.expires, request.expires);
    assert!(
        matches!(minted.credential.get(), Some(AwsCredential { access_key_id, .. }) if access_key_id.starts_with("ASIA"))
    );

    let due = vec![LeaseRef {
        id: request.lease,
        task: request.task,
        handle: prepared.handle,
        asked: request.now,
        worst_expiry: prepared.worst_expiry,
        kill: None,
    }];
    for _ in 0..2 {
        let revocation = Revocation {
            now: now(),
            due: due.clone(),
            ..Revocation::default()
        };
        let report = provider.revoke(&revocation).await;
        assert_eq!(
            report.outcomes,
            [(request.lease, Ok(Revoked::Acknowledged))]
        );
    }
    let written = sdk
        .role_policy("minted-plan", "lanyard-deny-test")
        .await
        .unwrap()
        .unwrap();
    assert!(written.contains(&request.lease.to_string()), "{written}");
    assert_eq!(
        sdk.role_policy("minted-apply", "lanyard-deny-test")
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn a_kill_of_the_target_cuts_both_roles_and_they_settle_before_they_mint() {
    let Some(account) = account("cut").await else {
        return;
    };
    let provider = AwsProvider::new(account.target, Sdk::connect(&account.access).await);
    let request = request(2);
    let prepared = provider.prepare(&request).unwrap();
    provider.mint(&request, &prepared).await.unwrap();
    let order = now();
    let revocation = Revocation {
        now: order,
        cut: Some(order),
        ..Revocation::default()
    };
    let cuts = provider.revoke(&revocation).await.cuts;
    assert_eq!(cuts.len(), 2);
    let cut = cuts.first().unwrap().1;
    assert!(cut > order);
    let refused = provider.mint(&request, &prepared).await.unwrap_err();
    assert!(
        refused.to_string().contains("a cut was set on the role"),
        "{refused}"
    );
    let mut later = request;
    later.now = cut + Duration::from_secs(1);
    later.expires = later.now + Duration::from_secs(600);
    let prepared = provider.prepare(&later).unwrap();
    assert!(provider.mint(&later, &prepared).await.is_ok());
}

// T50, T66
#[tokio::test]
async fn a_missing_role_is_reported_by_its_code() {
    let Some(mut account) = account("missing").await else {
        return;
    };
    account.target.plan_role = "arn:aws:iam::123456789012:role/nobody".to_owned();
    let provider = AwsProvider::new(account.target, Sdk::connect(&account.access).await);
    let lease = LeaseRef {
        id: request(3).lease,
        task: request(3).task,
        handle: lanyard_core::lease::Handle("arn:aws:iam::123456789012:role/nobody".into()),
        asked: now(),
        worst_expiry: now(),
        kill: None,
    };
    let revocation = Revocation {
        now: now(),
        due: vec![lease],
        ..Revocation::default()
    };
    let (_, outcome) = provider.revoke(&revocation).await.outcomes.pop().unwrap();
    let Err(ProviderError::Refused { code, .. }) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(code.starts_with("NoSuchEntity: "), "{code}");
}

#[tokio::test]
async fn faults_of_a_lease_role_are_reported_one_per_line() {
    let Some(account) = account("inspected").await else {
        return;
    };
    let request = request(4);
    let provider = AwsProvider::new(account.target.clone(), Sdk::connect(&account.access).await);
    let found = provider.check_setup(&request).await.unwrap();
    let starts = [
        "role arn:aws:iam::123456789012:role/inspected-plan has no permissions boundary",
        "the trust policy of role arn:aws:iam::123456789012:role/inspected-plan does not allow sts:SetSourceIdentity to arn:aws:",
        "the trust policy of role arn:aws:iam::123456789012:role/inspected-plan does not allow sts:TagSession to arn:aws:",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (line, start) in found.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
    let target = AwsTarget {
        plan_role: "arn:aws:iam::123456789012:role/nobody".to_owned(),
        ..account.target
    };
    let provider = AwsProvider::new(target, Sdk::connect(&account.access).await);
    let found = provider.check_setup(&request).await.unwrap();
    assert_eq!(
        found,
        ["role arn:aws:iam::123456789012:role/nobody does not exist"]
    );
}

#[tokio::test]
async fn s27_the_time_is_read_from_sts() {
    let Some(account) = account("time").await else {
        return;
    };
    let provider = AwsProvider::new(account.target, Sdk::connect(&account.access).await);
    let before = now().as_secs();
    let told = provider.read_clock().await.unwrap().unwrap();
    let after = now().as_secs();
    assert!((before..=after).contains(&told.as_secs()), "{told}");
}
