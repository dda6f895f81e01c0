//! Scopes as callers name them.

use lanyard_proto::v1;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::scope::Scope;
use serde::Deserialize;
use serde_json::Value;

use crate::fields::{parsed, text};
use crate::refusal;
use crate::refused::Refused;

/// The scope of a call.
pub(crate) fn scope(scope: Option<v1::Scope>) -> Result<Scope, Refused> {
    use v1::scope::Kind;
    let asked = match scope.and_then(|scope| scope.kind) {
        Some(Kind::All(true)) => AskedScope::All,
        Some(Kind::All(false)) | None => return Err(refusal::invalid("scope", "must be given")),
        Some(Kind::Environment(name)) => AskedScope::Environment(name),
        Some(Kind::Target(name)) => AskedScope::Target(name),
        Some(Kind::Charter(name)) => AskedScope::Charter(name),
        Some(Kind::Agent(name)) => AskedScope::Agent(name),
        Some(Kind::TaskId(id)) => AskedScope::Task(id),
        Some(Kind::LeaseId(id)) => AskedScope::Lease(id),
    };
    asked.scope()
}

/// A scope as somebody in a hurry writes it: whatever names have no capitals and no spaces, and can
/// mean one thing alone.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Value")]
pub(crate) enum AskedScope {
    All,
    Environment(String),
    Target(String),
    Charter(String),
    Agent(String),
    Task(String),
    Lease(String),
}

/// A scope of one kind.
type Make = fn(String) -> AskedScope;

/// The message about a scope in JSON that is none.
const FORM: &str = "`scope` has to be \"all\", or an object with one of environment, target, charter, agent, task and lease, as \
                    {\"scope\":{\"agent\":\"NAME\"},\"reason\":\"WHY\"}";

impl TryFrom<Value> for AskedScope {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let wrong = |what: String| format!("{FORM}; {what}");
        let fields = match value {
            Value::String(all) if all.trim().eq_ignore_ascii_case("all") => return Ok(Self::All),
            Value::String(text) => {
                return Err(wrong(format!(
                    "this one is the text `{}`",
                    text.escape_debug()
                )));
            }
            Value::Object(fields) => fields,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                return Err(wrong("this one is neither".to_owned()));
            }
        };
        let mut fields = fields.into_iter();
        let (Some((kind, name)), None) = (fields.next(), fields.next()) else {
            return Err(wrong("this object has none or several".to_owned()));
        };
        let kinds: [(&str, Make); 6] = [
            ("environment", Self::Environment),
            ("target", Self::Target),
            ("charter", Self::Charter),
            ("agent", Self::Agent),
            ("task", Self::Task),
            ("lease", Self::Lease),
        ];
        let of_kind = kinds.into_iter().find(|(known, _)| *known == kind);
        match (of_kind, name) {
            (Some((_, of)), Value::String(name)) => Ok(of(name)),
            (Some(_), _) => Err(wrong(format!("the name behind `{kind}` has to be a text"))),
            (None, _) => Err(wrong(format!("this one has `{}`", kind.escape_debug()))),
        }
    }
}

impl AskedScope {
    pub(crate) fn scope(self) -> Result<Scope, Refused> {
        let name = |field: &str, name: &str| parsed(field, &name.trim().to_ascii_lowercase());
        Ok(match self {
            Self::All => Scope::All,
            Self::Environment(asked) => Scope::Environment(name("scope.environment", &asked)?),
            Self::Target(asked) => Scope::Target(name("scope.target", &asked)?),
            Self::Charter(asked) => Scope::Charter(name("scope.charter", &asked)?),
            Self::Agent(asked) => {
                let asked = text("scope.agent", asked)?;
                Scope::Agent(AgentName(asked.trim().to_owned()))
            }
            Self::Task(id) => Scope::Task(parsed("scope.task_id", id.trim())?),
            Self::Lease(id) => Scope::Lease(parsed("scope.lease_id", id.trim())?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Scope, String> {
        let asked: Result<AskedScope, _> = serde_json::from_str(body);
        let scope = asked.map_err(|error| error.to_string())?.scope();
        scope.map_err(|status| status.message.to_owned())
    }

    #[test]
    fn u01_a_scope_in_json_is_taken_or_its_form_is_told() {
        assert_eq!(read("\"all\""), Ok(Scope::All));
        assert_eq!(read("\" ALL \""), Ok(Scope::All));
        let agent = Scope::Agent(AgentName("router".to_owned()));
        assert_eq!(read("{\"agent\": \" router \"}"), Ok(agent));
        assert!(read("{\"charter\": \"Shop \"}").is_ok());
        for wrong in [
            "\"agent:router\"",
            "\"everything\"",
            "{\"agents\": \"router\"}",
            "{\"all\": true}",
            "{\"agent\": [\"router\"]}",
            "{\"agent\": \"a\", \"charter\": \"b\"}",
            "{}",
            "null",
            "7",
        ] {
            let said = read(wrong).unwrap_err();
            assert!(
                said.contains("{\"scope\":{\"agent\":\"NAME\"}"),
                "{wrong}: {said}"
            );
        }
        assert!(
            read("{\"charter\": \"a b\"}")
                .unwrap_err()
                .contains("charter")
        );
    }
}
