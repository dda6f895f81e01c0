//! Kubernetes objects inside a plan, at any depth: in an attribute, in a text, in a text within a
//! text.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use crate::tree::Tree;

/// The objects that the risk rules judge in addition to the plan itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct ContainedObjects {
    /// Version, kind, namespace and name. An object that is the same before and after counts once.
    objects: BTreeSet<[String; 4]>,
}

impl ContainedObjects {
    pub(crate) fn json(&self) -> Value {
        let object = |[version, kind, namespace, name]: &[String; 4]| {
            let mut metadata = serde_json::Map::new();
            for (key, value) in [("name", name), ("namespace", namespace)] {
                if !value.is_empty() {
                    metadata.insert(key.to_owned(), Value::from(value.as_str()));
                }
            }
            json!({"apiVersion": version, "kind": kind, "metadata": metadata})
        };
        self.objects.iter().map(object).collect()
    }

    /// Records the objects in a value. Masked values are searched as well: masking does not make an
    /// object less risky.
    pub(crate) fn note(&mut self, tree: &Tree) {
        match tree {
            Tree::Null | Tree::Plain(_) | Tree::Unknown => {}
            Tree::Text(text) => self.unread(&text.raw),
            Tree::Hidden(hidden) => self.note(&hidden.revealed()),
            Tree::Document { root, .. } => self.note(root),
            Tree::List(items) => items.iter().for_each(|item| self.note(item)),
            Tree::Map(map) => {
                let text = |tree: &Tree, key: &str| -> String {
                    let found = tree.get(key).and_then(Tree::scalar);
                    found.unwrap_or_default().to_owned()
                };
                let (version, kind) = (text(tree, "apiVersion"), text(tree, "kind"));
                // References to objects have no metadata, and are not objects.
                if let Some(metadata) = map.get("metadata")
                    && !version.is_empty()
                    && !kind.is_empty()
                {
                    let (namespace, name) = (text(metadata, "namespace"), text(metadata, "name"));
                    self.objects.insert([version, kind, namespace, name]);
                }
                map.values().for_each(|inner| self.note(inner));
            }
        }
    }

    /// Searches a text that is not a document, such as a template of several, for the kinds that it
    /// mentions.
    fn unread(&mut self, text: &str) {
        static KIND: LazyLock<Option<Regex>> = LazyLock::new(|| {
            Regex::new(r#"(?-u:\b)kind\\*["']?\s*[:=]\s*(?:[&!]\S*\s+)*\\*["']?([A-Z][A-Za-z]{0,62})(?-u:\b)"#)
                .ok()
        });
        if !text.contains("apiVersion") {
            return;
        }
        let kinds = KIND.iter().flat_map(|kind| kind.captures_iter(text));
        for kind in kinds.filter_map(|found| found.get(1)) {
            let none = String::new;
            self.objects
                .insert([none(), kind.as_str().to_owned(), none(), none()]);
        }
    }
}
