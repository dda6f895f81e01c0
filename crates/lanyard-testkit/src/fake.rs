//! A provider in memory that fails on request. It is never kinder than a real one: an unanswered
//! mint may have created the credential.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lanyard_charter::Rights;
use lanyard_charter::kinds::{Credential, TokenCredential};
use lanyard_core::checkpoint::JournalCheckpoint;
use lanyard_core::lease::{Handle, LeaseRef};
use lanyard_core::provider::{
    Capabilities, FoundCredential, MintRequest, Minted, PrepareError, Prepared, Probe, Provider,
    ProviderError, Revocability, Revocation, RevocationReport, Revoked,
};
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;

use crate::clock::ManualClock;

/// The fault of one mint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MintFault {
    /// The mint succeeds without a fault.
    None,
    /// The provider refuses; no credential exists.
    Refuse,
    /// The answer is lost, and no credential exists.
    LostBefore,
    /// The answer is lost, and the credential exists (T55).
    LostAfter,
    /// The answer never arrives, and the credential exists.
    Hang,
    /// The credential lives longer than requested (T79).
    Longer,
}

/// The fault of revocations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RevokeFault {
    /// Revocations succeed without a fault.
    #[default]
    None,
    /// No revocation is ever answered.
    Hang,
    /// Every revocation fails with a retryable error.
    Lost,
    /// Every second lease's revocation is refused (T67).
    HalfRefused,
    /// No revocation completes, each lease for a reason of its own.
    Stuck,
    /// Revocations of the lowest ids hang, and use up the sixteen slots of a call.
    Crowded,
}

/// The way in which the fake proves that a revoked credential is dead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Check {
    /// The revocation itself is the proof.
    #[default]
    Revocation,
    /// There is no proof: death is presumed after the bound.
    Bound,
    /// A separate check proves it.
    Own,
    /// A separate check never answers.
    Hangs,
}

/// Leases that one call handles at the same time.
const REVOKED_PER_CALL: usize = 16;

/// A future that runs in the middle of the next mint, when the credential exists.
pub type Interruption = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The clock of the provider.
type Now = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// A provider in memory, controlled by a test.
pub struct FakeProvider {
    now: Now,
    live: Mutex<BTreeMap<LeaseId, Timestamp>>,
    mints: Mutex<VecDeque<MintFault>>,
    interruption: Mutex<Option<Interruption>>,
    preparation: Mutex<Option<Interruption>>,
    delay: Mutex<Option<Interruption>>,
    late_requests: Mutex<Duration>,
    ends_itself: Mutex<Option<Duration>>,
    endless: Mutex<bool>,
    own_clock: Mutex<bool>,
    cut: Mutex<Option<Timestamp>>,
    revocations: Mutex<RevokeFault>,
    check: Mutex<Check>,
    looks_hang: Mutex<bool>,
    witness_hangs: Mutex<bool>,
    hanging: Mutex<usize>,
    asked: Mutex<usize>,
    minted: Mutex<Vec<LeaseId>>,
    witness: Mutex<Option<JournalCheckpoint>>,
}

impl FakeProvider {
    /// Makes a provider that uses `clock`.
    #[must_use]
    pub fn new(clock: Arc<ManualClock>) -> Self {
        Self::by(move || clock.now())
    }

    /// Makes a provider whose time is what `now` returns.
    #[must_use]
    pub fn by(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self {
            now: Box::new(now),
            live: Mutex::default(),
            mints: Mutex::default(),
            interruption: Mutex::default(),
            preparation: Mutex::default(),
            delay: Mutex::default(),
            late_requests: Mutex::default(),
            ends_itself: Mutex::default(),
            endless: Mutex::default(),
            own_clock: Mutex::default(),
            cut: Mutex::default(),
            revocations: Mutex::default(),
            check: Mutex::default(),
            looks_hang: Mutex::default(),
            witness_hangs: Mutex::default(),
            hanging: Mutex::default(),
            asked: Mutex::default(),
            minted: Mutex::default(),
            witness: Mutex::default(),
        }
    }

    /// Returns the credentials that work now: not revoked and not expired.
    #[must_use]
    pub fn live(&self) -> BTreeSet<LeaseId> {
        let now = (self.now)();
        self.live
            .lock()
            .iter()
            .filter(|(_, expires)| now < **expires)
            .map(|(lease, _)| *lease)
            .collect()
    }

    /// Returns all leases for which a mint was requested, in order.
    #[must_use]
    pub fn minted(&self) -> Vec<LeaseId> {
        self.minted.lock().clone()
    }

    /// Queues a fault for the next mint.
    pub fn next_mint(&self, fault: MintFault) {
        self.mints.lock().push_back(fault);
    }

    /// Runs a future in the middle of the next mint.
    pub fn interrupt(&self, interruption: Interruption) {
        *self.interruption.lock() = Some(interruption);
    }

    /// Runs a future when the next mint is requested, before the credential exists.
    pub fn delay(&self, delay: Interruption) {
        *self.delay.lock() = Some(delay);
    }

    /// Declares that an abandoned mint may be carried out this much later.
    pub fn carry_out_late(&self, late: Duration) {
        *self.late_requests.lock() = late;
    }

    /// Declares that a credential which expires within this time needs no revocation, except by a
    /// kill.
    pub fn end_by_itself(&self, within: Duration) {
        *self.ends_itself.lock() = Some(within);
    }

    /// Declares that only a revocation ends a credential, whatever its expiry.
    pub fn give_without_end(&self) {
        *self.endless.lock() = true;
    }

    /// Counts lifetimes from the provider's own clock, as real targets do with relative lifetimes.
    pub fn count_by_its_own_clock(&self) {
        *self.own_clock.lock() = true;
    }

    /// Runs a future the next time that shared objects are prepared.
    pub fn prepare_by(&self, preparation: Interruption) {
        *self.preparation.lock() = Some(preparation);
    }

    /// Returns how often revocations were requested.
    #[must_use]
    pub fn revocations_asked(&self) -> usize {
        *self.asked.lock()
    }

    /// Returns the cut of the last revocation: every credential issued before it had to die.
    #[must_use]
    pub fn last_cut(&self) -> Option<Timestamp> {
        *self.cut.lock()
    }

    /// Sets how revoked credentials are proved dead.
    pub fn check(&self, check: Check) {
        *self.check.lock() = check;
    }

    /// Makes `list` hang from now on.
    pub fn hang_when_looked_through(&self) {
        *self.looks_hang.lock() = true;
    }

    /// Makes `remember` hang from now on.
    pub fn hang_when_told_to_remember(&self) {
        *self.witness_hangs.lock() = true;
    }

    /// Returns the number of calls of `prove`, `list` and `remember` that hang.
    #[must_use]
    pub fn hanging(&self) -> usize {
        *self.hanging.lock()
    }

    async fn hang(&self) {
        *self.hanging.lock() += 1;
        std::future::pending::<()>().await;
    }

    /// Sets the fault of revocations.
    pub fn revocations(&self, fault: RevokeFault) {
        *self.revocations.lock() = fault;
    }
}

fn refused(operation: &'static str) -> ProviderError {
    ProviderError::Refused {
        provider: "fake",
        operation,
        code: "no".to_owned(),
    }
}

const fn lost(operation: &'static str) -> ProviderError {
    ProviderError::Ambiguous {
        provider: "fake",
        operation,
        code: String::new(),
    }
}

fn stuck() -> ProviderError {
    ProviderError::Pending {
        provider: "fake",
        operation: "revoke",
        code: "its engine failed to revoke it".to_owned(),
    }
}

#[async_trait]
impl Provider for FakeProvider {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            provider: "fake",
            settle_time: Duration::from_secs(10),
            max_batch: 1000,
            rewrites_whole_document: true,
            can_list: true,
            can_prove: matches!(*self.check.lock(), Check::Own | Check::Hangs),
            mint_timeout: Duration::from_secs(5),
            late_request_time: *self.late_requests.lock(),
            leeway: Duration::from_secs(30),
        }
    }

    fn revocability(&self, _rights: &Rights) -> Revocability {
        Revocability {
            mechanism: "it is removed from a list".to_owned(),
            worst_case: Some(Duration::from_secs(10)),
            source: "this file".to_owned(),
        }
    }

    async fn ensure_shared_objects(&self, _request: &MintRequest) -> Result<(), ProviderError> {
        let preparation = self.preparation.lock().take();
        if let Some(preparation) = preparation {
            preparation.await;
        }
        Ok(())
    }

    fn prepare(&self, request: &MintRequest) -> Result<Prepared, PrepareError> {
        let handle = Handle(request.lease.to_string().into());
        Ok(Prepared {
            handle,
            worst_expiry: if *self.endless.lock() {
                Timestamp::NEVER
            } else {
                request.expires
            },
            document: String::new(),
        })
    }

    async fn mint(
        &self,
        request: &MintRequest,
        prepared: &Prepared,
    ) -> Result<Minted, ProviderError> {
        self.minted.lock().push(request.lease);
        let delay = self.delay.lock().take();
        if let Some(delay) = delay {
            delay.await;
        }
        let fault = self.mints.lock().pop_front().unwrap_or(MintFault::None);
        let longer = if fault == MintFault::Longer {
            Duration::from_secs(3600)
        } else {
            Duration::ZERO
        };
        let expires = prepared.worst_expiry.min(request.expires) + longer;
        let expires = if *self.own_clock.lock() {
            (self.now)() + expires.since(request.now)
        } else {
            expires
        };
        match fault {
            MintFault::Refuse => {
                return Err(refused("mint"));
            }
            MintFault::LostBefore => return Err(lost("mint")),
            MintFault::None | MintFault::LostAfter | MintFault::Hang | MintFault::Longer => {
                self.live.lock().insert(request.lease, expires);
            }
        }
        let interruption = self.interruption.lock().take();
        if let Some(interruption) = interruption {
            interruption.await;
        }
        match fault {
            MintFault::LostAfter => return Err(lost("mint")),
            MintFault::Hang => std::future::pending::<()>().await,
            MintFault::None | MintFault::Longer | MintFault::Refuse | MintFault::LostBefore => {}
        }
        let jwt = Secret::new(request.lease.to_string());
        Ok(Minted {
            credential: TokenCredential { jwt }.into(),
            expires: request.skew.to_own(expires),
            handle: None,
        })
    }

    fn needs_no_revocation(&self, lease: &LeaseRef, now: Timestamp) -> bool {
        let within = *self.ends_itself.lock();
        lease.kill.is_none() && within.is_some_and(|within| lease.worst_expiry <= now + within)
    }

    async fn revoke(&self, revocation: &Revocation) -> RevocationReport {
        let fault = *self.revocations.lock();
        *self.asked.lock() += 1;
        *self.cut.lock() = revocation.cut;
        if fault == RevokeFault::Hang {
            std::future::pending::<()>().await;
        }
        let taken = match *self.check.lock() {
            Check::Revocation => Revoked::ProvedDead,
            Check::Bound | Check::Own | Check::Hangs => Revoked::Acknowledged,
        };
        let mut live = self.live.lock();
        let lowest: BTreeSet<LeaseId> = live.keys().take(REVOKED_PER_CALL).copied().collect();
        let outcomes = revocation
            .due
            .iter()
            .enumerate()
            .map(|(place, lease)| {
                let odd = lease.id.bits() % 2 == 1;
                match fault {
                    RevokeFault::Lost => return (lease.id, Err(lost("revoke"))),
                    RevokeFault::HalfRefused if odd => return (lease.id, Err(refused("revoke"))),
                    RevokeFault::Crowded
                        if place >= REVOKED_PER_CALL || lowest.contains(&lease.id) =>
                    {
                        return (lease.id, Err(lost("revoke")));
                    }
                    RevokeFault::Stuck => return (lease.id, Err(stuck())),
                    RevokeFault::None
                    | RevokeFault::HalfRefused
                    | RevokeFault::Crowded
                    | RevokeFault::Hang => {}
                }
                live.remove(&lease.id);
                (lease.id, Ok(taken))
            })
            .collect();
        RevocationReport {
            outcomes,
            ..RevocationReport::default()
        }
    }

    async fn finish_and_prove(
        &self,
        leases: &[LeaseRef],
    ) -> Vec<(LeaseId, Result<Revoked, ProviderError>)> {
        if *self.check.lock() == Check::Hangs {
            self.hang().await;
        }
        let proved = leases
            .iter()
            .map(|lease| (lease.id, Ok(Revoked::ProvedDead)));
        proved.collect()
    }

    async fn probe(&self, lease: &LeaseRef) -> Result<Probe, ProviderError> {
        Ok(if self.live().contains(&lease.id) {
            Probe::Live
        } else {
            Probe::Dead
        })
    }

    async fn probe_with_credential(
        &self,
        credential: &Credential,
    ) -> Result<Option<bool>, ProviderError> {
        let Some(TokenCredential { jwt }) = credential.get() else {
            return Ok(None);
        };
        let live = self.live();
        Ok(Some(
            live.iter().any(|lease| lease.to_string() == *jwt.expose()),
        ))
    }

    async fn read_clock(&self) -> Result<Option<Timestamp>, ProviderError> {
        Ok(Some(Timestamp::from_secs((self.now)().as_secs())))
    }

    async fn load_checkpoint(&self) -> Result<Option<JournalCheckpoint>, ProviderError> {
        Ok(*self.witness.lock())
    }

    async fn store_checkpoint(&self, witness: &JournalCheckpoint) -> Result<(), ProviderError> {
        if *self.witness_hangs.lock() {
            self.hang().await;
        }
        *self.witness.lock() = Some(*witness);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<FoundCredential>, ProviderError> {
        if *self.looks_hang.lock() {
            self.hang().await;
        }
        let found = |lease: &LeaseId| FoundCredential {
            lease: *lease,
            handle: Handle(lease.to_string().into()),
        };
        Ok(self.live().iter().map(found).collect())
    }
}
