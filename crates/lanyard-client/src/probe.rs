//! An unauthenticated probe of a broker: readiness, clock and certificate.

use reqwest::header::DATE;
use reqwest::tls::TlsInfo;

use crate::context::Context;
use crate::http::{HttpError, Https};

/// The answer of a broker to an unauthenticated probe.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The broker's clock: the `Date` header of the answer, unparsed (RFC 9110 section 6.6.1).
    pub date: Option<String>,
    /// The broker's certificate in DER. `None` on loopback without TLS.
    pub certificate: Option<Vec<u8>>,
    /// HTTP status of `/readyz`; 200 means that the broker issues. The broker accepts kills at any
    /// status.
    pub ready: u16,
}

impl Context {
    /// Probes the broker without showing an identity. TLS verifies the broker's certificate as for
    /// any call.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn probe(&self) -> Result<Probe, HttpError> {
        let http = Https::broker(self.authority.as_deref())?;
        let answer = http.head(&format!("{}/readyz", self.endpoint)).await?;
        let date = answer.headers().get(DATE);
        let tls = answer.extensions().get::<TlsInfo>();
        Ok(Probe {
            date: date.and_then(|date| date.to_str().ok()).map(str::to_owned),
            certificate: tls.and_then(TlsInfo::peer_certificate).map(<[u8]>::to_vec),
            ready: answer.status().as_u16(),
        })
    }
}
