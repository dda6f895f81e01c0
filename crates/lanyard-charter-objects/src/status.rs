//! The status of an object: whether its charter is in force, and why.

use lanyard_vocabulary::revision::Revision;
use serde_json::{Value, json};

use crate::finding::Finding;
use crate::object::Origin;

/// Number of findings that a status lists; all of them are counted.
const SHOWN_FINDINGS: usize = 20;
/// The longest message of a condition and of a finding, in characters.
const MESSAGE_CHARACTERS: usize = 2000;

/// The reason of the condition `InForce`, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The charter is in force.
    Accepted,
    /// Lint found errors in the charter.
    Refused,
    /// The charter exceeds the limits of its namespace.
    BeyondBounds,
    /// Another charter owns the name.
    NameTaken,
    /// A policy is missing, or has another digest.
    PolicyUnusable,
    /// The journal or the disk did not accept the change.
    NotRecorded,
    /// The charters of the namespace change too often.
    TooManyChanges,
}

impl Reason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Refused => "Refused",
            Self::BeyondBounds => "BeyondBounds",
            Self::NameTaken => "NameTaken",
            Self::PolicyUnusable => "PolicyUnusable",
            Self::NotRecorded => "NotRecorded",
            Self::TooManyChanges => "TooManyChanges",
        }
    }
}

/// The verdict about one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The object that the verdict is about.
    pub origin: Origin,
    /// Generation of the object that was judged.
    pub generation: i64,
    /// The reason, in one word.
    pub reason: Reason,
    /// The reason in a sentence; the findings replace it where there are any.
    pub message: String,
    /// Revision of the charter, where it could be parsed.
    pub revision: Option<Revision>,
    /// Findings of lint, warnings included.
    pub findings: Vec<Finding>,
}

impl Verdict {
    /// Renders the status. An unchanged condition keeps its transition time. `None` if the object's
    /// present status is equal.
    pub(crate) fn status(&self, now: &str, there: &Value) -> Option<Value> {
        let is_in_force = if self.reason == Reason::Accepted {
            "True"
        } else {
            "False"
        };
        let condition = there.get("conditions").and_then(Value::as_array);
        let mut conditions = condition.into_iter().flatten();
        let condition = conditions.find(|it| it.get("type") == Some(&"InForce".into()));
        let since = condition
            .filter(|it| it.get("status") == Some(&is_in_force.into()))
            .and_then(|it| it.get("lastTransitionTime"))
            .and_then(Value::as_str);
        let revision = self.revision.as_ref();
        let status = json!({
            "observedGeneration": self.generation,
            "revision": revision.map(Revision::as_str),
            "shortRevision": revision.map(Revision::short),
            "findingCount": self.findings.len(),
            "findings": self.findings.iter().take(SHOWN_FINDINGS).map(shown).collect::<Vec<_>>(),
            "conditions": [{
                "type": "InForce",
                "status": is_in_force,
                "reason": self.reason.as_str(),
                "message": self.sentence(),
                "observedGeneration": self.generation,
                "lastTransitionTime": since.unwrap_or(now),
            }],
        });
        (!says_the_same(&status, there)).then_some(status)
    }

    fn sentence(&self) -> String {
        let errors = self.findings.iter().filter(|finding| finding.is_error());
        let lines: Vec<String> = errors.map(ToString::to_string).collect();
        cut(&if lines.is_empty() {
            self.message.clone()
        } else {
            lines.join("\n")
        })
    }
}

/// Compares two statuses; a null field equals an absent one, since the API server drops nulls.
fn says_the_same(status: &Value, there: &Value) -> bool {
    let Value::Object(fields) = status else {
        return false;
    };
    let null = Value::Null;
    let mut fields = fields.iter();
    fields.all(|(name, value)| there.get(name).unwrap_or(&null) == value)
}

fn shown(finding: &Finding) -> Value {
    json!({
        "code": finding.code.id(),
        "severity": finding.code.severity().to_string(),
        "path": finding.path,
        "message": cut(&finding.message),
    })
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_CHARACTERS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use lanyard_document::Code;

    use super::*;

    fn verdict(reason: Reason, findings: usize) -> Verdict {
        let finding = Finding {
            code: Code::Undeclared,
            path: "spec.grants[0]".to_owned(),
            message: "x".repeat(3000),
        };
        Verdict {
            origin: Origin {
                namespace: "n".to_owned(),
                name: "a".to_owned(),
                uid: "u".to_owned(),
            },
            generation: 4,
            reason,
            message: "it is in force".to_owned(),
            revision: (reason == Reason::Accepted).then(|| Revision::of(b"x")),
            findings: vec![finding; findings],
        }
    }

    #[test]
    fn a_status_is_written_on_change_and_keeps_its_transition_time() {
        let good = verdict(Reason::Accepted, 0);
        let first = good.status("t1", &Value::Null).unwrap();
        assert_eq!(good.status("t2", &first), None);
        let condition = |status: &Value, part: &str| status["conditions"][0][part].clone();
        assert_eq!(condition(&first, "status"), "True");
        assert_eq!(first["shortRevision"].as_str().unwrap().len(), 12);
        let later = Verdict {
            generation: 5,
            ..good
        };
        let second = later.status("t2", &first).unwrap();
        assert_eq!(condition(&second, "lastTransitionTime"), "t1");
        let bad = verdict(Reason::Refused, 1);
        let third = bad.status("t3", &second).unwrap();
        assert_eq!(condition(&third, "lastTransitionTime"), "t3");
        assert_eq!(condition(&third, "reason"), "Refused");
        // The API server drops null fields from what it returns.
        let mut stored = third;
        let fields = stored.as_object_mut().unwrap();
        fields.retain(|_, value| !value.is_null());
        assert_eq!(bad.status("t4", &stored), None);
        // A foreign change to the status is overwritten.
        fields_of(&mut stored).insert("findingCount".to_owned(), 0.into());
        assert!(bad.status("t4", &stored).is_some());
    }

    fn fields_of(status: &mut Value) -> &mut serde_json::Map<String, Value> {
        status.as_object_mut().unwrap()
    }

    #[test]
    fn a_status_has_a_largest_size() {
        let status = verdict(Reason::Refused, 200)
            .status("t", &Value::Null)
            .unwrap();
        assert_eq!(status["findingCount"], 200);
        assert_eq!(status["findings"].as_array().unwrap().len(), SHOWN_FINDINGS);
        assert!(status.to_string().len() < 64 * 1024);
    }
}
