//! One look at a broker, before anybody shows who they are.

use reqwest::header::DATE;
use reqwest::tls::TlsInfo;

use crate::context::Context;
use crate::http::{HttpError, Https};

/// What a broker shows everybody.
#[derive(Debug, Clone)]
pub struct Glance {
    /// What time it is there: the `Date` of its answer (RFC 9110 section 6.6.1), as it stands.
    pub date: Option<String>,
    /// Its certificate, in DER; none on loopback without TLS.
    pub certificate: Option<Vec<u8>>,
    /// The HTTP status of its `/readyz`: 200 where it issues. Kills are taken whatever it says.
    pub ready: u16,
}

impl Context {
    /// Asks the broker how it is. Its certificate has to be one that this context believes.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn glance(&self) -> Result<Glance, HttpError> {
        let http = Https::broker(self.authority.as_deref())?;
        let answer = http.head(&format!("{}/readyz", self.endpoint)).await?;
        let date = answer.headers().get(DATE);
        let tls = answer.extensions().get::<TlsInfo>();
        Ok(Glance {
            date: date.and_then(|date| date.to_str().ok()).map(str::to_owned),
            certificate: tls.and_then(TlsInfo::peer_certificate).map(<[u8]>::to_vec),
            ready: answer.status().as_u16(),
        })
    }
}
