//! What a session policy allows and denies.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test may panic"
)]

mod evaluator;

use std::collections::{BTreeMap, BTreeSet};

use evaluator::{Request, Verdict, evaluate};
use lanyard_charter::{
    ActionPattern, AwsGrant, AwsStatement, ConditionKey, Conditions, ProhibitedActions,
    Prohibition, ResourcePattern, TargetKind, Test,
};
use lanyard_core::provider::{MintRequest, PrepareError};
use lanyard_document::Position;
use lanyard_provider_aws::policy::{SESSION_POLICY_LIMIT, session_policy};
use lanyard_testkit::{ids::Ids, world};
use lanyard_vocabulary::time::Timestamp;
use proptest::prelude::*;

const BEFORE: &str = "2027-01-15T08:05:00Z";
const AFTER: &str = "2027-01-15T08:10:01Z";

fn request() -> MintRequest {
    let (ids, now) = (Ids::seeded(7), Timestamp::from_secs(1_800_000_000));
    let task = world::task(&ids, now);
    world::request(TargetKind::AWS, ids.lease(), &task, now)
}

fn grant(request: &MintRequest) -> AwsGrant {
    let Some(grant) = request.rights.get::<AwsGrant>() else {
        panic!("not an aws grant: {:?}", request.rights)
    };
    grant.clone()
}

fn actions(of: &[&str]) -> BTreeSet<ActionPattern> {
    of.iter()
        .map(|&text| ActionPattern(text.to_owned()))
        .collect()
}

fn resources(of: &[&str]) -> BTreeSet<ResourcePattern> {
    of.iter()
        .map(|&text| ResourcePattern(text.to_owned()))
        .collect()
}

fn verdict(policy: &str, action: &str, resource: &str, now: &str) -> Verdict {
    let (issued, source_identity) = ("2027-01-15T08:00:00Z", "L-0");
    evaluate(
        policy,
        &Request {
            action,
            resource,
            now,
            issued,
            source_identity,
        },
    )
}

#[test]
fn the_sample_session_is_as_written_down() {
    let request = request();
    let policy = session_policy(&grant(&request), &request).unwrap();
    assert_eq!(policy, include_str!("golden/session.json").trim_end());
}

// T34, and the time denial that ends a lease earlier than STS's minimum of fifteen minutes.
#[test]
fn t34_a_session_ends_on_time_and_never_reaches_iam_or_sts() {
    let request = request();
    let mut grant = grant(&request);
    grant.allow[0].resources = resources(&["*"]);
    let policy = session_policy(&grant, &request).unwrap();
    let object = "arn:aws:s3:::tfstate-payments/a";
    assert_eq!(
        verdict(&policy, "s3:GetObject", object, BEFORE),
        Verdict::Allowed
    );
    assert_eq!(
        verdict(&policy, "s3:GetObject", object, AFTER),
        Verdict::Denied
    );
    assert_eq!(
        verdict(&policy, "s3:PutObject", object, BEFORE),
        Verdict::Silent
    );
    for action in ["sts:AssumeRole", "STS:GetFederationToken", "iam:PassRole"] {
        assert_eq!(
            verdict(&policy, action, "*", BEFORE),
            Verdict::Denied,
            "{action}"
        );
    }
}

#[test]
fn a_destructive_action_is_denied_until_the_approval_names_it() {
    let mut request = request();
    let mut grant = grant(&request);
    grant.allow[0].actions = actions(&["s3:*"]);
    grant.destructive = actions(&["s3:DeleteObject", "s3:DeleteBucket"]);
    let object = "arn:aws:s3:::tfstate-payments/a";
    let policy = session_policy(&grant, &request).unwrap();
    assert_eq!(
        verdict(&policy, "s3:DeleteObject", object, BEFORE),
        Verdict::Denied
    );
    request.destructive = actions(&["s3:DeleteObject"]);
    let policy = session_policy(&grant, &request).unwrap();
    assert_eq!(
        verdict(&policy, "s3:DeleteObject", object, BEFORE),
        Verdict::Allowed
    );
    assert_eq!(
        verdict(&policy, "s3:DeleteBucket", object, BEFORE),
        Verdict::Denied
    );
}

// T32
#[test]
fn t32_a_policy_over_the_limit_is_refused_with_its_size() {
    let request = request();
    let mut grant = grant(&request);
    let fits = session_policy(&grant, &request).unwrap().len();
    let long = "a".repeat(SESSION_POLICY_LIMIT - fits - r#","arn:aws:s3:::""#.len());
    grant.allow[0]
        .resources
        .insert(ResourcePattern(format!("arn:aws:s3:::{long}")));
    assert_eq!(
        session_policy(&grant, &request).unwrap().len(),
        SESSION_POLICY_LIMIT
    );
    grant.allow[0]
        .resources
        .insert(ResourcePattern("a".to_owned()));
    let error = session_policy(&grant, &request).unwrap_err();
    assert!(
        matches!(
            error,
            PrepareError::TooLarge {
                size: 2052,
                limit: 2048,
                ..
            }
        ),
        "{error}"
    );
}

// T29, T30, rule 10
#[test]
fn t30_a_value_that_could_match_more_is_refused() {
    let request = request();
    let try_with = |action: &str, resource: &str| {
        let mut grant = grant(&request);
        grant.allow = vec![AwsStatement {
            actions: actions(&[action]),
            resources: resources(&[resource]),
            when: Conditions::default(),
            unnarrowed: None,
        }];
        session_policy(&grant, &request)
    };
    assert!(try_with("s3:GetObject", "*").is_ok());
    for action in [
        "*",
        "*:*",
        "s*:Get",
        "iam:CreateRole",
        "iam:*Role",
        "iam:PassRole",
        "iam:GetSoon",
        "STS:AssumeRole",
        "s3:",
        "s3:\",\"*",
    ] {
        assert!(try_with(action, "*").is_err(), "{action}");
    }
    for resource in [
        "arn:aws:s3:::${aws:username}",
        "arn:aws:s3:::a\nb",
        "arn:aws:s3:::\u{202e}",
    ] {
        assert!(try_with("s3:GetObject", resource).is_err(), "{resource:?}");
    }
    // T29: a quote inside a value is a character of that value.
    let policy = try_with("s3:GetObject", r#"arn:aws:s3:::a","*"#).unwrap();
    assert_eq!(
        verdict(&policy, "s3:GetObject", "arn:aws:s3:::b", BEFORE),
        Verdict::Silent
    );
}

/// Each type of condition key has its own operators, and every key occurs once.
#[test]
fn iam9_conditions_are_compiled_by_the_type_of_their_key() {
    let request = request();
    let mut grant = grant(&request);
    grant.allow[0].when = when(&[
        ("s3:prefix", &["a/*", "b"]),
        ("aws:RequestedRegion", &["eu-west-1"]),
        ("aws:SecureTransport", &["true"]),
        ("aws:SourceIp", &["192.0.2.0/24"]),
        (
            "lambda:FunctionArn",
            &["arn:aws:lambda:eu-west-1:111122223333:function:x*"],
        ),
    ]);
    let policy = session_policy(&grant, &request).unwrap();
    let expected = r#""Condition":{"ArnLike":{"lambda:FunctionArn":"arn:aws:lambda:eu-west-1:111122223333:function:x*"},"Bool":{"aws:SecureTransport":"true"},"IpAddress":{"aws:SourceIp":"192.0.2.0/24"},"StringEquals":{"aws:RequestedRegion":"eu-west-1"},"StringLike":{"s3:prefix":["a/*","b"]}}"#;
    assert!(policy.contains(expected), "{policy}");
}

/// T34: where a grant reads IAM or passes a role, all other IAM actions are denied by name.
#[test]
fn iam9_a_session_that_reads_iam_or_passes_a_role_is_denied_the_rest_of_iam() {
    let mut request = request();
    // The sample charter prohibits all of IAM.
    request.prohibited = Vec::new();
    let mut grant = grant(&request);
    grant.allow[0].actions = actions(&["iam:Get*"]);
    grant.allow[0].resources = resources(&["*"]);
    grant.except = actions(&["iam:GetLoginProfile"]);
    let policy = session_policy(&grant, &request).unwrap();
    let is = |action: &str| verdict(&policy, action, "*", BEFORE);
    assert_eq!(is("iam:GetRole"), Verdict::Allowed);
    for action in [
        "iam:PutRolePolicy",
        "iam:PassRole",
        "iam:CreateUser",
        "iam:GetLoginProfile",
        "iam:ListRoles",
        "sts:AssumeRole",
    ] {
        assert_eq!(is(action), Verdict::Denied, "{action}");
    }
    grant.except = BTreeSet::new();
    grant.allow[0].actions = actions(&["iam:PassRole"]);
    grant.allow[0].resources = resources(&["arn:aws:iam::111122223333:role/worker"]);
    assert!(
        session_policy(&grant, &request).is_err(),
        "no service is named"
    );
    grant.allow[0].when = when(&[("iam:PassedToService", &["lambda.amazonaws.com"])]);
    let policy = session_policy(&grant, &request).unwrap();
    let is = |action: &str| verdict(&policy, action, "*", BEFORE);
    for action in [
        "iam:PutRolePolicy",
        "iam:GetRole",
        "iam:CreateUser",
        "iam:UpdateAssumeRolePolicy",
    ] {
        assert_eq!(is(action), Verdict::Denied, "{action}");
    }
    assert_ne!(is("iam:PassRole"), Verdict::Denied);
}

fn when(of: &[(&str, &[&str])]) -> Conditions {
    let mut when = Conditions::default();
    for (key, values) in of {
        let (key, kind) = ConditionKey::parse(key).expect("a condition key");
        let values = values.iter().map(|&value| value.to_owned()).collect();
        when.add(key, Test { kind, values });
    }
    when
}

fn patterns(of: &'static str) -> impl Strategy<Value = BTreeSet<String>> {
    proptest::collection::btree_set(of, 1..4)
}

fn as_actions(of: &BTreeSet<String>) -> BTreeSet<ActionPattern> {
    of.iter().cloned().map(ActionPattern).collect()
}

proptest! {
    // Names of two letters in both cases, so that patterns match requests often.
    #[test]
    fn a_session_allows_exactly_what_the_matchers_do(
        allowed in patterns("s:[abAB*?]{1,4}"), resources in patterns("[xy*?]{1,4}"),
        prohibited in patterns("s:[abAB*?]{1,4}"), destructive in patterns("s:[abAB*?]{1,4}"),
        excepted in proptest::collection::btree_set("s:[abAB*?]{1,4}", 0..2),
        approve in any::<bool>(), action in "s:[abAB]{1,4}", arn in "[xy]{1,4}",
    ) {
        let mut request = request();
        let grant = AwsGrant {
            allow: vec![AwsStatement {
                actions: as_actions(&allowed),
                resources: resources.into_iter().map(ResourcePattern).collect(),
                when: Conditions::default(),
                unnarrowed: None,
            }],
            destructive: as_actions(&destructive),
            except: as_actions(&excepted),
            approved: BTreeSet::new(),
        };
        request.prohibited = vec![Prohibition {
            what: ProhibitedActions(as_actions(&prohibited).into_iter().collect()).into(),
            reason: "a test".to_owned(),
            at: Position { line: 1, column: 1 },
        }];
        if approve {
            request.destructive = grant.destructive.iter().take(1).cloned().collect();
        }
        let policy = session_policy(&grant, &request).unwrap();
        let denied = as_actions(&prohibited).iter().any(|one| one.matches(&action))
            || grant.except.iter().any(|one| one.matches(&action))
            || grant.destructive.difference(&request.destructive).any(|one| one.matches(&action));
        let may = !denied && grant.allow.iter().any(|one| one.matches(&action, &arn, &BTreeMap::new()));
        let found = verdict(&policy, &action, &arn, BEFORE);
        prop_assert_eq!(found == Verdict::Allowed, may, "{}", policy);
        prop_assert_ne!(verdict(&policy, &action, &arn, AFTER), Verdict::Allowed);
    }
}
