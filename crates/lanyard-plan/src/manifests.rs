//! Kubernetes manifests: YAML documents or a JSON object, each an object or a list of objects.

use std::borrow::Cow;

use lanyard_charter::KubernetesObject;
use lanyard_charter::reach::{Effects, PlanReach, Sensitive};
use lanyard_core::plan::Reading;
use lanyard_document::{Node, Style, Value as Yaml, read_with_aliases};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::contained::ContainedObjects;
use crate::numbers::exact;
use crate::review::Piece::{Named, Own, Plan};
use crate::review::{Name, Review};
use crate::secrets::Secrets;
use crate::shown::whole;
use crate::strict::Strict;
use crate::tree::Tree;
use crate::{scalars, yaml_file};

/// Objects in one plan, including those in lists.
///
/// # Limit
/// - for: a plan in Kubernetes manifests
/// - unit: objects
/// - beyond: the plan is refused when it is submitted
/// - test: `a16_a_plan_holds_so_many_objects_and_no_more`
const MAX_OBJECTS: usize = 200;
/// Levels of lists inside lists.
const LIST_NESTING: usize = 8;
/// Line breaks of YAML 1.1, and so of kubectl, that YAML 1.2 does not have: a comment could end at
/// one of them and hide a value.
const OLD_LINE_BREAKS: &[char] = &['\u{85}', '\u{2028}', '\u{2029}'];

/// The kinds that clusters have by themselves and that are in no namespace: the kind and its group.
const CLUSTER_KINDS: &[(&str, &str)] = &[
    ("APIService", "apiregistration.k8s.io"),
    ("CSIDriver", "storage.k8s.io"),
    ("CSINode", "storage.k8s.io"),
    ("CertificateSigningRequest", "certificates.k8s.io"),
    ("ClusterRole", "rbac.authorization.k8s.io"),
    ("ClusterRoleBinding", "rbac.authorization.k8s.io"),
    ("ClusterTrustBundle", "certificates.k8s.io"),
    ("CustomResourceDefinition", "apiextensions.k8s.io"),
    ("DeviceClass", "resource.k8s.io"),
    ("FlowSchema", "flowcontrol.apiserver.k8s.io"),
    ("IPAddress", "networking.k8s.io"),
    ("IngressClass", "networking.k8s.io"),
    ("MutatingAdmissionPolicy", "admissionregistration.k8s.io"),
    (
        "MutatingAdmissionPolicyBinding",
        "admissionregistration.k8s.io",
    ),
    (
        "MutatingWebhookConfiguration",
        "admissionregistration.k8s.io",
    ),
    ("Namespace", ""),
    ("Node", ""),
    ("PersistentVolume", ""),
    ("PriorityClass", "scheduling.k8s.io"),
    ("PriorityLevelConfiguration", "flowcontrol.apiserver.k8s.io"),
    ("ResourceSlice", "resource.k8s.io"),
    ("RuntimeClass", "node.k8s.io"),
    ("SelfSubjectAccessReview", "authorization.k8s.io"),
    ("SelfSubjectReview", "authentication.k8s.io"),
    ("SelfSubjectRulesReview", "authorization.k8s.io"),
    ("ServiceCIDR", "networking.k8s.io"),
    ("StorageClass", "storage.k8s.io"),
    ("SubjectAccessReview", "authorization.k8s.io"),
    ("TokenReview", "authentication.k8s.io"),
    ("ValidatingAdmissionPolicy", "admissionregistration.k8s.io"),
    (
        "ValidatingAdmissionPolicyBinding",
        "admissionregistration.k8s.io",
    ),
    (
        "ValidatingWebhookConfiguration",
        "admissionregistration.k8s.io",
    ),
    ("VolumeAttachment", "storage.k8s.io"),
    ("VolumeAttributesClass", "storage.k8s.io"),
];

/// A Kubernetes object of the plan.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    /// The object as the cluster reads it.
    pub(crate) json: Value,
}

impl Manifest {
    /// Returns the object as the cluster gets it under a grant for this namespace: `kubectl` puts
    /// it there where it names none. A kind that is not known, which may be of the whole cluster,
    /// is treated alike, because no grant for a namespace reaches beyond it.
    pub(crate) fn applied_to(&self, namespace: Option<&str>) -> Cow<'_, Value> {
        let named = self.json.pointer("/metadata/namespace");
        let names_none = named.is_none_or(|it| it.is_null() || it.as_str() == Some(""));
        let Some(namespace) = namespace.filter(|_| names_none && !self.is_of_the_cluster()) else {
            return Cow::Borrowed(&self.json);
        };
        let mut json = self.json.clone();
        if let Some(metadata) = json.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("namespace".to_owned(), Value::from(namespace));
        }
        Cow::Owned(json)
    }

    fn is_of_the_cluster(&self) -> bool {
        let text = |at: &str| self.json.pointer(at).and_then(Value::as_str);
        let version = text("/apiVersion").unwrap_or_default();
        let group = version.rsplit_once('/').map_or("", |(group, _)| group);
        text("/kind").is_some_and(|kind| CLUSTER_KINDS.contains(&(kind, group)))
    }
}

/// Parses the objects of a file.
///
/// # Errors
/// The document that is no object, and why.
pub(crate) fn parse(text: &str) -> Result<Vec<Manifest>, String> {
    let read = match json_stream(text) {
        Some(objects) => of_json(objects),
        None => of_yaml(text),
    };
    let hint = if read.is_ok() { None } else { unrendered(text) };
    read.map_err(|why| format!("{why}{}", hint.unwrap_or_default()))
}

/// Recognises files that `kubectl apply -f` would refuse as well, and says what to submit instead.
fn unrendered(text: &str) -> Option<&'static str> {
    let has = |begin: &str| text.lines().any(|line| line.starts_with(begin));
    if has("MANIFEST:") || has("LAST DEPLOYED:") {
        return Some(
            "; it is what `helm install --dry-run` prints: submit what `helm template` prints",
        );
    }
    if text.contains("{{") {
        return Some(
            "; it holds `{{`, as a template of Helm does: submit what `helm template` prints",
        );
    }
    let kustomization = |line: &str| {
        line.trim_end() == "kind: Kustomization" || line.trim_end() == "kind: Component"
    };
    (text.contains("kustomize.config.k8s.io/") && text.lines().any(kustomization))
        .then_some("; it is a kustomization: submit what `kubectl kustomize` prints")
}

/// Splits consecutive JSON objects, as `kubectl` reads a file that begins with a brace. `None` if
/// the text is YAML.
fn json_stream(text: &str) -> Option<Vec<&str>> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let mut objects = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let (mut all, mut start) = (Vec::new(), 0);
    while let Some(object) = objects.next() {
        object.ok()?;
        let end = objects.byte_offset();
        all.push(text.get(start..end)?);
        start = end;
    }
    (all.len() > 1).then_some(all)
}

fn of_json(objects: Vec<&str>) -> Result<Vec<Manifest>, String> {
    let mut manifests = Vec::new();
    for (place, object) in (1..).zip(objects) {
        let place: usize = place;
        let at = |why: String| format!("object {place}: {}", whole(&why));
        let strict: Result<Strict, _> = serde_json::from_str(&exact(object));
        let Strict(json) = strict.map_err(|error| at(error.to_string()))?;
        open(json, 0, &mut manifests).map_err(at)?;
    }
    Ok(manifests)
}

fn of_yaml(text: &str) -> Result<Vec<Manifest>, String> {
    line_breaks(text)?;
    let (mut manifests, mut copied_bytes) = (Vec::new(), 0);
    for (start, document) in yaml_file::documents(text)? {
        let at = |message: String, row: u32| {
            let row = start.saturating_add(row);
            format!("line {row}: {message}")
        };
        let root = read_with_aliases(&document, &mut copied_bytes)
            .map_err(|fault| at(fault.message.clone(), fault.span.at.line))?;
        let json = json(&root).map_err(|(message, row)| at(message, row))?;
        // kubectl passes over `null`, which some tools print for an empty document.
        if json.is_null() {
            continue;
        }
        open(json, 0, &mut manifests).map_err(|message| at(message, root.span.at.line))?;
    }
    if manifests.is_empty() {
        return Err("it holds no object".to_owned());
    }
    Ok(manifests)
}

/// Refuses characters that end a line for some YAML readers and not for others.
fn line_breaks(text: &str) -> Result<(), String> {
    for (row, line) in (1..).zip(text.split('\n')) {
        let row: u32 = row;
        let line = line.strip_suffix('\r').unwrap_or(line);
        if let Some(found) = line
            .chars()
            .find(|c| *c == '\r' || OLD_LINE_BREAKS.contains(c))
        {
            return Err(format!(
                "line {row}: {} ends a line for some readers of YAML and not for others; write it as an escape in quotes, or take \
                 it out",
                found.escape_unicode()
            ));
        }
    }
    Ok(())
}

/// Collects an object, or the objects of a list: kubectl applies the items, never the list.
fn open(json: Value, depth: usize, found: &mut Vec<Manifest>) -> Result<(), String> {
    let text = |name: &str| json.get(name).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (text("apiVersion").to_owned(), text("kind").to_owned());
    if version.is_empty() || kind.is_empty() {
        return Err("a Kubernetes object has apiVersion, kind and metadata.name".to_owned());
    }
    let is_list = kind.ends_with("List");
    let odd = json.as_object().into_iter().flat_map(Map::keys);
    if let Some(key) = odd
        .into_iter()
        .find(|key| key.eq_ignore_ascii_case("items") && (*key != "items" || !is_list))
    {
        // kubectl treats any object with `items` as a list, and applies nothing but the items.
        return Err(format!(
            "kind `{}` has the field `{}`, so kubectl would apply what is in that field and nothing else; write a `List`, or no such field",
            whole(&kind),
            whole(key)
        ));
    }
    if is_list {
        return open_list(json, (&version, &kind), depth, found);
    }
    let name = json.pointer("/metadata/name").and_then(Value::as_str);
    if name.is_none_or(str::is_empty) {
        return Err("a Kubernetes object has apiVersion, kind and metadata.name".to_owned());
    }
    if found.len() >= MAX_OBJECTS {
        return Err(format!(
            "a plan holds {MAX_OBJECTS} objects at most; split it"
        ));
    }
    found.push(Manifest { json });
    Ok(())
}

fn open_list(
    mut json: Value,
    (version, kind): (&str, &str),
    depth: usize,
    found: &mut Vec<Manifest>,
) -> Result<(), String> {
    if depth >= LIST_NESTING {
        return Err(format!(
            "lists stand in lists deeper than {LIST_NESTING} times"
        ));
    }
    let known = ["apiVersion", "items", "kind", "metadata"];
    let mut keys = json.as_object().into_iter().flat_map(Map::keys);
    if let Some(key) = keys.find(|key| !known.contains(&key.as_str())) {
        return Err(format!("a `{}` has no field `{}`", whole(kind), whole(key)));
    }
    let items = match json.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            return Err(format!("the items of a `{}` are a list", whole(kind)));
        }
    };
    let own = kind.strip_suffix("List").unwrap_or_default();
    for (place, mut item) in items.into_iter().enumerate() {
        // Like kubectl: items of a DeploymentList without a kind are Deployments.
        if let Some(map) = item.as_object_mut()
            && !own.is_empty()
            && !map.contains_key("kind")
            && !map.contains_key("apiVersion")
        {
            map.insert("apiVersion".to_owned(), Value::String(version.to_owned()));
            map.insert("kind".to_owned(), Value::String(own.to_owned()));
        }
        open(item, depth + 1, found)
            .map_err(|why| format!("item {place} of a `{}`: {why}", whole(kind)))?;
    }
    Ok(())
}

/// Converts a YAML node to JSON as the cluster reads it.
fn json(node: &Node) -> Result<Value, (String, u32)> {
    let at = |message| (message, node.span.at.line);
    match &node.value {
        Yaml::Scalar {
            text,
            style: Style::Plain,
        } => scalars::plain(text).map_err(at),
        Yaml::Scalar { text, .. } => Ok(Value::String(text.clone())),
        Yaml::List(items) => items
            .iter()
            .map(json)
            .collect::<Result<_, _>>()
            .map(Value::Array),
        Yaml::Map(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                let name = self::key(key).map_err(|why| (why, key.span.at.line))?;
                if map.contains_key(&name) {
                    let message =
                        format!("the key `{}` stands twice for the cluster", whole(&name));
                    return Err((message, key.span.at.line));
                }
                map.insert(name, json(value)?);
            }
            Ok(Value::Object(map))
        }
    }
}

fn key(node: &Node) -> Result<String, String> {
    match &node.value {
        Yaml::Scalar {
            text,
            style: Style::Plain,
        } => scalars::key(text),
        Yaml::Scalar { text, .. } => Ok(text.clone()),
        Yaml::List(_) | Yaml::Map(_) => Err("a key is a text".to_owned()),
    }
}

pub(crate) fn reading(manifests: &[Manifest]) -> Reading {
    let mut reach = PlanReach::default();
    for Manifest { json } in manifests {
        // Only the cluster knows which objects exist, so each counts as created and updated.
        let object = KubernetesObject::of_manifest(json, true);
        reach.note(object.into_iter().collect(), || unnamed(json));
    }
    let updated = u32::try_from(manifests.len()).unwrap_or(u32::MAX);
    Reading {
        effects: Effects {
            updated,
            ..Effects::default()
        },
        reach,
        objects: manifests.iter().map(|it| it.json.clone()).collect(),
        sensitive: Sensitive::default(),
    }
}

/// Names an object of an unknown kind, for the refusal of a credential.
fn unnamed(json: &Value) -> String {
    let text = |at: &str| json.pointer(at).and_then(Value::as_str).unwrap_or("?");
    let (own, of_plan) = place(json);
    whole(&format!(
        "{} {} {}{own}{of_plan}",
        text("/apiVersion"),
        text("/kind"),
        text("/metadata/name"),
    ))
}

/// Collects the objects, and the objects inside them.
pub(crate) fn contained_objects(manifests: &[Manifest]) -> ContainedObjects {
    let mut held = ContainedObjects::default();
    for manifest in manifests {
        held.note(&Tree::plain(&manifest.json));
    }
    held
}

/// Renders the heading of an object: version, kind, name and namespace.
pub(crate) fn heading(review: &mut Review, json: &Value) -> Name {
    let text = |at: &str| json.pointer(at).and_then(Value::as_str).unwrap_or("?");
    let (own, of_plan) = place(json);
    review.name(&[
        Plan(text("/apiVersion")),
        Own(" "),
        Plan(text("/kind")),
        Own(" "),
        Plan(text("/metadata/name")),
        Own(own),
        Plan(of_plan),
    ])
}

/// Describes the place of an object: a phrase, and the namespace.
fn place(json: &Value) -> (&'static str, &str) {
    let namespace = json.pointer("/metadata/namespace").and_then(Value::as_str);
    match namespace.filter(|it| !it.is_empty()) {
        Some(namespace) => (" in ", namespace),
        None => match KubernetesObject::of_manifest(json, false) {
            Some(object) if object.is_of_the_cluster() => ("", ""),
            Some(_) => (" in the grant's namespace", ""),
            // An unknown kind may be namespaced or not.
            None => (" without a namespace", ""),
        },
    }
}

/// Renders the objects for approvers.
pub(crate) fn review(manifests: &[Manifest]) -> Review {
    let each = manifests.iter().map(|it| Tree::of_manifest(&it.json));
    let trees: Vec<Tree> = each.collect();
    let mut review = Review::of(Secrets::of(&trees));
    for (manifest, tree) in manifests.iter().zip(trees) {
        let heading = heading(&mut review, &manifest.json);
        review.line(&[Own("~ "), Named(&heading)]);
        review.rate(&heading, &Tree::Null, &tree, true);
        let masked = review.mask(tree);
        let found = review.comes("", &masked);
        review.differs(&heading, &found);
    }
    review
}
