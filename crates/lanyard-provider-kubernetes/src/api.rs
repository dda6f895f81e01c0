//! The seam to a cluster: the calls that the provider makes, without the kube crate.

use std::collections::BTreeMap;

use async_trait::async_trait;
use lanyard_charter::PolicyRule;
use lanyard_core::provider::{ProviderError, Rehearsed};
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;

pub use crate::objects::{Marks, Question};

/// The API server's address, as agents use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// URL of the API server.
    pub server: String,
    /// Certificate authorities in PEM; empty where the system's roots apply.
    pub certificate_authority: String,
    /// Host name of the certificate, if it differs from the URL's host; empty otherwise.
    pub tls_server_name: String,
    /// Proxy that the kubeconfig names, without its login; empty without a proxy.
    pub proxy_url: String,
}

/// The kind, namespace and name of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object<'a> {
    /// Kind of the object.
    pub kind: Kind,
    /// Namespace of the object.
    pub namespace: &'a str,
    /// Name of the object.
    pub name: &'a str,
}

/// The kinds of objects that the broker creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A `Role` of `rbac.authorization.k8s.io/v1`.
    Role,
    /// A `RoleBinding` of `rbac.authorization.k8s.io/v1`.
    RoleBinding,
    /// A `Secret` of `v1`.
    Secret,
    /// A `ServiceAccount` of `v1`.
    ServiceAccount,
}

/// The role that a RoleBinding refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleRef {
    /// A Role in the binding's namespace, by name.
    Role(String),
    /// A ClusterRole, by name.
    ClusterRole(String),
}

/// The rules of an existing ClusterRole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterRole {
    /// The rules on resources.
    pub rules: Vec<PolicyRule>,
    /// The rules are aggregated from other ClusterRoles by label.
    pub aggregated: bool,
    /// The role has rules on URLs too.
    pub urls: bool,
}

/// The rights of a user in a namespace, as the API server lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// The rules on resources.
    pub rules: Vec<PolicyRule>,
    /// An authorizer could not list its rules, so the list is incomplete.
    pub incomplete: bool,
}

/// A token from the TokenRequest API.
#[derive(Debug)]
pub struct Token {
    /// The bearer token itself.
    pub token: Secret<String>,
    /// The token's expiry, from `status.expirationTimestamp`; it may differ from what was asked
    /// for.
    pub expires: Timestamp,
}

/// The parameters of a TokenRequest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenAsk<'a> {
    /// Namespace of the ServiceAccount and the Secret.
    pub namespace: &'a str,
    /// Name of both the ServiceAccount and the Secret.
    pub name: &'a str,
    /// The uid of the Secret that the token is bound to.
    pub bound_to: &'a str,
    /// `spec.expirationSeconds`: the token's life in seconds.
    pub seconds: i64,
}

/// An object in the cluster that carries the broker's labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// Name of the object.
    pub name: String,
    /// Annotations of the object.
    pub annotations: BTreeMap<String, String>,
}

/// The API server's answer to a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// The API server accepted the order. A finalizer may still keep the object.
    Taken,
    /// No object of this name exists. After an accepted order, this answer to a second one shows
    /// that the first was carried out.
    Gone,
}

/// The calls to the API server, as the broker's own user. Implementations never repeat a call.
#[async_trait]
pub trait KubernetesApi: Send + Sync {
    /// The address that agents reach the API server by.
    fn endpoint(&self) -> Endpoint;

    /// The time at the API server, from the `Date` header of an answer; `None` when the answer had
    /// none.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn time(&self) -> Result<Option<Timestamp>, ProviderError> {
        Ok(None)
    }

    /// Reads a ClusterRole; `None` when it does not exist.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn cluster_role(&self, name: &str) -> Result<Option<ClusterRole>, ProviderError>;

    /// Returns the object that the API server would make of `object` in `namespace`; a dry run,
    /// which changes nothing.
    ///
    /// # Errors
    /// See [`ProviderError`]; the error names the right that the broker lacks.
    async fn rehearse(
        &self,
        namespace: &str,
        object: &serde_json::Value,
    ) -> Result<Rehearsed, ProviderError>;

    /// Creates a Role. When one of this name exists, its rules are returned instead.
    ///
    /// # Errors
    /// See [`ProviderError`]; the error names the right that the broker lacks.
    async fn create_role(
        &self,
        namespace: &str,
        name: &str,
        marks: &Marks,
        rules: &[PolicyRule],
    ) -> Result<Option<Vec<PolicyRule>>, ProviderError>;

    /// Creates a ServiceAccount whose token no pod mounts.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn create_service_account(
        &self,
        namespace: &str,
        name: &str,
        marks: &Marks,
    ) -> Result<(), ProviderError>;

    /// Creates an empty Secret and returns its uid.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn create_secret(
        &self,
        namespace: &str,
        name: &str,
        marks: &Marks,
    ) -> Result<String, ProviderError>;

    /// Binds `role` in the binding's namespace to the ServiceAccount of the same name in namespace
    /// `home`.
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

    /// Requests a token of a ServiceAccount, bound to a Secret.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn request_token(&self, ask: &TokenAsk<'_>) -> Result<Token, ProviderError>;

    /// Returns the rights of a token's holder in `namespace`, asked with the token itself.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn rules_of(
        &self,
        token: &Secret<String>,
        namespace: &str,
    ) -> Result<Allowed, ProviderError>;

    /// Asks the authorizer whether `user` has the right in `namespace`.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn allows(
        &self,
        user: &(String, Vec<String>),
        namespace: &str,
        question: &Question,
    ) -> Result<bool, ProviderError>;

    /// Deletes an object; succeeds when the object does not exist.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn delete(&self, object: Object<'_>) -> Result<Deleted, ProviderError>;

    /// Reads the data of a ConfigMap; `None` when it does not exist.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn config_map(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<BTreeMap<String, String>>, ProviderError>;

    /// Creates a ConfigMap, or replaces the data of the existing one.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn put_config_map(
        &self,
        namespace: &str,
        name: &str,
        data: BTreeMap<String, String>,
    ) -> Result<(), ProviderError>;

    /// Lists the objects of `kind` in `namespace` that carry the labels of the broker whose
    /// namespace is `home`.
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
