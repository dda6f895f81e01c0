//! The kill switch: takes the orders of people, tickets, alerts and events in one way.

use std::time::{Duration, Instant};

use lanyard_core::kill::{Actor, KillOrder};
use lanyard_engine::Engine;
use lanyard_engine::kill::Fenced;
use lanyard_vocabulary::scope::{RoleFilter, Scope};

use crate::refused::{Class, Refused};

/// The engine that carries orders out, and has those kept that the journal cannot take.
#[derive(Clone, Copy)]
pub(crate) struct Switch<'a> {
    pub(crate) engine: &'a Engine,
}

/// An order to give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) scope: Scope,
    pub(crate) roles: RoleFilter,
    pub(crate) reason: String,
    pub(crate) by: Actor,
    /// The key under which a repeated order is the same order.
    pub(crate) key: Option<String>,
}

impl Switch<'_> {
    /// Engages an order and measures from the receipt to the fence.
    ///
    /// # Errors
    /// When the system gives no random bits for the order's id.
    #[expect(
        clippy::disallowed_methods,
        reason = "this measures a span; it decides nothing"
    )]
    pub(crate) async fn engage(self, asked: Asked) -> Result<(Fenced, Duration), Refused> {
        let received = Instant::now();
        let Asked {
            scope,
            roles,
            reason,
            by,
            key,
        } = asked;
        let draft = self.engine.kills().draft(scope, roles, reason, by);
        let draft = draft.map_err(|error| Refused::plain(Class::Unavailable, error.to_string()))?;
        let order = KillOrder { key, ..draft };
        let fenced = self.engine.kills().engage(order).await;
        Ok((fenced, received.elapsed()))
    }
}
