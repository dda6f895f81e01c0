//! ARNs of what a plan changes: those in the plan, and those that follow from a name.
//!
//! Where the provider accepts a name, it usually accepts an ARN or a part of one as well; both are
//! read for what they are.

use serde_json::Value;

use crate::aws::Arn;
use crate::reach::{PlanObject, ResourceChange};
use crate::target_kind::TargetKind;

/// Kinds whose ARN follows from an attribute: kind, service, prefix of the name, attribute, and
/// whether region and account are part of the ARN.
#[rustfmt::skip]
const BY_NAME: &[(&str, &str, &str, &str, bool)] = &[
    ("aws_cloudwatch_log_data_protection_policy", "logs", "log-group:", "log_group_name", true),
    ("aws_cloudwatch_log_group", "logs", "log-group:", "name", true),
    ("aws_cloudwatch_log_metric_filter", "logs", "log-group:", "log_group_name", true),
    ("aws_cloudwatch_log_stream", "logs", "log-group:", "log_group_name", true),
    ("aws_cloudwatch_log_subscription_filter", "logs", "log-group:", "log_group_name", true),
    ("aws_cloudwatch_metric_alarm", "cloudwatch", "alarm:", "alarm_name", true),
    ("aws_db_instance", "rds", "db:", "identifier", true),
    ("aws_dynamodb_contributor_insights", "dynamodb", "table/", "table_name", true),
    ("aws_dynamodb_kinesis_streaming_destination", "dynamodb", "table/", "table_name", true),
    ("aws_dynamodb_table", "dynamodb", "table/", "name", true),
    ("aws_dynamodb_table_item", "dynamodb", "table/", "table_name", true),
    ("aws_ecr_lifecycle_policy", "ecr", "repository/", "repository", true),
    ("aws_ecr_repository", "ecr", "repository/", "name", true),
    ("aws_ecr_repository_policy", "ecr", "repository/", "repository", true),
    ("aws_ecs_cluster", "ecs", "cluster/", "name", true),
    ("aws_eks_cluster", "eks", "cluster/", "name", true),
    ("aws_kinesis_stream", "kinesis", "stream/", "name", true),
    ("aws_kms_key_policy", "kms", "key/", "key_id", true),
    ("aws_lambda_alias", "lambda", "function:", "function_name", true),
    ("aws_lambda_function", "lambda", "function:", "function_name", true),
    ("aws_lambda_function_event_invoke_config", "lambda", "function:", "function_name", true),
    ("aws_lambda_function_recursion_config", "lambda", "function:", "function_name", true),
    ("aws_lambda_function_url", "lambda", "function:", "function_name", true),
    ("aws_lambda_permission", "lambda", "function:", "function_name", true),
    ("aws_lambda_provisioned_concurrency_config", "lambda", "function:", "function_name", true),
    ("aws_lambda_runtime_management_config", "lambda", "function:", "function_name", true),
    ("aws_rds_cluster", "rds", "cluster:", "cluster_identifier", true),
    ("aws_route53_record", "route53", "hostedzone/", "zone_id", false),
    ("aws_s3_bucket", "s3", "", "bucket", false),
    ("aws_sfn_state_machine", "states", "stateMachine:", "name", true),
    ("aws_sns_topic", "sns", "", "name", true),
    ("aws_sqs_queue", "sqs", "", "name", true),
    ("aws_ssm_parameter", "ssm", "parameter/", "name", true),
];

/// Kinds without an ARN of their own: kind, service of the owner, and the attribute with the
/// owner's ARN.
const OWNERS: &[(&str, &str, &str)] = &[
    ("aws_dynamodb_resource_policy", "dynamodb", "resource_arn"),
    ("aws_dynamodb_tag", "dynamodb", "resource_arn"),
    ("aws_kinesis_resource_policy", "kinesis", "resource_arn"),
    ("aws_sns_topic_data_protection_policy", "sns", "arn"),
    ("aws_sns_topic_policy", "sns", "arn"),
    ("aws_sns_topic_subscription", "sns", "topic_arn"),
];

/// Kinds that belong to a secret, and the attribute that names the secret.
const OF_SECRETS: &[(&str, &str)] = &[
    ("aws_secretsmanager_secret", "name"),
    ("aws_secretsmanager_secret_policy", "secret_arn"),
    ("aws_secretsmanager_secret_rotation", "secret_id"),
    ("aws_secretsmanager_secret_version", "secret_id"),
];
/// Pattern for the random characters that Secrets Manager appends to a secret's name in its ARN.
const SECRET_SUFFIX: &str = "-??????";
/// Digits of an account number.
const ACCOUNT_DIGITS: usize = 12;
/// Suffix of the names of directory buckets, which belong to the service s3express.
const DIRECTORY_BUCKET: &str = "--x-s3";

impl PlanObject for Arn {
    const KIND: TargetKind = TargetKind::AWS;
    const RESOURCES: &'static str = "aws_";
    const IS_IN_EVERY_REACH: bool = true;

    /// Returns the ARNs of a change. Empty if only AWS can tell them.
    fn of_resource(change: &ResourceChange<'_>) -> Vec<Self> {
        let mut found = change.objects(|side| of(change.resource, side));
        if change.resource == "aws_s3_bucket" && empties(change) {
            let objects = |bucket: &Self| Self {
                resource: format!("{}/*", bucket.resource),
                ..bucket.clone()
            };
            let more: Vec<Self> = found.iter().map(objects).collect();
            found.extend(more);
        }
        found
    }
}

/// True if the objects in a bucket are deleted with the bucket.
fn empties(change: &ResourceChange<'_>) -> bool {
    let forced = |side: &Value| side.get("force_destroy") == Some(&Value::Bool(true));
    change.deletes && forced(change.before)
}

/// A side of a change: the values before or after.
struct Side<'a> {
    value: &'a Value,
}

impl<'a> Side<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        self.value.get(name).and_then(Value::as_str)
    }

    /// Makes an ARN, in the region of this side if the side names one.
    fn arn(&self, service: &str, resource: String, regional: bool) -> Option<Arn> {
        let place = |known: Option<&str>| match (regional, known) {
            (false, _) => Some(String::new()),
            (true, known) => known.map(str::to_owned),
        };
        let region = self.text("region").filter(|region| !region.is_empty());
        // A name with characters that mean more in a policy is refused (T30).
        Arn::parse(&format!("arn:aws:{service}:::{resource}"))?;
        Some(Arn {
            partition: None,
            service: service.to_owned(),
            region: place(region),
            account: place(None),
            resource,
        })
    }
}

fn of(kind: &str, side: &Value) -> Vec<Arn> {
    let side = Side { value: side };
    if let Some((_, attribute)) = OF_SECRETS.iter().find(|(of, _)| *of == kind) {
        // The ARN of an existing secret includes the random characters.
        let named = side.text("arn").or_else(|| side.text(attribute));
        return named.map(|name| secret(&side, name)).unwrap_or_default();
    }
    one(kind, &side).into_iter().collect()
}

fn one(kind: &str, side: &Side<'_>) -> Option<Arn> {
    let text = |name: &str| side.text(name);
    if let Some((_, service, attribute)) = OWNERS.iter().find(|(owner, ..)| *owner == kind) {
        return Arn::parse(text(attribute)?).filter(|arn| arn.service == *service);
    }
    match kind {
        "aws_sqs_queue_policy"
        | "aws_sqs_queue_redrive_allow_policy"
        | "aws_sqs_queue_redrive_policy" => return queue(side, text("queue_url")?),
        "aws_s3_bucket_object" | "aws_s3_object" | "aws_s3_object_copy" => {
            return object(side, text("bucket")?, text("key")?);
        }
        "aws_cloudwatch_event_rule" => return event_rule(side, text("name")?),
        "aws_cloudwatch_event_target" => return event_rule(side, text("rule")?),
        "aws_ecs_service" => return ecs_service(side),
        _ => {}
    }
    if let Some(arn) = text("arn").and_then(Arn::parse) {
        return Some(unqualified(arn));
    }
    // Kinds such as aws_s3_bucket_policy and aws_s3_bucket_versioning all name their bucket the
    // same way.
    let kind = if kind.starts_with("aws_s3_bucket_") {
        "aws_s3_bucket"
    } else {
        kind
    };
    let (_, service, before, attribute, regional) =
        BY_NAME.iter().find(|(known, ..)| *known == kind)?;
    let named = text(attribute)?;
    if named.starts_with("arn:") {
        return whole(named, service, before);
    }
    match *service {
        "lambda" => function(side, named),
        "s3" if named.ends_with(DIRECTORY_BUCKET) => {
            side.arn("s3express", format!("bucket/{named}"), true)
        }
        // Some attributes hold the name as the API returns it: `/hostedzone/Z1`, `/a/parameter`.
        "route53" | "ssm" => {
            let named = named.trim_start_matches('/');
            let named = named.strip_prefix(before).unwrap_or(named);
            side.arn(service, format!("{before}{named}"), *regional)
        }
        _ => side.arn(service, format!("{before}{named}"), *regional),
    }
}

/// Accepts an ARN in place of a name, if service and kind are those of the name.
fn whole(arn: &str, service: &str, before: &str) -> Option<Arn> {
    let arn = Arn::parse(arn)?;
    let rest = arn.resource.strip_prefix(before);
    let fits = arn.service == service && rest.is_some_and(|rest| !rest.is_empty());
    fits.then(|| unqualified(arn))
}

/// Drops version and alias from the ARN of a Lambda function: changing those is authorized on the
/// function.
fn unqualified(arn: Arn) -> Arn {
    let name = arn.resource.strip_prefix("function:");
    match name.and_then(|name| name.split_once(':')) {
        Some((name, _)) if arn.service == "lambda" => Arn {
            resource: format!("function:{name}"),
            ..arn
        },
        Some(_) | None => arn,
    }
}

/// Parses the other names that Lambda accepts: `name`, `name:alias`, `function:name`,
/// `123456789012:function:name:alias`, each possibly after a region.
fn function(side: &Side<'_>, named: &str) -> Option<Arn> {
    let is_account =
        |part: &str| part.len() == ACCOUNT_DIGITS && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts: Vec<&str> = named.split(':').collect();
    let mut take = |is: &dyn Fn(&str) -> bool| {
        let found = parts
            .first()
            .copied()
            .filter(|part| parts.len() > 1 && is(part));
        if found.is_some() {
            parts.remove(0);
        }
        found
    };
    let region = take(&is_region);
    let account = take(&is_account);
    take(&|part: &str| part == "function");
    let ([name] | [name, _]) = parts.as_slice() else {
        return None;
    };
    let arn = side.arn("lambda", format!("function:{name}"), true)?;
    Some(Arn {
        region: region.map(str::to_owned).or(arn.region),
        account: account.map(str::to_owned),
        ..arn
    })
}

/// True for names such as `eu-west-1` and `us-gov-west-1`.
fn is_region(part: &str) -> bool {
    let mut ends = part.rsplit('-');
    let number = ends.next().unwrap_or_default();
    let words: Vec<&str> = ends.collect();
    let is_word =
        |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    number.len() == 1
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && words.len() >= 2
        && words.iter().all(is_word)
        && words.last().is_some_and(|first| first.len() == 2)
}

/// Returns the ARN of one S3 object. The provider drops a slash before the key.
fn object(side: &Side<'_>, bucket: &str, key: &str) -> Option<Arn> {
    let key = key.trim_start_matches('/');
    if key.is_empty() {
        return None;
    }
    if bucket.starts_with("arn:") {
        let arn = Arn::parse(bucket)?;
        let between = match arn.resource.split_once('/') {
            None if arn.service == "s3" => "/",
            // Objects behind an access point are named by the access point.
            Some(("accesspoint", name)) if !name.contains('/') => "/object/",
            Some(_) | None => return None,
        };
        Arn::parse(&format!("{bucket}{between}{key}"))?;
        return Some(Arn {
            resource: format!("{}{between}{key}", arn.resource),
            ..arn
        });
    }
    if bucket.is_empty() || bucket.contains(['/', ':']) || bucket.ends_with(DIRECTORY_BUCKET) {
        return None;
    }
    side.arn("s3", format!("{bucket}/{key}"), false)
}

/// Parses a queue URL such as `https://sqs.eu-west-1.amazonaws.com/111122223333/name`, of any
/// partition or endpoint. The host determines the region if it names one.
fn queue(side: &Side<'_>, named: &str) -> Option<Arn> {
    if named.starts_with("arn:") {
        return Arn::parse(named).filter(|arn| arn.service == "sqs");
    }
    let rest = named
        .strip_prefix("https://")
        .or_else(|| named.strip_prefix("http://"))?;
    let mut parts = rest.split('/');
    let (host, account, name) = (parts.next()?, parts.next()?, parts.next()?);
    let is_account =
        account.len() == ACCOUNT_DIGITS && account.bytes().all(|byte| byte.is_ascii_digit());
    if !is_account || name.is_empty() || parts.next().is_some() {
        return None;
    }
    let arn = side.arn("sqs", name.to_owned(), true)?;
    let region = host.split('.').find(|label| is_region(label));
    Some(Arn {
        region: region.map(str::to_owned).or(arn.region),
        account: Some(account.to_owned()),
        ..arn
    })
}

/// Returns the ARN of a rule on the default bus, or on a bus that is named by name or ARN.
fn event_rule(side: &Side<'_>, name: &str) -> Option<Arn> {
    if name.starts_with("arn:") {
        return whole(name, "events", "rule/");
    }
    let bus = side.text("event_bus_name").unwrap_or("default");
    if bus.starts_with("arn:") {
        let bus = whole(bus, "events", "event-bus/")?;
        let of = bus.resource.strip_prefix("event-bus/")?;
        let resource = of_bus(of, name);
        Arn::parse(&format!("arn:aws:events:::{resource}"))?;
        return Some(Arn { resource, ..bus });
    }
    side.arn("events", of_bus(bus, name), true)
}

fn of_bus(bus: &str, name: &str) -> String {
    match bus {
        "default" | "" => format!("rule/{name}"),
        bus => format!("rule/{bus}/{name}"),
    }
}

/// Returns the ARN of an ECS service in its cluster, which is named by name or ARN and is `default`
/// otherwise.
fn ecs_service(side: &Side<'_>) -> Option<Arn> {
    let name = side.text("name")?;
    let cluster = side
        .text("cluster")
        .filter(|it| !it.is_empty())
        .unwrap_or("default");
    if cluster.starts_with("arn:") {
        let arn = whole(cluster, "ecs", "cluster/")?;
        let resource = format!("service/{}/{name}", arn.resource.strip_prefix("cluster/")?);
        Arn::parse(&format!("arn:aws:ecs:::{resource}"))?;
        return Some(Arn { resource, ..arn });
    }
    side.arn("ecs", format!("service/{cluster}/{name}"), true)
}

/// Returns the ARNs of a secret that is named by name, by ARN, or by ARN without the random
/// characters.
fn secret(side: &Side<'_>, named: &str) -> Vec<Arn> {
    if !named.starts_with("arn:") {
        let arn = side.arn("secretsmanager", format!("secret:{named}"), true);
        let with_suffix = |arn: Arn| Arn {
            resource: format!("{}{SECRET_SUFFIX}", arn.resource),
            ..arn
        };
        return arn.map(with_suffix).into_iter().collect();
    }
    let Some(arn) = whole(named, "secretsmanager", "secret:") else {
        return Vec::new();
    };
    let suffix = arn.resource.rsplit_once('-').map(|(_, suffix)| suffix);
    let is_whole = suffix.is_some_and(|it| it.len() == SECRET_SUFFIX.len() - 1);
    let bare = Arn {
        resource: format!("{}{SECRET_SUFFIX}", arn.resource),
        ..arn.clone()
    };
    // A name such as `my-secret` ends like the random characters, so both readings are possible.
    if is_whole {
        vec![arn, bare]
    } else {
        vec![bare]
    }
}
