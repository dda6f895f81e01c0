//! The broker that a verifier trusts: its name in tokens, and the addresses of its documents.

use reqwest::Url;

/// Path of the broker's status lists, below its issuer.
const LISTS_PATH: &str = "/oauth2/status-lists/";
/// The longest name of a status list, in bytes.
const LIST_NAME_BYTES: usize = 128;

/// Returned for a text that cannot be a broker's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a broker's address: write an https URL without user, query and fragment (http only on loopback)", .0.escape_debug())]
pub struct AddressError(String);

/// The one broker whose tokens are accepted.
#[derive(Debug, Clone)]
pub struct Broker {
    issuer: String,
    base: String,
    authority: Option<Vec<u8>>,
}

impl Broker {
    /// The broker whose tokens have this `issuer`, byte for byte as in its configuration. Its
    /// documents are below the issuer's URL.
    ///
    /// # Errors
    /// When the issuer is not an https URL (http only on loopback).
    pub fn named(issuer: &str) -> Result<Self, AddressError> {
        Ok(Self {
            base: base(issuer)?,
            issuer: issuer.to_owned(),
            authority: None,
        })
    }

    /// Fetches the broker's documents from `url`, such as an address inside the cluster. The issuer
    /// stays unchanged.
    ///
    /// # Errors
    /// When the address is not an https URL (http only on loopback).
    pub fn reached_at(self, url: &str) -> Result<Self, AddressError> {
        let base = base(url)?;
        Ok(Self { base, ..self })
    }

    /// Trusts only these root certificates (PEM) for the broker's own certificate.
    #[must_use]
    pub fn trusting(self, roots: Vec<u8>) -> Self {
        let authority = Some(roots);
        Self { authority, ..self }
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(crate) fn authority(&self) -> Option<&[u8]> {
        self.authority.as_deref()
    }

    pub(crate) fn keys(&self) -> String {
        format!("{}/.well-known/jwks.json", self.base)
    }

    /// URL of the status list that a token names; `None` for a list of another issuer, which is
    /// never fetched.
    pub(crate) fn list(&self, uri: &str) -> Option<String> {
        let path = uri.strip_prefix(self.issuer.trim_end_matches('/'))?;
        let name = path.strip_prefix(LISTS_PATH)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let fits = !name.is_empty() && name.len() <= LIST_NAME_BYTES && name.bytes().all(plain);
        fits.then(|| format!("{}{path}", self.base))
    }
}

/// Checks a URL and removes its trailing slash.
fn base(text: &str) -> Result<String, AddressError> {
    let bad = || AddressError(text.to_owned());
    let url: Url = text.parse().map_err(|_| bad())?;
    let loopback = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    let secured = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if secured && plain {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err(bad())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // T9, T10
    #[test]
    fn t10_an_address_is_https_and_nothing_else() {
        for bad in [
            "http://lanyard.example",
            "https://user@lanyard.example",
            "https://lanyard.example?x",
            "https://lanyard.example#x",
            "file:///etc/passwd",
            "lanyard.example",
            "",
        ] {
            assert!(Broker::named(bad).is_err(), "{bad}");
        }
        for good in ["https://lanyard.example/", "http://127.0.0.1:7070"] {
            assert!(Broker::named(good).is_ok(), "{good}");
        }
    }

    // T10
    #[test]
    fn t10_a_list_is_the_brokers_own() {
        let broker = Broker::named("https://lanyard.example/").unwrap();
        let list = |uri: &str| broker.list(uri);
        assert_eq!(
            list("https://lanyard.example/oauth2/status-lists/0f-1").as_deref(),
            Some("https://lanyard.example/oauth2/status-lists/0f-1")
        );
        for bad in [
            "https://lanyard.example.evil.example/oauth2/status-lists/0f-1",
            "https://lanyard.example@evil.example/oauth2/status-lists/0f-1",
            "http://lanyard.example/oauth2/status-lists/0f-1",
            "https://LANYARD.example/oauth2/status-lists/0f-1",
            "https://lanyard.example/oauth2/status-lists/../jwks",
            "https://lanyard.example/oauth2/status-lists/",
            "https://lanyard.example/oauth2/status-lists/x?y",
            "https://lanyard.example/x",
            "http://169.254.169.254/latest",
        ] {
            assert_eq!(list(bad), None, "{bad}");
        }
        let inside = broker.reached_at("https://lanyard.svc:7070").unwrap();
        assert_eq!(
            inside
                .list("https://lanyard.example/oauth2/status-lists/a")
                .as_deref(),
            Some("https://lanyard.svc:7070/oauth2/status-lists/a")
        );
    }
}
