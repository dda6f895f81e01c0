//! Decisions: pure functions of the charter and the request.
//!
//! Only [`decide`] makes a [`Permit`], and only a permit mints.

mod calendar;
mod delegation;
mod denial;
mod people;
mod plan;
mod reason;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::emergency::Emergency;
use crate::plan::Plan;
use crate::task::Task;
use lanyard_charter::plan::Risk;
use lanyard_charter::reach::Narrowing;
use lanyard_charter::requirement::{Requirement, persons};
use lanyard_charter::{
    ActionPattern, AgentRule, Autonomy, Budget, Charter, Grant, Held, Limits, Mode, Prohibition,
    RequestLimits, Rights, Stated, VersionRule,
};
use lanyard_vocabulary::identity::{Evidence, Identity};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::person::Person;
use lanyard_vocabulary::revision::Revision;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::time::{Timestamp, Ttl};

pub use calendar::{ClosedHours, Withheld, withheld};
use calendar::{ends, in_hours, is_outside, outside, terms, thawed, until};
pub use delegation::{Ancestor, MAX_LINEAGE, may_delegate};
pub use denial::{
    Denial, HeldBy, LimitReached, Rule, not_in_force, revision_lost, unmapped_sponsor, unread,
};
use denial::{DenialBuilder, named, over};
use people::required;
pub use people::requirement;
pub use reason::ReasonCode;

/// The revision that a task is pinned to and the revision in force. Both must allow a request.
#[derive(Debug, Clone, Copy)]
pub struct Revisions<'a> {
    /// The revision in force when the task was opened.
    pub pinned: &'a Charter,
    /// The revision in force now.
    pub in_force: &'a Charter,
}

impl<'a> Revisions<'a> {
    /// Uses one revision as the pinned one and as the one in force.
    #[must_use]
    pub const fn of(charter: &'a Charter) -> Self {
        Self {
            pinned: charter,
            in_force: charter,
        }
    }

    /// The pinned revision and the one in force, in this order.
    const fn both(self) -> [&'a Charter; 2] {
        [self.pinned, self.in_force]
    }
}

/// A request for a credential.
#[derive(Debug, Clone, Copy)]
pub struct GrantRequest<'a> {
    /// The task that asks.
    pub task: &'a Task,
    /// The name of the grant asked for.
    pub grant: &'a Name,
    /// The lifetime asked for; `None` asks for the longest that the charter allows.
    pub ttl: Option<Ttl>,
    /// The plan that an apply belongs to.
    pub plan: Option<&'a Plan>,
    /// The sponsor of the caller, if it differs from the sponsor of the task.
    pub sponsor: Option<&'a Person>,
    /// True while a pause demands a person's approval also where the charter demands none.
    pub watched: bool,
    /// The tasks of the lineage with their charters, nearest first.
    pub ancestors: &'a [Ancestor<'a>],
    /// The emergency that a person declared under the charter, while it lasts.
    pub emergency: Option<&'a Emergency>,
    /// The worst case of revocation that the target declares.
    pub worst_case: Duration,
    /// The time of the request.
    pub now: Timestamp,
}

/// Proof that a request was allowed, with everything that bounds the credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    grant: Grant,
    prohibited: Vec<Prohibition>,
    destructive: BTreeSet<ActionPattern>,
    whole: Option<String>,
    beyond: Option<String>,
    narrowing: Option<Narrowing>,
    risk: Risk,
    requirement: Option<Requirement>,
    limits: Limits,
    in_force: Revision,
    above: Vec<(Name, Revision)>,
    outside: Option<ClosedHours>,
    expires: Timestamp,
}

impl Permit {
    /// The grant, narrowed to what both revisions allow.
    #[must_use]
    pub const fn grant(&self) -> &Grant {
        &self.grant
    }

    /// The prohibitions of both revisions.
    #[must_use]
    pub fn prohibited(&self) -> &[Prohibition] {
        &self.prohibited
    }

    /// The destructive actions that the plan names.
    #[must_use]
    pub const fn destructive(&self) -> &BTreeSet<ActionPattern> {
        &self.destructive
    }

    /// Says why the grant is not narrowed to its plan; `None` if it is, or if there is no plan.
    #[must_use]
    pub fn whole(&self) -> Option<&str> {
        self.whole.as_deref()
    }

    /// Says what the credential can change beyond the plan, although the grant is narrowed to it;
    /// `None` if nothing.
    #[must_use]
    pub fn beyond(&self) -> Option<&str> {
        self.beyond.as_deref()
    }

    /// Returns what the plan removes from the grant; `None` if there is no plan.
    #[must_use]
    pub const fn narrowing(&self) -> Option<&Narrowing> {
        self.narrowing.as_ref()
    }

    /// The risk that approvers are shown.
    #[must_use]
    pub const fn risk(&self) -> Risk {
        self.risk
    }

    /// The approval demanded before the mint.
    #[must_use]
    pub const fn requirement(&self) -> Option<&Requirement> {
        self.requirement.as_ref()
    }

    /// The tighter of both revisions' limits.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The revision in force that the decision was made under. The commit refuses if another one is
    /// in force by then (T74).
    #[must_use]
    pub const fn in_force(&self) -> &Revision {
        &self.in_force
    }

    /// The revisions in force of the lineage's charters. The commit refuses if another one is in
    /// force by then.
    #[must_use]
    pub fn above(&self) -> &[(Name, Revision)] {
        &self.above
    }

    /// True if the request is outside the hours of a revision.
    #[must_use]
    pub const fn is_outside_hours(&self) -> bool {
        self.outside.is_some()
    }

    /// The hours that the request is outside of, if a person has to approve it for that reason.
    #[must_use]
    pub const fn closed_hours(&self) -> Option<&ClosedHours> {
        self.outside.as_ref()
    }

    /// The time at which the credential ends.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }
}

/// Checks whether this identity, with this evidence, may open a task in this environment. If
/// another agent opens the task for it, the evidence is demanded at each credential instead.
///
/// # Errors
/// The rule that denies. Callers whom the charter does not name are told that there is no such
/// charter (T15).
pub fn may_open(
    charter: &Charter,
    (identity, evidence): (&Identity, Option<&Evidence>),
    environment: &Name,
    ticket: Option<&str>,
    now: Timestamp,
) -> Result<(), Denial> {
    let is_about = |rule: &AgentRule| match evidence {
        Some(evidence) => rule.matches(identity, evidence),
        None => rule.names(identity),
    };
    if !charter.agents.iter().any(is_about) {
        return Err(not_in_force(&charter.name));
    }
    let holds_no_key = evidence.is_some_and(|evidence| evidence.key.is_none());
    if holds_no_key && charter.requires.contains(&Stated::ProofOfPossession) {
        return Err(DenialBuilder(charter).no(
            Rule::Requires,
            None,
            "the agent did not show that it holds a key".into(),
            "ask with DPoP or with a client certificate",
        ));
    }
    if let Some(end) = charter.expires.filter(|end| end.when <= now) {
        return Err(DenialBuilder(charter).no(
            Rule::Expires,
            Some(end.at),
            format!("the charter ended at {}", end.when),
            "ask its owners whether it is still needed",
        ));
    }
    if charter.requires.contains(&Stated::Ticket) && ticket.is_none() {
        return Err(DenialBuilder(charter).no(
            Rule::Requires,
            None,
            "the task names no ticket".into(),
            "open the task with the ticket that it belongs to",
        ));
    }
    if !charter.environments.contains_key(environment) {
        return Err(DenialBuilder(charter).no(
            Rule::Environments,
            None,
            format!("environment {environment} is not in this charter"),
            &named(
                "the environments are",
                environment,
                charter.environments.keys(),
            ),
        ));
    }
    Ok(())
}

/// Decides whether a credential may be minted, and what bounds it.
///
/// # Errors
/// The first rule that denies. `mode: shadow` and `versions` are evaluated last, and say that
/// everything else would allow the request.
pub fn decide(revisions: Revisions<'_>, request: &GrantRequest<'_>) -> Result<Permit, Denial> {
    judged(revisions, request).map_err(|denial| of_older(revisions, request, denial))
}

/// Adds to the denial what a task can do that was opened before the charter came to allow the
/// request.
fn of_older(revisions: Revisions<'_>, request: &GrantRequest<'_>, denial: Denial) -> Denial {
    let Revisions { pinned, in_force } = revisions;
    let is_older = pinned.revision != in_force.revision;
    if !is_older || judged(Revisions::of(in_force), request).is_err() {
        return denial;
    }
    Denial {
        message: format!(
            "{}; the task keeps revision {} of the charter, and revision {}, in force since, allows this",
            denial.message,
            pinned.revision.short(),
            in_force.revision.short()
        ),
        next: "close the task with `lanyard task close`, and open another one: it gets the revision in force"
            .to_owned(),
        ..denial
    }
}

fn judged(revisions: Revisions<'_>, request: &GrantRequest<'_>) -> Result<Permit, Denial> {
    let pinned = under(revisions.pinned, request)?;
    let current = under(revisions.in_force, request)?;
    let say = DenialBuilder(revisions.in_force);
    let own = narrowed(&say, pinned, current)?;
    plan::in_its_namespace(&say, &own, request)?;
    let risk = plan::risk(&own, request);
    let above = delegation::beneath((own, risk), current, request)?;
    let limits = tighter(&revisions.pinned.limits, &revisions.in_force.limits);
    let limits = match &above.limits {
        Some(least) => tighter(&limits, least),
        None => limits,
    };
    let prohibited = union(&revisions.pinned.prohibited, &revisions.in_force.prohibited);
    let prohibited = match above.prohibited.as_slice() {
        [] => prohibited,
        more => union(more, &prohibited),
    };
    let rights = above.rights;
    nothing_prohibited(&say, &rights, &prohibited, request)?;
    let destructive = destructive(&say, &rights, &prohibited, request)?;
    let rights = held_back(&say, rights, &destructive)?;
    let planned = plan::narrowed(&say, &rights, request)?;
    let ttl = lifetime(&say, &limits, [pinned.ttl, current.ttl], request)?;
    let requirement = required(revisions, current, request, risk)
        .and_then(|needed| Requirement::both(needed, above.requirement))
        .and_then(|needed| plan::asked(needed, &rights, request.plan, people::sponsors(request)))
        .map_err(|nobody| say.nobody(&nobody))?;
    let requirement = requirement.map(|needed| Requirement {
        risk: Some(risk),
        ..needed
    });
    let permit = Permit {
        requirement,
        above: above.in_force,
        grant: Grant {
            rights: planned.rights,
            ..current.clone()
        },
        prohibited,
        destructive,
        whole: planned.whole,
        beyond: planned.beyond,
        narrowing: request
            .plan
            .map(|plan| rights.narrowing(plan.reach.as_ref())),
        risk,
        limits,
        in_force: revisions.in_force.revision.clone(),
        outside: revisions
            .both()
            .into_iter()
            .find_map(|charter| outside(charter, current.role, request)),
        expires: until(revisions, current, request, ttl)
            .min(above.ends.unwrap_or(Timestamp::NEVER)),
    };
    acted_on(revisions.pinned, request.task, &permit)?;
    acted_on(revisions.in_force, request.task, &permit)?;
    delegation::acted_on_above(request, &permit)?;
    Ok(permit)
}

/// Denies a request that only shadow mode, or an unlisted version of the agent, keeps from being
/// allowed.
fn acted_on(charter: &Charter, task: &Task, permit: &Permit) -> Result<(), Denial> {
    let say = DenialBuilder(charter);
    let people = permit
        .requirement
        .as_ref()
        .map_or(0, |needed| needed.people);
    let would = match people {
        0 => "this would be allowed".to_owned(),
        _ => format!(
            "this would be allowed with the approval of {}",
            persons(people)
        ),
    };
    let but = |denial: Denial| Denial {
        would: Some(people),
        ..denial
    };
    if charter.mode == Mode::Shadow {
        return Err(but(say.no(
            Rule::Shadow,
            None,
            format!("{would}; the charter only records decisions"),
            "ask the platform team to set mode: enforce",
        )));
    }
    let version = task.version.as_ref();
    let listed = |rule: &VersionRule| version.is_some_and(|version| rule.matches(version));
    if charter.versions.is_empty() || charter.versions.iter().any(listed) {
        return Ok(());
    }
    let (what, next) = match version {
        Some(version) => (
            format!("{would}; {version} is not among the versions that may act"),
            "ask the charter's owners to list this version",
        ),
        None => (
            format!("{would}; the task does not state which version of the agent runs it"),
            "open the task with its model and the digest of its prompt",
        ),
    };
    Err(but(say.no(
        Rule::Versions,
        charter.versions.first().map(|rule| rule.at),
        what,
        next,
    )))
}

/// Evaluates one revision alone.
fn under<'a>(charter: &'a Charter, request: &GrantRequest<'_>) -> Result<&'a Grant, Denial> {
    let (task, say) = (request.task, DenialBuilder(charter));
    may_open(
        charter,
        (&task.identity, Some(&task.evidence)),
        &task.environment,
        task.ticket.as_deref(),
        request.now,
    )?;
    if task.expires <= request.now {
        return Err(say.no(
            Rule::Task,
            None,
            "the task has ended".into(),
            "open a new one",
        ));
    }
    let grant = charter.grants.get(request.grant).ok_or_else(|| {
        let message = format!("there is no grant {}", request.grant);
        let next = named("the grants are", request.grant, charter.grants.keys());
        say.no(Rule::Grants, None, message, &next)
    })?;
    if !grant.environments.contains(&task.environment) {
        let message = format!(
            "grant {} is not for environment {}",
            grant.name, task.environment
        );
        let here = charter.grants.values();
        let here = here.filter(|grant| grant.environments.contains(&task.environment));
        let next = named(
            "use a grant of this environment:",
            request.grant,
            here.map(|grant| &grant.name),
        );
        return Err(say.no(Rule::Grants, Some(grant.at), message, &next));
    }
    autonomous(charter, grant, task)?;
    if terms(charter, grant, request).is_none() {
        thawed(charter, grant, request)?;
        in_hours(charter, grant, request)?;
    }
    plan::planned(charter, grant, request)?;
    Ok(grant)
}

fn autonomous(charter: &Charter, grant: &Grant, task: &Task) -> Result<(), Denial> {
    let autonomy = charter
        .environments
        .get(&task.environment)
        .copied()
        .unwrap_or(Autonomy::Observe);
    if grant.role == Role::Apply && !autonomy.applies() {
        return Err(DenialBuilder(charter).no(
            Rule::Autonomy,
            Some(grant.at),
            format!(
                "the agent may not apply in environment {}",
                task.environment
            ),
            "use a plan grant, and propose the change to people",
        ));
    }
    Ok(())
}

fn narrowed(say: &DenialBuilder<'_>, pinned: &Grant, current: &Grant) -> Result<Rights, Denial> {
    let same_place = pinned.target == current.target && pinned.role == current.role;
    same_place.then(|| pinned.rights.narrowed(&current.rights)).flatten().ok_or_else(|| {
        say.no(
            Rule::Grants,
            Some(current.at),
            format!("grant {} has changed since the task was opened, and nothing is allowed by both", current.name),
            "open a new task under the charter in force",
        )
    })
}

/// Checks that the rights give nothing that is prohibited and that the provider could not deny.
fn nothing_prohibited(
    say: &DenialBuilder<'_>,
    rights: &Rights,
    prohibited: &[Prohibition],
    request: &GrantRequest<'_>,
) -> Result<(), Denial> {
    for rule in prohibited {
        if let Some(word) = rights.prohibited(&rule.what).first() {
            let message = format!(
                "grant {} gives {word}, which is prohibited: {}",
                request.grant, rule.reason
            );
            let next = "use a grant that does not give it";
            return Err(say.no(Rule::Prohibited, Some(rule.at), message, next));
        }
    }
    Ok(())
}

fn destructive(
    say: &DenialBuilder<'_>,
    rights: &Rights,
    prohibited: &[Prohibition],
    request: &GrantRequest<'_>,
) -> Result<BTreeSet<ActionPattern>, Denial> {
    let Some(plan) = request.plan else {
        return Ok(BTreeSet::new());
    };
    // What nothing holds back from the credential would be an empty word to approvers (S41).
    let known = rights.destructive();
    for action in &plan.destructive {
        if let Some(rule) = prohibiting(prohibited, action) {
            let message = format!("{action} is prohibited: {}", rule.reason);
            return Err(say.no(
                Rule::Prohibited,
                Some(rule.at),
                message,
                "take it out of the plan",
            ));
        }
        if !known.contains(action) {
            let message = format!(
                "{action} is not among the destructive actions of grant {}",
                request.grant
            );
            return Err(say.no(Rule::Grants, None, message, "take it out of the plan"));
        }
    }
    Ok(plan.destructive.clone())
}

/// The rights without the destructive actions that the plan does not name. AWS denies those in the
/// session policy; RBAC cannot deny, so no rule contains them.
fn held_back(
    say: &DenialBuilder<'_>,
    rights: Rights,
    named: &BTreeSet<ActionPattern>,
) -> Result<Rights, Denial> {
    match rights.holding_back(named) {
        Some(Held::Unchanged) => Ok(rights),
        Some(Held::Less(rights)) => Ok(rights),
        None => {
            let message = "all that this grant gives is destructive, and no plan names it";
            let next = "name it with `lanyard plan submit --destructive`";
            Err(say.no(Rule::Grants, None, message.to_owned(), next))
        }
    }
}

fn prohibiting<'a>(
    prohibited: &'a [Prohibition],
    action: &ActionPattern,
) -> Option<&'a Prohibition> {
    prohibited.iter().find(|rule| rule.what.covers(action))
}

fn lifetime(
    say: &DenialBuilder<'_>,
    limits: &Limits,
    grants: [Option<Ttl>; 2],
    request: &GrantRequest<'_>,
) -> Result<Ttl, Denial> {
    let longest = grants.into_iter().flatten().fold(limits.ttl, Ttl::min);
    if let Some(asked) = request.ttl.filter(|asked| *asked > longest) {
        let message = format!("{asked} is longer than the {longest} that a credential may live");
        return Err(over(
            say.no(Rule::Limits, None, message, "ask for less"),
            "limits.ttl",
            longest,
        ));
    }
    match limits.revocable_within {
        Some(bound) if request.worst_case > bound.as_duration() => {
            let denial = say.no(
                Rule::Limits,
                None,
                format!(
                    "revoking it can take {} s, and the charter asks for {bound} at most",
                    request.worst_case.as_secs()
                ),
                "use a target that revokes faster",
            );
            Err(over(denial, "limits.revocable_within", bound))
        }
        _ => Ok(request.ttl.unwrap_or(longest)),
    }
}

fn tighter(one: &Limits, two: &Limits) -> Limits {
    Limits {
        ttl: one.ttl.min(two.ttl),
        task: one.task.min(two.task),
        live_leases: one.live_leases.min(two.live_leases),
        mints: one.mints.and(&two.mints),
        budget: match (one.budget, two.budget) {
            (Some(a), Some(b)) => Some(Budget {
                mints: a.mints.min(b.mints),
                time: a.time.min(b.time),
            }),
            (a, b) => a.or(b),
        },
        requests: RequestLimits {
            open: one.requests.open.min(two.requests.open),
            cooldown: one.requests.cooldown.max(two.requests.cooldown),
        },
        revocable_within: match (one.revocable_within, two.revocable_within) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        },
    }
}

fn union(one: &[Prohibition], two: &[Prohibition]) -> Vec<Prohibition> {
    let mut all = two.to_vec();
    all.extend(
        one.iter()
            .filter(|rule| !two.iter().any(|other| other.what == rule.what))
            .cloned(),
    );
    all
}
