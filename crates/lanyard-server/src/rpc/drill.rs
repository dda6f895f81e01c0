//! The drills of `KillService`.

use lanyard_core::drill::{Drill, DrillOutcome, Drills as Known};
use lanyard_engine::drill::Drilled;
use lanyard_proto::v1;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::Timestamp;
use tonic::Status;

use super::{duration, time};
use crate::broker::Broker;
use crate::drill::Drills;
use crate::fields::parsed;
use crate::refusal;

/// Holds drills and returns their results.
pub(super) async fn hold(broker: &Broker, asked: &[String]) -> Result<Vec<v1::Drill>, Status> {
    let drills = drills(broker)?;
    let mut targets = Vec::with_capacity(asked.len());
    for target in asked {
        let target: Name = parsed("targets", target)?;
        if !drills.targets().contains(&target) {
            let why = broker.engine.providers().contains_key(&target);
            let why = if why {
                "no drill can be held there: a cluster needs `drill_namespace`"
            } else {
                "there is no such target"
            };
            return Err(refusal::invalid("targets", format!("{target}: {why}")).into());
        }
        targets.push(target);
    }
    if targets.is_empty() {
        targets = drills.targets().to_vec();
    }
    let held = drills.hold(&broker.engine, &targets).await;
    let held = held.map_err(refusal::commit)?;
    let mut shown = list(broker).await?;
    shown.retain(|drill| targets.iter().any(|target| drill.target == target.as_str()));
    for (target, drilled) in held {
        let mut of_target = shown.iter_mut();
        let shown = of_target.find(|drill| drill.target == target.as_str());
        if let (Drilled::HeldUp(by), Some(drill)) = (drilled, shown) {
            // The last drill is another one.
            *drill = v1::Drill {
                target: std::mem::take(&mut drill.target),
                last_pass_time: drill.last_pass_time.take(),
                overdue: drill.overdue,
                held_up_by: by,
                ..v1::Drill::default()
            };
        }
    }
    Ok(shown)
}

/// Returns the newest drills.
pub(super) async fn list(broker: &Broker) -> Result<Vec<v1::Drill>, Status> {
    let now = broker.engine.clock().now();
    let known = broker
        .engine
        .context()
        .query(|state| state.drills().clone())
        .await;
    let known = known.map_err(refusal::commit)?;
    let old = broker.drills.as_deref().map(Drills::old);
    let targets = broker.engine.providers().keys();
    Ok(targets
        .map(|target| {
            let drilled = broker
                .drills
                .as_ref()
                .is_some_and(|drills| drills.targets().contains(target));
            match (known.get(target), drilled) {
                (Some(known), _) => shown(known, old.map(|old| now.before(old))),
                (None, drilled) => v1::Drill {
                    target: target.to_string(),
                    why: if drilled {
                        "no drill was held yet"
                    } else {
                        "no drill can be held there: a cluster needs `drill_namespace`"
                    }
                    .to_owned(),
                    overdue: true,
                    ..v1::Drill::default()
                },
            }
        })
        .collect())
}

fn drills(broker: &Broker) -> Result<&Drills, Status> {
    let none = || Status::failed_precondition("there is no target and environment to drill");
    broker.drills.as_deref().ok_or_else(none)
}

fn shown(known: &Known, oldest: Option<Timestamp>) -> v1::Drill {
    let (at, drill) = &known.last;
    let good = known.good.as_ref().map(|(at, _)| *at);
    let overdue = oldest.is_none_or(|oldest| good.is_none_or(|good| good < oldest));
    v1::Drill {
        time: time(*at),
        last_pass_time: good.and_then(time),
        overdue,
        ..outcome(drill)
    }
}

fn outcome(drill: &Drill) -> v1::Drill {
    let millis = |millis| duration(std::time::Duration::from_millis(millis));
    let shown = v1::Drill {
        target: drill.target.to_string(),
        lease_id: drill.lease.map(|id| id.to_string()).unwrap_or_default(),
        kill_id: drill.kill.map(|id| id.to_string()).unwrap_or_default(),
        ..v1::Drill::default()
    };
    match &drill.outcome {
        DrillOutcome::Passed {
            fenced_micros,
            taken_millis,
            dead_millis,
        } => v1::Drill {
            passed: true,
            fenced_in: duration(std::time::Duration::from_micros(*fenced_micros)),
            taken_in: millis(*taken_millis),
            dead_in: dead_millis.and_then(millis),
            ..shown
        },
        DrillOutcome::Failed { why } => v1::Drill {
            why: why.clone(),
            ..shown
        },
    }
}
