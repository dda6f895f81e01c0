//! What a plan changes in the answer: what a grant calls destructive is in a credential only where
//! the plan names it, whatever the target is, and what judges say of the plan, or cannot say,
//! counts under every charter.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its footing gives way"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use lanyard_charter::plan::{PlanFormat, Risk};
use lanyard_charter::reach::{Effects, Named, PlanReach, Sensitive};
use lanyard_charter::{
    ActionPattern, Charter, KubernetesGrant, KubernetesObject, Policy, World, parse,
};
use lanyard_core::decide::{Denial, GrantRequest, Permit, Revisions, Rule, decide};
use lanyard_core::plan::{Judgement, Plan};
use lanyard_core::task::Task;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::digest::Digest;
use lanyard_vocabulary::id::{PlanId, TaskId};
use lanyard_vocabulary::identity::{Evidence, Identity};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::Timestamp;

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

/// A charter with one grant, or what is wrong with it.
fn charter(grant: &str) -> Result<Charter, String> {
    let text = format!(
        "apiVersion: lanyard.dev/v1\nkind: Charter\nmetadata: {{name: c}}\nspec:\n  purpose: Test.\n  \
         owners: {{business: a@x.example, technical: b@x.example, security: c@x.example}}\n  \
         agents: [{{issuer: https://i.example, subject: c}}]\n  environments: {{staging: {{autonomy: execute-sandbox}}}}\n  \
         grants:\n    - {{name: change, role: apply, environments: [staging], {grant}}}\n  \
         limits: {{ttl: 10m, task: 1h, live_leases: 5, mints: {{count: 30, per: 1h}}}}\n"
    );
    let world = World {
        environments: [(name("staging"), lanyard_charter::EnvironmentKind::Sandbox)].into(),
        targets: [
            (name("cluster"), lanyard_charter::TargetKind::KUBERNETES),
            (name("vault"), lanyard_charter::TargetKind::VAULT),
            (name("github"), lanyard_charter::TargetKind::GITHUB),
        ]
        .into(),
        ..World::default()
    };
    parse(&text, &world)
        .map(|parsed| parsed.charter)
        .map_err(|findings| findings.iter().map(|it| it.line("c") + "\n").collect())
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

const RULES: &str = "rules: [{apiGroups: [apps], resources: [deployments/scale, statefulsets/scale], verbs: [get, patch, delete]}]";

fn cluster(destructive: &str) -> Result<Charter, String> {
    charter(&format!(
        "kubernetes: {{target: cluster, namespace: p, {RULES}, destructive: [{destructive}]}}"
    ))
}

fn planned(task: &Task, named: &[&str], reach: bool) -> Plan {
    let web = KubernetesObject {
        group: "apps".to_owned(),
        resource: "deployments".to_owned(),
        namespace: "p".to_owned(),
        name: "web".to_owned(),
        created: false,
    };
    let objects = PlanReach::default().with(Named {
        named: [web].into(),
        unnamed: BTreeSet::new(),
    });
    Plan {
        id: PlanId::from_bits(0),
        task: task.id,
        grant: name("change"),
        namespace: None,
        format: PlanFormat::Manifests,
        digest: Digest::of(b""),
        size: 0,
        summary: String::new(),
        destructive: named
            .iter()
            .map(|it| ActionPattern((*it).to_owned()))
            .collect(),
        effects: Effects::default(),
        rehearsed: None,
        sensitive: Sensitive::default(),
        beyond: None,
        narrowing: None,
        counted: None,
        reach: reach.then_some(objects),
        rehearsal: None,
        judgements: vec![Judgement {
            risk: Risk::Low,
            ..Judgement::unread(Policy::digest(&[]))
        }],
        submitted: NOW,
        approval: None,
    }
}

fn asked(charter: &Charter, destructive: Option<&[&str]>, reach: bool) -> Result<Permit, Denial> {
    with(charter, |task| {
        destructive.map(|named| planned(task, named, reach))
    })
}

/// Decides with a plan of the task.
fn with(charter: &Charter, plan: impl FnOnce(&Task) -> Option<Plan>) -> Result<Permit, Denial> {
    let identity = Identity {
        issuer: "https://i.example".to_owned(),
        subject: "c".to_owned(),
    };
    let task = Task {
        id: TaskId::from_bits(1),
        charter: charter.name.clone(),
        revision: charter.revision.clone(),
        environment: name("staging"),
        agent: AgentName(identity.to_string()),
        identity,
        evidence: Evidence::default(),
        sponsor: None,
        reason: String::new(),
        ticket: None,
        version: None,
        lineage: Vec::new(),
        opened: NOW,
        expires: NOW + Duration::from_secs(3600),
    };
    let plan = plan(&task);
    let request = GrantRequest {
        task: &task,
        grant: &name("change"),
        ttl: None,
        plan: plan.as_ref(),
        watched: false,
        sponsor: None,
        ancestors: &[],
        emergency: None,
        worst_case: Duration::ZERO,
        now: NOW,
    };
    decide(Revisions::of(charter), &request)
}

fn lines(permit: &Permit) -> String {
    permit
        .grant()
        .rights
        .lines()
        .into_iter()
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn s41_what_rbac_calls_destructive_is_in_no_rule_unless_the_plan_names_it() {
    let charter = cluster("delete deployments/scale.apps").unwrap();
    for (named, reach, deletes) in [
        (None, false, false),
        (Some(&[][..]), false, false),
        (Some(&[][..]), true, false),
        (Some(&["delete deployments/scale.apps"][..]), false, true),
        (Some(&["delete deployments/scale.apps"][..]), true, true),
    ] {
        let permit = asked(&charter, named, reach).unwrap();
        let Some(grant) = permit.grant().rights.get::<KubernetesGrant>() else {
            unreachable!("a grant on a cluster");
        };
        let lanyard_charter::KubernetesRights::Rules(rules) = &grant.rights else {
            unreachable!("a grant with rules");
        };
        let gives = |verb: &str, resource: &str, group: &str| {
            let has = |of: &BTreeSet<String>, what: &str| of.contains(what);
            rules.iter().any(|rule| {
                has(&rule.verbs, verb)
                    && has(&rule.resources, resource)
                    && has(&rule.api_groups, group)
            })
        };
        assert_eq!(
            gives("delete", "deployments/scale", "apps"),
            deletes,
            "{named:?}: {}",
            lines(&permit)
        );
        assert!(gives("patch", "deployments/scale", "apps"), "{named:?}");
        // What is not called destructive is as the rules have it.
        assert_eq!(
            gives("delete", "statefulsets/scale", "apps"),
            !reach,
            "{named:?}: {}",
            lines(&permit)
        );
    }
    let unknown = asked(&charter, Some(&["delete jobs.batch"]), true).unwrap_err();
    assert_eq!(unknown.rule, Rule::Grants);
    assert!(unknown.message.contains("delete jobs.batch"), "{unknown}");
}

#[test]
fn c15_a_plan_that_was_judged_for_another_namespace_is_submitted_again() {
    let charter = cluster("").unwrap();
    let judged_for = |namespace: Option<&str>| {
        with(&charter, |task| {
            Some(Plan {
                namespace: namespace.map(str::to_owned),
                ..planned(task, &[], true)
            })
        })
    };
    judged_for(Some("p")).unwrap();
    // An earlier broker recorded none.
    judged_for(None).unwrap();
    let denial = judged_for(Some("q")).unwrap_err();
    assert_eq!(denial.rule, Rule::Policies);
    assert_eq!(
        denial.message,
        "policies judged the plan for namespace q, and grant change is for namespace p now"
    );
    assert_eq!(denial.next, "submit the plan again");
}

#[test]
fn s41_a_grant_of_nothing_but_destruction_gives_nothing_without_a_plan_that_names_it() {
    let charter = charter(
        "kubernetes: {target: cluster, namespace: p, rules: [{apiGroups: [apps], resources: [deployments/scale], verbs: [delete]}], \
         destructive: [delete deployments/scale.apps]}",
    )
    .unwrap();
    let denial = asked(&charter, None, false).unwrap_err();
    assert!(denial.message.contains("destructive"), "{denial}");
    asked(&charter, Some(&["delete deployments/scale.apps"]), true).unwrap();
}

#[test]
fn s41_where_nothing_can_be_held_back_the_charter_or_the_plan_is_refused() {
    for (what, grant) in [
        ("LC105", format!("kubernetes: {{target: cluster, namespace: p, {RULES}, destructive: [delete pods]}}")),
        ("VERB RESOURCE", format!("kubernetes: {{target: cluster, namespace: p, {RULES}, destructive: ['s3:DeleteBucket']}}")),
        ("ClusterRole", "kubernetes: {target: cluster, namespace: p, clusterRole: edit, destructive: [delete pods]}".to_owned()),
        ("destructive", "vault: {target: vault, policies: [p], destructive: [delete secret]}".to_owned()),
        ("destructive", "github: {target: github, repositories: [r], permissions: {contents: write}, destructive: [delete branch]}".to_owned()),
    ] {
        let faults = match charter(&grant) {
            Err(faults) => faults,
            Ok(charter) => unreachable!("{what}: {charter:?}"),
        };
        assert!(faults.contains(what), "{what}: {faults}");
    }
    for grant in [
        "vault: {target: vault, policies: [p]}",
        "github: {target: github, repositories: [r], permissions: {contents: write}}",
    ] {
        let charter = charter(grant).unwrap();
        asked(&charter, Some(&[]), false).unwrap();
        let denial = asked(&charter, Some(&["delete branch"]), false).unwrap_err();
        assert!(denial.message.contains("delete branch"), "{denial}");
    }
}

const SCALES: &str = "delete deployments/scale.apps";

#[test]
fn s19_what_keeps_a_judge_from_an_answer_denies_without_policies_as_well() {
    let charter = cluster(SCALES).unwrap();
    assert!(charter.plans.is_none());
    let judged = |judgements: &dyn Fn(Vec<Judgement>) -> Vec<Judgement>| {
        with(&charter, |task| {
            let plan = planned(task, &[], true);
            let judgements = judgements(plan.judgements);
            Some(Plan { judgements, ..plan })
        })
    };
    assert!(judged(&|as_they_are| as_they_are).is_ok());
    let denied = judged(&|mut judgements| {
        for judgement in &mut judgements {
            judgement.denied = vec!["the policies cannot be evaluated: no memory".to_owned()];
        }
        judgements
    });
    let denied = denied.unwrap_err();
    assert_eq!(denied.rule, Rule::Policies);
    assert!(denied.message.contains("no memory"), "{denied}");
    let unasked = judged(&|_| Vec::new()).unwrap_err();
    assert_eq!(unasked.rule, Rule::Policies);
    assert!(unasked.message.contains("have not judged"), "{unasked}");
}

#[test]
fn s20_a_plan_that_is_handed_in_as_a_text_asks_for_as_many_people_as_a_grave_one() {
    let targets = [
        cluster(SCALES).unwrap(),
        charter("vault: {target: vault, policies: [p]}").unwrap(),
        charter("github: {target: github, repositories: [r], permissions: {contents: write}}")
            .unwrap(),
    ];
    for charter in targets {
        let people = |format, judge: u32| {
            let permit = with(&charter, |task| {
                let mut plan = planned(task, &[], false);
                plan.format = format;
                for judgement in &mut plan.judgements {
                    judgement.people = judge;
                }
                Some(plan)
            });
            permit.unwrap().requirement().map(|needed| needed.people)
        };
        assert_eq!(people(PlanFormat::TerraformJson, 0), None);
        assert_eq!(people(PlanFormat::Text, 0), Some(2));
        assert_eq!(people(PlanFormat::Text, 3), Some(3));
    }
}
