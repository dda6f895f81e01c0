//! Spans of time as people write them and read them: `90s`, `10m`, `1h30m`, `7d`.

use std::time::Duration;

use lanyard_core::time::Ttl;

const UNITS: [(char, u32); 4] = [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];

/// `10m`, `1h30m` and the like: whole numbers with a unit, the larger unit first.
pub(crate) fn parse(text: &str) -> Result<Ttl, String> {
    let wrong = || format!("`{text}` is no span of time: write 90s, 10m, 1h30m or 7d");
    let (mut rest, mut seconds, mut smallest) = (text, 0_u32, u32::MAX);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = rest.split_at_checked(digits).ok_or_else(wrong)?;
        let mut units = UNITS.iter();
        let (letter, size) = units
            .find(|(letter, _)| unit.starts_with(*letter))
            .ok_or_else(wrong)?;
        let number: u32 = number.parse().map_err(|_| wrong())?;
        let part = number.checked_mul(*size);
        seconds = part
            .and_then(|part| seconds.checked_add(part))
            .filter(|_| *size < smallest)
            .ok_or_else(wrong)?;
        smallest = *size;
        rest = unit.strip_prefix(*letter).unwrap_or_default();
    }
    if smallest == u32::MAX {
        return Err(wrong());
    }
    Ttl::from_secs(seconds).map_err(|error| error.to_string())
}

/// The same form, with the two largest units: `1h30m`, `45s`.
pub(crate) fn shown(span: Duration) -> String {
    let mut left = span.as_secs();
    let mut parts = Vec::new();
    for (letter, size) in UNITS {
        let count = left / u64::from(size);
        left %= u64::from(size);
        if count > 0 {
            parts.push(format!("{count}{letter}"));
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() {
        return "0s".to_owned();
    }
    parts.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn friction_spans_have_one_form() {
        for (text, seconds) in [
            ("90s", 90),
            ("10m", 600),
            ("1h30m", 5400),
            ("7d", 604_800),
            ("1d1h1m1s", 90_061),
        ] {
            assert_eq!(parse(text).unwrap().as_secs(), seconds, "{text}");
        }
        for text in [
            "",
            "5",
            "m",
            "-5m",
            "5M",
            "1m1h",
            "5m5m",
            "1.5h",
            "0s",
            "5m ",
            "90000000h",
            "1h30",
        ] {
            let error = parse(text).unwrap_err();
            assert!(!error.is_empty(), "{text}");
        }
        for (seconds, text) in [
            (0, "0s"),
            (45, "45s"),
            (5400, "1h30m"),
            (86_399, "23h59m"),
            (86_400, "1d"),
            (86_405, "1d"),
        ] {
            assert_eq!(shown(Duration::from_secs(seconds)), text);
        }
    }
}
