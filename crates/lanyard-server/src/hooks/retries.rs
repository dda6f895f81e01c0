//! How often an event is told again that its receiver did not take, and where it is kept when it is told no more.
//!
//! A receiver that is down gets everything later. A receiver that answers, and does not take this one event, would not take
//! it tomorrow either: it is put aside, so that it does not hold up those behind it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use lanyard_core::time::Timestamp;
use reqwest::StatusCode;
use serde_json::json;

/// How often an event is told to a receiver that rejects it (a 4xx but 408, 425 and 429).
///
/// # Limit
/// - for: an event and a receiver
/// - unit: tries
/// - beyond: the event goes to `NAME.rejected` beside the receiver's place, is logged and counted, and those behind it are told
/// - test: `s13_an_event_that_is_rejected_is_put_aside_after_so_many_tries`
pub(super) const MAX_REJECTIONS_PER_EVENT: u32 = 6;

/// How long an event is told again to a receiver that answers each time with an error of its own (a 5xx but 502, 503 and 504).
///
/// # Limit
/// - for: an event and a receiver
/// - unit: from its first try
/// - beyond: the event is put aside, as a rejected one
/// - test: `s13_an_event_that_breaks_its_receiver_is_put_aside_after_an_hour`
pub(super) const BROKEN_RECEIVER_RETRIED: Duration = Duration::from_secs(3600);

/// How long an event is told again to a receiver that does not answer.
///
/// # Limit
/// - for: an event and a receiver
/// - unit: from its first try
/// - beyond: the event is put aside, as a rejected one
/// - test: `s13_a_receiver_that_is_down_is_told_for_a_day`
pub(super) const ABSENT_RECEIVER_RETRIED: Duration = Duration::from_secs(24 * 3600);

/// What is kept of the events that a receiver did not take.
///
/// # Limit
/// - for: a receiver
/// - unit: bytes
/// - beyond: an event that is put aside is logged and counted, and not kept
/// - test: `s13_what_is_put_aside_is_bounded`
const MAX_REJECTED_BYTES: u64 = 16 << 20;

/// The first wait before another try.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait before another try.
///
/// # No limit
/// The wait between two tries grows up to this; how long tries go on has bounds of its own.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The result of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The receiver refuses this event.
    Rejected,
    /// The receiver failed on this event.
    Broken,
    /// The receiver did not answer.
    Absent,
}

impl Answer {
    /// The result that an unsuccessful status means.
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

/// The tries of one event.
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

    /// The wait before the next try; `None` if the event has to be put aside.
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
        self.wait = wait.saturating_mul(2).min(LONGEST_WAIT);
        Some(wait)
    }
}

/// Stores an event that is no longer sent, one line of JSON each. Returns false if there was no
/// room.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn put_aside(
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

    /// How often, and for how long, an event is sent to a receiver that always answers in this way.
    fn told(answer: Answer) -> (u32, Duration) {
        let (mut tries, mut now, mut told) = (Tries::begin(START), START, 1);
        while let Some(wait) = tries.again(answer, now) {
            now = now + wait;
            told += 1;
        }
        (told, now.since(START))
    }

    #[test]
    fn s13_an_event_that_is_rejected_is_put_aside_after_so_many_tries() {
        let (tries, lasted) = told(Answer::Rejected);
        assert_eq!(tries, MAX_REJECTIONS_PER_EVENT);
        assert!(lasted < Duration::from_secs(60), "{lasted:?}");
    }

    #[test]
    fn s13_an_event_that_breaks_its_receiver_is_put_aside_after_an_hour() {
        let (_, lasted) = told(Answer::Broken);
        assert!(
            lasted >= BROKEN_RECEIVER_RETRIED && lasted < BROKEN_RECEIVER_RETRIED + LONGEST_WAIT
        );
    }

    #[test]
    fn s13_a_receiver_that_is_down_is_told_for_a_day() {
        let (_, lasted) = told(Answer::Absent);
        assert!(
            lasted >= ABSENT_RECEIVER_RETRIED && lasted < ABSENT_RECEIVER_RETRIED + LONGEST_WAIT
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
    fn s13_what_is_put_aside_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("webhooks/chat.rejected");
        let body = "b".repeat(1 << 20);
        let aside = |id: &str| put_aside(&file, (id, &body), ("HTTP 400", START)).unwrap();
        let kept = (0..20).filter(|id| aside(&id.to_string())).count();
        assert_eq!(kept, 15);
        let written = std::fs::read_to_string(&file).unwrap();
        assert!(written.len() as u64 <= MAX_REJECTED_BYTES);
        let first: serde_json::Value =
            serde_json::from_str(written.lines().next().unwrap()).unwrap();
        assert_eq!(first["id"], "0");
        assert_eq!(first["error"], "HTTP 400");
    }
}
