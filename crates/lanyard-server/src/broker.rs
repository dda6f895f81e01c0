//! The broker's parts, as calls use them; nothing here knows of a transport.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use lanyard_core::condition::{Kind, Reason};
use lanyard_engine::Engine;
use lanyard_journal::Recovery;
use lanyard_ledger::Embedded;
use lanyard_provider_token::Keyring;
use lanyard_vocabulary::identity::Identity;

use crate::backup::Restored;
use crate::charters::CharterBook;
use crate::drill::Drills;
use crate::identity::Doors;
use crate::plans::PlanStore;
use crate::readings::Readings;
use crate::shares::Shares;
use crate::signals::Signals;
use crate::signed_message::Secret;
use crate::spool::Spool;
use crate::status_lists::StatusLists;
use crate::switch::Switch;
use crate::urls::ApprovalUrl;
use crate::watches::Watches;
use crate::witness::WitnessFile;

/// The parts that requests may need.
pub(crate) struct Broker {
    pub(crate) engine: Arc<Engine>,
    pub(crate) ledger: Arc<Embedded>,
    pub(crate) doors: Arc<Doors>,
    pub(crate) charters: Arc<CharterBook>,
    pub(crate) plans: PlanStore,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) status_lists: StatusLists,
    pub(crate) issuer: String,
    pub(crate) approval_url: Option<ApprovalUrl>,
    pub(crate) spool: Spool,
    /// The findings of the journal's opening.
    pub(crate) recovery: Recovery,
    pub(crate) witness: Option<WitnessFile>,
    pub(crate) own_witness: WitnessFile,
    /// The reason why the journal, which has no records, had some before.
    pub(crate) emptied: Option<String>,
    /// A restore after which nothing has been stopped yet.
    pub(crate) restored: Option<Restored>,
    /// The reporters of actions by signed messages, by name.
    pub(crate) reporters: BTreeMap<String, Secret>,
    /// Events that were put aside since the start, because their receivers did not take them.
    pub(crate) given_up: Arc<AtomicUsize>,
    pub(crate) drills: Option<Arc<Drills>>,
    /// Systems that may engage kills.
    pub(crate) signals: Signals,
    pub(crate) watches: Watches,
    /// The bytes of plans that are being submitted, by who submits them.
    pub(crate) plan_bytes: Shares<Identity>,
    pub(crate) readings: Readings,
}

impl Broker {
    /// Raises what the replay cache has lost.
    pub(crate) fn raise_lost_uses(&self) {
        if let Some(damage) = self.doors.memory.damage(self.engine.clock().now()) {
            let file = damage.file.display().to_string();
            let why = format!("{}, until {}", damage.why, damage.until);
            let conditions = self.engine.conditions();
            conditions.raise(Reason::ReplayCacheDamaged { file, why });
        }
    }

    /// Raises or lowers what keeps the replay cache from being written.
    pub(crate) fn tell_of_memory(&self) {
        let trouble = self.doors.memory.trouble().map(|(file, why)| {
            let file = file.display().to_string();
            Reason::ReplayCacheFailed { file, why }
        });
        let conditions = self.engine.conditions();
        conditions.replace(Kind::ReplayCacheFailed, trouble);
    }

    /// Operators have lifted the reasons of this kind: the next start must not find them again.
    pub(crate) fn accepted(&self, kind: Kind, seen: &[String]) {
        if kind == Kind::ChartersDeleted {
            self.charters.believe_deletions(seen);
        }
        if kind == Kind::ReplayCacheDamaged
            && let Err(error) = self.doors.memory.accept_damage()
        {
            tracing::warn!(%error, "the damage of the replay cache is found again at the next start");
        }
    }

    /// The kill switch, for all who may give an order.
    pub(crate) fn switch(&self) -> Switch<'_> {
        Switch {
            engine: &self.engine,
        }
    }
}
