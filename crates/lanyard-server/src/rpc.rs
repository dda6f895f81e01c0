//! The services: each RPC decodes, calls the engine, encodes.

pub(crate) mod action;
mod approval;
mod audit;
mod caught_up;
mod charter;
mod credential;
mod decision;
mod described;
mod drill;
mod identity;
mod kill;
mod kill_order;
mod leases;
mod pause;
mod phrases;
mod plan;
mod plan_list;
mod rearm;
mod records;
mod sentence;
mod signing_key;
mod task;
mod timeline;

use std::sync::Arc;
use std::time::Duration;

use lanyard_engine::mint::IssueError;
use lanyard_identity::Verified;
use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::operator::{Login, Operator, OperatorRole};
use lanyard_vocabulary::time::Timestamp;
use tokio::sync::{mpsc, watch};
use tonic::Request;

use crate::broker::Broker;
use crate::callers::{self, not_for};
use crate::freshness::Freshness;
use crate::identity::Presented;
use crate::refusal;
use crate::refused::Refused;

pub(crate) use kill::{identities, reached};
pub(crate) use plan::submitted_bytes;

/// The services over one broker.
#[derive(Clone)]
pub(crate) struct Services(pub(crate) Arc<Broker>);

/// Returns what the request shows of its caller.
fn presented<T>(request: &Request<T>) -> Result<&Presented, Refused> {
    let presented = request.extensions().get();
    presented.ok_or_else(refusal::unauthenticated)
}

impl Services {
    fn refused(&self, error: IssueError) -> Refused {
        refusal::issue(error, &self.0.engine, self.0.approval_url.as_ref())
    }

    async fn caller<T: Sync>(&self, request: &Request<T>) -> Result<Verified, Refused> {
        self.0.caller(presented(request)?).await
    }

    async fn agent<T: Sync>(&self, request: &Request<T>) -> Result<Caller, Refused> {
        callers::agent(self.caller(request).await?)
    }

    /// The caller: an agent, or an operator with one of these roles.
    async fn agent_or_operator<T: Sync>(
        &self,
        request: &Request<T>,
        roles: &[OperatorRole],
    ) -> Result<Verified, Refused> {
        let caller = self.caller(request).await?;
        match &caller {
            Verified::Operator(operator, _) if !has_one(operator, roles) => {
                Err(not_for(&caller, roles))
            }
            Verified::Operator(..) | Verified::Agent(_) => Ok(caller),
        }
    }

    /// The operator, if the caller is one and has one of these roles.
    async fn operator_with<T: Sync>(
        &self,
        request: &Request<T>,
        roles: &[OperatorRole],
    ) -> Result<Operator, Refused> {
        match self.caller(request).await? {
            Verified::Operator(operator, _) if has_one(&operator, roles) => Ok(operator),
            other @ (Verified::Operator(..) | Verified::Agent(_)) => Err(not_for(&other, roles)),
        }
    }

    async fn operator<T: Sync>(
        &self,
        request: &Request<T>,
        role: OperatorRole,
    ) -> Result<Operator, Refused> {
        let (operator, _) = self.person(request, role).await?;
        Ok(operator)
    }

    /// The operator, if the login is as fresh as this takes.
    async fn fresh<T: Sync>(
        &self,
        request: &Request<T>,
        (role, needed): (OperatorRole, &Freshness),
    ) -> Result<Operator, Refused> {
        let (operator, login) = self.person(request, role).await?;
        if !needed.is_met_by(&login, self.0.engine.clock().system()) {
            return Err(refusal::reauthenticate(needed));
        }
        Ok(operator)
    }

    /// The operator, and how that one logged in.
    async fn person<T: Sync>(
        &self,
        request: &Request<T>,
        role: OperatorRole,
    ) -> Result<(Operator, Login), Refused> {
        callers::operator(self.caller(request).await?, role)
    }
}

/// The roles that see orders, leases and the condition: whoever may stop something, and whoever may
/// look.
const SEES_ORDERS: &[OperatorRole] = &[
    OperatorRole::Viewer,
    OperatorRole::OnCall,
    OperatorRole::Admin,
];

fn has_one(operator: &Operator, roles: &[OperatorRole]) -> bool {
    roles.iter().any(|role| operator.is(*role))
}

/// The event that a watch goes on with.
enum Next {
    /// Something was recorded meanwhile.
    Change,
    /// The time passed without a record.
    Nothing,
    /// The reader is gone, or nothing will be recorded any more.
    End,
}

/// Waits for what a watch goes on with. A watch whose reader is gone ends at once and gives back
/// its place.
async fn next<T>(
    changes: &mut watch::Receiver<u64>,
    events: &mpsc::Sender<T>,
    within: Duration,
) -> Next {
    tokio::select! {
        changed = changes.changed() => changed.map_or(Next::End, |()| Next::Change),
        () = events.closed() => Next::End,
        () = tokio::time::sleep(within) => Next::Nothing,
    }
}

fn time(at: Timestamp) -> Option<prost_types::Timestamp> {
    let seconds = i64::try_from(at.as_secs()).ok()?;
    let nanos = i32::try_from(at.as_millis() % 1000 * 1_000_000).ok()?;
    Some(prost_types::Timestamp { seconds, nanos })
}

fn duration(span: std::time::Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(span).ok()
}
