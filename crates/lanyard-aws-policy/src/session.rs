//! The session policy of one lease, which AWS STS attaches to the session.

use lanyard_charter::policy::{SESSION_POLICY_LIMIT, session_document};
use lanyard_charter::{
    ActionPattern, AwsGrant, AwsStatement, ConditionKey, Conditions, identity_refused,
};
use lanyard_core::provider::{MintRequest, PrepareError};

use crate::PROVIDER;

/// Renders the session policy of `request` under `grant`, as compact JSON.
///
/// # Errors
/// When the grant holds something that this version cannot render (rule 10), a value that could
/// reach beyond itself (T30), or more than STS accepts (T32). Nothing is ever left out to make the
/// policy fit.
pub fn session_policy(grant: &AwsGrant, request: &MintRequest) -> Result<String, PrepareError> {
    for statement in &grant.allow {
        check(statement, grant)?;
    }
    let (prohibited, named) = (&request.prohibited, &request.destructive);
    let document = session_document(grant, prohibited, named, request.expires);
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

fn refuse(what: &str, value: &str, why: &str) -> Result<(), PrepareError> {
    let value = value.escape_debug();
    Err(PrepareError::Unsupported(format!("{what} `{value}` {why}")))
}

/// Checks a statement again before it is rendered. A parsed charter passes; the checks are repeated
/// because whatever passes here becomes a right.
fn check(statement: &AwsStatement, grant: &AwsGrant) -> Result<(), PrepareError> {
    for pattern in &statement.actions {
        let ActionPattern(action) = pattern;
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
        if let Some(why) = identity_refused(pattern, statement, grant) {
            return refuse("action", action, &format!("is never given: {why}"));
        }
    }
    for resource in &statement.resources {
        let text = resource.0.as_str();
        if text.contains("${") {
            return refuse("resource", text, "holds a policy variable");
        }
        // The characters that `AssumeRole` accepts in a policy, without the control characters.
        if !text
            .chars()
            .all(|c| (' '..='\u{ff}').contains(&c) && !c.is_control())
        {
            return refuse("resource", text, "holds a character that STS does not take");
        }
    }
    check_conditions(&statement.when)
}

fn check_conditions(when: &Conditions) -> Result<(), PrepareError> {
    for (key, test) in when.iter() {
        if let Err(why) = ConditionKey::parse(key.as_str()) {
            return refuse("condition", key.as_str(), &why);
        }
        for value in &test.values {
            if let Err(why) = test.kind.check(value) {
                return refuse("condition", value, why);
            }
        }
    }
    Ok(())
}
