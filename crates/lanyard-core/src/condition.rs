//! The three conditions of a broker, and the reasons that keep it from issuing. Status, readiness
//! endpoints, metrics and log share this vocabulary.
//!
//! A new reason is a variant of [`Reason`], a [`Kind`], and a row of docs/conditions.md. The
//! component that raises a reason also decides when it ends; this module reads no clock and no
//! file.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use lanyard_vocabulary::id::KillId;
use lanyard_vocabulary::person::Person;
use lanyard_vocabulary::time::Timestamp;

/// The abilities of a broker, from the most to the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// The broker issues and revokes credentials and takes kill orders.
    Issuing,
    /// The broker issues nothing. It goes on revoking, and takes kill orders.
    RevokeOnly,
    /// The process is ending and begins nothing new. It takes kill orders until its listeners
    /// close.
    Stopped,
}

impl Condition {
    /// All conditions, from the most to the least that a broker can do.
    pub const ALL: [Self; 3] = [Self::Issuing, Self::RevokeOnly, Self::Stopped];

    /// The name in status, label values and messages of the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issuing => "issuing",
            Self::RevokeOnly => "revoke-only",
            Self::Stopped => "stopped",
        }
    }

    /// The condition that these reasons together cause.
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

/// The distance that the wall clock was set, measured against a clock that nobody can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Jump {
    /// True if the clock was set to a later time.
    pub forward: bool,
    /// The time by which the clock was set.
    pub by: Duration,
}

impl fmt::Display for Jump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.forward { "forward" } else { "back" };
        write!(f, "{direction} by {} s", self.by.as_secs())
    }
}

/// The reason why the broker issues nothing. The text is for operators and may name files;
/// everybody else is told the [`Kind`] alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Reason {
    /// The process was told to end.
    #[error("the daemon was told to end")]
    Ending,
    /// The wall clock was set, measured against the time since the machine booted.
    #[error(
        "the system clock was set {jump}; records carry {ledger}, counted on by the time since the boot from before the jump"
    )]
    ClockJumped {
        /// The distance from the broker's own time.
        jump: Jump,
        /// The broker's own time when it noticed.
        ledger: Timestamp,
    },
    /// The journal's last record is in the future of the system clock.
    #[error("the last record of the journal is of {last}, and the system clock says {system}")]
    JournalAhead {
        /// The time of that record.
        last: Timestamp,
        /// The system clock when the broker noticed.
        system: Timestamp,
    },
    /// A record of the journal cannot be read, and records follow it.
    #[error("the journal is damaged at byte {byte} of `{file}`: {why}")]
    JournalDamaged {
        /// The segment or snapshot.
        file: String,
        /// The offset in the file, in bytes.
        byte: u64,
        /// The check that failed there.
        why: String,
    },
    /// Writing the journal failed, so the journal takes no more records.
    #[error("the journal failed and takes nothing more: {why}")]
    JournalFailed {
        /// The operating system's error.
        why: String,
    },
    /// The disk is full, or a quota is used up.
    #[error("the disk of {what} is full")]
    DiskFull {
        /// The file that could not be written.
        what: String,
    },
    /// The disk has space, but reserving blocks for kill orders on a full disk failed.
    #[error("no blocks can be set aside for kills and revocations on a full disk: {why}")]
    ReserveFailed {
        /// The operating system's error.
        why: String,
    },
    /// The disk has not answered for so long that the broker stopped waiting.
    #[error("the disk of {what} does not answer")]
    DiskStalled {
        /// The file that could not be written.
        what: String,
    },
    /// A kill order in the spool cannot be read, so it may cover anything.
    #[error("the kill order in `{file}` cannot be read: {why}")]
    SpoolUnreadable {
        /// The file of the order.
        file: String,
        /// The reason why the file cannot be read.
        why: String,
    },
    /// The kill plane is not served, so nobody could stop what would be issued.
    #[error("the kill plane at {address} is not served: {why}")]
    KillPlaneDown {
        /// The address that the kill plane should listen on.
        address: String,
        /// The reason why nothing listens there.
        why: String,
    },
    /// The main address is not served, so callers reach the kill plane alone.
    #[error("the address {address} of `listen` is not served: {why}")]
    ListenerDown {
        /// The address that the broker should listen on.
        address: String,
        /// The reason why nothing listens there.
        why: String,
    },
    /// A kill order is in effect in this process and would not survive a restart.
    #[error("kill order {order} is in effect in this process and not in the journal")]
    OrderNotDurable {
        /// The order that is not durable.
        order: KillId,
    },
    /// The checkpoint file cannot be read, so a rollback of the journal might go unnoticed.
    #[error("the witness file `{file}` cannot be read: {why}")]
    WitnessUnreadable {
        /// The path of the checkpoint file.
        file: String,
        /// The reason why the file cannot be read.
        why: String,
    },
    /// A checkpoint saw records that the journal has lost, and the kill order that stops everything
    /// could not be recorded.
    #[error("the journal has lost records: {why}")]
    Restored {
        /// The checkpoint, and what it saw.
        why: String,
    },
    /// The thread that keeps the history and writes snapshots ended unexpectedly.
    #[error("the thread `{thread}` has ended by itself: {why}")]
    ThreadEnded {
        /// The name of the thread.
        thread: String,
        /// The thread's panic message.
        why: String,
    },
    /// A component of the broker cannot be used, with unknown consequences.
    #[error("{what} cannot be used: {why}")]
    PartUnusable {
        /// The name of the component.
        what: String,
        /// The reason why it cannot be used, with the file.
        why: String,
    },
    /// The replay cache cannot be written, so the broker accepts no token that is good for one use.
    #[error("the replay cache `{file}` cannot be written: {why}")]
    ReplayCacheFailed {
        /// The file of the replay cache.
        file: String,
        /// The operating system's error.
        why: String,
    },
    /// The replay cache lost entries, so a used token could be accepted again.
    #[error("the replay cache `{file}` is damaged: {why}")]
    ReplayCacheDamaged {
        /// The file of the replay cache.
        file: String,
        /// The check that failed in the file.
        why: String,
    },
    /// Charters that are Kubernetes objects cannot be read. Everything else goes on.
    #[error("charter objects of namespace `{namespace}` are not read: {why}")]
    ChartersUnread {
        /// The namespace of those charters.
        namespace: String,
        /// The API server's answer, and its consequence.
        why: String,
    },
    /// Most charter objects disappeared at once. They stay in force until an operator confirms the
    /// deletion.
    #[error(
        "most charter objects of namespace `{namespace}` are gone at once, and stay in force: {charters}"
    )]
    ChartersDeleted {
        /// The namespace of those charters.
        namespace: String,
        /// The names of the charters.
        charters: String,
    },
    /// Retention cannot remove a segment of the journal that is due. Everything else goes on, and
    /// the journal grows.
    #[error("segments of the journal that are due for removal stay: {why}")]
    RetentionHeld {
        /// The answer of the archive, or the delivery that needs the segment.
        why: String,
    },
}

/// A [`Reason`] without its details, for label values and strangers, and for operators who accept
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The kind of [`Reason::Ending`].
    Ending,
    /// The kind of [`Reason::ClockJumped`].
    ClockJumped,
    /// The kind of [`Reason::JournalAhead`].
    JournalAhead,
    /// The kind of [`Reason::JournalDamaged`].
    JournalDamaged,
    /// The kind of [`Reason::JournalFailed`].
    JournalFailed,
    /// The kind of [`Reason::DiskFull`].
    DiskFull,
    /// The kind of [`Reason::ReserveFailed`].
    ReserveFailed,
    /// The kind of [`Reason::DiskStalled`].
    DiskStalled,
    /// The kind of [`Reason::SpoolUnreadable`].
    SpoolUnreadable,
    /// The kind of [`Reason::KillPlaneDown`].
    KillPlaneDown,
    /// The kind of [`Reason::ListenerDown`].
    ListenerDown,
    /// The kind of [`Reason::OrderNotDurable`].
    OrderNotDurable,
    /// The kind of [`Reason::WitnessUnreadable`].
    WitnessUnreadable,
    /// The kind of [`Reason::Restored`].
    Restored,
    /// The kind of [`Reason::ThreadEnded`].
    ThreadEnded,
    /// The kind of [`Reason::PartUnusable`].
    PartUnusable,
    /// The kind of [`Reason::ReplayCacheFailed`].
    ReplayCacheFailed,
    /// The kind of [`Reason::ReplayCacheDamaged`].
    ReplayCacheDamaged,
    /// The kind of [`Reason::ChartersUnread`].
    ChartersUnread,
    /// The kind of [`Reason::ChartersDeleted`].
    ChartersDeleted,
    /// The kind of [`Reason::RetentionHeld`].
    RetentionHeld,
}

/// The decision of operators that the broker issues in spite of a reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptance {
    /// The kind of the accepted reasons.
    pub kind: Kind,
    /// The reasons in full, as they stood at the first operator's decision.
    pub of: Vec<String>,
    /// The operator who decided first.
    pub by: Person,
    /// The reason that the operator gave.
    pub reason: String,
    /// The second operator and that operator's reason, if two people have to decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<(Person, String)>,
}

/// The number of people who have to decide that the broker issues in spite of a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum People {
    /// An operator, who confirms an observation.
    One,
    /// Two operators, because a protection is given up.
    Two,
}

impl Kind {
    /// All kinds, in the order of docs/conditions.md.
    pub const ALL: [Self; 21] = [
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
        Self::RetentionHeld,
    ];

    /// The name in status, label values, the API and `lanyard condition accept`.
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
            Self::RetentionHeld => "retention-held",
        }
    }

    /// The condition that this kind causes.
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
            Self::ChartersUnread | Self::ChartersDeleted | Self::RetentionHeld => {
                Condition::Issuing
            }
        }
    }

    /// Returns the number of people who may lift it with `lanyard condition accept`; `None` if only
    /// the end of the cause lifts it.
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
            | Self::ChartersUnread
            | Self::RetentionHeld => None,
        }
    }

    /// Says in one sentence what an operator does about it.
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
            Self::RetentionHeld => {
                "mend the archive or the receiver that the reason names (docs/how-to/bound-the-journal.md): removal goes on by itself"
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The given name is not the name of a kind.
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
            Self::RetentionHeld { .. } => Kind::RetentionHeld,
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
