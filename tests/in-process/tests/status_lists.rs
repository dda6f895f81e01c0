//! The status lists of the broker's own tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_in_process::Stage;
use serde_json::Value;

use crate::signing_keys::token;

/// A place that no token of a test has.
const UNTAKEN: usize = 40_000;

fn claims(token: &str) -> Value {
    let payload = token.trim().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// Tells whether a list says INVALID of a place.
fn is_invalid(stage: &Stage, list: &str, place: usize) -> bool {
    let path = format!("/oauth2/status-lists/{list}");
    let answer = stage.listeners().http("GET", &path, &[], "").unwrap();
    let list = claims(answer.split_once("\r\n\r\n").unwrap().1);
    let bits = list.pointer("/status_list/lst").and_then(Value::as_str);
    let packed = URL_SAFE_NO_PAD.decode(bits.unwrap()).unwrap();
    let bits = miniz_oxide::inflate::decompress_to_vec_zlib(&packed).unwrap();
    bits.get(place / 8).unwrap() & (1 << (place % 8)) != 0
}

#[test]
fn a_list_of_an_earlier_process_is_valid_for_the_tokens_of_the_journal_alone() {
    let mut stage = Stage::set().unwrap();
    let entry = claims(&token(&stage));
    let uri = entry.pointer("/status/status_list/uri").unwrap();
    let list = uri.as_str().unwrap().rsplit('/').next().unwrap();
    let place = entry.pointer("/status/status_list/idx").unwrap().as_u64();
    let place = usize::try_from(place.unwrap()).unwrap();
    assert!(!is_invalid(&stage, list, place));
    assert!(!is_invalid(&stage, list, UNTAKEN));
    stage.start_again().unwrap();
    assert!(!is_invalid(&stage, list, place));
    assert!(is_invalid(&stage, list, UNTAKEN));
}
