//! Warnings of charters that have ended or end soon, because their agents stop working then.

use std::time::Duration;

use crate::wire::Broker;

/// How long before its end a charter is reported.
const ENDS_SOON: Duration = Duration::from_secs(14 * 24 * 3600);

impl Broker {
    /// One line for each charter in force that has ended or ends soon.
    pub(crate) fn ending_charters(&self) -> Vec<String> {
        let now = self.engine.now();
        let mut lines = Vec::new();
        for charter in self.engine.charters().all() {
            let Some(end) = charter.expires else { continue };
            let (name, owner) = (&charter.name, &charter.owners.technical);
            if end.when <= now {
                lines.push(format!(
                    "charter {name} ended at {}: its tasks are closed; its owner is {owner}",
                    end.when
                ));
            } else if end.when <= now + ENDS_SOON {
                lines.push(format!(
                    "charter {name} ends at {}, and its tasks with it; its owner is {owner}",
                    end.when
                ));
            }
        }
        lines
    }
}
