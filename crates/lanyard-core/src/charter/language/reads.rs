//! Which AWS actions only read. An action that is not known to read is taken for a write.

use crate::charter::ActionPattern;

/// How the names of reading actions begin.
const READING: &[&str] = &[
    "BatchGet", "Describe", "Get", "Head", "List", "Lookup", "Query", "Scan", "View",
];

/// Reads that hand on a secret or a power, and why a plan role does not get them.
const HANDING_ON: &[(&str, &str)] = &[
    ("secretsmanager:*", "it returns secrets"),
    ("ssm:GetParameter*", "it can return decrypted secrets"),
    ("ssm:GetConnectionStatus", "it belongs to opening sessions"),
    ("sts:*", "it returns credentials"),
    ("iam:*", "identity is not for agents"),
    ("kms:GetParametersForImport", "it belongs to changing keys"),
    (
        "ecr:GetAuthorizationToken",
        "it returns a credential that can push",
    ),
    (
        "ecr-public:GetAuthorizationToken",
        "it returns a credential that can push",
    ),
    (
        "codeartifact:GetAuthorizationToken",
        "it returns a credential",
    ),
    (
        "lambda:GetFunction",
        "it returns a link to the code, and the environment with what is in it",
    ),
    (
        "lambda:GetFunctionConfiguration",
        "it returns the environment with what is in it",
    ),
    ("cognito-identity:Get*", "it returns credentials"),
    ("redshift:GetClusterCredentials*", "it returns credentials"),
    ("rds:Download*", "it returns data"),
    ("ec2:GetPasswordData", "it returns a password"),
    ("apigateway:GET", "it can return API keys"),
];

/// Why a plan role may not have this action; `None` when it only reads.
pub(super) fn refused(action: &ActionPattern) -> Option<&'static str> {
    let Some((_, name)) = action.0.split_once(':') else {
        return Some("it names no action");
    };
    if !READING.iter().any(|reading| name.starts_with(reading)) {
        return Some("it is not known to only read");
    }
    let overlaps = |pattern: &str| {
        let (one, two) = (pattern.to_ascii_lowercase(), action.0.to_ascii_lowercase());
        crate::charter::wildcard_matches(&one, &two) || crate::charter::wildcard_matches(&two, &one)
    };
    HANDING_ON
        .iter()
        .find(|(pattern, _)| overlaps(pattern))
        .map(|(_, why)| *why)
}
