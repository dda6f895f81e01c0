//! The objects of a cluster, as far as a plan names them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An object of a Kubernetes cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KubernetesObject {
    /// The API group; empty for the core group.
    pub group: String,
    /// The resource, such as `deployments`.
    pub resource: String,
    /// The namespace; empty if the plan names none.
    pub namespace: String,
    /// The name of the object.
    pub name: String,
    /// True if the plan creates the object. RBAC cannot narrow the verb `create` to a name.
    pub created: bool,
}

impl KubernetesObject {
    /// True if the object's kind has no namespaces, among the kinds that plans name.
    #[must_use]
    pub fn is_of_the_cluster(&self) -> bool {
        self.group.is_empty()
            && matches!(self.resource.as_str(), "namespaces" | "persistentvolumes")
    }

    /// True if the object is in this namespace of a grant. An object without a namespace is applied
    /// to the credential's namespace, as `kubectl` does.
    #[must_use]
    pub fn is_in(&self, namespace: &str) -> bool {
        !self.is_of_the_cluster() && (self.namespace.is_empty() || self.namespace == namespace)
    }
}

impl fmt::Display for KubernetesObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dot = if self.group.is_empty() { "" } else { "." };
        write!(f, "{}{dot}{}/{}", self.resource, self.group, self.name)?;
        match self.namespace.as_str() {
            _ if self.is_of_the_cluster() => Ok(()),
            "" => f.write_str(" in the grant's namespace"),
            namespace => write!(f, " in {namespace}"),
        }
    }
}
