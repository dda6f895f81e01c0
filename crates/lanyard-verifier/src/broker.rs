//! Which broker is believed: its name in tokens, and where its documents are.

use reqwest::Url;

/// Where the broker's status lists are, below its issuer.
const LISTS: &str = "/oauth2/status-lists/";
/// The longest name of a list, in bytes.
const LIST_NAME: usize = 128;

/// A text is not an address of a broker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not an address: https, without user, query and fragment (http on loopback alone)", .0.escape_debug())]
pub struct AddressError(String);

/// The one broker whose tokens are accepted.
#[derive(Debug, Clone)]
pub struct Broker {
    issuer: String,
    base: String,
    authority: Option<Vec<u8>>,
}

impl Broker {
    /// By its `issuer`, byte for byte as its configuration has it, under which its documents are.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub fn named(issuer: &str) -> Result<Self, AddressError> {
        Ok(Self {
            base: base(issuer)?,
            issuer: issuer.to_owned(),
            authority: None,
        })
    }

    /// The documents are fetched from here: an address inside a cluster, say. The name stays what it is.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub fn reached_at(self, url: &str) -> Result<Self, AddressError> {
        let base = base(url)?;
        Ok(Self { base, ..self })
    }

    /// Its certificate is by one of these roots (PEM), and of no other.
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

    /// Where the list of that name in a token is fetched; none where it is not one of this broker's.
    pub(crate) fn list(&self, uri: &str) -> Option<String> {
        let path = uri.strip_prefix(self.issuer.trim_end_matches('/'))?;
        let name = path.strip_prefix(LISTS)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let fits = !name.is_empty() && name.len() <= LIST_NAME && name.bytes().all(plain);
        fits.then(|| format!("{}{path}", self.base))
    }
}

/// Without the slash at its end.
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
