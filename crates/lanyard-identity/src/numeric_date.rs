//! Times in tokens (RFC 7519 section 2, `NumericDate`): seconds since the epoch, possibly with a
//! fraction.

use lanyard_vocabulary::time::Timestamp;
use serde::de::{Deserialize, Deserializer, Error};
use serde_json::{Number, Value};

/// A time rounded down to whole seconds. A time before the epoch becomes the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NumericDate(pub(crate) Timestamp);

impl NumericDate {
    pub(crate) fn of(number: &Number) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "`as` takes the whole seconds and keeps within the bounds of its type, as is wanted here"
        )]
        let seconds = number
            .as_u64()
            .or_else(|| number.as_f64().map(|seconds| seconds.floor() as u64));
        Self(Timestamp::from_secs(seconds.unwrap_or_default()))
    }
}

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Number(number) => Ok(Self::of(&number)),
            Value::Null
            | Value::Bool(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => Err(D::Error::custom("not a number of seconds")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d27_a_time_may_have_a_fraction_and_an_exponent() {
        let read = |text: &str| {
            serde_json::from_str::<NumericDate>(text)
                .unwrap()
                .0
                .as_secs()
        };
        for (text, seconds) in [
            ("1800000000", 1_800_000_000),
            ("1800000000.0", 1_800_000_000),
            ("1800000000.999", 1_800_000_000),
            ("1.8e9", 1_800_000_000),
            ("1.800000000999e+09", 1_800_000_000),
            ("18E8", 1_800_000_000),
            ("0", 0),
            ("-1", 0),
            ("-0.5", 0),
            ("1800000000000", 1_800_000_000_000),
        ] {
            assert_eq!(read(text), seconds, "{text}");
        }
        // A time beyond the range of the type becomes the end of time.
        assert_eq!(read("1e300"), Timestamp::NEVER.as_secs());
        for bad in ["\"1800000000\"", "null", "true", "[]"] {
            assert!(serde_json::from_str::<NumericDate>(bad).is_err(), "{bad}");
        }
    }
}
