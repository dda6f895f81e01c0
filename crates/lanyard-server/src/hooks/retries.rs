//! How often a delivery is retried, and where an event is stored that was given up.
//!
//! A receiver that is down gets every event later. A receiver that answers, and rejects one event,
//! would reject it tomorrow too: that event is given up, so that it does not hold up the events
//! behind it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use lanyard_vocabulary::time::Timestamp;
use reqwest::StatusCode;
use serde_json::json;

/// The number of deliveries of one event that a receiver may reject (a 4xx but 408, 425 and 429).
///
/// # Limit
/// - for: an event and a receiver
/// - unit: tries
/// - beyond: the event is given up: it is logged, counted, and stored in `NAME.rejected` beside the
///   receiver's position file. Delivery goes on with the next event
/// - test: `s13_a_rejected_event_is_given_up_after_six_tries`
pub(super) const MAX_REJECTIONS_PER_EVENT: u32 = 6;

/// The time for which an event is retried at a receiver that fails on it (a 5xx but 502, 503 and
/// 504).
///
/// # Limit
/// - for: an event and a receiver
/// - unit: from its first try
/// - beyond: the event is given up, as a rejected one is
/// - test: `s13_an_event_that_breaks_its_receiver_is_given_up_after_an_hour`
pub(super) const BROKEN_RECEIVER_RETRIED: Duration = Duration::from_secs(3600);

/// The time for which an event is retried at a receiver that does not answer.
///
/// # Limit
/// - for: an event and a receiver
/// - unit: from its first try
/// - beyond: the event is given up, as a rejected one is
/// - test: `s13_a_receiver_that_is_down_is_retried_for_a_day`
pub(super) const ABSENT_RECEIVER_RETRIED: Duration = Duration::from_secs(24 * 3600);

/// The largest file of events that were given up.
///
/// # Limit
/// - for: a receiver
/// - unit: bytes
/// - beyond: further events that are given up are logged and counted, and not stored
/// - test: `s13_the_file_of_rejected_events_is_bounded`
const MAX_REJECTED_BYTES: u64 = 16 << 20;

/// The wait before the first retry.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait between two tries.
///
/// # No limit
/// The wait doubles up to this value; `MAX_REJECTIONS_PER_EVENT` and the two times above bound the
/// retries themselves.
const RETRY_INTERVAL_CAP: Duration = Duration::from_secs(300);

/// The result of one delivery that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The receiver refused this event.
    Rejected,
    /// The receiver failed while it handled this event.
    Broken,
    /// The receiver did not answer.
    Absent,
}

impl Answer {
    /// Returns the result that an unsuccessful status means; `None` is no answer at all.
    pub(super) fn of(status: Option<StatusCode>) -> Self {
        match status {
            Some(
                StatusCode::REQUEST_TIMEOUT
                | StatusCode::TOO_EARLY
                | StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT,
            )
            | None => Self::Absent,
            Some(status) if status.is_server_error() => Self::Broken,
            Some(_) => Self::Rejected,
        }
    }
}

/// The deliveries of one event so far.
#[derive(Debug)]
pub(super) struct Tries {
    began: Timestamp,
    rejected: u32,
    wait: Duration,
}

impl Tries {
    pub(super) const fn begin(now: Timestamp) -> Self {
        Self {
            began: now,
            rejected: 0,
            wait: FIRST_WAIT,
        }
    }

    /// Returns the wait before the next try; `None` if the event is to be given up.
    pub(super) fn again(&mut self, answer: Answer, now: Timestamp) -> Option<Duration> {
        let tried = now.since(self.began);
        let over = match answer {
            Answer::Rejected => {
                self.rejected += 1;
                self.rejected >= MAX_REJECTIONS_PER_EVENT
            }
            Answer::Broken => tried >= BROKEN_RECEIVER_RETRIED,
            Answer::Absent => tried >= ABSENT_RECEIVER_RETRIED,
        };
        if over {
            return None;
        }
        let wait = self.wait;
        self.wait = wait.saturating_mul(2).min(RETRY_INTERVAL_CAP);
        Some(wait)
    }
}

/// Appends an event that was given up to `file`, as one line of JSON. Returns false if the file has
/// no room for it.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn store_rejected(
    file: &Path,
    (id, body): (&str, &str),
    (why, now): (&str, Timestamp),
) -> std::io::Result<bool> {
    let line = json!({"id": id, "given_up": now.to_string(), "error": why, "body": body});
    let line = format!("{line}\n");
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(file)?;
    let size = file.metadata()?.len();
    if size + line.len() as u64 > MAX_REJECTED_BYTES {
        return Ok(false);
    }
    file.write_all(line.as_bytes())?;
    file.sync_data()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_800_000_000);

    /// Returns how often, and for how long, an event is sent to a receiver that answers every
    /// delivery with `answer`.
    fn tried(answer: Answer) -> (u32, Duration) {
        let (mut tries, mut now, mut tried) = (Tries::begin(START), START, 1);
        while let Some(wait) = tries.again(answer, now) {
            now = now + wait;
            tried += 1;
        }
        (tried, now.since(START))
    }

    #[test]
    fn s13_a_rejected_event_is_given_up_after_six_tries() {
        let (tries, lasted) = tried(Answer::Rejected);
        assert_eq!(tries, MAX_REJECTIONS_PER_EVENT);
        assert!(lasted < Duration::from_secs(60), "{lasted:?}");
    }

    #[test]
    fn s13_an_event_that_breaks_its_receiver_is_given_up_after_an_hour() {
        let (_, lasted) = tried(Answer::Broken);
        assert!(
            lasted >= BROKEN_RECEIVER_RETRIED
                && lasted < BROKEN_RECEIVER_RETRIED + RETRY_INTERVAL_CAP
        );
    }

    #[test]
    fn s13_a_receiver_that_is_down_is_retried_for_a_day() {
        let (_, lasted) = tried(Answer::Absent);
        assert!(
            lasted >= ABSENT_RECEIVER_RETRIED
                && lasted < ABSENT_RECEIVER_RETRIED + RETRY_INTERVAL_CAP
        );
    }

    #[test]
    fn s13_rejections_between_absences_are_counted() {
        let mut tries = Tries::begin(START);
        for _ in 1..MAX_REJECTIONS_PER_EVENT {
            assert!(tries.again(Answer::Rejected, START).is_some());
            assert!(tries.again(Answer::Absent, START).is_some());
        }
        assert_eq!(tries.again(Answer::Rejected, START), None);
    }

    #[test]
    fn s13_what_a_status_says_of_its_receiver() {
        let of = |status: u16| Answer::of(StatusCode::from_u16(status).ok());
        for status in [400, 401, 403, 404, 409, 410, 413, 422, 300] {
            assert_eq!(of(status), Answer::Rejected, "{status}");
        }
        for status in [500, 501, 505] {
            assert_eq!(of(status), Answer::Broken, "{status}");
        }
        for status in [408, 425, 429, 502, 503, 504] {
            assert_eq!(of(status), Answer::Absent, "{status}");
        }
        assert_eq!(Answer::of(None), Answer::Absent);
    }

    #[test]
    fn s13_the_file_of_rejected_events_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("webhooks/chat.rejected");
        let body = "b".repeat(1 << 20);
        let store = |id: &str| store_rejected(&file, (id, &body), ("HTTP 400", START)).unwrap();
        let kept = (0..20).filter(|id| store(&id.to_string())).count();
        assert_eq!(kept, 15);
        let written = std::fs::read_to_string(&file).unwrap();
        assert!(written.len() as u64 <= MAX_REJECTED_BYTES);
        let first: serde_json::Value =
            serde_json::from_str(written.lines().next().unwrap()).unwrap();
        assert_eq!(first["id"], "0");
        assert_eq!(first["error"], "HTTP 400");
    }
}
