//! Hostile records of the journal (T58, T64): whatever stands on the disk is read or refused, and
//! what is read is written so that it is read the same.
#![no_main]

use lanyard_records::{decode, encode, head, json};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    drop((head(bytes), json(bytes).into_owned()));
    if let Ok(record) = decode(bytes) {
        let again = decode(&encode(&record));
        assert_eq!(
            again.as_ref(),
            Ok(&record),
            "a record changes by being written"
        );
        assert_eq!(head(bytes).kind, head(&encode(&record)).kind);
    }
});
