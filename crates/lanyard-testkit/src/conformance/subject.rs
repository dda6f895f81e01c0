//! A provider and the server behind it, as the suite meets them. One is written for each server that a provider is
//! tried on.

use std::time::Duration;

use async_trait::async_trait;
use lanyard_core::charter::TargetKind;
use lanyard_core::id::LeaseId;
use lanyard_core::lease::LeaseRef;
use lanyard_core::provider::{Credential, MintRequest, Provider};
use lanyard_core::time::Timestamp;

use super::Played;
use crate::world;

/// What the server said to a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It did what was granted.
    Accepted,
    /// It refused.
    Refused,
    /// This server cannot tell: it enforces less than the real one. What the outcome then rests on: a page, or another
    /// test.
    Unknown(&'static str),
}

/// What the server does wrong, once. Faults other than [`Fault::Unrevoked`] are of the next call that they can befall.
#[derive(Debug, Clone, Copy)]
pub enum Fault<'a> {
    /// The next credential is made, and the call is never answered. [`Subject::silent`] then resolves.
    Silence,
    /// The next credential is made, and the connection breaks before the answer.
    LostAnswer,
    /// The next call, whichever it is, is refused because there were too many.
    Throttle,
    /// The next credential ends an hour later than was asked for, and the answer says so.
    Longer,
    /// The next credential allows more than was asked for, and the answer says so, or the credential shows it.
    Wider,
    /// The call that gives the next credential, or else the next revocation, is refused. Every text of the error
    /// holds [`CANARY`](super::refuser::CANARY): nothing is made, nothing is revoked.
    Echo,
    /// The next revocation of this lease fails in a way that may pass; nothing of it is done.
    Unrevoked {
        /// The lease.
        lease: LeaseId,
        /// What it holds, for a server that knows its credentials by themselves.
        credential: &'a Credential,
    },
}

/// Whether something is given; where it is not, what holds in its place.
pub type Given = Result<(), &'static str>;

/// A provider and the server behind it, as an agent would use that.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The provider.
    fn provider(&self) -> &dyn Provider;

    /// Another one over the same server, as a daemon that starts again has it: of the first, nothing but what the
    /// daemon's configuration names.
    async fn restarted(&self) -> Box<dyn Provider>;

    /// What the server is, for the table: `fake`, or its name.
    fn server(&self) -> &'static str;

    /// Which sample request it takes.
    fn kind(&self) -> TargetKind;

    /// Now, by the clock of the server.
    fn now(&self) -> Timestamp;

    /// Has the server's clock reach a moment: a fake's is moved, and a real server is asked until then, where that is
    /// soon.
    ///
    /// # Errors
    /// [`Played::NotHere`] where that would take too long.
    async fn pass(&self, until: Timestamp) -> Result<(), Played>;

    /// The shortest life that the server gives a credential.
    fn shortest(&self) -> Duration {
        world::TTL
    }

    /// Fits the sample request to what exists on the server.
    fn fit(&self, request: MintRequest) -> MintRequest {
        request
    }

    /// As [`Subject::fit`], and such that its revocation is another call than that of one that was only fitted: where
    /// one call revokes several.
    fn fit_apart(&self, request: MintRequest) -> MintRequest {
        self.fit(request)
    }

    /// The broker's own books have fenced these leases, as they have whenever a revocation is asked for. Only a server
    /// that reads those books has to do anything.
    fn fenced(&self, _leases: &[LeaseRef]) {}

    /// Uses a credential for something that was granted.
    async fn used(&self, credential: &Credential) -> Verdict;

    /// Has the server do this wrong, once.
    ///
    /// # Errors
    /// [`Played::NotHere`] where this server cannot be told to; [`Played::Never`] where the provider calls nobody who
    /// could.
    async fn fault(&self, fault: Fault<'_>) -> Result<(), Played>;

    /// Resolves when a call has met [`Fault::Silence`]: what it asks for is made, and no answer comes.
    async fn silent(&self) {
        std::future::pending().await
    }

    /// The last credential that the server made, whoever got it; for a server that does [`Fault`]s.
    fn last_made(&self) -> Option<Credential> {
        None
    }

    /// Whether what works shows in [`Provider::list`]; otherwise what ends a credential that nobody knows of.
    fn lists(&self) -> Given;

    /// Whether [`Provider::probe`] tells dead from live; otherwise what a revocation is believed for.
    fn probes(&self) -> Given;

    /// Whether the handle that is made before the mint is enough to revoke by; otherwise what ends a credential whose
    /// answer never came.
    fn reaches_unanswered(&self) -> Given {
        Ok(())
    }
}
