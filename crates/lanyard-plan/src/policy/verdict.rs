//! Collects the results of rules into a judgement.

use std::collections::BTreeSet;

use lanyard_charter::plan::Risk;
use lanyard_charter::requirement::persons;
use lanyard_core::plan::Judgement;
use lanyard_vocabulary::digest::Digest;
use serde::Deserialize;
use serde_json::Value;

use super::Kind;
use crate::review::Finding;
use crate::secrets::Secrets;
use crate::shown::line;

/// Findings of one kind that a judgement lists.
///
/// # Limit
/// - for: findings of one kind about a plan
/// - unit: findings
/// - beyond: the rest is counted, in one line; a denial denies all the same
/// - test: `what_policies_say_has_bounds`
const MAX_FINDINGS: usize = 50;
/// People that a policy may ask for.
///
/// # Limit
/// - for: a policy
/// - unit: people
/// - beyond: the plan is denied: the policy cannot be evaluated
/// - test: `what_policies_say_has_bounds`
const MAX_PEOPLE_OF_POLICY: u32 = 20;

/// The results of the rules so far.
#[derive(Debug)]
pub(super) struct Verdict<'a> {
    /// Values to mask in messages, whatever a rule puts into them.
    secrets: &'a Secrets,
    denied: BTreeSet<String>,
    warned: BTreeSet<String>,
    pub(super) risks: BTreeSet<(Risk, String)>,
    people: u32,
    groups: BTreeSet<String>,
    /// Requests for approvers: the message, and who is asked.
    asks: BTreeSet<(String, String)>,
}

impl<'a> Verdict<'a> {
    pub(super) const fn of(secrets: &'a Secrets) -> Self {
        Self {
            secrets,
            denied: BTreeSet::new(),
            warned: BTreeSet::new(),
            risks: BTreeSet::new(),
            people: 0,
            groups: BTreeSet::new(),
            asks: BTreeSet::new(),
        }
    }

    /// Makes one line without secrets. Masking comes first, because a cut secret would no longer be
    /// recognised.
    fn line(&self, text: &str) -> String {
        line(&self.secrets.name(text))
    }

    pub(super) fn fails(&mut self, what: &str, why: &str) {
        let sentence = why
            .lines()
            .find_map(|line| line.trim().strip_prefix("error: "));
        let why = sentence.unwrap_or(why);
        self.denied
            .insert(self.line(&format!("{what} cannot be evaluated: {why}")));
    }

    pub(super) fn take(&mut self, rule: &str, kind: Kind, value: &regorus::Value) {
        let Ok(value) = value
            .to_json_str()
            .and_then(|text| Ok(serde_json::from_str::<Value>(&text)?))
        else {
            // An undefined rule has no result.
            if !matches!(value, regorus::Value::Undefined) {
                self.fails(rule, "its value is no JSON");
            }
            return;
        };
        let items = match value {
            Value::Array(items) => items,
            Value::Bool(false) => return,
            Value::Bool(true) => vec![Value::String(format!("{rule} holds"))],
            Value::Null | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                let found = value.to_string();
                return self.fails(rule, &format!("expected a set of messages, found {found}"));
            }
        };
        for item in items {
            self.item(rule, kind, &item);
        }
    }

    /// Adds a finding about the plan's form.
    pub(super) fn find(&mut self, finding: &Finding) {
        self.risks.insert((finding.risk, finding.message.clone()));
        if finding.people > 0 {
            self.people = self.people.max(finding.people);
            let who = persons(finding.people);
            self.asks.insert((finding.message.clone(), who));
        }
    }

    fn item(&mut self, rule: &str, kind: Kind, item: &Value) {
        let message = self.message(item);
        match kind {
            Kind::Deny => drop(self.denied.insert(message)),
            Kind::Warn => drop(self.warned.insert(message)),
            Kind::Risk => match item.get("level").map(Risk::deserialize) {
                Some(Ok(level)) => drop(self.risks.insert((level, message))),
                Some(Err(_)) | None => {
                    self.fails(rule, "each of its items needs a level: low, medium or high");
                }
            },
            Kind::Approval => self.approval(rule, item),
        }
    }

    fn approval(&mut self, rule: &str, item: &Value) {
        let people = item.get("people").map(Value::as_u64);
        let group = item.get("group").map(Value::as_str);
        let count = match people {
            None => 0,
            Some(count) => match count.and_then(|count| u32::try_from(count).ok()) {
                Some(count @ 1..=MAX_PEOPLE_OF_POLICY) => count,
                _ => return self.fails(rule, "people is a number from 1 to 20"),
            },
        };
        match group {
            Some(Some(group)) if !group.is_empty() => drop(self.groups.insert(group.to_owned())),
            Some(_) => return self.fails(rule, "group is the name of a group"),
            None if people.is_none() => {
                return self.fails(rule, "each of its items needs people or a group");
            }
            None => {}
        }
        self.people = self.people.max(count);
        let who = match (group, count) {
            (Some(Some(group)), 0) => format!("somebody of {group}"),
            (Some(Some(group)), _) => format!("{}, one of {group}", persons(count)),
            _ => persons(count),
        };
        self.asks.insert((self.message(item), who));
    }

    /// Returns the message of an item: a string, or the `msg` of an object, as in conftest.
    fn message(&self, item: &Value) -> String {
        let text = item
            .as_str()
            .or_else(|| item.get("msg").and_then(Value::as_str));
        text.map_or_else(|| self.line(&item.to_string()), |text| self.line(text))
    }

    pub(super) fn judgement(self, policies: Digest) -> Judgement {
        let most = |messages: BTreeSet<String>| first(messages.into_iter().collect());
        let risk = self.risks.last().map_or(Risk::Low, |(risk, _)| *risk);
        let reasons = self.risks.into_iter().rev();
        let reasons: Vec<(Risk, String)> = reasons.collect();
        // A risk reason is not repeated as the reason for asking people.
        let known = |message: &String| reasons.iter().any(|(_, reason)| reason == message);
        let asks = self.asks.iter().filter(|(message, _)| !known(message));
        let asks = asks.map(|(message, who)| format!("asks for {who}: {message}"));
        let asks: Vec<String> = asks.collect();
        let reasons: Vec<String> = reasons
            .into_iter()
            .filter(|(_, message)| !message.is_empty())
            .map(|(risk, message)| format!("{risk}: {message}"))
            .chain(asks)
            .collect();
        Judgement {
            policies,
            denied: most(self.denied),
            warned: most(self.warned),
            risk,
            reasons: first(reasons),
            people: self.people,
            groups: self.groups,
        }
    }
}

/// Keeps the first messages and adds the number of the others.
fn first(mut messages: Vec<String>) -> Vec<String> {
    let more = messages.len().saturating_sub(MAX_FINDINGS);
    if more > 0 {
        messages.truncate(MAX_FINDINGS);
        messages.push(format!("and {more} more"));
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_policies_say_has_bounds() {
        let secrets = Secrets::default();
        let mut said = Verdict::of(&secrets);
        for place in 0..=MAX_FINDINGS {
            said.item("deny", Kind::Deny, &Value::from(format!("no {place}")));
        }
        let judgement = said.judgement(Digest::of(b""));
        assert_eq!(judgement.denied.len(), MAX_FINDINGS + 1);
        assert_eq!(judgement.denied.last().unwrap(), "and 1 more");
        let asks = |people: u32| {
            let mut said = Verdict::of(&secrets);
            let item = serde_json::json!({"msg": "more people", "people": people});
            said.item("approval", Kind::Approval, &item);
            said.judgement(Digest::of(b""))
        };
        assert_eq!(asks(MAX_PEOPLE_OF_POLICY).people, MAX_PEOPLE_OF_POLICY);
        assert!(!asks(MAX_PEOPLE_OF_POLICY + 1).denied.is_empty());
    }
}
