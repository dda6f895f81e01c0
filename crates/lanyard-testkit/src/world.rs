//! A sample world: two environments, a target of each kind, a charter over all of them, a task, and
//! a request for each kind of credential. Tests change the fields that matter to them.

use std::collections::BTreeSet;
use std::time::Duration;

use lanyard_core::charter::{
    Access, ActionPattern, AwsGrant, AwsStatement, Conditions, EnvironmentKind, GitHubGrant,
    KubernetesGrant, KubernetesRights, Name, PolicyRule, Position, Prohibited, Prohibition,
    ResourcePattern, Revision, Rights, Role, TargetKind, TokenGrant, VaultGives, VaultGrant, World,
};
use lanyard_core::digest::Digest;
use lanyard_core::id::{LeaseId, PlanId};
use lanyard_core::identity::{Evidence, Identity};
use lanyard_core::lease::Seq;
use lanyard_core::plan::{Effects, Plan, PlanFormat, Sensitive};
use lanyard_core::provider::MintRequest;
use lanyard_core::scope::AgentName;
use lanyard_core::task::Task;
use lanyard_core::time::{Skew, Timestamp};

use crate::ids::Ids;

/// A charter for this world, with the grants of [`rights`] under the names of [`grant`].
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
        targets: [
            TargetKind::Token,
            TargetKind::Aws,
            TargetKind::Kubernetes,
            TargetKind::Vault,
            TargetKind::GitHub,
        ]
        .map(|kind| (target(kind), kind))
        .into(),
        accounts: [(target(TargetKind::Aws), "111122223333".to_owned())].into(),
        partitions: [(target(TargetKind::Aws), "aws".to_owned())].into(),
        own_namespaces: ["lanyard-leases".to_owned()].into(),
    }
}

/// Returns the target of a kind.
#[must_use]
pub fn target(kind: TargetKind) -> Name {
    name(match kind {
        TargetKind::Token => "apis",
        TargetKind::Aws => "payments-aws",
        TargetKind::Kubernetes => "payments-cluster",
        TargetKind::Vault => "payments-vault",
        TargetKind::GitHub => "acme-github",
    })
}

/// Returns the plan grant on the target of a kind.
#[must_use]
pub fn grant(kind: TargetKind) -> Name {
    name(match kind {
        TargetKind::Token => "read-ledger",
        TargetKind::Aws => "read-state",
        TargetKind::Kubernetes => "read-deployments",
        TargetKind::Vault => "read-config",
        TargetKind::GitHub => "read-code",
    })
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

/// Makes the mint request of an engine that has allowed [`grant`] for the task.
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
        behind: Vec::new(),
        rights: rights(kind),
        prohibited: prohibited(),
        destructive: BTreeSet::new(),
        plan_digest: None,
        epoch: Seq(7),
        number: 0,
        now,
        skew: Skew::NONE,
        expires: now + TTL,
    }
}

/// Returns the rights of [`grant`].
#[must_use]
pub fn rights(kind: TargetKind) -> Rights {
    match kind {
        TargetKind::Token => Rights::Token(TokenGrant {
            audience: "https://ledger.acme.example".to_owned(),
            scopes: texts(&["ledger.read"]),
        }),
        TargetKind::Aws => Rights::Aws(AwsGrant {
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
        TargetKind::Kubernetes => Rights::Kubernetes(KubernetesGrant {
            namespace: "payments".to_owned(),
            rights: KubernetesRights::Rules(vec![PolicyRule {
                api_groups: texts(&["apps"]),
                resources: texts(&["deployments"]),
                verbs: texts(&["get", "list", "watch"]),
                resource_names: BTreeSet::new(),
            }]),
            destructive: BTreeSet::new(),
        }),
        TargetKind::Vault => Rights::Vault(VaultGrant {
            policies: texts(&["payments-read"]),
            gives: VaultGives::Token { uses: None },
        }),
        TargetKind::GitHub => Rights::GitHub(GitHubGrant {
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
            what: Prohibited::Aws(
                ["iam:*", "kms:ScheduleKeyDeletion"]
                    .map(|action| ActionPattern(action.to_owned()))
                    .into(),
            ),
            reason: "identity and key material belong to the security team".to_owned(),
            at: Position {
                line: 59,
                column: 7,
            },
        },
        Prohibition {
            what: Prohibited::Kubernetes(PolicyRule {
                api_groups: texts(&[""]),
                resources: texts(&["secrets"]),
                verbs: texts(&["*"]),
                resource_names: BTreeSet::new(),
            }),
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
