//! A provider that keeps what it gave, and fails when it is told to. It is never kinder than a real one: a mint
//! that it does not answer may have created the credential all the same.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lanyard_core::charter::Rights;
use lanyard_core::id::LeaseId;
use lanyard_core::lease::{Handle, LeaseRef};
use lanyard_core::provider::{
    Capabilities, Credential, Found, MintRequest, Minted, PrepareError, Prepared, Probe, Provider,
    ProviderError, Revocability, Revocation, RevocationReport, Revoked,
};
use lanyard_core::secret::Secret;
use lanyard_core::time::Timestamp;
use lanyard_core::witness::Witness;
use parking_lot::Mutex;

use crate::clock::ManualClock;

/// What becomes of the next mint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MintFault {
    /// It works.
    None,
    /// Refused; nothing was created.
    Refuse,
    /// No answer, and nothing was created.
    LostBefore,
    /// No answer, and the credential exists (T55).
    LostAfter,
    /// The answer never comes, and the credential exists.
    Hang,
    /// The credential lives longer than asked (T79).
    Longer,
}

/// What becomes of revocations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RevokeFault {
    /// They work.
    #[default]
    None,
    /// None is answered, ever.
    Hang,
    /// Each fails in a way that may pass.
    Lost,
    /// Every other lease's is refused (T67).
    HalfRefused,
    /// None is done yet, for a reason of each lease's own.
    Stuck,
    /// Those of the lowest ids hang, as many as a call comes to in its time: sixteen.
    Crowded,
}

/// What shows that a revoked credential is dead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Check {
    /// The revocation itself.
    #[default]
    Revocation,
    /// Nothing: it is presumed once the bound has passed.
    Bound,
    /// A check of its own.
    Own,
    /// A check of its own, which is never answered.
    Hangs,
}

/// How many leases a call comes to while some of them hang.
const AT_ONCE: usize = 16;

/// Runs in the middle of the next mint, once the credential exists.
pub type Interruption = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The provider.
pub struct FakeProvider {
    clock: Arc<ManualClock>,
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
    witness: Mutex<Option<Witness>>,
}

impl FakeProvider {
    /// A provider that lives by this clock.
    #[must_use]
    pub fn new(clock: Arc<ManualClock>) -> Self {
        Self {
            clock,
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

    /// Every credential that works now: what was not revoked, up to its expiry.
    #[must_use]
    pub fn live(&self) -> BTreeSet<LeaseId> {
        let now = self.clock.now();
        self.live
            .lock()
            .iter()
            .filter(|(_, expires)| now < **expires)
            .map(|(lease, _)| *lease)
            .collect()
    }

    /// Every mint that was asked for, in order.
    #[must_use]
    pub fn minted(&self) -> Vec<LeaseId> {
        self.minted.lock().clone()
    }

    /// What becomes of the next mint that has no fault yet.
    pub fn next_mint(&self, fault: MintFault) {
        self.mints.lock().push_back(fault);
    }

    /// Runs this in the middle of the next mint.
    pub fn interrupt(&self, interruption: Interruption) {
        *self.interruption.lock() = Some(interruption);
    }

    /// Runs this when the next mint is asked for, before the credential exists.
    pub fn delay(&self, delay: Interruption) {
        *self.delay.lock() = Some(delay);
    }

    /// From now on a mint that was given up may be carried out so much later.
    pub fn carry_out_late(&self, late: Duration) {
        *self.late_requests.lock() = late;
    }

    /// From now on what ends within so long, and nobody killed, needs no revocation.
    pub fn end_by_itself(&self, within: Duration) {
        *self.ends_itself.lock() = Some(within);
    }

    /// From now on nothing but a revocation is sure to end what it gives.
    pub fn give_without_end(&self) {
        *self.endless.lock() = true;
    }

    /// From now on lives are counted from its own clock, as real targets count those that are asked for as spans.
    pub fn count_by_its_own_clock(&self) {
        *self.own_clock.lock() = true;
    }

    /// Runs this when it is next asked to make ready what credentials share.
    pub fn prepare_by(&self, preparation: Interruption) {
        *self.preparation.lock() = Some(preparation);
    }

    /// How often revocations were asked for.
    #[must_use]
    pub fn revocations_asked(&self) -> usize {
        *self.asked.lock()
    }

    /// Up to when everything had to die, by the last revocation.
    #[must_use]
    pub fn last_cut(&self) -> Option<Timestamp> {
        *self.cut.lock()
    }

    /// What shows that a credential is dead, from now on.
    pub fn check(&self, check: Check) {
        *self.check.lock() = check;
    }

    /// From now on no list of credentials is answered.
    pub fn hang_when_looked_through(&self) {
        *self.looks_hang.lock() = true;
    }

    /// From now on it answers nothing when it is told to remember the journal.
    pub fn hang_when_told_to_remember(&self) {
        *self.witness_hangs.lock() = true;
    }

    /// How many checks, lists and witnesses were asked for that nothing answers.
    #[must_use]
    pub fn hanging(&self) -> usize {
        *self.hanging.lock()
    }

    async fn hang(&self) {
        *self.hanging.lock() += 1;
        std::future::pending::<()>().await;
    }

    /// What becomes of revocations from now on.
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
        code: "what made it does not end it".to_owned(),
    }
}

#[async_trait]
impl Provider for FakeProvider {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            provider: "fake",
            settles: Duration::from_secs(10),
            at_once: 1000,
            whole: true,
            lists: true,
            proves: matches!(*self.check.lock(), Check::Own | Check::Hangs),
            mint_timeout: Duration::from_secs(5),
            late_requests: *self.late_requests.lock(),
            leeway: Duration::from_secs(30),
        }
    }

    fn revocability(&self, _rights: &Rights) -> Revocability {
        Revocability {
            mechanism: "it is taken off a list".to_owned(),
            worst_case: Some(Duration::from_secs(10)),
            source: "this file".to_owned(),
        }
    }

    async fn ready(&self, _request: &MintRequest) -> Result<(), ProviderError> {
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
            self.clock.now() + expires.since(request.now)
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
            credential: Credential::Token { jwt },
            expires: request.skew.to_own(expires),
            handle: None,
        })
    }

    fn ends_itself(&self, lease: &LeaseRef, now: Timestamp) -> bool {
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
        let lowest: BTreeSet<LeaseId> = live.keys().take(AT_ONCE).copied().collect();
        let outcomes = revocation
            .due
            .iter()
            .enumerate()
            .map(|(place, lease)| {
                let odd = lease.id.bits() % 2 == 1;
                match fault {
                    RevokeFault::Lost => return (lease.id, Err(lost("revoke"))),
                    RevokeFault::HalfRefused if odd => return (lease.id, Err(refused("revoke"))),
                    RevokeFault::Crowded if place >= AT_ONCE || lowest.contains(&lease.id) => {
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

    async fn prove(&self, leases: &[LeaseRef]) -> Vec<(LeaseId, Result<Revoked, ProviderError>)> {
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

    async fn try_out(&self, credential: &Credential) -> Result<Option<bool>, ProviderError> {
        let Credential::Token { jwt } = credential else {
            return Ok(None);
        };
        let live = self.live();
        Ok(Some(
            live.iter().any(|lease| lease.to_string() == *jwt.expose()),
        ))
    }

    async fn time(&self) -> Result<Option<Timestamp>, ProviderError> {
        Ok(Some(Timestamp::from_secs(self.clock.now().as_secs())))
    }

    async fn recall(&self) -> Result<Option<Witness>, ProviderError> {
        Ok(*self.witness.lock())
    }

    async fn remember(&self, witness: &Witness) -> Result<(), ProviderError> {
        if *self.witness_hangs.lock() {
            self.hang().await;
        }
        *self.witness.lock() = Some(*witness);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Found>, ProviderError> {
        if *self.looks_hang.lock() {
            self.hang().await;
        }
        let found = |lease: &LeaseId| Found {
            lease: *lease,
            handle: Handle(lease.to_string().into()),
        };
        Ok(self.live().iter().map(found).collect())
    }
}
