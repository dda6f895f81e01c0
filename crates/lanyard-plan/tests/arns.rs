//! The ARNs of what a plan changes, where attributes hold names, ARNs, and parts of them.

mod stage;

use lanyard_charter::{Arn, MoreKinds};
use serde_json::{Value, json};
use stage::create;

/// Creates a resource, and returns its ARNs in the words of the plan's reach, with `!` before a
/// kind that has none.
fn named(kind: &str, after: Value) -> Vec<String> {
    let reach = create(kind, after).reading(MoreKinds::default()).reach;
    let reach = reach.of::<Arn>();
    let unnamed = reach.unnamed.iter().map(|it| format!("!{it}"));
    reach
        .named
        .iter()
        .map(ToString::to_string)
        .chain(unnamed)
        .collect()
}

#[test]
fn c22_a_function_is_named_by_each_form_that_lambda_takes() {
    let function = |name: &str| {
        let after = json!({"action": "lambda:InvokeFunction", "function_name": name, "principal": "events.amazonaws.com", "region": "eu-west-1"});
        named("aws_lambda_permission", after)
    };
    let open = "arn:*:lambda:eu-west-1:*:function:shop-orders";
    let own = "arn:*:lambda:eu-west-1:111122223333:function:shop-orders";
    for (name, arn) in [
        ("shop-orders", open),
        ("shop-orders:live", open),
        ("shop-orders:$LATEST", open),
        ("function:shop-orders", open),
        ("111122223333:function:shop-orders", own),
        ("111122223333:function:shop-orders:live", own),
        ("111122223333:shop-orders", own),
        ("eu-west-1:111122223333:function:shop-orders", own),
        (
            "eu-north-1:111122223333:function:shop-orders",
            "arn:*:lambda:eu-north-1:111122223333:function:shop-orders",
        ),
        (
            "arn:aws:lambda:eu-west-1:111122223333:function:shop-orders",
            "arn:aws:lambda:eu-west-1:111122223333:function:shop-orders",
        ),
        (
            "arn:aws:lambda:eu-west-1:111122223333:function:shop-orders:live",
            "arn:aws:lambda:eu-west-1:111122223333:function:shop-orders",
        ),
        (
            "arn:aws-us-gov:lambda:us-gov-west-1:111122223333:function:shop-orders",
            "arn:aws-us-gov:lambda:us-gov-west-1:111122223333:function:shop-orders",
        ),
        // Of another service or kind, or more than a name.
        (
            "arn:aws:sqs:eu-west-1:111122223333:shop-orders",
            "!aws_lambda_permission.it",
        ),
        (
            "arn:aws:lambda:eu-west-1:111122223333:layer:shop",
            "!aws_lambda_permission.it",
        ),
        (
            "arn:aws:lambda:eu-west-1:111122223333:function:*",
            "!aws_lambda_permission.it",
        ),
        ("a:b:c:d:e", "!aws_lambda_permission.it"),
        ("shop-*", "!aws_lambda_permission.it"),
    ] {
        assert_eq!(function(name), [arn], "{name}");
    }
    let alias = json!({"arn": "arn:aws:lambda:eu-west-1:111122223333:function:shop:live", "function_name": "shop", "name": "live"});
    assert_eq!(
        named("aws_lambda_alias", alias),
        ["arn:aws:lambda:eu-west-1:111122223333:function:shop"]
    );
}

#[test]
fn c22_a_queue_is_named_by_its_url_in_every_partition() {
    let queue = |url: &str| {
        named(
            "aws_sqs_queue_policy",
            json!({"queue_url": url, "policy": "{}"}),
        )
    };
    let unnamed = ["!aws_sqs_queue_policy.it".to_owned()];
    for (url, arn) in [
        (
            "https://sqs.eu-west-1.amazonaws.com/111122223333/shop",
            "arn:*:sqs:eu-west-1:111122223333:shop",
        ),
        (
            "https://sqs.cn-north-1.amazonaws.com.cn/111122223333/shop",
            "arn:*:sqs:cn-north-1:111122223333:shop",
        ),
        (
            "https://sqs-fips.us-gov-west-1.amazonaws.com/111122223333/shop",
            "arn:*:sqs:us-gov-west-1:111122223333:shop",
        ),
        (
            "https://eu-west-1.queue.amazonaws.com/111122223333/shop",
            "arn:*:sqs:eu-west-1:111122223333:shop",
        ),
        (
            "https://queue.amazonaws.com/111122223333/shop.fifo",
            "arn:*:sqs:*:111122223333:shop.fifo",
        ),
        (
            "http://127.0.0.1:5000/111122223333/shop",
            "arn:*:sqs:*:111122223333:shop",
        ),
        (
            "arn:aws:sqs:eu-west-1:111122223333:shop",
            "arn:aws:sqs:eu-west-1:111122223333:shop",
        ),
    ] {
        assert_eq!(queue(url), [arn], "{url}");
    }
    for url in [
        "shop",
        "https://sqs.eu-west-1.amazonaws.com/shop",
        "https://h/1/2/3",
        "https://h/111122223333/*",
    ] {
        assert_eq!(queue(url), unnamed, "{url}");
    }
}

#[test]
fn c22_buckets_clusters_rules_topics_tables_and_secrets_are_named_or_have_an_arn() {
    let own = "arn:aws:ecs:eu-west-1:111122223333:cluster/shop";
    for (kind, after, arns) in [
        (
            "aws_s3_bucket_policy",
            json!({"bucket": "logs-a"}),
            vec!["arn:*:s3:::logs-a"],
        ),
        (
            "aws_s3_bucket_policy",
            json!({"bucket": "arn:aws:s3:::logs-a"}),
            vec!["arn:aws:s3:::logs-a"],
        ),
        (
            "aws_s3_object",
            json!({"bucket": "logs-a", "key": "/a/b"}),
            vec!["arn:*:s3:::logs-a/a/b"],
        ),
        (
            "aws_s3_object",
            json!({"bucket": "arn:aws:s3:::logs-a", "key": "a"}),
            vec!["arn:aws:s3:::logs-a/a"],
        ),
        (
            "aws_s3_object",
            json!({"bucket": "arn:aws:s3:eu-west-1:111122223333:accesspoint/p", "key": "a"}),
            vec!["arn:aws:s3:eu-west-1:111122223333:accesspoint/p/object/a"],
        ),
        (
            "aws_s3_object",
            json!({"bucket": "arn:aws:s3:::logs-a/x", "key": "a"}),
            vec!["!aws_s3_object.it"],
        ),
        (
            "aws_ecs_service",
            json!({"name": "web", "cluster": own}),
            vec!["arn:aws:ecs:eu-west-1:111122223333:service/shop/web"],
        ),
        (
            "aws_ecs_service",
            json!({"name": "web", "cluster": "shop"}),
            vec!["arn:*:ecs:*:*:service/shop/web"],
        ),
        (
            "aws_ecs_service",
            json!({"name": "web"}),
            vec!["arn:*:ecs:*:*:service/default/web"],
        ),
        (
            "aws_cloudwatch_event_rule",
            json!({"name": "r"}),
            vec!["arn:*:events:*:*:rule/r"],
        ),
        (
            "aws_cloudwatch_event_rule",
            json!({"name": "r", "event_bus_name": "b"}),
            vec!["arn:*:events:*:*:rule/b/r"],
        ),
        (
            "aws_cloudwatch_event_target",
            json!({"rule": "r", "event_bus_name": "arn:aws:events:eu-west-1:111122223333:event-bus/b", "arn": "arn:aws:lambda:eu-west-1:111122223333:function:f"}),
            vec!["arn:aws:events:eu-west-1:111122223333:rule/b/r"],
        ),
        (
            "aws_sns_topic_subscription",
            json!({"topic_arn": "arn:aws:sns:eu-west-1:111122223333:t", "endpoint": "x"}),
            vec!["arn:aws:sns:eu-west-1:111122223333:t"],
        ),
        (
            "aws_sns_topic_subscription",
            json!({"topic_arn": "arn:aws:sqs:eu-west-1:111122223333:t"}),
            vec!["!aws_sns_topic_subscription.it"],
        ),
        (
            "aws_dynamodb_table_item",
            json!({"table_name": "t"}),
            vec!["arn:*:dynamodb:*:*:table/t"],
        ),
        (
            "aws_dynamodb_table_item",
            json!({"table_name": "arn:aws:dynamodb:eu-west-1:111122223333:table/t"}),
            vec!["arn:aws:dynamodb:eu-west-1:111122223333:table/t"],
        ),
        (
            "aws_route53_record",
            json!({"zone_id": "/hostedzone/Z1", "name": "a"}),
            vec!["arn:*:route53:::hostedzone/Z1"],
        ),
        (
            "aws_ssm_parameter",
            json!({"name": "/shop/a"}),
            vec!["arn:*:ssm:*:*:parameter/shop/a"],
        ),
        (
            "aws_secretsmanager_secret",
            json!({"name": "shop"}),
            vec!["arn:*:secretsmanager:*:*:secret:shop-??????"],
        ),
        (
            "aws_secretsmanager_secret_version",
            json!({"secret_id": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:shop"}),
            vec!["arn:aws:secretsmanager:eu-west-1:111122223333:secret:shop-??????"],
        ),
        (
            "aws_kms_key_policy",
            json!({"key_id": "arn:aws:kms:eu-west-1:111122223333:key/k"}),
            vec!["arn:aws:kms:eu-west-1:111122223333:key/k"],
        ),
    ] {
        assert_eq!(named(kind, after.clone()), arns, "{kind} {after}");
    }
}
