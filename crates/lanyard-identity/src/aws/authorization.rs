//! The `Authorization` header of Signature Version 4. One exact form is accepted.

use lanyard_vocabulary::time::Timestamp;

/// The parts of the header. Only AWS can verify the signature.
pub(super) struct Authorization<'a> {
    pub(super) key: &'a str,
    pub(super) date: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    pub(super) signed: &'a str,
    pub(super) signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// Parses a header. Other spacing, order or algorithms are refused.
    pub(super) fn parse(header: &'a str) -> Option<Self> {
        let rest = header.strip_prefix("AWS4-HMAC-SHA256 Credential=")?;
        let (credential, rest) = rest.split_once(", SignedHeaders=")?;
        let (signed, signature) = rest.split_once(", Signature=")?;
        let mut parts = credential.split('/');
        let mut next = || parts.next();
        let (key, date, region, service) = (next()?, next()?, next()?, next()?);
        let ends = next() == Some("aws4_request") && next().is_none();
        (ends && is_key(key) && is_signature(signature)).then_some(Self {
            key,
            date,
            region,
            service,
            signed,
            signature,
        })
    }

    /// Renders the header from its parsed parts.
    pub(super) fn rebuilt(&self) -> String {
        let Self {
            key,
            date,
            region,
            service,
            signed,
            signature,
        } = self;
        format!(
            "AWS4-HMAC-SHA256 Credential={key}/{date}/{region}/{service}/aws4_request, \
             SignedHeaders={signed}, Signature={signature}"
        )
    }
}

fn is_key(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    (16..=128).contains(&text.len()) && text.bytes().all(allowed)
}

/// Checks the form of a signature. Upper case is refused: with two spellings of one signature, a
/// replay would not be recognised.
fn is_signature(text: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == 64 && text.bytes().all(allowed)
}

/// Parses a UTC time in the basic format of ISO 8601: `20261121T223900Z`.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    let digits = |(place, byte): (usize, u8)| match place {
        8 => byte == b'T',
        15 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    };
    if text.len() != 16 || !text.bytes().enumerate().all(digits) {
        return None;
    }
    let civil = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    let at = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    let seconds = u64::try_from(at.timestamp().as_second()).ok()?;
    Some(Timestamp::from_secs(seconds))
}
