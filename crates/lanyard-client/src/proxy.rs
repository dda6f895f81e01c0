//! Proxies between this machine and a broker or an identity provider, as the environment names
//! them.
//!
//! gRPC and HTTP use the same proxy: `HTTPS_PROXY`, else `ALL_PROXY`, in upper or lower case. Hosts
//! in `NO_PROXY` and loopback addresses are reached directly.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderValue, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

/// Variables that name a proxy, in order of precedence.
const VARIABLES: &[&str] = &["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
const EXCEPTIONS: &[&str] = &["NO_PROXY", "no_proxy"];
/// Port of an https URL without a port.
const HTTPS_PORT: u16 = 443;

/// A proxy that is unusable or refused the connection.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The variable names no HTTP proxy. The message leaves the value out, because the value may
    /// hold a password.
    #[error(
        "{variable} names no proxy that Lanyard speaks to: write http://HOST:PORT or https://HOST:PORT, or name the broker's host \
         in NO_PROXY"
    )]
    Unusable {
        /// Name of the variable.
        variable: &'static str,
    },
    /// The proxy refused the connection or did not answer.
    #[error("{proxy} {why}")]
    Refused {
        /// The proxy's URL without its password, and the variable that names the proxy.
        proxy: String,
        /// The outcome, and what to do.
        why: String,
    },
}

/// The proxy settings of the environment.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// The variable that names the proxy, and the variable's value.
    named: Option<(&'static str, Value)>,
    exceptions: String,
}

/// The value of a proxy variable. `Debug` hides the value, which may hold a password.
#[derive(Clone)]
struct Value(String);

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(a proxy)")
    }
}

/// The proxy for one destination.
#[derive(Clone)]
pub struct Proxy {
    uri: Uri,
    login: Option<HeaderValue>,
    variable: &'static str,
}

impl std::fmt::Display for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = self.uri.scheme_str().unwrap_or("http");
        let at = self
            .uri
            .authority()
            .map_or("", http::uri::Authority::as_str);
        write!(f, "the proxy {scheme}://{at} ({})", self.variable)
    }
}

impl Proxies {
    /// Reads the settings from the environment of this process.
    #[must_use]
    pub fn of_environment() -> Self {
        Self::of(|name| std::env::var(name).ok())
    }

    fn of(get: impl Fn(&str) -> Option<String>) -> Self {
        // Users set a variable to nothing to switch a proxy off for one command.
        let get = |name: &str| get(name).filter(|value| !value.trim().is_empty());
        let named = VARIABLES
            .iter()
            .find_map(|name| Some((*name, Value(get(name)?))));
        let exceptions = EXCEPTIONS.iter().find_map(|name| get(name));
        Self {
            named,
            exceptions: exceptions.unwrap_or_default(),
        }
    }

    /// True if a variable names a proxy.
    #[must_use]
    pub const fn is_named(&self) -> bool {
        self.named.is_some()
    }

    /// Returns the proxy for `address`. `None` means a direct connection.
    ///
    /// # Errors
    /// [`ProxyError::Unusable`] when the variable names no HTTP proxy.
    pub fn to(&self, address: &str) -> Result<Option<Proxy>, ProxyError> {
        let Some((variable, Value(value))) = &self.named else {
            return Ok(None);
        };
        let Some(place) = Place::of(address) else {
            return Ok(None);
        };
        if place.is_loopback() || self.excepts(&place) {
            return Ok(None);
        }
        let unusable = || ProxyError::Unusable { variable };
        let found = Matcher::builder().https(value.as_str()).build();
        let found = found.intercept(&place.uri().ok_or_else(unusable)?);
        let found = found.ok_or_else(unusable)?;
        if !matches!(found.uri().scheme_str(), Some("http" | "https")) {
            return Err(unusable());
        }
        Ok(Some(Proxy {
            uri: found.uri().clone(),
            login: found.basic_auth().cloned(),
            variable,
        }))
    }

    /// Returns the proxy's URL for `address` including name and password, as reqwest needs it.
    fn url(&self, address: &str) -> Option<reqwest::Url> {
        self.to(address).ok()??;
        let (_, Value(value)) = self.named.as_ref()?;
        let whole = match value.contains("://") {
            true => value.clone(),
            false => format!("http://{value}"),
        };
        whole.trim().parse().ok()
    }

    /// Makes a reqwest proxy of these settings, so that reqwest reads no variable itself.
    pub(crate) fn for_http(&self) -> reqwest::Proxy {
        let own = self.clone();
        reqwest::Proxy::custom(move |url| own.url(url.as_str()))
    }

    /// True if `NO_PROXY` names the destination: by domain or parent domain, by address or network,
    /// each with or without a port, or by `*`.
    fn excepts(&self, place: &Place) -> bool {
        let entries = self.exceptions.split([',', ' ', '\t']);
        let entries: Vec<String> = entries
            .filter_map(|entry| {
                let (host, port) = parted(entry.trim());
                let host = host
                    .strip_prefix('*')
                    .filter(|rest| !rest.is_empty())
                    .unwrap_or(host);
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                (!host.is_empty() && port.is_none_or(|port| port == place.port)).then_some(host)
            })
            .collect();
        // The matcher says whether the entries match; the proxy of this builder is never contacted.
        let all = Matcher::builder()
            .https("http://proxy.invalid:1")
            .no(entries.join(","))
            .build();
        let uri = place.uri();
        uri.is_some_and(|uri| all.intercept(&uri).is_none())
    }
}

/// Splits an entry into host and port: `[::1]:8443`, `broker.example:8443`.
fn parted(entry: &str) -> (&str, Option<u16>) {
    if let Some(rest) = entry.strip_prefix('[')
        && let Some((host, port)) = rest.split_once(']')
    {
        return (
            host,
            port.strip_prefix(':').and_then(|port| port.parse().ok()),
        );
    }
    match entry.rsplit_once(':') {
        // An unbracketed IPv6 address has several colons and no port.
        Some((host, port)) if !host.contains(':') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (entry, None),
        },
        Some(_) | None => (entry, None),
    }
}

/// Host (lower case, without brackets) and port of a destination.
struct Place {
    host: String,
    port: u16,
}

impl Place {
    fn of(address: &str) -> Option<Self> {
        let uri: Uri = address.parse().ok()?;
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
        Some(Self {
            host: host.trim_end_matches('.').to_ascii_lowercase(),
            port: uri.port_u16().unwrap_or(HTTPS_PORT),
        })
    }

    fn uri(&self) -> Option<Uri> {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        format!("https://{host}:{}/", self.port).parse().ok()
    }

    fn is_loopback(&self) -> bool {
        let address: Option<std::net::IpAddr> = self.host.parse().ok();
        let named = self.host == "localhost" || self.host.ends_with(".localhost");
        address.map_or(named, |address| address.to_canonical().is_loopback())
    }
}

/// Connects through a proxy with HTTP CONNECT.
#[derive(Clone)]
pub(crate) struct Through {
    tunnel: Tunnel<HttpsConnector<HttpConnector>>,
    proxy: Arc<Proxy>,
}

impl Through {
    /// Prepares connections through `proxy`. If the proxy speaks TLS, the system's roots verify its
    /// certificate.
    pub(crate) fn new(proxy: Proxy) -> Result<Self, ProxyError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let ring = rustls::crypto::ring::default_provider();
        let roots = HttpsConnectorBuilder::new().with_provider_and_native_roots(ring);
        let roots = roots.map_err(|error| ProxyError::Refused {
            proxy: proxy.to_string(),
            why: format!(
                "cannot be judged: the system's root certificates cannot be read: {error}"
            ),
        })?;
        let inner = roots.https_or_http().enable_http1().wrap_connector(tcp);
        let tunnel = Tunnel::new(proxy.uri.clone(), inner);
        let tunnel = match &proxy.login {
            Some(login) => tunnel.with_auth(login.clone()),
            None => tunnel,
        };
        Ok(Self {
            tunnel,
            proxy: Arc::new(proxy),
        })
    }
}

impl Service<Uri> for Through {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = ProxyError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ProxyError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        let proxy = Arc::clone(&self.proxy);
        let ready = self.tunnel.poll_ready(context);
        ready.map_err(|error| refused(&proxy, "it", &error))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let proxy = Arc::clone(&self.proxy);
        let port = to.port_u16().unwrap_or(HTTPS_PORT);
        let place = format!("{}:{port}", to.host().unwrap_or_default());
        let connecting = self.tunnel.call(to);
        Box::pin(async move {
            connecting
                .await
                .map_err(|error| refused(&proxy, &place, &error))
        })
    }
}

/// Turns a failed connection into cause and remedy. The library exposes no status code of the
/// proxy, so the text is matched.
fn refused(proxy: &Proxy, to: &str, error: &impl std::error::Error) -> ProxyError {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(deeper) = deepest.source() {
        deepest = deeper;
    }
    let said = error.to_string();
    let why = if said.contains("authorization required") {
        format!(
            "wants a login before it connects to `{to}` (407): write it into the variable, as http://NAME:PASSWORD@HOST:PORT"
        )
    } else if said.contains("unsuccessful") {
        format!(
            "does not connect to `{to}`: have `{to}` allowed there, or name its host in NO_PROXY"
        )
    } else {
        format!("cannot be used to reach `{to}`: {deepest}")
    };
    ProxyError::Refused {
        proxy: proxy.to_string(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(all: &[(&str, &str)]) -> Proxies {
        Proxies::of(|name| {
            let found = all.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn is_direct(no: &str, address: &str) -> bool {
        let all = proxies(&[
            ("HTTPS_PROXY", "http://proxy.example:3128"),
            ("NO_PROXY", no),
        ]);
        all.to(address).unwrap().is_none()
    }

    #[test]
    fn e42_what_no_proxy_names_is_reached_directly() {
        let broker = "https://broker.corp.example:7443";
        for no in [
            "*",
            "broker.corp.example",
            "corp.example",
            ".corp.example",
            "*.corp.example",
            "CORP.example.",
            "a.example, .corp.example",
            "a.example .corp.example",
            "broker.corp.example:7443",
            ".corp.example:7443",
        ] {
            assert!(is_direct(no, broker), "{no}");
        }
        for no in [
            "",
            "orp.example",
            "broker.corp.example.com",
            "broker.corp.example:443",
            "10.0.0.0/8",
            ",",
        ] {
            assert!(!is_direct(no, broker), "{no}");
        }
        for (no, address) in [
            ("10.0.0.0/8", "https://10.1.2.3"),
            ("10.1.2.3", "https://10.1.2.3:7443"),
            ("10.1.2.3:7443", "https://10.1.2.3:7443"),
            ("fd00::/8", "https://[fd00::1]:7443"),
            ("[fd00::1]", "https://[fd00::1]:7443"),
            ("[fd00::1]:7443", "https://[fd00::1]:7443"),
            ("fd00::1", "https://[fd00::1]"),
        ] {
            assert!(is_direct(no, address), "{no} {address}");
        }
        assert!(!is_direct("10.0.0.0/8", "https://11.1.2.3"));
        assert!(!is_direct("[fd00::1]:443", "https://[fd00::1]:7443"));
    }

    #[test]
    fn e42_loopback_is_never_reached_through_a_proxy() {
        for address in [
            "https://localhost:7443",
            "https://LOCALHOST",
            "https://a.localhost",
            "https://127.0.0.1:7070",
            "https://127.8.9.1",
            "https://[::1]:7443",
            "https://[::ffff:127.0.0.1]:7443",
            "http://127.0.0.1:7070",
        ] {
            assert!(is_direct("", address), "{address}");
        }
        assert!(!is_direct("", "https://localhost.example"));
    }

    #[test]
    fn e42_the_first_variable_that_is_not_empty_names_the_proxy() {
        let shown = |all: &[(&str, &str)]| {
            let found = proxies(all).to("https://broker.example").unwrap();
            found.map(|proxy| proxy.to_string())
        };
        let is = |text: &str| Some(format!("the proxy {text}"));
        assert_eq!(shown(&[]), None);
        assert_eq!(shown(&[("HTTP_PROXY", "http://a:1")]), None);
        assert_eq!(
            shown(&[("https_proxy", "http://a:1"), ("ALL_PROXY", "http://b:2")]),
            is("http://a:1 (https_proxy)")
        );
        assert_eq!(
            shown(&[("HTTPS_PROXY", ""), ("all_proxy", "b:2")]),
            is("http://b:2 (all_proxy)")
        );
        let secret = proxies(&[("HTTPS_PROXY", "http://user:c4nary@proxy.example:3128")]);
        let proxy = secret.to("https://broker.example").unwrap().unwrap();
        assert_eq!(
            proxy.to_string(),
            "the proxy http://proxy.example:3128 (HTTPS_PROXY)"
        );
        assert!(proxy.login.is_some());
        assert!(!format!("{secret:?}").contains("c4nary"));
        let url = secret.url("https://broker.example").unwrap();
        assert_eq!(url.password(), Some("c4nary"));
    }

    #[test]
    fn e42_a_variable_that_names_no_proxy_is_named_without_its_value() {
        for value in [
            "socks5://user:c4nary@proxy:1080",
            "ftp://c4nary",
            "http://",
            "a b",
        ] {
            let refused = proxies(&[("ALL_PROXY", value)]).to("https://broker.example");
            let said = refused
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default();
            assert!(
                said.starts_with("ALL_PROXY names no proxy"),
                "{value}: {said}"
            );
            assert!(!said.contains("c4nary"), "{said}");
            // The settings are no obstacle to destinations that bypass the proxy.
            let direct = proxies(&[("ALL_PROXY", value), ("NO_PROXY", "broker.example")]);
            assert!(direct.to("https://broker.example").unwrap().is_none());
        }
    }

    /// Runs a proxy that answers one CONNECT with `status`; returns the outcome and the request.
    async fn answered(status: &str) -> (Result<(), String>, String) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let value = format!("http://user:c4nary@{}", listener.local_addr().unwrap());
        let named = proxies(&[("HTTPS_PROXY", &value)]);
        let proxy = named.to("https://broker.example:7443").unwrap().unwrap();
        let mut through = Through::new(proxy).unwrap();
        let to = Uri::from_static("https://broker.example:7443");
        let connecting = tokio::spawn(async move {
            std::future::poll_fn(|context| through.poll_ready(context)).await?;
            through.call(to).await.map(drop)
        });
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            asked.push(peer.read_u8().await.unwrap());
        }
        let answer = format!("HTTP/1.1 {status}\r\n\r\n");
        peer.write_all(answer.as_bytes()).await.unwrap();
        let connected = connecting.await.unwrap();
        let asked = String::from_utf8(asked).unwrap();
        (connected.map_err(|error| error.to_string()), asked)
    }

    #[tokio::test]
    async fn e42_a_connection_is_made_by_connect_and_a_refusal_names_the_proxy() {
        let (connected, asked) = answered("200 Connection established").await;
        assert_eq!(connected, Ok(()));
        assert!(
            asked.starts_with("CONNECT broker.example:7443 HTTP/1.1\r\n"),
            "{asked}"
        );
        assert!(asked.contains("Proxy-Authorization: Basic "), "{asked}");
        for (status, why) in [
            (
                "407 Proxy Authentication Required",
                "wants a login before it connects to `broker.example:7443` (407)",
            ),
            (
                "403 Forbidden",
                "does not connect to `broker.example:7443`: have",
            ),
            (
                "502 Bad Gateway",
                "does not connect to `broker.example:7443`: have",
            ),
        ] {
            let said = answered(status).await.0.unwrap_err();
            assert!(said.starts_with("the proxy http://127.0.0.1:"), "{said}");
            assert!(
                said.contains("(HTTPS_PROXY)") && said.contains(why),
                "{said}"
            );
            assert!(!said.contains("c4nary"), "{said}");
        }
    }
}
