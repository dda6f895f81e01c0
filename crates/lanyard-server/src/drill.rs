//! Drills: the canary's charter, which the broker writes itself, and their schedule.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use lanyard_charter::{Charter, parse};
use lanyard_core::drill::OLD;
use lanyard_core::ledger::CommitError;
use lanyard_engine::Engine;
use lanyard_engine::drill::{Canary, Drilled};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use tokio::sync::watch;

use crate::config::Config;
use crate::targets::TargetConfig;

/// The name of the canary's charter, which no file may have.
pub(crate) const CHARTER: &str = "lanyard-drill";
/// The issuer of the canary's agent. No token can have it, because it is not a URL.
const ISSUER: &str = "lanyard:drill";
/// The interval at which the schedule is checked.
const LOOK: Duration = Duration::from_secs(30);

/// The targets of drills, and their schedule.
#[derive(Debug)]
pub(crate) struct Drills {
    canary: Canary,
    /// The targets that a canary can be minted at.
    targets: Vec<Name>,
    every: Duration,
    /// Held during a drill, so that there is one at a time.
    turn: tokio::sync::Mutex<()>,
}

/// The canary's charter with its targets; `None` if no target can be drilled.
pub(crate) fn prepared(config: &Config) -> Result<Option<(Charter, Drills)>> {
    let Some(environment) = config.world.environments.keys().next() else {
        return Ok(None);
    };
    let (mut grants, mut targets) = (String::new(), Vec::new());
    for (name, target) in &config.targets {
        if let Some(grant) = grant(name, target, environment) {
            grants.push_str(&grant);
            targets.push(name.clone());
        }
    }
    if targets.is_empty() {
        return Ok(None);
    }
    let text = charter(environment, &grants);
    let parsed = parse(&text, &config.world)
        .map_err(|faults| anyhow::anyhow!("{}", lanyard_document::render(CHARTER, &text, &faults)))
        .context("the charter of the canary does not hold together")?;
    let canary = Canary {
        charter: parsed.charter.name.clone(),
        agent: Identity {
            issuer: ISSUER.to_owned(),
            subject: "canary".to_owned(),
        },
        environment: environment.clone(),
    };
    let drills = Drills {
        canary,
        targets,
        every: config.switch.drill_every,
        turn: tokio::sync::Mutex::default(),
    };
    Ok(Some((parsed.charter, drills)))
}

fn charter(environment: &Name, grants: &str) -> String {
    format!(
        "apiVersion: lanyard.dev/v1\n\
         kind: Charter\n\
         metadata: {{name: {CHARTER}}}\n\
         spec:\n\
         \u{20} purpose: Be killed, so that it is known that the kill switch works.\n\
         \u{20} owners: {{business: lanyard@localhost, technical: lanyard@localhost, security: lanyard@localhost}}\n\
         \u{20} agents:\n\
         \u{20}   - {{issuer: '{ISSUER}', subject: canary}}\n\
         \u{20} environments:\n\
         \u{20}   {environment}: {{autonomy: observe}}\n\
         \u{20} grants:\n{grants}\
         \u{20} limits: {{ttl: 5m, task: 10m, live_leases: 100, mints: {{count: 1000, per: 1h}}}}\n"
    )
}

/// A grant of the plan role that reads one thing which does not exist.
fn grant(name: &Name, target: &TargetConfig, environment: &Name) -> Option<String> {
    let section = target.drill(name)?;
    let head =
        format!("    - name: {name}\n      role: plan\n      environments: [{environment}]\n");
    let lines = section.lines().map(|line| format!("      {line}\n"));
    Some(head + &lines.collect::<String>())
}

impl Drills {
    /// The targets that can be drilled.
    pub(crate) fn targets(&self) -> &[Name] {
        &self.targets
    }

    /// The age from which the last good drill is out of date.
    pub(crate) fn old(&self) -> Duration {
        OLD.max(self.every * 2)
    }

    /// Holds a drill now at each of these targets, one after the other.
    pub(crate) async fn hold(
        &self,
        engine: &Arc<Engine>,
        targets: &[Name],
    ) -> Result<Vec<(Name, Drilled)>, CommitError> {
        let _turn = self.turn.lock().await;
        let mut held = Vec::with_capacity(targets.len());
        for target in targets {
            let drilled = engine.drills().hold(&self.canary, target).await?;
            held.push((target.clone(), drilled));
        }
        Ok(held)
    }

    /// The targets whose last drill is too old. None while people use the kill switch.
    fn due(&self, engine: &Engine) -> Vec<Name> {
        let now = engine.clock().now();
        engine.context().peek(|state| {
            if state.kills().count_engaged() > 0 {
                return Vec::new();
            }
            let due = self.targets.iter().filter(|target| {
                let last = state.drills().get(*target).map(|drills| drills.last.0);
                last.is_none_or(|last| last + self.every <= now)
            });
            due.cloned().collect()
        })
    }
}

/// Holds drills when they are due, until told to stop.
pub(crate) async fn follow(
    drills: Option<Arc<Drills>>,
    engine: Arc<Engine>,
    mut stop: watch::Receiver<bool>,
) {
    let Some(drills) = drills else { return };
    while !*stop.borrow() {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stop.changed() => return,
        }
        let due = drills.due(&engine);
        if let Err(error) = drills.hold(&engine, &due).await {
            tracing::error!(%error, "a drill could not be recorded");
        }
    }
}
