//! Checks a lease role's setup: the role exists, its trust policy admits the minting principal, and
//! it has the permissions boundary without which the revoking principal would be an administrator.

use serde_json::Value;

use crate::api::RoleFacts;

/// The actions that an `AssumeRole` with a source identity and tags needs.
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
const NEEDED_ACTIONS: [&str; 3] = ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"];

/// Returns the faults of a role's setup, one sentence each.
pub(crate) fn faults(
    arn: &str,
    facts: &RoleFacts,
    minter: &str,
    expected: Option<&str>,
) -> Vec<String> {
    let mut faults = Vec::new();
    match (&facts.boundary, expected) {
        (None, _) => faults.push(format!(
            "role {arn} has no permissions boundary: without one, whoever can write its policies can make it an administrator"
        )),
        (Some(found), Some(expected)) if found != expected => faults.push(format!(
            "role {arn} has the permissions boundary {found}, and {expected} is expected"
        )),
        (Some(_), _) => {}
    }
    let trust: Value = serde_json::from_str(&facts.trust).unwrap_or_default();
    for action in NEEDED_ACTIONS {
        let mut statements = listed(trust.get("Statement"));
        if !statements.any(|statement| allows(statement, action, minter)) {
            faults.push(format!(
                "the trust policy of role {arn} does not allow {action} to {minter}"
            ));
        }
    }
    faults
}

/// Checks whether a trust statement allows `action` to `principal`, under whatever condition.
fn allows(statement: &Value, action: &str, principal: &str) -> bool {
    let allow = statement.get("Effect").and_then(Value::as_str) == Some("Allow");
    let is_action = |text: &str| {
        lanyard_charter::wildcard_matches(&text.to_lowercase(), &action.to_lowercase())
    };
    let mut actions = listed(statement.get("Action")).filter_map(Value::as_str);
    let account = principal.split(':').nth(4).unwrap_or_default();
    let root = format!(":{account}:root");
    let is_principal =
        |text: &str| text == "*" || text == principal || text == account || text.ends_with(&root);
    let named = statement.get("Principal");
    let everybody = named.and_then(Value::as_str) == Some("*");
    let mut principals = listed(named.and_then(|named| named.get("AWS"))).filter_map(Value::as_str);
    allow && actions.any(is_action) && (everybody || principals.any(is_principal))
}

/// The values of a policy field that holds one value or a list.
fn listed(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    let (one, many) = match value {
        Some(Value::Array(many)) => (None, many.as_slice()),
        one => (one, &[][..]),
    };
    one.into_iter().chain(many)
}

/// The IAM principal of a caller's ARN: for a session of a role, the role itself.
pub(crate) fn principal(caller: &str) -> String {
    let parts: Vec<&str> = caller.split(':').collect();
    match parts.as_slice() {
        ["arn", partition, "sts", "", account, session] => {
            let role = session.split('/').nth(1).unwrap_or_default();
            format!("arn:{partition}:iam::{account}:role/{role}")
        }
        _ => caller.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::111122223333:role/lanyard/plan";
    const MINTER: &str = "arn:aws:iam::111122223333:user/minter";
    const DOCUMENTED: &str = include_str!("../../../docs/aws/lease-role-trust.json");

    fn faults_of(trust: &str, boundary: Option<&str>) -> Vec<String> {
        let facts = RoleFacts {
            trust: trust
                .replace("ACCOUNT", "111122223333")
                .replace("MINTER", "minter"),
            boundary: boundary.map(str::to_owned),
        };
        faults(
            ROLE,
            &facts,
            MINTER,
            Some("arn:aws:iam::111122223333:policy/b"),
        )
    }

    #[test]
    fn a_role_as_documented_has_no_fault_and_each_fault_is_named() {
        let boundary = Some("arn:aws:iam::111122223333:policy/b");
        assert_eq!(faults_of(DOCUMENTED, boundary), Vec::<String>::new());
        let cases = [
            (DOCUMENTED.to_owned(), None, "no permissions boundary"),
            (
                DOCUMENTED.to_owned(),
                Some("arn:aws:iam::111122223333:policy/wide"),
                "policy/b is expected",
            ),
            (
                DOCUMENTED.replace("user/MINTER", "user/other"),
                boundary,
                "allow sts:AssumeRole to arn",
            ),
            (
                DOCUMENTED.replace("\"sts:TagSession\"", "\"sts:Other\""),
                boundary,
                "allow sts:TagSession to",
            ),
            (
                DOCUMENTED.replace("Allow", "Deny"),
                boundary,
                "allow sts:SetSourceIdentity to",
            ),
            ("not JSON".to_owned(), boundary, "allow sts:AssumeRole to"),
        ];
        for (trust, boundary, expected) in cases {
            let found = faults_of(&trust, boundary);
            assert!(
                found.iter().any(|line| line.contains(expected)),
                "{expected}: {found:?}"
            );
        }
        let root = DOCUMENTED
            .replace("user/MINTER", "root")
            .replace("sts:TagSession", "sts:*");
        assert_eq!(faults_of(&root, boundary), Vec::<String>::new());
    }

    #[test]
    fn a_session_is_its_role() {
        let session = "arn:aws:sts::111122223333:assumed-role/broker/i-1";
        assert_eq!(principal(session), "arn:aws:iam::111122223333:role/broker");
        assert_eq!(principal(MINTER), MINTER);
    }
}
