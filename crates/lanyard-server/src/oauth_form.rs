//! The forms of the OAuth endpoints (RFC 6749 section 3.2): an empty parameter counts as absent,
//! and no parameter may appear twice.

use std::collections::BTreeMap;
use std::fmt;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::refusal;
use crate::refused::{Class, Refused};

const URL_ENCODED: &str = "application/x-www-form-urlencoded";

/// The parameters with a value.
pub(crate) struct OAuthForm(BTreeMap<String, String>);

/// Prints the names alone, because values are tokens (T49).
impl fmt::Debug for OAuthForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl OAuthForm {
    fn read(body: &[u8]) -> Result<Self, Refused> {
        let mut parameters = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(body) {
            if parameters
                .insert(name.to_string(), value.into_owned())
                .is_some()
            {
                let shown: String = name.chars().take(64).collect();
                let shown = shown.escape_debug().to_string();
                return Err(refusal::invalid(
                    &shown,
                    "stands there twice, and may stand there once",
                ));
            }
        }
        parameters.retain(|_, value| !value.is_empty());
        Ok(Self(parameters))
    }

    /// A parameter, if it has a value.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter that must have a value.
    pub(crate) fn needed(&self, name: &str) -> Result<&str, Refused> {
        let given = self.given(name);
        given.ok_or_else(|| refusal::invalid(name, "must be given"))
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case(URL_ENCODED)
}

impl<S: Send + Sync> FromRequest<S> for OAuthForm {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        if !is_form(request.headers()) {
            let why = format!("has to be {URL_ENCODED}");
            return Err(failed(&refusal::invalid("Content-Type", why)));
        }
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|error| {
            let why = json!({"error": "invalid_request", "error_description": error.body_text()});
            (error.status(), no_store(), Json(why)).into_response()
        })?;
        Self::read(&body).map_err(|status| failed(&status))
    }
}

/// The header that forbids caches to store the answer (RFC 6749 section 5.1).
pub(crate) const fn no_store() -> [(header::HeaderName, &'static str); 1] {
    [(header::CACHE_CONTROL, "no-store")]
}

/// The error response of RFC 6749 section 5.2, with the reason of the refusal.
pub(crate) fn failed(status: &Refused) -> Response {
    let (code, error) = match status.class {
        Class::Unauthenticated => (StatusCode::UNAUTHORIZED, "invalid_client"),
        Class::Invalid => (StatusCode::BAD_REQUEST, invalid(status)),
        Class::Denied => (StatusCode::FORBIDDEN, "access_denied"),
        Class::TooMuch => (StatusCode::TOO_MANY_REQUESTS, "slow_down"),
        Class::NotNow | Class::Unknown | Class::Exists | Class::Moved => {
            (StatusCode::BAD_REQUEST, "invalid_grant")
        }
        Class::Broken | Class::Unavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
        }
    };
    let reason = Some(&status.reason).filter(|reason| !reason.is_empty());
    let body = json!({"error": error, "error_description": status.message, "reason": reason});
    let mut response = (code, no_store(), Json(body)).into_response();
    if code == StatusCode::UNAUTHORIZED {
        refusal::challenge(&mut response);
    }
    response
}

/// The error code, by the parameter at fault (RFC 6749 section 5.2, RFC 8693 section 2.2.2).
fn invalid(status: &Refused) -> &'static str {
    let at_fault = status.fault.as_ref();
    let at_fault = at_fault.map(|fault| (fault.field.as_str(), fault.why.as_str()));
    match at_fault {
        // One that is left out makes the request malformed, and no other grant type.
        Some(("grant_type", why)) if why != "must be given" => "unsupported_grant_type",
        Some(("resource" | "audience", _)) => "invalid_target",
        Some(("scope", _)) => "invalid_scope",
        _ => "invalid_request",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(kind: &str, body: &str) -> Result<OAuthForm, serde_json::Value> {
        let request = Request::post("/oauth2/token").header(header::CONTENT_TYPE, kind);
        let request = request
            .body(axum::body::Body::from(body.to_owned()))
            .unwrap();
        match OAuthForm::from_request(request, &()).await {
            Ok(form) => Ok(form),
            Err(response) => {
                assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body}");
                assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
                let body = axum::body::to_bytes(response.into_body(), usize::MAX).await;
                Err(serde_json::from_slice(&body.unwrap()).unwrap())
            }
        }
    }

    #[tokio::test]
    async fn d37_a_parameter_without_a_value_counts_as_left_out() {
        let form = read(URL_ENCODED, "a=1&scope=&audience&%62=x+y%20z&=")
            .await
            .unwrap();
        assert_eq!(form.given("a"), Some("1"));
        assert_eq!(form.given("b"), Some("x y z"));
        assert_eq!((form.given("scope"), form.given("audience")), (None, None));
        let missing = form.needed("scope").unwrap_err();
        assert_eq!(missing.message, "scope: must be given");
        assert!(
            read("Application/X-WWW-Form-Urlencoded; charset=UTF-8", "")
                .await
                .is_ok()
        );
    }

    #[tokio::test]
    async fn d37_a_parameter_that_stands_there_twice_is_refused() {
        for body in ["a=1&a=2", "a=1&a=1", "a=&a=", "a=1&b=2&%61=3", "a&a"] {
            let error = read(URL_ENCODED, body).await.unwrap_err();
            assert_eq!(error["error"], "invalid_request", "{body}");
            let said = error["error_description"].as_str().unwrap();
            assert!(said.starts_with("a: stands there twice"), "{said}");
        }
        for kind in ["application/json", "text/plain", ""] {
            let error = read(kind, "a=1").await.unwrap_err();
            assert_eq!(error["error"], "invalid_request", "{kind}");
        }
    }

    #[test]
    fn d37_the_error_is_the_one_that_the_rfcs_have_for_a_parameter() {
        for (field, why, error) in [
            ("grant_type", "must be given", "invalid_request"),
            ("grant_type", "has to be another", "unsupported_grant_type"),
            ("audience", "is not understood here", "invalid_target"),
            ("resource", "is not understood here", "invalid_target"),
            ("scope", "is not understood here", "invalid_scope"),
            ("ttl", "is no number", "invalid_request"),
        ] {
            assert_eq!(invalid(&refusal::invalid(field, why)), error, "{field}");
        }
        assert_eq!(
            invalid(&Refused::plain(Class::Invalid, "x")),
            "invalid_request"
        );
    }
}
