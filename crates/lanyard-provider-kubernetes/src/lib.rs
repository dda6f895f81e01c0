//! Mints and revokes Kubernetes service-account tokens.
//!
//! A lease consists of a ServiceAccount and a Secret in the broker's namespace, a RoleBinding in
//! the namespace that the charter names, and one token that is bound to the Secret. Deleting the
//! RoleBinding ends the token's rights; deleting the Secret and the ServiceAccount ends the token
//! itself
//! (<https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens>).

mod answer;
pub mod api;
mod clock;
mod cluster;
mod finalizers;
mod kubeconfig;
mod objects;
mod provider;
mod rehearse;
mod review;
mod revoke;
mod rules;
mod shared_roles;
mod unused_roles;

pub use cluster::Cluster;
pub use kubeconfig::{ConnectError, look};
pub use objects::{Marks, Question};
pub use provider::{DRILLED, KubernetesProvider, KubernetesTarget};
pub use review::{ReviewError, Reviewed};
pub use rules::{digest, exceeding};

/// The provider's name in errors and reports.
const PROVIDER: &str = "kubernetes";
