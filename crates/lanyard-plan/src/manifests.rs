//! Kubernetes manifests: YAML documents, or a JSON object, each one object or a list of objects.

use lanyard_core::document::{Node, Style, Value as Yaml, read};
use lanyard_core::plan::{Effects, KubernetesObject, PlanReach, Reading, Sensitive};
use serde_json::{Map, Value};

use crate::held::Held;
use crate::review::Piece::{Named, Own, Plan};
use crate::review::{Name, Review};
use crate::scalars;
use crate::secrets::Secrets;
use crate::shown::whole;
use crate::tree::Tree;

/// Objects that one plan holds, those in lists included.
///
/// # Limit
/// - for: a plan in Kubernetes manifests
/// - unit: objects
/// - beyond: the plan is refused when it is submitted
/// - test: `a16_a_plan_holds_so_many_objects_and_no_more`
const MAX_OBJECTS: usize = 200;
/// How deep a list may stand within lists.
const LIST_NESTING: usize = 8;
/// Characters that end a line in YAML 1.1, and so for kubectl, and do not in YAML 1.2: a comment could end at one of them.
const OLD_LINE_BREAKS: &[char] = &['\u{85}', '\u{2028}', '\u{2029}'];

/// The kinds that clusters have by themselves: the kind, its group and its resource.
const KINDS: &[(&str, &str, &str)] = &[
    ("ConfigMap", "", "configmaps"),
    ("CronJob", "batch", "cronjobs"),
    ("DaemonSet", "apps", "daemonsets"),
    ("Deployment", "apps", "deployments"),
    ("EndpointSlice", "discovery.k8s.io", "endpointslices"),
    (
        "HorizontalPodAutoscaler",
        "autoscaling",
        "horizontalpodautoscalers",
    ),
    ("Ingress", "networking.k8s.io", "ingresses"),
    ("Job", "batch", "jobs"),
    ("LimitRange", "", "limitranges"),
    ("Namespace", "", "namespaces"),
    ("NetworkPolicy", "networking.k8s.io", "networkpolicies"),
    ("PersistentVolume", "", "persistentvolumes"),
    ("PersistentVolumeClaim", "", "persistentvolumeclaims"),
    ("Pod", "", "pods"),
    ("PodDisruptionBudget", "policy", "poddisruptionbudgets"),
    ("ReplicaSet", "apps", "replicasets"),
    ("ResourceQuota", "", "resourcequotas"),
    ("Role", "rbac.authorization.k8s.io", "roles"),
    ("RoleBinding", "rbac.authorization.k8s.io", "rolebindings"),
    ("Secret", "", "secrets"),
    ("Service", "", "services"),
    ("ServiceAccount", "", "serviceaccounts"),
    ("StatefulSet", "apps", "statefulsets"),
];

pub(crate) fn kinds() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    KINDS.iter().copied()
}

/// One object.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    /// As policies are asked about it, and as the cluster reads it.
    pub(crate) json: Value,
}

/// Reads the documents of a file.
///
/// # Errors
/// Which document is no object, and why.
pub(crate) fn parse(content: &[u8]) -> Result<Vec<Manifest>, String> {
    let text = std::str::from_utf8(content).map_err(|error| error.to_string())?;
    line_breaks(text)?;
    let mut manifests = Vec::new();
    for (start, document) in documents(text)? {
        let at = |message: String, row: u32| {
            let row = start.saturating_add(row);
            format!("line {row}: {message}")
        };
        let root =
            read(&document).map_err(|fault| at(fault.message.clone(), fault.span.at.line))?;
        let json = json(&root).map_err(|(message, row)| at(message, row))?;
        open(json, 0, &mut manifests).map_err(|message| at(message, root.span.at.line))?;
    }
    if manifests.is_empty() {
        return Err("it holds no object".to_owned());
    }
    Ok(manifests)
}

/// Refuses what ends a line for one reader of YAML and not for another.
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

/// Takes an object, or what is in a list of objects: kubectl applies those, and never the list.
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
        // kubectl takes whatever has `items` for a list, and applies those alone.
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
        // As kubectl does: the items of a DeploymentList are Deployments where they do not say what they are.
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

/// The documents, each with the number of lines before it. What is only blank or a comment is none.
///
/// # Errors
/// Which line is a separator for some readers and not for others.
pub(crate) fn documents(text: &str) -> Result<Vec<(u32, String)>, String> {
    let mut all = vec![(0, String::new())];
    for (row, line) in (1_u32..).zip(text.lines()) {
        let mut content = line;
        if let Some(rest) = line.strip_prefix("---") {
            // As kubectl does, which needs no space before the comment.
            let rest_read = rest.trim();
            if rest_read.is_empty() || rest_read.starts_with('#') {
                all.push((row, String::new()));
                continue;
            }
            if !rest.starts_with(' ') {
                return Err(format!(
                    "line {row}: `{}` begins with `---`, which separates documents for some readers of YAML and not for others; \
                     put it in quotes, or a space behind `---`",
                    whole(line)
                ));
            }
            all.push((row.saturating_sub(1), String::new()));
            content = rest;
        }
        if let Some((_, document)) = all.last_mut() {
            document.push_str(content);
            document.push('\n');
        }
    }
    let blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    all.retain(|(_, document)| !document.lines().all(blank));
    Ok(all)
}

/// The values as the cluster reads them.
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
    // Applied over what is there, or made: which of them only the cluster knows.
    let named: Vec<_> = manifests.iter().map(|it| object(&it.json, true)).collect();
    for (manifest, named) in manifests.iter().zip(&named) {
        let objects = &mut reach.kubernetes;
        match named {
            Some(object) => drop(objects.named.insert(object.clone())),
            None => drop(objects.unnamed.insert(unnamed(&manifest.json))),
        }
    }
    let updated = u32::try_from(manifests.len()).unwrap_or(u32::MAX);
    Reading {
        effects: Effects {
            updated,
            ..Effects::default()
        },
        reach,
        objects: manifests.iter().map(|it| it.json.clone()).collect(),
        named,
        sensitive: Sensitive::default(),
    }
}

/// What an object of a kind that is not known is called where a credential is asked for it.
fn unnamed(json: &Value) -> String {
    let text = |at: &str| json.pointer(at).and_then(Value::as_str).unwrap_or("?");
    whole(&format!(
        "{} {} {} in {}",
        text("/apiVersion"),
        text("/kind"),
        text("/metadata/name"),
        text("/metadata/namespace")
    ))
}

/// The object of a manifest, when its kind is known.
pub(crate) fn object(json: &Value, created: bool) -> Option<KubernetesObject> {
    let text = |at: &str| json.pointer(at).and_then(Value::as_str);
    let (version, kind, name) = (
        text("/apiVersion")?,
        text("/kind")?,
        text("/metadata/name")?,
    );
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    let (_, group, resource) = kinds().find(|(known, of, _)| *known == kind && *of == group)?;
    Some(KubernetesObject {
        group: group.to_owned(),
        resource: resource.to_owned(),
        namespace: text("/metadata/namespace").unwrap_or_default().to_owned(),
        name: name.to_owned(),
        created,
    })
}

/// The objects, and those that stand within them.
pub(crate) fn held(manifests: &[Manifest]) -> Held {
    let mut held = Held::default();
    for manifest in manifests {
        held.note(&Tree::plain(&manifest.json));
    }
    held
}

/// Its version, kind, name and namespace.
pub(crate) fn heading(review: &mut Review, json: &Value) -> Name {
    let text = |at: &str| json.pointer(at).and_then(Value::as_str).unwrap_or("?");
    review.name(&[
        Plan(text("/apiVersion")),
        Own(" "),
        Plan(text("/kind")),
        Own(" "),
        Plan(text("/metadata/name")),
        Own(" in "),
        Plan(text("/metadata/namespace")),
    ])
}

/// The objects as their approvers read them.
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
