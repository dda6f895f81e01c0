//! Fields of requests, read within their bounds.

use std::str::FromStr;

use crate::refusal;
use crate::refused::Refused;

/// The longest reason, summary or comment, in characters.
///
/// # Limit
/// - for: a text of a caller
/// - unit: characters
/// - beyond: the call is refused with `INVALID_ARGUMENT`
/// - test: `texts_and_request_ids_have_bounds`
pub(crate) const MAX_TEXT_CHARACTERS: usize = 1000;
/// The longest request id, in bytes.
///
/// # Limit
/// - for: a call
/// - unit: bytes
/// - beyond: the call is refused with `INVALID_ARGUMENT`
/// - test: `texts_and_request_ids_have_bounds`
const MAX_REQUEST_ID_BYTES: usize = 64;

/// Reads a value in the text form of its type.
///
/// # Errors
/// When the field is empty, or holds something else.
pub(crate) fn parsed<T: FromStr<Err: std::fmt::Display>>(
    field: &str,
    text: &str,
) -> Result<T, Refused> {
    if text.is_empty() {
        return Err(refusal::invalid(field, "none was given"));
    }
    text.parse().map_err(|error| refusal::invalid(field, error))
}

/// Text that has to say something, within bounds.
pub(crate) fn text(field: &str, text: String) -> Result<String, Refused> {
    let length = text.chars().count();
    if text.trim().is_empty() {
        Err(refusal::invalid(field, "must not be empty"))
    } else if length > MAX_TEXT_CHARACTERS {
        Err(refusal::invalid(
            field,
            format!("has {length} characters and may have {MAX_TEXT_CHARACTERS}"),
        ))
    } else {
        Ok(text)
    }
}

/// Reads the id by which a repeated call is recognized; an empty one counts as none.
///
/// # Errors
/// When the id is too long.
pub(crate) fn request_id(text: String) -> Result<Option<String>, Refused> {
    if text.len() > MAX_REQUEST_ID_BYTES {
        return Err(refusal::invalid(
            "request_id",
            format!("may have {MAX_REQUEST_ID_BYTES} bytes"),
        ));
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_request_ids_have_bounds() {
        // Characters, not bytes.
        let said = |characters: usize| text("reason", "\u{e9}".repeat(characters)).is_ok();
        assert!(said(1000) && !said(1001) && !said(0));
        let id = |bytes: usize| request_id("r".repeat(bytes)).is_ok();
        assert!(id(0) && id(64) && !id(65));
    }
}
