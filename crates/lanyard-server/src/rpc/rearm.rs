//! The proposals to re-arm, as the second person reads them.

use lanyard_core::kill::{REARM_PROPOSAL_LIFE, RearmStage};
use lanyard_engine::Engine;
use lanyard_engine::rearm::ProposedRearm;
use lanyard_proto::v1;
use lanyard_vocabulary::id::{KillId, RearmId};
use lanyard_vocabulary::text::escaped;
use tonic::Status;

use super::{kill_order, time};
use crate::refusal;

/// Returns the proposals of a kill order, one proposal, or every one if no id is given.
pub(super) async fn list(engine: &Engine, id: &str) -> Result<Vec<v1::Rearm>, Status> {
    let of = match (id.trim(), id.trim().parse::<RearmId>()) {
        ("", _) => None,
        (_, Ok(rearm)) => Some((KillId::from_bits(0), rearm)),
        (id, Err(_)) => {
            let order: KillId = id.parse().map_err(|_| {
                let what = "has to be a kill order (`K-…`) or a proposal to re-arm (`R-…`)";
                refusal::invalid("id", format!("`{}` {what}", escaped(id)))
            })?;
            let known = engine
                .context()
                .in_effect(|state| state.kills().get(order).is_some());
            if !known.await {
                return Err(refusal::not_found("kill order").into());
            }
            Some((order, RearmId::from_bits(0)))
        }
    };
    let found = engine.rearms().list(of).await.map_err(refusal::commit)?;
    let is_of_one = of.is_some_and(|(order, _)| order == KillId::from_bits(0));
    if is_of_one && found.is_empty() {
        return Err(refusal::not_found(
            "proposal to re-arm: `lanyard rearm show` names those that wait",
        )
        .into());
    }
    Ok(found.into_iter().map(rearm).collect())
}

fn rearm(proposed: ProposedRearm) -> v1::Rearm {
    let proposal = proposed.proposal;
    let stage = match proposal.stage {
        RearmStage::Plan => v1::RearmStage::Plan,
        RearmStage::Apply => v1::RearmStage::Apply,
    };
    let still = proposed.still_stopped_by.iter();
    v1::Rearm {
        id: proposal.id.to_string(),
        order: Some(kill_order::message(&proposed.engaged)),
        stage: stage.into(),
        proposed_by: proposal.by.to_string(),
        reason: proposal.reason,
        propose_time: time(proposal.at),
        expire_time: time(proposal.at + REARM_PROPOSAL_LIFE),
        despite_unconfirmed: proposal.despite_unconfirmed,
        opens: proposed.opens,
        still_stopped_by: still.map(ToString::to_string).collect(),
        open_leases: proposed.open_leases,
        void: proposed.void.unwrap_or_default(),
    }
}
