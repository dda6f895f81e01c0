//! An OpenID Provider: its discovery document, and its token and revocation endpoints.

use serde::Deserialize;

use super::LoginError;
use crate::http::{Answer, Https, Refusal, some_text};
use crate::identity::LoginIdentity;
use crate::secret::{Token, some_token};

/// The fields of OpenID Connect Discovery 1.0, section 3, that login needs.
#[derive(Deserialize)]
struct Published {
    issuer: String,
    #[serde(default, deserialize_with = "some_text")]
    authorization_endpoint: Option<String>,
    #[serde(default, deserialize_with = "some_text")]
    token_endpoint: Option<String>,
    #[serde(default, deserialize_with = "some_text")]
    device_authorization_endpoint: Option<String>,
    #[serde(default, deserialize_with = "some_text")]
    revocation_endpoint: Option<String>,
    authorization_response_iss_parameter_supported: Option<bool>,
}

/// An OpenID Provider with its discovery document.
pub(super) struct Provider {
    https: Https,
    published: Published,
}

/// Answer of a token endpoint. The access token is left out: nothing here calls the provider's
/// APIs.
#[derive(Deserialize)]
pub(super) struct Granted {
    #[serde(default, deserialize_with = "some_token")]
    pub(super) id_token: Option<Token>,
    #[serde(default, deserialize_with = "some_token")]
    pub(super) refresh_token: Option<Token>,
}

impl Provider {
    /// Fetches the discovery document over https, without following redirects.
    pub(super) async fn discover(
        client: &LoginIdentity,
        authority: Option<&[u8]>,
    ) -> Result<Self, LoginError> {
        let asked = client.issuer.trim_end_matches('/');
        let https = Https::provider(authority)?;
        let url = format!("{asked}/.well-known/openid-configuration");
        let published: Published = https.get(&url).await?.json()?;
        // T9: the issuer must match byte for byte, or the document belongs to another provider.
        if published.issuer == client.issuer {
            Ok(Self { https, published })
        } else {
            Err(LoginError::OtherProvider {
                asked: client.issuer.clone(),
                found: published
                    .issuer
                    .chars()
                    .filter(|c| !c.is_control())
                    .collect(),
            })
        }
    }

    /// Returns the page where a browser begins. The browser opens the page, so https is checked
    /// here.
    pub(super) fn authorization_endpoint(&self) -> Result<&str, LoginError> {
        let endpoint = self.published.authorization_endpoint.as_deref();
        let endpoint = endpoint.filter(|it| it.starts_with("https://"));
        self.offers(endpoint, "login in a browser")
    }

    pub(super) fn device_authorization_endpoint(&self) -> Result<&str, LoginError> {
        let endpoint = self.published.device_authorization_endpoint.as_deref();
        self.offers(endpoint, "login on another device")
    }

    /// Checks that this provider sent the redirect: RFC 9207 section 2.4.
    pub(super) fn is_answered_by(&self, iss: Option<&str>) -> Result<(), LoginError> {
        let silent = !self
            .published
            .authorization_response_iss_parameter_supported
            .unwrap_or(false);
        match iss {
            Some(iss) if iss == self.published.issuer => Ok(()),
            None if silent => Ok(()),
            Some(_) | None => Err(LoginError::OtherIssuer),
        }
    }

    /// Calls the token endpoint. The inner error is the provider's refusal.
    pub(super) async fn ask(
        &self,
        form: &[(&str, &str)],
    ) -> Result<Result<Granted, Refusal>, LoginError> {
        let endpoint = self.published.token_endpoint.as_deref();
        let answer = self.post(self.offers(endpoint, "tokens")?, form).await?;
        if answer.is_success() {
            Ok(Ok(answer.json()?))
        } else {
            Ok(Err(answer.json()?))
        }
    }

    pub(super) async fn post(
        &self,
        url: &str,
        form: &[(&str, &str)],
    ) -> Result<Answer, LoginError> {
        Ok(self.https.post(url, form, &[]).await?)
    }

    /// Revokes a refresh token (RFC 7009). Fails if the provider has no revocation endpoint.
    pub(super) async fn revoke(
        &self,
        client: &LoginIdentity,
        refresh: &Token,
    ) -> Result<(), LoginError> {
        let endpoint = self.published.revocation_endpoint.as_deref();
        let endpoint = self.offers(endpoint, "revocation of tokens")?;
        let form = [
            ("client_id", client.client_id.as_str()),
            ("token", refresh.expose()),
            ("token_type_hint", "refresh_token"),
        ];
        let answer = self.post(endpoint, &form).await?;
        if answer.is_success() {
            return Ok(());
        }
        let refusal: Refusal = answer.json()?;
        Err(LoginError::Refused(refusal.line()))
    }

    fn offers<'a>(
        &self,
        endpoint: Option<&'a str>,
        what: &'static str,
    ) -> Result<&'a str, LoginError> {
        endpoint.ok_or_else(|| LoginError::Missing {
            issuer: self.published.issuer.clone(),
            what,
        })
    }
}
