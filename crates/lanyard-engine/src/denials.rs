//! How many denials of one agent are journaled: a flood of refused requests must not fill the disk.

use std::collections::HashMap;
use std::time::Duration;

use lanyard_core::scope::AgentName;
use lanyard_core::time::Timestamp;
use parking_lot::Mutex;

/// The window in which denials are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// How many of one agent are journaled in a window; the rest are counted.
const MOST: u32 = 60;
/// How many agents are watched at once; when there are more, the quiet ones are forgotten.
const AGENTS: usize = 10_000;

/// Counts denials.
#[derive(Debug, Default)]
pub struct DenialMeter(Mutex<HashMap<AgentName, (Timestamp, u32)>>);

impl DenialMeter {
    /// Whether this denial is to be journaled.
    pub fn admits(&self, agent: &AgentName, now: Timestamp) -> bool {
        let mut seen = self.0.lock();
        if seen.len() >= AGENTS {
            seen.retain(|_, (since, _)| now.since(*since) < WINDOW);
        }
        let (since, count) = seen.entry(agent.clone()).or_insert((now, 0));
        if now.since(*since) >= WINDOW {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_the_next_window_starts_afresh() {
        let (meter, agent) = (DenialMeter::default(), AgentName("a".into()));
        let journaled = (0..1000)
            .filter(|_| meter.admits(&agent, Timestamp::EPOCH))
            .count();
        assert_eq!(journaled, usize::try_from(MOST).unwrap());
        assert!(meter.admits(&agent, Timestamp::EPOCH + WINDOW));
    }
}
