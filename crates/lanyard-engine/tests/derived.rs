//! From the text of a charter, through `decide`, to what is really asked of AWS and Kubernetes:
//! that never allows what the charter denies. What is denied is said here again, in other words
//! than the product's.
#![expect(
    clippy::wildcard_enum_match_arm,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken assumption has to stop the test"
)]

#[path = "../../lanyard-provider-aws/tests/evaluator/mod.rs"]
mod evaluator;

use std::collections::BTreeSet;
use std::time::Duration;

use evaluator::{Request, Verdict, evaluate};
use lanyard_charter::{AwsGrant, KubernetesGrant, KubernetesRights, parse};
use lanyard_core::decide::{GrantRequest, Permit, Revisions, decide};
use lanyard_core::provider::MintRequest;
use lanyard_provider_aws::policy::session_policy;
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::time::Timestamp;
use proptest::prelude::*;
use proptest::sample::subsequence;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const ACTIONS: &[&str] = &[
    "s3:GetObject",
    "s3:ListBucket",
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:Get*",
    "s3:*",
    "iam:GetRole",
    "sts:AssumeRole",
    "secretsmanager:GetSecretValue",
];
const ASKED: &[&str] = &[
    "s3:GetObject",
    "s3:ListBucket",
    "s3:PutObject",
    "s3:DeleteObject",
    "iam:GetRole",
    "sts:AssumeRole",
    "secretsmanager:GetSecretValue",
];
const RESOURCES: &[&str] = &[
    "pods",
    "deployments",
    "secrets",
    "pods/log",
    "pods/exec",
    "roles",
];
const VERBS: &[&str] = &[
    "get",
    "list",
    "watch",
    "create",
    "delete",
    "escalate",
    "impersonate",
];

#[derive(Debug)]
struct Drawn {
    apply: bool,
    actions: Vec<&'static str>,
    destructive: Vec<&'static str>,
    prohibited: Vec<&'static str>,
    resources: Vec<&'static str>,
    verbs: Vec<&'static str>,
    no_resources: Vec<&'static str>,
}

fn some(of: &'static [&'static str], least: usize) -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(of, least..=3)
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let aws = (some(ACTIONS, 1), some(ASKED, 0), some(ACTIONS, 0));
    let rbac = (some(RESOURCES, 1), some(VERBS, 1), some(RESOURCES, 0));
    (any::<bool>(), aws, rbac).prop_map(
        |(apply, (actions, destructive, prohibited), (resources, verbs, no_resources))| Drawn {
            apply,
            actions,
            destructive,
            prohibited,
            resources,
            verbs,
            no_resources,
        },
    )
}

impl Drawn {
    fn charter(&self) -> String {
        let role = if self.apply { "apply" } else { "plan" };
        let (actions, destructive) = (&self.actions, &self.destructive);
        let (resources, verbs) = (&self.resources, &self.verbs);
        let mut prohibited = String::new();
        if !self.prohibited.is_empty() {
            prohibited += &format!("    - {{aws: {:?}, reason: none of it}}\n", self.prohibited);
        }
        if !self.no_resources.is_empty() {
            prohibited += &format!(
                "    - {{kubernetes: {{resources: {:?}}}, reason: none of it}}\n",
                self.no_resources
            );
        }
        if !prohibited.is_empty() {
            prohibited.insert_str(0, "  prohibited:\n");
        }
        format!(
            "apiVersion: lanyard.dev/v1\nkind: Charter\nmetadata: {{name: payments-terraform}}\nspec:\n  \
             purpose: To be drawn.\n  owners: {{business: a@b.example, technical: a@b.example, security: a@b.example}}\n  \
             agents: [{{issuer: 'https://agents.acme.example', subject: 'agent:terraformer'}}]\n  \
             environments: {{staging: {{autonomy: execute-sandbox}}}}\n  \
             limits: {{ttl: 10m, task: 2h, live_leases: 5, mints: {{count: 30, per: 1h}}}}\n{prohibited}  grants:\n    \
             - name: on-aws\n      role: {role}\n      environments: [staging]\n      aws:\n        target: payments-aws\n        \
             allow: [{{actions: {actions:?}, resources: ['arn:aws:s3:::state', 'arn:aws:s3:::state/*']}}]\n        \
             destructive: {destructive:?}\n    \
             - name: on-cluster\n      role: {role}\n      environments: [staging]\n      kubernetes:\n        \
             target: payments-cluster\n        namespace: payments\n        \
             rules: [{{apiGroups: [apps], resources: {resources:?}, verbs: {verbs:?}}}]\n"
        )
    }
}

/// Returns what the engine would ask for a grant, if the charter loads and says yes.
fn permitted(text: &str, grant: &str) -> Option<(Permit, MintRequest)> {
    let charter = parse(text, &world::world()).ok()?.charter;
    let ids = Ids::seeded(1);
    let mut task = world::task(&ids, NOW);
    task.revision = charter.revision.clone();
    let request = GrantRequest {
        watched: false,
        sponsor: None,
        ancestors: &[],
        emergency: None,
        task: &task,
        grant: &world::name(grant),
        ttl: None,
        plan: None,
        worst_case: Duration::ZERO,
        now: NOW,
    };
    let revisions = Revisions {
        pinned: &charter,
        in_force: &charter,
    };
    let permit = decide(revisions, &request).ok()?;
    let kind = lanyard_charter::TargetKind::AWS;
    let asked = MintRequest {
        rights: permit.grant().rights.clone(),
        prohibited: permit.prohibited().to_vec(),
        destructive: permit.destructive().clone(),
        role: permit.grant().role,
        expires: permit.expires(),
        ..world::request(kind, ids.lease(), &task, NOW)
    };
    Some((permit, asked))
}

/// `s3:Get*` and the like, by hand.
fn covers(pattern: &str, action: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => action.starts_with(start),
        None => pattern == action,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_asked_of_aws_allows_nothing_that_the_charter_denies(drawn in drawn()) {
        let Some((_, asked)) = permitted(&drawn.charter(), "on-aws") else {
            return Ok(());
        };
        let Some(grant) = asked.rights.get::<AwsGrant>() else { panic!("another kind") };
        let Ok(policy) = session_policy(grant, &asked) else {
            return Ok(());
        };
        for action in ASKED {
            for resource in ["arn:aws:s3:::state/a", "arn:aws:s3:::other/a"] {
                let verdict = evaluate(&policy, &Request {
                    action,
                    resource,
                    now: "2027-01-15T08:05:00Z",
                    issued: "2027-01-15T08:00:00Z",
                    source_identity: "L-0",
                });
                let denied = resource.contains("other")
                    // Rights to read IAM are given by name alone; the rest of IAM stays denied.
                    || (action.starts_with("iam:") && !drawn.actions.contains(action))
                    || action.starts_with("sts:")
                    || !drawn.actions.iter().any(|granted| covers(granted, action))
                    || drawn.prohibited.iter().any(|pattern| covers(pattern, action))
                    || drawn.destructive.contains(action)
                    || (!drawn.apply && !["s3:GetObject", "s3:ListBucket", "iam:GetRole"].contains(action));
                prop_assert!(!(denied && verdict == Verdict::Allowed), "{action} on {resource}: {policy}");
            }
        }
    }

    #[test]
    fn what_is_asked_of_a_cluster_holds_nothing_that_the_charter_denies(drawn in drawn()) {
        let Some((_, asked)) = permitted(&drawn.charter(), "on-cluster") else {
            return Ok(());
        };
        let Some(grant) = asked.rights.get::<KubernetesGrant>() else { panic!("another kind") };
        let KubernetesRights::Rules(rules) = &grant.rights else { panic!("another kind") };
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<BTreeSet<_>>();
        for rule in rules {
            prop_assert!(rule.resources.is_subset(&texts(&drawn.resources)));
            prop_assert!(rule.verbs.is_subset(&texts(&drawn.verbs)));
            prop_assert!(rule.resources.is_disjoint(&texts(&["secrets", "roles"])));
            prop_assert!(rule.verbs.is_disjoint(&texts(&["escalate", "impersonate"])));
            prop_assert!(rule.resources.is_disjoint(&texts(&drawn.no_resources)));
            if asked.role == Role::Plan {
                prop_assert!(rule.verbs.is_subset(&texts(&["get", "list", "watch"])));
                prop_assert!(!rule.resources.contains("pods/exec"));
            }
        }
    }
}

/// The two properties say something: some drawn charters load and are permitted.
#[test]
fn a_harmless_drawing_is_permitted() {
    let drawn = Drawn {
        apply: false,
        actions: vec!["s3:GetObject"],
        destructive: Vec::new(),
        prohibited: vec!["s3:PutObject"],
        resources: vec!["pods"],
        verbs: vec!["get"],
        no_resources: vec!["secrets"],
    };
    let text = drawn.charter();
    let faults = parse(&text, &world::world()).err();
    assert!(faults.is_none(), "{faults:?}\n{text}");
    for grant in ["on-aws", "on-cluster"] {
        assert!(permitted(&text, grant).is_some(), "{grant}");
    }
}
