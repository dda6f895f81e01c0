//! Functions of opa, reimplemented. Where an implementation cannot answer as opa does, it returns
//! an error, which denies.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Result, anyhow, bail};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use regorus::Value;
use serde::de::IgnoredAny;

/// Decodes as Go does: padding is required, and the unused last bits are ignored.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

fn argument(values: &[Value], place: usize) -> Result<&Value> {
    values
        .get(place)
        .ok_or_else(|| anyhow!("argument {} is missing", place + 1))
}

pub(super) fn text(values: &[Value], place: usize) -> Result<&str> {
    let value = argument(values, place)?;
    if let Value::String(text) = value {
        return Ok(text);
    }
    bail!(
        "argument {} must be a string, found {}",
        place + 1,
        kind(value)
    )
}

/// Returns an integer that fits 64 bits.
fn integer(value: &Value) -> Result<i64> {
    if let Value::Number(number) = value
        && number.is_integer()
        && let Some(integer) = number.as_i64()
    {
        return Ok(integer);
    }
    bail!("expected an integer of 64 bits, found {}", kind(value))
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Set(_) => "a set",
        Value::Object(_) => "an object",
        Value::Undefined => "nothing",
    }
}

/// Counts Unicode characters, not bytes.
pub(super) fn count(values: &[Value]) -> Result<Value> {
    let count = match argument(values, 0)? {
        Value::String(text) => text.chars().count(),
        Value::Array(items) => items.len(),
        Value::Set(items) => items.len(),
        Value::Object(fields) => fields.len(),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Undefined) => {
            bail!("expected a string or a collection, found {}", kind(other))
        }
    };
    Ok(Value::from(count as u64))
}

fn items(values: &[Value]) -> Result<Vec<&Value>> {
    let value = argument(values, 0)?;
    if let Value::Array(items) = value {
        return Ok(items.iter().collect());
    }
    if let Value::Set(items) = value {
        return Ok(items.iter().collect());
    }
    bail!("expected an array or a set, found {}", kind(value))
}

/// Adds integers. Fractions are refused, because opa calculates them exactly.
pub(super) fn sum(values: &[Value]) -> Result<Value> {
    folded(values, 0, i64::checked_add)
}

pub(super) fn product(values: &[Value]) -> Result<Value> {
    folded(values, 1, i64::checked_mul)
}

fn folded(values: &[Value], start: i64, with: fn(i64, i64) -> Option<i64>) -> Result<Value> {
    let mut result = start;
    for item in items(values)? {
        result = with(result, integer(item)?)
            .ok_or_else(|| anyhow!("the result is no integer of 64 bits"))?;
    }
    Ok(Value::from(result))
}

pub(super) fn slice(values: &[Value]) -> Result<Value> {
    let Value::Array(items) = argument(values, 0)? else {
        bail!("argument 1 must be an array");
    };
    let place = |at| {
        let wanted = usize::try_from(integer(argument(values, at)?)?.max(0));
        Ok::<_, anyhow::Error>(wanted.unwrap_or(usize::MAX).min(items.len()))
    };
    let (start, stop) = (place(1)?, place(2)?);
    let some = items.iter().take(stop).skip(start).cloned();
    Ok(Value::from(some.collect::<Vec<Value>>()))
}

pub(super) fn base64_decode(values: &[Value]) -> Result<Value> {
    let text: String = text(values, 0)?
        .chars()
        .filter(|c| !matches!(c, '\r' | '\n'))
        .collect();
    let bytes = BASE64.decode(text)?;
    // opa replaces invalid UTF-8 with replacement characters. Whether this code would replace the
    // same bytes is not tested, so invalid UTF-8 is an error.
    let text = String::from_utf8(bytes).map_err(|_| anyhow!("what is encoded is no text"))?;
    Ok(Value::from(text))
}

/// Checks the syntax without the values: to opa, numbers of any size and halves of surrogate pairs
/// are valid JSON.
pub(super) fn json_is_valid(values: &[Value]) -> Result<Value> {
    let Value::String(text) = argument(values, 0)? else {
        return Ok(Value::from(false));
    };
    let valid = serde_json::from_str::<IgnoredAny>(text).is_ok();
    Ok(Value::from(valid))
}

pub(super) fn json_unmarshal(values: &[Value]) -> Result<Value> {
    let text = text(values, 0)?;
    if let Some(number) = inexact(text) {
        bail!("the number {number} cannot be held exactly");
    }
    Value::from_json_str(text)
}

/// Returns a number of the text that this engine would round. opa keeps numbers as they are
/// written.
fn inexact(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
        rest = rest.get(at..)?;
        if let Some(string) = rest.strip_prefix('"') {
            rest = string.get(end_of_string(string)..)?;
            continue;
        }
        let end = rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'));
        let (number, after) = rest.split_at(end.unwrap_or(rest.len()));
        if !is_exact(number) {
            return Some(number);
        }
        rest = after;
    }
    None
}

/// Returns the position after the closing quote of a string.
fn end_of_string(string: &str) -> usize {
    let mut escaped = false;
    for (at, c) in string.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    string.len()
}

/// True for integers of 64 bits, and for fractions with no more digits than a double holds.
fn is_exact(number: &str) -> bool {
    const DIGITS: usize = 15;
    if number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() {
        return true;
    }
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.chars().filter(char::is_ascii_digit).count();
    let finite = number
        .parse::<f64>()
        .is_ok_and(|value| value.is_finite() && value != 0.0);
    let zero = mantissa.chars().all(|c| matches!(c, '0' | '.' | '-'));
    digits <= DIGITS && (finite || zero)
}

/// Accepts the number syntax of JSON, as opa does.
pub(super) fn to_number(values: &[Value]) -> Result<Value> {
    match argument(values, 0)? {
        Value::Null => Ok(Value::from(0_u64)),
        Value::Bool(value) => Ok(Value::from(u64::from(*value))),
        number @ Value::Number(_) => Ok(number.clone()),
        Value::String(text) => {
            let plain = |c: char| matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E');
            if !text.chars().all(plain) || !is_exact(text) {
                bail!("the text is no number that can be held exactly");
            }
            match Value::from_json_str(text) {
                Ok(number @ Value::Number(_)) => Ok(number),
                Ok(_) | Err(_) => bail!("the text is no number"),
            }
        }
        other @ (Value::Array(_) | Value::Set(_) | Value::Object(_) | Value::Undefined) => {
            bail!("expected a text or a number, found {}", kind(other))
        }
    }
}

/// Parses an address with a prefix length. IPv4-mapped IPv6 addresses are refused: opa treats one
/// as IPv4 in some places and as IPv6 in others.
fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = text.split_once('/')?;
    let address = address
        .parse::<IpAddr>()
        .ok()
        .filter(|it| !is_mapped(*it))?;
    let plain = !bits.is_empty() && bits.len() <= 3 && bits.bytes().all(|b| b.is_ascii_digit());
    let bits = bits.parse().ok().filter(|_| plain)?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    (bits <= most).then_some((address, bits))
}

const fn is_mapped(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.to_ipv4_mapped().is_some(),
    }
}

pub(super) fn cidr_is_valid(values: &[Value]) -> Result<Value> {
    let Value::String(text) = argument(values, 0)? else {
        return Ok(Value::from(false));
    };
    if text.contains("::ffff:") || text.contains("::FFFF:") {
        bail!("an IPv4 address that is mapped to IPv6 is not read");
    }
    Ok(Value::from(network(text).is_some()))
}

/// Returns whether the range is IPv4, and its first and last address.
fn range(text: &str) -> Result<(bool, u128, u128)> {
    let (address, bits) = match network(text) {
        Some(network) => network,
        None => match text.parse::<IpAddr>() {
            Ok(address) if !is_mapped(address) => (address, 128),
            Ok(_) | Err(_) => bail!("neither an address nor a network"),
        },
    };
    Ok(match address {
        IpAddr::V4(address) => {
            let bits = bits.min(32);
            let mask = u32::MAX.checked_shr(bits).unwrap_or(0);
            let first = Ipv4Addr::to_bits(address) & !mask;
            (true, u128::from(first), u128::from(first | mask))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shr(bits).unwrap_or(0);
            let first = Ipv6Addr::to_bits(address) & !mask;
            (false, first, first | mask)
        }
    })
}

pub(super) fn cidr_contains(values: &[Value]) -> Result<Value> {
    let (outer, inner) = (text(values, 0)?, text(values, 1)?);
    if network(outer).is_none() {
        bail!("argument 1 must be a network");
    }
    let (outer, inner) = (range(outer)?, range(inner)?);
    let within = outer.0 == inner.0 && outer.1 <= inner.1 && inner.2 <= outer.2;
    Ok(Value::from(within))
}

/// Maps each character by itself, as Go does.
fn mapped(values: &[Value], map: fn(char) -> Option<char>) -> Result<Value> {
    let mapped: Option<String> = text(values, 0)?.chars().map(map).collect();
    let mapped = mapped.ok_or_else(|| anyhow!("a letter has no single one in the other case"))?;
    Ok(Value::from(mapped))
}

fn only(mut letters: impl Iterator<Item = char>) -> Option<char> {
    let first = letters.next()?;
    letters.next().is_none().then_some(first)
}

pub(super) fn lower(values: &[Value]) -> Result<Value> {
    mapped(values, |c| only(c.to_lowercase()))
}

pub(super) fn upper(values: &[Value]) -> Result<Value> {
    mapped(values, |c| only(c.to_uppercase()))
}

fn not_empty(values: &[Value], place: usize) -> Result<&str> {
    match text(values, place)? {
        "" => bail!("argument {} must not be empty", place + 1),
        other => Ok(other),
    }
}

pub(super) fn replace(values: &[Value]) -> Result<Value> {
    let (subject, with) = (text(values, 0)?, text(values, 2)?);
    Ok(Value::from(subject.replace(not_empty(values, 1)?, with)))
}

pub(super) fn strings_count(values: &[Value]) -> Result<Value> {
    let count = text(values, 0)?.matches(not_empty(values, 1)?).count();
    Ok(Value::from(count as u64))
}

/// Returns a position in characters.
pub(super) fn indexof(values: &[Value]) -> Result<Value> {
    let subject = text(values, 0)?;
    let at = subject.find(not_empty(values, 1)?);
    let before = at.and_then(|at| subject.get(..at));
    let place = before.map(|before| i64::try_from(before.chars().count()));
    Ok(Value::from(place.transpose()?.unwrap_or(-1)))
}

/// Positions count characters. A negative length means the rest of the text.
pub(super) fn substring(values: &[Value]) -> Result<Value> {
    let subject = text(values, 0)?;
    let start = usize::try_from(integer(argument(values, 1)?)?)
        .map_err(|_| anyhow!("argument 2 must not be negative"))?;
    let length = usize::try_from(integer(argument(values, 2)?)?).unwrap_or(usize::MAX);
    let some: String = subject.chars().skip(start).take(length).collect();
    Ok(Value::from(some))
}

pub(super) fn format_int(values: &[Value]) -> Result<Value> {
    let (number, base) = (
        integer(argument(values, 0)?)?,
        integer(argument(values, 1)?)?,
    );
    let sign = if number < 0 { "-" } else { "" };
    let size = number.unsigned_abs();
    let digits = match base {
        2 => format!("{size:b}"),
        8 => format!("{size:o}"),
        10 => size.to_string(),
        16 => format!("{size:x}"),
        _ => bail!("the base must be one of 2, 8, 10, 16"),
    };
    Ok(Value::from(format!("{sign}{digits}")))
}

/// Supports `%s` for text, `%d` for integers, `%v` for any value, and `%%`. Go formats other verbs
/// and values in ways of its own, so those are errors.
pub(super) fn sprintf(values: &[Value]) -> Result<Value> {
    let (format, Value::Array(arguments)) = (text(values, 0)?, argument(values, 1)?) else {
        bail!("argument 2 must be an array");
    };
    let (mut written, mut arguments) = (String::new(), arguments.iter());
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            written.push(c);
            continue;
        }
        let verb = rest.next();
        if verb == Some('%') {
            written.push('%');
            continue;
        }
        let value = arguments
            .next()
            .ok_or_else(|| anyhow!("there are fewer values than verbs"))?;
        match (verb, value) {
            (Some('s' | 'v'), Value::String(text)) => written.push_str(text),
            (Some('d'), Value::Number(_)) => written.push_str(&integer(value)?.to_string()),
            (Some('v'), value) | (Some('s'), value @ (Value::Array(_) | Value::Object(_))) => {
                write(value, &mut written)?;
            }
            (verb, _) => {
                let verb = verb.unwrap_or_default();
                bail!("`%{verb}` of {} is not written; use `%v`", kind(value));
            }
        }
    }
    if arguments.next().is_some() {
        bail!("there are more values than verbs");
    }
    Ok(Value::from(written))
}

/// Appends a value in the notation that opa uses inside text.
fn write(value: &Value, to: &mut String) -> Result<()> {
    match value {
        Value::Null => to.push_str("null"),
        Value::Bool(value) => to.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => match number.as_i64().filter(|_| number.is_integer()) {
            Some(number) => to.push_str(&number.to_string()),
            None => {
                let fraction = number
                    .as_f64()
                    .filter(|it| (1e-4..1e15).contains(&it.abs()));
                let fraction =
                    fraction.ok_or_else(|| anyhow!("a number is too large or too small"))?;
                to.push_str(&fraction.to_string());
            }
        },
        Value::String(text) => {
            if !text
                .bytes()
                .all(|b| (b' '..=b'~').contains(&b) && b != b'\\' && b != b'"')
            {
                bail!("a text within a collection is not plain ASCII");
            }
            to.push('"');
            to.push_str(text);
            to.push('"');
        }
        Value::Array(items) => {
            to.push('[');
            write_all(items.iter(), to)?;
            to.push(']');
        }
        Value::Set(items) if items.is_empty() => to.push_str("set()"),
        Value::Set(items) => {
            to.push('{');
            write_all(items.iter(), to)?;
            to.push('}');
        }
        Value::Object(fields) => {
            to.push('{');
            let mut first = true;
            for (key, value) in fields.iter() {
                if !std::mem::take(&mut first) {
                    to.push_str(", ");
                }
                write(key, to)?;
                to.push_str(": ");
                write(value, to)?;
            }
            to.push('}');
        }
        Value::Undefined => bail!("there is no value"),
    }
    Ok(())
}

fn write_all<'a>(items: impl Iterator<Item = &'a Value>, to: &mut String) -> Result<()> {
    for (place, item) in items.enumerate() {
        if place > 0 {
            to.push_str(", ");
        }
        write(item, to)?;
    }
    Ok(())
}
