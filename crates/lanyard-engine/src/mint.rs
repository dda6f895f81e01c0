//! A mint, from the request to the hand-over: decide, A, B, C, D.
//!
//! B runs in a task of its own: a caller that goes away does not leave a credential that nobody
//! looks after (T56).

use std::sync::Arc;
use std::time::Duration;

use lanyard_core::charter::{Charter, Grant, Name};
use lanyard_core::command::Command;
use lanyard_core::decide::{
    Ancestor, Denial, GrantRequest, Permit, Revisions, decide, not_in_force, revision_lost, unread,
};
use lanyard_core::id::LeaseId;
use lanyard_core::identity::Caller;
use lanyard_core::lease::{Seq, StopCause};
use lanyard_core::ledger::CommitError;
use lanyard_core::person::Person;
use lanyard_core::plan::{Plan, Unjudged};
use lanyard_core::provider::{
    Credential, MintRequest, Prepared, Provider, ProviderError, Revocability,
};
use lanyard_core::state::Refusal;
use lanyard_core::task::{Above, Task};
use lanyard_core::time::{Timestamp, Ttl};

use crate::clear::{Cleared, GRACE};
use crate::engine::{Engine, no_state};
use crate::gate::Closed;

pub use crate::issue::{Ask, IssueError};

/// A credential that has passed C and waits for D.
pub struct Issued {
    /// Which lease.
    pub lease: LeaseId,
    /// The record of its intent.
    pub intent: Seq,
    /// When it ends.
    pub expires: Timestamp,
    /// How it can be revoked.
    pub revocability: Revocability,
    /// The secret.
    pub credential: Credential,
    /// The right to hand it over, once.
    pub release: Release,
}

/// The right to hand one secret over. Dropped unused, it makes the lease end as undelivered.
pub struct Release {
    engine: Arc<Engine>,
    lease: LeaseId,
    handed: bool,
}

impl Release {
    /// D: the test and the hand-over, within one guard and without an await.
    ///
    /// # Errors
    /// Nothing was handed over; the lease is being ended.
    pub fn hand_over<R>(mut self, hand_over: impl FnOnce() -> R) -> Result<R, Closed> {
        let engine = Arc::clone(&self.engine);
        // A mint that was under way when the daemon was told to end is finished; one that the broker may not trust any
        // more is not.
        if engine.conditions.is_revoke_only() {
            return Err(Closed::NotIssuing);
        }
        let handed = engine
            .gate
            .release(engine.parts.ledger.as_ref(), self.lease, hand_over)?;
        self.handed = true;
        Ok(handed)
    }
}

/// A mint under way: dropped when its provider is called no more, whatever became of it.
struct Minting {
    engine: Arc<Engine>,
    lease: LeaseId,
}

impl Minting {
    fn begin(engine: &Arc<Engine>, lease: LeaseId) -> Self {
        engine.minting.lock().insert(lease);
        Self {
            engine: Arc::clone(engine),
            lease,
        }
    }
}

impl Drop for Minting {
    fn drop(&mut self) {
        self.engine.minting.lock().remove(&self.lease);
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        let list = if self.handed {
            &self.engine.delivered
        } else {
            &self.engine.undelivered
        };
        list.lock().push(self.lease);
        self.engine.housekeeping.notify_one();
    }
}

impl Engine {
    /// Decides; mints when the answer is yes. Returns before D.
    ///
    /// # Errors
    /// See [`IssueError`]. Whatever may exist at the provider after an error is being revoked.
    pub async fn issue(
        self: &Arc<Self>,
        caller: impl Into<Caller>,
        ask: Ask,
    ) -> Result<Issued, IssueError> {
        let caller = caller.into();
        let (cleared, intent, minting) = match self.begun(&caller, &ask).await {
            Ok(begun) => begun,
            Err(error) => {
                let asked = (ask.task, &ask.grant, ask.asked());
                return Err(self.recorded(&caller.identity, asked, error).await);
            }
        };
        let target = cleared.intent.entry.target.clone();
        let revocability = cleared.provider.revocability(&cleared.request.rights);
        let (lease, deadline) = (cleared.intent.lease, cleared.intent.deadline);
        let (answer, waiting) = tokio::sync::oneshot::channel();
        let engine = Arc::clone(self);
        self.supervise(async move {
            let outcome = engine
                .mint(
                    &target,
                    cleared.provider,
                    (cleared.request, deadline),
                    cleared.prepared,
                )
                .await;
            drop(minting);
            // A caller that went away drops the answer, and with it the release: undelivered.
            drop(answer.send(outcome));
        });
        let (credential, expires, release) = waiting
            .await
            .unwrap_or(Err(IssueError::Closed(Closed::Unknown)))?;
        Ok(Issued {
            lease,
            intent,
            expires,
            revocability,
            credential,
            release,
        })
    }

    /// Everything up to A.
    async fn begun(
        self: &Arc<Self>,
        caller: &Caller,
        ask: &Ask,
    ) -> Result<(Cleared, Seq, Minting), IssueError> {
        let cleared = match self.clear(caller, ask).await {
            Ok(cleared) => cleared,
            Err(error) => return Err(self.settled(error).await),
        };
        self.conditions.check().map_err(IssueError::NotIssuing)?;
        let begin = Command::BeginMint(Box::new(cleared.intent.clone()));
        self.meter(&caller.identity, &begin)?;
        // Before the intent is in the ledger, so that a revocation never sees the lease without its mint.
        let minting = Minting::begin(self, cleared.intent.lease);
        let intent = self.commit(begin).await.map_err(IssueError::Commit)?;
        Ok((cleared, intent, minting))
    }

    /// Decides without minting (AIP-163).
    ///
    /// # Errors
    /// As [`Engine::issue`] would.
    pub async fn validate(
        &self,
        caller: impl Into<Caller>,
        ask: &Ask,
    ) -> Result<Prepared, IssueError> {
        let caller = caller.into();
        let cleared = match self.clear(&caller, ask).await {
            Ok(cleared) => self.admissible(cleared),
            Err(error) => Err(error),
        };
        self.settle().await.map_err(IssueError::Commit)?;
        match cleared {
            Ok(cleared) => Ok(cleared.prepared),
            Err(error) => {
                let asked = (ask.task, &ask.grant, ask.asked());
                Err(self.recorded(&caller.identity, asked, error).await)
            }
        }
    }

    /// Whether the ledger would take the intent now: not under a kill order, a pause or a limit that is reached.
    fn admissible(&self, cleared: Cleared) -> Result<Cleared, IssueError> {
        self.conditions.check().map_err(IssueError::NotIssuing)?;
        let (now, begin) = (
            self.now(),
            Command::BeginMint(Box::new(cleared.intent.clone())),
        );
        match self.peek(|state| state.admit(&begin, now)) {
            Some(Ok(())) => Ok(cleared),
            Some(Err(refusal)) => Err(IssueError::Commit(CommitError::Refused(refusal))),
            None => Err(IssueError::Commit(no_state())),
        }
    }

    /// What was answered from, durable: an error rests on the state as it was admitted.
    async fn settled(&self, error: IssueError) -> IssueError {
        match self.settle().await {
            Ok(()) => error,
            Err(unavailable) => IssueError::Commit(unavailable),
        }
    }

    /// Asks every charter that has a say and has not been asked: one may have come into force since the plan was
    /// submitted. While it is being submitted its bytes are given, and stored later. Where a charter cannot be asked, the
    /// plan stays without a judgement, and the decision denies it.
    ///
    /// # Errors
    /// [`Unjudged::TooMuch`], when it is not the turn of this identity.
    pub(crate) async fn judge(
        &self,
        task: &Task,
        plan: &mut Plan,
        content: Option<&Arc<[u8]>>,
    ) -> Result<(), Unjudged> {
        for charter in self.with_a_say(task) {
            if plan.judged_by(charter.policies_digest()).is_some() {
                continue;
            }
            match self
                .parts
                .judge
                .judge((&charter, task), plan, content)
                .await
            {
                Ok(judgement) => plan.judgements.push(judgement),
                // It will be judged another time: no decision yet.
                Err(busy @ Unjudged::TooMuch(_)) => return Err(busy),
                Err(error) => {
                    tracing::error!(%error, plan = %plan.id, charter = %charter.name, "a plan could not be judged");
                }
            }
        }
        Ok(())
    }

    /// The revisions that decide about a task: of its own charter, and of those of the tasks above it.
    fn with_a_say(&self, task: &Task) -> Vec<Arc<Charter>> {
        let above = task.lineage.iter().filter_map(|above| {
            let found = self.peek(|state| state.task(above.task).cloned()).flatten();
            Some(found?.task)
        });
        let above: Vec<_> = above.collect();
        let all = std::iter::once(task).chain(above.iter().map(AsRef::as_ref));
        let pairs = all.filter_map(|task| self.revisions(task));
        pairs
            .flat_map(|(pinned, in_force)| [pinned, in_force])
            .collect()
    }

    /// What the charters of a task and of those above it say.
    pub(crate) fn decide(
        &self,
        task: &Task,
        (grant, ttl): (&Name, Option<Ttl>),
        (plan, sponsor): (Option<&Plan>, Option<&Person>),
        now: Timestamp,
    ) -> Result<Permit, Denial> {
        let gone = |task: &Task| self.without_revisions(task);
        let (pinned, in_force) = self.revisions(task).ok_or_else(|| gone(task))?;
        let mut above = Vec::with_capacity(task.lineage.len());
        for Above { task: id, .. } in &task.lineage {
            let found = self.peek(|state| state.task(*id).cloned()).flatten();
            let found = found.ok_or_else(|| gone(task))?;
            let revisions = self
                .revisions(&found.task)
                .ok_or_else(|| gone(&found.task))?;
            above.push((found.task, revisions));
        }
        let ancestors: Vec<_> = above
            .iter()
            .map(|(task, (pinned, in_force))| Ancestor {
                task,
                revisions: Revisions { pinned, in_force },
            })
            .collect();
        let emergency = self.emergency(&task.charter);
        // Of an unknown grant the decision says so itself.
        let named = in_force.grants.get(grant);
        let request = GrantRequest {
            task,
            grant,
            ttl,
            plan,
            sponsor,
            watched: named.is_some_and(|grant| self.is_watched(task, grant, now)),
            ancestors: &ancestors,
            emergency: emergency.as_ref(),
            worst_case: named.map_or(Duration::MAX, |grant| self.worst_case(grant)),
            now,
        };
        let revisions = Revisions {
            pinned: &pinned,
            in_force: &in_force,
        };
        decide(revisions, &request)
    }

    /// What serves the target of a grant, as the charter in force names it.
    pub(crate) fn provider_of(&self, task: &Task, grant: &Name) -> Option<Arc<dyn Provider>> {
        let charter = self.charters().in_force(&task.charter)?;
        self.providers()
            .get(&charter.grants.get(grant)?.target)
            .cloned()
    }

    /// How long a credential of this grant could go on after a kill.
    pub(crate) fn worst_case(&self, grant: &Grant) -> Duration {
        let provider = self.providers().get(&grant.target);
        let bound = provider.and_then(|it| it.revocability(&grant.rights).worst_case);
        bound.unwrap_or(Duration::MAX)
    }

    /// Why a task has no pair of revisions to be judged by.
    pub(crate) fn without_revisions(&self, task: &Task) -> Denial {
        match self.charters().in_force(&task.charter) {
            Some(_) => revision_lost(&task.charter, &task.revision),
            None if self.charters().unread(&task.charter).is_some() => unread(&task.charter),
            None => not_in_force(&task.charter),
        }
    }

    /// Both revisions that have a say.
    pub(crate) fn revisions(&self, task: &Task) -> Option<(Arc<Charter>, Arc<Charter>)> {
        let pinned = self.charters().revision(&task.charter, &task.revision)?;
        let in_force = self.charters().in_force(&task.charter)?;
        Some((pinned, in_force))
    }

    /// B and C.
    async fn mint(
        self: &Arc<Self>,
        target: &Name,
        provider: Arc<dyn Provider>,
        (request, deadline): (MintRequest, Timestamp),
        prepared: Prepared,
    ) -> Result<(Credential, Timestamp, Release), IssueError> {
        let lease = request.lease;
        // The intent may have waited for the ledger. A call that went on beyond the deadline would make a credential
        // after its lease was given up and revoked (S39).
        let left = deadline.since(self.now()).saturating_sub(GRACE);
        let limit = provider.capabilities().mint_timeout.min(left);
        if limit.is_zero() {
            self.stop_and_wake(lease, target, StopCause::Unconfirmed)
                .await;
            return Err(IssueError::NotNow {
                target: target.clone(),
                why: "the journal took longer than a mint may take".to_owned(),
            });
        }
        let answer = tokio::time::timeout(limit, provider.mint(&request, &prepared)).await;
        let minted = match answer.unwrap_or(Err(ProviderError::Ambiguous {
            provider: provider.capabilities().provider,
            operation: "mint",
            code: "timeout".to_owned(),
        })) {
            Ok(minted) => minted,
            Err(error) => {
                let kind = provider.capabilities().provider;
                self.activity.failed(kind, request.role);
                self.stop_and_wake(lease, target, StopCause::Unconfirmed)
                    .await;
                return Err(IssueError::Provider(error));
            }
        };
        if minted.expires > prepared.worst_expiry {
            let outlives = Command::Outlives {
                lease,
                until: minted.expires,
            };
            if let Err(error) = self.commit(outlives).await {
                tracing::error!(%error, %lease, until = %minted.expires, "a longer life could not be journaled");
            }
            self.stop_and_wake(lease, target, StopCause::Excessive)
                .await;
            return Err(IssueError::Provider(ProviderError::Excessive {
                provider: provider.capabilities().provider,
                operation: "mint",
                found: "a later expiry than was asked for".to_owned(),
            }));
        }
        let expires = minted.expires.min(request.expires);
        let release = Release {
            engine: Arc::clone(self),
            lease,
            handed: false,
        };
        let confirm = Command::ConfirmMint {
            lease,
            expires,
            handle: minted.handle,
        };
        match self.commit(confirm).await {
            Ok(_) => Ok((minted.credential, expires, release)),
            Err(error) => {
                let cause = match &error {
                    CommitError::Refused(Refusal::Killed(engaged)) => {
                        StopCause::Killed(engaged.order.id)
                    }
                    CommitError::Refused(_)
                    | CommitError::Unavailable(_)
                    | CommitError::Volatile { .. } => StopCause::Unconfirmed,
                };
                self.stop_and_wake(lease, target, cause).await;
                Err(IssueError::Commit(error))
            }
        }
    }

    /// Ends a lease. Where the ledger cannot say so, the lease stays an intent, which the deadline or
    /// the next start ends.
    pub(crate) async fn stop_and_wake(&self, lease: LeaseId, target: &Name, cause: StopCause) {
        if let Err(error) = self
            .commit(Command::Stop {
                leases: vec![lease],
                cause,
            })
            .await
        {
            tracing::error!(%error, %lease, "a stop could not be journaled; the lease's deadline will end it");
        }
        self.wake(target);
    }

    /// Runs a mint to its end whatever becomes of the caller.
    fn supervise(&self, mint: impl Future<Output = ()> + Send + 'static) {
        let mut mints = self.mints.lock();
        while mints.try_join_next().is_some() {}
        mints.spawn(mint);
    }
}
