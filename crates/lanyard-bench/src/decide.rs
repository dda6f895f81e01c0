//! Measures `decide`, and the look-up of the charter for it.

use std::hint::black_box;
use std::time::Duration;

use anyhow::{Context, Result};
use lanyard_charter::{TargetKind, parse};
use lanyard_core::decide::{GrantRequest, Revisions, decide};
use lanyard_engine::charters::Charters;
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use lanyard_vocabulary::time::Timestamp;

use crate::stopwatch;

const TURNS: u32 = 200_000;

pub(crate) fn run() -> Result<()> {
    println!("decisions, one thread, {TURNS} each");
    for count in [1, 100, 1000] {
        let charters = Charters::default();
        let texts = (0..count).map(|n| {
            let name = format!("name: payments-{n}");
            world::CHARTER.replacen("name: payments-terraform", &name, 1)
        });
        let parsed = texts.map(|text| parse(&text, &world::world()));
        let parsed: Option<Vec<_>> = parsed.map(|it| Some(it.ok()?.charter)).collect();
        charters.replace(parsed.context("the sample charter does not load")?);
        let now = Timestamp::from_secs(1_800_000_000);
        let mut task = world::task(&Ids::seeded(1), now);
        task.charter = world::name(&format!("payments-{}", count / 2));
        let of = charters.in_force(&task.charter).context("no charter")?;
        task.revision = of.revision.clone();
        let grant = world::grant(TargetKind::TOKEN);
        let began = stopwatch();
        for _ in 0..TURNS {
            let in_force = charters.in_force(&task.charter).context("no charter")?;
            let request = GrantRequest {
                task: &task,
                grant: &grant,
                ttl: None,
                plan: None,
                watched: false,
                sponsor: None,
                ancestors: &[],
                emergency: None,
                worst_case: Duration::ZERO,
                now,
            };
            let revisions = Revisions {
                pinned: &in_force,
                in_force: &in_force,
            };
            let permit = decide(revisions, &request);
            black_box(permit.is_ok());
        }
        let each = began.elapsed() / TURNS;
        println!(
            "  {count:>5} charters  {:>10.0} a second  {each:?} each",
            1.0 / each.as_secs_f64()
        );
    }
    Ok(())
}
