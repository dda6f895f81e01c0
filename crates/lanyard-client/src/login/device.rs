//! Login on another device: RFC 8628. Nothing listens here, so it works over ssh.

use std::time::Duration;

use serde::Deserialize;

use super::provider::Granted;
use super::{Login, LoginError, Person};
use crate::clock::now;
use crate::http::{Refusal, seconds, some_text};
use crate::secret::Token;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// Polling interval in seconds if the provider names none, and the increase after `slow_down` (RFC
/// 8628 section 3.5).
const POLL_INTERVAL_SECONDS: u64 = 5;
/// Longest polling interval and longest wait for the person, in seconds, whatever the provider
/// says.
const SLOWEST_POLL_SECONDS: u64 = 60;
const LOGIN_WAIT_SECONDS: u64 = 30 * 60;

/// Device authorization response, RFC 8628 section 3.2.
#[derive(Deserialize)]
struct Begun {
    device_code: Token,
    user_code: String,
    verification_uri: String,
    #[serde(default, deserialize_with = "some_text")]
    verification_uri_complete: Option<String>,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<u64>,
    #[serde(default, deserialize_with = "seconds")]
    interval: Option<u64>,
}

/// The page and code to show to the person who logs in.
#[derive(Debug)]
pub struct Prompt {
    /// The page to open on any device.
    pub page: String,
    /// Code to enter on the page, or to compare with the code that the page shows.
    pub code: String,
    /// The page with the code in it.
    pub page_with_code: Option<String>,
}

impl Begun {
    fn prompt(&self) -> Result<Prompt, LoginError> {
        let plain = |text: &str| text.chars().all(|c| c.is_ascii_graphic());
        let page = |url: &str| url.starts_with("https://") && plain(url);
        let complete = self.verification_uri_complete.clone();
        // Both go to the terminal and come from outside: no control characters, and https only.
        if !page(&self.verification_uri)
            || !self
                .user_code
                .chars()
                .all(|c| c.is_ascii_graphic() || c == ' ')
        {
            return Err(LoginError::Refused(
                "its page or its code is malformed".into(),
            ));
        }
        Ok(Prompt {
            page: self.verification_uri.clone(),
            code: self.user_code.clone(),
            page_with_code: complete.filter(|url| page(url)),
        })
    }
}

impl Login<'_> {
    /// Shows a page and a code to the person, and polls until the login is complete.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub async fn on_another_device(self, show: impl FnOnce(&Prompt)) -> Result<Person, LoginError> {
        let parameters = self.parameters();
        let form: Vec<_> = parameters
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let endpoint = self.provider.device_authorization_endpoint()?;
        let answer = self.provider.post(endpoint, &form).await?;
        if !answer.is_success() {
            let refusal: Refusal = answer.json()?;
            return Err(LoginError::Refused(refusal.line()));
        }
        let begun: Begun = answer.json()?;
        show(&begun.prompt()?);
        let granted = self.poll(&begun).await?;
        // RFC 8628 carries no nonce. The device code, which was never in a browser, binds the
        // answer to this login.
        self.finish(granted, None).await
    }

    async fn poll(&self, begun: &Begun) -> Result<Granted, LoginError> {
        let patience = begun
            .expires_in
            .unwrap_or(LOGIN_WAIT_SECONDS)
            .min(LOGIN_WAIT_SECONDS);
        let until = now()?.saturating_add(patience);
        let mut pause = begun
            .interval
            .unwrap_or(POLL_INTERVAL_SECONDS)
            .clamp(1, SLOWEST_POLL_SECONDS);
        let form = [
            ("grant_type", GRANT),
            ("client_id", self.client.client_id.as_str()),
            ("device_code", begun.device_code.expose()),
        ];
        while now()? < until {
            tokio::time::sleep(Duration::from_secs(pause)).await;
            let refusal = match self.provider.ask(&form).await {
                Ok(Ok(granted)) => return Ok(granted),
                Ok(Err(refusal)) => refusal,
                // The network may fail for a while. RFC 8628 section 3.5 asks for slower polling
                // then.
                Err(LoginError::Http(_)) => Refusal::new("slow_down", ""),
                Err(error) => return Err(error),
            };
            match refusal.error.as_str() {
                "authorization_pending" => {}
                "slow_down" => {
                    pause = pause
                        .saturating_add(POLL_INTERVAL_SECONDS)
                        .min(SLOWEST_POLL_SECONDS)
                }
                "expired_token" => break,
                _ => return Err(LoginError::Refused(refusal.line())),
            }
        }
        Err(LoginError::TimedOut(patience / 60))
    }
}
