//! The stage of a case: mints and revokes as the engine does, and fails with the sentence that does
//! not hold.

use std::time::Duration;

use lanyard_charter::kinds::Credential;
use lanyard_core::lease::{Handle, LeaseRef};
use lanyard_core::provider::{
    MintRequest, Minted, Prepared, Probe, Provider, ProviderError, Revocation, Revoked,
};
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;

use super::{Case, Given, Played, Subject, Verdict};
use crate::ids::Ids;
use crate::world;

/// A case in progress, with its ids and findings.
pub(super) struct Stage<'a> {
    pub(super) subject: &'a dyn Subject,
    pub(super) case: Case,
    ids: Ids,
    /// The evidence on which the outcome rests where the server cannot show something.
    rested: Mutex<Option<&'static str>>,
    /// Revoked leases, which the ledger keeps for providers that must receive them again.
    standing: Mutex<Vec<LeaseRef>>,
    /// Leases that were minted.
    minted: Mutex<Vec<LeaseRef>>,
}

/// A lease with its credential.
pub(super) struct Lease {
    pub(super) reference: LeaseRef,
    pub(super) minted: Minted,
}

/// The result of a revocation: an outcome for each due lease, and the latest cut.
pub(super) struct Outcome {
    pub(super) leases: Vec<(LeaseId, Result<Revoked, ProviderError>)>,
    pub(super) cut: Option<Timestamp>,
}

impl Outcome {
    /// Returns the outcome for one lease.
    pub(super) fn of(&self, lease: LeaseId) -> Option<&Result<Revoked, ProviderError>> {
        let mut leases = self.leases.iter();
        leases
            .find(|(id, _)| *id == lease)
            .map(|(_, outcome)| outcome)
    }
}

impl<'a> Stage<'a> {
    pub(super) fn new(subject: &'a dyn Subject, case: Case, seed: u64) -> Self {
        let seed = Ids::seeded(seed ^ (1 << (8 + case as u32))).word();
        Self {
            subject,
            case,
            ids: Ids::seeded(seed),
            rested: Mutex::default(),
            standing: Mutex::default(),
            minted: Mutex::default(),
        }
    }

    pub(super) fn provider(&self) -> &'a dyn Provider {
        self.subject.provider()
    }

    /// Fails the test if the sentence does not hold.
    pub(super) fn holds(&self, holds: bool, sentence: &str) {
        let (provider, server) = (
            self.provider().capabilities().provider,
            self.subject.server(),
        );
        assert!(
            holds,
            "{provider} on {server}, {}: does not hold: {sentence}",
            self.case
        );
    }

    /// Returns the value, or fails the test with the sentence.
    pub(super) fn ok<T, E: std::fmt::Debug>(&self, result: Result<T, E>, sentence: &str) -> T {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.holds(false, &format!("{sentence} ({error:?})"));
                None
            }
        }
        .expect("it holds")
    }

    /// Records the evidence on which the outcome rests.
    pub(super) fn rests_on(&self, what: &'static str) {
        self.rested.lock().get_or_insert(what);
    }

    pub(super) fn rested(&self) -> Option<&'static str> {
        *self.rested.lock()
    }

    /// Checks the outcome that a subject gave instead of playing the case.
    pub(super) fn not_played(&self, played: Played) -> Played {
        match played {
            Played::NotHere(_) => {}
            Played::Never(_) => self.holds(
                self.case.needs_a_fault(),
                "only a case with a faulty server may be impossible",
            ),
            Played::Passed | Played::RestsOn(_) => {
                self.holds(false, "a case that was not played gives a reason");
            }
        }
        played
    }

    /// Returns true if the subject has an ability. Otherwise the outcome rests on the given
    /// evidence.
    pub(super) fn given(&self, given: Given) -> bool {
        match given {
            Ok(()) => true,
            Err(what) => {
                self.rests_on(what);
                false
            }
        }
    }

    /// Makes the sample request for a new lease, not yet fitted to the server.
    pub(super) fn sample(&self) -> MintRequest {
        let now = self.subject.now();
        let task = world::task(&self.ids, now);
        self.subject.sample(self.ids.lease(), &task, now)
    }

    pub(super) fn request(&self) -> MintRequest {
        self.subject.fit(self.sample())
    }

    pub(super) async fn prepared(&self, request: &MintRequest) -> Prepared {
        let ready = self.provider().ensure_shared_objects(request).await;
        self.ok(ready, "the shared objects can be prepared");
        let prepared = self.provider().prepare(request);
        self.ok(prepared, "the sample request can be rendered")
    }

    /// Mints the sample request.
    pub(super) async fn mint(&self) -> Lease {
        self.mint_of(self.request()).await
    }

    pub(super) async fn mint_of(&self, request: MintRequest) -> Lease {
        let prepared = self.prepared(&request).await;
        self.holds(
            prepared.worst_expiry >= request.expires,
            "the worst expiry is no earlier than the lease's end",
        );
        let minted = self.provider().mint(&request, &prepared).await;
        let minted = self.ok(minted, "the sample request can be minted");
        self.holds(
            minted.expires <= prepared.worst_expiry,
            "a credential ends no later than its worst expiry",
        );
        self.holds(
            minted.expires + Duration::from_secs(1) > request.expires,
            "a credential lasts as long as its lease",
        );
        let mut reference = reference(&request, &prepared);
        if let Some(handle) = &minted.handle {
            reference.handle = handle.clone();
        }
        self.minted.lock().push(reference.clone());
        Lease { reference, minted }
    }

    /// Uses a credential. `None` if the server cannot tell.
    async fn used(&self, credential: &Credential) -> Option<bool> {
        match self.subject.used(credential).await {
            Verdict::Accepted => Some(true),
            Verdict::Refused => Some(false),
            Verdict::Unknown(what) => {
                self.rests_on(what);
                None
            }
        }
    }

    pub(super) async fn works(&self, credential: &Credential, sentence: &str) {
        let used = self.used(credential).await;
        self.holds(used != Some(false), sentence);
    }

    pub(super) async fn is_refused(&self, credential: &Credential, sentence: &str) {
        let used = self.used(credential).await;
        self.holds(used != Some(true), sentence);
    }

    /// Checks that a revoked lease is dead: the credential is refused, and neither probe nor list
    /// calls it live.
    pub(super) async fn is_dead(&self, lease: &Lease) {
        let credential = &lease.minted.credential;
        self.is_refused(credential, "a revoked credential does nothing")
            .await;
        let probed = self.provider().probe(&lease.reference).await;
        self.holds(
            probed != Ok(Probe::Live),
            "the probe does not call a revoked credential live",
        );
        let listed = self.is_listed(&lease.reference).await;
        self.holds(!listed, "a revoked credential is not listed");
    }

    /// True if the provider lists the lease with its handle.
    pub(super) async fn is_listed(&self, lease: &LeaseRef) -> bool {
        let found = self.provider().list().await;
        let found = self.ok(found, "the provider can list the server's credentials");
        let same = |handle: &Handle| *handle == lease.handle;
        found
            .iter()
            .any(|found| found.lease == lease.id && same(&found.handle))
    }

    /// Returns the credential that the server made while misbehaving, as an eavesdropper would have
    /// it.
    pub(super) fn made(&self) -> Credential {
        let made = self.subject.last_made();
        self.ok(made.ok_or("nothing"), "the server made a credential")
    }

    /// Revokes with the given provider, which may be a restarted one.
    pub(super) async fn revoke_by(
        &self,
        provider: &dyn Provider,
        due: &[LeaseRef],
        cut: Option<Timestamp>,
    ) -> Outcome {
        self.subject.fenced(due);
        let is_due = |lease: &&LeaseRef| !due.iter().any(|due| due.id == lease.id);
        let standing: Vec<_> = self
            .standing
            .lock()
            .iter()
            .filter(is_due)
            .cloned()
            .collect();
        let revocation = Revocation {
            now: self.subject.now(),
            due: due.to_vec(),
            standing,
            cut,
        };
        let report = provider.revoke(&revocation).await;
        let (mut asked, mut answered): (Vec<_>, Vec<_>) = (
            due.iter().map(|lease| lease.id).collect(),
            report.outcomes.iter().map(|(lease, _)| *lease).collect(),
        );
        asked.sort_unstable();
        answered.sort_unstable();
        self.holds(asked == answered, "each due lease has exactly one outcome");
        let taken: Vec<_> = due
            .iter()
            .filter(|lease| {
                let outcome = report.outcomes.iter().find(|(id, _)| *id == lease.id);
                outcome.is_some_and(|(_, outcome)| outcome.is_ok())
            })
            .cloned()
            .collect();
        let proved = provider.finish_and_prove(&taken).await;
        if provider.capabilities().can_prove {
            let minted = self.minted.lock().clone();
            let is_minted = |id| minted.iter().any(|lease| lease.id == id);
            // Proof that a mint will never complete may take time, so a retryable error is accepted
            // for leases that were not minted.
            let all = proved.iter().all(|(id, outcome)| match outcome {
                Ok(revoked) => *revoked == Revoked::ProvedDead,
                Err(error) => error.is_retryable() && !is_minted(*id),
            });
            self.holds(
                all && proved.len() == taken.len(),
                "an acknowledged revocation is proved dead",
            );
        }
        self.standing.lock().extend(taken);
        Outcome {
            leases: report.outcomes,
            cut: report.cuts.iter().map(|(_, cut)| *cut).max(),
        }
    }

    /// Revokes leases and expects the server to acknowledge all of them.
    pub(super) async fn revoke(&self, due: &[LeaseRef]) {
        self.taken(&self.revoke_by(self.provider(), due, None).await);
    }

    /// Revokes the leftovers of the case, because a real server is shared with other tests.
    pub(super) async fn clear(&self) {
        let mut left = self.minted.lock().clone();
        let revoked = self.standing.lock().clone();
        left.retain(|lease| !revoked.iter().any(|revoked| revoked.id == lease.id));
        self.revoke(&left).await;
    }

    pub(super) fn taken(&self, outcome: &Outcome) {
        for (_, outcome) in &outcome.leases {
            let sentence = format!("a revocation is acknowledged ({outcome:?})");
            self.holds(outcome.is_ok(), &sentence);
        }
    }

    /// Revokes a lease whose mint was not answered with only the prepared handle. If the handle
    /// cannot suffice, the provider must not acknowledge the revocation.
    pub(super) async fn revoke_unanswered(
        &self,
        lease: LeaseRef,
        made: &Credential,
    ) -> Result<(), Played> {
        let due = [lease];
        let outcome = self.revoke_by(self.provider(), &due, None).await;
        let [lease] = due;
        if !self.given(self.subject.reaches_unanswered()) {
            let claimed = outcome.leases.iter().any(|(_, outcome)| outcome.is_ok());
            self.holds(
                !claimed,
                "a lease that cannot be revoked is not acknowledged",
            );
            let leeway = self.provider().capabilities().leeway;
            self.subject.pass(lease.worst_expiry + leeway).await?;
        } else {
            self.taken(&outcome);
        }
        self.is_refused(made, "the credential that was created is dead")
            .await;
        Ok(())
    }
}

/// Returns what the ledger knows of a request before its answer.
pub(super) fn reference(request: &MintRequest, prepared: &Prepared) -> LeaseRef {
    LeaseRef {
        id: request.lease,
        task: request.task,
        handle: prepared.handle.clone(),
        asked: request.now,
        worst_expiry: prepared.worst_expiry,
        kill: None,
    }
}

/// Lists the secret parts of a credential.
pub(super) fn secrets(credential: &Credential) -> Vec<&Secret<String>> {
    let secrets = credential.secrets().into_iter();
    secrets.map(|(_, secret)| secret).collect()
}
