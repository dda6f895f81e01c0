//! Refusals over HTTP.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::refused::{Class, Refused};

/// Says how an identity can be shown, over HTTP (RFC 9110 section 11.6.1, RFC 9449 section 7.1).
pub(crate) fn challenge(response: &mut Response) {
    let value = HeaderValue::from_static("Bearer, DPoP algs=\"EdDSA ES256\"");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, value);
}

/// The refusal as an answer with its status and a body of JSON.
pub(crate) fn refused(status: &Refused) -> Response {
    let code = match status.class {
        Class::Unauthenticated => StatusCode::UNAUTHORIZED,
        Class::Denied => StatusCode::FORBIDDEN,
        Class::Invalid => StatusCode::BAD_REQUEST,
        Class::Unknown => StatusCode::NOT_FOUND,
        Class::NotNow => StatusCode::CONFLICT,
        Class::TooMuch => StatusCode::TOO_MANY_REQUESTS,
        Class::Exists | Class::Moved | Class::Unavailable | Class::Broken => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    let mut response = (code, Json(json!({"error": status.message}))).into_response();
    if code == StatusCode::UNAUTHORIZED {
        challenge(&mut response);
    }
    response
}
