//! Session policies: what the grant allows, less what is prohibited, until the lease ends.

use std::collections::{BTreeMap, BTreeSet};

use lanyard_vocabulary::time::Timestamp;

use super::{Condition, Document, Effect, OneOrMany, Statement};
use crate::aws::{ActionPattern, AwsGrant, AwsStatement, Conditions, Kind, iam_beyond};
use crate::pattern::pattern_contains;
use crate::prohibited_actions::ProhibitedActions;
use crate::prohibition::Prohibition;

/// The most characters that AssumeRole takes as inline and managed session policies together.
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
///
/// # Limit
/// - for: a credential of AWS
/// - unit: characters
/// - beyond: the grant or the plan is refused, with the size; nothing is left out of the policy
/// - test: `t32_a_policy_over_the_limit_is_refused_with_its_size`
pub const SESSION_POLICY_LIMIT: usize = 2048;

/// The policy of a session for `grant`, whose plan named these destructive actions.
#[must_use]
pub fn session_document(
    grant: &AwsGrant,
    prohibited: &[Prohibition],
    named: &BTreeSet<ActionPattern>,
    expires: Timestamp,
) -> Document {
    let mut statements: Vec<Statement> = grant.allow.iter().map(allow).collect();
    statements.push(Statement {
        sid: None,
        effect: Effect::Deny,
        action: denied_actions(grant, prohibited, named),
        resource: OneOrMany::one("*"),
        condition: Condition::new(),
    });
    statements.push(time_deny(expires));
    Document::new(statements)
}

/// The largest size of the grant's policy, in characters of [`SESSION_POLICY_LIMIT`].
#[must_use]
pub fn size(grant: &AwsGrant, prohibited: &[Prohibition]) -> usize {
    // A time of four digits' years takes the same wherever it is.
    let document = session_document(grant, prohibited, &BTreeSet::new(), Timestamp::EPOCH);
    serde_json::to_string(&document).map_or(usize::MAX, |text| text.chars().count())
}

fn allow(statement: &AwsStatement) -> Statement {
    let actions = statement.actions.iter().map(|action| action.0.clone());
    let resources = statement
        .resources
        .iter()
        .map(|resource| resource.0.clone());
    Statement {
        sid: None,
        effect: Effect::Allow,
        action: actions.collect(),
        resource: resources.collect(),
        condition: condition(&statement.when),
    }
}

/// Groups conditions by key, so that one of a key's values must match, and every key must.
fn condition(when: &Conditions) -> Condition {
    let mut condition = Condition::new();
    for (key, test) in when.iter() {
        let wild = test.values.iter().any(|value| value.contains(['*', '?']));
        let operator = match test.kind {
            Kind::Text if wild => "StringLike",
            Kind::Text => "StringEquals",
            Kind::Arn => "ArnLike",
            Kind::Truth => "Bool",
            Kind::Address => "IpAddress",
        };
        let of: &mut BTreeMap<_, _> = condition.entry(operator.to_owned()).or_default();
        let values = test.values.iter().cloned().collect();
        of.insert(key.as_str().to_owned(), values);
    }
    condition
}

fn denied_actions(
    grant: &AwsGrant,
    prohibited: &[Prohibition],
    named: &BTreeSet<ActionPattern>,
) -> OneOrMany {
    let prohibited = ProhibitedActions::of(prohibited);
    let unapproved = grant.destructive.difference(named);
    let guard = guard(grant);
    let all: BTreeSet<&str> = guard
        .iter()
        .map(String::as_str)
        .chain(
            prohibited
                .chain(unapproved)
                .chain(&grant.except)
                .map(|action| action.0.as_str()),
        )
        .collect();
    widest(all).into_iter().map(ToOwned::to_owned).collect()
}

/// The actions that no session may take. Role chaining leaves the session policy behind, and rights
/// over IAM undo a revocation (T34). The denial is explicit, because a resource policy that names
/// the session's ARN overrides an implicit one (T33). If the grant reads IAM or passes a role,
/// every other action of IAM is named.
fn guard(grant: &AwsGrant) -> BTreeSet<String> {
    let actions = grant.allow.iter().flat_map(|statement| &statement.actions);
    let given: Vec<ActionPattern> = actions
        .filter(|action| action.lower().starts_with("iam:"))
        .cloned()
        .collect();
    let mut guard = if given.is_empty() {
        BTreeSet::from(["iam:*".to_owned()])
    } else {
        iam_beyond(&given)
    };
    guard.insert("sts:*".to_owned());
    guard
}

/// Removes patterns that another pattern covers. A pattern goes only if the covering one is still
/// there, so that one of two equal patterns stays.
fn widest(patterns: BTreeSet<&str>) -> Vec<&str> {
    let covers = |wide: &str, narrow: &str| {
        pattern_contains(&wide.to_ascii_lowercase(), &narrow.to_ascii_lowercase())
    };
    let mut kept: Vec<&str> = Vec::new();
    for pattern in patterns {
        if !kept.iter().any(|wide| covers(wide, pattern)) {
            kept.retain(|narrow| !covers(pattern, narrow));
            kept.push(pattern);
        }
    }
    kept
}

/// Ends the session with the lease, before the 15 minutes that STS gives at least, without a
/// further call. The time is a literal, because policy variables do not work in date operators.
fn time_deny(expires: Timestamp) -> Statement {
    Statement::deny_all_when(
        "DateGreaterThan",
        "aws:CurrentTime",
        OneOrMany::one(expires.to_string()),
    )
}
