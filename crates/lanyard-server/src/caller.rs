//! Who calls: the bearer token of a request, verified.

use lanyard_core::identity::{Identity, Operator, OperatorRole};
use lanyard_core::kill::Actor;
use lanyard_core::scope::Scope;
use lanyard_core::time::Timestamp;
use lanyard_identity::verifier::Purpose;
use lanyard_identity::{Tickets, Verified, Verifier};
use tonic::Status;

use crate::refusal;
use crate::wire::Broker;

/// The verified caller; a coarse refusal otherwise.
pub(crate) fn verify(
    verifier: &Verifier,
    header: Option<&str>,
    purpose: Purpose,
    now: Timestamp,
) -> Result<Verified, Status> {
    let token = header
        .and_then(|header| header.strip_prefix("Bearer "))
        .ok_or_else(refusal::unauthenticated)?;
    verifier.verify(token, purpose, now).map_err(|error| {
        tracing::info!(%error, "an identity was not accepted");
        refusal::unauthenticated()
    })
}

/// Who engages a kill of this scope: an on-call engineer, or the holder of a ticket for it.
pub(crate) fn killer(
    broker: &Broker,
    header: Option<&str>,
    scope: &Scope,
) -> Result<Actor, Status> {
    let now = broker.engine.now();
    let token = header.and_then(|header| header.strip_prefix("Bearer "));
    if let (Some(tickets), Some(token)) = (&broker.tickets, token)
        && Tickets::is_one(token)
    {
        let ticket = tickets.verify(token, now).map_err(|error| {
            tracing::warn!(%error, "a kill ticket was not accepted");
            refusal::unauthenticated()
        })?;
        return if ticket.covers(scope) {
            Ok(Actor::Ticket {
                id: ticket.id,
                key: ticket.key,
            })
        } else {
            Err(refusal::forbidden())
        };
    }
    let verified = verify(&broker.verifier, header, Purpose::Kill, now)?;
    Ok(Actor::Operator(
        operator(verified, OperatorRole::OnCall)?.identity,
    ))
}

/// The operator, if the caller is one and has this role.
pub(crate) fn operator(verified: Verified, role: OperatorRole) -> Result<Operator, Status> {
    match verified {
        Verified::Operator(operator) if operator.is(role) => Ok(operator),
        Verified::Operator(_) | Verified::Agent(..) => Err(refusal::forbidden()),
    }
}

/// The agent, if the caller is one, and its sponsor.
pub(crate) fn agent(verified: Verified) -> Result<(Identity, Option<Identity>), Status> {
    match verified {
        Verified::Agent(identity, sponsor) => Ok((identity, sponsor)),
        Verified::Operator(_) => Err(refusal::forbidden()),
    }
}
