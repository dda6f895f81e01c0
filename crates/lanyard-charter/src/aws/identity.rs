//! The IAM actions that a session may have: reading, and passing one named role to one named
//! service.

use std::collections::BTreeSet;

use super::{ActionPattern, AwsGrant, AwsStatement, matched};

/// The action that passes a role, in lower case.
const PASS_ROLE: &str = "iam:passrole";
/// The condition without which a passed role is usable by every service that takes roles.
const PASSED_TO: &str = "iam:PassedToService";

/// Says why a statement may not have this action on identities; `None` if it may, or if the action
/// is unknown.
#[must_use]
pub fn identity_refused(
    action: &ActionPattern,
    statement: &AwsStatement,
    grant: &AwsGrant,
) -> Option<String> {
    let lower = action.lower();
    if lower.starts_with("sts:") {
        return Some("a session of another role has none of these bounds".to_owned());
    }
    if !lower.starts_with("iam:") {
        return None;
    }
    if lower == PASS_ROLE {
        return passed(statement);
    }
    let held = matched(&lower);
    let mut held = held
        .iter()
        .filter(|action| !grant.denies(action))
        .peekable();
    if held.peek().is_none() {
        return Some("AWS lists no such action".to_owned());
    }
    held.find_map(|action| {
        let why = action.beyond(&statement.when)?;
        Some(format!("{action} is more than a look: {why}"))
    })
}

/// Checks that a role is passed by name, to named services, and by a statement of its own.
fn passed(statement: &AwsStatement) -> Option<String> {
    let alone = statement.actions.len() == 1;
    let named = |arn: &str| arn.contains(":role/") && !arn.contains(['*', '?']);
    let services = statement.when.on(PASSED_TO);
    let written = services.is_some_and(|test| {
        let mut values = test.values.iter();
        values.all(|value| !value.contains(['*', '?']))
    });
    if !alone {
        return Some("it takes a statement of its own".to_owned());
    }
    if !statement
        .resources
        .iter()
        .all(|resource| named(&resource.0))
    {
        return Some("each role that may be passed has to be named in full".to_owned());
    }
    (!written)
        .then(|| format!("a condition on {PASSED_TO} has to name the services that get the role"))
}

/// Patterns that match every IAM action but the given ones. A session with a few rights over IAM
/// denies them explicitly.
#[must_use]
pub fn iam_beyond(given: &[ActionPattern]) -> BTreeSet<String> {
    let kept = |name: &str| given.iter().any(|pattern| pattern.matches(name));
    let (kept, denied): (Vec<String>, Vec<String>) = matched("iam:*")
        .iter()
        .map(ToString::to_string)
        .partition(|name| kept(name));
    let lower: Vec<String> = kept.iter().map(|name| name.to_ascii_lowercase()).collect();
    denied
        .iter()
        .map(|name| {
            // The shortest beginning that nothing which is given has, behind `iam:`.
            let mut ends = ("iam:".len() + 1)..=name.len();
            let end = ends.find(|end| {
                let begin = name.get(..*end).unwrap_or(name).to_ascii_lowercase();
                !lower.iter().any(|kept| kept.starts_with(&begin))
            });
            end.and_then(|end| name.get(..end))
                .map_or_else(|| name.clone(), |begin| format!("{begin}*"))
        })
        .collect()
}
