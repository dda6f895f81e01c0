//! Login in a browser on this machine: authorization code with PKCE (RFC 7636) and a redirect to
//! loopback (RFC 8252).

use std::time::Duration;

use super::loopback::{Callback, Loopback};
use super::provider::Granted;
use super::{Login, LoginError, Person};
use crate::digest::digest;
use crate::http::{Refusal, encoded};
use crate::random::random;
use crate::secret::Token;

/// Time for the person to finish the login in the browser.
const LOGIN_WAIT: Duration = Duration::from_secs(5 * 60);

impl Login<'_> {
    /// Passes the login page to `open` and waits for the browser to return.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub async fn in_a_browser(self, open: impl FnOnce(&str)) -> Result<Person, LoginError> {
        let loopback = Loopback::listen().await.map_err(LoginError::NoPort)?;
        let (state, nonce) = (random::<32>()?, random::<32>()?);
        let verifier = Token::new(random::<32>()?);
        let redirect = loopback.redirect_uri();
        let mut parameters = self.parameters();
        parameters.extend([
            ("response_type", "code".to_owned()),
            ("redirect_uri", redirect.clone()),
            ("state", state.clone()),
            ("nonce", nonce.clone()),
            ("code_challenge", digest(verifier.expose().as_bytes())),
            ("code_challenge_method", "S256".to_owned()),
        ]);
        let query = encoded(&parameters);
        let endpoint = self.provider.authorization_endpoint()?;
        let joint = if endpoint.contains('?') { '&' } else { '?' };
        open(&format!("{endpoint}{joint}{query}"));
        let waited = tokio::time::timeout(LOGIN_WAIT, loopback.callback(&state)).await;
        let callback = waited.map_err(|_| LoginError::TimedOut(LOGIN_WAIT.as_secs() / 60))?;
        let granted = self.redeem(callback.map_err(LoginError::NoPort)?, &redirect, &verifier);
        let granted = granted.await?;
        self.finish(granted, Some(&nonce)).await
    }

    /// Exchanges the authorization code for tokens, after the issuer of the answer is checked.
    async fn redeem(
        &self,
        callback: Callback,
        redirect: &str,
        verifier: &Token,
    ) -> Result<Granted, LoginError> {
        self.provider.is_answered_by(callback.iss.as_deref())?;
        let code = callback
            .code
            .map_err(|refusal| LoginError::Refused(refusal.line()))?;
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", self.client.client_id.as_str()),
            ("code", code.expose()),
            ("code_verifier", verifier.expose()),
            ("redirect_uri", redirect),
        ];
        let refused = |refusal: Refusal| LoginError::Refused(refusal.line());
        self.provider.ask(&form).await?.map_err(refused)
    }
}
