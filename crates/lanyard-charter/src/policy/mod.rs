//! An IAM policy document, as far as Lanyard writes one, and the one that goes with a session.
//!
//! Values are typed and serialised, never pasted into a text (T29). There is no `NotAction`,
//! `NotResource` or negated operator, because there is no field for one (T31).

mod session;

use std::collections::BTreeMap;

pub use session::{SESSION_POLICY_LIMIT, session_document, size};

use serde::{Deserialize, Serialize};

/// A policy in the only version of the language that has not been superseded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Document {
    /// `2012-10-17`.
    pub version: String,
    /// At least one.
    pub statement: Vec<Statement>,
}

impl Document {
    /// A policy of these statements.
    #[must_use]
    pub fn new(statement: Vec<Statement>) -> Self {
        Self {
            version: "2012-10-17".to_owned(),
            statement,
        }
    }
}

/// What a statement does with a request that it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Grants it, unless something denies it.
    Allow,
    /// Refuses it, whatever allows it.
    Deny,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Statement {
    /// Letters and digits only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// Allow or Deny.
    pub effect: Effect,
    /// `service:Action` patterns, or `*`.
    pub action: OneOrMany,
    /// ARN patterns, or `*`.
    pub resource: OneOrMany,
    /// Operator, then key, then values; all of them must hold.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub condition: Condition,
}

/// Operator, then key, then values.
pub type Condition = BTreeMap<String, BTreeMap<String, OneOrMany>>;

impl Statement {
    /// Denies everything while `operator` holds between `key` and `values`.
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

    /// The same statement with this id.
    #[must_use]
    pub fn named(mut self, sid: String) -> Self {
        self.sid = Some(sid);
        self
    }
}

/// A value, or a list of them: the single form saves two characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// `"a"`.
    One(String),
    /// `["a","b"]`.
    Many(Vec<String>),
}

impl OneOrMany {
    /// This one value.
    #[must_use]
    pub fn one(value: impl Into<String>) -> Self {
        Self::One(value.into())
    }

    /// Each value.
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
