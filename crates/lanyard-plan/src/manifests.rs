//! Kubernetes manifests: YAML documents, or a JSON object, each one object.

use lanyard_core::document::{Node, Style, Value as Tree, read};
use lanyard_core::plan::{Effects, KubernetesObject, PlanReach, Reading};
use lanyard_core::provider::Rehearsed;
use serde_json::{Map, Number, Value, json};

use crate::compare::{self, Sides};
use crate::shown::{bounded, line};

/// How many objects one plan holds.
const MOST: usize = 200;

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
pub struct Manifest {
    /// As policies are asked about it.
    pub(crate) json: Value,
}

/// Reads the documents of a file.
///
/// # Errors
/// Which document is no object, and why.
pub(crate) fn parse(content: &[u8]) -> Result<Vec<Manifest>, String> {
    let text = std::str::from_utf8(content).map_err(|error| error.to_string())?;
    let mut manifests = Vec::new();
    for (start, document) in documents(text) {
        let at = |message: String, row: u32| {
            let row = start.saturating_add(row);
            format!("line {row}: {message}")
        };
        let root =
            read(&document).map_err(|fault| at(fault.message.clone(), fault.span.at.line))?;
        let json = json(&root);
        let text = |name: &str| json.get(name).and_then(Value::as_str);
        let name = json.pointer("/metadata/name").and_then(Value::as_str);
        if text("apiVersion").is_none() || text("kind").is_none() || name.is_none() {
            let message = "a Kubernetes object has apiVersion, kind and metadata.name".to_owned();
            return Err(at(message, root.span.at.line));
        }
        manifests.push(Manifest { json });
        if manifests.len() > MOST {
            return Err(format!("a plan holds {MOST} objects at most"));
        }
    }
    if manifests.is_empty() {
        return Err("it holds no object".to_owned());
    }
    Ok(manifests)
}

/// The documents, each with the number of lines before it. What is only blank or a comment is none.
fn documents(text: &str) -> Vec<(u32, String)> {
    let mut all = vec![(0, String::new())];
    for (row, line) in (1..).zip(text.lines()) {
        let rest = line
            .strip_prefix("---")
            .filter(|rest| rest.trim().is_empty() || rest.starts_with(' '));
        if let Some(rest) = rest {
            all.push((row, String::new()));
            if rest.trim().is_empty() {
                continue;
            }
        }
        if let Some((_, document)) = all.last_mut() {
            document.push_str(rest.unwrap_or(line));
            document.push('\n');
        }
    }
    let blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    all.retain(|(_, document)| !document.lines().all(blank));
    all
}

/// The values of YAML's core schema.
fn json(node: &Node) -> Value {
    match &node.value {
        Tree::Scalar {
            text,
            style: Style::Plain,
        } => plain(text),
        Tree::Scalar { text, .. } => Value::String(text.clone()),
        Tree::List(items) => Value::Array(items.iter().map(json).collect()),
        Tree::Map(entries) => {
            let pairs = entries.iter().map(|(key, value)| {
                let key = match &key.value {
                    Tree::Scalar { text, .. } => text.clone(),
                    Tree::List(_) | Tree::Map(_) => String::new(),
                };
                (key, json(value))
            });
            Value::Object(pairs.collect::<Map<_, _>>())
        }
    }
}

fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let number = |text: &str| -> Option<Number> {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return None;
        }
        let whole = text.strip_prefix('+').unwrap_or(text);
        whole
            .parse::<i64>()
            .map(Number::from)
            .ok()
            .or_else(|| Number::from_f64(whole.parse().ok()?))
    };
    number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

pub(crate) fn reading(manifests: &[Manifest]) -> Reading {
    let mut reach = PlanReach::default();
    for manifest in manifests {
        let objects = &mut reach.kubernetes;
        // Applied over what is there, or made: which of them only the cluster knows.
        match object(&manifest.json, true) {
            Some(object) => drop(objects.named.insert(object)),
            None => drop(objects.unnamed.insert(manifest.heading())),
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
    }
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

impl Manifest {
    /// What it is, in a line.
    pub(crate) fn heading(&self) -> String {
        let text = |at: &str| self.json.pointer(at).and_then(Value::as_str).unwrap_or("?");
        let namespace = text("/metadata/namespace");
        line(&format!(
            "{} {} {} in {namespace}",
            text("/apiVersion"),
            text("/kind"),
            text("/metadata/name")
        ))
    }
}

/// The objects as their approvers read them, without the values of secrets.
pub(crate) fn text(manifests: &[Manifest]) -> String {
    let mut text = String::new();
    for manifest in manifests {
        text.push_str(&format!("~ {}\n", manifest.heading()));
        let secret = manifest.json.get("kind").and_then(Value::as_str) == Some("Secret");
        lines(&manifest.json, "", secret, &mut text);
    }
    text
}

/// A line for each value, by its path.
fn lines(value: &Value, path: &str, secret: bool, text: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, inner) in map {
                let dot = if path.is_empty() { "" } else { "." };
                lines(inner, &format!("{path}{dot}{key}"), secret, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (place, inner) in items.iter().enumerate() {
                lines(inner, &format!("{path}[{place}]"), secret, text);
            }
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => {
            let hidden = secret && (path.starts_with("data.") || path.starts_with("stringData."));
            let shown = if hidden {
                "(sensitive)".to_owned()
            } else {
                line(&value.to_string())
            };
            text.push_str(&format!("    {} = {shown}\n", line(path)));
        }
    }
}

/// A rehearsal as approvers read it: what is made, and what differs, without the values of secrets.
#[must_use]
pub fn compared(rehearsed: &[Rehearsed]) -> String {
    let masked = json!({"data": true, "stringData": true});
    let mut text = String::new();
    for Rehearsed { before, after } in rehearsed {
        let manifest = Manifest {
            json: after.clone(),
        };
        let mut found = Vec::new();
        let secret = after.get("kind").and_then(Value::as_str) == Some("Secret");
        let sides = Sides {
            before: before.as_ref(),
            after: Some(after),
            unknown: None,
            hidden: [secret.then_some(&masked); 2],
        };
        sides.compare("", 0, &mut found);
        let (sign, word) = match before {
            None => ("+", "is created"),
            Some(_) if found.is_empty() => (" ", "does not change"),
            Some(_) => ("~", "is updated in place"),
        };
        text.push_str(&format!("{sign} {} {word}\n", manifest.heading()));
        for line in compare::lines(&found) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    bounded(text)
}
