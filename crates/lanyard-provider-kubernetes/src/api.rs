//! The calls to a cluster that the provider makes, and nothing else of it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use lanyard_core::charter::PolicyRule;
use lanyard_core::provider::{ProviderError, Rehearsed};
use lanyard_core::secret::Secret;
use lanyard_core::time::Timestamp;

pub use crate::objects::{Marks, Question};

/// Where the API server is, as its users see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its URL.
    pub server: String,
    /// Its certificate authorities, PEM; empty where the system's roots serve.
    pub certificate_authority: String,
    /// The name that its certificate is for, where that is not the host of the URL; else empty.
    pub tls_server_name: String,
    /// The proxy that the kubeconfig names on the way there, without a login; empty where it names none.
    pub proxy_url: String,
}

/// One object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object<'a> {
    /// What it is.
    pub kind: Kind,
    /// Where.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
}

/// The kinds that the broker makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// rbac.authorization.k8s.io/v1
    Role,
    /// rbac.authorization.k8s.io/v1
    RoleBinding,
    /// v1
    Secret,
    /// v1
    ServiceAccount,
}

/// What a RoleBinding refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleRef {
    /// A Role in the same namespace.
    Role(String),
    /// A ClusterRole.
    ClusterRole(String),
}

/// A ClusterRole as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterRole {
    /// Its rules on resources.
    pub rules: Vec<PolicyRule>,
    /// Whether its rules are gathered from other ClusterRoles by label.
    pub aggregated: bool,
    /// Whether it also has rules on URLs.
    pub urls: bool,
}

/// What a user may do in a namespace, as the API server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// Rules on resources.
    pub rules: Vec<PolicyRule>,
    /// Whether an authorizer could not list its part.
    pub incomplete: bool,
}

/// A token, as the API server gave it.
#[derive(Debug)]
pub struct Token {
    /// The secret.
    pub token: Secret<String>,
    /// status.expirationTimestamp, which is what holds.
    pub expires: Timestamp,
}

/// What is asked of TokenRequest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenAsk<'a> {
    /// The namespace of both.
    pub namespace: &'a str,
    /// The name of both the ServiceAccount and the Secret.
    pub name: &'a str,
    /// The Secret's uid.
    pub bound_to: &'a str,
    /// spec.expirationSeconds.
    pub seconds: i64,
}

/// Something in the cluster that carries the broker's marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// Its name.
    pub name: String,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// What the API server says of an object that is to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// The API server took the order. Something may still keep the object: a finalizer.
    Taken,
    /// The API server has none of this name: asked again after it took the order, it reads back what was done.
    Gone,
}

/// The API server, as the broker's own user. No call is ever repeated.
#[async_trait]
pub trait KubernetesApi: Send + Sync {
    /// Where agents find it.
    fn endpoint(&self) -> Endpoint;

    /// What time it is there, by the `Date` of an answer; nothing where none was given.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn time(&self) -> Result<Option<Timestamp>, ProviderError> {
        Ok(None)
    }

    /// A ClusterRole, when there is one.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn cluster_role(&self, name: &str) -> Result<Option<ClusterRole>, ProviderError>;

    /// What the API server would make of an object in this namespace; nothing changes.
    ///
    /// # Errors
    /// See [`ProviderError`]; what the broker itself may not do is named.
    async fn rehearse(
        &self,
        namespace: &str,
        object: &serde_json::Value,
    ) -> Result<Rehearsed, ProviderError>;

    /// Makes a Role; where one of this name is there already, its rules come back.
    ///
    /// # Errors
    /// See [`ProviderError`]; what the broker itself may not do is named.
    async fn create_role(
        &self,
        namespace: &str,
        name: &str,
        marks: &Marks,
        rules: &[PolicyRule],
    ) -> Result<Option<Vec<PolicyRule>>, ProviderError>;

    /// Makes a ServiceAccount that no pod mounts.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn create_service_account(
        &self,
        namespace: &str,
        name: &str,
        marks: &Marks,
    ) -> Result<(), ProviderError>;

    /// Makes an empty Secret; its uid.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn create_secret(
        &self,
        namespace: &str,
        name: &str,
        marks: &Marks,
    ) -> Result<String, ProviderError>;

    /// Binds a role in a namespace to the ServiceAccount of the same name in another.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn create_role_binding(
        &self,
        binding: Object<'_>,
        marks: &Marks,
        role: &RoleRef,
        home: &str,
    ) -> Result<(), ProviderError>;

    /// A token of a ServiceAccount, bound to a Secret.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn request_token(&self, ask: &TokenAsk<'_>) -> Result<Token, ProviderError>;

    /// What the holder of this token may do in a namespace, asked with the token itself.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn rules_of(
        &self,
        token: &Secret<String>,
        namespace: &str,
    ) -> Result<Allowed, ProviderError>;

    /// Whether a user may do this in a namespace.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn allows(
        &self,
        user: &(String, Vec<String>),
        namespace: &str,
        question: &Question,
    ) -> Result<bool, ProviderError>;

    /// Has an object deleted; one that is not there is deleted.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn delete(&self, object: Object<'_>) -> Result<Deleted, ProviderError>;

    /// The data of a ConfigMap, when there is one.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn config_map(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<BTreeMap<String, String>>, ProviderError>;

    /// Makes a ConfigMap, or gives the one that is there this data.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn put_config_map(
        &self,
        namespace: &str,
        name: &str,
        data: BTreeMap<String, String>,
    ) -> Result<(), ProviderError>;

    /// The Roles or ServiceAccounts with this broker's marks in a namespace.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn marked(
        &self,
        kind: Kind,
        namespace: &str,
        home: &str,
    ) -> Result<Vec<Marked>, ProviderError>;
}
