//! The traffic of one connection, and whether the connection may go on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Limits, MAX_HEAD_BYTES, MAX_UNREAD_BYTES_PER_STREAM};

/// The most bytes that a peer may send that no request asked for: twice what all its windows hold.
///
/// # Limit
/// - for: a connection; 8 KiB a second come back
/// - unit: bytes
/// - beyond: the connection is closed
/// - test: `t43_what_no_request_asked_for_is_taken_only_so_long`
const MAX_UNASKED_BYTES: usize = 512 * 1024;
/// The rate at which that quota grows again, in bytes a second: window updates and answers to pings
/// take some hundred.
const RATE: usize = 8 * 1024;
/// The most bytes that an unread request may take: its head, and what is sent of a body before the
/// refusal arrives.
const REQUEST: usize = (MAX_HEAD_BYTES + MAX_UNREAD_BYTES_PER_STREAM) as usize;
/// The bytes that a frame of a body may take besides its content.
const FRAME: usize = 64;

/// The traffic of one connection.
pub(super) struct Traffic(Mutex<Counts>);

struct Counts {
    begun: Instant,
    /// The number of requests ever.
    requests: u64,
    open: usize,
    /// The time since when no request is open.
    quiet: Instant,
    /// The requests whose peer does not take what is there, with the time since when.
    waiting: BTreeMap<u64, Instant>,
    /// The remaining quota of bytes that no request asked for, and the time at which it was
    /// counted.
    spare: (usize, Instant),
}

/// True if a connection may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    GoOn,
    /// The connection is told to end, and has this long for requests under way.
    End(&'static str, Duration),
    Cut(&'static str),
}

impl Traffic {
    pub(super) fn begun(now: Instant) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Counts {
            begun: now,
            requests: 0,
            open: 0,
            quiet: now,
            waiting: BTreeMap::new(),
            spare: (MAX_UNASKED_BYTES, now),
        })))
    }

    /// Notes a new request.
    pub(super) fn opened(self: &Arc<Self>) -> Exchange {
        let mut counts = self.0.lock();
        counts.requests += 1;
        counts.open += 1;
        counts.spare.0 = counts
            .spare
            .0
            .saturating_add(REQUEST)
            .min(MAX_UNASKED_BYTES);
        Exchange {
            number: counts.requests,
            traffic: Arc::clone(self),
        }
    }

    /// Notes that a frame of a body was wanted.
    pub(super) fn asked_for(&self, bytes: usize) {
        let mut counts = self.0.lock();
        let spare = counts.spare.0.saturating_add(bytes).saturating_add(FRAME);
        counts.spare.0 = spare.min(MAX_UNASKED_BYTES);
    }

    /// Notes received bytes; returns false if the peer may not send them.
    pub(super) fn received(&self, bytes: usize, now: Instant) -> bool {
        let mut counts = self.0.lock();
        let (spare, since) = counts.spare;
        let back = now.duration_since(since).as_secs_f64() * RATE as f64;
        let spare = spare.saturating_add(back as usize).min(MAX_UNASKED_BYTES);
        let left = spare.checked_sub(bytes);
        // A part of a byte that is lost at each turn is of no account: there is one turn for each
        // packet.
        counts.spare = (left.unwrap_or(0), now);
        left.is_some()
    }

    pub(super) fn verdict(&self, now: Instant, limits: &Limits, old: Instant) -> Verdict {
        let counts = self.0.lock();
        let longest = counts.waiting.values().min();
        if longest.is_some_and(|since| now.duration_since(*since) > limits.stalled) {
            return Verdict::Cut("an answer was not taken");
        }
        if counts.requests == 0 && now.duration_since(counts.begun) > limits.first {
            return Verdict::End("no request came", limits.closing);
        }
        if counts.open == 0 && now.duration_since(counts.quiet) > limits.idle {
            return Verdict::End("it was idle", limits.closing);
        }
        if now > old {
            return Verdict::End("it is old", limits.finishing);
        }
        Verdict::GoOn
    }
}

/// A request and its answer, until both are complete.
pub(super) struct Exchange {
    traffic: Arc<Traffic>,
    number: u64,
}

impl Exchange {
    /// Notes that data waits for the peer.
    pub(super) fn waits_for_peer(&self) {
        let mut counts = self.traffic.0.lock();
        counts.waiting.insert(self.number, Instant::now());
    }

    /// Notes that the peer has taken everything.
    pub(super) fn waits_for_us(&self) {
        self.traffic.0.lock().waiting.remove(&self.number);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let mut counts = self.traffic.0.lock();
        counts.waiting.remove(&self.number);
        counts.open = counts.open.saturating_sub(1);
        if counts.open == 0 {
            counts.quiet = Instant::now();
        }
    }
}
