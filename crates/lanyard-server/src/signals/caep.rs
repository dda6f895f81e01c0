//! Events of an identity provider that give kill orders: OpenID CAEP 1.0, pushed by RFC 8935.

use std::path::{Path, PathBuf};

use anyhow::Result;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lanyard_core::kill::Actor;
use lanyard_document::Item;
use lanyard_document::shape::{Form, Map, Shape, required};
use lanyard_identity::security_event::{SecurityEvent, Transmitter, Unused, verify};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use serde_json::json;

use super::{Heard, Signal, Signals, bounded, heed};
use crate::switch::Switch;
use crate::values::{PATH, path};
use crate::{key_set, refusal};

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

pub(super) fn shape() -> Map {
    Map::new()
        .with(required("name", "The transmitter's name.", Form::NAME))
        .with(required(
            "issuer",
            "The issuer (`iss`) of its events.",
            Shape::Text,
        ))
        .with(required(
            "audience",
            "The audience (`aud`) of its events.",
            Shape::Text,
        ))
        .with(required(
            "jwks_file",
            "Its public keys, as a JWK set.",
            PATH,
        ))
}

pub(super) fn config(item: Item<'_>, base: &Path) -> Vec<TransmitterConfig> {
    let one = |item: Item<'_>| {
        let section = item.section()?;
        let name = section.get("name").and_then(Item::parsed::<Name>);
        let text = |name| section.get(name).and_then(Item::text).map(str::to_owned);
        let (issuer, audience) = (text("issuer"), text("audience"));
        let jwks = section.get("jwks_file").and_then(|item| path(item, base));
        Some(TransmitterConfig {
            name: name?,
            issuer: issuer?,
            audience: audience?,
            jwks_file: jwks?,
        })
    };
    item.items().into_iter().filter_map(one).collect()
}

impl TransmitterConfig {
    pub(crate) fn open(&self) -> Result<Transmitter> {
        Ok(Transmitter {
            name: self.name.to_string(),
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            keys: key_set::read(&self.issuer, &self.jwks_file)?,
        })
    }
}

impl Signals {
    /// Takes a security event token. A revoked session stops its subject, which is an agent by its
    /// identity.
    pub(crate) async fn event(&self, switch: Switch<'_>, body: &[u8]) -> Response {
        let token = std::str::from_utf8(body).unwrap_or_default().trim();
        // All that is judged by time is that the event is not of the future: a clock that is behind
        // takes no kill away.
        let times = switch.engine.clock().times_for_a_kill(None);
        let now = times.into_iter().max().unwrap_or_default();
        let (transmitter, event) = match verify(&self.transmitters, token, now) {
            Ok(said) => said,
            Err(rejected) => {
                self.counted(UNKNOWN, Heard::Refused);
                tracing::warn!(%rejected, "a security event was not taken");
                let body = json!({"err": rejected.code(), "description": rejected.to_string()});
                return (StatusCode::BAD_REQUEST, Json(body)).into_response();
            }
        };
        let (id, subject, reason) = match event {
            SecurityEvent::Verification => {
                self.counted(&transmitter.name, Heard::Verification);
                return StatusCode::ACCEPTED.into_response();
            }
            // The transmitter did as it should: an error would have it send the event again, or
            // give up the stream (RFC 8935 section 2.2).
            SecurityEvent::Unused(why) => {
                self.counted(&transmitter.name, Heard::Unused);
                let from = transmitter.name.as_str();
                match why {
                    Unused::Types(_) => {
                        tracing::info!(from, %why, "a security event stops nothing")
                    }
                    Unused::Subject(_) => {
                        tracing::warn!(from, %why, "a revoked session stops nothing")
                    }
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
            scope: Scope::Agent(switch.engine.context().agent(&subject)),
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
            since: lanyard_vocabulary::time::Timestamp::EPOCH,
        };
        self.counted(&transmitter.name, Heard::SessionRevoked);
        match heed(switch, signal).await {
            Ok(fenced) if fenced.is_durable() => StatusCode::ACCEPTED.into_response(),
            // It is fenced; sent again, it is the same order.
            Ok(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Err(status) => refusal::refused(&status),
        }
    }
}
