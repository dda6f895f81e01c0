//! A mint, from the decision to the hand-over. Each step consumes the one before it, so no step can
//! be left out; and a step that fails is undone, because only its undo makes the error.
//!
//! ```text
//!                                                  what may exist          undo
//! Prepared   decided and rendered                  nothing                 none
//!  A  commit the intent with the handle
//! Intended   whatever happens, the ledger knows    a credential, perhaps   stop: revoked by its handle
//!  B  provider.mint with that handle
//! Minted     the provider answered                 a credential            stop: revoked by its handle
//!  C  commit the answer; a kill order refuses it
//! Issued     may be handed over                    a credential            drop: ends as undelivered
//!  D  Release: test and hand over in one guard     a credential, in use
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use lanyard_charter::kinds::Credential;
use lanyard_core::command::{Command, Intent};
use lanyard_core::lease::StopCause;
use lanyard_core::ledger::CommitError;
use lanyard_core::provider;
use lanyard_core::provider::{MintRequest, Provider, ProviderError, Revocability};
use lanyard_core::state::Refusal;
use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::context::Context;
use crate::decisions::Decisions;
use crate::deliveries::Deliveries;
use crate::gate::Closed;
use crate::requests::Requests;

use undo::{UnderWay, Undone};

pub use crate::issue::{IssueError, IssueRequest};

/// The time past the provider's own that an intent waits for C before it is given up.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// The part that issues credentials.
pub struct Mints {
    pub(crate) context: Arc<Context>,
    pub(crate) decisions: Arc<Decisions>,
    pub(crate) requests: Arc<Requests>,
    pub(crate) deliveries: Arc<Deliveries>,
    /// The leases whose provider may be called by a mint at this moment: nothing says of one that
    /// it is dead.
    pub(crate) minting: Arc<Minting>,
    /// The number of requests that were rendered.
    pub(crate) prepared: AtomicU64,
    pub(crate) running: Mutex<JoinSet<()>>,
}

/// The leases of mints that may call their provider.
pub(crate) type Minting = Mutex<BTreeSet<LeaseId>>;

impl Mints {
    /// Decides, and goes through A, B and C if the answer is yes. D is the caller's.
    ///
    /// # Errors
    /// See [`IssueError`]. Whatever may exist at the provider after an error is being revoked.
    pub async fn issue(
        self: &Arc<Self>,
        caller: &Caller,
        ask: &IssueRequest,
    ) -> Result<Issued, IssueError> {
        let intended = match self.begin(caller, ask).await {
            Ok(intended) => intended,
            Err(error) => {
                let asked = (ask.task, &ask.grant, ask.options());
                return Err(self.requests.recorded(&caller.identity, asked, error).await);
            }
        };
        let (answer, waiting) = tokio::sync::oneshot::channel();
        // In a task of its own: a caller that goes away does not leave a credential that nobody
        // looks after (T56).
        self.supervise(async move {
            let issued = async { intended.mint().await?.confirm().await };
            // A caller that went away drops the answer, and with it the release: undelivered.
            drop(answer.send(issued.await));
        });
        let issued = waiting.await;
        Ok(issued.map_err(|_| IssueError::Closed(Closed::Unknown))??)
    }

    /// Everything up to A.
    async fn begin(
        self: &Arc<Self>,
        caller: &Caller,
        ask: &IssueRequest,
    ) -> Result<Intended, IssueError> {
        let prepared = match self.prepare(caller, ask).await {
            Ok(prepared) => prepared,
            // The error rests on the state as admitted.
            Err(error) => {
                let settled = self.context.settle().await;
                return Err(settled.map_or_else(IssueError::Commit, |()| error));
            }
        };
        prepared.intend(self, &caller.identity).await
    }

    /// Decides without minting (AIP-163), and checks that the ledger would take the intent now.
    ///
    /// # Errors
    /// As [`Mints::issue`] would.
    pub async fn validate(
        &self,
        caller: &Caller,
        ask: &IssueRequest,
    ) -> Result<provider::Prepared, IssueError> {
        let admissible = match self.prepare(caller, ask).await {
            Ok(prepared) => prepared.admissible(&self.context),
            Err(error) => Err(error),
        };
        self.context.settle().await.map_err(IssueError::Commit)?;
        match admissible {
            Ok(rendered) => Ok(rendered),
            Err(error) => {
                let asked = (ask.task, &ask.grant, ask.options());
                Err(self.requests.recorded(&caller.identity, asked, error).await)
            }
        }
    }

    /// Runs a mint to its end whatever becomes of the caller.
    fn supervise(&self, mint: impl Future<Output = ()> + Send + 'static) {
        let mut running = self.running.lock();
        while running.try_join_next().is_some() {}
        running.spawn(mint);
    }
}

/// Decided and rendered. Nothing is written down, and nothing exists: no undo is needed.
pub(crate) struct Prepared {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) request: MintRequest,
    pub(crate) rendered: provider::Prepared,
    pub(crate) intent: Intent,
}

impl Prepared {
    /// A: commits the intent. A failure needs no undo, because no provider was called.
    async fn intend(self, mints: &Arc<Mints>, identity: &Identity) -> Result<Intended, IssueError> {
        let context = &mints.context;
        context.conditions.check().map_err(IssueError::NotIssuing)?;
        let begin = Command::BeginMint(Box::new(self.intent.clone()));
        mints.requests.meter(identity, &begin)?;
        // Before the intent is in the ledger, so that a revocation never sees the lease without its
        // mint.
        let under_way = UnderWay::begin(mints, &self.intent);
        let seq = context.commit(begin).await.map_err(IssueError::Commit)?;
        Ok(Intended {
            prepared: self,
            seq,
            under_way,
        })
    }

    /// Checks that the ledger would take the intent now: under no kill order, no pause, and no
    /// limit that is reached.
    fn admissible(self, context: &Context) -> Result<provider::Prepared, IssueError> {
        context.conditions.check().map_err(IssueError::NotIssuing)?;
        let (now, begin) = (context.now(), Command::BeginMint(Box::new(self.intent)));
        match context.peek(|state| state.admit(&begin, now)) {
            Ok(()) => Ok(self.rendered),
            Err(refusal) => Err(IssueError::Commit(CommitError::Refused(refusal))),
        }
    }
}

/// A is durable: whatever happens, the ledger knows the handle by which a credential is revoked.
struct Intended {
    prepared: Prepared,
    seq: Seq,
    under_way: UnderWay,
}

impl Intended {
    /// B: calls the provider with the handle of the intent. Without a good answer the lease is
    /// stopped; a timeout is never followed by another mint under the same lease.
    async fn mint(self) -> Result<Minted, Undone> {
        let Self {
            prepared,
            seq,
            under_way,
        } = self;
        let Prepared {
            provider,
            request,
            rendered,
            intent,
        } = prepared;
        let (context, limits) = (under_way.context(), provider.capabilities());
        // The intent may have waited for the ledger. A call that went on beyond the deadline would
        // make a credential after its lease was given up and revoked (S39).
        let left = intent.deadline.since(context.now()).saturating_sub(GRACE);
        let limit = limits.mint_timeout.min(left);
        if limit.is_zero() {
            let late = IssueError::NotNow {
                target: intent.entry.target.clone(),
                why: "the journal took longer than a mint may take".to_owned(),
            };
            return Err(under_way.undo(StopCause::Unconfirmed, late).await);
        }
        let answer = tokio::time::timeout(limit, provider.mint(&request, &rendered)).await;
        let minted = match answer.unwrap_or(Err(ProviderError::Ambiguous {
            provider: limits.provider,
            operation: "mint",
            code: "timeout".to_owned(),
        })) {
            Ok(minted) => minted,
            Err(error) => {
                context.activity.failed(limits.provider, request.role);
                let failed = IssueError::Provider(error);
                return Err(under_way.undo(StopCause::Unconfirmed, failed).await);
            }
        };
        if minted.expires > rendered.worst_expiry {
            under_way.outlives(minted.expires).await;
            let excessive = IssueError::Provider(ProviderError::Excessive {
                provider: limits.provider,
                operation: "mint",
                found: "a later expiry than was asked for".to_owned(),
            });
            return Err(under_way.undo(StopCause::Excessive, excessive).await);
        }
        Ok(Minted {
            expires: minted.expires.min(request.expires),
            revocability: provider.revocability(&request.rights),
            minted,
            seq,
            under_way,
        })
    }
}

/// The provider answered B, and the ledger does not know the answer yet.
struct Minted {
    minted: provider::Minted,
    expires: Timestamp,
    revocability: Revocability,
    seq: Seq,
    under_way: UnderWay,
}

impl Minted {
    /// C: commits the answer. The ledger refuses it if a kill order came in between.
    async fn confirm(self) -> Result<Issued, Undone> {
        let Self {
            minted,
            expires,
            revocability,
            seq,
            under_way,
        } = self;
        // Made before C: if C does not return, the lease ends as undelivered.
        let release = under_way.release();
        let confirm = Command::ConfirmMint {
            lease: release.lease,
            expires,
            handle: minted.handle,
        };
        if let Err(error) = under_way.context().commit(confirm).await {
            let cause = match &error {
                CommitError::Refused(Refusal::Killed(engaged)) => {
                    StopCause::Killed(engaged.order.id)
                }
                CommitError::Refused(_)
                | CommitError::Unavailable(_)
                | CommitError::Volatile { .. } => StopCause::Unconfirmed,
            };
            return Err(under_way.undo(cause, IssueError::Commit(error)).await);
        }
        Ok(Issued {
            lease: release.lease,
            intent: seq,
            expires,
            revocability,
            credential: minted.credential,
            release,
        })
    }
}

/// A credential that has passed C and waits for D.
pub struct Issued {
    /// The id of the lease.
    pub lease: LeaseId,
    /// The record of the intent.
    pub intent: Seq,
    /// The end of the lease.
    pub expires: Timestamp,
    /// The way in which the credential can be revoked.
    pub revocability: Revocability,
    /// The credential with its secret.
    pub credential: Credential,
    /// The right to hand the secret over, once.
    pub release: Release,
}

/// The right to hand one secret over. Dropped unused, it makes the lease end as undelivered.
pub struct Release {
    deliveries: Arc<Deliveries>,
    lease: LeaseId,
    is_delivered: bool,
}

impl Release {
    /// D: tests and hands over within one guard and without an await.
    ///
    /// # Errors
    /// Nothing was handed over; the lease is being ended.
    pub fn hand_over<R>(mut self, hand_over: impl FnOnce() -> R) -> Result<R, Closed> {
        let Deliveries { context, gate, .. } = self.deliveries.as_ref();
        // A mint that was under way when the daemon was told to end is finished; one that the
        // broker may not trust any more is not.
        if context.conditions.is_revoke_only() {
            return Err(Closed::NotIssuing);
        }
        let handed = gate.release(context.ledger.as_ref(), self.lease, hand_over)?;
        self.is_delivered = true;
        Ok(handed)
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        self.deliveries.note(self.lease, self.is_delivered);
    }
}

/// The undo of A, B and C. Nothing else makes an [`Undone`].
mod undo {
    use std::sync::Arc;

    use lanyard_core::command::{Command, Intent};
    use lanyard_core::lease::StopCause;
    use lanyard_vocabulary::id::LeaseId;
    use lanyard_vocabulary::name::Name;
    use lanyard_vocabulary::time::Timestamp;

    use super::{IssueError, Mints, Release};
    use crate::context::Context;

    /// A mint that may call its provider. Dropped when the provider is called no more, whatever
    /// became of the mint.
    pub(super) struct UnderWay {
        mints: Arc<Mints>,
        lease: LeaseId,
        target: Name,
    }

    /// The error of a step that was undone.
    pub(super) struct Undone(IssueError);

    impl From<Undone> for IssueError {
        fn from(undone: Undone) -> Self {
            undone.0
        }
    }

    impl UnderWay {
        pub(super) fn begin(mints: &Arc<Mints>, intent: &Intent) -> Self {
            mints.minting.lock().insert(intent.lease);
            Self {
                mints: Arc::clone(mints),
                lease: intent.lease,
                target: intent.entry.target.clone(),
            }
        }

        pub(super) fn context(&self) -> &Context {
            &self.mints.context
        }

        /// Ends the lease, and wakes the revoker of its target. Where the ledger cannot say so, the
        /// lease stays an intent, which the deadline or the next start ends.
        pub(super) async fn undo(self, cause: StopCause, error: IssueError) -> Undone {
            let context = self.context();
            context.stop_and_wake(self.lease, &self.target, cause).await;
            Undone(error)
        }

        /// Records that the credential lives longer than the intent says.
        pub(super) async fn outlives(&self, until: Timestamp) {
            let lease = self.lease;
            let outlives = Command::ExpiryExtended { lease, until };
            if let Err(error) = self.context().commit(outlives).await {
                tracing::error!(%error, %lease, %until, "failed to record the longer expiry");
            }
        }

        /// The right to hand over the secret of this mint.
        pub(super) fn release(&self) -> Release {
            Release {
                deliveries: Arc::clone(&self.mints.deliveries),
                lease: self.lease,
                is_delivered: false,
            }
        }
    }

    impl Drop for UnderWay {
        fn drop(&mut self) {
            self.mints.minting.lock().remove(&self.lease);
        }
    }
}
