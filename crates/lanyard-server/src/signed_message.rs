//! Signatures of messages: HMAC-SHA256 over the id, the time and the body.
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lanyard_secret_file::{Origin, read_word};
use lanyard_vocabulary::time::Timestamp;
use ring::hmac::{HMAC_SHA256, Key, sign, verify};

/// The headers of a signed message.
pub(crate) const ID: &str = "webhook-id";
pub(crate) const TIMESTAMP: &str = "webhook-timestamp";
pub(crate) const SIGNATURE: &str = "webhook-signature";

/// The most that a message may be old, or in the future.
///
/// # Limit
/// - for: a signed message
/// - unit: of time
/// - beyond: the message is refused
/// - test: `what_is_old_changed_or_of_another_secret_is_not_taken`
const MAX_MESSAGE_AGE: Duration = Duration::from_secs(300);
/// The shortest secret, in bytes.
const SHORTEST: usize = 24;

/// The secret shared with the other side.
pub(crate) struct Secret(Key);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// Loads a secret from a file, in base 64 with or without `whsec_`.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let text = read_word(path, Origin::Configured)?;
        Self::parse(&text).with_context(|| format!("`{}` holds no secret", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let bytes = STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text))?;
        ensure!(
            bytes.len() >= SHORTEST,
            "a secret has {SHORTEST} bytes at least, in base 64"
        );
        Ok(Self(Key::new(HMAC_SHA256, &bytes)))
    }

    /// Computes the value of the signature header.
    pub(crate) fn sign(&self, id: &str, at: u64, body: &[u8]) -> String {
        let tag = sign(&self.0, &signed(id, at, body));
        format!("v1,{}", STANDARD.encode(tag))
    }
}

fn signed(id: &str, at: u64, body: &[u8]) -> Vec<u8> {
    let mut signed = format!("{id}.{at}.").into_bytes();
    signed.extend_from_slice(body);
    signed
}

/// The headers of an incoming message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signed<'a> {
    pub(crate) id: &'a str,
    pub(crate) at: &'a str,
    pub(crate) signatures: &'a str,
}

impl Signed<'_> {
    /// True if one of the message's signatures is of this secret over this body, and recent.
    pub(crate) fn is_of(&self, secret: &Secret, body: &[u8], now: Timestamp) -> bool {
        let Ok(at) = self.at.parse::<u64>() else {
            return false;
        };
        let sent = Timestamp::from_secs(at);
        if now.since(sent).max(sent.since(now)) > MAX_MESSAGE_AGE {
            return false;
        }
        let message = signed(self.id, at, body);
        self.signatures.split(' ').any(|signature| {
            let tag = signature.strip_prefix("v1,");
            let tag = tag.and_then(|tag| STANDARD.decode(tag).ok());
            tag.is_some_and(|tag| verify(&secret.0, &message, &tag).is_ok())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    // The example of the specification's own libraries.
    #[test]
    fn a_signature_is_the_one_that_others_make() {
        let secret = Secret::parse(KEY).unwrap();
        let signature = secret.sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            b"{\"test\": 2432232314}",
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn what_is_old_changed_or_of_another_secret_is_not_taken() {
        let secret = Secret::parse(KEY).unwrap();
        let other = Secret::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
        let now = Timestamp::from_secs(2_000_000);
        let signature = secret.sign("m", 2_000_000, b"body");
        let signatures = format!("v1,AAAA {signature}");
        let signed = Signed {
            id: "m",
            at: "2000000",
            signatures: &signatures,
        };
        assert!(signed.is_of(&secret, b"body", now));
        assert!(!signed.is_of(&other, b"body", now));
        assert!(!signed.is_of(&secret, b"bodY", now));
        assert!(!signed.is_of(&secret, b"body", now + Duration::from_secs(301)));
        assert!(!Signed { id: "n", ..signed }.is_of(&secret, b"body", now));
        assert!(!Signed { at: "-1", ..signed }.is_of(&secret, b"body", now));
        assert!(Secret::parse("c2hvcnQ=").is_err());
    }
}
