//! Spans of time as people write them: `90s`, `10m`, `2h`.

use lanyard_core::time::Ttl;

/// `10m` and the like.
pub(crate) fn parse(text: &str) -> Result<Ttl, String> {
    let split = text.len().saturating_sub(1);
    let (number, unit) = text.split_at_checked(split).unwrap_or((text, ""));
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("expected a span: 90s, 10m, 2h".to_owned()),
    };
    let number: u32 = number
        .parse()
        .map_err(|_| "expected a span: 90s, 10m, 2h".to_owned())?;
    let seconds = number.checked_mul(unit).unwrap_or_default();
    Ttl::from_secs(seconds).map_err(|error| error.to_string())
}
