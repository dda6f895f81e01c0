//! Events of an identity provider that give kill orders: OpenID CAEP 1.0, pushed by RFC 8935.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lanyard_core::charter::Name;
use lanyard_core::document::{Findings, Node};
use lanyard_core::kill::Actor;
use lanyard_core::scope::{RoleFilter, Scope};
use lanyard_identity::security_event::{SecurityEvent, Transmitter, Unused, verify};
use serde_json::json;

use super::{Heard, Signal, bounded, heed};
use crate::config::keys;
use crate::wire::Broker;

/// The transmitter under which refused events are counted, because nothing in them is believed, not
/// even their sender.
const UNKNOWN: &str = "";

/// A transmitter in the configuration.
#[derive(Debug)]
pub(crate) struct TransmitterConfig {
    pub(super) name: Name,
    issuer: String,
    audience: String,
    jwks_file: PathBuf,
}

pub(crate) fn config(f: &Findings, node: &Node, base: &Path) -> Vec<TransmitterConfig> {
    let one = |item| {
        let fields = f.map(item)?;
        let name = fields
            .required("name")
            .and_then(|node| f.parsed::<Name>(node));
        let text = |name| {
            let node = fields.required(name);
            node.and_then(|node| f.text(node)).map(str::to_owned)
        };
        let (issuer, audience, jwks) = (text("issuer"), text("audience"), text("jwks_file"));
        fields.finish();
        Some(TransmitterConfig {
            name: name?,
            issuer: issuer?,
            audience: audience?,
            jwks_file: base.join(jwks?),
        })
    };
    f.list(node).iter().filter_map(one).collect()
}

impl TransmitterConfig {
    pub(crate) fn open(&self) -> Result<Transmitter> {
        Ok(Transmitter {
            name: self.name.to_string(),
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            keys: keys(&self.issuer, &self.jwks_file)?,
        })
    }
}

/// Handles `POST /v1/hooks/caep` with a security event token as the body. A revoked session stops
/// its subject, which is an agent by its identity.
pub(crate) async fn event(State(broker): State<Arc<Broker>>, body: bytes::Bytes) -> Response {
    let token = std::str::from_utf8(&body).unwrap_or_default().trim();
    // All that is judged by time is that the event is not of the future: a clock that is behind takes no kill away.
    let times = broker.engine.times_for_a_kill(None);
    let now = times.into_iter().max().unwrap_or_default();
    let (transmitter, event) = match verify(&broker.signals.transmitters, token, now) {
        Ok(said) => said,
        Err(rejected) => {
            broker.signals.counted(UNKNOWN, Heard::Refused);
            tracing::warn!(%rejected, "a security event was not taken");
            let body = json!({"err": rejected.code(), "description": rejected.to_string()});
            return (StatusCode::BAD_REQUEST, Json(body)).into_response();
        }
    };
    let (id, subject, reason) = match event {
        SecurityEvent::Verification => {
            broker
                .signals
                .counted(&transmitter.name, Heard::Verification);
            return StatusCode::ACCEPTED.into_response();
        }
        // The transmitter did as it should: an error would have it send the event again, or give up the stream (RFC 8935
        // section 2.2).
        SecurityEvent::Unused(why) => {
            broker.signals.counted(&transmitter.name, Heard::Unused);
            let from = transmitter.name.as_str();
            match why {
                Unused::Types(_) => tracing::info!(from, %why, "a security event stops nothing"),
                Unused::Subject(_) => tracing::warn!(from, %why, "a revoked session stops nothing"),
            }
            return StatusCode::ACCEPTED.into_response();
        }
        SecurityEvent::SessionRevoked {
            id,
            subject,
            reason,
        } => (id, subject, reason),
    };
    let said = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    let signal = Signal {
        scope: Scope::Agent(broker.engine.agent(&subject)),
        roles: RoleFilter::Both,
        reason: bounded(&format!(
            "{} revoked the session of {subject}{said}",
            transmitter.name
        )),
        by: Actor::Signal {
            kind: "caep".to_owned(),
            name: transmitter.name.clone(),
        },
        key: format!("caep {} {id}", transmitter.name),
        // The same event is the same order, whatever became of it.
        since: lanyard_core::time::Timestamp::EPOCH,
    };
    broker
        .signals
        .counted(&transmitter.name, Heard::SessionRevoked);
    match heed(&broker, signal).await {
        Ok(fenced) if fenced.is_durable() => StatusCode::ACCEPTED.into_response(),
        // It is fenced; sent again, it is the same order.
        Ok(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Err(status) => crate::http::refused(&status),
    }
}
