//! A sample world: two environments, a target of each kind, a charter over all of them, a task, and
//! a request for each kind of credential. Tests change the fields that matter to them.

use std::collections::BTreeSet;
use std::time::Duration;

use lanyard_charter::plan::PlanFormat;
use lanyard_charter::reach::{Effects, Sensitive};
use lanyard_charter::{
    Access, ActionPattern, AwsGrant, AwsStatement, Conditions, EnvironmentKind, GitHubGrant,
    KubernetesGrant, KubernetesRights, MoreKinds, PolicyRule, ProhibitedActions,
    ProhibitedRequests, Prohibition, ResourcePattern, Rights, TargetKind, TokenGrant, VaultGives,
    VaultGrant, World,
};
use lanyard_core::plan::Plan;
use lanyard_core::provider::MintRequest;
use lanyard_core::task::Task;
use lanyard_document::Position;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::digest::Digest;
use lanyard_vocabulary::id::{LeaseId, PlanId};
use lanyard_vocabulary::identity::{Evidence, Identity};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::revision::Revision;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::{Skew, Timestamp};

use crate::ids::Ids;

/// A charter for this world. Its grants are those of [`rights`], under the names of [`grant`].
pub const CHARTER: &str = r#"apiVersion: lanyard.dev/v1
kind: Charter
metadata:
  name: payments-terraform
  labels: {team: payments}
spec:
  purpose: Plan and apply changes to the payments stack.
  owners:
    business: payments-product@acme.example
    technical: payments-platform@acme.example
    security: appsec@acme.example
  mode: enforce
  agents:
    - issuer: https://agents.acme.example
      subject: agent:terraformer
  environments:
    staging: {autonomy: execute-sandbox}
    production: {autonomy: execute-production}
  grants:
    - name: read-ledger
      role: plan
      environments: [staging, production]
      token:
        target: apis
        audience: https://ledger.acme.example
        scopes: [ledger.read]
    - name: read-state
      role: plan
      environments: [staging, production]
      aws:
        target: payments-aws
        allow:
          - actions: [s3:GetObject, s3:ListBucket]
            resources: ["arn:aws:s3:::tfstate-payments", "arn:aws:s3:::tfstate-payments/*"]
    - name: read-deployments
      role: plan
      environments: [staging, production]
      kubernetes:
        target: payments-cluster
        namespace: payments
        rules:
          - {apiGroups: [apps], resources: [deployments], verbs: [get, list, watch]}
    - name: restart
      role: apply
      environments: [staging, production]
      kubernetes:
        target: payments-cluster
        namespace: payments
        rules:
          - {apiGroups: [apps], resources: [deployments/scale], verbs: [get, patch]}
    - name: read-config
      role: plan
      environments: [staging, production]
      vault: {target: payments-vault, policies: [payments-read]}
    - name: read-code
      role: plan
      environments: [staging, production]
      github: {target: acme-github, repositories: [payments], permissions: {contents: read}}
  prohibited:
    - aws: ["iam:*", "kms:ScheduleKeyDeletion"]
      reason: identity and key material belong to the security team
    - kubernetes: {resources: [secrets], verbs: ["*"]}
      reason: no secret reads from agents
  plans:
    required: {role: apply, environments: [production]}
  approvals:
    - when: {role: apply, environment: production}
      people: 2
      from: [group:payments-oncall, group:platform]
      expires: 30m
      uses: 1
  limits:
    ttl: 10m
    task: 2h
    live_leases: 5
    mints: {count: 30, per: 1h}
"#;

/// Lifetime of a sample lease.
pub const TTL: Duration = Duration::from_secs(600);

/// Parses a name that is known to be valid.
///
/// # Panics
/// When the name is invalid.
#[must_use]
pub fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// Returns the environments and targets of a daemon that serves [`CHARTER`].
#[must_use]
pub fn world() -> World {
    World {
        environments: [
            (name("staging"), EnvironmentKind::Sandbox),
            (name("production"), EnvironmentKind::Production),
        ]
        .into(),
        targets: SAMPLES.map(|(kind, ..)| (target(kind), kind)).into(),
        accounts: [(target(TargetKind::AWS), "111122223333".to_owned())].into(),
        partitions: [(target(TargetKind::AWS), "aws".to_owned())].into(),
        own_namespaces: ["lanyard-leases".to_owned()].into(),
        more_kinds: MoreKinds::default(),
    }
}

/// The target of each kind, and the plan grant on the target.
const SAMPLES: [(TargetKind, &str, &str); 5] = [
    (TargetKind::TOKEN, "apis", "read-ledger"),
    (TargetKind::AWS, "payments-aws", "read-state"),
    (
        TargetKind::KUBERNETES,
        "payments-cluster",
        "read-deployments",
    ),
    (TargetKind::VAULT, "payments-vault", "read-config"),
    (TargetKind::GITHUB, "acme-github", "read-code"),
];

fn sample(kind: TargetKind) -> (&'static str, &'static str) {
    let mut samples = SAMPLES.iter();
    let found = samples.find(|(known, ..)| *known == kind);
    let (_, target, grant) = found.expect("a kind of the sample");
    (target, grant)
}

/// Returns the target of a kind.
///
/// # Panics
/// When the sample has no target of the kind.
#[must_use]
pub fn target(kind: TargetKind) -> Name {
    let (target, _) = sample(kind);
    name(target)
}

/// Returns the plan grant on the target of a kind.
///
/// # Panics
/// When the sample has no target of the kind.
#[must_use]
pub fn grant(kind: TargetKind) -> Name {
    let (_, grant) = sample(kind);
    name(grant)
}

/// The world's agent as a caller of whom nothing is proved.
#[must_use]
pub fn caller() -> Caller {
    Caller::unproved(&agent())
}

/// Returns the agent that [`CHARTER`] names.
#[must_use]
pub fn agent() -> Identity {
    Identity {
        issuer: "https://agents.acme.example".to_owned(),
        subject: "agent:terraformer".to_owned(),
    }
}

/// Makes a task of [`agent`] in staging, open for two hours.
#[must_use]
pub fn task(ids: &Ids, now: Timestamp) -> Task {
    Task {
        id: ids.task(),
        charter: name("payments-terraform"),
        revision: Revision::of(CHARTER.as_bytes()),
        environment: name("staging"),
        agent: AgentName("terraformer".to_owned()),
        identity: agent(),
        evidence: Evidence::default(),
        sponsor: None,
        reason: "resize the queue workers".to_owned(),
        version: None,
        lineage: Vec::new(),
        ticket: None,
        opened: now,
        expires: now + Duration::from_secs(2 * 60 * 60),
    }
}

/// Makes a plan of the task that is not judged yet.
#[must_use]
pub fn plan(task: &Task, format: PlanFormat) -> Plan {
    Plan {
        id: PlanId::from_bits(0),
        task: task.id,
        grant: name("change-queues"),
        namespace: None,
        format,
        digest: Digest::of(b""),
        size: 0,
        summary: String::new(),
        destructive: BTreeSet::new(),
        effects: Effects::default(),
        rehearsed: None,
        sensitive: Sensitive::default(),
        beyond: None,
        narrowing: None,
        counted: None,
        reach: None,
        judgements: Vec::new(),
        rehearsal: None,
        submitted: Timestamp::EPOCH,
        approval: None,
    }
}

/// Builds the mint request that an engine makes after allowing [`grant`] for the task.
#[must_use]
pub fn request(kind: TargetKind, lease: LeaseId, task: &Task, now: Timestamp) -> MintRequest {
    MintRequest {
        lease,
        task: task.id,
        charter: task.charter.clone(),
        revision: task.revision.clone(),
        grant: grant(kind),
        role: Role::Plan,
        environment: task.environment.clone(),
        agent: task.agent.clone(),
        identity: task.identity.clone(),
        key: task.evidence.key.clone(),
        lineage: Vec::new(),
        rights: rights(kind),
        prohibited: prohibited(),
        destructive: BTreeSet::new(),
        plan_digest: None,
        epoch: Seq(7),
        request_number: 0,
        now,
        skew: Skew::NONE,
        expires: now + TTL,
    }
}

/// Returns the rights of [`grant`].
///
/// # Panics
/// When the sample has no target of the kind.
#[must_use]
pub fn rights(kind: TargetKind) -> Rights {
    sample(kind);
    match kind {
        TargetKind::TOKEN => Rights::from(TokenGrant {
            audience: "https://ledger.acme.example".to_owned(),
            scopes: texts(&["ledger.read"]),
        }),
        TargetKind::AWS => Rights::from(AwsGrant {
            allow: vec![AwsStatement {
                actions: ["s3:GetObject", "s3:ListBucket"]
                    .map(|action| ActionPattern(action.to_owned()))
                    .into(),
                resources: [
                    "arn:aws:s3:::tfstate-payments",
                    "arn:aws:s3:::tfstate-payments/*",
                ]
                .map(|resource| ResourcePattern(resource.to_owned()))
                .into(),
                when: Conditions::default(),
                unnarrowed: None,
            }],
            destructive: BTreeSet::new(),
            except: BTreeSet::new(),
            approved: BTreeSet::new(),
        }),
        TargetKind::KUBERNETES => Rights::from(KubernetesGrant {
            namespace: "payments".to_owned(),
            rights: KubernetesRights::Rules(vec![PolicyRule {
                api_groups: texts(&["apps"]),
                resources: texts(&["deployments"]),
                verbs: texts(&["get", "list", "watch"]),
                resource_names: BTreeSet::new(),
            }]),
            destructive: BTreeSet::new(),
        }),
        TargetKind::VAULT => Rights::from(VaultGrant {
            policies: texts(&["payments-read"]),
            gives: VaultGives::Token { uses: None },
        }),
        // GitHub, the last kind of the sample.
        _ => Rights::from(GitHubGrant {
            repositories: texts(&["payments"]),
            permissions: [("contents".to_owned(), Access::Read)].into(),
            proposes: false,
        }),
    }
}

/// Returns the prohibitions of [`CHARTER`].
#[must_use]
pub fn prohibited() -> Vec<Prohibition> {
    vec![
        Prohibition {
            what: ProhibitedActions(
                ["iam:*", "kms:ScheduleKeyDeletion"]
                    .map(|action| ActionPattern(action.to_owned()))
                    .into(),
            )
            .into(),
            reason: "identity and key material belong to the security team".to_owned(),
            at: Position {
                line: 59,
                column: 7,
            },
        },
        Prohibition {
            what: ProhibitedRequests(PolicyRule {
                api_groups: texts(&[""]),
                resources: texts(&["secrets"]),
                verbs: texts(&["*"]),
                resource_names: BTreeSet::new(),
            })
            .into(),
            reason: "no secret reads from agents".to_owned(),
            at: Position {
                line: 61,
                column: 7,
            },
        },
    ]
}

fn texts(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}
