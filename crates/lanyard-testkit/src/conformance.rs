//! What every provider does, on its fake and on its real server. One call of [`all`] plays it through.

use std::time::Duration;

use async_trait::async_trait;
use lanyard_core::charter::{Rights, TargetKind};
use lanyard_core::lease::LeaseRef;
use lanyard_core::provider::{
    Credential, MintRequest, Minted, PrepareError, Prepared, Probe, Provider, Revocation,
};
use lanyard_core::time::Timestamp;

use crate::ids::Ids;
use crate::world;

/// What the server said to a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It did what was granted.
    Accepted,
    /// It refused.
    Refused,
    /// This server cannot tell: it enforces less than the real one.
    Unknown,
}

/// A provider and the server behind it, as an agent would use that.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The provider.
    fn provider(&self) -> &dyn Provider;

    /// Which sample request it takes.
    fn kind(&self) -> TargetKind;

    /// Now, by the clock of the server.
    fn now(&self) -> Timestamp;

    /// Fits the sample request to what exists on the server.
    fn fit(&self, request: MintRequest) -> MintRequest {
        request
    }

    /// Uses a credential for something that was granted.
    async fn used(&self, credential: &Credential) -> Verdict;

    /// Whether what was minted shows in [`Provider::list`].
    fn lists(&self) -> bool;
}

struct Lease {
    reference: LeaseRef,
    minted: Minted,
}

/// Plays everything through; panics where the provider does otherwise.
///
/// # Panics
/// With the sentence that does not hold.
pub async fn all(subject: &dyn Subject, seed: u64) {
    let ids = Ids::seeded(seed);
    renders_the_same_twice(subject, &ids);
    let (one, other) = (mint(subject, &ids).await, mint(subject, &ids).await);
    shows_no_secret(&one.minted.credential);
    for lease in [&one, &other] {
        let verdict = subject.used(&lease.minted.credential).await;
        assert_ne!(verdict, Verdict::Refused, "a fresh credential works");
        listed(subject, &lease.reference, true).await;
        let probed = subject.provider().probe(&lease.reference).await;
        assert_ne!(probed, Ok(Probe::Dead), "a live credential is not dead");
    }
    revoke(subject, vec![one.reference.clone()], Vec::new(), None).await;
    dead(subject, &one).await;
    let verdict = subject.used(&other.minted.credential).await;
    assert_ne!(verdict, Verdict::Refused, "its neighbour lives on");
    revoke(subject, vec![one.reference.clone()], Vec::new(), None).await;
    dead(subject, &one).await;
    let never = reference(
        &request(subject, &ids),
        &prepared(subject, &request(subject, &ids)),
    );
    revoke(subject, vec![never], Vec::new(), None).await;
    let standing = vec![one.reference.clone()];
    revoke(
        subject,
        vec![other.reference.clone()],
        standing,
        Some(subject.now()),
    )
    .await;
    dead(subject, &one).await;
    dead(subject, &other).await;
}

fn request(subject: &dyn Subject, ids: &Ids) -> MintRequest {
    let now = subject.now();
    subject.fit(world::request(
        subject.kind(),
        ids.lease(),
        &world::task(ids, now),
        now,
    ))
}

fn prepared(subject: &dyn Subject, request: &MintRequest) -> Prepared {
    subject
        .provider()
        .prepare(request)
        .expect("the sample request can be rendered")
}

fn reference(request: &MintRequest, prepared: &Prepared) -> LeaseRef {
    LeaseRef {
        id: request.lease,
        task: request.task,
        handle: prepared.handle.clone(),
        asked: request.now,
        worst_expiry: prepared.worst_expiry,
        kill: None,
    }
}

fn renders_the_same_twice(subject: &dyn Subject, ids: &Ids) {
    let mut request = request(subject, ids);
    assert_eq!(
        prepared(subject, &request),
        prepared(subject, &request),
        "rendering is pure"
    );
    let other = match subject.kind() {
        TargetKind::Token => TargetKind::Aws,
        TargetKind::Aws | TargetKind::Kubernetes | TargetKind::Vault | TargetKind::GitHub => {
            TargetKind::Token
        }
    };
    let rights: Rights = world::rights(other);
    request.rights = rights;
    let refused = subject.provider().prepare(&request);
    assert!(
        matches!(refused, Err(PrepareError::Unsupported(_))),
        "a request of another kind is refused"
    );
}

async fn mint(subject: &dyn Subject, ids: &Ids) -> Lease {
    let request = request(subject, ids);
    let prepared = prepared(subject, &request);
    assert!(
        prepared.worst_expiry >= request.expires,
        "the worst expiry is no earlier than the lease's end"
    );
    let minted = subject
        .provider()
        .mint(&request, &prepared)
        .await
        .expect("the sample request can be minted");
    assert!(
        minted.expires <= prepared.worst_expiry,
        "what was minted ends when it was to end at the worst"
    );
    assert!(
        minted.expires + Duration::from_secs(1) > request.expires,
        "what was minted lasts as long as the lease"
    );
    let mut reference = reference(&request, &prepared);
    if let Some(handle) = &minted.handle {
        reference.handle = handle.clone();
    }
    Lease { reference, minted }
}

/// T49
fn shows_no_secret(credential: &Credential) {
    let shown = format!("{credential:?}");
    let secrets = match credential {
        Credential::Token { jwt } => vec![jwt],
        Credential::Aws {
            secret_access_key,
            session_token,
            ..
        } => vec![secret_access_key, session_token],
        Credential::Kubernetes { token, .. }
        | Credential::Vault { token, .. }
        | Credential::GitHub { token, .. } => vec![token],
        Credential::VaultSecret { data, .. } => data.values().collect(),
    };
    for secret in secrets {
        assert!(
            !shown.contains(secret.expose().as_str()),
            "Debug shows a secret"
        );
    }
}

async fn listed(subject: &dyn Subject, lease: &LeaseRef, expected: bool) {
    let found = subject
        .provider()
        .list()
        .await
        .expect("the server can be asked what it has");
    let there = found
        .iter()
        .any(|found| found.lease == lease.id && found.handle == lease.handle);
    assert_eq!(there, expected && subject.lists(), "what exists is listed");
}

async fn revoke(
    subject: &dyn Subject,
    due: Vec<LeaseRef>,
    standing: Vec<LeaseRef>,
    cut: Option<Timestamp>,
) {
    let ids: Vec<_> = due.iter().map(|lease| lease.id).collect();
    let revocation = Revocation {
        now: subject.now(),
        due,
        standing,
        cut,
    };
    let report = subject.provider().revoke(&revocation).await;
    for (lease, outcome) in subject.provider().prove(&revocation.due).await {
        assert!(outcome.is_ok(), "{lease} is finished: {outcome:?}");
    }
    let mut answered = Vec::new();
    for (lease, outcome) in report.outcomes {
        assert!(outcome.is_ok(), "it is taken: {outcome:?}");
        answered.push(lease);
    }
    assert_eq!(
        answered, ids,
        "each lease that was due is answered for, once"
    );
}

async fn dead(subject: &dyn Subject, lease: &Lease) {
    let verdict = subject.used(&lease.minted.credential).await;
    assert_ne!(
        verdict,
        Verdict::Accepted,
        "a revoked credential does nothing"
    );
    let probed = subject.provider().probe(&lease.reference).await;
    assert_ne!(probed, Ok(Probe::Live), "and is not called live");
    listed(subject, &lease.reference, false).await;
}
