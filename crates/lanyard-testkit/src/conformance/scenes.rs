//! The cases. Each returns `Ok` when it holds, or the outcome that the subject gave instead.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use lanyard_charter::TargetKind;
use lanyard_core::lease::{Handle, LeaseRef};
use lanyard_core::provider::{PrepareError, Probe, ProviderError};
use lanyard_vocabulary::seq::Seq;

use super::refuser::CANARY;
use super::stage::{Stage, reference, secrets};
use super::{Case, Fault, Played};
use crate::world;

const SECOND: Duration = Duration::from_secs(1);

pub(super) async fn play(stage: &Stage<'_>) -> Result<(), Played> {
    match stage.case {
        Case::Mint => mint(stage).await,
        Case::Use => usable(stage).await,
        Case::Expire => expire(stage).await?,
        Case::Revoke => revoke(stage).await,
        Case::RevokeTwice => revoke_twice(stage).await,
        Case::RevokeUnknown => revoke_unknown(stage).await?,
        Case::TimeoutAfterMint => timeout_after_mint(stage).await?,
        Case::LostAnswer => lost_answer(stage).await?,
        Case::Throttle => throttle(stage).await?,
        Case::PartialFailure => partial_failure(stage).await?,
        Case::LongerExpiry => longer_expiry(stage).await?,
        Case::WiderScope => wider_scope(stage).await?,
        Case::EchoedSecret => echoed_secret(stage).await?,
        Case::Sweep => sweep(stage).await,
        Case::Probe => probe(stage).await,
        Case::KillOfAScope => kill_of_a_scope(stage).await?,
        Case::Restart => restart(stage).await,
    }
    Ok(())
}

/// T49: no secret is shown, and no two leases share a credential.
async fn mint(stage: &Stage<'_>) {
    let request = stage.request();
    let (first, second) = (
        stage.prepared(&request).await,
        stage.prepared(&request).await,
    );
    stage.holds(first == second, "rendering is pure");
    let mut other = stage.request();
    other.rights = world::rights(if stage.subject.kind() == TargetKind::TOKEN {
        TargetKind::AWS
    } else {
        TargetKind::TOKEN
    });
    let refused = stage.provider().prepare(&other);
    stage.holds(
        matches!(refused, Err(PrepareError::Unsupported(_))),
        "a request of another kind is refused",
    );
    let (one, another) = (stage.mint().await, stage.mint().await);
    for lease in [&one, &another] {
        let shown = format!("{:?} {:?}", lease.minted, lease.reference.handle);
        for secret in secrets(&lease.minted.credential) {
            let held = !shown.contains(secret.expose().as_str());
            stage.holds(held, "neither Debug nor the handle shows a secret");
        }
    }
    let others = secrets(&another.minted.credential);
    let shared = secrets(&one.minted.credential)
        .iter()
        .any(|secret| others.iter().any(|other| other.expose() == secret.expose()));
    stage.holds(!shared, "no two leases have one credential");
}

async fn usable(stage: &Stage<'_>) {
    let (one, other) = (stage.mint().await, stage.mint().await);
    for lease in [&one, &other] {
        let credential = &lease.minted.credential;
        stage.works(credential, "a fresh credential works").await;
    }
}

async fn expire(stage: &Stage<'_>) -> Result<(), Played> {
    let mut request = stage.request();
    request.expires = request.now + stage.subject.shortest();
    let lease = stage.mint_of(request).await;
    let (credential, ends) = (&lease.minted.credential, lease.minted.expires);
    stage.subject.pass(ends.before(SECOND)).await?;
    stage
        .works(credential, "a credential works until its end")
        .await;
    let leeway = stage.provider().capabilities().leeway;
    stage
        .subject
        .pass(lease.reference.worst_expiry + leeway)
        .await?;
    let sentence =
        "after its worst expiry and the leeway a credential is dead without a revocation";
    stage.is_refused(credential, sentence).await;
    Ok(())
}

async fn revoke(stage: &Stage<'_>) {
    let (one, other) = (stage.mint().await, stage.mint().await);
    stage.revoke(std::slice::from_ref(&one.reference)).await;
    stage.is_dead(&one).await;
    let credential = &other.minted.credential;
    stage
        .works(credential, "another lease's credential still works")
        .await;
    stage.revoke(std::slice::from_ref(&other.reference)).await;
    stage.is_dead(&other).await;
    stage.is_dead(&one).await;
}

async fn revoke_twice(stage: &Stage<'_>) {
    let lease = stage.mint().await;
    for _ in 0..2 {
        stage.revoke(std::slice::from_ref(&lease.reference)).await;
        stage.is_dead(&lease).await;
    }
    // A revocation without due leases must uphold the earlier ones.
    stage.revoke(&[]).await;
    stage.is_dead(&lease).await;
}

async fn revoke_unknown(stage: &Stage<'_>) -> Result<(), Played> {
    let neighbour = stage.mint().await;
    let request = stage.request();
    let prepared = stage.prepared(&request).await;
    let never = reference(&request, &prepared);
    let outcome = stage.revoke_by(stage.provider(), &[never], None).await;
    // A lease whose mint was not answered looks exactly like this one.
    if stage.given(stage.subject.reaches_unanswered()) {
        stage.taken(&outcome);
    } else {
        let claimed = outcome.leases.iter().any(|(_, outcome)| outcome.is_ok());
        stage.holds(
            !claimed,
            "a lease that cannot be revoked is not acknowledged",
        );
    }
    let credential = &neighbour.minted.credential;
    stage
        .works(credential, "a live credential still works")
        .await;
    Ok(())
}

/// T55: the caller gives up, as the engine does, and revokes with the prepared handle.
async fn timeout_after_mint(stage: &Stage<'_>) -> Result<(), Played> {
    let request = stage.request();
    let prepared = stage.prepared(&request).await;
    stage.subject.fault(Fault::Silence).await?;
    let minting = stage.provider().mint(&request, &prepared);
    let answered = match select(minting, stage.subject.silent().boxed()).await {
        Either::Left((answer, _)) => Some(answer),
        Either::Right(((), _)) => None,
    };
    let sentence = format!("a mint without an answer must not return ({answered:?})");
    stage.holds(answered.is_none(), &sentence);
    let made = stage.made();
    stage
        .works(&made, "the credential that was created works")
        .await;
    stage
        .revoke_unanswered(reference(&request, &prepared), &made)
        .await
}

/// T55: the answer of a mint is lost.
async fn lost_answer(stage: &Stage<'_>) -> Result<(), Played> {
    let request = stage.request();
    let prepared = stage.prepared(&request).await;
    stage.subject.fault(Fault::LostAnswer).await?;
    let answer = stage.provider().mint(&request, &prepared).await;
    let ambiguous = matches!(answer, Err(ProviderError::Ambiguous { .. }));
    let sentence = format!("a mint whose answer is lost is ambiguous ({answer:?})");
    stage.holds(ambiguous, &sentence);
    let made = stage.made();
    stage
        .works(&made, "the credential that was created works")
        .await;
    stage
        .revoke_unanswered(reference(&request, &prepared), &made)
        .await
}

/// T46: throttled calls are retryable, and have done nothing.
async fn throttle(stage: &Stage<'_>) -> Result<(), Played> {
    let request = stage.request();
    let prepared = stage.prepared(&request).await;
    stage.subject.fault(Fault::Throttle).await?;
    let answer = stage.provider().mint(&request, &prepared).await;
    let throttled = |error: &ProviderError| {
        matches!(error, ProviderError::Throttled { .. }) && error.is_retryable()
    };
    let sentence = format!("a throttled mint is retryable ({answer:?})");
    stage.holds(answer.is_err_and(|error| throttled(&error)), &sentence);
    let unmade = reference(&request, &prepared);
    let listed = stage.is_listed(&unmade).await;
    stage.holds(!listed, "a throttled mint creates nothing");
    let lease = stage.mint().await;
    stage.subject.fault(Fault::Throttle).await?;
    let due = [lease.reference.clone()];
    let outcome = stage.revoke_by(stage.provider(), &due, None).await;
    let told = outcome.of(lease.reference.id);
    let sentence = format!("a throttled revocation is retryable ({told:?})");
    let later = matches!(told, Some(Err(error)) if throttled(error));
    stage.holds(later, &sentence);
    stage.revoke(&due).await;
    stage.is_dead(&lease).await;
    Ok(())
}

/// T67: one failed revocation does not hold up another.
async fn partial_failure(stage: &Stage<'_>) -> Result<(), Played> {
    let one = stage.mint().await;
    let other = stage.mint_of(stage.subject.fit_apart(stage.sample())).await;
    let lease = one.reference.id;
    let fault = Fault::Unrevoked {
        lease,
        credential: &one.minted.credential,
    };
    stage.subject.fault(fault).await?;
    let due = [one.reference.clone(), other.reference.clone()];
    let outcome = stage.revoke_by(stage.provider(), &due, None).await;
    let failed = outcome.of(lease);
    let sentence = format!("a failed revocation is reported as retryable ({failed:?})");
    let retryable = matches!(failed, Some(Err(error)) if error.is_retryable());
    stage.holds(retryable, &sentence);
    let held_up = outcome.of(other.reference.id);
    let sentence = format!("it does not delay the other revocations ({held_up:?})");
    stage.holds(matches!(held_up, Some(Ok(_))), &sentence);
    stage.is_dead(&other).await;
    let credential = &one.minted.credential;
    let sentence =
        "the revocation reported as failed had no effect: otherwise the test shows nothing";
    stage.works(credential, sentence).await;
    stage.revoke(std::slice::from_ref(&one.reference)).await;
    stage.is_dead(&one).await;
    stage.is_dead(&other).await;
    Ok(())
}

/// T79: the provider refuses the longer life, or reports it and the engine refuses it. The prepared
/// handle suffices to revoke the credential.
async fn longer_expiry(stage: &Stage<'_>) -> Result<(), Played> {
    let request = stage.request();
    let prepared = stage.prepared(&request).await;
    stage.subject.fault(Fault::Longer).await?;
    let answer = stage.provider().mint(&request, &prepared).await;
    let seen = match &answer {
        Ok(minted) => minted.expires > prepared.worst_expiry,
        Err(error) => matches!(error, ProviderError::Excessive { .. }),
    };
    let sentence = format!("a longer life than requested is refused or reported ({answer:?})");
    stage.holds(seen, &sentence);
    ended(stage, reference(&request, &prepared)).await;
    Ok(())
}

/// T79: the provider refuses wider rights.
async fn wider_scope(stage: &Stage<'_>) -> Result<(), Played> {
    let request = stage.request();
    let prepared = stage.prepared(&request).await;
    stage.subject.fault(Fault::Wider).await?;
    let answer = stage.provider().mint(&request, &prepared).await;
    let seen = matches!(answer, Err(ProviderError::Excessive { .. }));
    let sentence = format!("more rights than requested are refused ({answer:?})");
    stage.holds(seen, &sentence);
    ended(stage, reference(&request, &prepared)).await;
    Ok(())
}

/// Checks that a refused credential is dead after the lease's revocation. A provider whose handle
/// does not suffice has ended the credential itself.
async fn ended(stage: &Stage<'_>, lease: LeaseRef) {
    let outcome = stage.revoke_by(stage.provider(), &[lease], None).await;
    if stage.subject.reaches_unanswered().is_ok() {
        stage.taken(&outcome);
    }
    let made = stage.made();
    stage
        .is_refused(&made, "a credential refused at the mint is dead")
        .await;
}

/// T50: errors repeat no text of the server.
async fn echoed_secret(stage: &Stage<'_>) -> Result<(), Played> {
    let request = stage.request();
    let prepared = stage.prepared(&request).await;
    let silent = |error: &ProviderError| !format!("{error} {error:?}").contains(CANARY);
    stage.subject.fault(Fault::Echo).await?;
    let answer = stage.provider().mint(&request, &prepared).await;
    stage.holds(answer.is_err(), "a refused mint fails");
    let kept = answer.as_ref().err().is_some_and(silent);
    let sentence = format!("the error of a mint repeats no text of the server ({answer:?})");
    stage.holds(kept, &sentence);
    let lease = stage.mint().await;
    stage.subject.fault(Fault::Echo).await?;
    let due = [lease.reference.clone()];
    let outcome = stage.revoke_by(stage.provider(), &due, None).await;
    let told = outcome.of(lease.reference.id);
    let kept = matches!(told, Some(Err(error)) if silent(error));
    let sentence = format!("the error of a revocation repeats no text of the server ({told:?})");
    stage.holds(kept, &sentence);
    stage.revoke(&due).await;
    stage.is_dead(&lease).await;
    Ok(())
}

async fn sweep(stage: &Stage<'_>) {
    let (one, other) = (stage.mint().await, stage.mint().await);
    let promised = stage.provider().capabilities().can_list;
    let lists = stage.given(stage.subject.lists());
    stage.holds(promised == lists, "the provider declares whether it lists");
    let found = stage.provider().list().await;
    let found = stage.ok(found, "the provider can list the server's credentials");
    if !lists {
        stage.holds(found.is_empty(), "it finds nothing");
        return;
    }
    // The ledger is assumed lost: the list is the only source.
    for lease in [&one, &other] {
        let listed = found.iter().find(|found| found.lease == lease.reference.id);
        let listed = stage.ok(listed.ok_or("missing"), "a working credential is listed");
        let stray = LeaseRef {
            handle: listed.handle.clone(),
            ..lease.reference.clone()
        };
        stage.revoke(&[stray]).await;
        stage.is_dead(lease).await;
    }
}

async fn probe(stage: &Stage<'_>) {
    let lease = stage.mint().await;
    let expected = if stage.given(stage.subject.probes()) {
        [Probe::Live, Probe::Dead]
    } else {
        [Probe::Unknowable; 2]
    };
    let [live, dead] = expected;
    let probed = stage.provider().probe(&lease.reference).await;
    let sentence = format!("the probe of a live credential gives {live:?} ({probed:?})");
    stage.holds(probed == Ok(live), &sentence);
    stage.revoke(std::slice::from_ref(&lease.reference)).await;
    let probed = stage.provider().probe(&lease.reference).await;
    let sentence = format!("the probe of a revoked credential gives {dead:?} ({probed:?})");
    stage.holds(probed == Ok(dead), &sentence);
    stage.is_dead(&lease).await;
}

async fn kill_of_a_scope(stage: &Stage<'_>) -> Result<(), Played> {
    let (one, other) = (stage.mint().await, stage.mint().await);
    let due = [one.reference.clone(), other.reference.clone()];
    let order = stage.subject.now();
    let outcome = stage.revoke_by(stage.provider(), &due, Some(order)).await;
    stage.taken(&outcome);
    for lease in [&one, &other] {
        stage.is_dead(lease).await;
    }
    let settled = outcome.cut.unwrap_or(order) + SECOND;
    stage.subject.pass(settled).await?;
    let mut request = stage.request();
    request.epoch = Seq(request.epoch.0 + 1);
    let after = stage.mint_of(request).await;
    let credential = &after.minted.credential;
    stage
        .works(credential, "a credential minted after a kill works")
        .await;
    // The engine repeats an order until every lease under it has ended.
    let again = stage.revoke_by(stage.provider(), &due, Some(order)).await;
    stage.taken(&again);
    stage
        .works(credential, "a repeated order does not end it")
        .await;
    for lease in [&one, &other] {
        stage.is_dead(lease).await;
    }
    stage.revoke(std::slice::from_ref(&after.reference)).await;
    stage.is_dead(&after).await;
    Ok(())
}

/// T54: a new process revokes what the previous one minted.
async fn restart(stage: &Stage<'_>) {
    let (one, other) = (stage.mint().await, stage.mint().await);
    // Only text survives a restart, so the handle is stored in and read from the ledger.
    let due: Vec<LeaseRef> = [&one, &other]
        .map(|lease| LeaseRef {
            handle: Handle(lease.reference.handle.0.to_string().into()),
            ..lease.reference.clone()
        })
        .into();
    let again = stage.subject.restarted().await;
    for lease in due {
        let outcome = stage.revoke_by(&*again, &[lease], None).await;
        stage.taken(&outcome);
    }
    for lease in [&one, &other] {
        stage.is_dead(lease).await;
    }
}
