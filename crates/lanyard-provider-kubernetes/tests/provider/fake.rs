//! A fake API server: objects, RBAC and bound tokens, as far as a lease needs them, with faults
//! that a test injects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lanyard_charter::PolicyRule;
use lanyard_charter::kinds::{Credential, KubernetesCredential};
use lanyard_core::provider::{ProviderError, Rehearsed};
use lanyard_provider_kubernetes::Cluster;
use lanyard_provider_kubernetes::api::{
    Allowed, ClusterRole, Deleted, Endpoint, Kind, KubernetesApi, Marked, Marks, Object, Question,
    RoleRef, Token, TokenAsk,
};
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::conformance::refuser::{self, CANARY};
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

pub(crate) type Key = (Kind, String, String);

/// The objects of the fake server.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) maps: BTreeMap<String, BTreeMap<String, String>>,
    pub(crate) objects: BTreeMap<Key, Body>,
    tokens: Vec<(String, TokenOf)>,
    uids: u64,
    pub(crate) asked: Vec<i64>,
    /// Rights of every service account.
    pub(crate) extra: Vec<PolicyRule>,
    pub(crate) failing: BTreeSet<&'static str>,
    /// Objects that a foreign finalizer keeps.
    pub(crate) kept: BTreeSet<Kind>,
    /// Rights that another party bound to single users.
    pub(crate) bound: BTreeMap<String, Vec<PolicyRule>>,
    /// The fault that the next suitable call meets.
    pub(crate) wrong: Option<Wrong>,
}

#[derive(Clone)]
pub(crate) struct Body {
    uid: String,
    annotations: BTreeMap<String, String>,
    pub(crate) rules: Vec<PolicyRule>,
    binds: Option<(String, String)>,
}

#[derive(Clone)]
pub(crate) struct TokenOf {
    namespace: String,
    account: String,
    secret_uid: String,
    expires: Timestamp,
}

#[derive(Clone, Default)]
pub(crate) struct Fake(Arc<Server>);

#[derive(Default)]
struct Server {
    clock: ManualClock,
    held: Mutex<Held>,
    silent: Notify,
}

/// A fault that a test injects into one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Silence,
    LostAnswer,
    Throttle,
    Longer,
    Wider,
    Echo,
    Unrevoked(LeaseId),
}

impl Fake {
    pub(crate) fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock()
    }

    pub(crate) fn clock(&self) -> &ManualClock {
        &self.0.clock
    }

    /// Completes when a token was issued whose answer is withheld.
    pub(crate) async fn silent(&self) {
        self.0.silent.notified().await;
    }

    /// Returns the last token that was issued, whoever holds it.
    pub(crate) fn last_made(&self) -> Option<Credential> {
        let (token, _) = self.held().tokens.last().cloned()?;
        Some(
            KubernetesCredential {
                server: self.endpoint().server,
                certificate_authority: String::new(),
                tls_server_name: String::new(),
                proxy_url: String::new(),
                namespace: "payments".to_owned(),
                token: Secret::new(token),
            }
            .into(),
        )
    }

    /// Decides whether a token may read deployments now.
    pub(crate) fn allows(&self, token: &str, namespace: &str) -> bool {
        let held = self.held();
        let Some(of) = held.authenticated(token, self.clock().now()) else {
            return false;
        };
        let rules = held.of(namespace, &subject(&of.namespace, &of.account));
        rules
            .iter()
            .any(|rule| rule.resources.contains("deployments") && rule.verbs.contains("get"))
    }
}

/// Returns the real client of a server that refuses everything and repeats a secret wherever an
/// answer has room for text.
async fn refused_aloud() -> Cluster {
    let body = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 403,
        "reason": CANARY, "message": format!("no {CANARY}"), "details": {"name": CANARY},
    });
    let address = refuser::start("403 Forbidden", "application/json", body.to_string());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kubeconfig");
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: fake\n\
         clusters: [{{name: fake, cluster: {{server: 'http://{address}'}}}}]\n\
         users: [{{name: fake, user: {{token: none}}}}]\n\
         contexts: [{{name: fake, context: {{cluster: fake, user: fake}}}}]\n"
    );
    std::fs::write(&path, kubeconfig).unwrap();
    Cluster::connect(Some(&path), None).await.unwrap()
}

pub(crate) fn down(operation: &'static str) -> ProviderError {
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
    /// Removes the fault and returns true if it is `wrong`; each fault hits one call.
    fn takes(&mut self, wrong: Wrong) -> bool {
        let now = self.wrong == Some(wrong);
        if now {
            self.wrong = None;
        }
        now
    }

    /// Fails the call as throttled, or as lost, if that fault is injected.
    fn fail(&mut self, operation: &'static str) -> Result<(), ProviderError> {
        if self.takes(Wrong::Throttle) {
            return Err(ProviderError::Throttled {
                provider: "kubernetes",
                operation,
            });
        }
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
        // Names and labels are checked as the API server checks them.
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
            .chain(self.bound.get(account).cloned().unwrap_or_default())
            .collect()
    }

    /// Authenticates a token as an API server does, with its leeway of a minute.
    fn authenticated(&self, token: &str, now: Timestamp) -> Option<TokenOf> {
        let (_, of) = self.tokens.iter().find(|(text, _)| text == token)?;
        if now > of.expires + Duration::from_secs(60) {
            return None;
        }
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
            tls_server_name: String::new(),
            proxy_url: String::new(),
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
        let mut held = self.held();
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
        let mut held = self.held();
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
        let mut held = self.held();
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
        let mut held = self.held();
        let binds = Some((role.clone(), subject(home, binding.name)));
        let at = key(binding.kind, binding.namespace, binding.name);
        held.create(at, marks, &[], binds)?;
        // The binding is created, and the answer is lost.
        held.fail("binding")
    }

    async fn request_token(&self, ask: &TokenAsk<'_>) -> Result<Token, ProviderError> {
        if self.held().takes(Wrong::Echo) {
            return refused_aloud().await.request_token(ask).await;
        }
        let (made, silent) = {
            let mut held = self.held();
            held.fail("token")?;
            if ask.seconds < 600 {
                return Err(forbidden("422 Invalid"));
            }
            let longer = u64::from(held.takes(Wrong::Longer)) * 3600;
            let seconds = u64::try_from(ask.seconds).unwrap() + longer;
            let expires = self.clock().now() + Duration::from_secs(seconds);
            let of = TokenOf {
                namespace: ask.namespace.to_owned(),
                account: ask.name.to_owned(),
                secret_uid: ask.bound_to.to_owned(),
                expires,
            };
            let token = format!("token-{}-{}", ask.name, held.tokens.len());
            held.tokens.push((token.clone(), of));
            held.asked.push(ask.seconds);
            if held.takes(Wrong::LostAnswer) {
                return Err(down("token"));
            }
            let token = Secret::new(token);
            (Token { token, expires }, held.takes(Wrong::Silence))
        };
        if silent {
            self.0.silent.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(made)
    }

    async fn rules_of(
        &self,
        token: &Secret<String>,
        namespace: &str,
    ) -> Result<Allowed, ProviderError> {
        let mut held = self.held();
        held.fail("rules")?;
        let of = held
            .authenticated(token.expose(), self.clock().now())
            .ok_or_else(|| forbidden("401 Unauthorized"))?;
        let mut rules = held.of(namespace, &subject(&of.namespace, &of.account));
        if held.takes(Wrong::Wider) {
            let mut more = rules.first().cloned().unwrap();
            more.verbs = ["delete".to_owned()].into();
            rules.push(more);
        }
        Ok(Allowed {
            rules,
            incomplete: false,
        })
    }

    async fn allows(
        &self,
        user: &(String, Vec<String>),
        namespace: &str,
        question: &Question,
    ) -> Result<bool, ProviderError> {
        let mut held = self.held();
        held.fail("allows")?;
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
        let mut held = self.held();
        held.fail("witness")?;
        Ok(held.maps.get(name).cloned())
    }

    async fn put_config_map(
        &self,
        _: &str,
        name: &str,
        data: BTreeMap<String, String>,
    ) -> Result<(), ProviderError> {
        let mut held = self.held();
        held.fail("witness")?;
        held.maps.insert(name.to_owned(), data);
        Ok(())
    }

    async fn delete(&self, object: Object<'_>) -> Result<Deleted, ProviderError> {
        if self.held().takes(Wrong::Echo) {
            return refused_aloud().await.delete(object).await;
        }
        let mut held = self.held();
        held.fail("delete")?;
        if object.kind == Kind::RoleBinding {
            held.fail("unbind")?;
            if held.failing.contains("may not unbind") {
                return Err(forbidden("403 Forbidden"));
            }
        }
        if let Some(Wrong::Unrevoked(lease)) = held.wrong
            && object
                .name
                .contains(&lease.to_string().to_ascii_lowercase())
        {
            held.wrong = None;
            return Err(down("delete"));
        }
        let key = key(object.kind, object.namespace, object.name);
        if held.kept.contains(&object.kind) && held.objects.contains_key(&key) {
            return Ok(Deleted::Taken);
        }
        Ok(match held.objects.remove(&key) {
            Some(_) => Deleted::Taken,
            None => Deleted::Gone,
        })
    }

    async fn marked(
        &self,
        kind: Kind,
        namespace: &str,
        _home: &str,
    ) -> Result<Vec<Marked>, ProviderError> {
        let mut held = self.held();
        held.fail("list")?;
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
