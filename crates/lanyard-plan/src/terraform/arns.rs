//! The ARNs of what a plan changes: those that it names, and those that follow from a name.

use lanyard_core::plan::Arn;
use serde_json::Value;

use super::{Effect, ResourceChange};

/// Kinds whose ARN follows from an attribute: the kind, the service, what stands before the name, the attribute, and whether
/// region and account are part of it.
const BY_NAME: &[(&str, &str, &str, &str, bool)] = &[
    ("aws_cloudwatch_event_rule", "events", "rule/", "name", true),
    (
        "aws_cloudwatch_log_group",
        "logs",
        "log-group:",
        "name",
        true,
    ),
    (
        "aws_cloudwatch_metric_alarm",
        "cloudwatch",
        "alarm:",
        "alarm_name",
        true,
    ),
    ("aws_db_instance", "rds", "db:", "identifier", true),
    ("aws_dynamodb_table", "dynamodb", "table/", "name", true),
    ("aws_ecr_repository", "ecr", "repository/", "name", true),
    (
        "aws_ecr_repository_policy",
        "ecr",
        "repository/",
        "repository",
        true,
    ),
    ("aws_kinesis_stream", "kinesis", "stream/", "name", true),
    (
        "aws_lambda_function",
        "lambda",
        "function:",
        "function_name",
        true,
    ),
    (
        "aws_lambda_function_url",
        "lambda",
        "function:",
        "function_name",
        true,
    ),
    (
        "aws_lambda_permission",
        "lambda",
        "function:",
        "function_name",
        true,
    ),
    (
        "aws_rds_cluster",
        "rds",
        "cluster:",
        "cluster_identifier",
        true,
    ),
    ("aws_s3_bucket", "s3", "", "bucket", false),
    (
        "aws_sfn_state_machine",
        "states",
        "stateMachine:",
        "name",
        true,
    ),
    ("aws_sns_topic", "sns", "", "name", true),
    ("aws_sqs_queue", "sqs", "", "name", true),
];

/// Attributes that hold the ARN of what a kind without one of its own belongs to.
const OWNERS: &[(&str, &str)] = &[
    ("aws_secretsmanager_secret_policy", "secret_arn"),
    ("aws_secretsmanager_secret_version", "secret_id"),
    ("aws_sns_topic_policy", "arn"),
    ("aws_sns_topic_subscription", "topic_arn"),
];

/// The ARNs of a change; none when it has to be asked of AWS.
pub(super) fn named(change: &ResourceChange) -> Vec<Arn> {
    let found = change.sides().filter_map(|side| of(&change.kind, side));
    let mut found: Vec<Arn> = found.collect();
    // What is made under a name that nobody knows yet could be anything.
    let sides = match change.effect() {
        Effect::Update | Effect::Replace => 2,
        Effect::Nothing
        | Effect::Read
        | Effect::Create
        | Effect::Destroy
        | Effect::Forget
        | Effect::Supersede => 1,
    };
    if found.len() < sides {
        return Vec::new();
    }
    if change.kind == "aws_s3_bucket" && empties(change) {
        let objects = |bucket: &Arn| Arn {
            resource: format!("{}/*", bucket.resource),
            ..bucket.clone()
        };
        let more: Vec<Arn> = found.iter().map(objects).collect();
        found.extend(more);
    }
    found
}

/// Whether the objects in a bucket go with the bucket.
fn empties(change: &ResourceChange) -> bool {
    let forced = |side: &Value| side.get("force_destroy") == Some(&Value::Bool(true));
    matches!(change.effect(), Effect::Destroy | Effect::Replace) && forced(&change.change.before)
}

fn of(kind: &str, side: &Value) -> Option<Arn> {
    let text = |name: &str| side.get(name).and_then(Value::as_str);
    if let Some((_, attribute)) = OWNERS.iter().find(|(owner, _)| *owner == kind) {
        return Arn::parse(text(attribute)?);
    }
    if let Some(arn) = text("arn").and_then(Arn::parse) {
        return Some(arn);
    }
    if matches!(
        kind,
        "aws_sqs_queue_policy" | "aws_sqs_queue_redrive_policy"
    ) {
        return queue(text("queue_url")?);
    }
    if matches!(
        kind,
        "aws_s3_bucket_object" | "aws_s3_object" | "aws_s3_object_copy"
    ) {
        // An object of its own, and none beside it. The provider leaves out a slash before the key.
        let (bucket, key) = (text("bucket")?, text("key")?.trim_start_matches('/'));
        let is_bucket = !bucket.is_empty() && !bucket.contains(['/', ':']) && !key.is_empty();
        return Arn::parse(&format!("arn:aws:s3:::{bucket}/{key}")).filter(|_| is_bucket);
    }
    // aws_s3_bucket_policy, aws_s3_bucket_versioning and the like all name their bucket so.
    let kind = if kind.starts_with("aws_s3_bucket_") {
        "aws_s3_bucket"
    } else {
        kind
    };
    let (_, service, before, attribute, regional) =
        BY_NAME.iter().find(|(known, ..)| *known == kind)?;
    let name = text(attribute)?;
    let place = |known: Option<&str>| match (regional, known) {
        (false, _) => Some(String::new()),
        (true, known) => known.map(str::to_owned),
    };
    let region = text("region").filter(|region| !region.is_empty());
    let arn = Arn {
        service: (*service).to_owned(),
        region: place(region),
        account: place(None),
        resource: format!("{before}{name}"),
    };
    // What would be more than a name in a policy is none (T30).
    Arn::parse(&format!("arn:aws:{service}:::{before}{name}")).map(|_| arn)
}

/// `https://sqs.eu-west-1.amazonaws.com/111122223333/name`.
fn queue(url: &str) -> Option<Arn> {
    let mut parts = url.strip_prefix("https://sqs.")?.split('/');
    let (host, account, name) = (parts.next()?, parts.next()?, parts.next()?);
    let region = host.split('.').next()?;
    Arn::parse(&format!("arn:aws:sqs:{region}:{account}:{name}")).filter(|_| parts.next().is_none())
}
