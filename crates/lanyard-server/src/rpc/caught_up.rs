//! The wait for a history that has taken in what is durable.

use std::time::Duration;

use lanyard_ledger::Embedded;
use tonic::Status;

/// The interval, and the number of times, at which the history is looked at until it has caught up:
/// two seconds in all.
const LOOK: Duration = Duration::from_millis(10);
const LOOKS: u32 = 200;
/// The same for agents.
const LOOKS_FOR_AGENTS: u32 = 800;

/// Waits, not for long, until the history holds what is durable now: who asks sees its own writes.
/// Agents wait longer than people: the history is brought up to date for them now and then, and for
/// people at once.
pub(super) async fn caught_up(ledger: &Embedded, for_agent: bool) -> Result<(), Status> {
    let size = ledger.tree().0;
    let looks = if for_agent { LOOKS_FOR_AGENTS } else { LOOKS };
    for _ in 0..looks {
        let history = ledger.history();
        if history.applied() >= size {
            return Ok(());
        }
        if for_agent {
            history.want_soon();
        } else {
            history.want();
        }
        tokio::time::sleep(LOOK).await;
    }
    let applied = ledger.history().applied();
    Err(Status::unavailable(format!(
        "the history has taken in {applied} of {size} records: ask again"
    )))
}
