//! PauseService.

use std::sync::Arc;
use std::time::Duration;

use lanyard_core::kill::Actor;
use lanyard_core::pause::{Demand, Pause, Reach};
use lanyard_engine::pause::PauseRequest;
use lanyard_proto::v1;
use lanyard_proto::v1::pause_service_server::PauseService;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::operator::OperatorRole;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::time::Timestamp;
use tonic::{Request, Response, Status};

use super::kill::identities;
use super::{Services, time};
use crate::fields::{parsed, text};
use crate::refusal;
use crate::refused::Refused;

/// The longest pause that ends by itself.
///
/// # Limit
/// - for: a pause
/// - unit: of time
/// - beyond: the call is refused with `INVALID_ARGUMENT`
/// - test: `a_pause_that_ends_by_itself_lasts_a_week_at_most`
const MAX_PAUSE: Duration = Duration::from_secs(7 * 24 * 3600);

#[tonic::async_trait]
impl PauseService for Services {
    async fn create_pause(
        &self,
        request: Request<v1::CreatePauseRequest>,
    ) -> Result<Response<v1::CreatePauseResponse>, Status> {
        let operator = self.operator(&request, OperatorRole::OnCall).await?;
        let request = request.into_inner();
        let demand = match request.demand() {
            v1::Demand::Unspecified | v1::Demand::Stillness => Demand::NoIssuance,
            v1::Demand::Approval => Demand::Approval,
        };
        let asked = PauseRequest {
            demand,
            until: until(request.lasts, self.0.engine.clock().now())?,
            reach: reach(request.reach.unwrap_or_default())?,
            reason: text("reason", request.reason)?,
        };
        let by = Actor::Operator(operator.identity);
        let engine = &self.0.engine;
        let pause = engine
            .pauses()
            .pause(asked, by)
            .await
            .map_err(refusal::commit)?;
        // The pause is not kept waiting for what it reaches to be looked up.
        let (looking, reach) = (Arc::clone(engine), pause.reach.clone());
        let looked = tokio::task::spawn_blocking(move || looking.scopes().pause_radius(&reach));
        let radius = looked.await.unwrap_or_default();
        Ok(Response::new(v1::CreatePauseResponse {
            pause: Some(message(&pause)),
            reaches_nothing: radius.is_nothing(),
            identities: identities(&radius),
            unknown_name: radius.unknown_name.unwrap_or_default(),
            near_names: radius.near,
        }))
    }

    async fn list_pauses(
        &self,
        request: Request<v1::ListPausesRequest>,
    ) -> Result<Response<v1::ListPausesResponse>, Status> {
        self.operator(&request, OperatorRole::Viewer).await?;
        let now = self.0.engine.clock().now();
        let listed = self.0.engine.context().query(|state| {
            let lasting = state.pauses().filter(|pause| pause.lasts(now));
            let mut pauses: Vec<_> = lasting.cloned().collect();
            pauses.sort_by_key(|pause| std::cmp::Reverse(pause.at));
            pauses
        });
        let pauses = listed.await.map_err(refusal::commit)?;
        Ok(Response::new(v1::ListPausesResponse {
            pauses: pauses.iter().map(message).collect(),
        }))
    }

    async fn resume(
        &self,
        request: Request<v1::ResumeRequest>,
    ) -> Result<Response<v1::ResumeResponse>, Status> {
        let operator = self.operator(&request, OperatorRole::OnCall).await?;
        let request = request.into_inner();
        let id = parsed("id", &request.id)?;
        let reason = text("reason", request.reason)?;
        let resumed = self
            .0
            .engine
            .pauses()
            .resume(id, &operator.identity, reason)
            .await;
        resumed.map_err(refusal::commit)?;
        Ok(Response::new(v1::ResumeResponse {}))
    }
}

fn until(
    lasts: Option<prost_types::Duration>,
    now: Timestamp,
) -> Result<Option<Timestamp>, Status> {
    let Some(lasts) = lasts else { return Ok(None) };
    let span = Duration::try_from(lasts).ok();
    let span = span.filter(|span| !span.is_zero() && *span <= MAX_PAUSE);
    let wrong = || refusal::invalid("lasts", "must be more than nothing and a week at most");
    Ok(Some(now + span.ok_or_else(wrong)?))
}

fn reach(named: v1::Reach) -> Result<Reach, Refused> {
    fn given<T>(
        text: String,
        read: impl FnOnce(&str) -> Result<T, Refused>,
    ) -> Result<Option<T>, Refused> {
        if text.is_empty() {
            return Ok(None);
        }
        read(&text).map(Some)
    }
    // As a kill takes names: they have no capitals and no spaces, and can mean one thing alone.
    let name = |field: &'static str| {
        move |name: &str| parsed::<Name>(field, &name.trim().to_ascii_lowercase())
    };
    Ok(Reach {
        environment: given(named.environment, name("reach.environment"))?,
        target: given(named.target, name("reach.target"))?,
        charter: given(named.charter, name("reach.charter"))?,
        agent: given(named.agent, |name| {
            let name = text("reach.agent", name.to_owned())?;
            Ok(AgentName(name.trim().to_owned()))
        })?,
        as_typed: true,
        task: given(named.task_id, |id| parsed("reach.task_id", id))?,
        role: given(named.role, |role| match role {
            "plan" => Ok(Role::Plan),
            "apply" => Ok(Role::Apply),
            _ => Err(refusal::invalid("reach.role", "must be plan or apply")),
        })?,
    })
}

fn message(pause: &Pause) -> v1::Pause {
    let text = |name: Option<String>| name.unwrap_or_default();
    let reach = &pause.reach;
    let demand = match pause.demand {
        Demand::NoIssuance => v1::Demand::Stillness,
        Demand::Approval => v1::Demand::Approval,
    };
    v1::Pause {
        id: pause.id.to_string(),
        reach: Some(v1::Reach {
            environment: text(reach.environment.as_ref().map(ToString::to_string)),
            target: text(reach.target.as_ref().map(ToString::to_string)),
            charter: text(reach.charter.as_ref().map(ToString::to_string)),
            agent: text(reach.agent.as_ref().map(|agent| agent.0.clone())),
            task_id: text(reach.task.map(|id| id.to_string())),
            role: text(reach.role.map(|role| role.to_string())),
        }),
        demand: demand.into(),
        reason: pause.reason.clone(),
        paused_by: pause.by.to_string(),
        pause_time: time(pause.at),
        expire_time: pause.until.and_then(time),
        evidence: pause.evidence.iter().map(|seq| seq.0).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_that_ends_by_itself_lasts_a_week_at_most() {
        let now = Timestamp::from_secs(1_800_000_000);
        let of = |seconds| until(Some(prost_types::Duration { seconds, nanos: 0 }), now);
        assert_eq!(of(7 * 86_400).unwrap(), Some(now + MAX_PAUSE));
        assert!(of(7 * 86_400 + 1).is_err() && of(0).is_err());
        assert_eq!(until(None, now).unwrap(), None);
    }
}
