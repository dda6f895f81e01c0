//! Warnings of charters that have ended or end soon, because their agents stop working then.

use std::time::Duration;

use lanyard_engine::Engine;

/// The time before its end from which a charter is reported.
const ENDING_WARNING_SPAN: Duration = Duration::from_secs(14 * 24 * 3600);

/// A line for each charter in force that has ended or ends soon.
pub(crate) fn ending(engine: &Engine) -> Vec<String> {
    let now = engine.clock().now();
    let mut lines = Vec::new();
    for charter in engine.charters().all() {
        let Some(end) = charter.expires else { continue };
        let (name, owner) = (&charter.name, &charter.owners.technical);
        if end.when <= now {
            lines.push(format!(
                "charter {name} ended at {}: its tasks are closed; its owner is {owner}",
                end.when
            ));
        } else if end.when <= now + ENDING_WARNING_SPAN {
            lines.push(format!(
                "charter {name} ends at {}, and its tasks with it; its owner is {owner}",
                end.when
            ));
        }
    }
    lines
}
