//! CharterService.

use std::collections::BTreeSet;
use std::sync::Arc;

use lanyard_charter::{Charter, Grant};
use lanyard_core::emergency::Emergency;
use lanyard_engine::Engine;
use lanyard_identity::Verified;
use lanyard_proto::v1;
use lanyard_proto::v1::charter_service_server::CharterService;
use lanyard_vocabulary::operator::OperatorRole;
use tonic::{Request, Response, Status};

use super::decision::owners;
use super::described::{environments, mode, sections};
use super::{Services, time};
use crate::fields::{parsed, text};
use crate::refusal;

/// The role of operators that read charters.
const READERS: &[OperatorRole] = &[OperatorRole::Viewer];

#[tonic::async_trait]
impl CharterService for Services {
    async fn list_charters(
        &self,
        request: Request<v1::ListChartersRequest>,
    ) -> Result<Response<v1::ListChartersResponse>, Status> {
        let all = self.0.engine.charters().all();
        let (charters, problems) = match self.agent_or_operator(&request, READERS).await? {
            Verified::Operator(..) => (all, self.0.charters.problems()),
            Verified::Agent(caller) => {
                let names = |charter: &Charter| {
                    let mut rules = charter.agents.iter();
                    rules.any(|rule| rule.matches(&caller.identity, &caller.evidence))
                };
                let own = all.into_iter().filter(|charter| names(charter));
                (own.collect(), Vec::new())
            }
        };
        Ok(Response::new(v1::ListChartersResponse {
            charters: charters
                .iter()
                .map(|charter| described(charter, &self.0.engine))
                .collect(),
            problems,
        }))
    }

    async fn get_charter(
        &self,
        request: Request<v1::GetCharterRequest>,
    ) -> Result<Response<v1::GetCharterResponse>, Status> {
        let caller = self.agent_or_operator(&request, READERS).await?;
        let name = parsed("name", &request.into_inner().name)?;
        let charter = self.0.engine.charters().in_force(&name);
        let may = |charter: &Arc<Charter>| match &caller {
            Verified::Operator(..) => true,
            Verified::Agent(caller) => {
                let mut rules = charter.agents.iter();
                rules.any(|rule| rule.matches(&caller.identity, &caller.evidence))
            }
        };
        let charter = charter
            .filter(may)
            .ok_or_else(|| refusal::not_found("charter in force"))?;
        Ok(Response::new(v1::GetCharterResponse {
            charter: Some(described(&charter, &self.0.engine)),
            sections: sections(&charter),
        }))
    }

    async fn inspect_charter(
        &self,
        request: Request<v1::InspectCharterRequest>,
    ) -> Result<Response<v1::InspectCharterResponse>, Status> {
        let viewer = self.operator(&request, OperatorRole::Viewer).await?;
        let (name, now) = (viewer.identity.to_string(), self.0.engine.clock().now());
        let turn = self.0.doors.inspections.admit(&name, now);
        let _turn = turn.map_err(|too_many| refusal::too_many(&too_many))?;
        let text = request.into_inner().text;
        let parsed = self.0.charters.parsed(&text).map_err(|findings| {
            let first = findings.first().map(|finding| finding.line("text"));
            refusal::invalid("text", first.unwrap_or_default())
        })?;
        let found = self.0.engine.inspection().inspect(parsed).await;
        let obstacle = |(grant, message): (Grant, String)| v1::Obstacle {
            grant: grant.name.to_string(),
            line: grant.at.line,
            column: grant.at.column,
            message,
        };
        Ok(Response::new(v1::InspectCharterResponse {
            obstacles: found.into_iter().map(obstacle).collect(),
        }))
    }

    async fn declare_emergency(
        &self,
        request: Request<v1::DeclareEmergencyRequest>,
    ) -> Result<Response<v1::DeclareEmergencyResponse>, Status> {
        let operator = self.operator(&request, OperatorRole::OnCall).await?;
        let request = request.into_inner();
        let charter = parsed("charter", &request.charter)?;
        let reason = text("reason", request.reason)?;
        let (engine, by) = (&self.0.engine, operator.person());
        let declared = engine.emergencies().declare(&charter, &by, reason);
        Ok(Response::new(v1::DeclareEmergencyResponse {
            emergency: Some(message(&declared.await.map_err(refusal::commit)?)),
        }))
    }

    async fn end_emergency(
        &self,
        request: Request<v1::EndEmergencyRequest>,
    ) -> Result<Response<v1::EndEmergencyResponse>, Status> {
        let operator = self.operator(&request, OperatorRole::OnCall).await?;
        let request = request.into_inner();
        let charter = parsed("charter", &request.charter)?;
        let reason = text("reason", request.reason)?;
        let engine = &self.0.engine;
        let ended = engine
            .emergencies()
            .end(&charter, &operator.identity, reason);
        ended.await.map_err(refusal::commit)?;
        Ok(Response::new(v1::EndEmergencyResponse {}))
    }

    async fn list_emergencies(
        &self,
        request: Request<v1::ListEmergenciesRequest>,
    ) -> Result<Response<v1::ListEmergenciesResponse>, Status> {
        self.operator(&request, OperatorRole::Viewer).await?;
        let now = self.0.engine.clock().now();
        let listed = self.0.engine.context().query(|state| {
            let lasting = state.emergencies().filter(|emergency| emergency.lasts(now));
            lasting.map(message).collect()
        });
        Ok(Response::new(v1::ListEmergenciesResponse {
            emergencies: listed.await.map_err(refusal::commit)?,
        }))
    }
}

/// The agents that a charter names: by the configured names, where there are any.
fn agents(charter: &Charter, engine: &Engine) -> Vec<String> {
    let mut shown = BTreeSet::new();
    for rule in &charter.agents {
        let known = engine.agents().iter();
        let named = known.filter(|(identity, _)| rule.names(identity));
        let mut named = named.map(|(_, name)| name.to_string()).peekable();
        if named.peek().is_none() {
            shown.insert(format!("{}#{}", rule.issuer, rule.subject));
        }
        shown.extend(named);
    }
    shown.into_iter().collect()
}

fn described(charter: &Charter, engine: &Engine) -> v1::Charter {
    let names = charter.grants.keys().map(ToString::to_string);
    let grants = charter.grants.values().map(|grant| v1::Grant {
        name: grant.name.to_string(),
        role: grant.role.to_string(),
        target: grant.target.to_string(),
        kind: grant.rights.provider().to_owned(),
        environments: grant.environments.iter().map(ToString::to_string).collect(),
    });
    v1::Charter {
        name: charter.name.to_string(),
        revision: charter.revision.to_string(),
        purpose: charter.purpose.clone(),
        agents: agents(charter, engine),
        owners: Some(owners(&charter.owners)),
        expire_time: charter.expires.and_then(|end| time(end.when)),
        mode: mode(charter.mode).to_owned(),
        environment_details: environments(charter),
        grants: names.collect(),
        grant_details: grants.collect(),
        environments: charter
            .environments
            .keys()
            .map(ToString::to_string)
            .collect(),
    }
}

fn message(emergency: &Emergency) -> v1::Emergency {
    v1::Emergency {
        charter: emergency.charter.to_string(),
        reason: emergency.reason.clone(),
        declared_by: emergency.by.to_string(),
        declare_time: time(emergency.at),
        expire_time: time(emergency.until),
    }
}
