//! The implementation of [`KubernetesApi`] on the kube crate.

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::authorization::v1 as authorization;
use k8s_openapi::api::core::v1::{ConfigMap, Secret as SecretObject, ServiceAccount};
use k8s_openapi::api::rbac::v1 as rbac;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, GetParams, ListParams, ObjectList, PostParams};
use kube::config::AuthInfo;
use kube::core::Request;
use kube::{Client, Config};
use lanyard_charter::PolicyRule;
use lanyard_core::provider::{ProviderError, Rehearsed};
use lanyard_secret_file::read_plain_text;
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;

use crate::answer::{
    self, CALL_TIME, Fault, Subject, ambiguous, provider_error, provider_error_with_message,
};
use crate::api::{
    Allowed, ClusterRole, Deleted, Endpoint, Kind, KubernetesApi, Marked, Marks, Object, Question,
    RoleRef, Token, TokenAsk,
};
use crate::kubeconfig::{ConnectError, configured};
use crate::objects::{HOME_LABEL, MANAGED_BY};

/// Number of objects on one page of a list.
const OBJECTS_PER_PAGE: u32 = 500;
const RBAC: &str = "rbac.authorization.k8s.io";

/// A client of one cluster's API server, as the broker's own user.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    config: Config,
    endpoint: Endpoint,
}

impl Cluster {
    /// Connects as the user of `kubeconfig` and `context`, or without a kubeconfig as this pod's
    /// service account. It starts the kubeconfig's credential plugin and calls nothing else.
    ///
    /// # Errors
    /// When there is no usable configuration.
    pub async fn connect(
        kubeconfig: Option<&Path>,
        context: Option<&str>,
    ) -> Result<Self, ConnectError> {
        let (mut config, proxy_url) = configured(kubeconfig, context).await?;
        config.connect_timeout = Some(CALL_TIME);
        config.read_timeout = Some(CALL_TIME);
        config.write_timeout = Some(CALL_TIME);
        // Never repeat a mint: a lost answer may have created the object. The engine repeats
        // revocations itself.
        config.default_retry = false;
        let authority = match (&config.root_cert, &config.root_cert_file) {
            (Some(certificates), _) => certificates.iter().map(|der| pem(der)).collect(),
            (None, Some(path)) => read_plain_text(path)?,
            (None, None) => String::new(),
        };
        Ok(Self {
            client: Client::try_from(config.clone())?,
            endpoint: Endpoint {
                server: config.cluster_url.to_string(),
                certificate_authority: authority,
                tls_server_name: config.tls_server_name.clone().unwrap_or_default(),
                proxy_url,
            },
            config,
        })
    }

    /// The underlying client, for callers that watch charters or review tokens.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Creates an object and returns the API server's version of it.
    async fn create<K>(&self, namespace: &str, object: &K) -> Result<K, Fault>
    where
        K: Kubernetes,
    {
        let subject = Subject::of::<K>().within(namespace);
        let subject = match &object.meta().name {
            Some(name) => subject.named(name),
            None => subject,
        };
        let data = serde_json::to_vec(object).map_err(|_| NOT_BUILT)?;
        let request = path::<K>(namespace).create(&PostParams::default(), data);
        answer::document(&self.client, request.map_err(|_| NOT_BUILT)?, &subject).await
    }

    async fn find<K>(&self, namespace: &str, name: &str) -> Result<Option<K>, Fault>
    where
        K: Kubernetes,
    {
        let subject = Subject::of::<K>().within(namespace).named(name);
        let request = path::<K>(namespace).get(name, &GetParams::default());
        let found = answer::document(&self.client, request.map_err(|_| NOT_BUILT)?, &subject).await;
        match found {
            Err(fault) if fault.is_missing(&subject) => Ok(None),
            found => found.map(Some),
        }
    }

    async fn listed<K>(&self, namespace: &str, home: &str) -> Result<Vec<Marked>, Fault>
    where
        K: Kubernetes,
    {
        let selector = format!("{}={},{HOME_LABEL}={home}", MANAGED_BY.0, MANAGED_BY.1);
        let mut page = ListParams::default()
            .labels(&selector)
            .limit(OBJECTS_PER_PAGE);
        let mut found = Vec::new();
        loop {
            let request = path::<K>(namespace).list(&page).map_err(|_| NOT_BUILT)?;
            let subject = Subject::of::<K>();
            let listed: ObjectList<K> = answer::page(&self.client, request, &subject).await?;
            for object in listed.items {
                let meta = object.meta();
                found.push(Marked {
                    name: meta.name.clone().unwrap_or_default(),
                    annotations: meta.annotations.clone().unwrap_or_default(),
                });
            }
            match listed.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => return Ok(found),
            }
        }
    }

    async fn delete_object<K>(&self, object: Object<'_>) -> Result<Deleted, Fault>
    where
        K: Kubernetes,
    {
        let subject = Subject::of::<K>()
            .within(object.namespace)
            .named(object.name);
        // Without a grace period, during which the API server would keep accepting the token.
        let parameters = DeleteParams::default().grace_period(0);
        let request = path::<K>(object.namespace).delete(object.name, &parameters);
        let deleted = answer::delete(&self.client, request.map_err(|_| NOT_BUILT)?, &subject).await;
        match deleted {
            Err(fault) if fault.is_missing(&subject) => Ok(Deleted::Gone),
            deleted => deleted.map(|()| Deleted::Taken),
        }
    }
}

/// A namespaced object that the broker creates.
trait Kubernetes:
    kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
    + Clone
    + std::fmt::Debug
    + serde::Serialize
    + serde::de::DeserializeOwned
    + Send
    + Sync
{
}

impl<K> Kubernetes for K where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::Serialize
        + serde::de::DeserializeOwned
        + Send
        + Sync
{
}

const NOT_BUILT: Fault = Fault::Lost("the request cannot be built");

fn path<K: Kubernetes>(namespace: &str) -> Request {
    Request::new(K::url_path(&(), Some(namespace)))
}

/// Sends a review, which has neither a name nor a namespace.
async fn send_review<K>(client: &Client, review: &K) -> Result<K, Fault>
where
    K: kube::Resource<DynamicType = ()> + serde::Serialize + serde::de::DeserializeOwned,
{
    let data = serde_json::to_vec(review).map_err(|_| NOT_BUILT)?;
    let request = Request::new(K::url_path(&(), None)).create(&PostParams::default(), data);
    let request = request.map_err(|_| NOT_BUILT)?;
    answer::document(client, request, &Subject::of::<K>()).await
}

/// The subject of a review, for comparison. Empty fields count as absent, because the API server
/// leaves them out.
fn subject_of_review(spec: &authorization::SubjectAccessReviewSpec) -> [&str; 7] {
    fn text(text: Option<&String>) -> &str {
        text.map_or("", String::as_str)
    }
    let about = spec.resource_attributes.as_ref();
    let of = |part: fn(&authorization::ResourceAttributes) -> Option<&String>| {
        text(about.and_then(part))
    };
    [
        text(spec.user.as_ref()),
        of(|it| it.namespace.as_ref()),
        of(|it| it.verb.as_ref()),
        of(|it| it.group.as_ref()),
        of(|it| it.resource.as_ref()),
        of(|it| it.subresource.as_ref()),
        of(|it| it.name.as_ref()),
    ]
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for (at, character) in text.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem.push_str("\n-----END CERTIFICATE-----\n");
    pem
}

fn metadata(name: &str, marks: &Marks) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some(marks.labels.clone()),
        annotations: Some(marks.annotations.clone()),
        ..ObjectMeta::default()
    }
}

fn to_rbac_rule(rule: &PolicyRule) -> rbac::PolicyRule {
    let list =
        |texts: &std::collections::BTreeSet<String>| texts.iter().cloned().collect::<Vec<_>>();
    rbac::PolicyRule {
        api_groups: Some(list(&rule.api_groups)),
        resources: Some(list(&rule.resources)),
        resource_names: Some(list(&rule.resource_names)).filter(|names| !names.is_empty()),
        verbs: list(&rule.verbs),
        ..rbac::PolicyRule::default()
    }
}

fn from_rbac_rule(rule: rbac::PolicyRule) -> PolicyRule {
    let set = |texts: Option<Vec<String>>| texts.into_iter().flatten().collect();
    PolicyRule {
        api_groups: set(rule.api_groups),
        resources: set(rule.resources),
        verbs: rule.verbs.into_iter().collect(),
        resource_names: set(rule.resource_names),
    }
}

#[async_trait]
impl KubernetesApi for Cluster {
    fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    async fn rehearse(
        &self,
        namespace: &str,
        object: &serde_json::Value,
    ) -> Result<Rehearsed, ProviderError> {
        crate::rehearse::rehearse(self.client.clone(), namespace, object).await
    }

    async fn time(&self) -> Result<Option<Timestamp>, ProviderError> {
        crate::clock::time(&self.client).await
    }

    async fn cluster_role(&self, name: &str) -> Result<Option<ClusterRole>, ProviderError> {
        let subject = Subject::of::<rbac::ClusterRole>().named(name);
        let path = Request::new(<rbac::ClusterRole as kube::Resource>::url_path(&(), None));
        let request = path.get(name, &GetParams::default()).map_err(|_| NOT_BUILT);
        let found: Result<rbac::ClusterRole, Fault> = match request {
            Ok(request) => answer::document(&self.client, request, &subject).await,
            Err(fault) => Err(fault),
        };
        let role = match found {
            Err(fault) if fault.is_missing(&subject) => return Ok(None),
            found => {
                found.map_err(|fault| provider_error_with_message("get clusterrole", &fault))?
            }
        };
        let rules = role.rules.unwrap_or_default();
        let (urls, rules): (Vec<_>, Vec<_>) = rules
            .into_iter()
            .partition(|rule| rule.non_resource_urls.is_some());
        Ok(Some(ClusterRole {
            rules: rules.into_iter().map(from_rbac_rule).collect(),
            aggregated: role.aggregation_rule.is_some(),
            urls: !urls.is_empty(),
        }))
    }

    async fn create_role(
        &self,
        namespace: &str,
        name: &str,
        marks: &Marks,
        rules: &[PolicyRule],
    ) -> Result<Option<Vec<PolicyRule>>, ProviderError> {
        const OPERATION: &str = "create role";
        let subject = Subject::of::<rbac::Role>().within(namespace).named(name);
        let role = rbac::Role {
            metadata: metadata(name, marks),
            rules: Some(rules.iter().map(to_rbac_rule).collect()),
        };
        match self.create(namespace, &role).await {
            Ok(_) => Ok(None),
            Err(fault) if fault.exists_already(&subject) => {
                let there = self.find::<rbac::Role>(namespace, name).await;
                let there =
                    there.map_err(|fault| provider_error_with_message("get role", &fault))?;
                let gone = || ambiguous(OPERATION, "the role existed, and was deleted meanwhile");
                let rules = there.ok_or_else(gone)?.rules.unwrap_or_default();
                Ok(Some(rules.into_iter().map(from_rbac_rule).collect()))
            }
            Err(fault) => Err(provider_error_with_message(OPERATION, &fault)),
        }
    }

    async fn config_map(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<BTreeMap<String, String>>, ProviderError> {
        let found = self.find::<ConfigMap>(namespace, name).await;
        let found = found.map_err(|fault| provider_error_with_message("get configmap", &fault))?;
        Ok(found.map(|found| found.data.unwrap_or_default()))
    }

    async fn put_config_map(
        &self,
        namespace: &str,
        name: &str,
        data: BTreeMap<String, String>,
    ) -> Result<(), ProviderError> {
        let subject = Subject::of::<ConfigMap>().within(namespace).named(name);
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            data: Some(data),
            ..ConfigMap::default()
        };
        let made = match self.create(namespace, &map).await {
            Err(fault) if fault.exists_already(&subject) => {
                let data = serde_json::to_vec(&map).map_err(|_| NOT_BUILT);
                let replace = |data| {
                    let replaced =
                        path::<ConfigMap>(namespace).replace(name, &PostParams::default(), data);
                    replaced.map_err(|_| NOT_BUILT)
                };
                match data.and_then(replace) {
                    Ok(request) => answer::document(&self.client, request, &subject).await,
                    Err(fault) => Err(fault),
                }
            }
            made => made,
        };
        made.map(drop)
            .map_err(|fault| provider_error_with_message("put configmap", &fault))
    }

    async fn create_service_account(
        &self,
        namespace: &str,
        name: &str,
        marks: &Marks,
    ) -> Result<(), ProviderError> {
        let account = ServiceAccount {
            metadata: metadata(name, marks),
            // The account exists for one lease's token, so no pod may mount another token of it.
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        };
        let made = self.create(namespace, &account).await;
        made.map(drop)
            .map_err(|fault| provider_error_with_message("create serviceaccount", &fault))
    }

    async fn create_secret(
        &self,
        namespace: &str,
        name: &str,
        marks: &Marks,
    ) -> Result<String, ProviderError> {
        const OPERATION: &str = "create secret";
        let secret = SecretObject {
            metadata: metadata(name, marks),
            immutable: Some(true),
            ..SecretObject::default()
        };
        let made = self.create(namespace, &secret).await;
        let made = made.map_err(|fault| provider_error_with_message(OPERATION, &fault))?;
        made.metadata
            .uid
            .ok_or_else(|| ambiguous(OPERATION, "no uid"))
    }

    async fn create_role_binding(
        &self,
        binding: Object<'_>,
        marks: &Marks,
        role: &RoleRef,
        home: &str,
    ) -> Result<(), ProviderError> {
        let (kind, role) = match role {
            RoleRef::Role(name) => ("Role", name),
            RoleRef::ClusterRole(name) => ("ClusterRole", name),
        };
        let object = rbac::RoleBinding {
            metadata: metadata(binding.name, marks),
            role_ref: rbac::RoleRef {
                api_group: RBAC.to_owned(),
                kind: kind.to_owned(),
                name: role.clone(),
            },
            subjects: Some(vec![rbac::Subject {
                kind: "ServiceAccount".to_owned(),
                name: binding.name.to_owned(),
                namespace: Some(home.to_owned()),
                ..rbac::Subject::default()
            }]),
        };
        let made = self.create(binding.namespace, &object).await;
        made.map(drop)
            .map_err(|fault| provider_error_with_message("create rolebinding", &fault))
    }

    async fn request_token(&self, ask: &TokenAsk<'_>) -> Result<Token, ProviderError> {
        const OPERATION: &str = "create serviceaccounts/token";
        let bound = BoundObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Secret".to_owned()),
            name: Some(ask.name.to_owned()),
            uid: Some(ask.bound_to.to_owned()),
        };
        let request = TokenRequest {
            metadata: ObjectMeta::default(),
            spec: TokenRequestSpec {
                audiences: Vec::new(),
                bound_object_ref: Some(bound.clone()),
                expiration_seconds: Some(ask.seconds),
            },
            status: None,
        };
        let failed = |fault: Fault| provider_error(OPERATION, &fault);
        let data = serde_json::to_vec(&request).map_err(|_| failed(NOT_BUILT))?;
        let request = path::<ServiceAccount>(ask.namespace).create_subresource(
            "token",
            ask.name,
            &PostParams::default(),
            data,
        );
        let request = request.map_err(|_| failed(NOT_BUILT))?;
        let subject = Subject {
            kind: "TokenRequest".to_owned(),
            api_version: "authentication.k8s.io/v1".to_owned(),
            ..Subject::of::<ServiceAccount>()
        };
        let answer: TokenRequest = answer::document(&self.client, request, &subject)
            .await
            .map_err(failed)?;
        let half = || ambiguous(OPERATION, "incomplete answer");
        let status = answer.status.ok_or_else(half)?;
        let token = Secret::new(status.token);
        if answer.spec.bound_object_ref != Some(bound) || token.expose().is_empty() {
            return Err(ambiguous(
                OPERATION,
                "a token for another account or object",
            ));
        }
        let millis = status.expiration_timestamp.0.as_millisecond();
        Ok(Token {
            token,
            expires: Timestamp::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)),
        })
    }

    async fn rules_of(
        &self,
        token: &Secret<String>,
        namespace: &str,
    ) -> Result<Allowed, ProviderError> {
        const OPERATION: &str = "create selfsubjectrulesreviews";
        // A separate client without the broker's certificate: the API server would authenticate the
        // certificate and ignore the token.
        let mut config = self.config.clone();
        config.auth_info = AuthInfo {
            token: Some(token.expose().clone().into()),
            ..AuthInfo::default()
        };
        let client = Client::try_from(config)
            .map_err(|_| ambiguous(OPERATION, "no client for the token"))?;
        let review = authorization::SelfSubjectRulesReview {
            spec: authorization::SelfSubjectRulesReviewSpec {
                namespace: Some(namespace.to_owned()),
            },
            ..authorization::SelfSubjectRulesReview::default()
        };
        let answer = send_review(&client, &review).await;
        let answer = answer.map_err(|fault| provider_error(OPERATION, &fault))?;
        // An answer without a status is incomplete, and must not count as a token without rights.
        let status = answer
            .status
            .ok_or_else(|| ambiguous(OPERATION, "incomplete answer"))?;
        let set = |texts: Option<Vec<String>>| texts.into_iter().flatten().collect();
        let rules = status.resource_rules.into_iter().map(|rule| PolicyRule {
            api_groups: set(rule.api_groups),
            resources: set(rule.resources),
            verbs: rule.verbs.into_iter().collect(),
            resource_names: set(rule.resource_names),
        });
        Ok(Allowed {
            rules: rules.collect(),
            incomplete: status.incomplete,
        })
    }

    async fn allows(
        &self,
        user: &(String, Vec<String>),
        namespace: &str,
        question: &Question,
    ) -> Result<bool, ProviderError> {
        const OPERATION: &str = "create subjectaccessreviews";
        let (resource, subresource) = match question.resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource)),
            None => (question.resource.as_str(), None),
        };
        let attributes = authorization::ResourceAttributes {
            namespace: Some(namespace.to_owned()),
            verb: Some(question.verb.clone()),
            group: Some(question.group.clone()),
            resource: Some(resource.to_owned()),
            subresource: subresource.map(str::to_owned),
            name: Some(question.name.clone()).filter(|name| !name.is_empty()),
            ..authorization::ResourceAttributes::default()
        };
        let review = authorization::SubjectAccessReview {
            spec: authorization::SubjectAccessReviewSpec {
                user: Some(user.0.clone()),
                groups: Some(user.1.clone()),
                resource_attributes: Some(attributes),
                ..authorization::SubjectAccessReviewSpec::default()
            },
            ..authorization::SubjectAccessReview::default()
        };
        let answer = send_review(&self.client, &review).await;
        let answer = answer.map_err(|fault| provider_error_with_message(OPERATION, &fault))?;
        // A cache on the way may have answered about another user, or another right of this user.
        let same = subject_of_review(&answer.spec) == subject_of_review(&review.spec);
        match answer.status.filter(|_| same) {
            Some(status) => Ok(status.allowed),
            None => Err(ambiguous(
                OPERATION,
                "an answer about another user or right",
            )),
        }
    }

    async fn delete(&self, object: Object<'_>) -> Result<Deleted, ProviderError> {
        let deleted = match object.kind {
            Kind::Role => self.delete_object::<rbac::Role>(object).await,
            Kind::RoleBinding => self.delete_object::<rbac::RoleBinding>(object).await,
            Kind::Secret => self.delete_object::<SecretObject>(object).await,
            Kind::ServiceAccount => self.delete_object::<ServiceAccount>(object).await,
        };
        deleted.map_err(|fault| provider_error("delete", &fault))
    }

    async fn marked(
        &self,
        kind: Kind,
        namespace: &str,
        home: &str,
    ) -> Result<Vec<Marked>, ProviderError> {
        let listed = match kind {
            Kind::Role => self.listed::<rbac::Role>(namespace, home).await,
            Kind::RoleBinding => self.listed::<rbac::RoleBinding>(namespace, home).await,
            Kind::Secret => self.listed::<SecretObject>(namespace, home).await,
            Kind::ServiceAccount => self.listed::<ServiceAccount>(namespace, home).await,
        };
        listed.map_err(|fault| provider_error("list", &fault))
    }
}
