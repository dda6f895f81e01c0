//! Kill orders sent to other systems as security event tokens of OpenID CAEP 1.0, pushed by RFC
//! 8935.

use std::path::{Path, PathBuf};

use anyhow::Result;
use lanyard_core::charter::Name;
use lanyard_core::document::{Findings, Node};
use lanyard_core::identity::Identity;
use lanyard_core::kill::{Actor, KillOrder};
use lanyard_core::ledger::CommitError;
use lanyard_core::secret::Secret;
use lanyard_identity::security_event::{EVENT_TYPE, SESSION_REVOKED};
use lanyard_secret_file::{Origin, read_word};
use reqwest::{RequestBuilder, Url};
use serde_json::{Value, json};

use crate::wire::Broker;

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

pub(crate) fn config(f: &Findings, node: &Node, base: &Path) -> Vec<ReceiverConfig> {
    let one = |item| {
        let fields = f.map(item)?;
        let name = fields
            .required("name")
            .and_then(|node| f.parsed::<Name>(node));
        let url = fields
            .required("url")
            .and_then(|node| crate::config::hook_url(f, node));
        let audience = fields.required("audience").and_then(|node| f.text(node));
        let authorization = fields
            .optional("authorization_file")
            .map(|node| f.text(node));
        fields.finish();
        Some(ReceiverConfig {
            name: name?,
            url: url?,
            audience: audience?.to_owned(),
            authorization_file: match authorization {
                Some(file) => Some(base.join(file?)),
                None => None,
            },
        })
    };
    f.list(node).iter().filter_map(one).collect()
}

impl ReceiverConfig {
    pub(crate) fn open(&self) -> Result<Receiver> {
        let authorization = self.authorization_file.as_ref().map(|file| {
            // Two words: a scheme, and the token.
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

    /// One token for every identity whose tasks a kill order covers. Orders that an identity
    /// provider caused are not sent on, because two systems that notify each other would never
    /// stop.
    ///
    /// # Errors
    /// When the ledger cannot name the identities.
    pub(crate) async fn events(
        &self,
        broker: &Broker,
        order: &KillOrder,
    ) -> Result<Vec<String>, CommitError> {
        if matches!(&order.by, Actor::Signal { kind, .. } if kind == "caep") {
            return Ok(Vec::new());
        }
        let reached = broker.engine.identities_in_reach(order).await?;
        let mut subjects: Vec<Value> = reached.iter().map(iss_sub).collect();
        if subjects.is_empty() {
            let id = order.scope.to_string();
            subjects.push(json!({"format": "opaque", "id": id}));
        }
        let now = broker.engine.system_time();
        let tokens = subjects.iter().enumerate().filter_map(|(place, subject)| {
            let claims = json!({
                "iss": broker.issuer,
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
            let token = broker
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

/// The initiating entity of CAEP 1.0 section 2.
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
