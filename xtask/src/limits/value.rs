//! Computes the value of a constant from the expression in its source.

use std::collections::BTreeMap;

/// The expressions of constants by name, nearest first: those of the file, then those of the crate.
pub(super) type Values<'a> = [&'a BTreeMap<String, Vec<syn::Expr>>];

/// The value of a limit, with its dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    /// A number of the limit's unit.
    Count(u128),
    /// A span of time in milliseconds.
    Time(u128),
}

/// The depth to which constants may refer to each other.
const DEEPEST: u32 = 8;

impl Value {
    /// # Errors
    /// The expression is not one of those that limits are written in.
    pub(super) fn of(value: &syn::Expr, known: &Values<'_>) -> Result<Self, String> {
        evaluated(value, known, DEEPEST)
            .ok_or_else(|| "has a value that this command cannot evaluate".to_owned())
    }

    /// Formats the value with its unit: sizes in the largest of KiB, MiB and GiB, times in the
    /// largest of ms, s, min, h and days that gives a whole number.
    pub(super) fn shown(self, unit: &str) -> String {
        match self {
            Self::Count(count) if unit == "bytes" || unit.starts_with("bytes ") => {
                let (count, short) = largest(
                    count,
                    &[
                        (1 << 30, "GiB"),
                        (1 << 20, "MiB"),
                        (1 << 10, "KiB"),
                        (1, "bytes"),
                    ],
                );
                let rest = unit.strip_prefix("bytes").unwrap_or_default();
                format!("{} {short}{rest}", grouped(count))
            }
            Self::Count(count) => format!("{} {unit}", grouped(count)),
            Self::Time(millis) => {
                let (count, short) = largest(
                    millis,
                    &[
                        (86_400_000, "days"),
                        (3_600_000, "h"),
                        (60_000, "min"),
                        (1000, "s"),
                        (1, "ms"),
                    ],
                );
                // One day reads better as 24 h.
                if (count, short) == (1, "days") {
                    return "24 h".to_owned();
                }
                format!("{} {short}", grouped(count))
            }
        }
    }
}

fn largest(value: u128, units: &[(u128, &'static str)]) -> (u128, &'static str) {
    let whole = units
        .iter()
        .find(|(size, _)| value >= *size && value.is_multiple_of(*size));
    whole.map_or((value, ""), |(size, name)| (value / size, name))
}

fn grouped(count: u128) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all expressions, limits are written in these"
)]
fn evaluated(value: &syn::Expr, known: &Values<'_>, deeper: u32) -> Option<Value> {
    let deeper = deeper.checked_sub(1)?;
    match value {
        syn::Expr::Lit(syn::ExprLit {
            lit: syn::Lit::Int(number),
            ..
        }) => number.base10_parse().ok().map(Value::Count),
        syn::Expr::Paren(inner) => evaluated(&inner.expr, known, deeper),
        syn::Expr::Group(inner) => evaluated(&inner.expr, known, deeper),
        syn::Expr::Cast(cast) => evaluated(&cast.expr, known, deeper),
        syn::Expr::Binary(binary) => {
            let left = evaluated(&binary.left, known, deeper)?;
            let right = evaluated(&binary.right, known, deeper)?;
            let (Value::Count(left), Value::Count(right)) = (left, right) else {
                return None;
            };
            calculated(left, binary.op, right).map(Value::Count)
        }
        syn::Expr::Path(path) => {
            let name = path.path.segments.last()?.ident.to_string();
            let found = known.iter().find_map(|values| values.get(&name))?;
            // A crate may have two constants of one name, and the source does not say here which
            // one is meant.
            match found.as_slice() {
                [one] => evaluated(one, known, deeper),
                _ => None,
            }
        }
        syn::Expr::Call(call) => called(call, known, deeper),
        syn::Expr::MethodCall(call) => {
            let of = evaluated(&call.receiver, known, deeper)?;
            match (of, call.method.to_string().as_str()) {
                (Value::Time(millis), "as_secs") => Some(Value::Count(millis / 1000)),
                _ => None,
            }
        }
        _ => None,
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all operators, limits are written with these"
)]
fn calculated(left: u128, operator: syn::BinOp, right: u128) -> Option<u128> {
    match operator {
        syn::BinOp::Add(_) => left.checked_add(right),
        syn::BinOp::Sub(_) => left.checked_sub(right),
        syn::BinOp::Mul(_) => left.checked_mul(right),
        syn::BinOp::Div(_) => left.checked_div(right),
        syn::BinOp::Shl(_) => left.checked_shl(u32::try_from(right).ok()?),
        _ => None,
    }
}

/// Evaluates a call of `Duration::from_secs` and its like.
fn called(call: &syn::ExprCall, known: &Values<'_>, deeper: u32) -> Option<Value> {
    let syn::Expr::Path(path) = call.func.as_ref() else {
        return None;
    };
    let name = path.path.segments.last()?.ident.to_string();
    let Value::Count(count) = evaluated(call.args.first()?, known, deeper)? else {
        return None;
    };
    match name.as_str() {
        "from_secs" | "at_least_a_second" => Some(Value::Time(count.checked_mul(1000)?)),
        "from_millis" => Some(Value::Time(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, unit: &str) -> String {
        let day: syn::Expr = syn::parse_str("24 * 3600").unwrap();
        let known = BTreeMap::from([("DAY".to_owned(), vec![day])]);
        let value = Value::of(&syn::parse_str(text).unwrap(), &[&known]);
        value.unwrap().shown(unit)
    }

    #[test]
    fn values_are_evaluated_and_shown_with_their_units() {
        assert_eq!(shown("65_536", "commands"), "65,536 commands");
        assert_eq!(shown("64 * 1024", "bytes"), "64 KiB");
        assert_eq!(shown("4 << 30", "bytes"), "4 GiB");
        assert_eq!(
            shown("(16 * 1024) as u64", "bytes a record"),
            "16 KiB a record"
        );
        assert_eq!(shown("1000", "bytes"), "1,000 bytes");
        assert_eq!(
            shown("Duration::from_secs(24 * 3600)", "of waiting"),
            "24 h"
        );
        assert_eq!(shown("Duration::from_secs(7 * DAY)", ""), "7 days");
        assert_eq!(shown("Ttl::at_least_a_second(90)", ""), "90 s");
        assert_eq!(shown("std::time::Duration::from_millis(500)", ""), "500 ms");
    }

    #[test]
    fn what_cannot_be_evaluated_is_a_fault() {
        for text in [
            "f(1)",
            "UNKNOWN",
            "1 - 2",
            "\"text\"",
            "Duration::from_secs(1) + 2",
        ] {
            let value: syn::Expr = syn::parse_str(text).unwrap();
            assert!(Value::of(&value, &[]).is_err(), "{text}");
        }
    }
}
