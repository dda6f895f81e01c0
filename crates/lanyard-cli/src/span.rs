//! Spans of time as people write them and read them: `90s`, `10m`, `1h30m`, `7d`.

use std::time::Duration;

use lanyard_vocabulary::time::Ttl;

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

/// A span in seconds; a bare number is one of seconds, as scripts of before have it.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(seconds) => Ok(seconds),
        Err(_) => parse(text).map(|span| u64::from(span.as_secs())),
    }
}

/// A span in the form that is read, with its two largest units: `1h30m`, `45s`.
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

/// A time as people write it: a span ago (`2h`, `1d12h`), RFC 3339 (`2026-11-30T03:00:00Z`), or a
/// day, from its beginning in UTC.
pub(crate) fn moment(text: &str) -> Result<jiff::Timestamp, String> {
    let text = text.trim();
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(at);
    }
    if let Ok(day) = text.parse::<jiff::civil::Date>() {
        let begins = day.to_zoned(jiff::tz::TimeZone::UTC);
        return begins
            .map(|at| at.timestamp())
            .map_err(|error| error.to_string());
    }
    let span = parse(text).ok();
    let ago = span.map(|span| jiff::SignedDuration::from_secs(i64::from(span.as_secs())));
    let at = ago.and_then(|ago| jiff::Timestamp::now().checked_sub(ago).ok());
    at.ok_or_else(|| {
        "expected a span ago (90s, 2h, 7d), a time (2026-11-30T03:00:00Z) or a day (2026-11-30)"
            .to_owned()
    })
}

/// Returns the time since then: `12s`, `5m`, `3h05m`, `4d`.
pub(crate) fn since(at: Option<lanyard_client::Time>) -> String {
    let Some(at) = at else {
        return String::new();
    };
    short(
        jiff::Timestamp::now()
            .as_second()
            .saturating_sub(at.seconds),
    )
}

/// Returns the time until then; `over` if it is past.
pub(crate) fn until(at: Option<lanyard_client::Time>) -> String {
    let Some(at) = at else {
        return String::new();
    };
    match at
        .seconds
        .saturating_sub(jiff::Timestamp::now().as_second())
    {
        ..=0 => "over".to_owned(),
        seconds => short(seconds),
    }
}

/// A span in six characters at most.
pub(crate) fn short(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    match seconds {
        ..=0 => "0s".to_owned(),
        seconds @ 1..MINUTE => format!("{seconds}s"),
        seconds @ MINUTE..HOUR => format!("{}m", seconds / MINUTE),
        seconds @ HOUR..DAY => format!("{}h{:02}m", seconds / HOUR, seconds % HOUR / MINUTE),
        seconds => format!("{}d", seconds / DAY),
    }
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

    #[test]
    fn friction_a_wait_is_a_span_and_a_bare_number_is_seconds() {
        for (text, expected) in [
            ("90", 90),
            ("90s", 90),
            ("10m", 600),
            ("1h30m", 5400),
            ("0", 0),
        ] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "m", "-5", "1.5", "5 m", "ten"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn u13_a_time_is_a_span_ago_or_rfc_3339_or_a_day() {
        let at = |text: &str| moment(text).unwrap();
        let exact: jiff::Timestamp = "2026-11-30T03:00:00Z".parse().unwrap();
        assert_eq!(at("2026-11-30T03:00:00Z"), exact);
        assert_eq!(at("2026-11-30T04:00:00+01:00"), exact);
        assert_eq!(at("2026-11-30").to_string(), "2026-11-30T00:00:00Z");
        for (text, seconds) in [("90s", 90), ("5m", 300), ("2h", 7200), ("7d", 604_800)] {
            let ago = jiff::Timestamp::now().as_second() - at(text).as_second();
            assert!((seconds..seconds + 60).contains(&ago), "{text}: {ago}");
        }
        for text in [
            "",
            "h",
            "2",
            "yesterday",
            "2026-13-01",
            "-1h",
            "99999999999d",
        ] {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_span_is_short() {
        let spans = [
            (-5, "0s"),
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3599, "59m"),
        ];
        let longer = [
            (3600, "1h00m"),
            (86_399, "23h59m"),
            (86_400, "1d"),
            (1 << 40, "12725829d"),
        ];
        for (seconds, expected) in spans.into_iter().chain(longer) {
            assert_eq!(short(seconds), expected);
        }
    }
}
