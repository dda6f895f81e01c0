//! The scopes of alerts, which the configuration derives from their labels.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use lanyard_document::shape::{Choice, Form, Map, Shape, Word, required};
use lanyard_document::{Code, Item};
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::scope::Scope;

/// The labels of an alert.
pub(crate) type Labels = BTreeMap<String, String>;

/// A scope whose name may come from a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mapped {
    All,
    Environment(Value),
    Target(Value),
    Charter(Value),
    Agent(Value),
    Task(Value),
    Lease(Value),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Fixed(String),
    Label(String),
}

impl Value {
    fn of<'a>(&'a self, labels: &'a Labels) -> Result<&'a str, String> {
        match self {
            Self::Fixed(text) => Ok(text),
            Self::Label(label) => labels
                .get(label)
                .map(String::as_str)
                .ok_or_else(|| format!("the alert has no label `{}`", label.escape_debug())),
        }
    }

    fn parsed<T: FromStr<Err: fmt::Display>>(&self, labels: &Labels) -> Result<T, String> {
        let text = self.of(labels)?;
        text.parse().map_err(|error: T::Err| error.to_string())
    }
}

impl Mapped {
    /// The scope of an alert with these labels.
    pub(crate) fn scope(&self, labels: &Labels) -> Result<Scope, String> {
        Ok(match self {
            Self::All => Scope::All,
            Self::Environment(value) => Scope::Environment(value.parsed(labels)?),
            Self::Target(value) => Scope::Target(value.parsed(labels)?),
            Self::Charter(value) => Scope::Charter(value.parsed(labels)?),
            Self::Agent(value) => match value.of(labels)? {
                "" => return Err("the name of the agent is empty".to_owned()),
                name => Scope::Agent(AgentName(name.to_owned())),
            },
            Self::Task(value) => Scope::Task(value.parsed(labels)?),
            Self::Lease(value) => Scope::Lease(value.parsed(labels)?),
        })
    }
}

/// A constructor of scopes of one kind.
type Make = fn(Value) -> Mapped;

/// The fields of a scope, with the scope that each makes.
const FIELDS: [(&str, &str, Make); 6] = [
    ("environment", "An environment.", Mapped::Environment),
    ("target", "A target.", Mapped::Target),
    ("charter", "A charter.", Mapped::Charter),
    ("agent", "An agent.", Mapped::Agent),
    ("task", "A task.", Mapped::Task),
    ("lease", "A lease.", Mapped::Lease),
];

/// Describes `all`, or a map with one field such as `agent: {label: agent}`.
pub(super) fn shape() -> Shape {
    let value = || {
        let label = "The label of the alert that has the name.";
        let fixed = Form::new("a name", ".");
        Shape::Either(
            fixed,
            Map::new().with(required("label", label, Shape::Text)),
        )
    };
    let ways = FIELDS.map(|(name, meaning, _)| vec![required(name, meaning, value())]);
    let all = Form::new("`all`", "^all$");
    Shape::Either(
        all,
        Map::new().with(Choice::exactly_one(ways).code(Code::Value)),
    )
}

/// Reads `all`, or one field such as `agent: {label: agent}` or `environment: production`.
pub(super) fn mapped(item: Item<'_>) -> Option<Mapped> {
    if item.node.is_text() {
        item.text()?;
        let all = item.f.word(item.node, &[Word::new("all", ())]);
        return all.map(|()| Mapped::All);
    }
    let section = item.section()?;
    let found = FIELDS.map(|(name, _, make)| Some((make, name, section.get(name)?)));
    let (make, name, item) = found.into_iter().flatten().next()?;
    let value = value(item)?;
    // A name that can be none is found here and not in the night.
    let names = ["environment", "target", "charter"].contains(&name);
    if let (true, Value::Fixed(_)) = (names, &value) {
        item.parsed::<Name>()?;
    }
    Some(make(value))
}

fn value(item: Item<'_>) -> Option<Value> {
    if item.node.is_text() {
        return item.text().map(|text| Value::Fixed(text.to_owned()));
    }
    let label = item.section()?.get("label").and_then(Item::text);
    label.map(|label| Value::Label(label.to_owned()))
}
