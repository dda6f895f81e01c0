//! YAML scalars as kubectl and the API server read them: YAML 1.1, in the dialect of the library
//! that both use.
//!
//! <https://github.com/kubernetes-sigs/yaml/tree/master/goyaml.v2> (`resolve.go`);
//! `sigs.k8s.io/yaml` then converts the values to JSON.

use serde_json::{Number, Value};

/// Smallest number that Go prints with an exponent. Whole numbers below are read as integers.
const WITHOUT_EXPONENT: f64 = 1e21;

/// Parses a scalar without quotes.
///
/// # Errors
/// The value does not exist in JSON.
pub(crate) fn plain(text: &str) -> Result<Value, String> {
    let value = match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Value::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Value::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
        | "-.inf" | "-.Inf" | "-.INF" => {
            return Err(format!(
                "`{text}` is a number that JSON does not have; put it in quotes"
            ));
        }
        _ => match number(text) {
            Some(number) => number?,
            None => Value::String(text.to_owned()),
        },
    };
    Ok(value)
}

/// Parses a key, which JSON always treats as a string.
///
/// # Errors
/// The key is null or no scalar.
pub(crate) fn key(text: &str) -> Result<String, String> {
    match plain(text)? {
        Value::String(text) => Ok(text),
        Value::Number(_) => number_key(text),
        Value::Bool(_) => Ok(plain(text)?.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(format!(
            "`{text}` is no key: the cluster reads nothing in it"
        )),
    }
}

/// Prints a number as the cluster's YAML reader does in a key: a float as Go's `%g` with the
/// shortest digits that a 32-bit float needs, although it may become an integer as a value.
fn number_key(text: &str) -> Result<String, String> {
    let digits = text.replace('_', "");
    if let Some(whole) = whole(&digits) {
        return match whole.as_i64() {
            Some(number) => Ok(number.to_string()),
            None => Err(format!(
                "`{text}` is no key for the cluster: put it in quotes"
            )),
        };
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the cluster's reader rounds the key so"
    )]
    let value = decimal(&digits).unwrap_or_default() as f32;
    if value.is_infinite() {
        let sign = if value < 0.0 { "-" } else { "" };
        return Ok(format!("{sign}.inf"));
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&power) {
        return Ok(value.to_string());
    }
    let sign = if power < 0 { '-' } else { '+' };
    Ok(format!("{mantissa}e{sign}{:02}", power.abs()))
}

fn number(text: &str) -> Option<Result<Value, String>> {
    let first = text.chars().next()?;
    if first == '.' {
        // A leading dot makes a float: without sign, and with underscores between digits only.
        let bytes = text.as_bytes();
        let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
        let separates = |place: usize| {
            place > 0 && is_digit(bytes.get(place - 1)) && is_digit(bytes.get(place + 1))
        };
        let all = bytes.iter().enumerate();
        if !all
            .filter(|(_, byte)| **byte == b'_')
            .all(|(place, _)| separates(place))
        {
            return None;
        }
        return decimal(&text.replace('_', "")).map(|value| float(text, value));
    }
    if !first.is_ascii_digit() && first != '+' && first != '-' {
        return None;
    }
    let digits = text.replace('_', "");
    whole(&digits)
        .map(Ok)
        .or_else(|| decimal(&digits).map(|value| float(text, value)))
}

/// Parses an integer by Go's rules for literals: `0x1f`, `0o17`, `017`, `0b101`.
fn whole(text: &str) -> Option<Value> {
    let (negative, unsigned) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let lower = unsigned.to_ascii_lowercase();
    let (digits, radix) = match lower.as_bytes() {
        [b'0', b'x', ..] => (lower.get(2..)?, 16),
        [b'0', b'o', ..] => (lower.get(2..)?, 8),
        [b'0', b'b', ..] => (lower.get(2..)?, 2),
        [b'0', _, ..] => (lower.get(1..)?, 8),
        _ => (lower.as_str(), 10),
    };
    // `from_str_radix` would accept a second sign.
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    if negative {
        let number = i64::from_str_radix(&format!("-{digits}"), radix).ok()?;
        return Some(Value::Number(number.into()));
    }
    // Go tries an unsigned integer for larger numbers, but only if no sign was written.
    let number = u64::from_str_radix(digits, radix).ok()?;
    let fits = i64::try_from(number).is_ok() || !text.starts_with('+');
    fits.then(|| Value::Number(number.into()))
}

/// Parses a decimal number: `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
fn decimal(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_mantissa = match mantissa.split_once('.') {
        Some(("", after)) => !after.is_empty() && digits(after),
        Some((before, after)) => digits(before) && digits(after),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    let is_exponent = exponent.is_none_or(|exponent| {
        let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !unsigned.is_empty() && digits(unsigned)
    });
    (is_mantissa && is_exponent)
        .then(|| text.strip_prefix('+').unwrap_or(text).parse().ok())
        .flatten()
}

fn float(text: &str, value: f64) -> Result<Value, String> {
    // Go prints a float without a fraction as an integer, and the API server reads that integer.
    if value.fract() == 0.0 && value.abs() < WITHOUT_EXPONENT {
        let printed = format!("{value:.0}");
        if let Ok(whole) = printed.parse::<i64>() {
            return Ok(Value::Number(whole.into()));
        }
    }
    match Number::from_f64(value) {
        Some(number) => Ok(Value::Number(number)),
        // Go refuses a float that is out of range, so the scalar stays a string.
        None => Ok(Value::String(text.to_owned())),
    }
}
