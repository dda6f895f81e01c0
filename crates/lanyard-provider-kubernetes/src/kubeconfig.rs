//! Reads a target's kubeconfig as kubectl does, and refuses one with which the server could not be
//! verified.

use std::net::IpAddr;
use std::path::Path;

use hyper_util::client::proxy::matcher::Matcher;
use kube::Config;
use kube::config::{Cluster, KubeConfigOptions, Kubeconfig};
use lanyard_secret_file::{SecretFileError, open_plain, read_plain};
use secrecy::{ExposeSecret as _, SecretString};

/// The reason why a cluster cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig is invalid.
    #[error("the kubeconfig cannot be used: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// The kubeconfig has no such context, or none is chosen.
    #[error(
        "the kubeconfig has {}: name one of its contexts with `context` ({})",
        missing(.named.as_deref()),
        if .contexts.is_empty() { "it has none".to_owned() } else { .contexts.join(", ") }
    )]
    Context {
        /// The context that the configuration or the kubeconfig names.
        named: Option<String>,
        /// The first contexts of the kubeconfig.
        contexts: Vec<String>,
    },
    /// The kubeconfig turns off the verification of the server.
    #[error(
        "the kubeconfig sets `insecure-skip-tls-verify` for `{0}`, so any server at that address would receive the broker's credential: \
         name the cluster's certificate authority (`certificate-authority-data`), and `tls-server-name` where its certificate has \
         another name"
    )]
    Unverified(String),
    /// The server uses plain HTTP on another machine.
    #[error(
        "the server `{0}` of the kubeconfig is not https: plain http is allowed only for a server on this machine"
    )]
    Plain(String),
    /// No kubeconfig is named, and the process does not run in a pod.
    #[error(
        "no kubeconfig is configured, and this process does not run in a pod of a cluster: {0}"
    )]
    InCluster(#[from] kube::config::InClusterError),
    /// The HTTP client cannot be created.
    #[error("the client cannot be set up: {0}")]
    Client(#[from] kube::Error),
    /// A file cannot be read: the kubeconfig, or one that it names.
    #[error(transparent)]
    File(#[from] SecretFileError),
}

fn missing(named: Option<&str>) -> String {
    match named {
        Some(name) => format!("no context `{}`", name.escape_debug()),
        None => "no current context".to_owned(),
    }
}

/// Variables that name a proxy, in order of precedence. kubectl reads no others.
const PROXY_VARIABLES: &[&str] = &["HTTPS_PROXY", "https_proxy"];
const EXCEPTIONS: &[&str] = &["NO_PROXY", "no_proxy"];
/// Number of contexts that an error lists.
const CONTEXTS_SHOWN: usize = 10;

/// Checks the kubeconfig, or without one this pod's configuration, as
/// [`Cluster::connect`](crate::Cluster::connect) does. Starts no credential plugin and makes no
/// call.
///
/// # Errors
/// When there is no usable configuration.
pub async fn look(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<(), ConnectError> {
    configured(kubeconfig, context).await.map(drop)
}

/// Returns the client's configuration, and the proxy that the kubeconfig names. A proxy from the
/// broker's own environment is not passed on to agents.
pub(crate) async fn configured(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
) -> Result<(Config, String), ConnectError> {
    let Some(path) = kubeconfig else {
        return Ok((Config::incluster()?, String::new()));
    };
    let kubeconfig = read_kubeconfig(path)?;
    let named = context.or(kubeconfig.current_context.as_deref());
    let named = named.filter(|name| !name.is_empty());
    let chosen = kubeconfig
        .contexts
        .iter()
        .find(|it| Some(it.name.as_str()) == named);
    let Some(chosen) = chosen else {
        let contexts = kubeconfig.contexts.iter().take(CONTEXTS_SHOWN);
        return Err(ConnectError::Context {
            named: named.map(str::to_owned),
            contexts: contexts
                .map(|it| format!("`{}`", it.name.escape_debug()))
                .collect(),
        });
    };
    let of_context = chosen.context.as_ref().map(|it| it.cluster.as_str());
    let cluster = kubeconfig
        .clusters
        .iter()
        .find(|it| Some(it.name.as_str()) == of_context);
    let cluster = cluster.and_then(|it| it.cluster.as_ref());
    let names_proxy = cluster.is_some_and(|it| it.proxy_url.is_some());
    let proxy_url = match cluster {
        Some(cluster) => {
            verified(cluster)?;
            proxy_url(cluster).unwrap_or_default()
        }
        // kube's error names the missing cluster.
        None => String::new(),
    };
    let options = KubeConfigOptions {
        context: Some(chosen.name.clone()),
        ..KubeConfigOptions::default()
    };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    if !names_proxy {
        config.proxy_url =
            proxy_of_environment(&config.cluster_url, |name| std::env::var(name).ok());
    }
    Ok((config, proxy_url))
}

/// Refuses a server that would not be verified: the broker creates Roles and tokens there, and
/// sends its own credential with each request.
fn verified(cluster: &Cluster) -> Result<(), ConnectError> {
    let server = cluster.server.as_deref().unwrap_or_default();
    let uri: Option<http::Uri> = server.parse().ok();
    let is_plain = uri.as_ref().and_then(http::Uri::scheme_str) == Some("http");
    if is_plain && !uri.as_ref().is_some_and(is_loopback) {
        return Err(ConnectError::Plain(server.to_owned()));
    }
    if cluster.insecure_skip_tls_verify == Some(true) && !is_plain {
        return Err(ConnectError::Unverified(server.to_owned()));
    }
    Ok(())
}

/// Returns the cluster's proxy URL without the login, which belongs to the broker and must not
/// reach agents.
fn proxy_url(cluster: &Cluster) -> Option<String> {
    let named = cluster.proxy_url.as_deref()?;
    let (scheme, rest) = named.split_once("://")?;
    let (place, _) = rest.split_once('/').unwrap_or((rest, ""));
    let host = place.rsplit_once('@').map_or(place, |(_, host)| host);
    Some(format!("{scheme}://{host}"))
}

/// Returns the proxy that the environment names for this server. kube itself compares `NO_PROXY`
/// with the proxy's address instead of the server's, and uses the proxy for loopback too.
fn proxy_of_environment(
    server: &http::Uri,
    variable: impl Fn(&str) -> Option<String>,
) -> Option<http::Uri> {
    // An empty variable turns the proxy off.
    let get = |name: &&str| variable(name).filter(|value| !value.trim().is_empty());
    let proxy = PROXY_VARIABLES.iter().find_map(get)?;
    if is_loopback(server) {
        return None;
    }
    let exceptions = EXCEPTIONS.iter().find_map(get).unwrap_or_default();
    let matcher = Matcher::builder()
        .all(proxy.as_str())
        .no(exceptions)
        .build();
    matcher.intercept(server)?;
    proxy.parse().ok()
}

fn is_loopback(server: &http::Uri) -> bool {
    let host = server.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    host == "localhost" || address.is_ok_and(|it: IpAddr| it.is_loopback())
}

/// Reads a kubeconfig and checks the files that it names: the kube client opens those itself, and
/// would wait at a FIFO.
fn read_kubeconfig(path: &Path) -> Result<Kubeconfig, ConnectError> {
    read_plain(path)?;
    let mut read = Kubeconfig::read_from(path)?;
    as_kubectl_reads(&mut read);
    let clusters = read.clusters.iter().filter_map(|it| it.cluster.as_ref());
    let authorities = clusters.filter_map(|it| it.certificate_authority.as_ref());
    let users = read
        .auth_infos
        .iter()
        .filter_map(|it| it.auth_info.as_ref());
    let of_users = users.flat_map(|it| [&it.client_certificate, &it.client_key, &it.token_file]);
    for named in authorities.chain(of_users.flatten()) {
        // A missing file is not an error here: it may belong to another context.
        if let Err(error @ SecretFileError::NotPlain { .. }) = open_plain(Path::new(named)) {
            return Err(error.into());
        }
    }
    Ok(read)
}

/// Treats empty fields as absent and joins Base64 that spans lines, as kubectl does. Templates
/// write empty fields, and `base64` breaks lines.
fn as_kubectl_reads(read: &mut Kubeconfig) {
    let clusters = read.clusters.iter_mut();
    for cluster in clusters.filter_map(|it| it.cluster.as_mut()) {
        joined(&mut cluster.certificate_authority_data);
        for text in [&mut cluster.proxy_url, &mut cluster.tls_server_name] {
            present(text);
        }
        named(&mut cluster.certificate_authority);
    }
    let users = read.auth_infos.iter_mut();
    for user in users.filter_map(|it| it.auth_info.as_mut()) {
        joined(&mut user.client_certificate_data);
        for file in [
            &mut user.client_certificate,
            &mut user.client_key,
            &mut user.token_file,
        ] {
            named(file);
        }
        let key = user.client_key_data.take();
        let key = key.map(|key| SecretString::from(in_one_line(key.expose_secret())));
        user.client_key_data = key.filter(|key| !key.expose_secret().is_empty());
        for secret in [&mut user.token, &mut user.password] {
            *secret = secret.take().filter(|it| !it.expose_secret().is_empty());
        }
        present(&mut user.username);
        present(&mut user.impersonate);
    }
}

fn present(text: &mut Option<String>) {
    *text = text.take().filter(|text| !text.is_empty());
}

/// Drops an empty path. kube has prefixed each relative path with the kubeconfig's folder, so an
/// empty one ends with a slash, which no file's path does.
fn named(file: &mut Option<String>) {
    *file = file
        .take()
        .filter(|it| !it.is_empty() && !it.ends_with('/'));
}

fn joined(base64: &mut Option<String>) {
    *base64 = base64.take().map(|it| in_one_line(&it));
    present(base64);
}

/// Removes the line breaks in Base64, which kubectl ignores too.
fn in_one_line(base64: &str) -> String {
    base64
        .chars()
        .filter(|c| !matches!(c, '\r' | '\n'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e42_a_cluster_is_reached_without_the_proxy_where_an_exception_names_it() {
        let found = |server: &str, variables: &[(&str, &str)]| {
            let get = |name: &str| {
                let found = variables.iter().find(|(own, _)| *own == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            let server = server.parse().unwrap_or_default();
            proxy_of_environment(&server, get).map(|uri| uri.to_string())
        };
        let proxy = ("HTTPS_PROXY", "http://me:word@proxy.acme.example:3128");
        let through = Some("http://me:word@proxy.acme.example:3128/".to_owned());
        let api = "https://api.shop.acme.example:6443";
        assert_eq!(found(api, &[proxy]), through);
        assert_eq!(found(api, &[("https_proxy", proxy.1)]), through);
        assert_eq!(found(api, &[]), None);
        assert_eq!(found(api, &[("HTTPS_PROXY", ""), ("NO_PROXY", "*")]), None);
        for (server, exceptions) in [
            (api, "api.shop.acme.example"),
            (api, ".acme.example"),
            (api, "other.example, acme.example"),
            (api, "*"),
            ("https://10.96.0.1", "10.96.0.0/12"),
            ("https://10.96.0.1:6443", "10.96.0.1"),
        ] {
            let variables = [proxy, ("NO_PROXY", exceptions)];
            assert_eq!(found(server, &variables), None, "{server} {exceptions}");
            let variables = [proxy, ("no_proxy", exceptions)];
            assert_eq!(found(server, &variables), None, "{server} {exceptions}");
        }
        // An exception that names the proxy itself excludes no cluster.
        for exceptions in ["proxy.acme.example", "10.0.0.0/8", "shop.example"] {
            let variables = [proxy, ("NO_PROXY", exceptions)];
            assert_eq!(found(api, &variables), through, "{exceptions}");
        }
        // The addresses at which `kind` and `kubectl proxy` listen.
        for here in [
            "https://127.0.0.1:6443",
            "https://localhost:6443",
            "https://[::1]:6443",
        ] {
            assert_eq!(found(here, &[proxy]), None, "{here}");
        }
    }
}
