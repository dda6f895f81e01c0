//! The provider on a strict fake of an API server, which fails where it is told to.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its footing gives way"
)]

mod conformance;
mod fake;

use std::collections::BTreeMap;
use std::time::Duration;

use lanyard_core::charter::{KubernetesRights, Rights, TargetKind};
use lanyard_core::id::LeaseId;
use lanyard_core::lease::LeaseRef;
use lanyard_core::provider::{
    MintRequest, Minted, Provider, ProviderError, Revocation, RevocationReport, Revoked,
};
use lanyard_core::time::Timestamp;
use lanyard_provider_kubernetes::api::Kind;
use lanyard_provider_kubernetes::{KubernetesProvider, KubernetesTarget};
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;

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
    };
    KubernetesProvider::new(target, fake.clone())
}

impl Faked {
    fn request(&self, seed: u64) -> MintRequest {
        let ids = Ids::seeded(seed);
        let task = world::task(&ids, NOW);
        world::request(TargetKind::Kubernetes, ids.lease(), &task, NOW)
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
        self.provider.prove(&self.references(requests)).await
    }

    fn left(&self) -> usize {
        let held = self.fake.held();
        let roles = |key: &&Key| key.0 != Kind::Role;
        held.objects.keys().filter(roles).count()
    }
}

#[tokio::test]
async fn t55_a_lost_answer_leaves_nothing_that_revoking_does_not_find() {
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
async fn t67_what_cannot_be_revoked_does_not_hold_up_the_rest() {
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
async fn a_life_that_servers_stretch_to_a_year_is_not_asked_for() {
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
fn what_opens_streams_is_declared_unbounded() {
    let faked = faked();
    let mut rights = world::rights(TargetKind::Kubernetes);
    assert_eq!(faked.provider.revocability(&rights).worst_case, None);
    if let Rights::Kubernetes(grant) = &mut rights
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
async fn a_right_that_everybody_has_is_acknowledged_and_not_called_dead() {
    let faked = faked();
    let request = faked.request(31);
    faked.mint(&request).await.unwrap();
    if let Rights::Kubernetes(grant) = &request.rights
        && let KubernetesRights::Rules(rules) = &grant.rights
    {
        faked.fake.held().extra.clone_from(rules);
    }
    faked.revoke(&[&request]).await;
    let proved = faked.prove(&[&request]).await;
    assert_eq!(proved, [(request.lease, Ok(Revoked::Acknowledged))]);
}
