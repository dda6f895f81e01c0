//! The session policy of one lease: what the grant allows, less what is prohibited, until the lease ends.

use std::collections::BTreeSet;

use lanyard_core::charter::{
    ActionPattern, AwsGrant, AwsStatement, Prohibited, Prohibition, pattern_contains,
};
use lanyard_core::provider::{MintRequest, PrepareError};
use lanyard_core::time::Timestamp;

use super::document::{Document, Effect, OneOrMany, Statement};
use crate::PROVIDER;

/// The most characters that AssumeRole takes as inline and managed session policies together.
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
///
/// # Limit
/// - for: a credential of AWS
/// - unit: characters
/// - beyond: the grant or the plan is refused, with the size; nothing is left out of the policy
/// - test: `t32_a_policy_over_the_limit_is_refused_with_its_size`
pub const SESSION_POLICY_LIMIT: usize = 2048;

/// Never in a session. Chaining into another role leaves the session policy behind, and rights over IAM
/// undo a revocation (T34). Explicit, since a resource policy that names the session ARN passes by an
/// implicit deny (T33).
const GUARD: [&str; 2] = ["iam:*", "sts:*"];

/// The policy that goes with this request for `grant`, as compact JSON.
///
/// # Errors
/// When the grant holds what this version does not give (rule 10), a value that could reach beyond itself
/// (T30), or more than STS takes (T32). Nothing is ever left out to make it fit.
pub fn session_policy(grant: &AwsGrant, request: &MintRequest) -> Result<String, PrepareError> {
    grant.allow.iter().try_for_each(check)?;
    let mut statements: Vec<Statement> = grant.allow.iter().map(allow).collect();
    statements.push(Statement {
        sid: None,
        effect: Effect::Deny,
        action: denied_actions(grant, request),
        resource: OneOrMany::one("*"),
        condition: super::document::Condition::new(),
    });
    statements.push(time_deny(request.expires));
    let document = Document::new(statements);
    let text = serde_json::to_string(&document)
        .map_err(|_| PrepareError::Unsupported("the session policy cannot be written".into()))?;
    within_limit(text)
}

fn within_limit(text: String) -> Result<String, PrepareError> {
    let size = text.chars().count();
    if size > SESSION_POLICY_LIMIT {
        return Err(PrepareError::TooLarge {
            provider: PROVIDER,
            what: "session policy",
            size,
            limit: SESSION_POLICY_LIMIT,
        });
    }
    Ok(text)
}

/// A charter that parsed passes. The checks stand here as well, since what passes here is a right.
fn check(statement: &AwsStatement) -> Result<(), PrepareError> {
    let refuse = |what: &str, value: &str, why: &str| {
        let value = value.escape_debug();
        Err(PrepareError::Unsupported(format!("{what} `{value}` {why}")))
    };
    for ActionPattern(action) in &statement.actions {
        let Some((service, name)) = action.split_once(':') else {
            return refuse("action", action, "is not service:Action");
        };
        let letters = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if service.is_empty() || name.is_empty() || !letters(service) {
            return refuse("action", action, "does not spell out its service");
        }
        if !name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'*' || b == b'?')
        {
            return refuse("action", action, "holds a character that no action has");
        }
        if ["iam", "sts"]
            .iter()
            .any(|guarded| service.eq_ignore_ascii_case(guarded))
        {
            return refuse(
                "action",
                action,
                "is never given: no session holds iam or sts rights",
            );
        }
    }
    for resource in &statement.resources {
        let text = resource.0.as_str();
        if text.contains("${") {
            return refuse("resource", text, "holds a policy variable");
        }
        // The characters that AssumeRole takes in a policy, less the control characters.
        if !text
            .chars()
            .all(|c| (' '..='\u{ff}').contains(&c) && !c.is_control())
        {
            return refuse("resource", text, "holds a character that STS does not take");
        }
    }
    Ok(())
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
        condition: super::document::Condition::new(),
    }
}

fn denied_actions(grant: &AwsGrant, request: &MintRequest) -> OneOrMany {
    let prohibited = request.prohibited.iter().flat_map(aws_actions);
    let unapproved = grant.destructive.difference(&request.destructive);
    let all: BTreeSet<&str> = GUARD
        .into_iter()
        .chain(prohibited.chain(unapproved).map(|action| action.0.as_str()))
        .collect();
    widest(all).into_iter().map(ToOwned::to_owned).collect()
}

/// Without the patterns that another one covers. A pattern goes only for one that is kept at that moment,
/// so that of two that cover each other one stays.
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

fn aws_actions(prohibition: &Prohibition) -> &[ActionPattern] {
    match &prohibition.what {
        Prohibited::Aws(actions) => actions,
        Prohibited::Kubernetes(_) => &[],
    }
}

/// Ends the session with the lease, below the 15 minutes that STS gives at least, with no later call.
/// The literal goes in: policy variables do not work in date operators.
fn time_deny(expires: Timestamp) -> Statement {
    Statement::deny_all_when(
        "DateGreaterThan",
        "aws:CurrentTime",
        OneOrMany::one(expires.to_string()),
    )
}
