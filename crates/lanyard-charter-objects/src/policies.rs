//! Policies of charters that are objects: keys of ConfigMaps in the same namespace, named
//! `CONFIGMAP/KEY.rego` with a digest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lanyard_document::{Node, Value, read};

/// The texts of the ConfigMaps that charters of one namespace name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfigMaps(BTreeMap<String, Result<BTreeMap<String, Arc<str>>, Missing>>);

/// The reason why a ConfigMap has no texts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// No ConfigMap has this name.
    #[error("the namespace has no ConfigMap `{0}`")]
    Absent(String),
    /// The API server does not give the ConfigMap.
    #[error("ConfigMap `{name}` cannot be read: {why}")]
    Unread {
        /// Name of the ConfigMap.
        name: String,
        /// The API server's reason.
        why: String,
    },
    /// The ConfigMap was not read since the broker started.
    #[error("ConfigMap `{0}` was not read yet")]
    NotYet(String),
}

impl ConfigMaps {
    /// Records the result of reading a ConfigMap; returns true if anything changed. If a read
    /// fails, the earlier texts are kept.
    pub(crate) fn note(
        &mut self,
        name: &str,
        found: Result<BTreeMap<String, Arc<str>>, Missing>,
    ) -> bool {
        let keeps = matches!(found, Err(Missing::Unread { .. }))
            && self.0.get(name).is_some_and(Result::is_ok);
        if keeps || self.0.get(name) == Some(&found) {
            return false;
        }
        self.0.insert(name.to_owned(), found);
        true
    }

    /// Drops ConfigMaps that no charter names.
    pub(crate) fn keep(&mut self, named: &BTreeSet<String>) {
        self.0.retain(|name, _| named.contains(name));
    }

    /// Returns the text of a policy, named `CONFIGMAP/KEY.rego`.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn text(&self, path: &str) -> Result<Arc<str>, String> {
        let Some((name, key)) = path.split_once('/') else {
            return Err(format!(
                "{path} names no ConfigMap: write CONFIGMAP/KEY.rego"
            ));
        };
        match self.0.get(name) {
            None => Err(Missing::NotYet(name.to_owned()).to_string()),
            Some(Err(missing)) => Err(missing.to_string()),
            Some(Ok(texts)) => {
                let text = texts.get(key).cloned();
                text.ok_or_else(|| format!("ConfigMap `{name}` has no key `{key}`"))
            }
        }
    }
}

/// Names of the ConfigMaps that a charter's canonical text mentions.
#[must_use]
pub fn policy_keys(text: &str) -> BTreeSet<String> {
    // A cheap test first, because most charters have no policies.
    if !text.contains("\"policies\"") {
        return BTreeSet::new();
    }
    let root = read(text).ok();
    let items = root.as_ref().and_then(|root| {
        let plans = field(field(root, "spec")?, "plans")?;
        match &field(plans, "policies")?.value {
            Value::List(items) => Some(items),
            Value::Scalar { .. } | Value::Map(_) => None,
        }
    });
    let paths = items.into_iter().flatten().filter_map(|item| {
        let path = field(item, "path").unwrap_or(item);
        match &path.value {
            Value::Scalar { text, .. } => text.split_once('/'),
            Value::List(_) | Value::Map(_) => None,
        }
    });
    let is_name = |name: &str| {
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        !name.is_empty() && name.len() <= 253 && name.chars().all(known) && !name.starts_with('.')
    };
    let names = paths.map(|(name, _)| name).filter(|name| is_name(name));
    names.map(str::to_owned).collect()
}

fn field<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    let Value::Map(entries) = &node.value else {
        return None;
    };
    let is = |key: &Node| matches!(&key.value, Value::Scalar { text, .. } if text == name);
    let found = entries.iter().find(|(key, _)| is(key));
    found.map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_maps_of_a_charter_are_those_that_it_names() {
        let text =
            |policies: &str| format!("{{\"spec\": {{\"plans\": {{\"policies\": {policies}}}}}}}");
        for (policies, names) in [
            (
                r#"[{"path": "a/x.rego", "digest": "d"}, "b/y.rego", {"path": "a/z.rego"}]"#,
                &["a", "b"][..],
            ),
            (
                r#"["x.rego", "../secret/x.rego", "A/x.rego", {"path": ["a/x"]}, 7]"#,
                &[],
            ),
            (r#"{"path": "a/x.rego"}"#, &[]),
        ] {
            let found = policy_keys(&text(policies));
            assert_eq!(
                found.iter().map(String::as_str).collect::<Vec<_>>(),
                names,
                "{policies}"
            );
        }
        assert!(policy_keys("{\"spec\": 1}").is_empty());
    }

    #[test]
    fn an_unreadable_config_map_keeps_its_texts() {
        let mut maps = ConfigMaps::default();
        let texts: BTreeMap<String, Arc<str>> = [("x.rego".to_owned(), "package x".into())].into();
        let unread = || Missing::Unread {
            name: "a".to_owned(),
            why: "403".to_owned(),
        };
        assert!(maps.text("a/x.rego").unwrap_err().contains("not read yet"));
        assert!(maps.note("a", Err(unread())));
        assert!(maps.note("a", Ok(texts.clone())));
        assert!(!maps.note("a", Err(unread())) && !maps.note("a", Ok(texts)));
        assert_eq!(&*maps.text("a/x.rego").unwrap(), "package x");
        assert!(
            maps.text("a/y.rego")
                .unwrap_err()
                .contains("has no key `y.rego`")
        );
        assert!(
            maps.text("x.rego")
                .unwrap_err()
                .contains("names no ConfigMap")
        );
        assert!(maps.note("a", Err(Missing::Absent("a".to_owned()))));
        assert!(
            maps.text("a/x.rego")
                .unwrap_err()
                .contains("has no ConfigMap `a`")
        );
        maps.keep(&BTreeSet::new());
        assert_eq!(maps, ConfigMaps::default());
    }
}
