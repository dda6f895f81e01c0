//! Which AWS actions only read, by AWS's own account of them. An action that is not in it is taken for a write.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::charter::{ActionPattern, wildcard_matches};
use crate::document::nearest;

/// Written by `cargo xtask iam-data`.
const TABLE: &str = include_str!("aws-actions.txt");

/// Reads that hand on a secret or a power, and why a plan role does not get them.
const HANDING_ON: &[(&str, &str)] = &[
    ("secretsmanager:GetSecretValue", "it returns secrets"),
    ("secretsmanager:BatchGetSecretValue", "it returns secrets"),
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
    ("lambda:GetLayerVersion*", "it returns a link to the code"),
    (
        "ecs:DescribeTaskDefinition",
        "it returns the environment with what is in it",
    ),
    (
        "codebuild:BatchGetProjects",
        "it returns the environment with what is in it",
    ),
    (
        "ec2:DescribeInstanceAttribute",
        "it returns user data with what is in it",
    ),
    (
        "ec2:DescribeLaunchTemplateVersions",
        "it returns user data with what is in it",
    ),
    (
        "ec2:GetLaunchTemplateData",
        "it returns user data with what is in it",
    ),
    ("ec2:GetPasswordData", "it returns a password"),
    (
        "autoscaling:DescribeLaunchConfigurations",
        "it returns user data with what is in it",
    ),
    ("cognito-identity:Get*", "it returns credentials"),
    (
        "cognito-idp:DescribeUserPoolClient",
        "it returns the client's secret",
    ),
    ("connect:GetFederationToken*", "it returns a credential"),
    (
        "datazone:GetEnvironmentCredentials",
        "it returns credentials",
    ),
    ("redshift:GetClusterCredentials*", "it returns credentials"),
    (
        "redshift-serverless:GetCredentials",
        "it returns credentials",
    ),
    ("rds:Download*", "it returns data"),
    ("glue:GetConnection*", "it returns passwords"),
    ("gamelift:GetInstanceAccess", "it returns credentials"),
    ("gamelift:GetComputeA*", "it returns credentials"),
    (
        "lightsail:GetInstanceAccessDetails",
        "it returns credentials",
    ),
    (
        "lightsail:GetRelationalDatabaseMasterUserPassword",
        "it returns a password",
    ),
    (
        "lightsail:DownloadDefaultKeyPair",
        "it returns a private key",
    ),
    (
        "snowball:GetJobUnlockCode",
        "it returns the code that unlocks the device",
    ),
    (
        "storagegateway:DescribeChapCredentials",
        "it returns credentials",
    ),
    ("appsync:ListApiKeys", "it returns API keys"),
    ("apigateway:GET", "it can return API keys"),
];

/// What an action does, as AWS says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Reads,
    Writes,
    Permissions,
}

/// Actions by their names in lower case: the name as AWS writes it, and what it does.
type Service = BTreeMap<String, (&'static str, Level)>;

/// By service.
static ACTIONS: LazyLock<BTreeMap<&str, Service>> = LazyLock::new(|| {
    let mut services: BTreeMap<&str, Service> = BTreeMap::new();
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        let mut parts = line.split(' ');
        let (Some(service), Some(level), Some(names)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let level = match level {
            "read" | "list" => Level::Reads,
            "permissions" => Level::Permissions,
            _ => Level::Writes,
        };
        let actions = names.split(',');
        services
            .entry(service)
            .or_default()
            .extend(actions.map(|name| (name.to_ascii_lowercase(), (name, level))));
    }
    services
});

/// Why a plan role may not have this action; `None` when it only reads.
pub(super) fn refused(action: &ActionPattern) -> Option<String> {
    let lower = action.lower();
    let overlaps = |pattern: &str| {
        let pattern = pattern.to_ascii_lowercase();
        wildcard_matches(&pattern, &lower) || wildcard_matches(&lower, &pattern)
    };
    if let Some((_, why)) = HANDING_ON.iter().find(|(pattern, _)| overlaps(pattern)) {
        return Some((*why).to_owned());
    }
    let mut any = false;
    for (name, level) in matched(&lower) {
        any = true;
        let word = match level {
            Level::Reads => continue,
            Level::Writes => "can write",
            Level::Permissions => "changes permissions",
        };
        return Some(if action.is_wild() {
            format!("it holds {name}, which {word}")
        } else {
            format!("it {word}")
        });
    }
    (!any).then(|| "it is not an action that AWS lists, and counts as a write".to_owned())
}

/// What was probably meant, where AWS lists no such action.
pub(super) fn unknown(action: &ActionPattern) -> Option<Option<String>> {
    let lower = action.lower();
    if matched(&lower).next().is_some() {
        return None;
    }
    let (service, name) = lower.split_once(':').unwrap_or_default();
    let Some(actions) = ACTIONS.get(service) else {
        let near = nearest(service, ACTIONS.keys().copied());
        return Some(near.map(|near| format!("did you mean the service `{near}`?")));
    };
    let near = nearest(name, actions.keys().map(String::as_str));
    let near = near.and_then(|near| actions.get(near));
    Some(near.map(|(name, _)| format!("did you mean `{service}:{name}`?")))
}

fn matched(lower: &str) -> impl Iterator<Item = (&'static str, Level)> {
    let (service, pattern) = lower.split_once(':').unwrap_or_default();
    let pattern = pattern.to_owned();
    let exact = !pattern.contains(['*', '?']);
    let actions = ACTIONS.get(service);
    let one = actions
        .filter(|_| exact)
        .and_then(|actions| actions.get(&pattern));
    let many = actions.filter(|_| !exact).into_iter().flatten();
    let many = many.filter(move |(name, _)| wildcard_matches(&pattern, name));
    one.into_iter().chain(many.map(|(_, found)| found)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(action: &str) -> Option<String> {
        refused(&ActionPattern(action.to_owned()))
    }

    // T35
    #[test]
    fn reads_are_told_from_writes_by_the_table() {
        for reads in [
            "s3:GetObject",
            "S3:getobject",
            "s3:ListBucket",
            "ec2:Describe*Instances",
            "logs:FilterLogEvents",
        ] {
            assert_eq!(why(reads), None, "{reads}");
        }
        for (other, because) in [
            ("s3:PutObject", "it can write"),
            ("s3:PutBucketPolicy", "it changes permissions"),
            ("s3:*", "it holds"),
            ("kms:Decrypt", "it can write"),
            ("secretsmanager:Get*", "it returns secrets"),
            ("s3:GetObjekt", "it is not an action"),
            ("nothing:Get", "it is not an action"),
        ] {
            let found = why(other).unwrap_or_default();
            assert!(found.starts_with(because), "{other}: {found}");
        }
        assert_eq!(why("secretsmanager:DescribeSecret"), None);
    }

    #[test]
    fn every_read_that_hands_something_on_exists() {
        for (pattern, _) in HANDING_ON {
            assert!(
                matched(&pattern.to_ascii_lowercase()).next().is_some(),
                "{pattern}"
            );
        }
    }

    #[test]
    fn a_misspelt_action_is_told_its_neighbour() {
        let unknown = |text: &str| unknown(&ActionPattern(text.to_owned()));
        assert_eq!(unknown("s3:GetObject"), None);
        assert_eq!(
            unknown("s3:GetObjekt").flatten().as_deref(),
            Some("did you mean `s3:GetObject`?")
        );
        assert_eq!(
            unknown("s33:GetObject").flatten().as_deref(),
            Some("did you mean the service `s3`?")
        );
    }
}
