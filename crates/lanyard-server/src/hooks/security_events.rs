//! Kill orders sent to other systems as security event tokens of OpenID CAEP 1.0, pushed by RFC
//! 8935.

use std::path::{Path, PathBuf};

use anyhow::Result;
use lanyard_core::kill::{Actor, KillOrder};
use lanyard_core::ledger::CommitError;
use lanyard_document::Item;
use lanyard_document::shape::{Form, List, Map, Shape, optional, required};
use lanyard_identity::security_event::{EVENT_TYPE, SESSION_REVOKED};
use lanyard_secret_file::{Origin, read_word};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::secret::Secret;
use reqwest::{RequestBuilder, Url};
use serde_json::{Value, json};

use super::event_sources::EventSources;
use crate::values::{PATH, URL, path};

/// The media type of a security event token (RFC 8417 section 7.1).
const MEDIA_TYPE: &str = "application/secevent+jwt";

/// A receiver in the configuration.
#[derive(Debug)]
pub(crate) struct ReceiverConfig {
    pub(crate) name: Name,
    pub(crate) url: Url,
    audience: String,
    authorization_file: Option<PathBuf>,
}

/// Adds `caep_receivers` to the description of the configuration.
pub(crate) fn describe(map: Map) -> Map {
    let receiver = Map::new()
        .with(required("name", "The receiver's name.", Form::NAME))
        .with(required("url", "The URL that events are pushed to.", URL))
        .with(required(
            "audience",
            "The audience (`aud`) of the events.",
            Shape::Text,
        ))
        .with(
            optional(
                "authorization_file",
                "The value of the header `Authorization`, mode 0600.",
                PATH,
            )
            .absent("none is sent"),
        );
    map.with(
        optional(
            "caep_receivers",
            "The receivers of a security event for every kill order.",
            List::of(receiver),
        )
        .absent("none"),
    )
}

pub(crate) fn config(item: Item<'_>, base: &Path) -> Vec<ReceiverConfig> {
    let one = |item: Item<'_>| {
        let section = item.section()?;
        let name = section.get("name").and_then(Item::parsed::<Name>);
        let url = section.get("url").and_then(crate::urls::hook_url);
        let audience = section.get("audience").and_then(Item::text);
        let authorization = section.get("authorization_file");
        let authorization = authorization.map(|item| path(item, base));
        Some(ReceiverConfig {
            name: name?,
            url: url?,
            audience: audience?.to_owned(),
            authorization_file: match authorization {
                Some(read) => Some(read?),
                None => None,
            },
        })
    };
    item.items().into_iter().filter_map(one).collect()
}

impl ReceiverConfig {
    pub(crate) fn open(&self) -> Result<Receiver> {
        let authorization = self.authorization_file.as_ref().map(|file| {
            // The value has two words: a scheme and a token.
            let text = read_word(file, Origin::Configured)?;
            anyhow::Ok(Secret::new(text.as_str().to_owned()))
        });
        Ok(Receiver {
            audience: self.audience.clone(),
            authorization: authorization.transpose()?,
        })
    }
}

/// A receiver that is ready to send to.
#[derive(Debug)]
pub(crate) struct Receiver {
    audience: String,
    /// The value of the `Authorization` header.
    authorization: Option<Secret<String>>,
}

impl Receiver {
    pub(crate) fn headed(&self, request: RequestBuilder) -> RequestBuilder {
        let request = request.header("content-type", MEDIA_TYPE);
        let request = request.header("accept", "application/json");
        match &self.authorization {
            Some(secret) => request.header("authorization", secret.expose()),
            None => request,
        }
    }

    /// Returns one token for each identity whose tasks a kill order covers. Orders that an identity
    /// provider caused yield none, because two systems that notify each other would never stop.
    ///
    /// # Errors
    /// When the ledger cannot name the identities.
    pub(crate) async fn events(
        &self,
        events: &EventSources,
        order: &KillOrder,
    ) -> Result<Vec<String>, CommitError> {
        if matches!(&order.by, Actor::Signal { kind, .. } if kind == "caep") {
            return Ok(Vec::new());
        }
        let reached = events.engine.context().identities_in_reach(order).await?;
        let mut subjects: Vec<Value> = reached.iter().map(iss_sub).collect();
        if subjects.is_empty() {
            let id = order.scope.to_string();
            subjects.push(json!({"format": "opaque", "id": id}));
        }
        let now = events.engine.clock().system();
        let tokens = subjects.iter().enumerate().filter_map(|(place, subject)| {
            let claims = json!({
                "iss": events.issuer,
                "aud": self.audience,
                "iat": now.as_secs(),
                "jti": format!("{}-{place}", order.id),
                "txn": order.id,
                "sub_id": subject,
                "events": {SESSION_REVOKED: {
                    "event_timestamp": order.at.as_secs(),
                    "initiating_entity": initiating(&order.by),
                    "reason_admin": {"en": order.reason},
                }},
            });
            let payload = claims.to_string();
            let token = events
                .keyring
                .sign_as(EVENT_TYPE, payload.as_bytes(), now)?;
            Some(token.expose().clone())
        });
        Ok(tokens.collect())
    }
}

fn iss_sub(identity: &Identity) -> Value {
    json!({"format": "iss_sub", "iss": identity.issuer, "sub": identity.subject})
}

/// Returns the `initiating_entity` of CAEP 1.0 section 2.
const fn initiating(by: &Actor) -> &'static str {
    match by {
        Actor::Operator(_) | Actor::Ticket { .. } | Actor::BreakGlass { .. } | Actor::Local => {
            "admin"
        }
        Actor::Agent(_) => "user",
        Actor::Breaker { .. } | Actor::Signal { .. } => "policy",
        Actor::Broker => "system",
    }
}
