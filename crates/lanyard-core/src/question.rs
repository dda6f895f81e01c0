//! Hypothetical requests: what a charter would answer, and by which of its rules.
//!
//! The answer is that of [`decide`], on a task and a plan that exist only for the question.

use std::collections::BTreeSet;
use std::time::Duration;

use lanyard_charter::plan::{PlanFormat, Risk};
use lanyard_charter::reach::{Effects, PlanReach, Sensitive};
use lanyard_charter::requirement::{Requirement, approvers, persons};
use lanyard_charter::{ActionPattern, ApprovalRule, Charter, Grant, Usage, Version, VersionRule};
use lanyard_document::Position;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::digest::Digest;
use lanyard_vocabulary::id::{LeaseId, PlanId, TaskId};
use lanyard_vocabulary::identity::{Confirmation, Evidence, Identity};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::time::{Timestamp, Ttl};

use crate::decide::{Denial, GrantRequest, Permit, Revisions, Rule, decide};
use crate::emergency::Emergency;
use crate::plan::{Judgement, Plan};
use crate::provider::MintRequest;
use crate::task::Task;

/// A request that nobody made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The identity that asks.
    pub identity: Identity,
    /// The evidence presented. `None` assumes whatever the charter requires.
    pub evidence: Option<Evidence>,
    /// The environment of the task.
    pub environment: Name,
    /// The grant asked for.
    pub grant: Name,
    /// The lifetime asked for; `None` asks for the longest that the charter allows.
    pub ttl: Option<Ttl>,
    /// The agent's build, if it states one.
    pub version: Option<Version>,
    /// True to assume that another person has just declared an emergency.
    pub emergency: bool,
    /// The plan that goes with the request.
    pub plan: Option<Planned>,
    /// The ticket that the task names.
    pub ticket: Option<String>,
    /// The use of the credential to check; `None` checks the request alone.
    pub usage: Option<Usage>,
    /// The worst case of the target's revocation.
    pub worst_case: Duration,
}

/// The stated evidence; without any, the evidence that the charter's first rule about the identity
/// requires, with a key.
fn proved(charter: &Charter, question: &Question) -> Evidence {
    if let Some(evidence) = &question.evidence {
        return evidence.clone();
    }
    let mut rules = charter.agents.iter();
    let rule = rules.find(|rule| rule.names(&question.identity));
    let claims = rule.into_iter().flat_map(|rule| &rule.claims);
    Evidence {
        claims: claims
            .map(|(name, pattern)| (name.clone(), pattern.sample()))
            .collect(),
        key: Some(Confirmation::Key(String::new())),
        ..Evidence::default()
    }
}

impl Question {
    /// The request of the charter's first agent in its first version, with the plan that an apply
    /// needs.
    #[must_use]
    pub fn usual(charter: &Charter, grant: &Grant, environment: &Name) -> Self {
        let agent = charter.agents.first();
        let (issuer, subject) = agent.map_or_else(Default::default, |rule| {
            (rule.issuer.clone(), rule.subject.sample())
        });
        Self {
            identity: Identity { issuer, subject },
            evidence: None,
            environment: environment.clone(),
            grant: grant.name.clone(),
            ttl: None,
            version: charter.versions.first().map(VersionRule::version),
            emergency: false,
            plan: (grant.role == Role::Apply).then(Planned::default),
            ticket: None,
            usage: None,
            worst_case: Duration::ZERO,
        }
    }
}

/// A plan that nobody submitted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Planned {
    /// The destructive actions that the plan names.
    pub destructive: BTreeSet<ActionPattern>,
    /// The plan's format; `None` assumes one that the charter accepts.
    pub format: Option<PlanFormat>,
    /// The plan's reach and the judgement of the charter's policies; `None` assumes a plan without
    /// findings and of high risk.
    pub read: Option<(Option<PlanReach>, Judgement)>,
}

impl Planned {
    /// A plan that names these destructive actions.
    #[must_use]
    pub fn naming(destructive: BTreeSet<ActionPattern>) -> Self {
        Self {
            destructive,
            format: None,
            read: None,
        }
    }
}

/// The charter's answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CharterAnswer {
    /// The bounds if allowed, or the rule that denies.
    pub verdict: Result<Allowed, Denial>,
    /// The parts of the charter that took part, in the order in which they were evaluated.
    pub met: Vec<Met>,
}

/// The bounds of an allowed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// The lifetime that was granted.
    pub ttl: Ttl,
    /// The approval demanded first.
    pub requirement: Option<Requirement>,
}

impl Allowed {
    /// Returns the number of people who must approve.
    #[must_use]
    pub fn people(&self) -> u32 {
        self.requirement.as_ref().map_or(0, |needed| needed.people)
    }
}

/// A part of the charter that took part in a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    /// The kind of rule.
    pub rule: Rule,
    /// The rule's position; `None` if it has no single position.
    pub at: Option<Position>,
    /// The rule's contribution, for people.
    pub what: String,
}

/// Decides the question and returns the permit.
///
/// # Errors
/// The rule that denies.
pub fn permit(charter: &Charter, question: &Question, now: Timestamp) -> Result<Permit, Denial> {
    let (task, plan) = drafted(charter, question, now);
    let rule = charter.emergency.as_ref().filter(|_| question.emergency);
    let emergency = rule.map(|rule| Emergency {
        charter: charter.name.clone(),
        by: Identity {
            issuer: String::new(),
            subject: String::new(),
        }
        .into(),
        reason: String::new(),
        at: now,
        until: now + rule.lasts,
    });
    let request = GrantRequest {
        task: &task,
        grant: &question.grant,
        ttl: question.ttl,
        plan: plan.as_ref(),
        watched: false,
        sponsor: None,
        ancestors: &[],
        emergency: emergency.as_ref(),
        worst_case: question.worst_case,
        now,
    };
    decide(Revisions::of(charter), &request)
}

/// Builds the request to the provider that the permit would lead to, under an id that no lease has.
///
/// # Errors
/// The rule that denies.
pub fn mint_request(
    charter: &Charter,
    question: &Question,
    now: Timestamp,
) -> Result<MintRequest, Denial> {
    let permit = permit(charter, question, now)?;
    let (lease, task) = (LeaseId::from_bits(0), task(charter, question, now));
    Ok(MintRequest::of(lease, &task, &permit, None, now))
}

/// Decides the question and lists the rules that took part.
#[must_use]
pub fn ask(charter: &Charter, question: &Question, now: Timestamp) -> CharterAnswer {
    let verdict = permit(charter, question, now).and_then(|permit| {
        if let Some(usage) = &question.usage {
            used(charter, &permit, usage)?;
        }
        Ok(permit)
    });
    let met = met(charter, question, verdict.as_ref().ok(), now);
    let verdict = verdict.map(|permit| Allowed {
        ttl: Ttl::at_least_a_second(
            u32::try_from(permit.expires().since(now).as_secs()).unwrap_or(u32::MAX),
        ),
        requirement: permit.requirement().cloned(),
    });
    CharterAnswer { verdict, met }
}

/// The allowed question that differs from this one in as little as possible.
#[must_use]
pub fn nearest(charter: &Charter, question: &Question, now: Timestamp) -> Option<Question> {
    let mut near = Vec::new();
    let with = |change: &dyn Fn(&mut Question)| {
        let mut other = question.clone();
        change(&mut other);
        other
    };
    near.push(with(&|other| other.ttl = None));
    near.push(with(&|other| other.plan = Some(Planned::default())));
    near.push(with(&|other| {
        other.ttl = None;
        other.plan = Some(Planned::default());
    }));
    for rule in &charter.versions {
        near.push(with(&|other| other.version = Some(rule.version())));
    }
    for environment in charter.environments.keys() {
        near.push(with(&|other| {
            other.environment = environment.clone();
            other.ttl = None;
            let applies = charter.grants.get(&other.grant);
            let applies = applies.is_some_and(|grant| grant.role == Role::Apply);
            other.plan = applies.then(Planned::default);
        }));
    }
    // The same outcome by another grant is nearer than another outcome.
    let role = charter.grants.get(&question.grant).map(|grant| grant.role);
    let mut grants: Vec<_> = charter.grants.values().collect();
    grants.sort_by_key(|grant| Some(grant.role) != role);
    for grant in &grants {
        near.push(with(&|other| {
            other.grant = grant.name.clone();
            other.ttl = None;
            other.plan = (grant.role == Role::Apply).then(Planned::default);
        }));
    }
    near.into_iter()
        .filter(|other| other != question)
        .find(|other| ask(charter, other, now).verdict.is_ok())
}

/// The task and the plan that exist only for the question.
#[must_use]
pub fn drafted(charter: &Charter, question: &Question, now: Timestamp) -> (Task, Option<Plan>) {
    (task(charter, question, now), plan(charter, question, now))
}

fn task(charter: &Charter, question: &Question, now: Timestamp) -> Task {
    Task {
        id: TaskId::from_bits(0),
        charter: charter.name.clone(),
        revision: charter.revision.clone(),
        environment: question.environment.clone(),
        agent: AgentName(question.identity.to_string()),
        identity: question.identity.clone(),
        evidence: proved(charter, question),
        sponsor: None,
        reason: String::new(),
        // What has to be stated is taken to be.
        ticket: Some(question.ticket.clone().unwrap_or_default()),
        version: question.version.clone(),
        lineage: Vec::new(),
        opened: now,
        expires: now + charter.limits.task,
    }
}

fn plan(charter: &Charter, question: &Question, now: Timestamp) -> Option<Plan> {
    let Planned {
        destructive,
        format,
        read,
    } = question.plan.clone()?;
    let rule = charter.plans.as_ref();
    let taken = rule.and_then(|rule| rule.formats.first().copied());
    let rights = charter.grants.get(&question.grant);
    let rights = rights.map(|grant| &grant.rights);
    let (reach, judgement) = match read {
        Some((reach, judgement)) => (reach, judgement),
        None => (None, Judgement::unread(charter.policies_digest())),
    };
    Some(Plan {
        id: PlanId::from_bits(0),
        task: TaskId::from_bits(0),
        grant: question.grant.clone(),
        namespace: rights
            .and_then(|rights| rights.namespace())
            .map(str::to_owned),
        format: format.or(taken).unwrap_or(PlanFormat::TerraformJson),
        digest: Digest::of(b""),
        size: 0,
        summary: String::new(),
        destructive,
        effects: Effects::default(),
        rehearsed: None,
        sensitive: Sensitive::default(),
        beyond: None,
        counted: None,
        reach,
        narrowing: None,
        rehearsal: None,
        judgements: vec![judgement],
        submitted: now,
        approval: None,
    })
}

/// Checks whether the credential of this permit could be used in this way.
fn used(charter: &Charter, permit: &Permit, usage: &Usage) -> Result<(), Denial> {
    let deny = |rule: Rule, at, message, next: &str| Denial {
        charter: charter.name.clone(),
        revision: Some(charter.revision.clone()),
        rule,
        path: Option::and_then(at, |at| charter.paths.at(at)).map(Box::from),
        at,
        message,
        next: next.to_owned(),
        would: None,
        reason_code: Some(rule.code()),
        limit: None,
        retry_after: None,
        held_by: None,
    };
    let grant = permit.grant();
    let mut forbidden = grant.rights.forbidden(permit.prohibited(), usage);
    if let Some(rule) = forbidden.next() {
        let message = format!("this is prohibited: {}", rule.reason);
        return Err(deny(
            Rule::Prohibited,
            Some(rule.at),
            message,
            "no grant gives it",
        ));
    }
    if !grant.rights.gives(usage) {
        let message = format!("grant {} does not give this", grant.name);
        let next = "use a grant that does";
        return Err(deny(Rule::Grants, Some(grant.at), message, next));
    }
    if let Some(pattern) = grant.rights.destroys(usage)
        && !permit
            .destructive()
            .iter()
            .any(|it| it.matches(&usage.action))
    {
        let message = format!("{pattern} is destructive, and the plan does not name it");
        let next = "name it in the plan";
        return Err(deny(Rule::Grants, Some(grant.at), message, next));
    }
    Ok(())
}

/// The parts of the charter that took part, as far as the evaluation went.
fn met(
    charter: &Charter,
    question: &Question,
    permit: Option<&Permit>,
    now: Timestamp,
) -> Vec<Met> {
    let mut met = Vec::new();
    let mut say = |rule, at, what| met.push(Met { rule, at, what });
    let agent = charter
        .agents
        .iter()
        .find(|rule| rule.matches(&question.identity, &proved(charter, question)));
    let Some(agent) = agent else { return met };
    say(Rule::Agents, Some(agent.at), question.identity.to_string());
    let Some(autonomy) = charter.environments.get(&question.environment) else {
        return met;
    };
    let what = format!("{}: {autonomy}", question.environment);
    say(Rule::Environments, None, what);
    let Some(grant) = charter.grants.get(&question.grant) else {
        return met;
    };
    let what = format!("{}: {} on {}", grant.name, grant.role, grant.target);
    say(Rule::Grants, Some(grant.at), what);
    if let Some(rule) = &charter.plans
        && rule.is_about(grant.role, &question.environment)
    {
        let with = if question.plan.is_some() {
            "there is one"
        } else {
            "there is none"
        };
        let what = format!("a plan is required: {with}");
        say(Rule::PlanRequired, Some(rule.at), what);
    }
    let risk = permit.map_or(Risk::High, Permit::risk);
    let about = |rule: &&ApprovalRule| rule.is_about(grant.role, &question.environment, risk);
    for rule in charter.approvals.iter().filter(about) {
        let what = format!("{} of {}", persons(rule.people), approvers(&rule.from));
        say(Rule::Approvals, Some(rule.at), what);
    }
    calendar(charter, question, grant.role, now, &mut say);
    if let Some(rule) = charter.emergency.as_ref().filter(|_| question.emergency)
        && rule.grants.contains(&grant.name)
    {
        let what = format!("{} besides whoever declared it", persons(rule.people));
        say(Rule::Emergency, Some(rule.at), what);
    }
    if let Some(version) = &question.version
        && let Some(rule) = charter.versions.iter().find(|rule| rule.matches(version))
    {
        say(Rule::Versions, Some(rule.at), version.to_string());
    }
    if let Some(usage) = &question.usage {
        for rule in grant.rights.forbidden(&charter.prohibited, usage) {
            say(Rule::Prohibited, Some(rule.at), rule.reason.clone());
        }
    }
    if let Some(permit) = permit {
        let what = format!("ttl {} at most", permit.limits().ttl);
        say(Rule::Limits, None, what);
    }
    met
}

/// The freezes and hours that took part.
fn calendar(
    charter: &Charter,
    question: &Question,
    role: Role,
    now: Timestamp,
    say: &mut impl FnMut(Rule, Option<Position>, String),
) {
    for freeze in charter
        .freezes
        .iter()
        .filter(|freeze| freeze.is_about(role, &question.environment) && freeze.holds(now))
    {
        say(Rule::Freezes, Some(freeze.at), freeze.reason.clone());
    }
    if let Some(hours) = &charter.hours
        && hours.is_about(role, &question.environment)
    {
        let where_ = if hours.until(now).is_some() {
            "within"
        } else {
            "outside"
        };
        say(
            Rule::Hours,
            Some(hours.at),
            format!("{where_} {}", hours.shown()),
        );
    }
}
