//! The claims of an ID token that concern this login. The signature is not verified here: the token
//! comes from the token endpoint over TLS (OpenID Connect Core, section 3.1.3.7, rule 6), and the
//! broker verifies the signature before it grants anything.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use zeroize::Zeroizing;

use super::LoginError;
use crate::http::seconds;
use crate::identity::LoginIdentity;
use crate::secret::Token;

/// The claims that are compared with the request.
#[derive(Debug, Deserialize)]
pub(super) struct IdToken {
    iss: String,
    pub(super) sub: String,
    aud: Audience,
    nonce: Option<String>,
    #[serde(default, deserialize_with = "seconds")]
    auth_time: Option<u64>,
    #[serde(default, deserialize_with = "class")]
    acr: Option<String>,
}

/// Reads `acr`, and treats any type but a string as absent.
fn class<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let given = Value::deserialize(deserializer)?;
    Ok(given.as_str().map(str::to_owned))
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl IdToken {
    pub(super) fn read(token: &Token) -> Result<Self, LoginError> {
        let payload = token.expose().split('.').nth(1);
        let bytes = payload.and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok());
        let bytes = Zeroizing::new(bytes.ok_or(LoginError::NoIdToken)?);
        serde_json::from_slice(&bytes).map_err(|_| LoginError::NoIdToken)
    }

    /// Checks that the configured provider issued the token for this client.
    pub(super) fn is_from(&self, client: &LoginIdentity) -> Result<(), LoginError> {
        let for_us = match &self.aud {
            Audience::One(one) => *one == client.client_id,
            Audience::Many(many) => many.contains(&client.client_id),
        };
        if self.iss != client.issuer {
            Err(LoginError::OtherLogin("iss"))
        } else if !for_us {
            Err(LoginError::OtherLogin("aud"))
        } else {
            Ok(())
        }
    }

    /// Checks the nonce of the request. The device flow sends none.
    pub(super) fn answers(&self, nonce: Option<&str>) -> Result<(), LoginError> {
        if nonce.is_none() || self.nonce.as_deref() == nonce {
            Ok(())
        } else {
            Err(LoginError::OtherLogin("nonce"))
        }
    }

    pub(super) fn is_of_a_login_since(&self, since: u64) -> Result<(), LoginError> {
        if self.auth_time.is_some_and(|at| at >= since) {
            Ok(())
        } else {
            Err(LoginError::NotFresh)
        }
    }

    pub(super) fn is_of_class(&self, wanted: &str) -> Result<(), LoginError> {
        let found = self.acr.as_deref().unwrap_or("no class");
        if wanted.split(' ').any(|one| one == found) {
            Ok(())
        } else {
            Err(LoginError::OtherClass {
                found: found.chars().filter(|c| !c.is_control()).collect(),
                wanted: wanted.to_owned(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &serde_json::Value) -> Token {
        Token::new(format!(
            "e30.{}.c2ln",
            URL_SAFE_NO_PAD.encode(claims.to_string())
        ))
    }

    fn client() -> LoginIdentity {
        LoginIdentity {
            issuer: "https://login.example".into(),
            client_id: "lanyard-cli".into(),
            scopes: Vec::new(),
            audience: None,
            store: crate::Store::File,
        }
    }

    #[test]
    fn a_token_of_another_login_is_refused() {
        let claims = serde_json::json!({"iss": "https://login.example", "sub": "alice", "aud": ["other", "lanyard-cli"],
            "nonce": "n", "auth_time": 1_000, "acr": "pwd"});
        let read = IdToken::read(&token(&claims)).unwrap();
        read.is_from(&client()).unwrap();
        read.answers(Some("n")).unwrap();
        read.answers(None).unwrap();
        assert!(matches!(
            read.answers(Some("m")),
            Err(LoginError::OtherLogin("nonce"))
        ));
        read.is_of_a_login_since(1_000).unwrap();
        assert!(matches!(
            read.is_of_a_login_since(1_001),
            Err(LoginError::NotFresh)
        ));
        read.is_of_class("phr pwd").unwrap();
        assert!(matches!(
            read.is_of_class("phr"),
            Err(LoginError::OtherClass { .. })
        ));

        for (field, value, what) in [
            ("iss", "https://evil.example", "iss"),
            ("aud", "other", "aud"),
        ] {
            let mut odd = claims.clone();
            odd[field] = value.into();
            let refused = IdToken::read(&token(&odd)).unwrap().is_from(&client());
            assert!(matches!(refused, Err(LoginError::OtherLogin(it)) if it == what));
        }
    }

    #[test]
    fn a_token_without_the_requested_claims_is_refused() {
        let claims = serde_json::json!({"iss": "https://login.example", "sub": "alice", "aud": "lanyard-cli"});
        let read = IdToken::read(&token(&claims)).unwrap();
        assert!(read.answers(Some("n")).is_err());
        assert!(read.is_of_a_login_since(0).is_err());
        assert!(read.is_of_class("pwd").is_err());
        for odd in ["", "a", "a.%.c", "a.e30.c"] {
            let read = IdToken::read(&Token::new(odd.into()));
            assert!(matches!(read, Err(LoginError::NoIdToken)), "{odd}");
        }
    }
}
