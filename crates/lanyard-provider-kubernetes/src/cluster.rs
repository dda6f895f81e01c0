//! [`KubernetesApi`] on the kube crate.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::authorization::v1 as authorization;
use k8s_openapi::api::core::v1::{ConfigMap, Secret as SecretObject, ServiceAccount};
use k8s_openapi::api::rbac::v1 as rbac;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use lanyard_core::charter::PolicyRule;
use lanyard_core::provider::{ProviderError, Rehearsed};
use lanyard_core::secret::Secret;
use lanyard_core::time::Timestamp;

use crate::PROVIDER;
use crate::api::{
    Allowed, ClusterRole, Endpoint, Kind, KubernetesApi, Marked, Marks, Object, Question, RoleRef,
    Token, TokenAsk,
};
use crate::objects::{HOME, MANAGED_BY};

/// How long one call may take.
const CALL: Duration = Duration::from_secs(10);
/// How many objects a page of a list holds.
const PAGE: u32 = 500;
const RBAC: &str = "rbac.authorization.k8s.io";

/// A cluster could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig file.
    #[error("the kubeconfig cannot be used: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// No kubeconfig is named, and this is no pod.
    #[error("no kubeconfig is named, and this is no pod of a cluster: {0}")]
    InCluster(#[from] kube::config::InClusterError),
    /// The client.
    #[error("the client cannot be set up: {0}")]
    Client(#[from] kube::Error),
    /// A certificate authority's file.
    #[error("the certificate authority cannot be read: {0}")]
    Authority(#[from] std::io::Error),
}

/// A client of one cluster's API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    config: Config,
    endpoint: Endpoint,
}

impl Cluster {
    /// As the user of this kubeconfig and context; without one, as the service account of this pod. Calls nobody
    /// but what the credential plugin of the kubeconfig needs.
    ///
    /// # Errors
    /// When there is no usable configuration.
    pub async fn connect(
        kubeconfig: Option<&Path>,
        context: Option<&str>,
    ) -> Result<Self, ConnectError> {
        let mut config = match kubeconfig {
            Some(path) => {
                let options = KubeConfigOptions {
                    context: context.map(str::to_owned),
                    ..KubeConfigOptions::default()
                };
                Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await?
            }
            None => Config::incluster()?,
        };
        config.connect_timeout = Some(CALL);
        config.read_timeout = Some(CALL);
        config.write_timeout = Some(CALL);
        let authority = match (&config.root_cert, &config.root_cert_file) {
            (Some(certificates), _) => certificates.iter().map(|der| pem(der)).collect(),
            (None, Some(path)) => std::fs::read_to_string(path)?,
            (None, None) => String::new(),
        };
        Ok(Self {
            client: Client::try_from(config.clone())?,
            endpoint: Endpoint {
                server: config.cluster_url.to_string(),
                certificate_authority: authority,
            },
            config,
        })
    }

    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    fn namespaced<K>(&self, namespace: &str) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        <K as kube::Resource>::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn listed<K>(&self, namespace: &str, home: &str) -> Result<Vec<Marked>, ProviderError>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
        <K as kube::Resource>::DynamicType: Default,
    {
        let selector = format!("{}={},{HOME}={home}", MANAGED_BY.0, MANAGED_BY.1);
        let mut page = ListParams::default().labels(&selector).limit(PAGE);
        let mut found = Vec::new();
        loop {
            let listed = self
                .namespaced::<K>(namespace)
                .list(&page)
                .await
                .map_err(|error| mapped("list", &error))?;
            for object in listed.items {
                found.push(Marked {
                    name: object.meta().name.clone().unwrap_or_default(),
                    annotations: object.meta().annotations.clone().unwrap_or_default(),
                });
            }
            match listed.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => return Ok(found),
            }
        }
    }

    async fn gone<K>(&self, object: Object<'_>) -> Result<(), ProviderError>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
        <K as kube::Resource>::DynamicType: Default,
    {
        let deleted = self
            .namespaced::<K>(object.namespace)
            .delete(object.name, &DeleteParams::default().grace_period(0))
            .await;
        match deleted {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(mapped("delete", &error)),
        }
    }
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

/// The reasons that are passed on. Any other is a text that somebody chose.
/// <https://pkg.go.dev/k8s.io/apimachinery/pkg/apis/meta/v1#StatusReason>
const REASONS: &[&str] = &[
    "AlreadyExists",
    "BadRequest",
    "Conflict",
    "Expired",
    "Forbidden",
    "Gone",
    "InternalError",
    "Invalid",
    "MethodNotAllowed",
    "NotAcceptable",
    "NotFound",
    "RequestEntityTooLarge",
    "ServerTimeout",
    "ServiceUnavailable",
    "Timeout",
    "TooManyRequests",
    "Unauthorized",
    "UnsupportedMediaType",
];

/// What the API server says by a known reason alone: its messages can echo what was sent (T50).
fn mapped(operation: &'static str, error: &kube::Error) -> ProviderError {
    let kube::Error::Api(status) = error else {
        return ProviderError::Ambiguous {
            provider: PROVIDER,
            operation,
            code: "not reached".to_owned(),
        };
    };
    let known = REASONS.iter().find(|known| **known == status.reason);
    let code = match known {
        Some(reason) => format!("{} {reason}", status.code),
        None => status.code.to_string(),
    };
    match status.code {
        429 => ProviderError::Throttled {
            provider: PROVIDER,
            operation,
        },
        400..=499 => refused(operation, code),
        _ => ProviderError::Ambiguous {
            provider: PROVIDER,
            operation,
            code,
        },
    }
}

/// As [`mapped`], with the message: where no secret was sent, it says what the broker itself may not do.
pub(crate) fn explained(operation: &'static str, error: &kube::Error) -> ProviderError {
    match (mapped(operation, error), error) {
        (ProviderError::Refused { code, .. }, kube::Error::Api(status)) => {
            let message: String = status
                .message
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .take(1000)
                .collect();
            refused(operation, format!("{code}: {message}"))
        }
        (other, _) => other,
    }
}

pub(crate) fn refused(operation: &'static str, code: String) -> ProviderError {
    ProviderError::Refused {
        provider: PROVIDER,
        operation,
        code,
    }
}

fn metadata(name: &str, marks: &Marks) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some(marks.labels.clone()),
        annotations: Some(marks.annotations.clone()),
        ..ObjectMeta::default()
    }
}

fn written(rule: &PolicyRule) -> rbac::PolicyRule {
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

fn read(rule: rbac::PolicyRule) -> PolicyRule {
    let set = |texts: Option<Vec<String>>| texts.into_iter().flatten().collect();
    PolicyRule {
        api_groups: set(rule.api_groups),
        resources: set(rule.resources),
        verbs: rule.verbs.into_iter().collect(),
        resource_names: set(rule.resource_names),
    }
}

fn is_there_already(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.reason == "AlreadyExists")
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
        crate::rehearse::one(self.client.clone(), namespace, object).await
    }

    async fn cluster_role(&self, name: &str) -> Result<Option<ClusterRole>, ProviderError> {
        let roles = Api::<rbac::ClusterRole>::all(self.client.clone());
        let found = roles
            .get_opt(name)
            .await
            .map_err(|error| explained("get clusterrole", &error))?;
        Ok(found.map(|role| {
            let rules = role.rules.unwrap_or_default();
            let (urls, rules): (Vec<_>, Vec<_>) = rules
                .into_iter()
                .partition(|rule| rule.non_resource_urls.is_some());
            ClusterRole {
                rules: rules.into_iter().map(read).collect(),
                aggregated: role.aggregation_rule.is_some(),
                urls: !urls.is_empty(),
            }
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
        let roles = self.namespaced::<rbac::Role>(namespace);
        let role = rbac::Role {
            metadata: metadata(name, marks),
            rules: Some(rules.iter().map(written).collect()),
        };
        match roles.create(&PostParams::default(), &role).await {
            Ok(_) => Ok(None),
            Err(error) if is_there_already(&error) => {
                let there = roles
                    .get(name)
                    .await
                    .map_err(|error| explained("get role", &error))?;
                let rules = there.rules.unwrap_or_default();
                Ok(Some(rules.into_iter().map(read).collect()))
            }
            Err(error) => Err(explained(OPERATION, &error)),
        }
    }

    async fn config_map(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<BTreeMap<String, String>>, ProviderError> {
        let found = self.namespaced::<ConfigMap>(namespace).get_opt(name).await;
        let found = found.map_err(|error| explained("get configmap", &error))?;
        Ok(found.map(|found| found.data.unwrap_or_default()))
    }

    async fn put_config_map(
        &self,
        namespace: &str,
        name: &str,
        data: BTreeMap<String, String>,
    ) -> Result<(), ProviderError> {
        let maps = self.namespaced::<ConfigMap>(namespace);
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            data: Some(data),
            ..ConfigMap::default()
        };
        let made = match maps.create(&PostParams::default(), &map).await {
            Err(error) if is_there_already(&error) => {
                maps.replace(name, &PostParams::default(), &map).await
            }
            other => other,
        };
        made.map(drop)
            .map_err(|error| explained("put configmap", &error))
    }

    async fn create_service_account(
        &self,
        namespace: &str,
        name: &str,
        marks: &Marks,
    ) -> Result<(), ProviderError> {
        let account = ServiceAccount {
            metadata: metadata(name, marks),
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        };
        let made = self
            .namespaced(namespace)
            .create(&PostParams::default(), &account)
            .await;
        made.map(drop)
            .map_err(|error| explained("create serviceaccount", &error))
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
        let made = self
            .namespaced(namespace)
            .create(&PostParams::default(), &secret)
            .await
            .map_err(|error| explained(OPERATION, &error))?;
        made.metadata.uid.ok_or_else(|| ProviderError::Ambiguous {
            provider: PROVIDER,
            operation: OPERATION,
            code: "no uid".to_owned(),
        })
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
        let made = self
            .namespaced(binding.namespace)
            .create(&PostParams::default(), &object)
            .await;
        made.map(drop)
            .map_err(|error| explained("create rolebinding", &error))
    }

    async fn request_token(&self, ask: &TokenAsk<'_>) -> Result<Token, ProviderError> {
        const OPERATION: &str = "create serviceaccounts/token";
        let request = TokenRequest {
            metadata: ObjectMeta::default(),
            spec: TokenRequestSpec {
                audiences: Vec::new(),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Secret".to_owned()),
                    name: Some(ask.name.to_owned()),
                    uid: Some(ask.bound_to.to_owned()),
                }),
                expiration_seconds: Some(ask.seconds),
            },
            status: None,
        };
        let answer = self
            .namespaced::<ServiceAccount>(ask.namespace)
            .create_token_request(ask.name, &PostParams::default(), &request)
            .await
            .map_err(|error| mapped(OPERATION, &error))?;
        let status = answer.status.ok_or_else(|| ProviderError::Ambiguous {
            provider: PROVIDER,
            operation: OPERATION,
            code: "half an answer".to_owned(),
        })?;
        let millis = status.expiration_timestamp.0.as_millisecond();
        Ok(Token {
            token: Secret::new(status.token),
            expires: Timestamp::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)),
        })
    }

    async fn rules_of(
        &self,
        token: &Secret<String>,
        namespace: &str,
    ) -> Result<Allowed, ProviderError> {
        const OPERATION: &str = "create selfsubjectrulesreviews";
        // A client of its own: the broker's certificate must not answer for the token.
        let mut config = self.config.clone();
        config.auth_info = AuthInfo {
            token: Some(token.expose().clone().into()),
            ..AuthInfo::default()
        };
        let client = Client::try_from(config).map_err(|error| mapped(OPERATION, &error))?;
        let review = authorization::SelfSubjectRulesReview {
            spec: authorization::SelfSubjectRulesReviewSpec {
                namespace: Some(namespace.to_owned()),
            },
            ..authorization::SelfSubjectRulesReview::default()
        };
        let answer = Api::<authorization::SelfSubjectRulesReview>::all(client)
            .create(&PostParams::default(), &review)
            .await
            .map_err(|error| mapped(OPERATION, &error))?;
        let status = answer.status.unwrap_or_default();
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
        let answer = Api::<authorization::SubjectAccessReview>::all(self.client.clone())
            .create(&PostParams::default(), &review)
            .await
            .map_err(|error| explained("create subjectaccessreviews", &error))?;
        Ok(answer.status.is_none_or(|status| status.allowed))
    }

    async fn delete(&self, object: Object<'_>) -> Result<(), ProviderError> {
        match object.kind {
            Kind::Role => self.gone::<rbac::Role>(object).await,
            Kind::RoleBinding => self.gone::<rbac::RoleBinding>(object).await,
            Kind::Secret => self.gone::<SecretObject>(object).await,
            Kind::ServiceAccount => self.gone::<ServiceAccount>(object).await,
        }
    }

    async fn marked(
        &self,
        kind: Kind,
        namespace: &str,
        home: &str,
    ) -> Result<Vec<Marked>, ProviderError> {
        match kind {
            Kind::Role => self.listed::<rbac::Role>(namespace, home).await,
            Kind::RoleBinding => self.listed::<rbac::RoleBinding>(namespace, home).await,
            Kind::Secret => self.listed::<SecretObject>(namespace, home).await,
            Kind::ServiceAccount => self.listed::<ServiceAccount>(namespace, home).await,
        }
    }
}
