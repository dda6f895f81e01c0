//! The provider on a strict fake of an API server, which fails where it is told to.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its footing gives way"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lanyard_core::charter::{KubernetesRights, PolicyRule, Rights, TargetKind};
use lanyard_core::id::LeaseId;
use lanyard_core::lease::LeaseRef;
use lanyard_core::provider::{
    Credential, MintRequest, Minted, Provider, ProviderError, Rehearsed, Revocation,
    RevocationReport, Revoked,
};
use lanyard_core::secret::Secret;
use lanyard_core::time::Timestamp;
use lanyard_provider_kubernetes::api::{
    Allowed, ClusterRole, Endpoint, Kind, KubernetesApi, Marked, Marks, Object, Question, RoleRef,
    Token, TokenAsk,
};
use lanyard_provider_kubernetes::{KubernetesProvider, KubernetesTarget};
use lanyard_testkit::conformance::{self, Subject, Verdict};
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use parking_lot::Mutex;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

type Key = (Kind, String, String);

/// What the server holds.
#[derive(Default)]
struct Held {
    maps: BTreeMap<String, BTreeMap<String, String>>,
    objects: BTreeMap<Key, Body>,
    tokens: Vec<(String, TokenOf)>,
    uids: u64,
    asked: Vec<i64>,
    /// Given to every service account.
    extra: Vec<PolicyRule>,
    /// How much later than asked tokens end.
    longer: Duration,
    failing: BTreeSet<&'static str>,
}

#[derive(Clone)]
struct Body {
    uid: String,
    annotations: BTreeMap<String, String>,
    rules: Vec<PolicyRule>,
    binds: Option<(String, String)>,
}

#[derive(Clone)]
struct TokenOf {
    namespace: String,
    account: String,
    secret_uid: String,
}

#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Held>>);

fn down(operation: &'static str) -> ProviderError {
    ProviderError::Ambiguous {
        provider: "kubernetes",
        operation,
        code: "not reached".to_owned(),
    }
}

fn forbidden(code: &str) -> ProviderError {
    ProviderError::Refused {
        provider: "kubernetes",
        operation: "create",
        code: code.to_owned(),
    }
}

fn key(kind: Kind, namespace: &str, name: &str) -> Key {
    (kind, namespace.to_owned(), name.to_owned())
}

impl Held {
    fn fail(&self, operation: &'static str) -> Result<(), ProviderError> {
        if self.failing.contains(operation) {
            Err(down(operation))
        } else {
            Ok(())
        }
    }

    fn create(
        &mut self,
        key: Key,
        marks: &Marks,
        rules: &[PolicyRule],
        binds: Option<(String, String)>,
    ) -> Result<String, ProviderError> {
        // As the API server checks names and labels.
        let well = |text: &str| text.len() <= 63 && !text.chars().any(|c| c.is_ascii_uppercase());
        let labels = marks.labels.values().all(|value| well(value));
        if !well(&key.2) || !labels || self.objects.contains_key(&key) {
            return Err(forbidden("409 or 422"));
        }
        self.uids += 1;
        let uid = self.uids.to_string();
        let body = Body {
            uid: uid.clone(),
            annotations: marks.annotations.clone(),
            rules: rules.to_vec(),
            binds,
        };
        self.objects.insert(key, body);
        Ok(uid)
    }

    fn of(&self, namespace: &str, account: &str) -> Vec<PolicyRule> {
        let bindings = self.objects.iter().filter(|((kind, place, _), body)| {
            let subject = body.binds.as_ref().map(|(_, subject)| subject.as_str());
            *kind == Kind::RoleBinding && place == namespace && subject == Some(account)
        });
        let roles = bindings.filter_map(|(_, body)| {
            let (role, _) = body.binds.as_ref()?;
            self.objects.get(&key(Kind::Role, namespace, role))
        });
        roles
            .flat_map(|role| role.rules.clone())
            .chain(self.extra.clone())
            .collect()
    }

    fn authenticated(&self, token: &str) -> Option<TokenOf> {
        let (_, of) = self.tokens.iter().find(|(text, _)| text == token)?;
        let there = |kind| self.objects.get(&key(kind, &of.namespace, &of.account));
        there(Kind::ServiceAccount)?;
        (there(Kind::Secret)?.uid == of.secret_uid).then(|| of.clone())
    }
}

fn subject(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

#[async_trait]
impl KubernetesApi for Fake {
    fn endpoint(&self) -> Endpoint {
        Endpoint {
            server: "https://fake.invalid".to_owned(),
            certificate_authority: String::new(),
        }
    }

    async fn rehearse(&self, _: &str, _: &serde_json::Value) -> Result<Rehearsed, ProviderError> {
        Err(ProviderError::Refused {
            provider: "kubernetes",
            operation: "rehearsal",
            code: "403 Forbidden".to_owned(),
        })
    }

    async fn cluster_role(&self, _name: &str) -> Result<Option<ClusterRole>, ProviderError> {
        Ok(Some(ClusterRole {
            rules: Vec::new(),
            aggregated: true,
            urls: false,
        }))
    }

    async fn create_role(
        &self,
        namespace: &str,
        name: &str,
        marks: &Marks,
        rules: &[PolicyRule],
    ) -> Result<Option<Vec<PolicyRule>>, ProviderError> {
        let mut held = self.0.lock();
        held.fail("role")?;
        let key = key(Kind::Role, namespace, name);
        if let Some(there) = held.objects.get(&key) {
            return Ok(Some(there.rules.clone()));
        }
        held.create(key, marks, rules, None)?;
        Ok(None)
    }

    async fn create_service_account(
        &self,
        namespace: &str,
        name: &str,
        marks: &Marks,
    ) -> Result<(), ProviderError> {
        let mut held = self.0.lock();
        held.fail("account")?;
        held.create(key(Kind::ServiceAccount, namespace, name), marks, &[], None)
            .map(drop)
    }

    async fn create_secret(
        &self,
        namespace: &str,
        name: &str,
        marks: &Marks,
    ) -> Result<String, ProviderError> {
        let mut held = self.0.lock();
        held.fail("secret")?;
        held.create(key(Kind::Secret, namespace, name), marks, &[], None)
    }

    async fn create_role_binding(
        &self,
        binding: Object<'_>,
        marks: &Marks,
        role: &RoleRef,
        home: &str,
    ) -> Result<(), ProviderError> {
        let RoleRef::Role(role) = role else {
            return Err(forbidden("this fake binds Roles"));
        };
        let mut held = self.0.lock();
        let binds = Some((role.clone(), subject(home, binding.name)));
        let at = key(binding.kind, binding.namespace, binding.name);
        held.create(at, marks, &[], binds)?;
        // The answer is lost on the way, the binding is there.
        held.fail("binding")
    }

    async fn request_token(&self, ask: &TokenAsk<'_>) -> Result<Token, ProviderError> {
        let mut held = self.0.lock();
        if ask.seconds < 600 {
            return Err(forbidden("422 Invalid"));
        }
        let of = TokenOf {
            namespace: ask.namespace.to_owned(),
            account: ask.name.to_owned(),
            secret_uid: ask.bound_to.to_owned(),
        };
        let token = format!("token-{}-{}", ask.name, held.tokens.len());
        held.tokens.push((token.clone(), of));
        held.asked.push(ask.seconds);
        let seconds = u64::try_from(ask.seconds).unwrap();
        Ok(Token {
            token: Secret::new(token),
            expires: NOW + Duration::from_secs(seconds) + held.longer,
        })
    }

    async fn rules_of(
        &self,
        token: &Secret<String>,
        namespace: &str,
    ) -> Result<Allowed, ProviderError> {
        let held = self.0.lock();
        let of = held
            .authenticated(token.expose())
            .ok_or_else(|| forbidden("401 Unauthorized"))?;
        Ok(Allowed {
            rules: held.of(namespace, &subject(&of.namespace, &of.account)),
            incomplete: false,
        })
    }

    async fn allows(
        &self,
        user: &(String, Vec<String>),
        namespace: &str,
        question: &Question,
    ) -> Result<bool, ProviderError> {
        let held = self.0.lock();
        Ok(held.of(namespace, &user.0).iter().any(|rule| {
            rule.verbs.contains(&question.verb)
                && rule.resources.contains(&question.resource)
                && rule.api_groups.contains(&question.group)
        }))
    }

    async fn config_map(
        &self,
        _: &str,
        name: &str,
    ) -> Result<Option<BTreeMap<String, String>>, ProviderError> {
        let held = self.0.lock();
        held.fail("witness")?;
        Ok(held.maps.get(name).cloned())
    }

    async fn put_config_map(
        &self,
        _: &str,
        name: &str,
        data: BTreeMap<String, String>,
    ) -> Result<(), ProviderError> {
        let mut held = self.0.lock();
        held.fail("witness")?;
        held.maps.insert(name.to_owned(), data);
        Ok(())
    }

    async fn delete(&self, object: Object<'_>) -> Result<(), ProviderError> {
        let mut held = self.0.lock();
        if object.kind == Kind::RoleBinding {
            held.fail("unbind")?;
        }
        held.objects
            .remove(&key(object.kind, object.namespace, object.name));
        Ok(())
    }

    async fn marked(
        &self,
        kind: Kind,
        namespace: &str,
        _home: &str,
    ) -> Result<Vec<Marked>, ProviderError> {
        let held = self.0.lock();
        let there = held
            .objects
            .iter()
            .filter(|((found, place, _), _)| *found == kind && place == namespace);
        Ok(there
            .map(|((_, _, name), body)| Marked {
                name: name.clone(),
                annotations: body.annotations.clone(),
            })
            .collect())
    }
}

struct Faked {
    provider: KubernetesProvider<Fake>,
    fake: Fake,
}

fn faked() -> Faked {
    let fake = Fake::default();
    let target = KubernetesTarget {
        namespace: "leases".to_owned(),
        cluster_roles: BTreeMap::new(),
    };
    Faked {
        provider: KubernetesProvider::new(target, fake.clone()),
        fake,
    }
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
        let held = self.fake.0.lock();
        let roles = |key: &&Key| key.0 != Kind::Role;
        held.objects.keys().filter(roles).count()
    }
}

#[async_trait]
impl Subject for Faked {
    fn provider(&self) -> &dyn Provider {
        &self.provider
    }

    fn kind(&self) -> TargetKind {
        TargetKind::Kubernetes
    }

    fn now(&self) -> Timestamp {
        NOW
    }

    async fn used(&self, credential: &Credential) -> Verdict {
        let Credential::Kubernetes {
            token, namespace, ..
        } = credential
        else {
            unreachable!("a credential of another kind")
        };
        match self.fake.rules_of(token, namespace).await {
            Ok(allowed) if !allowed.rules.is_empty() => Verdict::Accepted,
            Ok(_) | Err(_) => Verdict::Refused,
        }
    }

    fn lists(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn it_does_what_every_provider_does() {
    conformance::all(&faked(), 21).await;
}

#[tokio::test]
async fn t55_a_lost_answer_leaves_nothing_that_revoking_does_not_find() {
    for lost in ["account", "secret", "binding"] {
        let faked = faked();
        faked.fake.0.lock().failing.insert(lost);
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
    faked.fake.0.lock().failing.insert("unbind");
    let report = faked.revoke(&[&one]).await;
    assert_eq!(report.outcomes, [(one.lease, Err(down("unbind")))]);
    faked.fake.0.lock().failing.clear();
    let report = faked.revoke(&[&one, &two]).await;
    assert!(report.outcomes.iter().all(|(_, outcome)| outcome.is_ok()));
    faked.prove(&[&one, &two]).await;
    assert_eq!(faked.left(), 0);
}

#[tokio::test]
async fn t79_a_longer_life_than_asked_for_is_told_as_it_is() {
    let faked = faked();
    faked.fake.0.lock().longer = Duration::from_secs(365 * 24 * 3600);
    let request = faked.request(25);
    let prepared = faked.provider.prepare(&request).unwrap();
    let minted = faked.provider.mint(&request, &prepared).await.unwrap();
    assert!(minted.expires > prepared.worst_expiry);
}

#[tokio::test]
async fn a_life_that_servers_stretch_to_a_year_is_not_asked_for() {
    let faked = faked();
    let mut request = faked.request(26);
    request.expires = NOW + Duration::from_secs(3607);
    faked.mint(&request).await.unwrap();
    assert_eq!(faked.fake.0.lock().asked, [3608]);
}

#[tokio::test]
async fn a_shared_role_that_somebody_edited_gives_nothing() {
    let faked = faked();
    faked.mint(&faked.request(27)).await.unwrap();
    for (key, body) in &mut faked.fake.0.lock().objects {
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
    let held = faked.fake.0.lock();
    let roles = held.objects.keys().filter(|key| key.0 == Kind::Role);
    assert_eq!(roles.count(), 2);
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
        faked.fake.0.lock().extra.clone_from(rules);
    }
    faked.revoke(&[&request]).await;
    let proved = faked.prove(&[&request]).await;
    assert_eq!(proved, [(request.lease, Ok(Revoked::Acknowledged))]);
}
