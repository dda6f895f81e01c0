//! The interface between the suite and a provider with its server. There is one implementation per
//! server.

use std::time::Duration;

use async_trait::async_trait;
use lanyard_charter::TargetKind;
use lanyard_charter::kinds::Credential;
use lanyard_core::lease::LeaseRef;
use lanyard_core::provider::{MintRequest, Provider};
use lanyard_core::task::Task;
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::time::Timestamp;

use super::Played;
use crate::world;

/// The server's reaction to a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The server performed the granted action.
    Accepted,
    /// The server refused the credential.
    Refused,
    /// The server cannot tell, because it enforces less than the real one. Holds the evidence on
    /// which the outcome rests: a page or another test.
    Unknown(&'static str),
}

/// A fault of the server, which occurs once. Faults other than [`Fault::Unrevoked`] concern the
/// next call that they apply to.
#[derive(Debug, Clone, Copy)]
pub enum Fault<'a> {
    /// The server makes the next credential and never answers. [`Subject::silent`] then completes.
    Silence,
    /// The server makes the next credential, and the connection breaks before the answer.
    LostAnswer,
    /// The server refuses the next call, of any kind, because of its rate limit.
    Throttle,
    /// The next credential expires an hour later than requested, and the answer says so.
    Longer,
    /// The next credential allows more than requested, and the answer or the credential says so.
    Wider,
    /// The server refuses the next mint, or else the next revocation, without effect. Every text of
    /// the error contains [`CANARY`](super::refuser::CANARY).
    Echo,
    /// The next revocation of the lease fails with a retryable error and has no effect.
    Unrevoked {
        /// The lease whose revocation fails.
        lease: LeaseId,
        /// Credential of the lease, for a server that knows credentials only.
        credential: &'a Credential,
    },
}

/// `Ok` if the subject has an ability; otherwise the evidence that takes its place.
pub type Given = Result<(), &'static str>;

/// A provider with its server, seen as an agent would use it.
#[async_trait]
pub trait Subject: Send + Sync {
    /// Returns the provider under test.
    fn provider(&self) -> &dyn Provider;

    /// Makes another provider for the same server, as a restarted daemon would: nothing but
    /// configuration survives.
    async fn restarted(&self) -> Box<dyn Provider>;

    /// Returns the server's name for the table, such as `fake`.
    fn server(&self) -> &'static str;

    /// Returns the kind of the sample request.
    fn kind(&self) -> TargetKind;

    /// Makes the sample request. A kind that the sample world does not have gives it its own
    /// rights.
    fn sample(&self, lease: LeaseId, task: &Task, now: Timestamp) -> MintRequest {
        world::request(self.kind(), lease, task, now)
    }

    /// Returns the server's current time.
    fn now(&self) -> Timestamp;

    /// Waits until the server's clock shows `until`. A fake's clock is moved; a real server is
    /// awaited if the wait is short.
    ///
    /// # Errors
    /// [`Played::NotHere`] when the wait would be too long.
    async fn pass(&self, until: Timestamp) -> Result<(), Played>;

    /// Returns the shortest lifetime that the server gives a credential.
    fn shortest(&self) -> Duration {
        world::TTL
    }

    /// Adapts the sample request to the objects that exist on the server.
    fn fit(&self, request: MintRequest) -> MintRequest {
        request
    }

    /// Like [`Subject::fit`], for a lease whose revocation is a separate call, if one call revokes
    /// several leases.
    fn fit_apart(&self, request: MintRequest) -> MintRequest {
        self.fit(request)
    }

    /// Informs the server that the broker's ledger has fenced these leases, as it does before every
    /// revocation. Only a server that reads the ledger has to act.
    fn fenced(&self, _leases: &[LeaseRef]) {}

    /// Uses a credential for a granted action.
    async fn used(&self, credential: &Credential) -> Verdict;

    /// Makes the server misbehave once.
    ///
    /// # Errors
    /// [`Played::NotHere`] when this server cannot be made to; [`Played::Never`] when the provider
    /// calls no server.
    async fn fault(&self, fault: Fault<'_>) -> Result<(), Played>;

    /// Completes when a call has met [`Fault::Silence`]: the server has done its work, and no
    /// answer will come.
    async fn silent(&self) {
        std::future::pending().await
    }

    /// Returns the last credential that the server made, whoever received it. For servers with
    /// faults.
    fn last_made(&self) -> Option<Credential> {
        None
    }

    /// `Ok` if [`Provider::list`] shows live credentials; otherwise, what ends an unknown
    /// credential.
    fn lists(&self) -> Given;

    /// `Ok` if [`Provider::probe`] tells dead from live; otherwise, the reason to believe a
    /// revocation.
    fn probes(&self) -> Given;

    /// `Ok` if the prepared handle suffices for a revocation; otherwise, what ends a credential
    /// whose mint was not answered.
    fn reaches_unanswered(&self) -> Given {
        Ok(())
    }
}
