//! The way to A: the decision, the request to the provider, and the intent. Nothing is written down
//! here, and nothing exists at the provider that gives anybody access.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lanyard_core::command::Intent;
use lanyard_core::decide::{Denial, Permit};
use lanyard_core::lease::GrantRef;
use lanyard_core::plan::Plan;
use lanyard_core::provider::{self, MintRequest, Provider};
use lanyard_core::task::Task;
use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::digest::Digest;
use lanyard_vocabulary::id::{DecisionId, LeaseId};
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::Timestamp;

use crate::activity::Request;
use crate::decisions::{Approved, Question};
use crate::issue::{IssueError, IssueRequest};
use crate::mint::{GRACE, Mints, Prepared};
use crate::requests::{Requested, sponsored};
use crate::targets::make_ready;

/// The time for which a provider may make something ready, and a mint wait, without a new decision.
const DECISION_AGE: Duration = Duration::from_secs(1);

/// A decision that says yes, at its moment.
struct Decided {
    permit: Permit,
    provider: Arc<dyn Provider>,
    approval: Option<Approved>,
    epoch: Seq,
    now: Timestamp,
}

/// The facts of a request that the state holds, read before the decision.
struct RequestFacts {
    /// The task, with the evidence of this caller.
    task: Arc<Task>,
    /// The caller proved something else than when the task was opened.
    proved_otherwise: bool,
    plan: Option<Plan>,
}

impl Mints {
    /// Decides, makes ready what the credential shares with others, and renders the request. The
    /// state is read as admitted: an intent that follows is behind all of it in the journal, so the
    /// intent is durable only when that is. Any other answer has to wait.
    pub(crate) async fn prepare(
        &self,
        caller: &Caller,
        ask: &IssueRequest,
    ) -> Result<Prepared, IssueError> {
        let RequestFacts {
            task,
            proved_otherwise,
            mut plan,
        } = self.find(caller, ask)?;
        if let Some(plan) = &mut plan {
            self.decisions.judge.stored(plan).await?;
            self.decisions.judge(&task, plan, None).await?;
        }
        let plan = plan.as_ref();
        let mut decided = self.decided(caller, &task, ask, plan).await?;
        let lease = LeaseId::from_bits(self.context.draw()?);
        let mut request = self.request(lease, &task, &decided, plan);
        make_ready(decided.provider.as_ref(), &request)
            .await
            .map_err(IssueError::Provider)?;
        let target = &decided.permit.grant().target;
        self.context.targets.may_mint_at(target).await?;
        // The time of a credential runs from when it is asked for, not from before a wait.
        if self.context.now().since(decided.now) > DECISION_AGE {
            decided = self.decided(caller, &task, ask, plan).await?;
            request = self.request(lease, &task, &decided, plan);
        }
        let rendered = decided.provider.prepare(&request);
        let rendered = rendered.map_err(IssueError::Prepare)?;
        let provider = Arc::clone(&decided.provider);
        let mut intent = self.intent(ask, decided, (&request, &rendered))?;
        intent.evidence = proved_otherwise.then(|| caller.evidence.clone());
        Ok(Prepared {
            provider,
            request,
            rendered,
            intent,
        })
    }

    /// The task and the plan of a request, read in one look.
    fn find(&self, caller: &Caller, ask: &IssueRequest) -> Result<RequestFacts, IssueError> {
        let found = self.context.peek(|state| {
            let task = state.task(ask.task).map(|entry| Arc::clone(&entry.task));
            let task = task.filter(|task| task.identity == caller.identity)?;
            let request = ask.request.as_ref();
            let earlier = request.and_then(|request| state.lease_of_request(ask.task, request));
            let plan = ask.plan.and_then(|plan| state.plan(plan).cloned());
            Some((task, earlier, plan))
        });
        let (mut task, earlier, plan) = found.ok_or(IssueError::NotFound("task"))?;
        if let Some(lease) = earlier {
            return Err(IssueError::Repeated(lease));
        }
        let plan = plan.filter(|plan| plan.task == task.id && plan.grant == ask.grant);
        if ask.plan.is_some() && plan.is_none() {
            return Err(IssueError::NotFound("plan of this task and grant"));
        }
        let proved_otherwise = task.evidence != caller.evidence;
        if proved_otherwise {
            task = Arc::new(task.used_by(&caller.evidence));
        }
        Ok(RequestFacts {
            task,
            proved_otherwise,
            plan,
        })
    }

    /// A yes, with the approval that it needs; a no is recorded.
    async fn decided(
        &self,
        caller: &Caller,
        task: &Task,
        ask: &IssueRequest,
        plan: Option<&Plan>,
    ) -> Result<Decided, IssueError> {
        let now = self.context.now();
        let sponsor = match sponsored(caller, &task.charter) {
            Ok(sponsor) => sponsor,
            Err(denial) => return Err(self.denied(caller, task, ask, denial).await?),
        };
        let asked = Question {
            task,
            grant: &ask.grant,
            ttl: ask.ttl,
            plan,
            sponsor,
            now,
        };
        let (permit, snapshot, provider) = match self.decisions.permit(&asked) {
            Ok(permitted) => permitted,
            Err(denial) => return Err(self.denied(caller, task, ask, denial).await?),
        };
        let approval = self.decisions.approval_for(&asked, &snapshot, &permit)?;
        Ok(Decided {
            permit,
            provider,
            approval,
            epoch: snapshot.epoch(),
            now,
        })
    }

    async fn denied(
        &self,
        caller: &Caller,
        task: &Task,
        ask: &IssueRequest,
        denial: Denial,
    ) -> Result<IssueError, IssueError> {
        let asked = Requested {
            what: Request::Credential,
            task: Some(ask.task),
            environment: Some(task.environment.clone()),
            grant: Some(ask.grant.clone()),
            asked: ask.options(),
        };
        let denied = self.requests.deny(&caller.identity, asked, denial).await?;
        let (decision, denial) = denied;
        Ok(IssueError::Denied { decision, denial })
    }

    fn request(
        &self,
        lease: LeaseId,
        task: &Task,
        decided: &Decided,
        plan: Option<&Plan>,
    ) -> MintRequest {
        let skew = self.context.targets.skew(&decided.permit.grant().target);
        MintRequest {
            epoch: decided.epoch,
            skew: skew.unwrap_or_default(),
            request_number: self.prepared.fetch_add(1, Ordering::Relaxed),
            ..MintRequest::of(lease, task, &decided.permit, plan, decided.now)
        }
    }

    fn intent(
        &self,
        ask: &IssueRequest,
        decided: Decided,
        (request, rendered): (&MintRequest, &provider::Prepared),
    ) -> Result<Intent, IssueError> {
        let Decided {
            permit,
            provider,
            approval,
            epoch: _,
            now,
        } = decided;
        let grant = permit.grant();
        let (approval, approved_by) = approval.map(|it| ((it.id, it.requirement), it.by)).unzip();
        Ok(Intent {
            lease: request.lease,
            decision: DecisionId::from_bits(self.context.draw()?),
            task: ask.task,
            environment: Some(request.environment.clone()),
            entry: GrantRef {
                grant: grant.name.clone(),
                role: grant.role,
                target: grant.target.clone(),
            },
            in_force: permit.in_force().clone(),
            above: permit.above().to_vec(),
            handle: rendered.handle.clone(),
            expires: request.expires,
            worst_expiry: rendered.worst_expiry,
            deadline: now + provider.capabilities().mint_timeout + GRACE,
            approval,
            approved_by: approved_by.unwrap_or_default(),
            asked: ask.options(),
            outside_hours: permit.is_outside_hours(),
            limits: permit.limits().into(),
            request: ask.request.clone(),
            evidence: None,
            document_digest: Digest::of(rendered.document.as_bytes()).to_string(),
        })
    }
}
