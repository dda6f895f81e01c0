//! The three conditions of a broker, and the reasons that keep it from issuing: one vocabulary for the status, the
//! readiness endpoints, the metrics and the log.
//!
//! A new reason is a variant of [`Reason`], a [`Kind`], and a row of docs/conditions.md. Where a reason is found, and who
//! lifts it, stands with whoever raises it; nothing here looks at a clock or a file.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::KillId;
use crate::person::Person;
use crate::time::Timestamp;

/// Ordered from the most that a broker can do to the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Credentials are issued and revoked, and kills are taken.
    Issuing,
    /// Nothing is issued. Revocations go on, and kills are taken.
    RevokeOnly,
    /// The process ends: nothing new is begun. Kills are taken until the listeners are closed.
    Stopped,
}

impl Condition {
    /// Every condition.
    pub const ALL: [Self; 3] = [Self::Issuing, Self::RevokeOnly, Self::Stopped];

    /// The name in the status, in label values and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issuing => "issuing",
            Self::RevokeOnly => "revoke-only",
            Self::Stopped => "stopped",
        }
    }

    /// What follows from these reasons together.
    #[must_use]
    pub fn of(reasons: &[Reason]) -> Self {
        let worst = reasons.iter().map(|reason| reason.kind().condition()).max();
        worst.unwrap_or(Self::Issuing)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How far, and in which direction, a clock was set against another one that cannot be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Jump {
    /// To a later time.
    pub forward: bool,
    /// How far.
    pub by: Duration,
}

impl fmt::Display for Jump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.forward { "forward" } else { "back" };
        write!(f, "{direction} by {} s", self.by.as_secs())
    }
}

/// Why nothing is issued. The text is for operators: it may name files. Whoever is not known to be one is told the
/// [`Kind`] alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Reason {
    /// The process was told to end.
    #[error("the daemon was told to end")]
    Ending,
    /// The wall clock was set, against the time since the boot.
    #[error(
        "the system clock was set {jump}; records carry {ledger}, counted on by the time since the boot from before the jump"
    )]
    ClockJumped {
        /// How far from the broker's own time.
        jump: Jump,
        /// The broker's own time when the jump was seen.
        ledger: Timestamp,
    },
    /// The last record of the journal lies in the future of the system clock.
    #[error("the last record of the journal is of {last}, and the system clock says {system}")]
    JournalAhead {
        /// The time of that record.
        last: Timestamp,
        /// The system clock when this was seen.
        system: Timestamp,
    },
    /// The journal has a place that cannot be read, and records behind it.
    #[error("the journal is damaged at byte {byte} of `{file}`: {why}")]
    JournalDamaged {
        /// The segment or snapshot.
        file: String,
        /// Where in it.
        byte: u64,
        /// What does not hold there.
        why: String,
    },
    /// The journal could not be written, and takes nothing more.
    #[error("the journal failed and takes nothing more: {why}")]
    JournalFailed {
        /// The error of the system.
        why: String,
    },
    /// The disk is full, or a quota on it is.
    #[error("the disk of {what} is full")]
    DiskFull {
        /// What could not be written.
        what: String,
    },
    /// Blocks cannot be set aside for what stops things on a full disk, and not for want of space.
    #[error("no blocks can be set aside for kills and revocations on a full disk: {why}")]
    ReserveFailed {
        /// The error of the system.
        why: String,
    },
    /// The disk has not answered for so long that nobody waits for it.
    #[error("the disk of {what} does not answer")]
    DiskStalled {
        /// What could not be written.
        what: String,
    },
    /// A kill order in the spool cannot be read: any scope may be meant.
    #[error("the kill order in `{file}` cannot be read: {why}")]
    SpoolUnreadable {
        /// Which file.
        file: String,
        /// Why not.
        why: String,
    },
    /// Nobody reaches the kill plane: what is issued could not be stopped by it.
    #[error("the kill plane at {address} is not served: {why}")]
    KillPlaneDown {
        /// Where it should be.
        address: String,
        /// Why it is not.
        why: String,
    },
    /// The main address is not served: no caller can ask for a credential, or for anything else but on the kill plane.
    #[error("the address {address} of `listen` is not served: {why}")]
    ListenerDown {
        /// Where the broker should be.
        address: String,
        /// Why nobody is served there.
        why: String,
    },
    /// A kill order is in effect in this process and may not outlive it.
    #[error("kill order {order} is in effect in this process and not in the journal")]
    OrderNotDurable {
        /// Which order.
        order: KillId,
    },
    /// The witness file cannot be read: it may have seen more of the journal than there is.
    #[error("the witness file `{file}` cannot be read: {why}")]
    WitnessUnreadable {
        /// Which file.
        file: String,
        /// Why not.
        why: String,
    },
    /// The journal lost records that others remember, and everything could not be stopped by an order.
    #[error("the journal has lost records: {why}")]
    Restored {
        /// Who remembers what.
        why: String,
    },
    /// The thread that keeps the history and writes snapshots has ended by itself.
    #[error("the thread `{thread}` has ended by itself: {why}")]
    ThreadEnded {
        /// Its name.
        thread: String,
        /// Its last words.
        why: String,
    },
    /// A part of the broker cannot be used, and nobody knows what follows from that.
    #[error("{what} cannot be used: {why}")]
    PartUnusable {
        /// Which part.
        what: String,
        /// Why not, with the file.
        why: String,
    },
    /// What is used now cannot be written down: no token is accepted that could be used twice.
    #[error("the replay cache `{file}` cannot be written: {why}")]
    ReplayCacheFailed {
        /// Which file.
        file: String,
        /// The error of the system.
        why: String,
    },
    /// Tokens that were used before are not all known: one of them could be used again.
    #[error("the replay cache `{file}` is damaged: {why}")]
    ReplayCacheDamaged {
        /// Which file.
        file: String,
        /// What does not hold in it.
        why: String,
    },
    /// Charters that are Kubernetes objects are not read. Everything else goes on.
    #[error("charter objects of namespace `{namespace}` are not read: {why}")]
    ChartersUnread {
        /// Of which namespace.
        namespace: String,
        /// What the API server says, and what follows.
        why: String,
    },
    /// So many charter objects are gone at once that they stay in force until an operator says that they are meant to be gone.
    #[error(
        "most charter objects of namespace `{namespace}` are gone at once, and stay in force: {charters}"
    )]
    ChartersDeleted {
        /// Of which namespace.
        namespace: String,
        /// Their names.
        charters: String,
    },
}

/// A [`Reason`] without its details: what label values and strangers see, and what an operator names to accept it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// [`Reason::Ending`].
    Ending,
    /// [`Reason::ClockJumped`].
    ClockJumped,
    /// [`Reason::JournalAhead`].
    JournalAhead,
    /// [`Reason::JournalDamaged`].
    JournalDamaged,
    /// [`Reason::JournalFailed`].
    JournalFailed,
    /// [`Reason::DiskFull`].
    DiskFull,
    /// [`Reason::ReserveFailed`].
    ReserveFailed,
    /// [`Reason::DiskStalled`].
    DiskStalled,
    /// [`Reason::SpoolUnreadable`].
    SpoolUnreadable,
    /// [`Reason::KillPlaneDown`].
    KillPlaneDown,
    /// [`Reason::ListenerDown`].
    ListenerDown,
    /// [`Reason::OrderNotDurable`].
    OrderNotDurable,
    /// [`Reason::WitnessUnreadable`].
    WitnessUnreadable,
    /// [`Reason::Restored`].
    Restored,
    /// [`Reason::ThreadEnded`].
    ThreadEnded,
    /// [`Reason::PartUnusable`].
    PartUnusable,
    /// [`Reason::ReplayCacheFailed`].
    ReplayCacheFailed,
    /// [`Reason::ReplayCacheDamaged`].
    ReplayCacheDamaged,
    /// [`Reason::ChartersUnread`].
    ChartersUnread,
    /// [`Reason::ChartersDeleted`].
    ChartersDeleted,
}

/// Operators say that the broker shall issue in spite of a reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptance {
    /// Of which kind the reasons are.
    pub kind: Kind,
    /// The reasons in full, as they stood when the first of them said so.
    pub of: Vec<String>,
    /// Who said so first.
    pub by: Person,
    /// Why.
    pub reason: String,
    /// Who else, and why, where it takes two people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<(Person, String)>,
}

/// How many people it takes to go on in spite of a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum People {
    /// One operator says that what was seen is right.
    One,
    /// A safety is given up: a second operator has to say the same.
    Two,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 20] = [
        Self::Ending,
        Self::ClockJumped,
        Self::JournalAhead,
        Self::JournalDamaged,
        Self::JournalFailed,
        Self::DiskFull,
        Self::ReserveFailed,
        Self::DiskStalled,
        Self::SpoolUnreadable,
        Self::KillPlaneDown,
        Self::ListenerDown,
        Self::OrderNotDurable,
        Self::WitnessUnreadable,
        Self::Restored,
        Self::ThreadEnded,
        Self::PartUnusable,
        Self::ReplayCacheFailed,
        Self::ReplayCacheDamaged,
        Self::ChartersUnread,
        Self::ChartersDeleted,
    ];

    /// The name in the status, in label values, on the wire and in `lanyard condition accept`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ending => "ending",
            Self::ClockJumped => "clock-jumped",
            Self::JournalAhead => "journal-ahead",
            Self::JournalDamaged => "journal-damaged",
            Self::JournalFailed => "journal-failed",
            Self::DiskFull => "disk-full",
            Self::ReserveFailed => "reserve-failed",
            Self::DiskStalled => "disk-stalled",
            Self::SpoolUnreadable => "spool-unreadable",
            Self::KillPlaneDown => "kill-plane-down",
            Self::ListenerDown => "listener-down",
            Self::OrderNotDurable => "order-not-durable",
            Self::WitnessUnreadable => "witness-unreadable",
            Self::Restored => "restored",
            Self::ThreadEnded => "thread-ended",
            Self::PartUnusable => "part-unusable",
            Self::ReplayCacheFailed => "replay-cache-failed",
            Self::ReplayCacheDamaged => "replay-cache-damaged",
            Self::ChartersUnread => "charters-unread",
            Self::ChartersDeleted => "charters-deleted",
        }
    }

    /// The condition of a broker that has no graver reason.
    #[must_use]
    pub const fn condition(self) -> Condition {
        match self {
            Self::Ending => Condition::Stopped,
            Self::ClockJumped
            | Self::JournalAhead
            | Self::JournalDamaged
            | Self::JournalFailed
            | Self::DiskFull
            | Self::ReserveFailed
            | Self::DiskStalled
            | Self::SpoolUnreadable
            | Self::KillPlaneDown
            | Self::ListenerDown
            | Self::OrderNotDurable
            | Self::WitnessUnreadable
            | Self::Restored
            | Self::ThreadEnded
            | Self::PartUnusable
            | Self::ReplayCacheFailed
            | Self::ReplayCacheDamaged => Condition::RevokeOnly,
            // Told to operators; what the charters in force allow is issued.
            Self::ChartersUnread | Self::ChartersDeleted => Condition::Issuing,
        }
    }

    /// How many people may lift it by `lanyard condition accept`; none, where only its cause lifts it.
    #[must_use]
    pub const fn accepted_by(self) -> Option<People> {
        match self {
            Self::ClockJumped | Self::JournalAhead | Self::ChartersDeleted => Some(People::One),
            Self::WitnessUnreadable | Self::Restored | Self::ReplayCacheDamaged => {
                Some(People::Two)
            }
            Self::Ending
            | Self::JournalDamaged
            | Self::JournalFailed
            | Self::DiskFull
            | Self::ReserveFailed
            | Self::DiskStalled
            | Self::SpoolUnreadable
            | Self::KillPlaneDown
            | Self::ListenerDown
            | Self::OrderNotDurable
            | Self::ThreadEnded
            | Self::PartUnusable
            | Self::ReplayCacheFailed
            | Self::ChartersUnread => None,
        }
    }

    /// What an operator does about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Ending => "start the daemon again",
            Self::ClockJumped => {
                "set the system clock right: issuing goes on by itself; or, if the system clock is right now, say so: lanyard condition accept clock-jumped"
            }
            Self::JournalAhead => {
                "set the system clock right: issuing goes on by itself; or, if the system clock is right and was ahead before, say so: lanyard condition accept journal-ahead"
            }
            Self::JournalDamaged => {
                "restore the data directory from a backup (docs/runbook/after-a-restore.md), and restart the daemon"
            }
            Self::JournalFailed => "mend the disk, and restart the daemon",
            Self::ReserveFailed => {
                "mend the file `journal/reserve`, or remove it: issuing goes on by itself"
            }
            Self::DiskStalled => {
                "find out why that disk does not answer: issuing goes on by itself when it does"
            }
            Self::DiskFull => "free space on that disk: issuing goes on by itself",
            Self::SpoolUnreadable => {
                "mend the file, or engage its order again and remove the file: issuing goes on by itself"
            }
            Self::KillPlaneDown => {
                "free the address, put the files of `tls` there, or configure another `kill_listen`: issuing goes on by itself once it is served"
            }
            Self::ListenerDown => {
                "free the address, put the files of `tls` there, or configure another `listen`: issuing goes on by itself once it is served"
            }
            Self::OrderNotDurable => {
                "mend what keeps the journal from taking it, and restart the daemon; engage the order again if it is not in `lanyard kill list` then"
            }
            Self::WitnessUnreadable => {
                "mend the file and restart the daemon; or give it up: lanyard condition accept witness-unreadable, two people"
            }
            Self::Restored => {
                "look at docs/runbook/after-a-restore.md; then lanyard condition accept restored, two people"
            }
            Self::ThreadEnded => "restart the daemon; its log says what the thread died of",
            Self::PartUnusable => {
                "mend or remove the file that the reason names, and restart the daemon"
            }
            Self::ReplayCacheFailed => {
                "mend what keeps that file from being written: issuing goes on by itself"
            }
            Self::ReplayCacheDamaged => {
                "wait until no token of before can be accepted; or give it up: lanyard condition accept replay-cache-damaged, two people"
            }
            Self::ChartersUnread => {
                "mend the API server, the CustomResourceDefinition, or the broker's rights there: they are read again by themselves"
            }
            Self::ChartersDeleted => {
                "make the objects again; or, if they are meant to be gone, say so: lanyard condition accept charters-deleted"
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// There is no such reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no reason: `lanyard condition list` names those there are")]
pub struct UnknownKind(String);

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| UnknownKind(text.chars().take(64).collect()))
    }
}

impl Reason {
    /// The reason without its details.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Ending => Kind::Ending,
            Self::ClockJumped { .. } => Kind::ClockJumped,
            Self::JournalAhead { .. } => Kind::JournalAhead,
            Self::JournalDamaged { .. } => Kind::JournalDamaged,
            Self::JournalFailed { .. } => Kind::JournalFailed,
            Self::DiskFull { .. } => Kind::DiskFull,
            Self::ReserveFailed { .. } => Kind::ReserveFailed,
            Self::DiskStalled { .. } => Kind::DiskStalled,
            Self::SpoolUnreadable { .. } => Kind::SpoolUnreadable,
            Self::KillPlaneDown { .. } => Kind::KillPlaneDown,
            Self::ListenerDown { .. } => Kind::ListenerDown,
            Self::OrderNotDurable { .. } => Kind::OrderNotDurable,
            Self::WitnessUnreadable { .. } => Kind::WitnessUnreadable,
            Self::Restored { .. } => Kind::Restored,
            Self::ThreadEnded { .. } => Kind::ThreadEnded,
            Self::PartUnusable { .. } => Kind::PartUnusable,
            Self::ReplayCacheFailed { .. } => Kind::ReplayCacheFailed,
            Self::ReplayCacheDamaged { .. } => Kind::ReplayCacheDamaged,
            Self::ChartersUnread { .. } => Kind::ChartersUnread,
            Self::ChartersDeleted { .. } => Kind::ChartersDeleted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name_and_has_a_remedy() {
        for kind in Kind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert!(!kind.remedy().is_empty());
            assert_eq!(
                kind.accepted_by().is_some(),
                kind.remedy()
                    .contains(&format!("condition accept {}", kind.as_str())),
                "{kind}"
            );
            assert_eq!(
                kind.accepted_by() == Some(People::Two),
                kind.remedy().contains("two people"),
                "{kind}"
            );
        }
        let unknown = "clock".parse::<Kind>().unwrap_err().to_string();
        assert!(unknown.starts_with("`clock` is no reason"), "{unknown}");
    }

    #[test]
    fn every_kind_has_a_row_in_the_documentation() {
        let page = include_str!("../../../docs/conditions.md");
        for kind in Kind::ALL {
            assert!(page.contains(&format!("| `{kind}` |")), "{kind}");
        }
    }

    #[test]
    fn the_gravest_reason_decides() {
        let full = Reason::DiskFull {
            what: "the journal".to_owned(),
        };
        assert_eq!(Condition::of(&[]), Condition::Issuing);
        assert_eq!(
            Condition::of(std::slice::from_ref(&full)),
            Condition::RevokeOnly
        );
        assert_eq!(Condition::of(&[full, Reason::Ending]), Condition::Stopped);
    }
}
