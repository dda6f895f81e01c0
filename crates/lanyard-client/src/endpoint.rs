//! Addresses of brokers, and whether credentials may be sent to them.

/// True if nobody on the network path can read what is sent to `endpoint`.
pub(crate) fn travels_safely(endpoint: &str) -> bool {
    let loopback = ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"];
    endpoint.starts_with("https://") || loopback.iter().any(|p| endpoint.starts_with(p))
}
