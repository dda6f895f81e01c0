//! Parsing of a token's claims. A claim on which a decision depends must have its type; an optional
//! claim of another type is ignored and logged.

use std::collections::BTreeMap;

use lanyard_vocabulary::time::Timestamp;
use serde_json::{Map, Value};

use crate::RejectedToken;
use crate::numeric_date::NumericDate;
use crate::unique::{self, Unreadable, type_of};

/// The claims of one token.
pub(super) struct Claims {
    pub(super) iss: Option<String>,
    pub(super) sub: String,
    pub(super) aud: Value,
    pub(super) exp: Timestamp,
    pub(super) iat: Option<Timestamp>,
    pub(super) nbf: Option<Timestamp>,
    pub(super) jti: Option<String>,
    pub(super) cnf: Option<Value>,
    pub(super) auth_time: Option<Timestamp>,
    pub(super) acr: Option<String>,
    pub(super) others: BTreeMap<String, Value>,
    /// Optional claims of an unexpected type: name and type.
    pub(super) left_out: Vec<(&'static str, &'static str)>,
}

impl Claims {
    /// Parses a payload.
    ///
    /// # Errors
    /// The claim that cannot be used, and why. Never the value.
    pub(super) fn read(payload: &[u8]) -> Result<Self, RejectedToken> {
        let mut members = unique::object(payload).map_err(|error| match error {
            Unreadable::Form => RejectedToken::Claims,
            Unreadable::Twice => RejectedToken::Twice,
        })?;
        let mut left_out = Vec::new();
        let mut optional = |name: &'static str, value: Option<Value>| {
            if let Some(value) = value.filter(|value| !value.is_null()) {
                left_out.push((name, type_of(&value)));
            }
        };
        let jti = match taken(&mut members, "jti") {
            Some(Value::String(jti)) => Some(jti),
            other => {
                optional("jti", other);
                None
            }
        };
        let acr = match taken(&mut members, "acr") {
            Some(Value::String(acr)) => Some(acr),
            other => {
                optional("acr", other);
                None
            }
        };
        let auth_time = match taken(&mut members, "auth_time") {
            Some(Value::Number(at)) => Some(NumericDate::of(&at).0),
            other => {
                optional("auth_time", other);
                None
            }
        };
        Ok(Self {
            iss: text(&mut members, "iss")?,
            sub: text(&mut members, "sub")?.ok_or(RejectedToken::Missing("sub"))?,
            aud: taken(&mut members, "aud").ok_or(RejectedToken::Missing("aud"))?,
            exp: time(&mut members, "exp")?.ok_or(RejectedToken::Missing("exp"))?,
            iat: time(&mut members, "iat")?,
            nbf: time(&mut members, "nbf")?,
            cnf: taken(&mut members, "cnf"),
            jti,
            auth_time,
            acr,
            others: members.into_iter().collect(),
            left_out,
        })
    }

    /// Returns the issuer, or the trust domain if only a SPIFFE ID names it.
    pub(super) fn issuer(&self) -> &str {
        match &self.iss {
            Some(issuer) if !self.sub.starts_with("spiffe://") => issuer,
            Some(_) | None => {
                let rest = self.sub.strip_prefix("spiffe://").unwrap_or_default();
                let domain = rest.split('/').next().unwrap_or_default().len();
                let end = "spiffe://".len() + domain;
                self.sub.get(..end).unwrap_or_default()
            }
        }
    }

    /// Logs the claims that were ignored. Called only for verified tokens, so that forged ones
    /// cannot fill the log.
    pub(super) fn tell(&self) {
        for (claim, is) in &self.left_out {
            let (issuer, wanted) = (self.issuer(), "a text, or for a time a number of seconds");
            tracing::info!(
                issuer,
                claim,
                is,
                wanted,
                "a claim of a token has another type than expected: it is ignored"
            );
        }
    }
}

/// Removes a claim; null counts as absent.
fn taken(members: &mut Map<String, Value>, name: &str) -> Option<Value> {
    members.remove(name).filter(|value| !value.is_null())
}

fn text(
    members: &mut Map<String, Value>,
    name: &'static str,
) -> Result<Option<String>, RejectedToken> {
    match taken(members, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(RejectedToken::ClaimType {
            name,
            is: type_of(&other),
            wanted: "a text",
        }),
    }
}

fn time(
    members: &mut Map<String, Value>,
    name: &'static str,
) -> Result<Option<Timestamp>, RejectedToken> {
    match taken(members, name) {
        None => Ok(None),
        Some(Value::Number(number)) => Ok(Some(NumericDate::of(&number).0)),
        Some(other) => Err(RejectedToken::ClaimType {
            name,
            is: type_of(&other),
            wanted: "a number of seconds",
        }),
    }
}
