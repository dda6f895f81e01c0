//! The provider on a strict fake of an API server, with injected faults.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod answers;
mod conformance;
mod fake;

use std::collections::BTreeMap;
use std::time::Duration;

use lanyard_charter::kinds::KubernetesCredential;
use lanyard_charter::{KubernetesGrant, KubernetesRights, PolicyRule, TargetKind};
use lanyard_core::lease::{Handle, LeaseRef};
use lanyard_core::provider::{
    MintRequest, Minted, Provider, ProviderError, Revocation, RevocationReport, Revoked,
};
use lanyard_provider_kubernetes::api::Kind;
use lanyard_provider_kubernetes::{KubernetesProvider, KubernetesTarget};
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::time::{Skew, Timestamp};

use fake::{Fake, Key, down};

const NOW: Timestamp = ManualClock::START;

struct Faked {
    provider: KubernetesProvider<Fake>,
    fake: Fake,
}

fn faked() -> Faked {
    let fake = Fake::default();
    Faked {
        provider: provider(&fake),
        fake,
    }
}

fn provider(fake: &Fake) -> KubernetesProvider<Fake> {
    let target = KubernetesTarget {
        namespace: "leases".to_owned(),
        cluster_roles: BTreeMap::new(),
        baseline: Vec::new(),
    };
    KubernetesProvider::new(target, fake.clone())
}

impl Faked {
    fn request(&self, seed: u64) -> MintRequest {
        let ids = Ids::seeded(seed);
        let task = world::task(&ids, NOW);
        world::request(TargetKind::KUBERNETES, ids.lease(), &task, NOW)
    }

    async fn mint(&self, request: &MintRequest) -> Result<Minted, ProviderError> {
        let prepared = self.provider.prepare(request).unwrap();
        self.provider.mint(request, &prepared).await
    }

    fn references(&self, requests: &[&MintRequest]) -> Vec<LeaseRef> {
        let references = requests.iter().map(|request| LeaseRef {
            id: request.lease,
            task: request.task,
            handle: self.provider.prepare(request).unwrap().handle,
            asked: NOW,
            worst_expiry: request.expires,
            kill: None,
        });
        references.collect()
    }

    async fn revoke(&self, requests: &[&MintRequest]) -> RevocationReport {
        let revocation = Revocation {
            now: NOW,
            due: self.references(requests),
            ..Revocation::default()
        };
        self.provider.revoke(&revocation).await
    }

    async fn prove(
        &self,
        requests: &[&MintRequest],
    ) -> Vec<(LeaseId, Result<Revoked, ProviderError>)> {
        self.provider
            .finish_and_prove(&self.references(requests))
            .await
    }

    fn left(&self) -> usize {
        let held = self.fake.held();
        let roles = |key: &&Key| key.0 != Kind::Role;
        held.objects.keys().filter(roles).count()
    }
}

#[tokio::test]
async fn t55_a_revocation_finds_objects_of_a_lost_answer() {
    for lost in ["account", "secret", "binding"] {
        let faked = faked();
        faked.fake.held().failing.insert(lost);
        let request = faked.request(22);
        assert_eq!(
            faked.mint(&request).await.err().map(|e| e.is_retryable()),
            Some(true),
            "{lost}"
        );
        let report = faked.revoke(&[&request]).await;
        assert_eq!(
            report.outcomes,
            [(request.lease, Ok(Revoked::Acknowledged))]
        );
        let proved = faked.prove(&[&request]).await;
        assert_eq!(proved, [(request.lease, Ok(Revoked::ProvedDead))]);
        assert_eq!(faked.left(), 0, "{lost}");
    }
}

#[tokio::test]
async fn t67_a_failed_revocation_does_not_delay_the_others() {
    let faked = faked();
    let (one, two) = (faked.request(23), faked.request(24));
    for request in [&one, &two] {
        faked.mint(request).await.unwrap();
    }
    faked.fake.held().failing.insert("unbind");
    let report = faked.revoke(&[&one]).await;
    assert_eq!(report.outcomes, [(one.lease, Err(down("unbind")))]);
    faked.fake.held().failing.clear();
    let report = faked.revoke(&[&one, &two]).await;
    assert!(report.outcomes.iter().all(|(_, outcome)| outcome.is_ok()));
    faked.prove(&[&one, &two]).await;
    assert_eq!(faked.left(), 0);
}

#[tokio::test]
async fn the_legacy_lifetime_is_never_requested() {
    let faked = faked();
    let mut request = faked.request(26);
    request.expires = NOW + Duration::from_secs(3607);
    faked.mint(&request).await.unwrap();
    assert_eq!(faked.fake.held().asked, [3608]);
}

#[tokio::test]
async fn a_shared_role_that_somebody_edited_gives_nothing() {
    let faked = faked();
    faked.mint(&faked.request(27)).await.unwrap();
    for (key, body) in &mut faked.fake.held().objects {
        if key.0 == Kind::Role {
            body.rules.clear();
        }
    }
    let refused = faked.mint(&faked.request(28)).await.unwrap_err();
    assert!(refused.to_string().contains("was edited"), "{refused}");
}

#[tokio::test]
async fn after_a_kill_a_role_of_another_name_is_shared() {
    let faked = faked();
    let (one, mut two) = (faked.request(29), faked.request(30));
    faked.mint(&one).await.unwrap();
    two.epoch.0 += 1;
    faked.mint(&two).await.unwrap();
    let held = faked.fake.held();
    let roles = held.objects.keys().filter(|key| key.0 == Kind::Role);
    assert_eq!(roles.count(), 2);
}

#[tokio::test]
async fn a_kill_of_the_target_deletes_the_roles_that_its_leases_share() {
    let faked = faked();
    let request = faked.request(32);
    faked.mint(&request).await.unwrap();
    let revocation = Revocation {
        now: NOW,
        due: faked.references(&[&request]),
        cut: Some(NOW),
        ..Revocation::default()
    };
    faked.provider.revoke(&revocation).await;
    let held = faked.fake.held();
    assert!(held.objects.keys().all(|key| key.0 != Kind::Role));
}

#[test]
fn grants_that_open_streams_have_no_bound() {
    let faked = faked();
    let mut rights = world::rights(TargetKind::KUBERNETES);
    assert_eq!(faked.provider.revocability(&rights).worst_case, None);
    if let Some(grant) = rights.get_mut::<KubernetesGrant>()
        && let KubernetesRights::Rules(rules) = &mut grant.rights
    {
        rules.iter_mut().for_each(|rule| {
            rule.verbs.remove("watch");
        });
    }
    let bound = faked.provider.revocability(&rights).worst_case;
    assert_eq!(bound, Some(Duration::from_secs(10)));
}

#[tokio::test]
async fn a_right_of_everybody_is_not_proved_dead() {
    let faked = faked();
    let request = faked.request(31);
    faked.mint(&request).await.unwrap();
    if let Some(grant) = request.rights.get::<KubernetesGrant>()
        && let KubernetesRights::Rules(rules) = &grant.rights
    {
        faked.fake.held().extra.clone_from(rules);
    }
    faked.revoke(&[&request]).await;
    let proved = faked.prove(&[&request]).await;
    assert_eq!(proved, [(request.lease, Ok(Revoked::Acknowledged))]);
}

/// S47: two faults together kept a token alive that was presumed dead.
#[tokio::test(start_paused = true)]
async fn s47_a_token_that_a_finalizer_keeps_is_not_dead_before_the_server_refuses_it() {
    for kind in [Kind::Secret, Kind::ServiceAccount] {
        let faked = faked();
        let request = faked.request(40);
        faked.mint(&request).await.unwrap();
        faked.fake.held().kept.insert(kind);
        faked.revoke(&[&request]).await;
        for _ in 0..3 {
            let proved = faked.prove(&[&request]).await;
            let error = proved.into_iter().next().unwrap().1.unwrap_err();
            assert!(error.to_string().contains("finalizer"), "{error}");
            tokio::time::sleep(Duration::from_secs(20)).await;
        }
        // After the minute for which the server still accepts the token, and its cache.
        tokio::time::sleep(Duration::from_secs(20)).await;
        let proved = faked.prove(&[&request]).await;
        assert_eq!(proved, [(request.lease, Ok(Revoked::ProvedDead))]);
    }
}

#[tokio::test(start_paused = true)]
async fn s47_a_binding_kept_by_a_finalizer_is_never_presumed_gone() {
    let faked = faked();
    let request = faked.request(41);
    faked.mint(&request).await.unwrap();
    faked.fake.held().kept.insert(Kind::RoleBinding);
    faked.revoke(&[&request]).await;
    let proved = faked.prove(&[&request]).await;
    let error = proved.into_iter().next().unwrap().1.unwrap_err();
    assert!(error.to_string().contains("RoleBinding"), "{error}");
    faked.fake.held().kept.clear();
    let proved = faked.prove(&[&request]).await;
    assert_eq!(proved, [(request.lease, Ok(Revoked::ProvedDead))]);
}

#[tokio::test(start_paused = true)]
async fn s47_no_death_is_presumed_while_the_probe_finds_rights() {
    let faked = faked();
    let request = faked.request(42);
    faked.mint(&request).await.unwrap();
    let lease = request.lease.to_string().to_ascii_lowercase();
    let user = format!("system:serviceaccount:leases:lanyard-{lease}");
    if let Some(grant) = request.rights.get::<KubernetesGrant>()
        && let KubernetesRights::Rules(rules) = &grant.rights
    {
        faked.fake.held().bound.insert(user, rules.clone());
    }
    faked.revoke(&[&request]).await;
    let proved = faked.prove(&[&request]).await;
    let error = proved.into_iter().next().unwrap().1.unwrap_err();
    assert!(error.to_string().contains("another party bound"), "{error}");
    faked.fake.held().bound.clear();
    let proved = faked.prove(&[&request]).await;
    assert_eq!(proved, [(request.lease, Ok(Revoked::ProvedDead))]);
}

#[tokio::test]
async fn s47_the_token_ends_even_if_the_binding_cannot_be_deleted() {
    let faked = faked();
    let request = faked.request(43);
    let minted = faked.mint(&request).await.unwrap();
    faked.fake.held().failing.insert("may not unbind");
    let report = faked.revoke(&[&request]).await;
    assert!(report.outcomes.iter().all(|(_, outcome)| outcome.is_err()));
    let Some(KubernetesCredential { token, .. }) = minted.credential.get() else {
        unreachable!("a credential of another kind")
    };
    assert!(!faked.fake.allows(token.expose(), "payments"));
}

#[tokio::test]
async fn s21_only_unused_roles_are_deleted() {
    let faked = faked();
    let (one, mut two) = (faked.request(44), faked.request(45));
    two.epoch.0 += 1;
    for request in [&one, &two] {
        faked.mint(request).await.unwrap();
    }
    let grants = [one.rights.clone()];
    let books = |requests: &[&MintRequest]| -> Vec<Handle> {
        let all = faked.references(requests).into_iter();
        all.map(|lease| lease.handle).collect()
    };
    let roles = || {
        let held = faked.fake.held();
        held.objects
            .keys()
            .filter(|key| key.0 == Kind::Role)
            .count()
    };
    let tidy = async |books: Option<Vec<Handle>>| {
        faked
            .provider
            .remove_unused_objects(&grants, &|| books.clone())
            .await
    };
    assert_eq!(tidy(Some(books(&[&one, &two]))).await, Ok(0));
    // If the ledger cannot be read, no Role is known to be unused.
    assert_eq!(tidy(None).await, Ok(0));
    assert_eq!((roles(), tidy(Some(books(&[&two]))).await), (2, Ok(1)));
    assert_eq!((roles(), tidy(Some(Vec::new())).await), (1, Ok(1)));
    assert_eq!(roles(), 0);
    // The next mint creates the Role again.
    faked.mint(&faked.request(46)).await.unwrap();
    assert_eq!(roles(), 1);
    // The handle of an earlier version does not name its Role.
    let earlier = r#"{"home":"leases","namespace":"payments","ask":null}"#;
    let earlier = Handle(earlier.into());
    assert_eq!(tidy(Some(vec![earlier])).await, Ok(0));
}

/// S21: a mint binds the Role while unused Roles are deleted.
#[tokio::test]
async fn s21_a_role_just_bound_by_a_mint_stays() {
    let faked = faked();
    let request = faked.request(47);
    faked.mint(&request).await.unwrap();
    let (grants, again) = ([request.rights.clone()], faked.request(48));
    let books = || {
        // The mint comes after the ledger was read and before anything is deleted.
        let minted = futures_util::FutureExt::now_or_never(faked.mint(&again));
        assert!(minted.unwrap().is_ok());
        Some(Vec::new())
    };
    assert_eq!(
        faked.provider.remove_unused_objects(&grants, &books).await,
        Ok(0)
    );
}

#[tokio::test]
async fn s17_a_late_binding_is_found() {
    let faked = faked();
    let request = faked.request(49);
    faked.mint(&request).await.unwrap();
    // The binding is all that is left of a mint whose lease has ended.
    faked
        .fake
        .held()
        .objects
        .retain(|key, _| matches!(key.0, Kind::RoleBinding | Kind::Role));
    let grants = [request.rights.clone()];
    faked
        .provider
        .remove_unused_objects(&grants, &|| Some(Vec::new()))
        .await
        .unwrap();
    let listed = faked.provider.list().await.unwrap();
    let found: Vec<LeaseId> = listed.iter().map(|found| found.lease).collect();
    assert_eq!(found, [request.lease]);
}

/// S36: what OpenShift gives to system:authenticated.
#[tokio::test]
async fn s36_rights_of_everybody_are_accepted_if_declared_as_baseline() {
    let rule = |group: &str, resource: &str, verbs: &[&str], names: &[&str]| {
        let set = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        PolicyRule {
            api_groups: set(&[group]),
            resources: set(&[resource]),
            verbs: set(verbs),
            resource_names: set(names),
        }
    };
    let everybody = [
        rule("project.openshift.io", "projectrequests", &["create"], &[]),
        rule("user.openshift.io", "users", &["get"], &["~"]),
        rule(
            "rbac.authorization.k8s.io",
            "clusterroles",
            &["get", "list"],
            &[],
        ),
    ];
    let mut faked = faked();
    faked.fake.held().extra = everybody.to_vec();
    let undeclared = faked.mint(&faked.request(70)).await.unwrap_err();
    let told = undeclared.to_string();
    assert!(
        told.contains("projectrequests") && told.contains("`baseline`"),
        "{told}"
    );
    let declare = |baseline: &[PolicyRule]| KubernetesTarget {
        namespace: "leases".to_owned(),
        cluster_roles: BTreeMap::new(),
        baseline: baseline.to_vec(),
    };
    // A right outside the baseline exceeds the grant, and so does a wider one.
    for narrower in [
        everybody.get(..2).unwrap().to_vec(),
        vec![
            everybody[0].clone(),
            everybody[1].clone(),
            rule("rbac.authorization.k8s.io", "clusterroles", &["get"], &[]),
        ],
    ] {
        faked.provider = KubernetesProvider::new(declare(&narrower), faked.fake.clone());
        assert!(faked.mint(&faked.request(71)).await.is_err());
    }
    faked.provider = KubernetesProvider::new(declare(&everybody), faked.fake.clone());
    let request = faked.request(72);
    faked.mint(&request).await.unwrap();
    faked.revoke(&[&request]).await;
    let proved = faked.prove(&[&request]).await;
    assert_eq!(proved, [(request.lease, Ok(Revoked::ProvedDead))]);
}

#[tokio::test]
async fn s21_one_pass_deletes_a_limited_number_of_roles() {
    let faked = faked();
    let request = faked.request(73);
    for epoch in 0..=200 {
        let mut request = faked.request(100 + epoch);
        request.epoch.0 = epoch;
        faked.mint(&request).await.unwrap();
    }
    let grants = [request.rights.clone()];
    let nothing = || Some(Vec::new());
    assert_eq!(
        faked
            .provider
            .remove_unused_objects(&grants, &nothing)
            .await,
        Ok(200)
    );
    assert_eq!(
        faked
            .provider
            .remove_unused_objects(&grants, &nothing)
            .await,
        Ok(1)
    );
}

/// The broker's clock is behind its cluster's: tokens seem to end later than requested.
#[tokio::test]
async fn s27_an_expiry_is_reported_by_the_brokers_clock() {
    let faked = faked();
    let ahead = Duration::from_secs(20);
    faked.fake.clock().set(NOW + ahead);
    let mut request = faked.request(27);
    let prepared = faked.provider.prepare(&request).unwrap();
    request.skew = Skew::between(NOW, NOW + ahead);
    let minted = faked.provider.mint(&request, &prepared).await.unwrap();
    assert_eq!(minted.expires, request.expires);
    assert!(minted.expires <= prepared.worst_expiry);
}
