//! Listen addresses, as people write them in the configuration and after `--listen`.

use std::net::{IpAddr, SocketAddr};

use lanyard_vocabulary::text::escaped;

/// Parses `IP:PORT`.
///
/// # Errors
/// Names the missing part. People write a port alone, an address alone or a host name instead.
pub(crate) fn parse(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let shown = escaped(text);
    let digits = text.strip_prefix(':').unwrap_or(text);
    let why = if let Ok(port) = digits.parse::<u16>() {
        format!(": a port needs an address before it, as `127.0.0.1:{port}`")
    } else if text.contains("://") {
        ": leave out the scheme".to_owned()
    } else {
        match text.trim_matches(['[', ']']).parse() {
            Ok(IpAddr::V4(address)) => format!(": it has no port, as in `{address}:7070`"),
            Ok(IpAddr::V6(address)) => format!(": it has no port, as in `[{address}]:7070`"),
            Err(_) => {
                ": give an IP address and a port, as `127.0.0.1:7070` or `[::1]:7070`; names are not looked up".to_owned()
            }
        }
    };
    Err(format!("`{shown}` is no address to listen on{why}"))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn what_people_write_instead_of_an_address_is_answered_with_the_address() {
        for (text, says) in [
            ("7070", "as `127.0.0.1:7070`"),
            (":7071", "as `127.0.0.1:7071`"),
            ("0.0.0.0", "as in `0.0.0.0:7070`"),
            ("::1", "as in `[::1]:7070`"),
            ("[::]", "as in `[::]:7070`"),
            ("localhost:7070", "names are not looked up"),
            ("https://127.0.0.1:7070", "leave out the scheme"),
            ("127.0.0.1:70700", "as `127.0.0.1:7070`"),
            ("", "give an IP address and a port"),
        ] {
            let why = parse(text).unwrap_err();
            assert!(why.contains(says), "`{text}`: {why}");
        }
        assert!(parse("[::1]:7070").is_ok());
    }
}
