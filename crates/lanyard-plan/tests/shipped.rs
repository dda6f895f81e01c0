//! The shipped policies, on attributes as plans really have them: not set, not known yet, of
//! another type.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::sync::Arc;

use lanyard_charter::Policy;
use lanyard_charter::plan::PlanFormat;
use lanyard_document::Position;
use lanyard_plan::{Context, Document, PolicySet};
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use lanyard_vocabulary::time::Timestamp;
use serde_json::{Value, json};

const BUCKETS: &str = "terraform/no-public-buckets.rego";
const PORTS: &str = "terraform/no-open-admin-ports.rego";
const STATEFUL: &str = "terraform/stateful.rego";
const IDENTITY: &str = "terraform/identity.rego";
const WORKLOADS: &str = "kubernetes/workloads.rego";

fn shipped(policy: &str) -> PolicySet {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policies");
    let policies = [Policy {
        path: policy.to_owned(),
        text: Arc::from(std::fs::read_to_string(folder.join(policy)).unwrap()),
        at: Position { line: 1, column: 1 },
    }];
    PolicySet::of(&policies).unwrap()
}

fn denied(policy: &str, format: PlanFormat, content: &str) -> Vec<String> {
    denied_by(&shipped(policy), format, content)
}

/// Returns the denials of these policies.
fn denied_by(set: &PolicySet, format: PlanFormat, content: &str) -> Vec<String> {
    let task = world::task(&Ids::seeded(1), Timestamp::EPOCH);
    let plan = world::plan(&task, format);
    let document = Document::read(format, content.as_bytes()).unwrap();
    let (task, plan) = (&task, &plan);
    set.judge(&document, Context { task, plan }).denied
}

/// A plan that creates one thing.
fn creating(kind: &str, after: &Value, unknown: &Value) -> Value {
    json!({
        "format_version": "1.2",
        "resource_changes": [{
            "address": format!("{kind}.x"), "type": kind, "name": "x", "mode": "managed",
            "change": {"actions": ["create"], "before": null, "after": after, "after_unknown": unknown},
        }],
        "configuration": {"root_module": {}},
    })
}

fn created(policy: &str, kind: &str, after: &Value, unknown: &Value) -> Vec<String> {
    let plan = creating(kind, after, unknown).to_string();
    denied(policy, PlanFormat::TerraformJson, &plan)
}

fn grants(grantee: &Value) -> Value {
    json!({"bucket": "b", "acl": null, "access_control_policy": [
        {"grant": [{"grantee": [grantee], "permission": "READ"}], "owner": [{"id": "a"}]}]})
}

fn statement(statement: &Value) -> Value {
    json!({"bucket": "b", "policy": json!({"Version": "2012-10-17", "Statement": statement}).to_string()})
}

#[expect(clippy::too_many_lines, reason = "a table, a case an entry")]
#[test]
fn a45_a_bucket_is_judged_whatever_its_attributes_are() {
    let (acl, policy, block) = (
        "aws_s3_bucket_acl",
        "aws_s3_bucket_policy",
        "aws_s3_bucket_public_access_block",
    );
    let all_users = "http://acs.amazonaws.com/groups/global/AllUsers";
    let open =
        json!({"block_public_acls": true, "block_public_policy": true, "ignore_public_acls": true});
    let cases = [
        (acl, json!({"acl": "private"}), json!({}), ""),
        (acl, json!({"acl": null}), json!({}), ""),
        (
            acl,
            json!({"acl": "public-read-write"}),
            json!({}),
            "opens the bucket to everybody",
        ),
        (
            acl,
            json!({"acl": "authenticated-read"}),
            json!({}),
            "opens the bucket to everybody",
        ),
        (
            acl,
            json!({}),
            json!({"acl": true}),
            "acl is not known before the apply",
        ),
        (
            acl,
            json!({"acl": 7}),
            json!({}),
            "the ACL is not the name of one",
        ),
        (
            acl,
            json!({"acl": ["private"]}),
            json!({}),
            "the ACL is not the name of one",
        ),
        (
            acl,
            grants(&json!({"type": "CanonicalUser", "id": "a", "uri": null})),
            json!({}),
            "",
        ),
        (
            acl,
            grants(&json!({"type": "Group", "uri": all_users})),
            json!({}),
            "a grant opens the bucket",
        ),
        (
            acl,
            grants(&json!({"type": "Group", "uri": 7})),
            json!({}),
            "names nobody that can be read",
        ),
        (
            acl,
            grants(&json!({})),
            json!({}),
            "names nobody that can be read",
        ),
        (
            acl,
            grants(&json!(null)),
            json!({}),
            "names nobody that can be read",
        ),
        (
            acl,
            json!({"acl": null}),
            json!({"access_control_policy": true}),
            "is not known before",
        ),
        (
            acl,
            grants(&json!({})),
            json!({"access_control_policy": [{"grant": [{"grantee": [{"uri": true}]}]}]}),
            "is not known before",
        ),
        (
            acl,
            json!({"access_control_policy": "x"}),
            json!({}),
            "is not a list of grants",
        ),
        (
            acl,
            json!({"access_control_policy": [{"grant": null}]}),
            json!({}),
            "is not a list of grants",
        ),
        (
            "aws_s3_bucket",
            json!({"acl": "public-read"}),
            json!({}),
            "opens the bucket to everybody",
        ),
        (
            "aws_s3_bucket",
            json!({"acl": null, "policy": null}),
            json!({"acl": true, "policy": true}),
            "",
        ),
        (
            block,
            open.clone(),
            json!({}),
            "restrict_public_buckets is off",
        ),
        (
            block,
            open,
            json!({"restrict_public_buckets": true}),
            "restrict_public_buckets is not known",
        ),
        (
            block,
            json!({"block_public_acls": "true"}),
            json!({}),
            "block_public_acls is off",
        ),
        (
            policy,
            json!({"policy": "{not json"}),
            json!({}),
            "is not a document of statements",
        ),
        (
            policy,
            json!({"policy": null}),
            json!({}),
            "is not a document of statements",
        ),
        (
            policy,
            json!({"policy": 7}),
            json!({}),
            "is not a document of statements",
        ),
        (
            policy,
            json!({"policy": "[]"}),
            json!({}),
            "is not a document of statements",
        ),
        (
            policy,
            json!({"policy": "{}"}),
            json!({}),
            "is not a document of statements",
        ),
        (
            policy,
            json!({}),
            json!({"policy": true}),
            "is not known before the apply",
        ),
        (
            policy,
            statement(&json!([{"Effect": "Allow", "Principal": "*"}])),
            json!({}),
            "allows everybody",
        ),
        (
            policy,
            statement(&json!({"Effect": "Allow", "Principal": {"AWS": "*"}})),
            json!({}),
            "allows everybody",
        ),
        (
            policy,
            statement(&json!({"Effect": "Allow", "Principal": {"AWS": ["a", "*"]}})),
            json!({}),
            "allows everybody",
        ),
        (
            policy,
            statement(&json!({"Effect": "Allow", "Principal": {"*": "*"}})),
            json!({}),
            "allows everybody",
        ),
        (
            policy,
            statement(&json!({"Effect": "Allow", "NotPrincipal": {"AWS": "a"}})),
            json!({}),
            "allows everybody",
        ),
        (
            policy,
            statement(&json!({"Effect": "Allow", "Principal": null})),
            json!({}),
            "allows everybody",
        ),
        (
            policy,
            statement(&json!({"Effect": "Allow", "Principal": "*", "Condition": {}})),
            json!({}),
            "allows everybody",
        ),
        (
            policy,
            statement(&json!({"Effect": "Allow", "Principal": "*", "Condition": null})),
            json!({}),
            "allows everybody",
        ),
        (
            policy,
            statement(&json!({"Effect": null, "Principal": "*"})),
            json!({}),
            "is not a document of statements",
        ),
        (
            policy,
            statement(&json!([7])),
            json!({}),
            "is not a document of statements",
        ),
        (
            policy,
            statement(&json!({"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::1:root"}})),
            json!({}),
            "",
        ),
        (
            policy,
            statement(&json!({"Effect": "Deny", "Principal": "*"})),
            json!({}),
            "",
        ),
        (
            policy,
            statement(
                &json!({"Effect": "Allow", "Principal": "*", "Condition": {"StringEquals": {"a": "b"}}}),
            ),
            json!({}),
            "",
        ),
    ];
    for (kind, after, unknown, why) in cases {
        verdict(BUCKETS, kind, &after, &unknown, why);
    }
}

fn verdict(policy: &str, kind: &str, after: &Value, unknown: &Value, why: &str) {
    let said = created(policy, kind, after, unknown);
    let place = format!("{kind} {after} {unknown}: {said:#?}");
    assert!(
        !said.iter().any(|line| line.contains("cannot be evaluated")),
        "{place}"
    );
    if why.is_empty() {
        assert!(said.is_empty(), "{place}");
    } else {
        assert!(said.iter().any(|line| line.contains(why)), "{why}: {place}");
    }
}

#[expect(clippy::too_many_lines, reason = "a table, a case an entry")]
#[test]
fn a45_a_way_in_is_judged_whatever_its_attributes_are() {
    let (group, rule, new) = (
        "aws_security_group",
        "aws_security_group_rule",
        "aws_vpc_security_group_ingress_rule",
    );
    let of = |from: Value, to: Value, source: Value| json!({"type": "ingress", "from_port": from, "to_port": to, "protocol": "tcp", "cidr_blocks": source});
    let world = json!(["0.0.0.0/0"]);
    let cases = [
        (
            rule,
            of(json!(443), json!(443), world.clone()),
            json!({}),
            "",
        ),
        (
            rule,
            of(json!(20), json!(25), world.clone()),
            json!({}),
            "port 22 is open to 0.0.0.0/0",
        ),
        (
            rule,
            of(json!(20), json!(25), json!(["10.0.0.0/8"])),
            json!({}),
            "",
        ),
        (
            rule,
            of(json!(20), json!(25), json!(["::0/0"])),
            json!({}),
            "port 22 is open to ::0/0",
        ),
        (
            rule,
            of(json!("22"), json!("22"), world.clone()),
            json!({}),
            "is not a number",
        ),
        (
            rule,
            of(json!(null), json!(null), world.clone()),
            json!({}),
            "is not a number",
        ),
        (
            rule,
            of(json!(22), json!(22), json!("0.0.0.0/0")),
            json!({}),
            "cannot be read",
        ),
        (
            rule,
            of(json!(22), json!(22), json!([7])),
            json!({}),
            "cannot be read",
        ),
        (
            rule,
            of(json!(22), json!(22), json!(null)),
            json!({"cidr_blocks": true}),
            "cidr_blocks is not known",
        ),
        (
            rule,
            of(json!(22), json!(22), json!([null])),
            json!({"cidr_blocks": [true]}),
            "cidr_blocks is not known",
        ),
        (
            rule,
            json!({"type": "ingress", "cidr_blocks": ["0.0.0.0/0"]}),
            json!({"from_port": true, "to_port": true}),
            "from_port is not known",
        ),
        (
            rule,
            json!({"type": "egress", "cidr_blocks": ["0.0.0.0/0"], "from_port": 22, "to_port": 22}),
            json!({}),
            "",
        ),
        (
            rule,
            json!({"from_port": 22, "to_port": 22, "cidr_blocks": ["0.0.0.0/0"]}),
            json!({"type": true}),
            "type is not known",
        ),
        (
            new,
            json!({"ip_protocol": "-1", "cidr_ipv6": "::/0"}),
            json!({}),
            "port 22 is open to ::/0",
        ),
        (
            new,
            json!({"ip_protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_ipv4": null}),
            json!({"cidr_ipv4": true}),
            "cidr_ipv4 is not known",
        ),
        (
            new,
            json!({"ip_protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_ipv4": 7}),
            json!({}),
            "cannot be read",
        ),
        (group, json!({"ingress": null}), json!({}), ""),
        (group, json!({"ingress": []}), json!({}), ""),
        (
            group,
            json!({"ingress": "x"}),
            json!({}),
            "ingress is not a list of rules",
        ),
        (
            group,
            json!({"ingress": [null]}),
            json!({}),
            "cannot be read",
        ),
        (
            group,
            json!({"ingress": [of(json!(22), json!(22), world)]}),
            json!({}),
            "port 22 is open",
        ),
        (
            group,
            json!({}),
            json!({"ingress": true}),
            "the rules are not known",
        ),
        (
            group,
            json!({"ingress": [of(json!(22), json!(22), json!([null]))]}),
            json!({"ingress": [{"cidr_blocks": [true]}]}),
            "the rules are not known",
        ),
    ];
    for (kind, after, unknown, why) in cases {
        verdict(PORTS, kind, &after, &unknown, why);
    }
}

// Terraform does not know the rules of a group that has none of its own: others may add some, as
// resources of their own.
#[test]
fn a45_a_group_that_the_configuration_gives_no_rules_is_not_held_against_anybody() {
    let mut plan = creating("aws_security_group", &json!({}), &json!({"ingress": true}));
    let configured = |expressions: Value| {
        json!({"root_module": {"module_calls": {"network": {"module": {"resources": [
            {"address": "aws_security_group.x", "type": "aws_security_group", "name": "x", "expressions": expressions}]}}}}})
    };
    *plan.pointer_mut("/configuration").unwrap() =
        configured(json!({"name": {"constant_value": "x"}}));
    let said = denied(PORTS, PlanFormat::TerraformJson, &plan.to_string());
    assert!(said.is_empty(), "{said:#?}");
    *plan.pointer_mut("/configuration").unwrap() =
        configured(json!({"ingress": {"references": ["var.open"]}}));
    let said = denied(PORTS, PlanFormat::TerraformJson, &plan.to_string());
    assert_eq!(
        said,
        ["aws_security_group.x: the rules are not known before the apply"]
    );
}

fn workload(kind: &str, spec: &Value) -> Vec<String> {
    let object = json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web", "namespace": "shop"}, "spec": spec});
    denied(WORKLOADS, PlanFormat::Manifests, &object.to_string())
}

fn template(pod: &Value) -> Value {
    json!({"template": {"spec": pod}})
}

#[test]
fn a45_a_workload_is_judged_whatever_its_attributes_are() {
    let digest = format!("shop@sha256:{}", "a".repeat(64));
    let pod = |rootless: Value, image: Value| json!({"securityContext": {"runAsNonRoot": rootless}, "containers": [{"name": "c", "image": image}]});
    for image in [
        json!("shop:1.2"),
        json!("registry:5000/shop:1.2"),
        json!(digest),
    ] {
        let said = workload("Deployment", &template(&pod(json!(true), image.clone())));
        assert!(said.is_empty(), "{image}: {said:#?}");
    }
    for image in [
        json!("shop"),
        json!("shop:latest"),
        json!("registry:5000/shop"),
        json!(null),
        json!(7),
        json!(""),
    ] {
        let said = workload("Deployment", &template(&pod(json!(true), image.clone())));
        assert_eq!(said.len(), 1, "{image}: {said:#?}");
        assert!(said[0].ends_with("is not pinned"), "{image}: {said:#?}");
    }
    for rootless in [json!(false), json!(null), json!("true"), json!(1)] {
        let said = workload(
            "Deployment",
            &template(&pod(rootless.clone(), json!("shop:1"))),
        );
        assert_eq!(said, ["Deployment web may run as root"], "{rootless}");
    }
    let own = |rootless: Value| json!({"containers": [{"name": "c", "image": "shop:1", "securityContext": {"runAsNonRoot": rootless}}]});
    assert!(workload("StatefulSet", &template(&own(json!(true)))).is_empty());
    let weaker = json!({"securityContext": {"runAsNonRoot": true}, "containers": [{"name": "c", "image": "shop:1"}],
        "initContainers": [{"name": "i", "image": "shop", "securityContext": {"runAsNonRoot": false}}]});
    let said = workload("Job", &template(&weaker));
    assert_eq!(
        said,
        ["Job web may run as root", "Job web: shop is not pinned"]
    );
    let inner = pod(json!(false), json!("shop"));
    assert_eq!(workload("Pod", &inner).len(), 2);
    assert_eq!(
        workload(
            "CronJob",
            &json!({"jobTemplate": {"spec": template(&inner)}})
        )
        .len(),
        2
    );
    for containers in [json!(null), json!("x"), json!({})] {
        let odd = json!({"securityContext": {"runAsNonRoot": true}, "containers": containers});
        let said = workload("Deployment", &template(&odd));
        assert!(
            said.iter()
                .any(|line| line.contains("has no containers that can be read")),
            "{said:#?}"
        );
    }
    assert!(!workload("Deployment", &json!(null)).is_empty());
    assert!(workload("ConfigMap", &json!(null)).is_empty());
}

/// Every place in a value.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                places(inner, &format!("{at}/{key}"), found);
            }
        }
        Value::Array(items) => {
            for (place, inner) in items.iter().enumerate() {
                places(inner, &format!("{at}/{place}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

// Whatever stands at any place of a plan, each policy says in its own words what it makes of it.
#[test]
fn a45_no_shipped_policy_fails_on_a_value_of_another_type() {
    let policies = [BUCKETS, PORTS, STATEFUL, IDENTITY].map(|policy| (policy, shipped(policy)));
    let odd = [
        json!(null),
        json!(7),
        json!("x"),
        json!([]),
        json!({}),
        json!([null]),
        json!({"a": 1}),
        json!(true),
    ];
    for name in ["open", "tags-only"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/plans/{name}.json"));
        let plan: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let changes = plan
            .pointer("/resource_changes")
            .and_then(Value::as_array)
            .unwrap();
        let mut found = Vec::new();
        for number in 0..changes.len() {
            for side in ["before", "after", "after_unknown"] {
                let at = format!("/resource_changes/{number}/change/{side}");
                if let Some(value) = plan.pointer(&at) {
                    places(value, &at, &mut found);
                }
            }
        }
        let mut plans = Vec::new();
        for at in &found {
            for value in &odd {
                let mut plan = plan.clone();
                *plan.pointer_mut(at).unwrap() = value.clone();
                // What is no plan is refused before policies are asked.
                if Document::read(PlanFormat::TerraformJson, plan.to_string().as_bytes()).is_ok() {
                    plans.push((at, value, plan.to_string()));
                }
            }
        }
        assert!(plans.len() > 20, "{name}: {}", plans.len());
        for (at, value, plan) in plans {
            for (policy, set) in &policies {
                let said = denied_by(set, PlanFormat::TerraformJson, &plan);
                let own = |line: &&String| {
                    line.contains("cannot be evaluated") && line.starts_with("data.terraform")
                };
                let failed = said.iter().find(own);
                assert_eq!(failed, None, "{policy}, {name}{at} = {value}");
            }
        }
    }
}
