//! Targets of kind `kubernetes`: a cluster and its namespaces.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanyard_charter::{TargetKind, policy_rule, policy_rule_shape};
use lanyard_core::provider::Provider;
use lanyard_core::target::{Shared, Target, TargetError, TargetReader};
use lanyard_document::shape::{Form, List, Map, Open, Shape, optional, required};
use lanyard_document::{Item, Section};
use lanyard_provider_kubernetes::{Cluster, DRILLED, KubernetesProvider, KubernetesTarget, look};
use lanyard_vocabulary::name::Name;

use crate::identity::cluster::{place_of, place_shape};

/// The entry of kind `kubernetes` in the registry.
pub(super) struct Kubernetes;

impl TargetReader for Kubernetes {
    fn kind(&self) -> TargetKind {
        TargetKind::KUBERNETES
    }

    fn meaning(&self) -> &'static str {
        "A Kubernetes cluster and its namespaces."
    }

    fn shape(&self) -> Map {
        shape()
    }

    fn read(&self, section: &Section<'_>, _name: &Name, base: &Path) -> Option<Arc<dyn Target>> {
        Some(Arc::new(namespaces(section, base)?))
    }
}

#[derive(Debug)]
struct Namespaces {
    target: KubernetesTarget,
    /// The broker's own access; in a pod, its service account.
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
    /// The namespace in which the canary of a drill gets its role.
    drill_namespace: Option<Name>,
}

#[tonic::async_trait]
impl Target for Namespaces {
    async fn provider(&self, _shared: &mut Shared) -> Result<Arc<dyn Provider>, TargetError> {
        let (kubeconfig, context) = (self.kubeconfig.as_deref(), self.context.as_deref());
        let cluster = Cluster::connect(kubeconfig, context).await?;
        Ok(Arc::new(KubernetesProvider::new(
            self.target.clone(),
            cluster,
        )))
    }

    async fn look(&self) -> Result<(), TargetError> {
        Ok(look(self.kubeconfig.as_deref(), self.context.as_deref()).await?)
    }

    fn drill(&self, name: &Name) -> Option<String> {
        let namespace = self.drill_namespace.as_ref()?;
        Some(format!(
            "kubernetes:\n  target: {name}\n  namespace: {namespace}\n  rules:\n    \
             - {{apiGroups: [''], resources: [configmaps], resourceNames: [{DRILLED}], verbs: [get]}}"
        ))
    }
}

fn shape() -> Map {
    place_shape()
        .with(required(
            "namespace",
            "The namespace with the service accounts of leases.",
            Form::NAME,
        ))
        .with(
            optional(
                "cluster_roles",
                "The ClusterRoles that grants may name, each with the digest of its rules.",
                Open::of(Form::ANY, Shape::Text),
            )
            .absent("none"),
        )
        .with(
            optional(
                "baseline",
                "What every service account of the cluster may do besides.",
                List::of(policy_rule_shape()),
            )
            .absent("nothing"),
        )
        .with(
            optional(
                "drill_namespace",
                "The namespace in which the canary of a drill gets its role.",
                Form::NAME,
            )
            .absent("no drill is held"),
        )
}

fn namespaces(section: &Section<'_>, base: &Path) -> Option<Namespaces> {
    let namespace = section.get("namespace").and_then(Item::parsed::<Name>);
    let pinned = |item: Item<'_>| {
        let entries = item.entries().into_iter();
        entries
            .filter_map(|it| Some((it.name.to_owned(), it.value.text()?.to_owned())))
            .collect()
    };
    let cluster_roles = section.get("cluster_roles").map(pinned);
    let baseline = section.get("baseline").map(|item| {
        let rules = item.items().into_iter();
        let rules = rules.filter_map(policy_rule);
        rules.collect::<Vec<_>>()
    });
    let place = place_of(section, base);
    let drill_namespace = section
        .get("drill_namespace")
        .and_then(Item::parsed::<Name>);
    Some(Namespaces {
        target: KubernetesTarget {
            namespace: namespace?.to_string(),
            cluster_roles: cluster_roles.unwrap_or_default(),
            baseline: baseline.unwrap_or_default(),
        },
        kubeconfig: place.kubeconfig,
        context: place.context,
        drill_namespace,
    })
}
