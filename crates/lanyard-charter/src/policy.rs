//! IAM policy documents, as far as Lanyard writes them, and session policies.
//!
//! Values are typed and serialized, never pasted into text (T29). `NotAction`, `NotResource` and
//! negated operators do not exist here, because no field can hold them (T31).

mod session;

use std::collections::BTreeMap;

pub use session::{SESSION_POLICY_LIMIT, session_document, size};

use serde::{Deserialize, Serialize};

/// A policy in the current version of the policy language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Document {
    /// The language's version: `2012-10-17`.
    pub version: String,
    /// The statements, at least one.
    pub statement: Vec<Statement>,
}

impl Document {
    /// Makes a policy of these statements.
    #[must_use]
    pub fn new(statement: Vec<Statement>) -> Self {
        Self {
            version: "2012-10-17".to_owned(),
            statement,
        }
    }
}

/// The effect of a statement on a request that it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Allows the request, unless another statement denies it.
    Allow,
    /// Denies the request, whatever allows it.
    Deny,
}

/// A statement of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Statement {
    /// The statement's id, of letters and digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// The effect: allow or deny.
    pub effect: Effect,
    /// The actions, as `service:Action` patterns or `*`.
    pub action: OneOrMany,
    /// The resources, as ARN patterns or `*`.
    pub resource: OneOrMany,
    /// The conditions, all of which must hold.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub condition: Condition,
}

/// Conditions: operator, then key, then values.
pub type Condition = BTreeMap<String, BTreeMap<String, OneOrMany>>;

impl Statement {
    /// A statement that denies everything while `operator` holds between `key` and `values`.
    #[must_use]
    pub fn deny_all_when(operator: &str, key: &str, values: OneOrMany) -> Self {
        let test = BTreeMap::from([(key.to_owned(), values)]);
        Self {
            sid: None,
            effect: Effect::Deny,
            action: OneOrMany::one("*"),
            resource: OneOrMany::one("*"),
            condition: BTreeMap::from([(operator.to_owned(), test)]),
        }
    }

    /// Returns the statement with this id.
    #[must_use]
    pub fn named(mut self, sid: String) -> Self {
        self.sid = Some(sid);
        self
    }
}

/// A value or a list of values. The single form saves two characters of a policy's limited size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// A single value, written `"a"`.
    One(String),
    /// A list, written `["a","b"]`.
    Many(Vec<String>),
}

impl OneOrMany {
    /// Makes a single value.
    #[must_use]
    pub fn one(value: impl Into<String>) -> Self {
        Self::One(value.into())
    }

    /// Returns the values, whichever form holds them.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl FromIterator<String> for OneOrMany {
    fn from_iter<I: IntoIterator<Item = String>>(values: I) -> Self {
        let mut many: Vec<String> = values.into_iter().collect();
        match (many.pop(), many.is_empty()) {
            (Some(only), true) => Self::One(only),
            (Some(last), false) => {
                many.push(last);
                Self::Many(many)
            }
            (None, _) => Self::Many(many),
        }
    }
}
