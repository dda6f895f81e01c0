//! Kubernetes objects that a plan holds, wherever one stands: in an attribute, in a text, in a text within a text.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use crate::tree::Tree;

/// What the rules of risk are asked about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    /// Kind, name and namespace, which the same object on both sides has in common.
    objects: BTreeSet<[String; 4]>,
}

impl Held {
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

    /// Notes what a value holds. Marks make no object less grave.
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
                // A reference to an object has no metadata.
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

    /// A text that is no document, such as a template of several: by the kinds that it speaks of.
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
