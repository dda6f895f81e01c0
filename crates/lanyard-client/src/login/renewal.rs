//! Renewing a person's ID token with the refresh token.

use super::LoginError;
use super::id_token::IdToken;
use super::provider::Provider;
use crate::context::Context;
use crate::error::ClientError;
use crate::secret::Token;

/// The tokens of a refresh.
pub(crate) struct Renewed {
    pub(crate) id_token: Token,
    /// The refresh token for the next time; unchanged if the provider does not rotate refresh
    /// tokens.
    pub(crate) refresh: Option<Token>,
}

/// Renews the ID token at the provider of `context`.
///
/// # Errors
/// [`ClientError::NotLoggedIn`] when no refresh token is stored, or the provider has ended the
/// login.
pub(crate) async fn renew(
    context: &Context,
    refresh: Option<&Token>,
) -> Result<Renewed, ClientError> {
    let again = |why: &str| ClientError::NotLoggedIn(format!("{why}: run lanyard login"));
    let refresh =
        refresh.ok_or_else(|| again("no session is stored, or the stored one has ended"))?;
    let client = context.login()?;
    let provider = Provider::discover(client, context.authority.as_deref()).await?;
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", client.client_id.as_str()),
        ("refresh_token", refresh.expose()),
    ];
    let granted = match provider.ask(&form).await? {
        Ok(granted) => granted,
        Err(refusal) => {
            let why = format!(
                "the identity provider has ended the login ({})",
                refusal.line()
            );
            return Err(again(&why));
        }
    };
    let id_token = granted.id_token.ok_or(LoginError::NoIdToken)?;
    IdToken::read(&id_token)?.is_from(client)?;
    let refresh = granted.refresh_token.or_else(|| Some(refresh.clone()));
    Ok(Renewed { id_token, refresh })
}
