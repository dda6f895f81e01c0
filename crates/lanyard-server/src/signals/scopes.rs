//! The scopes of alerts, which the configuration derives from their labels.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use lanyard_core::charter::Name;
use lanyard_core::document::{Code, Diagnostic, Fields, Findings, Node};
use lanyard_core::scope::{AgentName, Scope};

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

/// Reads `all`, or one field such as `agent: {label: agent}` or `environment: production`.
pub(crate) fn mapped(f: &Findings, node: &Node) -> Option<Mapped> {
    if node.is_text() {
        return f.one_of(node, &[("all", ())]).map(|()| Mapped::All);
    }
    let fields = f.map(node)?;
    let known: [(&'static str, Make); 6] = [
        ("environment", Mapped::Environment),
        ("target", Mapped::Target),
        ("charter", Mapped::Charter),
        ("agent", Mapped::Agent),
        ("task", Mapped::Task),
        ("lease", Mapped::Lease),
    ];
    let mut found = Vec::new();
    for (name, make) in known {
        if let Some(node) = fields.optional(name) {
            found.push((make, name, value(f, node)?, node));
        }
    }
    fields.finish();
    if found.len() != 1 {
        let message =
            "write `all`, or exactly one of environment, target, charter, agent, task, lease";
        f.add(Diagnostic::new(Code::Value, node.span, message.to_owned()));
        return None;
    }
    let (make, name, value, node) = found.pop()?;
    // A name that can be none is found here and not in the night.
    let names = ["environment", "target", "charter"].contains(&name);
    if let (true, Value::Fixed(_)) = (names, &value) {
        f.parsed::<Name>(node)?;
    }
    Some(make(value))
}

fn value(f: &Findings, node: &Node) -> Option<Value> {
    if node.is_text() {
        return f.text(node).map(|text| Value::Fixed(text.to_owned()));
    }
    let fields = f.map(node)?;
    let label = label(f, &fields);
    fields.finish();
    label.map(Value::Label)
}

fn label(f: &Findings, fields: &Fields<'_>) -> Option<String> {
    let text = fields.required("label").and_then(|node| f.text(node));
    text.map(str::to_owned)
}
