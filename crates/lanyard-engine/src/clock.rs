//! The one place that reads clocks and draws random bits.
//!
//! Two times are told apart. The *system's time* is the wall clock as it stands: what others signed
//! (tokens, proofs, messages) is judged by it. The *ledger's time* is what records carry and what
//! ends by: it follows the wall clock as long as that keeps step with the time since the boot,
//! which nobody can set and which counts what the machine slept; it never goes back, and takes part
//! in no jump (T62).

use std::sync::Arc;
use std::time::Duration;

use lanyard_core::condition::{Jump, Reason};
use lanyard_vocabulary::time::{BootClock, Timestamp};
use parking_lot::Mutex;

/// The distance that the wall clock may be stepped, against the time since the boot, without a
/// word: what time synchronisation does to a clock that it keeps. More is a jump. The same as what
/// verifiers of tokens forgive.
///
/// # Limit
/// - for: the clock of the broker
/// - unit: of time
/// - beyond: issuing stops (`clock-jumped`) until the clock is right again; kills and revocations
///   go on
/// - test: `s03_a_clock_that_jumps_stops_issuing_before_anything_carries_its_time`
pub const MAX_CLOCK_STEP: Duration = Duration::from_secs(5);
/// The share of the time that passes which such steps may make up for, as a divisor: 1 ms in each
/// second. Twice what the kernel slews a clock by; many small steps add up to a jump all the same.
const STEPS_PER_TIME: u64 = 1000;
/// The longest time between the readings of the two clocks. A process that was held up in between
/// would see a jump, so it reads both again.
const READ_SPAN: Duration = Duration::from_millis(20);
/// The number of times that both clocks are read again.
const READS: u32 = 16;

/// The times that the engine works with.
pub trait Clock: Send + Sync {
    /// The time of the ledger.
    fn now(&self) -> Timestamp;

    /// The system's time, with every jump.
    fn system(&self) -> Timestamp {
        self.now()
    }

    /// A time that is certainly past. No jump affects it, not even one before this process began.
    fn surely(&self) -> Timestamp {
        self.now()
    }

    /// The time since some fixed moment, which nobody can set. Waits that a credential may outlive
    /// are measured by it, because the ledger's time moves when a person accepts a jump, or at a
    /// boot.
    fn steady(&self) -> Duration {
        self.now().since(Timestamp::EPOCH)
    }

    /// The times that a kill order's proof may be judged by, because a wrong clock must not take
    /// the kill switch away (S50): the system's time, the ledger's time, and the proof's own issue
    /// time as far as it lies between what is certainly past and the later of the two. While the
    /// system's time is not believed, an issuer's statement that it is later is as good.
    fn times_for_a_kill(&self, issued: Option<Timestamp>) -> [Timestamp; 3] {
        let (system, now, surely) = (self.system(), self.now(), self.surely());
        let is_believed = self.faults().is_empty();
        let first = surely.min(system).min(now);
        let last = if is_believed {
            system.max(now)
        } else {
            Timestamp::NEVER
        };
        let issued = issued.map_or(surely, |issued| issued.clamp(first, last));
        [system, now, issued]
    }

    /// Says why nothing may be issued, as far as the clock knows. Asked before every secret is
    /// handed over, so an implementation must not block.
    fn faults(&self) -> Vec<Reason> {
        Vec::new()
    }

    /// The ledger's time beside the time since the boot, if that is known.
    fn boot(&self) -> Option<BootClock> {
        None
    }

    /// Accepts the system's time on a person's decision. The ledger's time follows it from now on,
    /// also backwards. [`Clock::surely`] does not.
    fn accept(&self) {}
}

/// A source of random bits for ids.
pub trait Randomness: Send + Sync {
    /// Draws 128 bits from a source that nobody can predict.
    ///
    /// # Errors
    /// When the operating system gives none. Nothing is issued then.
    fn draw(&self) -> Result<u128, NoRandomness>;
}

/// The operating system gave no random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bits")]
pub struct NoRandomness;

/// The clocks of a machine, in milliseconds.
pub trait TimeSource: Send + Sync {
    /// Milliseconds since 1970, as the machine was told.
    fn wall(&self) -> u64;

    /// Milliseconds since the boot, including suspended time.
    fn since_boot(&self) -> u64;

    /// The id of the boot; `None` if the system has none.
    fn boot_id(&self) -> Option<String>;
}

/// The clocks of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct MachineTime;

impl TimeSource for MachineTime {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn wall(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        millis(since.unwrap_or(Duration::ZERO))
    }

    fn since_boot(&self) -> u64 {
        let since = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(since.tv_sec).unwrap_or(0);
        let millis = u64::try_from(since.tv_nsec).unwrap_or(0) / 1_000_000;
        seconds.saturating_mul(1000).saturating_add(millis)
    }

    fn boot_id(&self) -> Option<String> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        // A time namespace may count the time since the boot from elsewhere.
        let namespace = std::fs::read_link("/proc/self/ns/time").ok();
        let namespace = namespace.map(|link| link.display().to_string());
        Some(format!("{} {}", boot.trim(), namespace.unwrap_or_default()))
    }
}

/// The ledger's time, computed from the clocks of a machine.
pub struct SystemClock {
    source: Arc<dyn TimeSource>,
    boot: Option<String>,
    held: Mutex<ClockState>,
}

/// All times in milliseconds, as `i128`, so that no two clocks are too far apart to subtract.
#[derive(Debug, Clone, Copy)]
struct ClockState {
    /// The wall clock minus the time since the boot, when the wall clock was last believed.
    trusted: i128,
    /// The ledger's time minus the time since the boot, while the wall clock is not believed.
    ledger: i128,
    /// [`Clock::surely`] minus the time since the boot.
    sure: i128,
    /// The time since the boot at the last reading.
    read: i128,
    /// The steps that may still be followed, in milliseconds times [`STEPS_PER_TIME`].
    spare: i128,
    /// The latest ledger's time that was returned.
    told: i128,
    fault: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// The wall clock differs by this much from the trusted time.
    Jumped(i128),
    /// No time is trusted yet, because the journal's last record is later than the wall clock: the
    /// record's time, and the wall clock's.
    Ahead(i128, i128),
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::over(Arc::new(MachineTime))
    }
}

impl SystemClock {
    /// Believes the wall clock as it stands, until [`SystemClock::resume`].
    #[must_use]
    pub fn over(source: Arc<dyn TimeSource>) -> Self {
        let (wall, boot) = together(source.as_ref());
        let offset = wall - boot;
        Self {
            boot: source.boot_id(),
            source,
            held: Mutex::new(ClockState {
                trusted: offset,
                ledger: offset,
                sure: offset,
                read: boot,
                spare: 0,
                told: wall,
                fault: Fault::None,
            }),
        }
    }

    /// Continues from the previous process: the time of the journal's last record, and the boot
    /// clock that the process recorded. Within one boot, a jump between two processes is noticed
    /// like one within a process.
    pub fn resume(&self, last: Timestamp, before: Option<&BootClock>) {
        let (wall, boot) = together(self.source.as_ref());
        let last = i128::from(last.as_millis());
        let same = before.filter(|before| Some(&before.boot) == self.boot.as_ref());
        let (trusted, sure) = match same {
            Some(before) => (
                i128::from(before.offset_millis),
                i128::from(before.sure_millis),
            ),
            // How long nothing ran is what the wall clock says, and nothing else does.
            None if last == 0 => (wall - boot, wall - boot),
            None => (wall - boot, wall.min(last) - boot),
        };
        let mut held = self.held.lock();
        *held = ClockState {
            trusted,
            ledger: trusted.max(last - boot),
            sure,
            read: boot,
            spare: 0,
            told: last,
            // Within one boot it is known where the wall clock stood. The ledger's time may be
            // ahead of that by the steps that were made up for since, which is no reason to believe
            // a wall clock that was set further.
            fault: if same.is_none() && last - wall > step() {
                Fault::Ahead(last, wall)
            } else {
                Fault::None
            },
        };
        held.see(wall, boot);
    }

    fn see(&self) -> ClockState {
        let mut held = self.held.lock();
        // Read under the lock: an older reading after a newer one would look like time that went
        // back.
        let (wall, boot) = together(self.source.as_ref());
        held.see(wall, boot);
        *held
    }
}

impl ClockState {
    fn see(&mut self, wall: i128, boot: i128) {
        let passed = (boot - self.read).max(0);
        self.read = self.read.max(boot);
        if let Fault::Ahead(..) = self.fault {
            if wall >= boot + self.ledger - step() {
                // Time has caught up with the journal, or the clock was set right.
                self.trusted = wall - boot;
                self.fault = Fault::None;
            }
        } else {
            let apart = wall - boot - self.trusted;
            if apart.abs() > step() {
                self.fault = Fault::Jumped(apart);
            } else {
                self.fault = Fault::None;
                self.follow(apart, passed);
            }
        }
        let now = if self.fault == Fault::None {
            wall
        } else {
            boot + self.ledger
        };
        self.told = self.told.max(now);
        if self.fault == Fault::None {
            self.ledger = self.told - boot;
        }
    }

    /// Follows small steps slowly: the trusted time moves no faster than a kernel slews a clock.
    fn follow(&mut self, apart: i128, passed: i128) {
        let rate = i128::from(STEPS_PER_TIME);
        self.spare = (self.spare + passed).min(step() * rate);
        let most = self.spare / rate;
        let followed = apart.clamp(-most, most);
        self.spare -= followed.abs() * rate;
        self.trusted += followed;
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        timestamp(self.see().told)
    }

    fn system(&self) -> Timestamp {
        Timestamp::from_millis(self.source.wall())
    }

    fn steady(&self) -> Duration {
        Duration::from_millis(self.source.since_boot())
    }

    fn surely(&self) -> Timestamp {
        let held = self.see();
        timestamp((held.read + held.sure).min(held.told))
    }

    fn faults(&self) -> Vec<Reason> {
        let held = self.see();
        match held.fault {
            Fault::None => Vec::new(),
            Fault::Jumped(apart) => vec![Reason::ClockJumped {
                jump: Jump {
                    forward: apart > 0,
                    by: Duration::from_millis(u64::try_from(apart.abs()).unwrap_or(u64::MAX)),
                },
                ledger: timestamp(held.told),
            }],
            Fault::Ahead(last, wall) => vec![Reason::JournalAhead {
                last: timestamp(last),
                system: timestamp(wall),
            }],
        }
    }

    fn boot(&self) -> Option<BootClock> {
        let held = self.see();
        if matches!(held.fault, Fault::Ahead(..)) {
            return None;
        }
        Some(BootClock {
            boot: self.boot.clone()?,
            offset_millis: i64::try_from(held.trusted).ok()?,
            sure_millis: i64::try_from(held.sure).ok()?,
        })
    }

    fn accept(&self) {
        let mut held = self.held.lock();
        let (wall, boot) = together(self.source.as_ref());
        let offset = wall - boot;
        *held = ClockState {
            trusted: offset,
            ledger: offset,
            sure: held.sure.min(offset),
            read: boot,
            spare: 0,
            told: wall,
            fault: Fault::None,
        };
    }
}

/// The wall clock and the time since the boot, read at one moment.
fn together(source: &dyn TimeSource) -> (i128, i128) {
    let mut left = READS;
    loop {
        let before = source.since_boot();
        let wall = source.wall();
        let after = source.since_boot();
        left = left.saturating_sub(1);
        if after.saturating_sub(before) <= millis(READ_SPAN) || left == 0 {
            return (i128::from(wall), i128::from(after));
        }
    }
}

fn step() -> i128 {
    i128::from(millis(MAX_CLOCK_STEP))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn timestamp(millis: i128) -> Timestamp {
    Timestamp::from_millis(u64::try_from(millis.max(0)).unwrap_or(u64::MAX))
}

/// The operating system's random bits, through ring.
#[derive(Debug)]
pub struct SystemRandomness(ring::rand::SystemRandom);

impl Default for SystemRandomness {
    fn default() -> Self {
        Self(ring::rand::SystemRandom::new())
    }
}

impl Randomness for SystemRandomness {
    fn draw(&self) -> Result<u128, NoRandomness> {
        let mut bytes = [0; 16];
        ring::rand::SecureRandom::fill(&self.0, &mut bytes).map_err(|_| NoRandomness)?;
        Ok(u128::from_be_bytes(bytes))
    }
}
