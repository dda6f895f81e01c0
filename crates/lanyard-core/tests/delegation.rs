//! A delegated task gets what its own charter and every charter above allow, and never more.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its footing gives way"
)]

use std::time::Duration;

use lanyard_charter::{AwsGrant, Charter, World, parse};
use lanyard_core::decide::{Ancestor, Denial, GrantRequest, Permit, Revisions, Rule, decide};
use lanyard_core::task::Task;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::TaskId;
use lanyard_vocabulary::identity::{Evidence, Identity};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::{Timestamp, Ttl};
use proptest::prelude::*;
use proptest::sample::subsequence;

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

fn charter(name: &str, spec: &str) -> Charter {
    let text = format!(
        "apiVersion: lanyard.dev/v1\nkind: Charter\nmetadata: {{name: {name}}}\nspec:\n  purpose: Test.\n  \
         owners: {{business: a@x.example, technical: b@x.example, security: c@x.example}}\n  \
         agents: [{{issuer: https://i.example, subject: '{name}'}}]\n  environments: {{staging: {{autonomy: execute-sandbox}}}}\n{spec}"
    );
    let declared = include_str!("../../../tests/charters/lanyard.yaml");
    let world = World::of_configuration(declared).unwrap();
    match parse(&text, &world) {
        Ok(parsed) => parsed.charter,
        Err(findings) => {
            let lines: Vec<_> = findings.iter().map(|finding| finding.line("x")).collect();
            unreachable!("{lines:#?}\n{text}")
        }
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn task(of: &Charter, bits: u128, above: Option<&Task>) -> Task {
    let identity = Identity {
        issuer: "https://i.example".to_owned(),
        subject: of.name.to_string(),
    };
    Task {
        id: TaskId::from_bits(bits),
        charter: of.name.clone(),
        revision: of.revision.clone(),
        environment: name("staging"),
        agent: AgentName(identity.to_string()),
        identity,
        evidence: Evidence::default(),
        sponsor: None,
        reason: String::new(),
        ticket: None,
        version: None,
        lineage: above.map(Task::lineage_below).unwrap_or_default(),
        opened: NOW,
        expires: NOW + Duration::from_secs(3600),
    }
}

/// Decides for a task under `child` that was opened under one of `parent`.
fn delegated(parent: &Charter, child: &Charter, grant: &str) -> Result<Permit, Denial> {
    let above = task(parent, 1, None);
    let own = task(child, 2, Some(&above));
    let ancestors = [Ancestor {
        task: &above,
        revisions: Revisions::of(parent),
    }];
    decide(
        Revisions::of(child),
        &request(&own, &name(grant), &ancestors),
    )
}

fn alone(child: &Charter, grant: &str) -> Result<Permit, Denial> {
    let own = task(child, 2, None);
    decide(Revisions::of(child), &request(&own, &name(grant), &[]))
}

fn request<'a>(task: &'a Task, grant: &'a Name, ancestors: &'a [Ancestor<'a>]) -> GrantRequest<'a> {
    GrantRequest {
        task,
        grant,
        ttl: None,
        plan: None,
        watched: false,
        sponsor: None,
        ancestors,
        emergency: None,
        worst_case: Duration::ZERO,
        now: NOW,
    }
}

const LIMITS: &str =
    "  limits: {ttl: 10m, task: 1h, live_leases: 5, mints: {count: 30, per: 1h}}\n";

/// A name, actions, and resources.
type Reads<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

fn aws(grants: &[Reads<'_>]) -> String {
    let entry = |(name, actions, resources): &Reads<'_>| {
        format!(
            "    - {{name: {name}, role: plan, environments: [staging], aws: {{target: payments-prod, allow: [{{actions: ['{}'], \
             resources: ['{}']}}]}}}}\n",
            actions.join("', '"),
            resources.join("', '")
        )
    };
    let entries: String = grants.iter().map(entry).collect();
    format!("  grants:\n{entries}{LIMITS}")
}

const ACTIONS: &[&str] = &[
    "s3:GetObject",
    "s3:GetObject*",
    "s3:ListBucket",
    "s3:GetBucketAcl",
];
const ASKED: &[&str] = &[
    "s3:GetObject",
    "s3:GetObjectAcl",
    "s3:ListBucket",
    "s3:GetBucketAcl",
];
const RESOURCES: &[&str] = &["arn:aws:s3:::a/*", "arn:aws:s3:::a/b", "arn:aws:s3:::c"];
const OBJECTS: &[&str] = &["arn:aws:s3:::a/b", "arn:aws:s3:::a/d", "arn:aws:s3:::c"];

fn allows(permit: &Permit, action: &str, resource: &str) -> bool {
    let Some(rights) = permit.grant().rights.get::<AwsGrant>() else {
        return false;
    };
    let mut statements = rights.allow.iter();
    let context = std::collections::BTreeMap::new();
    statements.any(|statement| statement.matches(action, resource, &context))
}

proptest! {
    // T17, T40
    #[test]
    fn what_is_delegated_is_allowed_by_both_charters(
        one in subsequence(ACTIONS, 1..=ACTIONS.len()), two in subsequence(ACTIONS, 1..=ACTIONS.len()),
        three in subsequence(ACTIONS, 1..=ACTIONS.len()), first in subsequence(RESOURCES, 1..=RESOURCES.len()),
        second in subsequence(RESOURCES, 1..=RESOURCES.len()), third in subsequence(RESOURCES, 1..=RESOURCES.len()),
    ) {
        let parent = aws(&[
            ("r1", &one, &first),
            ("r2", &two, &second),
        ]);
        let parent = charter("parent", &format!("  delegates: [child]\n{parent}"));
        let child = charter("child", &aws(&[("own", &three, &third)]));
        let (mine, both) = (alone(&child, "own").unwrap(), delegated(&parent, &child, "own"));
        let above = ["r1", "r2"].map(|grant| alone(&parent, grant).unwrap());
        for action in ASKED {
            for object in OBJECTS {
                let given = both.as_ref().is_ok_and(|permit| allows(permit, action, object));
                let wanted = allows(&mine, action, object) && above.iter().any(|permit| allows(permit, action, object));
                prop_assert!(!given || wanted, "{action} {object}");
                // Nothing is lost where an entry of one side holds the other's whole.
                let exact = three.contains(action) && third.contains(object);
                prop_assert!(given || !(wanted && exact), "{action} {object} is lost");
            }
        }
    }
}

fn parent(more: &str) -> Charter {
    let grants = aws(&[("read", &["s3:GetObject"], &["arn:aws:s3:::a/*"])]);
    charter(
        "parent",
        &format!(
            "  delegates: [child]\n{}{more}",
            grants.replace("ttl: 10m", "ttl: 4m")
        ),
    )
}

fn child() -> Charter {
    charter(
        "child",
        &aws(&[("read", &["s3:GetObject*"], &["arn:aws:s3:::a/*"])]),
    )
}

fn rule(outcome: Result<Permit, Denial>) -> (Name, Rule) {
    let denial = outcome.unwrap_err();
    (denial.charter, denial.rule)
}

#[test]
fn limits_prohibitions_and_people_of_both_charters_count() {
    let permit = delegated(&parent(""), &child(), "read").unwrap();
    assert_eq!(permit.expires(), NOW + Duration::from_secs(240));
    assert_eq!(permit.limits().ttl, Ttl::from_secs(240).unwrap());
    assert_eq!(permit.above(), [(name("parent"), parent("").revision)]);
    assert!(!allows(&permit, "s3:GetObjectAcl", "arn:aws:s3:::a/b"));

    let strict = parent(
        "  prohibited: [{aws: ['s3:GetObjectAcl'], reason: theirs}]\n  approvals: [{when: {role: plan}, people: 2}]\n",
    );
    let permit = delegated(&strict, &child(), "read").unwrap();
    assert_eq!(permit.prohibited().len(), 1);
    assert_eq!(permit.requirement().map(|needed| needed.people), Some(2));
}

#[test]
fn every_rule_above_can_say_no() {
    let above = name("parent");
    let closed = parent("  expires: 2020-01-01\n");
    assert_eq!(
        rule(delegated(&closed, &child(), "read")),
        (above.clone(), Rule::Expires)
    );
    let shadow = parent("  mode: shadow\n");
    assert_eq!(
        rule(delegated(&shadow, &child(), "read")),
        (above.clone(), Rule::Shadow)
    );
    let frozen =
        parent("  freezes: [{from: 2020-01-01, to: 2099-01-01, roles: [plan], reason: x}]\n");
    assert_eq!(
        rule(delegated(&frozen, &child(), "read")),
        (above.clone(), Rule::Freezes)
    );
    let other = charter(
        "parent",
        &format!("  delegates: [other]\n{}", aws(&[])).replace("grants:\n", "grants: []\n"),
    );
    assert_eq!(
        rule(delegated(&other, &child(), "read")),
        (above.clone(), Rule::Delegates)
    );
    let nothing = charter(
        "parent",
        &format!("  delegates: [child]\n{}", aws(&[])).replace("grants:\n", "grants: []\n"),
    );
    assert_eq!(
        rule(delegated(&nothing, &child(), "read")),
        (above, Rule::Delegates)
    );
}
