//! The meaning of the documents that were really sent to STS and IAM, by an independent evaluator.
//!
//! moto receives the requests, and a relay in front of it records them. iam-simulate, in a process
//! of its own, evaluates the recorded policies. `cargo xtask test` starts moto; without moto these
//! tests print that they do not run.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lanyard_charter::{ActionPattern, AwsGrant, TargetKind};
use lanyard_core::lease::LeaseRef;
use lanyard_core::provider::{MintRequest, Prepared, Provider, Revocation};
use lanyard_provider_aws::api::AwsApi as _;
use lanyard_provider_aws::{Access, AwsProvider, AwsTarget, Roles, Sdk};
use lanyard_rig::{Aws, Recorder, simulate};
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use lanyard_vocabulary::id::KillId;
use lanyard_vocabulary::time::Timestamp;
use serde_json::{Value, json};

const OBJECT: &str = "arn:aws:s3:::tfstate-payments/a";
const ALLOWED: &str = "Allowed";
const DENIED: &str = "ExplicitlyDenied";
const NOT_GRANTED: &str = "ImplicitlyDenied";

struct Sent {
    recorder: Recorder,
    provider: AwsProvider<Sdk>,
    /// A second target on the same roles.
    other: AwsProvider<Sdk>,
    /// The revoking principal in the hands of another party.
    hand: Sdk,
    role: String,
    now: Timestamp,
    ids: Ids,
}

#[expect(clippy::disallowed_methods, reason = "moto has no other clock")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    Timestamp::from_secs(since.as_secs())
}

async fn sent(name: &str) -> Option<Sent> {
    let simulator = std::env::var_os("LANYARD_IAM_SIMULATE");
    let (Some(aws), Some(_)) = (Aws::shared(), simulator) else {
        eprintln!("NOT RUN: no moto or no iam-simulate is there; `cargo xtask test` starts both");
        return None;
    };
    let directory = tempfile::tempdir().unwrap();
    let account = aws
        .account(&format!("simulated-{name}"), directory.path())
        .unwrap();
    let recorder = Recorder::start(aws.url()).unwrap();
    let region = "eu-west-1".to_owned();
    let access = Access {
        region: region.clone(),
        minter_profile: Some(account.minter),
        revoker_profile: Some(account.revoker),
        endpoint: Some(recorder.url()),
    };
    let target = AwsTarget {
        region,
        plan_role: account.plan_role.clone(),
        apply_role: account.apply_role,
        boundary: None,
        instance: "simulated".to_owned(),
    };
    let roles = Arc::<Roles>::default();
    let second = AwsTarget {
        instance: "other".to_owned(),
        ..target.clone()
    };
    let (one, two) = (Sdk::connect(&access).await, Sdk::connect(&access).await);
    Some(Sent {
        provider: AwsProvider::new(target, one).beside(Arc::clone(&roles)),
        other: AwsProvider::new(second, two).beside(roles),
        hand: Sdk::connect(&access).await,
        recorder,
        role: account.plan_role,
        now: now(),
        ids: Ids::seeded(71),
    })
}

impl Sent {
    fn request(&self) -> MintRequest {
        let task = world::task(&self.ids, self.now);
        world::request(TargetKind::AWS, self.ids.lease(), &task, self.now)
    }

    /// Mints, and returns the session policy as STS received it.
    async fn mint(&self, request: &MintRequest) -> (Prepared, Value) {
        let prepared = self.provider.prepare(request).unwrap();
        self.provider.mint(request, &prepared).await.unwrap();
        let form = self.recorder.forms("AssumeRole").pop().unwrap();
        let field = |name: &str| {
            let found = form.iter().find(|(field, _)| field == name);
            found.map(|(_, value)| value.as_str())
        };
        let lease = request.lease.to_string();
        assert_eq!(field("RoleSessionName"), Some(lease.as_str()));
        assert_eq!(field("SourceIdentity"), Some(lease.as_str()));
        assert_eq!(field("DurationSeconds"), Some("900"));
        assert_eq!(field("Tags.member.1.Key"), Some("lanyard-charter"));
        let policy = serde_json::from_str(field("Policy").unwrap()).unwrap();
        (prepared, policy)
    }

    /// Revokes, and returns the role's deny policy as IAM received it.
    async fn revoke(&self, due: Vec<LeaseRef>, cut: Option<Timestamp>) -> Value {
        let revocation = Revocation {
            now: self.now,
            due,
            cut,
            ..Revocation::default()
        };
        let report = self.provider.revoke(&revocation).await;
        assert!(report.outcomes.iter().all(|(_, outcome)| outcome.is_ok()));
        self.written()
    }

    /// Returns the last policy that was written to a role.
    fn written(&self) -> Value {
        let form = self.recorder.forms("PutRolePolicy").pop().unwrap();
        let document = form.iter().find(|(name, _)| name == "PolicyDocument");
        serde_json::from_str(&document.unwrap().1).unwrap()
    }

    /// Returns a lease that was requested this many seconds ago.
    fn earlier(&self, seconds: u64) -> LeaseRef {
        let request = self.request();
        LeaseRef {
            asked: self.now.before(Duration::from_secs(seconds)),
            kill: Some(KillId::from_bits(1)),
            ..reference(&request, &self.provider.prepare(&request).unwrap())
        }
    }

    fn case(&self, session: &MintRequest, policy: &Value, more: Value) -> Value {
        let mut case = json!({
            "role": self.role, "session": session.lease.to_string(), "policy": policy,
            "action": "s3:GetObject", "resource": OBJECT, "rolePolicies": [everything()], "context": {},
            "issued": self.now.to_string(), "at": (self.now + Duration::from_secs(60)).to_string(),
        });
        if let (Value::Object(case), Value::Object(more)) = (&mut case, more) {
            case.extend(more);
        }
        case
    }
}

/// The role itself allows everything, so only the lease's documents can deny.
fn everything() -> Value {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
}

fn reference(request: &MintRequest, prepared: &Prepared) -> LeaseRef {
    LeaseRef {
        id: request.lease,
        task: request.task,
        handle: prepared.handle.clone(),
        asked: request.now,
        worst_expiry: prepared.worst_expiry,
        kill: None,
    }
}

fn check(cases: Vec<(Value, &str)>) {
    let (asked, expected): (Vec<Value>, Vec<&str>) = cases.into_iter().unzip();
    let answered = simulate(&asked).unwrap();
    for ((case, expected), answered) in asked.iter().zip(expected).zip(answered) {
        assert_eq!(answered, expected, "{case:#}");
    }
}

/// T33, T34: judged by the policy simulator.
#[tokio::test]
async fn t34_a_session_does_what_was_granted_until_it_ends_and_never_reaches_sts_or_iam() {
    let Some(sent) = sent("session").await else {
        return;
    };
    let request = sent.request();
    let (_, policy) = sent.mint(&request).await;
    let with = |more| sent.case(&request, &policy, more);
    let late = (request.expires + Duration::from_secs(1)).to_string();
    let last = request.expires.to_string();
    let role = "arn:aws:iam::123456789012:role/other";
    check(vec![
        (with(json!({})), ALLOWED),
        (with(json!({"at": last})), ALLOWED),
        (with(json!({"at": late})), DENIED),
        (with(json!({"action": "s3:PutObject"})), NOT_GRANTED),
        (
            with(json!({"resource": "arn:aws:s3:::other/a"})),
            NOT_GRANTED,
        ),
        (
            with(json!({"action": "sts:AssumeRole", "resource": role})),
            DENIED,
        ),
        (
            with(json!({"action": "iam:GetRole", "resource": role})),
            DENIED,
        ),
        // A prohibition of the sample charter.
        (
            with(json!({"action": "kms:ScheduleKeyDeletion",
                "resource": "arn:aws:kms:eu-west-1:123456789012:key/x"})),
            DENIED,
        ),
    ]);
}

#[tokio::test]
async fn a_destructive_action_is_denied_unless_the_approval_names_it() {
    let Some(sent) = sent("destructive").await else {
        return;
    };
    let delete = ActionPattern("s3:DeleteObject".to_owned());
    let mut request = sent.request();
    if let Some(grant) = request.rights.get_mut::<AwsGrant>() {
        for statement in &mut grant.allow {
            statement.actions.insert(delete.clone());
        }
        grant.destructive.insert(delete.clone());
    }
    let (_, without) = sent.mint(&request).await;
    let mut named = request.clone();
    named.lease = sent.ids.lease();
    named.destructive = BTreeSet::from([delete]);
    let (_, with) = sent.mint(&named).await;
    let action = json!({"action": "s3:DeleteObject"});
    check(vec![
        (sent.case(&request, &without, json!({})), ALLOWED),
        (sent.case(&request, &without, action.clone()), DENIED),
        (sent.case(&named, &with, action), ALLOWED),
    ]);
}

#[tokio::test]
async fn a_killed_lease_is_denied_and_another_is_not() {
    let Some(sent) = sent("killed-lease").await else {
        return;
    };
    let (one, other) = (sent.request(), sent.request());
    let (prepared, policy) = sent.mint(&one).await;
    let (_, of_other) = sent.mint(&other).await;
    let deny = sent.revoke(vec![reference(&one, &prepared)], None).await;
    let roles = json!({"rolePolicies": [everything(), deny]});
    check(vec![
        (sent.case(&one, &policy, roles.clone()), DENIED),
        (sent.case(&other, &of_other, roles), ALLOWED),
    ]);
}

#[tokio::test]
async fn a_cut_denies_every_session_before_it_and_none_after_it() {
    let Some(sent) = sent("cut").await else {
        return;
    };
    let (one, other) = (sent.request(), sent.request());
    let (prepared, policy) = sent.mint(&one).await;
    let (_, of_other) = sent.mint(&other).await;
    let due = vec![reference(&one, &prepared)];
    let deny = sent.revoke(due, Some(sent.now)).await;
    let roles = json!({"rolePolicies": [everything(), deny.clone()]});
    let hours = |count: u64| (sent.now + Duration::from_secs(3600 * count)).to_string();
    let later = json!({"rolePolicies": [everything(), deny], "issued": hours(1), "at": hours(1)});
    let mut fresh = sent.request();
    fresh.expires = sent.now + Duration::from_secs(7200);
    let prepared = sent.provider.prepare(&fresh).unwrap();
    let of_fresh: Value = serde_json::from_str(&prepared.document).unwrap();
    check(vec![
        (sent.case(&one, &policy, roles.clone()), DENIED),
        (sent.case(&other, &of_other, roles), DENIED),
        (sent.case(&fresh, &of_fresh, later), ALLOWED),
    ]);
}

/// T33: a resource policy that names the session itself bypasses an implicit denial, as AWS's page
/// on session policies says (this evaluator does not model that). An explicit denial holds.
#[tokio::test]
async fn iam10_a_resource_policy_that_names_the_session_passes_no_explicit_deny() {
    let Some(sent) = sent("named-session").await else {
        return;
    };
    let request = sent.request();
    let (prepared, policy) = sent.mint(&request).await;
    let name = sent.role.rsplit('/').next().unwrap();
    let account = sent.role.split(':').nth(4).unwrap();
    let session = format!(
        "arn:aws:sts::{account}:assumed-role/{name}/{}",
        request.lease
    );
    let named = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*",
        "Resource": "*", "Principal": {"AWS": session}}]});
    let deny = sent
        .revoke(vec![reference(&request, &prepared)], None)
        .await;
    let late = (request.expires + Duration::from_secs(1)).to_string();
    let with = |action: &str, more: Value| {
        let mut with = json!({"action": action, "resourcePolicy": named});
        if let (Value::Object(with), Value::Object(more)) = (&mut with, more) {
            with.extend(more);
        }
        sent.case(&request, &policy, with)
    };
    check(vec![
        (with("s3:GetObject", json!({})), ALLOWED),
        (with("s3:GetObject", json!({"at": late})), DENIED),
        (
            with(
                "s3:GetObject",
                json!({"rolePolicies": [everything(), deny]}),
            ),
            DENIED,
        ),
    ]);
}

/// Builds the simulator's request for the session of a lease.
fn of(sent: &Sent, lease: &LeaseRef, policies: &[&Value]) -> Value {
    let roles: Vec<Value> = std::iter::once(everything())
        .chain(policies.iter().map(|policy| (*policy).clone()))
        .collect();
    json!({
        "role": sent.role, "session": lease.id.to_string(), "policy": everything(),
        "action": "s3:GetObject", "resource": OBJECT, "rolePolicies": roles, "context": {},
        "issued": lease.asked.to_string(), "at": (sent.now + Duration::from_secs(90)).to_string(),
    })
}

// T42
#[tokio::test]
async fn t42_four_hundred_killed_leases_cut_the_role_and_a_later_session_is_not_hit() {
    let Some(sent) = sent("overflow").await else {
        return;
    };
    // Oldest first: a cut covers those, and the newest keep their slots.
    let due: Vec<LeaseRef> = (0..400).map(|n| sent.earlier(4 * (400 - n))).collect();
    let neighbour = sent.earlier(1500);
    let revocation = Revocation {
        now: sent.now,
        due: due.clone(),
        ..Revocation::default()
    };
    let report = sent.provider.revoke(&revocation).await;
    assert_eq!(report.outcomes.len(), 400);
    assert!(report.outcomes.iter().all(|(_, outcome)| outcome.is_ok()));
    let (handle, cut) = report.cuts.first().cloned().unwrap();
    assert_eq!(*handle.0, *sent.role);
    let deny = sent.written();
    let size = deny.to_string().len();
    assert!(size <= 10_240, "{size}");
    let after = LeaseRef {
        asked: cut + Duration::from_secs(1),
        ..sent.earlier(0)
    };
    let later = json!({"at": (cut + Duration::from_secs(2)).to_string()});
    let mut fresh = of(&sent, &after, &[&deny]);
    if let (Value::Object(fresh), Value::Object(later)) = (&mut fresh, later) {
        fresh.extend(later);
    }
    let mut cases: Vec<_> = due
        .iter()
        .map(|lease| (of(&sent, lease, &[&deny]), DENIED))
        .collect();
    cases.push((of(&sent, &neighbour, &[&deny]), DENIED));
    cases.push((fresh, ALLOWED));
    check(cases);
}

#[tokio::test]
async fn two_targets_on_one_role_deny_their_own_leases_and_restore_removed_entries() {
    let Some(sent) = sent("shared").await else {
        return;
    };
    let (one, two, free) = (sent.earlier(30), sent.earlier(20), sent.earlier(10));
    let first = sent.revoke(vec![one.clone()], None).await;
    let revocation = |due: &LeaseRef, standing: &[&LeaseRef]| Revocation {
        now: sent.now,
        due: vec![due.clone()],
        standing: standing.iter().map(|lease| (*lease).clone()).collect(),
        ..Revocation::default()
    };
    let report = sent.other.revoke(&revocation(&two, &[])).await;
    assert!(report.outcomes.iter().all(|(_, outcome)| outcome.is_ok()));
    let second = sent.written();
    let both = [&first, &second];
    check(vec![
        (of(&sent, &one, &both), DENIED),
        (of(&sent, &two, &both), DENIED),
        (of(&sent, &free, &both), ALLOWED),
        // Each target writes its own policy and leaves the other's alone.
        (of(&sent, &two, &[&first]), ALLOWED),
        (of(&sent, &one, &[&second]), ALLOWED),
    ]);

    let name = sent.role.rsplit('/').next().unwrap();
    let own = "lanyard-deny-simulated";
    let emptied = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Deny", "Action": "s3:DeleteBucket", "Resource": "*"}]});
    sent.hand
        .put_role_policy(name, own, &emptied.to_string())
        .await
        .unwrap();
    check(vec![(of(&sent, &one, &[&emptied, &second]), ALLOWED)]);
    let look = |now, standing: &[&LeaseRef]| Revocation {
        now,
        standing: standing.iter().map(|lease| (*lease).clone()).collect(),
        ..Revocation::default()
    };
    let report = sent.provider.revoke(&look(sent.now, &[&one])).await;
    assert_eq!(report.edited.len(), 1, "{report:?}");
    let mended = sent.written();
    assert_eq!(mended, first);
    check(vec![(of(&sent, &one, &[&mended, &second]), DENIED)]);

    // Once all entries have expired, this target's policy is deleted from the role.
    let hours = sent.now + Duration::from_secs(8 * 3600);
    let report = sent.provider.revoke(&look(hours, &[])).await;
    assert_eq!((report.edited, report.outcomes), (Vec::new(), Vec::new()));
    assert_eq!(sent.hand.role_policy(name, own).await.unwrap(), None);
    let others = "lanyard-deny-other";
    assert!(sent.hand.role_policy(name, others).await.unwrap().is_some());
}
