//! Kind `kubernetes`: service-account tokens with rights in one namespace.

mod prohibition;
mod resources;
mod rules;
mod section;
mod to_plan;

use std::collections::{BTreeMap, BTreeSet};

use lanyard_document::shape::{Map, Shape, optional};
use lanyard_document::{Item, Section};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::secret::Secret;
use serde_json::{Value, json};

pub use prohibition::ProhibitedRequests;
pub use section::{policy_rule, policy_rule_shape};

use super::credential::CredentialForm;
use crate::aws::ActionPattern;
use crate::charter::Grant;
use crate::kubernetes::{KubernetesGrant, KubernetesObject, KubernetesRights, PolicyRule};
use crate::narrow::shortened;
use crate::prohibition::{Prohibited, Prohibition};
use crate::reach::{Named, PlanObjects, PlanReach};
use crate::rights::{Held, KindRights, Rights, ToPlan, unnamed};
use crate::target_kind::TargetKind;
use crate::usage::Usage;
use crate::world::{
    Check, DELETES_STATE, GrantKind, OPENS_PERIMETER, ProhibitedSection, Starter, World,
};

impl TargetKind {
    /// A Kubernetes cluster with its namespaces.
    pub const KUBERNETES: Self = Self::new("kubernetes");
}

/// The entry of kind `kubernetes` in the registry.
pub(super) struct Kubernetes;

impl GrantKind for Kubernetes {
    fn id(&self) -> TargetKind {
        TargetKind::KUBERNETES
    }

    fn meaning(&self) -> &'static str {
        "A Kubernetes service-account token."
    }

    fn shape(&self) -> Map {
        section::shape()
    }

    fn parse(&self, section: &Section<'_>) -> Option<Rights> {
        section::section_of(section)
    }

    fn starter(&self) -> Starter {
        Starter {
            reads: "kubernetes:\n        target: TARGET\n        namespace: default\n        rules:\n          - {apiGroups: [\"\"], resources: [pods, events], verbs: [get, list]}\n",
            changes: "kubernetes:\n        target: TARGET\n        namespace: default\n        rules:\n          - {apiGroups: [apps], resources: [deployments/scale], verbs: [get, patch]}\n",
        }
    }

    fn declared(&self) -> Map {
        let meaning = "The namespace with the service accounts of leases.";
        Map::new().with(optional("namespace", meaning, Shape::Text))
    }

    fn declare(&self, section: &Section<'_>, _target: &Name, world: &mut World) {
        let namespace = section.get("namespace").and_then(Item::text);
        world.own_namespaces.extend(namespace.map(str::to_owned));
    }

    fn prohibited(&self) -> Option<ProhibitedSection> {
        Some(prohibition::section())
    }

    fn plan_objects(&self) -> Option<PlanObjects> {
        Some(PlanObjects::of::<KubernetesObject>())
    }

    fn lint_prohibition(&self, check: &Check<'_>, prohibition: &Prohibition) {
        prohibition::lint(check, prohibition);
    }

    fn check(&self, check: &Check<'_>, grant: &Grant) {
        let Some(rights) = grant.rights.get::<KubernetesGrant>() else {
            return;
        };
        rules::namespace(check, grant, rights);
        if let KubernetesRights::Rules(all) = &rights.rights {
            all.iter()
                .for_each(|rule| rules::kubernetes(check, grant, rule));
            rules::held_back(check, grant, rights, all);
        }
    }
}

impl KindRights for KubernetesGrant {
    fn kind(&self) -> TargetKind {
        TargetKind::KUBERNETES
    }

    fn lines(&self) -> Vec<String> {
        match &self.rights {
            KubernetesRights::ClusterRole(name) => {
                vec![format!("ClusterRole {name} in {}", self.namespace)]
            }
            KubernetesRights::Rules(rules) => rules
                .iter()
                .map(|rule| format!("{rule} in {}", self.namespace))
                .collect(),
        }
    }

    fn narrowed(&self, other: &Rights) -> Option<Rights> {
        let other: &Self = other.get()?;
        if self.namespace != other.namespace {
            return None;
        }
        let rights = match (&self.rights, &other.rights) {
            (KubernetesRights::ClusterRole(one), KubernetesRights::ClusterRole(two)) => {
                (one == two).then(|| KubernetesRights::ClusterRole(one.clone()))
            }
            (KubernetesRights::Rules(one), KubernetesRights::Rules(two)) => {
                let rules: Vec<_> = one
                    .iter()
                    .flat_map(|rule| two.iter().filter_map(move |wide| rule.narrowed(wide)))
                    .collect::<BTreeSet<_>>()
                    .into_iter()
                    .collect();
                (!rules.is_empty()).then_some(KubernetesRights::Rules(rules))
            }
            (KubernetesRights::Rules(_) | KubernetesRights::ClusterRole(_), _) => None,
        }?;
        let destructive = self.destructive.union(&other.destructive).cloned();
        let narrowed = Self {
            namespace: self.namespace.clone(),
            rights,
            destructive: destructive.collect(),
        };
        Some(narrowed.into())
    }

    fn joined(&self, other: &Rights) -> Option<Rights> {
        let other: &Self = other.get()?;
        if self.namespace != other.namespace {
            return None;
        }
        let mut joined = self.clone();
        if let (KubernetesRights::Rules(rules), KubernetesRights::Rules(more)) =
            (&mut joined.rights, &other.rights)
        {
            let all: BTreeSet<_> = rules.drain(..).chain(more.iter().cloned()).collect();
            rules.extend(all);
        }
        joined.destructive.extend(other.destructive.iter().cloned());
        Some(joined.into())
    }

    fn beyond(&self, other: &Rights, _prohibited: [&[Prohibition]; 2]) -> Vec<String> {
        let Some(other) = other.get::<Self>() else {
            return self.lines();
        };
        if self.namespace != other.namespace {
            return vec![format!("namespace {}", self.namespace)];
        }
        match (&self.rights, &other.rights) {
            (KubernetesRights::ClusterRole(name), rights) => {
                let same = *rights == self.rights;
                (!same)
                    .then(|| format!("ClusterRole {name}"))
                    .into_iter()
                    .collect()
            }
            (KubernetesRights::Rules(rules), KubernetesRights::Rules(others)) => {
                let known = |asked: &PolicyRule| others.iter().any(|rule| rule.holds(asked));
                let atoms = rules.iter().flat_map(PolicyRule::atoms);
                let more = atoms.filter(|atom| !known(atom)).map(|atom| atom.line());
                let unheld = other.destructive.difference(&self.destructive);
                let unheld = unheld.map(|what| format!("{what} without being named by the plan"));
                more.chain(unheld).collect()
            }
            (KubernetesRights::Rules(rules), KubernetesRights::ClusterRole(_)) => {
                rules.iter().map(PolicyRule::line).collect()
            }
        }
    }

    fn gives(&self, usage: &Usage) -> bool {
        let (KubernetesRights::Rules(rules), Some(asked)) =
            (&self.rights, PolicyRule::asked(usage))
        else {
            // What a ClusterRole holds is known to the cluster alone.
            return false;
        };
        rules.iter().any(|rule| {
            let names = &rule.resource_names;
            let named = !asked.resource_names.is_disjoint(names);
            rule.is_touched_by(&asked) && (names.is_empty() || named)
        })
    }

    fn request(&self, object: &str) -> Option<Value> {
        let head = |kind: &str| {
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": kind,
                "metadata": {"name": object, "namespace": self.namespace},
            })
        };
        let (mut request, (field, value)) = match &self.rights {
            KubernetesRights::ClusterRole(role) => {
                let group = "rbac.authorization.k8s.io";
                let role = json!({"apiGroup": group, "kind": "ClusterRole", "name": role});
                (head("RoleBinding"), ("roleRef", role))
            }
            KubernetesRights::Rules(rules) => {
                let rules: Vec<Value> = rules.iter().map(rule_in_json).collect();
                (head("Role"), ("rules", json!(rules)))
            }
        };
        request.as_object_mut()?.insert(field.to_owned(), value);
        Some(request)
    }

    /// Returns one resource for each rule. The rules of a ClusterRole are known to the cluster
    /// alone: the provider looks at them.
    fn prohibited(&self, what: &Prohibited) -> Vec<String> {
        let (Some(ProhibitedRequests(prohibited)), KubernetesRights::Rules(rules)) =
            (what.get(), &self.rights)
        else {
            return Vec::new();
        };
        let touched = rules.iter().filter(|rule| rule.is_touched_by(prohibited));
        let words = touched.filter_map(|rule| {
            let mut resources = rule.resources.iter();
            let named = resources.find(|one| prohibited.resources.contains(*one));
            named.or_else(|| rule.resources.first()).cloned()
        });
        words.collect()
    }

    fn to_plan(&self, reach: &PlanReach) -> ToPlan {
        let objects = reach.of::<KubernetesObject>();
        if let Some(why) = unnamed(&objects.unnamed, objects.named.is_empty()) {
            return ToPlan::Whole(why);
        }
        let KubernetesRights::Rules(rules) = &self.rights else {
            return ToPlan::Whole("what a ClusterRole holds is the cluster's".to_owned());
        };
        let rules = to_plan::to_objects(rules, &self.namespace, &objects.named);
        rules.map_or(ToPlan::Nothing, |rules| {
            let narrowed = Self {
                rights: KubernetesRights::Rules(rules),
                ..self.clone()
            };
            ToPlan::Narrowed(narrowed.into())
        })
    }

    fn withheld(&self, narrowed: &Rights, _reach: &PlanReach) -> Vec<String> {
        let narrowed = narrowed.get::<Self>();
        narrowed.map_or_else(Vec::new, |narrowed| self.withholds(narrowed))
    }

    fn lacking(&self, narrowed: &Rights, reach: &PlanReach) -> Vec<String> {
        let objects = reach.of::<KubernetesObject>();
        let narrowed = narrowed.get::<Self>();
        narrowed.map_or_else(Vec::new, |narrowed| narrowed.lacks(&objects.named))
    }

    fn changes_in_short(&self) -> String {
        match &self.rights {
            KubernetesRights::Rules(rules) => {
                let resources = rules.iter().flat_map(|rule| &rule.resources);
                let resources: BTreeSet<&String> = resources.collect();
                let resources = shortened(resources.into_iter().cloned());
                format!("{resources} in namespace `{}`", self.namespace)
            }
            KubernetesRights::ClusterRole(name) => {
                format!("ClusterRole {name} in namespace `{}`", self.namespace)
            }
        }
    }

    fn rehearsed(&self, reach: PlanReach, made: &[&Value]) -> PlanReach {
        // By kind, namespace and name: objects of several kinds can have one name.
        let made: BTreeSet<_> = made
            .iter()
            .filter_map(|json| KubernetesObject::of_manifest(json, true))
            .collect();
        let objects = reach.of::<KubernetesObject>().into_owned();
        let known = objects.named.into_iter().map(|object| KubernetesObject {
            // What the agent may not read, its credential does not tell either.
            created: made.contains(&object) || !self.reads(&object),
            ..object
        });
        let objects = Named {
            named: known.collect(),
            unnamed: objects.unnamed,
        };
        reach.with(objects)
    }

    fn namespace(&self) -> Option<&str> {
        Some(&self.namespace)
    }

    fn destructive(&self) -> &BTreeSet<ActionPattern> {
        &self.destructive
    }

    fn holding_back(&self, named: &BTreeSet<ActionPattern>) -> Option<Held> {
        let held = Self::holding_back(self, named);
        let is_empty = held.rights == KubernetesRights::Rules(Vec::new());
        (!is_empty).then(|| Held::Less(held.into()))
    }

    fn powers(&self) -> Vec<(String, String)> {
        match &self.rights {
            KubernetesRights::Rules(rules) => rules.iter().filter_map(workload).collect(),
            KubernetesRights::ClusterRole(_) => Vec::new(),
        }
    }

    fn peril(&self) -> Option<(String, &'static str)> {
        let KubernetesRights::Rules(rules) = &self.rights else {
            return None;
        };
        rules.iter().find_map(|rule| {
            let opens = word_of(rule, DOORS, CHANGING_OR_DELETING);
            let opens = opens.map(|word| (word, OPENS_PERIMETER));
            opens.or_else(|| word_of(rule, STORES, DELETING).map(|word| (word, DELETES_STATE)))
        })
    }
}

impl KubernetesGrant {
    /// True if the rights let somebody read the object.
    fn reads(&self, object: &KubernetesObject) -> bool {
        let KubernetesRights::Rules(rules) = &self.rights else {
            return false;
        };
        object.is_in(&self.namespace)
            && rules.iter().any(|rule| {
                rule.api_groups.contains(&object.group)
                    && rule.resources.contains(&object.resource)
                    && rule.verbs.contains("get")
                    && (rule.resource_names.is_empty()
                        || rule.resource_names.contains(&object.name))
            })
    }
}

/// Resources that start or change pods, which may use any service account of the namespace and
/// mount its secrets.
const WORKLOADS: &[&str] = &[
    "pods",
    "deployments",
    "daemonsets",
    "statefulsets",
    "replicasets",
    "replicationcontrollers",
    "jobs",
    "cronjobs",
];
const CHANGING: &[&str] = &["create", "update", "patch"];

/// Kubernetes kinds that decide who reaches whom.
const DOORS: &[&str] = &[
    "gateways",
    "httproutes",
    "ingresses",
    "networkpolicies",
    "services",
];
/// Kubernetes kinds whose deletion deletes data.
const STORES: &[&str] = &[
    "customresourcedefinitions",
    "namespaces",
    "persistentvolumeclaims",
    "persistentvolumes",
    "statefulsets",
];
const CHANGING_OR_DELETING: &[&str] = &["create", "update", "patch", "delete", "deletecollection"];
const DELETING: &[&str] = &["delete", "deletecollection"];

fn workload(rule: &PolicyRule) -> Option<(String, String)> {
    let verb = CHANGING.iter().find(|verb| rule.verbs.contains(**verb))?;
    let resource = WORKLOADS
        .iter()
        .find(|resource| rule.resources.contains(**resource))?;
    let path = format!(
        "{verb} {resource}: its pods may name any service account of the namespace, and mount its secrets"
    );
    Some(((*resource).to_owned(), path))
}
fn word_of(rule: &PolicyRule, kinds: &[&str], verbs: &[&str]) -> Option<String> {
    let verb = verbs.iter().any(|verb| rule.verbs.contains(*verb));
    let resource = rule
        .resources
        .iter()
        .find(|one| kinds.contains(&one.as_str()));
    resource.filter(|_| verb).cloned()
}

fn rule_in_json(rule: &PolicyRule) -> Value {
    let mut fields: BTreeMap<&str, Value> = [
        ("apiGroups", json!(rule.api_groups)),
        ("resources", json!(rule.resources)),
        ("verbs", json!(rule.verbs)),
    ]
    .into();
    if !rule.resource_names.is_empty() {
        fields.insert("resourceNames", json!(rule.resource_names));
    }
    json!(fields)
}

/// A Kubernetes service-account token.
#[derive(Debug)]
pub struct KubernetesCredential {
    /// The API server's URL.
    pub server: String,
    /// The API server's certificate authority, in PEM; empty if the system's roots serve.
    pub certificate_authority: String,
    /// The name in the API server's certificate, if it differs from the URL's host; else empty.
    pub tls_server_name: String,
    /// The proxy on the way to the API server; empty if there is none.
    pub proxy_url: String,
    /// The namespace in which the rights are bound.
    pub namespace: String,
    /// The service-account token that the API server issued.
    pub token: Secret<String>,
}

impl CredentialForm for KubernetesCredential {
    fn kind(&self) -> TargetKind {
        TargetKind::KUBERNETES
    }

    fn values(&self) -> Vec<(&str, String)> {
        vec![
            ("server", self.server.clone()),
            ("certificate_authority", self.certificate_authority.clone()),
            ("tls_server_name", self.tls_server_name.clone()),
            ("proxy_url", self.proxy_url.clone()),
            ("namespace", self.namespace.clone()),
        ]
    }

    fn secrets(&self) -> Vec<(&str, &Secret<String>)> {
        vec![("token", &self.token)]
    }
}
