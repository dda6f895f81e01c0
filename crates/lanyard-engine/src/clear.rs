//! What is settled before a mint is written down: the decision, what is asked of the provider, and the intent.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lanyard_core::approval::{Requirement, persons};
use lanyard_core::command::Intent;
use lanyard_core::decide::{Denial, Permit, ReasonCode, Rule, not_in_force};
use lanyard_core::id::{ApprovalId, DecisionId, LeaseId};
use lanyard_core::identity::{Caller, Identity};
use lanyard_core::lease::Entry;
use lanyard_core::ledger::CommitError;
use lanyard_core::person::Person;
use lanyard_core::plan::Plan;
use lanyard_core::provider::{MintRequest, Prepared, Provider, ProviderError};
use lanyard_core::state::{Refusal, TaskEntry};
use lanyard_core::task::Task;
use lanyard_core::time::Timestamp;

use crate::activity::Request;
use crate::engine::Engine;
use crate::issue::{Ask, IssueError};
use crate::tasks::{Requested, sponsored};

/// How long past the provider's own time an intent waits for C before it is given up.
pub(crate) const GRACE: Duration = Duration::from_secs(5);
/// How long what a provider makes ready may take without the decision being made again.
const SOON: Duration = Duration::from_secs(1);

/// Everything between the decision and A.
pub(crate) struct Cleared {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) request: MintRequest,
    pub(crate) prepared: Prepared,
    pub(crate) intent: Intent,
}

/// The approval that carries a credential.
struct Approved {
    id: ApprovalId,
    requirement: Requirement,
    by: Vec<Identity>,
}

/// A decision that says yes, at its moment.
struct Decided {
    permit: Permit,
    provider: Arc<dyn Provider>,
    approval: Option<Approved>,
    now: Timestamp,
}

/// Makes ready what the credential shares with others, in no more time than a mint may take.
pub(crate) async fn make_ready(
    provider: &dyn Provider,
    request: &MintRequest,
) -> Result<(), ProviderError> {
    let capabilities = provider.capabilities();
    let ready = tokio::time::timeout(capabilities.mint_timeout, provider.ready(request));
    ready.await.unwrap_or_else(|_| {
        Err(ProviderError::Ambiguous {
            provider: capabilities.provider,
            operation: "make ready",
            code: "no answer in time".to_owned(),
        })
    })
}

impl Engine {
    /// Decides on the state as it was admitted. An intent that follows is behind all of it in the journal, so it is
    /// durable only when that is; any other answer has to wait.
    pub(crate) async fn clear(&self, caller: &Caller, ask: &Ask) -> Result<Cleared, IssueError> {
        let mut entry = self
            .peek(|state| state.task(ask.task).cloned())
            .flatten()
            .filter(|entry| entry.task.identity == caller.identity)
            .ok_or(IssueError::NotFound("task"))?;
        let proved_otherwise = entry.task.evidence != caller.evidence;
        if proved_otherwise {
            entry.task = Arc::new(entry.task.used_by(&caller.evidence));
        }
        self.not_repeated(ask)?;
        let mut plan = self.plan_for(&entry, ask)?;
        if let Some(plan) = &mut plan {
            self.parts.judge.stored(plan).await?;
            self.judge(&entry.task, plan, None).await?;
        }
        let plan = plan.as_ref();
        let mut decided = self.decided(caller, &entry, ask, plan).await?;
        let lease = LeaseId::from_bits(self.draw()?);
        let request = self.asked(lease, &entry, &decided, plan);
        make_ready(decided.provider.as_ref(), &request)
            .await
            .map_err(IssueError::Provider)?;
        self.may_mint_at(&decided.permit.grant().target).await?;
        // The time of a credential runs from when it is asked for, not from before a wait.
        let waited = self.now().since(decided.now) > SOON;
        if waited {
            decided = self.decided(caller, &entry, ask, plan).await?;
        }
        let request = if waited {
            self.asked(lease, &entry, &decided, plan)
        } else {
            request
        };
        let prepared = decided
            .provider
            .prepare(&request)
            .map_err(IssueError::Prepare)?;
        let provider = Arc::clone(&decided.provider);
        let mut intent = self.intent(ask, decided, (&request, &prepared))?;
        intent.evidence = proved_otherwise.then(|| caller.evidence.clone());
        Ok(Cleared {
            provider,
            request,
            prepared,
            intent,
        })
    }

    /// A yes, with the approval that it needs; a no is recorded.
    async fn decided(
        &self,
        caller: &Caller,
        entry: &TaskEntry,
        ask: &Ask,
        plan: Option<&Plan>,
    ) -> Result<Decided, IssueError> {
        let now = self.now();
        let permitted = sponsored(caller, &entry.task.charter)
            .map_err(Box::new)
            .and_then(|sponsor| self.permit(entry, ask, plan, (sponsor, now)));
        let (permit, provider) = match permitted {
            Ok(permitted) => permitted,
            Err(denial) => {
                let asked = Requested {
                    what: Request::Credential,
                    task: Some(ask.task),
                    environment: Some(entry.task.environment.clone()),
                    grant: Some(ask.grant.clone()),
                    asked: ask.asked(),
                };
                let denied = self.deny(&caller.identity, asked, *denial).await?;
                let (decision, denial) = denied;
                return Err(IssueError::Denied { decision, denial });
            }
        };
        let approval = self.approval_for(&entry.task, &permit, plan, now)?;
        Ok(Decided {
            permit,
            provider,
            approval,
            now,
        })
    }

    fn asked(
        &self,
        lease: LeaseId,
        entry: &TaskEntry,
        decided: &Decided,
        plan: Option<&Plan>,
    ) -> MintRequest {
        let epoch = self.peek(|state| state.kills().epoch());
        MintRequest {
            epoch: epoch.unwrap_or_default(),
            skew: self
                .skew(&decided.permit.grant().target)
                .unwrap_or_default(),
            number: self.prepared.fetch_add(1, Ordering::Relaxed),
            ..MintRequest::of(lease, &entry.task, &decided.permit, plan, decided.now)
        }
    }

    fn intent(
        &self,
        ask: &Ask,
        decided: Decided,
        (request, prepared): (&MintRequest, &Prepared),
    ) -> Result<Intent, IssueError> {
        let Decided {
            permit,
            provider,
            approval,
            now,
        } = decided;
        let grant = permit.grant();
        let (approval, approved_by) = approval.map(|it| ((it.id, it.requirement), it.by)).unzip();
        Ok(Intent {
            lease: request.lease,
            decision: DecisionId::from_bits(self.draw()?),
            task: ask.task,
            environment: Some(request.environment.clone()),
            entry: Entry {
                grant: grant.name.clone(),
                role: grant.role,
                target: grant.target.clone(),
            },
            in_force: permit.in_force().clone(),
            above: permit.above().to_vec(),
            handle: prepared.handle.clone(),
            expires: request.expires,
            worst_expiry: prepared.worst_expiry,
            deadline: now + provider.capabilities().mint_timeout + GRACE,
            approval,
            approved_by: approved_by.unwrap_or_default(),
            asked: ask.asked(),
            outside_hours: permit.is_outside_hours(),
            limits: permit.limits().into(),
            request: ask.request.clone(),
            evidence: None,
            document_digest: lanyard_core::digest::Digest::of(prepared.document.as_bytes())
                .to_string(),
        })
    }

    fn not_repeated(&self, ask: &Ask) -> Result<(), IssueError> {
        let Some(request) = &ask.request else {
            return Ok(());
        };
        let earlier = self.peek(|state| state.lease_of_request(ask.task, request));
        match earlier.flatten() {
            Some(lease) => Err(IssueError::Repeated(lease)),
            None => Ok(()),
        }
    }

    fn plan_for(&self, entry: &TaskEntry, ask: &Ask) -> Result<Option<Plan>, IssueError> {
        let Some(id) = ask.plan else { return Ok(None) };
        self.peek(|state| state.plan(id).cloned())
            .flatten()
            .filter(|plan| plan.task == entry.task.id && plan.grant == ask.grant)
            .map(Some)
            .ok_or(IssueError::NotFound("plan of this task and grant"))
    }

    fn permit(
        &self,
        entry: &TaskEntry,
        ask: &Ask,
        plan: Option<&Plan>,
        (sponsor, now): (Option<&Person>, Timestamp),
    ) -> Result<(Permit, Arc<dyn Provider>), Box<Denial>> {
        let task = entry.task.as_ref();
        // An unknown grant has no target; the decision then says so itself.
        let provider = self.provider_of(task, &ask.grant);
        let permit = self.decide(task, (&ask.grant, ask.ttl), (plan, sponsor), now)?;
        match provider {
            Some(provider) => Ok((permit, provider)),
            None => Err(Box::new(not_in_force(&task.charter))),
        }
    }

    fn approval_for(
        &self,
        task: &Task,
        permit: &Permit,
        plan: Option<&Plan>,
        now: Timestamp,
    ) -> Result<Option<Approved>, IssueError> {
        let Some(requirement) = permit.requirement() else {
            return Ok(None);
        };
        // Whoever is stopped is told so, and not to ask people for what they could not give.
        if let Some(order) = self.stopper(task, permit.grant()) {
            let killed = Refusal::Killed(Box::new(order));
            return Err(IssueError::Commit(CommitError::Refused(killed)));
        }
        let (Some(plan), Some(id)) = (plan, plan.and_then(|plan| plan.approval)) else {
            let needed = self.plan_needed((task, permit), requirement, now);
            return Err(IssueError::PlanNeeded(Box::new(needed)));
        };
        let found = self.peek(|state| state.approval(id).cloned()).flatten();
        let approval = found.ok_or(IssueError::NotFound("approval"))?;
        approval
            .usable(now, requirement)
            .map_err(|why| IssueError::ApprovalNeeded {
                plan: plan.id,
                approval: id,
                why,
            })?;
        Ok(Some(Approved {
            id,
            by: approval.counting(requirement),
            requirement: requirement.clone(),
        }))
    }

    /// People have to approve what nobody has shown them: which rule asks for it, and how it is shown to them.
    fn plan_needed(
        &self,
        (task, permit): (&Task, &Permit),
        needed: &Requirement,
        now: Timestamp,
    ) -> Denial {
        let (grant, environment) = (permit.grant(), &task.environment);
        let charter = self.charters().in_force(&task.charter);
        let rule = charter.as_ref().and_then(|charter| {
            let mut rules = charter.approvals.iter();
            rules.find(|rule| {
                rule.people > 0 && rule.is_about(grant.role, environment, permit.risk())
            })
        });
        let (why, at, opens) = match (rule, self.asking_pause(task, grant, now)) {
            (Some(rule), _) => ("rule `approvals`".to_owned(), Some(rule.at), None),
            (None, Some(pause)) => {
                let why = format!("pause {} over {}: {}", pause.id, pause.reach, pause.reason);
                (why, None, pause.until)
            }
            (None, None) => match permit.closed_hours() {
                Some(hours) => {
                    let why = format!("it is outside the hours {}", hours.shown);
                    (why, Some(hours.at), hours.opens)
                }
                None => ("rule `approvals`".to_owned(), None, None),
            },
        };
        let wait = opens.map_or_else(String::new, |at| format!(", or wait until {at}"));
        Denial {
            revision: Some(permit.in_force().clone()),
            rule: Rule::AwaitsApproval,
            path: at
                .and_then(|at| charter.as_ref()?.paths.at(at))
                .map(Box::from),
            at,
            message: format!(
                "grant `{}` in {environment} takes the approval of {}: {why}",
                grant.name,
                persons(needed.people)
            ),
            next: format!(
                "show them what you will do with `lanyard plan submit --task {} --grant {} --summary … FILE`, and ask again \
                 with --plan once they approved{wait}",
                task.id, grant.name
            ),
            reason_code: Some(ReasonCode::ApprovalRequired),
            retry_after: opens,
            ..not_in_force(&task.charter)
        }
    }
}
