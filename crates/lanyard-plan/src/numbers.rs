//! JSON numbers that a double cannot represent. Two such numbers may parse to the same double,
//! which would hide their difference.

use std::borrow::Cow;

use serde_json::{Number, Value};

/// Suffix of a number that is kept as text.
const AS_TEXT: &str = " (a number)";

/// Rewrites JSON so that each number no reader here can hold becomes a string of all its digits.
pub(crate) fn exact(json: &str) -> Cow<'_, str> {
    let mut written = String::new();
    let (mut kept, mut at, mut in_text) = (0, 0, false);
    let bytes = json.as_bytes();
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if in_text => at += 1,
            b'"' => in_text = !in_text,
            b'-' | b'0'..=b'9' if !in_text => {
                let rest = json.get(at..).unwrap_or_default();
                let is_part =
                    |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
                let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                let token = rest.get(..end).unwrap_or_default();
                if !is_held(token) {
                    written.push_str(json.get(kept..at).unwrap_or_default());
                    written.push_str(&Value::String(format!("{token}{AS_TEXT}")).to_string());
                    kept = at + end;
                }
                at += end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    if kept == 0 {
        return Cow::Borrowed(json);
    }
    written.push_str(json.get(kept..).unwrap_or_default());
    Cow::Owned(written)
}

/// Returns the digits of a number that was kept as text.
pub(crate) fn digits(text: &str) -> Option<&str> {
    text.strip_suffix(AS_TEXT).filter(|text| is_number(text))
}

/// True if the token is no number (the parser reports that), or if the parsed number prints as
/// written.
fn is_held(token: &str) -> bool {
    // A double holds any number of at most 15 digits.
    if token.len() <= 15 && !token.contains(['e', 'E']) || !is_number(token) {
        return true;
    }
    let held: Option<Number> = serde_json::from_str(token).ok();
    held.is_some_and(|held| decimal(&held.to_string()) == decimal(token))
}

/// Checks the number syntax of JSON.
fn is_number(token: &str) -> bool {
    let unsigned = token.strip_prefix('-').unwrap_or(token);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|it| digits(it.strip_prefix(['+', '-']).unwrap_or(it)))
}

/// Returns the sign, the significant digits, and the power of ten of the last digit.
fn decimal(token: &str) -> Option<(bool, String, i64)> {
    let (negative, unsigned) = match token.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, token),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    let kept = digits.trim_end_matches('0');
    if kept.is_empty() {
        return Some((false, String::new(), 0));
    }
    let cut = i64::try_from(digits.len() - kept.len()).ok()?;
    let behind = i64::try_from(fraction.len()).ok()?;
    let power = exponent.checked_sub(behind)?.checked_add(cut)?;
    Some((negative, kept.to_owned(), power))
}

#[cfg(test)]
mod tests {
    use super::exact;

    #[test]
    fn s02_numbers_that_no_double_holds_are_texts_with_all_of_their_digits() {
        for (json, written) in [
            (
                "123456789012345678901",
                "\"123456789012345678901 (a number)\"",
            ),
            (
                "[-123456789012345678901]",
                "[\"-123456789012345678901 (a number)\"]",
            ),
            (
                "{\"a\":0.30000000000000001}",
                "{\"a\":\"0.30000000000000001 (a number)\"}",
            ),
            ("1e999", "\"1e999 (a number)\""),
            ("1e-999", "\"1e-999 (a number)\""),
            ("9007199254740993.5", "\"9007199254740993.5 (a number)\""),
            // Represented exactly.
            ("18446744073709551615", "18446744073709551615"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("0.1", "0.1"),
            ("1.50", "1.50"),
            ("1E+2", "1E+2"),
            ("100000000000000000000000", "100000000000000000000000"),
            ("-0.0", "-0.0"),
            // Inside strings, behind escapes, and tokens that are no numbers.
            (
                "\"\\\"123456789012345678901\"",
                "\"\\\"123456789012345678901\"",
            ),
            (
                "\"é\\\\\" 123456789012345678901",
                "\"é\\\\\" \"123456789012345678901 (a number)\"",
            ),
            ("0123456789012345678901", "0123456789012345678901"),
            ("1-123456789012345678901", "1-123456789012345678901"),
        ] {
            assert_eq!(exact(json), written, "{json}");
        }
    }
}
