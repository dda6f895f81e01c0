//! The replay cache for reporters' messages: a message that is sent again, also to another process,
//! is the same report (S30).

use std::collections::HashMap;
use std::time::Duration;

use lanyard_vocabulary::id::ActionId;
use lanyard_vocabulary::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::action::{Report, Reporter};

/// The time for which a message is remembered. A message older than ten minutes is refused by its
/// own time.
///
/// # Limit
/// - for: a message of a reporter
/// - unit: of time
/// - beyond: a message with the same id is another report
/// - test: `s30_messages_beyond_what_is_remembered_are_refused`
const DELIVERY_REMEMBERED: Duration = Duration::from_secs(15 * 60);
/// The most messages that are remembered.
///
/// # Limit
/// - for: all reporters together
/// - unit: messages
/// - beyond: a reporter's message is refused, and can be sent again
/// - test: `s30_messages_beyond_what_is_remembered_are_refused`
const MAX_DELIVERIES: usize = 100_000;

/// The reporter's name with the reporter's id of the message.
type Message = (String, String);

#[derive(Debug, Clone, Default)]
pub(super) struct Deliveries(HashMap<Message, (Timestamp, ActionId)>);

/// A remembered message, as a snapshot holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    reporter: String,
    message: String,
    at: Timestamp,
    action: ActionId,
}

/// The message that a report came by, if it came by one.
fn message(report: &Report) -> Option<Message> {
    match (&report.by, &report.delivery) {
        (Reporter::Webhook(reporter), Some(id)) => Some((reporter.clone(), id.clone())),
        (Reporter::Webhook(_) | Reporter::Agent(_) | Reporter::Holder, _) => None,
    }
}

impl Deliveries {
    pub(super) fn get(&self, reporter: &str, id: &str) -> Option<ActionId> {
        let found = self.0.get(&(reporter.to_owned(), id.to_owned()));
        found.map(|(_, action)| *action)
    }

    /// True if the report repeats a remembered message.
    pub(super) fn knows(&self, report: &Report) -> bool {
        message(report).is_some_and(|message| self.0.contains_key(&message))
    }

    /// The time from which there is room for the message; `None` if there is room now.
    pub(super) fn room_at(&self, report: &Report, now: Timestamp) -> Option<Timestamp> {
        message(report)?;
        if self.0.len() < MAX_DELIVERIES {
            return None;
        }
        let ends = self.0.values().map(|(at, _)| *at + DELIVERY_REMEMBERED);
        ends.min().filter(|end| *end > now)
    }

    pub(super) fn take(&mut self, report: &Report, at: Timestamp) {
        let Some(message) = message(report) else {
            return;
        };
        // Looked through once for every doubling, and when it is full.
        let len = self.0.len();
        if len.is_power_of_two() || len >= MAX_DELIVERIES {
            self.0
                .retain(|_, (taken, _)| at <= *taken + DELIVERY_REMEMBERED);
        }
        self.0.insert(message, (at, report.action));
    }

    pub(super) fn image(&self) -> impl Iterator<Item = Delivery> {
        self.0
            .iter()
            .map(|((reporter, message), (at, action))| Delivery {
                reporter: reporter.clone(),
                message: message.clone(),
                at: *at,
                action: *action,
            })
    }

    pub(super) fn restore(&mut self, delivery: Delivery) {
        let message = (delivery.reporter, delivery.message);
        self.0.insert(message, (delivery.at, delivery.action));
    }
}

#[cfg(test)]
mod tests {
    use lanyard_vocabulary::id::TaskId;

    use super::*;
    use crate::action::Outcome;

    fn report(id: &str, action: u128) -> Report {
        Report {
            action: ActionId::from_bits(action),
            task: TaskId::from_bits(1),
            lease: None,
            tool: "t".to_owned(),
            name: "n".to_owned(),
            on: String::new(),
            outcome: Outcome::Succeeded,
            detail: String::new(),
            by: Reporter::Webhook("runbooks".to_owned()),
            delivery: Some(id.to_owned()),
        }
    }

    #[test]
    fn s30_messages_beyond_what_is_remembered_are_refused() {
        let mut all = Deliveries::default();
        let start = Timestamp::from_secs(1_800_000_000);
        for place in 0..MAX_DELIVERIES {
            let one = report(&place.to_string(), 7);
            assert_eq!(all.room_at(&one, start), None);
            all.take(&one, start);
        }
        let over = start + DELIVERY_REMEMBERED;
        assert_eq!(all.room_at(&report("more", 8), start), Some(over));
        assert!(all.knows(&report("0", 9)));
        let later = over + Duration::from_secs(1);
        assert_eq!(all.room_at(&report("more", 8), later), None);
        all.take(&report("more", 8), later);
        assert_eq!(all.0.len(), 1);
    }

    #[test]
    fn s30_a_message_is_one_of_its_reporter_alone() {
        let mut all = Deliveries::default();
        all.take(&report("m", 7), Timestamp::EPOCH);
        assert_eq!(all.get("runbooks", "m"), Some(ActionId::from_bits(7)));
        assert_eq!(all.get("others", "m"), None);
        let mut again = Deliveries::default();
        all.image().for_each(|one| again.restore(one));
        assert!(again.knows(&report("m", 8)));
    }
}
