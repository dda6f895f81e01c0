//! Systems that may give kill orders and do nothing else: a monitoring system's alerts, an identity
//! provider's events.

pub(crate) mod alertmanager;
pub(crate) mod caep;
mod scopes;

use std::collections::BTreeMap;
use std::path::Path;

use lanyard_core::kill::{Actor, Lifted};
use lanyard_document::Section;
use lanyard_document::shape::{List, Map, optional};
use lanyard_engine::kill::Fenced;
use lanyard_identity::security_event::Transmitter;
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;

use self::alertmanager::{AlertConfig, Alerts};
use self::caep::TransmitterConfig;
use crate::refused::Refused;
use crate::switch::{Asked, Switch};
use crate::unusable::Unusable;

/// The configuration of signals.
#[derive(Debug)]
pub(crate) struct SignalConfig {
    alertmanager: Option<AlertConfig>,
    transmitters: Vec<TransmitterConfig>,
}

/// Adds the systems that may give kill orders to the description of the configuration.
pub(crate) fn describe(map: Map) -> Map {
    map.with(
        optional(
            "alertmanager",
            "The alerts that engage kills.",
            alertmanager::shape(),
        )
        .absent("no alert does"),
    )
    .with(
        optional(
            "caep_transmitters",
            "The identity providers whose security events engage kills.",
            List::of(caep::shape()),
        )
        .absent("none"),
    )
}

pub(crate) fn config(top: &Section<'_>, base: &Path) -> SignalConfig {
    let alertmanager = top.get("alertmanager");
    let transmitters = top.get("caep_transmitters");
    SignalConfig {
        alertmanager: alertmanager.and_then(|item| alertmanager::config(item, base)),
        transmitters: transmitters
            .map(|item| caep::config(item, base))
            .unwrap_or_default(),
    }
}

impl SignalConfig {
    pub(crate) fn open(&self, unusable: &mut Unusable) -> Signals {
        let alerts = self.alertmanager.as_ref().map(AlertConfig::open);
        let alerts = alerts.and_then(|opened| unusable.note("the door of Alertmanager", opened));
        let mut transmitters = Vec::new();
        for transmitter in &self.transmitters {
            let what = format!("transmitter `{}`", transmitter.name);
            transmitters.extend(unusable.note(&what, transmitter.open()));
        }
        Signals {
            alerts,
            transmitters,
            heard: Mutex::default(),
        }
    }
}

/// The systems that may give kill orders.
#[derive(Debug)]
pub(crate) struct Signals {
    alerts: Option<Alerts>,
    transmitters: Vec<Transmitter>,
    heard: Mutex<BTreeMap<(String, Heard), u64>>,
}

/// The result of a security event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Heard {
    SessionRevoked,
    Verification,
    Unused,
    Refused,
}

impl Heard {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::SessionRevoked => "session_revoked",
            Self::Verification => "verification",
            Self::Unused => "unused",
            Self::Refused => "refused",
        }
    }
}

impl Signals {
    fn counted(&self, transmitter: &str, heard: Heard) {
        let mut counts = self.heard.lock();
        *counts.entry((transmitter.to_owned(), heard)).or_default() += 1;
    }

    /// Returns the numbers of security events since the start, by transmitter and result.
    pub(crate) fn heard(&self) -> Vec<(String, Heard, u64)> {
        let counts = self.heard.lock();
        let each = counts
            .iter()
            .map(|((of, heard), count)| (of.clone(), *heard, *count));
        each.collect()
    }
}

/// The kill order that a signal asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Signal {
    scope: Scope,
    roles: RoleFilter,
    reason: String,
    by: Actor,
    /// The sender's key. The same signal is the same order.
    key: String,
    /// The time since when the cause holds. People who lifted the order later knew of it.
    since: Timestamp,
}

/// Gives the kill order of a signal, unless an earlier order of it stands, or people have lifted
/// one since.
async fn heed(switch: Switch<'_>, signal: Signal) -> Result<Fenced, Refused> {
    let given = switch.engine.context().query(|state| {
        let last = state.kills().numbered(&signal.key).last().cloned();
        (last, state.kills().next_key(&signal.key))
    });
    let key = match given.await {
        Ok((last, next)) => {
            let answered = last.filter(|engaged| {
                let knew = |at: Timestamp| signal.since <= at;
                engaged.lifted == Lifted::Nothing || engaged.lifted_at.is_some_and(knew)
            });
            match answered {
                Some(engaged) => engaged.order.key,
                None => Some(next),
            }
        }
        // Where the ledger does not answer, the order goes the way of every order: it is fenced,
        // and spooled. It has no key: one of an order that people have lifted would make it that
        // order.
        Err(_) => None,
    };
    let asked = Asked {
        scope: signal.scope,
        roles: signal.roles,
        reason: signal.reason,
        by: signal.by,
        key,
    };
    let (fenced, _) = switch.engage(asked).await?;
    Ok(fenced)
}

/// Cuts a foreign text that becomes a reason.
fn bounded(text: &str) -> String {
    /// Characters of a text from outside that become a reason.
    ///
    /// # Limit
    /// - for: a signal
    /// - unit: characters
    /// - beyond: the text is cut
    /// - test: `the_text_of_a_signal_is_cut`
    const MAX_SIGNAL_CHARACTERS: usize = 500;
    text.chars().take(MAX_SIGNAL_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_signal_is_cut() {
        assert_eq!(bounded(&"\u{e9}".repeat(501)), "\u{e9}".repeat(500));
    }
}
