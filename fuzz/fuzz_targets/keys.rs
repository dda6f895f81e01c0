//! Hostile key sets and bundles (T6, T7, T10): whatever an issuer serves, the answer is a set
//! without a weak key, or none.
#![no_main]

use lanyard_identity::jwks::{Algorithm, Jwks};
use lanyard_identity::spiffe::Bundle;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let bundle = Bundle::parse(bytes).ok().and_then(|bundle| bundle.keys);
    for keys in Jwks::parse(bytes).into_iter().chain(bundle) {
        for algorithm in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256] {
            for signature in [&[][..], &[0; 64], &[0; 256], &[0xff; 256]] {
                for kid in ["", "one", "kid-ec-sign", "kid-rsa-sign"] {
                    let verified = keys.verifies(kid, algorithm, b"a message", signature);
                    assert!(!verified, "a signature of nothing verifies");
                }
            }
        }
    }
});
