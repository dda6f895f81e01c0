//! Parses ACL policies of Vault into paths and capabilities.
//! <https://developer.hashicorp.com/vault/docs/concepts/policies>

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hcl::{Block, BlockLabel, Body, Expression, Structure};
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

/// Attributes of a path's stanza that only restrict it, and can therefore be ignored.
const NARROWING_ATTRIBUTES: [&str; 11] = [
    "min_wrapping_ttl",
    "max_wrapping_ttl",
    "allowed_parameters",
    "denied_parameters",
    "required_parameters",
    "mfa_methods",
    "control_group",
    "pagination_limit",
    "expiration",
    "comment",
    "list_scan_response_keys_filter_path",
];

/// A path of a policy, with its capabilities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stanza {
    /// The path without a leading slash; `+` stands for one segment, a trailing `*` for any rest.
    pub path: String,
    /// The capabilities on that path.
    pub capabilities: BTreeSet<Capability>,
}

/// A capability that a policy can allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// Denies everything; overrides every other capability.
    Deny,
    /// Allows GET on the path.
    Read,
    /// Allows LIST on the path.
    List,
    /// Allows SCAN, which lists everything below (OpenBao).
    Scan,
    /// Allows POST to a path that does not exist.
    Create,
    /// Allows POST to a path that exists.
    Update,
    /// Allows PATCH on the path.
    Patch,
    /// Allows DELETE on the path.
    Delete,
    /// Allows paths that Vault reserves for root.
    Sudo,
    /// Allows subscriptions to events.
    Subscribe,
    /// Allows recovery from a snapshot.
    Recover,
}

impl Capability {
    /// True for capabilities that change nothing.
    pub(crate) const fn only_reads(self) -> bool {
        matches!(self, Self::Deny | Self::Read | Self::List | Self::Scan)
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "deny" => Self::Deny,
            "read" => Self::Read,
            "list" => Self::List,
            "scan" => Self::Scan,
            "create" => Self::Create,
            "update" => Self::Update,
            "patch" => Self::Patch,
            "delete" => Self::Delete,
            "sudo" => Self::Sudo,
            "subscribe" => Self::Subscribe,
            "recover" => Self::Recover,
            _ => return None,
        })
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deny => "deny",
            Self::Read => "read",
            Self::List => "list",
            Self::Scan => "scan",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::Sudo => "sudo",
            Self::Subscribe => "subscribe",
            Self::Recover => "recover",
        })
    }
}

/// The reason why a policy cannot be interpreted. A lease never gets such a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The text is neither HCL of the documented form nor JSON.
    #[error("it is not written as path \"…\" {{ capabilities = […] }}, in HCL or JSON")]
    Form,
    /// The policy has an attribute that is not known to restrict it.
    #[error("it has {0}, which Lanyard does not know")]
    Unknown(String),
    /// The path depends on the identity that uses the policy.
    #[error("the path {0} is a template")]
    Template(String),
}

/// Parses the stanzas of a policy, in HCL or JSON.
///
/// # Errors
/// When any part of the policy is not understood.
pub fn parse(text: &str) -> Result<Vec<Stanza>, PolicyError> {
    if text.trim_start().starts_with('{') {
        return json(text);
    }
    let body: Body = hcl::parse(text).map_err(|_| PolicyError::Form)?;
    let mut stanzas = Vec::new();
    for structure in body {
        match structure {
            Structure::Attribute(attribute) if attribute.key.as_str() == "name" => {}
            Structure::Attribute(attribute) => return Err(unknown(attribute.key.as_str())),
            Structure::Block(block) => stanzas.push(stanza(block)?),
        }
    }
    Ok(stanzas)
}

fn unknown(what: &str) -> PolicyError {
    let shown = what.chars().filter(|c| !c.is_control()).take(64);
    PolicyError::Unknown(shown.collect())
}

fn stanza(block: Block) -> Result<Stanza, PolicyError> {
    if block.identifier.as_str() != "path" {
        return Err(unknown(block.identifier.as_str()));
    }
    let path = match block.labels.as_slice() {
        [BlockLabel::String(path)] => path.clone(),
        _ => return Err(PolicyError::Form),
    };
    let mut rights = Vec::new();
    for structure in block.body {
        match structure {
            Structure::Attribute(attribute) => {
                rights.push((attribute.key.to_string(), written(attribute.expr)));
            }
            Structure::Block(block) => rights.push((block.identifier.to_string(), None)),
        }
    }
    Stanza::new(&path, rights)
}

/// Returns the text, or list of texts, of an expression; `None` for anything else, which a
/// restricting attribute may have.
fn written(expression: Expression) -> Option<Vec<String>> {
    if let Expression::Array(entries) = expression {
        return entries.into_iter().map(one).collect();
    }
    one(expression).map(|text| vec![text])
}

fn one(expression: Expression) -> Option<String> {
    if let Expression::String(text) = expression {
        Some(text)
    } else {
        None
    }
}

impl Stanza {
    fn new(path: &str, rights: Vec<(String, Option<Vec<String>>)>) -> Result<Self, PolicyError> {
        if path.contains("{{") {
            return Err(PolicyError::Template(path.to_owned()));
        }
        let mut capabilities = BTreeSet::new();
        for (key, texts) in rights {
            match (key.as_str(), texts) {
                ("capabilities", Some(texts)) => {
                    for text in texts {
                        let named = Capability::named(&text);
                        capabilities.insert(named.ok_or_else(|| unknown(&text))?);
                    }
                }
                ("policy", Some(texts)) => capabilities.extend(legacy(&texts)?),
                ("capabilities" | "policy", None) => return Err(PolicyError::Form),
                (key, _) if NARROWING_ATTRIBUTES.contains(&key) => {}
                (key, _) => return Err(unknown(key)),
            }
        }
        if capabilities.contains(&Capability::Deny) {
            capabilities = [Capability::Deny].into();
        }
        Ok(Self {
            path: path.strip_prefix('/').unwrap_or(path).to_owned(),
            capabilities,
        })
    }
}

/// Returns the capabilities of `policy = "write"`, the syntax from before capabilities existed.
fn legacy(texts: &[String]) -> Result<Vec<Capability>, PolicyError> {
    use Capability::{Create, Delete, Deny, List, Patch, Read, Sudo, Update};
    let [text] = texts else {
        return Err(PolicyError::Form);
    };
    Ok(match text.as_str() {
        "deny" => vec![Deny],
        "read" => vec![Read, List],
        "write" => vec![Create, Read, Update, Delete, List, Patch],
        "sudo" => vec![Create, Read, Update, Delete, List, Patch, Sudo],
        other => return Err(unknown(other)),
    })
}

/// Parses a policy in JSON. A path that occurs twice counts twice, as in Vault.
fn json(text: &str) -> Result<Vec<Stanza>, PolicyError> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Texts {
        One(String),
        Many(Vec<String>),
        Other(serde::de::IgnoredAny),
    }
    type Paths = Pairs<Pairs<Texts>>;
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Level {
        One(Paths),
        Many(Vec<Paths>),
        Name(#[expect(dead_code, reason = "the name does not matter")] String),
    }
    let Pairs(top) = serde_json::from_str::<Pairs<Level>>(text).map_err(|_| PolicyError::Form)?;
    let mut stanzas = Vec::new();
    for (key, level) in top {
        let paths = match (key.as_str(), level) {
            ("path", Level::One(paths)) => vec![paths],
            ("path", Level::Many(paths)) => paths,
            ("name", Level::Name(_)) => continue,
            (key, Level::One(_) | Level::Many(_) | Level::Name(_)) => return Err(unknown(key)),
        };
        for (path, Pairs(rights)) in paths.into_iter().flat_map(|Pairs(paths)| paths) {
            let rights = rights.into_iter().map(|(key, texts)| {
                let texts = match texts {
                    Texts::One(text) => Some(vec![text]),
                    Texts::Many(texts) => Some(texts),
                    Texts::Other(_) => None,
                };
                (key, texts)
            });
            stanzas.push(Stanza::new(&path, rights.collect())?);
        }
    }
    Ok(stanzas)
}

/// A JSON object as a list of pairs, duplicate keys included.
struct Pairs<V>(Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<V> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read<V>(std::marker::PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Read<V> {
            type Value = Pairs<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Read(std::marker::PhantomData))
    }
}

/// Mounted engines: path with a trailing slash, and type of the engine.
pub type Mounts = BTreeMap<String, String>;

/// Checks whether a stanza's pattern matches some path below `below`, which ends with a slash.
pub(crate) fn reaches(pattern: &str, below: &str) -> bool {
    let mut rest = below;
    let mut segments = pattern.split('/').peekable();
    while let Some(segment) = segments.next() {
        if rest.is_empty() {
            return true;
        }
        if segments.peek().is_none()
            && let Some(prefix) = segment.strip_suffix('*')
        {
            return rest.starts_with(prefix);
        }
        let Some((name, after)) = rest.split_once('/') else {
            return false;
        };
        if segment != "+" && segment != name {
            return false;
        }
        rest = after;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capabilities(text: &str) -> Vec<String> {
        let stanzas = parse(text).expect("it can be read");
        let all = stanzas.iter().flat_map(|stanza| &stanza.capabilities);
        all.map(Capability::to_string).collect()
    }

    #[test]
    fn both_forms_and_the_old_one_are_read() {
        let hcl = "# comment\nname = \"x\"\npath \"/kv/a/*\" {\n  capabilities = [\"read\", \"list\"]\n  max_wrapping_ttl = \"1h\"\n  allowed_parameters = { \"*\" = [] }\n}\n";
        assert_eq!(capabilities(hcl), ["read", "list"]);
        assert_eq!(parse(hcl).expect("again")[0].path, "kv/a/*");
        let json =
            r#"{"path": {"kv/a": {"capabilities": ["read"], "denied_parameters": {"b": []}}}}"#;
        assert_eq!(capabilities(json), ["read"]);
        let listed = r#"{"path": [{"kv/a": {"policy": "write"}}]}"#;
        assert_eq!(
            capabilities(listed),
            ["read", "list", "create", "update", "patch", "delete"]
        );
        assert_eq!(capabilities("path \"a\" { policy = \"sudo\" }").len(), 7);
        assert_eq!(
            capabilities("path \"a\" { capabilities = [\"deny\", \"sudo\"] }"),
            ["deny"]
        );
    }

    // T37
    #[test]
    fn t37_a_path_that_stands_twice_in_json_counts_twice() {
        let twice =
            r#"{"path": {"a": {"capabilities": ["sudo"]}, "a": {"capabilities": ["read"]}}}"#;
        assert_eq!(capabilities(twice), ["sudo", "read"]);
        let key = r#"{"path": {"a": {"capabilities": ["sudo"], "capabilities": ["read"]}}}"#;
        assert_eq!(capabilities(key), ["read", "sudo"]);
    }

    // T37
    #[test]
    fn t37_what_cannot_be_read_is_refused() {
        for text in [
            "path \"a\" {",
            "path a b { capabilities = [\"read\"] }",
            "path \"a\" { capabilities = \"${x}\" }",
            "path \"a\" { capabilities = [1] }",
            "path \"a\" { capabilities = [\"everything\"] }",
            "path \"a\" { policy = \"all\" }",
            "path \"a\" { grants = [\"read\"] }",
            "key \"a\" { policy = \"read\" }",
            "path = \"a\"",
            "path \"kv/{{identity.entity.name}}/*\" { capabilities = [\"read\"] }",
            "{\"path\": 1}",
            "{\"path\": {\"a\": {\"capabilities\": [1]}}}",
            "{\"other\": {\"a\": {\"capabilities\": [\"read\"]}}}",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn patterns_reach_what_they_match() {
        for (pattern, below, expected) in [
            ("*", "sys/", true),
            ("s*", "sys/", true),
            ("sys*", "sys/", true),
            ("sys/*", "sys/", true),
            ("sys/mounts", "sys/", true),
            ("system/*", "sys/", false),
            ("+/mounts", "sys/", true),
            ("+", "sys/", false),
            ("+/*", "sys/", true),
            ("secret/*", "sys/", false),
            ("team/kv/a", "team/kv/", true),
            ("team/*", "team/kv/", true),
            ("team/k*", "team/kv/", true),
            ("team/x*", "team/kv/", false),
            ("team/+/a", "team/kv/", true),
            ("team", "team/kv/", false),
            ("team/kv*", "team/kv/", true),
        ] {
            assert_eq!(reaches(pattern, below), expected, "{pattern} {below}");
        }
    }
}
