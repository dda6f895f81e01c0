//! Which records are asked for, by what they are about and what came of them.

use std::collections::BTreeSet;

use lanyard_core::command::Command;
use lanyard_core::decide::{Denial, Rule};
use lanyard_core::references::parties;
use lanyard_vocabulary::time::Timestamp;
use serde_json::Value;

use super::about::About;

/// The terms of a query, besides what the index knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filters {
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
    pub(super) who: Option<String>,
    pub(super) charter: Option<String>,
    pub(super) environment: Option<String>,
    pub(super) ticket: Option<String>,
    pub(super) outcome: Option<String>,
    pub(super) kind: Option<String>,
    /// Set if the records alone are asked for.
    pub(super) bare: bool,
}

impl Filters {
    /// Tells if what a record is about makes no difference.
    pub(super) const fn are_of_the_record_alone(&self) -> bool {
        self.who.is_none()
            && self.charter.is_none()
            && self.environment.is_none()
            && self.ticket.is_none()
            && self.outcome.is_none()
    }

    /// Tells if the time and the kind are as asked for. What cannot be read of a record rules
    /// nothing out.
    pub(super) fn is_met_outside(&self, at: Option<Timestamp>, kind: &str) -> bool {
        let is_since = self
            .since
            .is_none_or(|since| at.is_none_or(|at| at >= since));
        let is_until = self
            .until
            .is_none_or(|until| at.is_none_or(|at| at <= until));
        let is_kind = self.kind.as_ref().is_none_or(|asked| asked == kind);
        is_since && is_until && is_kind
    }

    /// Tells if a record, by what it is about, is asked for.
    pub(super) fn is_met(&self, command: &Command, about: &About) -> bool {
        let is = |asked: &Option<String>, among: &BTreeSet<String>| {
            let among = |asked: &String| about.is_over_everything || among.contains(asked);
            asked.as_ref().is_none_or(among)
        };
        let is_who = self.who.as_ref().is_none_or(|who| {
            let of_tasks = about
                .tasks
                .iter()
                .flat_map(|task| [task.agent.0.clone(), task.identity.to_string()]);
            let mut all = parties(command).into_iter().chain(of_tasks);
            all.any(|name| is_name_of(&name, who))
        });
        let is_outcome = self.outcome.as_ref().is_none_or(|asked| {
            asked == outcome(command) || asked == REFUSED && is_refusal(command)
        });
        let is_ticket = self.ticket.as_ref().is_none_or(|asked| {
            let mut tickets = about.tasks.iter().filter_map(|task| task.ticket.as_ref());
            tickets.any(|ticket| ticket.eq_ignore_ascii_case(asked))
        });
        is_who
            && is_outcome
            && is_ticket
            && is(&self.charter, &about.charters)
            && is(&self.environment, &about.environments)
    }

    /// Tells if a record of a kind that this version does not know may be asked for. Nobody can say
    /// which of its members is the charter, so a text of it that says what was asked for is enough:
    /// a record too many is read, one too few is lost.
    pub(super) fn may_be_met(&self, bytes: &[u8]) -> bool {
        let record = document(bytes);
        let mut texts = Vec::new();
        collect(record.get("command"), &mut texts);
        let is = |asked: &Option<String>| {
            asked
                .as_deref()
                .is_none_or(|asked| texts.iter().any(|text| text.eq_ignore_ascii_case(asked)))
        };
        let is_who = self.who.as_deref().is_none_or(|who| {
            let is_one = |who: &str| texts.iter().any(|text| is_name_of(text, who));
            let parts = who.split_once('#');
            is_one(who) || parts.is_some_and(|(issuer, subject)| is_one(issuer) && is_one(subject))
        });
        let is_outcome = self.outcome.as_deref().is_none_or(|asked| asked == OTHER);
        is_who && is_outcome && is(&self.charter) && is(&self.environment) && is(&self.ticket)
    }
}

/// Tells if a record of a kind that this version does not know has this text in it.
pub(super) fn may_name(bytes: &[u8], asked: &str) -> bool {
    let record = document(bytes);
    let mut texts = Vec::new();
    collect(record.get("command"), &mut texts);
    texts.contains(&asked)
}

fn document(bytes: &[u8]) -> Value {
    serde_json::from_str(&lanyard_records::json(bytes)).unwrap_or_default()
}

/// The texts of a document.
fn collect<'a>(value: Option<&'a Value>, texts: &mut Vec<&'a str>) {
    match value {
        Some(Value::String(text)) => texts.push(text),
        Some(Value::Array(all)) => all.iter().for_each(|one| collect(Some(one), texts)),
        Some(Value::Object(all)) => all.values().for_each(|one| collect(Some(one), texts)),
        Some(Value::Null | Value::Bool(_) | Value::Number(_)) | None => {}
    }
}

/// The outcome of most records: no answer to anybody.
const OTHER: &str = "other";

/// A refusal: what the charter allows is held up. One by a kill order or a pause is `stopped`, and
/// is found by this, too.
const REFUSED: &str = "refused";

/// The outcomes that can be asked for.
pub(super) const OUTCOMES: [&str; 7] = [
    "allowed", "denied", REFUSED, "approved", "stopped", "failed", OTHER,
];

/// Tells if somebody goes by this name, or by the end of it behind a separator. A name holds its
/// issuer, so that a name with an issuer is nobody's of another one.
pub(super) fn is_name_of(name: &str, asked: &str) -> bool {
    let before = name.strip_suffix(asked);
    before.is_some_and(|before| before.is_empty() || before.ends_with([':', '/', '#']))
}

/// In one word, what came of it for whoever asked.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "most of what happens is no answer to anybody"
)]
pub(super) fn outcome(command: &Command) -> &'static str {
    match command {
        Command::OpenTask { .. } | Command::BeginMint(_) => "allowed",
        Command::Deny {
            denial: Denial { rule, .. },
            ..
        }
        | Command::DenialsSuppressed { rule, .. }
            if matches!(rule, Rule::Kill | Rule::Pause | Rule::Breakers) =>
        {
            "stopped"
        }
        command if is_refusal(command) => REFUSED,
        Command::Deny { .. } | Command::DenialsSuppressed { .. } | Command::Reject { .. } => {
            "denied"
        }
        Command::Approve { .. } => "approved",
        Command::Kill(_) | Command::Pause(_) => "stopped",
        Command::Stop { cause, .. } if cause.kill().is_some() => "stopped",
        Command::Drill(drill) if !drill.outcome.is_passed() => "failed",
        Command::Report(report) if report.outcome == lanyard_core::action::Outcome::Failed => {
            "failed"
        }
        _ => OTHER,
    }
}

/// True if what the charter allows was held up.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all that happens, this can be a refusal"
)]
fn is_refusal(command: &Command) -> bool {
    match command {
        Command::Deny {
            denial: Denial { rule, .. },
            ..
        }
        | Command::DenialsSuppressed { rule, .. } => rule.is_refusal(),
        _ => false,
    }
}

/// The class of a denial or a refusal.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all that happens, this is a denial"
)]
pub(super) fn reason_code(command: &Command) -> Option<String> {
    match command {
        Command::Deny { denial, .. } => Some(denial.code().to_string()),
        Command::DenialsSuppressed { rule, .. } => Some(rule.code().to_string()),
        _ => None,
    }
}
