//! Key sets as issuers publish them: an unusable key is skipped with a reason, and the others are
//! used.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use lanyard_identity::jwks::{Algorithm, Jwks, JwksError};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use serde_json::{Value, json};

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn jwk(kid: &str, seed: u8) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(pair(seed).public_key())})
}

fn with(of: &Value, name: &str, value: Value) -> Value {
    let mut changed = of.clone();
    changed[name] = value;
    changed
}

fn set(keys: &Value) -> Jwks {
    Jwks::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

/// Returns the reason for each skipped key.
fn reasons(keys: &Jwks) -> Vec<String> {
    keys.passed_over().iter().map(ToString::to_string).collect()
}

fn signs(keys: &Jwks, kid: Option<&str>, seed: u8) -> bool {
    let signature = pair(seed).sign(b"message");
    keys.verifies(kid, Algorithm::EdDsa, b"message", signature.as_ref())
}

/// Returns a modulus of this many bits that belongs to no RSA key, for parsing only.
fn modulus(bits: usize) -> Vec<u8> {
    let mut bytes = vec![0xff; bits.div_ceil(8)];
    bytes[0] = 0xff >> (bytes.len() * 8 - bits);
    bytes
}

#[test]
fn d24_t6_t7_an_untrusted_key_is_skipped_and_the_others_are_used() {
    let rsa = |n: Vec<u8>, e: &str| json!({"kty": "RSA", "kid": "r", "n": b64(n), "e": e});
    let point =
        |x: Value| json!({"kty": "EC", "crv": "P-256", "kid": "e", "x": x, "y": b64([1; 32])});
    let odd = |name: &str, value: Value| with(&jwk("o", 2), name, value);
    for (key, why) in [
        (
            json!({"kty": "oct", "kid": "s", "k": "c2VjcmV0"}),
            "private or symmetric",
        ),
        (odd("d", json!(b64([2; 32]))), "private or symmetric"),
        (rsa(modulus(1024), "AQAB"), "under 2048 bits"),
        (rsa(modulus(2047), "AQAB"), "under 2048 bits"),
        (rsa(modulus(8193), "AQAB"), "over 8192 bits"),
        (rsa(Vec::new(), "AQAB"), "under 2048 bits"),
        (rsa(modulus(2048), "AQ"), "exponent is unsafe"),
        (rsa(modulus(2048), "AAAB"), "exponent is unsafe"),
        (rsa(modulus(2048), "AQAA"), "exponent is unsafe"),
        (rsa(modulus(2048), "AQAAAAAB"), "exponent is unsafe"),
        (
            json!({"kty": "RSA", "kid": "r", "e": "AQAB"}),
            "a number of it is missing",
        ),
        (
            json!({"kty": "RSA", "kid": "r", "n": 65537, "e": "AQAB"}),
            "its `n` has a wrong type",
        ),
        (
            json!({"kty": "RSA", "kid": "r", "n": "!", "e": "AQAB"}),
            "not base64url",
        ),
        (point(json!(b64([1; 32]))), "not on the curve"),
        (point(json!(b64([1; 33]))), "a wrong length"),
        (point(json!(null)), "a number of it is missing"),
        (odd("x", json!(b64([1; 31]))), "a wrong length"),
        (
            odd("alg", json!("ES256")),
            "its `alg` does not fit its key type",
        ),
        (
            odd("alg", json!("HS256")),
            "its `alg` does not fit its key type",
        ),
        (
            odd("alg", json!("Ed448")),
            "its `alg` does not fit its key type",
        ),
        (odd("alg", json!(7)), "its `alg` has a wrong type"),
        (odd("use", json!("tls")), "its `use` is not `sig`"),
        (odd("use", json!(["sig"])), "its `use` has a wrong type"),
        (
            odd("key_ops", json!(["sign"])),
            "its `key_ops` has no `verify`",
        ),
        (
            odd("key_ops", json!("verify")),
            "its `key_ops` has a wrong type",
        ),
        (odd("kid", json!(7)), "its `kid` has a wrong type"),
        (odd("kty", json!(null)), "it has no `kty`"),
        (
            json!({"kty": "EC", "crv": "P-384", "kid": "e", "x": "AA", "y": "AA"}),
            "not supported",
        ),
        (
            json!({"kty": "OKP", "crv": "Ed448", "kid": "e", "x": "AA"}),
            "not supported",
        ),
        (
            json!({"kty": "AKP", "alg": "ML-DSA-65", "kid": "p", "pub": "AA"}),
            "not supported",
        ),
        (json!("a key"), "not an object"),
        (json!(null), "not an object"),
    ] {
        let keys = set(&json!([key, jwk("one", 7)]));
        let said = reasons(&keys);
        assert!(said.len() == 1 && said[0].contains(why), "{key}: {said:?}");
        assert!(said[0].starts_with("key 0 of the set"), "{said:?}");
        assert!(signs(&keys, Some("one"), 7), "{key}");
        assert!(!signs(&keys, Some("o"), 2), "{key}");
    }
}

#[test]
fn d24_sets_with_keys_that_only_others_can_use_verify_what_their_own_key_signed() {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let signer = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
    let point = signer.public_key().as_ref();
    let own = json!({"kty": "EC", "kid": "own", "use": "sig", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..])});
    let ec = |kid: &str, curve: &str, bytes: usize| {
        let part = b64(vec![1; bytes]);
        json!({"kty": "EC", "kid": kid, "use": "sig", "crv": curve, "x": part, "y": part})
    };
    let rsa =
        json!({"kty": "RSA", "kid": "rsa", "use": "sig", "n": b64(modulus(2048)), "e": "AQAB"});
    let signature = signer.sign(&random, b"message").unwrap();
    for (keys, passed_over) in [
        // A federation server with a key of each kind, none of which names an algorithm.
        (
            json!([ec("b", "P-384", 48), own, ec("c", "P-521", 66), rsa]),
            vec!["b", "c"],
        ),
        // A provider that also signs for wallets.
        (
            json!([
                with(&ec("k", "secp256k1", 32), "alg", json!("ES256K")),
                own,
                jwk("ed", 7)
            ]),
            vec!["k"],
        ),
        // A provider that publishes a key against quantum computers beside the one that signs.
        (
            json!([{"kty": "AKP", "alg": "ML-DSA-65", "kid": "pq", "use": "sig", "pub": b64([1; 1952])}, own,
                {"kty": "OKP", "crv": "X25519", "kid": "x", "use": "enc", "x": b64([2; 32])}]),
            vec!["pq"],
        ),
    ] {
        let keys = set(&keys);
        let kids: Vec<_> = keys
            .passed_over()
            .iter()
            .filter_map(|it| it.kid.as_deref())
            .collect();
        assert_eq!(kids, passed_over);
        assert!(keys.verifies("own", Algorithm::Es256, b"message", signature.as_ref()));
        assert!(!keys.verifies("own", Algorithm::Es256, b"another", signature.as_ref()));
    }
}

#[test]
fn d24_t5_a_key_with_a_repeated_member_is_skipped() {
    let twice = jwk("two", 2)
        .to_string()
        .replacen('{', r#"{"kid":"one","#, 1);
    let text = format!(r#"{{"keys":[{twice},{}]}}"#, jwk("three", 3));
    let keys = Jwks::parse(text.as_bytes()).unwrap();
    assert_eq!(reasons(&keys).len(), 1);
    assert!(!keys.knows("one") && !keys.knows("two") && signs(&keys, Some("three"), 3));
    let set = format!(r#"{{"keys":[],"keys":[{}]}}"#, jwk("three", 3));
    assert_eq!(Jwks::parse(set.as_bytes()).map(drop), Err(JwksError::Form));
}

#[test]
fn d24_t6_of_two_keys_with_one_kid_neither_is_used() {
    let keys = set(&json!([
        jwk("same", 1),
        jwk("other", 2),
        jwk("same", 3),
        jwk("same", 1)
    ]));
    assert_eq!(reasons(&keys).len(), 3);
    assert!(!keys.knows("same") && signs(&keys, Some("other"), 2));
    // A key that is listed twice counts as one key, and a key for encryption verifies nothing.
    let encrypts = with(&jwk("same", 2), "use", json!("enc"));
    let keys = set(&json!([
        jwk("same", 1),
        encrypts,
        with(&jwk("same", 1), "alg", json!("EdDSA"))
    ]));
    assert!(signs(&keys, Some("same"), 1) && !signs(&keys, Some("same"), 2));
    assert!(reasons(&keys).is_empty(), "{keys:?}");
}

#[test]
fn d24_irrelevant_members_of_a_key_are_ignored() {
    for (name, value) in [
        ("use", json!("sig")),
        ("use", json!(null)),
        ("key_ops", json!(["verify", "sign"])),
        ("key_ops", json!(null)),
        ("alg", json!("EdDSA")),
        ("alg", json!("Ed25519")),
        ("alg", json!(null)),
        ("x5c", json!(["no certificate"])),
        ("x5t", json!(7)),
        ("x5u", json!("https://evil.example/certificate")),
        ("issuer", json!("https://login.example/{tenantid}/v2.0")),
        ("exp", json!(1.5)),
        ("d", json!(null)),
    ] {
        let keys = set(&json!([with(&jwk("one", 7), name, value.clone())]));
        assert!(reasons(&keys).is_empty(), "{name}: {value}");
        assert!(signs(&keys, Some("one"), 7), "{name}: {value}");
    }
}

#[test]
fn d24_fully_specified_names_of_algorithms_are_read() {
    for (name, algorithm) in [
        ("EdDSA", Some(Algorithm::EdDsa)),
        ("Ed25519", Some(Algorithm::EdDsa)),
        ("ES256", Some(Algorithm::Es256)),
        ("ESP256", Some(Algorithm::Es256)),
        ("RS256", Some(Algorithm::Rs256)),
        ("Ed448", None),
        ("ESP384", None),
        ("ESB256", None),
        ("ES256K", None),
        ("RS1", None),
        ("rs256", None),
        ("ed25519", None),
    ] {
        assert_eq!(Algorithm::parse(name), algorithm, "{name}");
    }
}

#[test]
fn d24_numbers_with_extra_zeroes_or_padding_are_read() {
    let random = SystemRandom::new();
    let signing = &ECDSA_P256_SHA256_FIXED_SIGNING;
    // A coordinate that begins with a zero byte, which some issuers drop or double.
    let pair = loop {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(signing, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(signing, pkcs8.as_ref(), &random).unwrap();
        if pair.public_key().as_ref()[1] == 0 {
            break pair;
        }
    };
    let point = pair.public_key().as_ref();
    let (x, y) = (&point[1..33], &point[33..]);
    let signature = pair.sign(&random, b"message").unwrap();
    for x in [
        b64(x),
        b64(&x[1..]),
        b64([&[0], x].concat()),
        URL_SAFE.encode(x),
        STANDARD.encode(x),
        URL_SAFE.encode(&x[1..]),
    ] {
        let key =
            json!({"kty": "EC", "crv": "P-256", "kid": "e", "x": x, "y": b64(y), "alg": "ESP256"});
        let keys = set(&json!([key]));
        let verifies = keys.verifies("e", Algorithm::Es256, b"message", signature.as_ref());
        assert!(verifies, "{x}: {keys:?}");
    }
    let plain = modulus(2048);
    for n in [
        b64(&plain),
        b64([&[0], &plain[..]].concat()),
        b64([&[0, 0, 0], &plain[..]].concat()),
        URL_SAFE.encode(&plain),
        STANDARD.encode([&[0], &plain[..]].concat()),
        b64(modulus(2049)),
        b64(modulus(4095)),
        b64(modulus(8192)),
    ] {
        for e in ["AQAB", "AAEAAQ", "Aw", "AQAB=="] {
            let key = json!({"kty": "RSA", "kid": "r", "n": n, "e": e});
            let keys = set(&json!([key]));
            let padded_wrongly = e == "AQAB==";
            assert_eq!(keys.knows("r"), !padded_wrongly, "{e}: {keys:?}");
        }
    }
}

#[test]
fn d24_a_set_without_a_usable_key_is_reported() {
    for keys in [
        json!([]),
        json!([{"kty": "EC", "crv": "P-521", "kid": "e", "x": "AA", "y": "AA"}]),
    ] {
        let keys = set(&keys);
        assert!(keys.is_empty() && !keys.knows(None));
    }
    for bad in [
        json!({}),
        json!([]),
        json!({"keys": {}}),
        json!({"keys": null}),
        json!("keys"),
    ] {
        let error = Jwks::parse(bad.to_string().as_bytes()).map(drop);
        assert_eq!(error, Err(JwksError::Form), "{bad}");
    }
}

#[test]
fn d24_a_token_without_a_kid_uses_the_only_key() {
    let nameless = |seed| {
        let mut key = jwk("", seed);
        key.as_object_mut().unwrap().remove("kid");
        key
    };
    let one = set(&json!([nameless(1)]));
    assert!(signs(&one, None, 1) && !signs(&one, None, 2) && !signs(&one, Some(""), 1));
    assert!(signs(&set(&json!([jwk("named", 1)])), None, 1));
    for several in [
        json!([nameless(1), nameless(2)]),
        json!([jwk("a", 1), nameless(2)]),
    ] {
        assert!(!signs(&set(&several), None, 1), "{several}");
    }
}
