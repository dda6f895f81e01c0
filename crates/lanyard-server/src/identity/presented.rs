//! What a request shows of its caller, taken from it before anything is decided.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderName, header};
use lanyard_core::secret::Secret;
use lanyard_identity::verifier::Purpose;
use rustls::pki_types::CertificateDer;

use crate::listen::PeerAddress;
use crate::tls::PeerCertificates;

/// The header with a proof of possession (RFC 9449 section 4).
const DPOP: HeaderName = HeaderName::from_static("dpop");
/// What the names of methods begin with that change nothing.
const LOOKING: &[&str] = &[
    "Get", "List", "Watch", "Read", "Query", "Tail", "WhoAmI", "Inspect",
];

/// What one request shows.
#[derive(Clone)]
pub(crate) struct Presented(Arc<Shown>);

struct Shown {
    authorization: Option<Secret<String>>,
    proof: Option<Secret<String>>,
    method: String,
    path: String,
    certificates: Option<PeerCertificates>,
    peer: Option<IpAddr>,
}

/// Where a token stands in the `authorization` header.
pub(crate) enum Scheme {
    /// RFC 6750.
    Bearer,
    /// RFC 9449.
    Dpop,
}

/// Puts it into the request, for whatever handles that.
pub(crate) async fn presented(mut request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    let shown = Shown {
        authorization: only(request.headers(), &header::AUTHORIZATION),
        proof: only(request.headers(), &DPOP),
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        certificates: extensions.get::<PeerCertificates>().cloned(),
        peer: extensions.get::<PeerAddress>().map(|peer| peer.0.ip()),
    };
    request.extensions_mut().insert(Presented(Arc::new(shown)));
    next.run(request).await
}

/// The one value of a header. Two of them, or one that is no text, are a value that nothing accepts.
fn only(headers: &HeaderMap, name: &HeaderName) -> Option<Secret<String>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    let text = first.to_str().ok().filter(|_| values.next().is_none());
    Some(Secret::new(text.unwrap_or_default().to_owned()))
}

impl Presented {
    /// The token, and how it is presented.
    pub(crate) fn token(&self) -> Option<(Scheme, &str)> {
        let header = self.0.authorization.as_ref()?.expose();
        let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
        if scheme.eq_ignore_ascii_case("dpop") {
            Some((Scheme::Dpop, token))
        } else if scheme.eq_ignore_ascii_case("bearer") {
            Some((Scheme::Bearer, token))
        } else {
            Some((Scheme::Bearer, ""))
        }
    }

    pub(crate) fn proof(&self) -> Option<&str> {
        self.0.proof.as_ref().map(|proof| proof.expose().as_str())
    }

    pub(crate) fn method(&self) -> &str {
        &self.0.method
    }

    pub(crate) fn path(&self) -> &str {
        &self.0.path
    }

    pub(crate) fn certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.0.certificates.as_ref().map(|chain| &*chain.0)
    }

    pub(crate) fn peer(&self) -> Option<IpAddr> {
        self.0.peer
    }

    /// What it is for, by the name of the method. What is not known to look changes something.
    pub(crate) fn purpose(&self) -> Purpose {
        let method = self.0.path.rsplit('/').next().unwrap_or_default();
        let rpc = self.0.path.starts_with("/lanyard.v1.");
        if rpc && LOOKING.iter().any(|name| method.starts_with(name)) {
            Purpose::Look
        } else {
            Purpose::Change
        }
    }
}
