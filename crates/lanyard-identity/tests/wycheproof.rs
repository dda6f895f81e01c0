//! The test vectors of project Wycheproof. Every invalid token and signature is refused, every
//! valid one with a supported algorithm is accepted, and other algorithms are refused. No vector is
//! skipped.
//!
//! `cargo test -p lanyard-identity --test wycheproof -- --nocapture` prints the table.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic"
)]

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_identity::jwks::{Algorithm, Jwks};
use lanyard_identity::jws::Jws;
use serde_json::{Value, json};

const TOKENS: &str = include_str!("wycheproof/json_web_signature_test.json");
const KEYS: &str = include_str!("wycheproof/json_web_key_test.json");
const ED25519: &str = include_str!("wycheproof/ed25519_test.json");
const P256: &str = include_str!("wycheproof/ecdsa_secp256r1_sha256_p1363_test.json");
const RSA: &str = include_str!("wycheproof/rsa_signature_2048_sha256_test.json");

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Accepted,
    KeySetRefused,
    TokenRefused,
    SignatureRefused,
}

#[derive(Default)]
struct Table {
    rows: BTreeMap<(String, String), BTreeMap<Outcome, u32>>,
    wrong: Vec<String>,
}

impl Table {
    /// Counts one result. `ours` says whether the vector's algorithm is supported.
    fn add(&mut self, name: String, ours: bool, test: &Value, outcome: Outcome) {
        let (id, result) = (
            test["tcId"].as_u64().unwrap(),
            test["result"].as_str().unwrap(),
        );
        let right = match result {
            "valid" if ours => outcome == Outcome::Accepted,
            "valid" | "invalid" => outcome != Outcome::Accepted,
            // A legacy form that a verifier may accept or refuse.
            "acceptable" => true,
            other => panic!("{other}"),
        };
        if !right {
            let comment = &test["comment"];
            self.wrong.push(format!(
                "{name} tcId {id}: {result} {comment} was {outcome:?}"
            ));
        }
        let row = self.rows.entry((name, result.to_owned()));
        *row.or_default().entry(outcome).or_default() += 1;
    }

    fn settle(self, vectors: u32) {
        let mut seen = 0;
        for ((name, result), outcomes) in &self.rows {
            println!("{name:<44} {result:<10} {outcomes:?}");
            seen += outcomes.values().sum::<u32>();
        }
        assert_eq!(seen, vectors, "vectors are missing");
        assert_eq!(self.wrong, Vec::<String>::new());
    }
}

fn groups(file: &str) -> (Vec<Value>, u32) {
    let file: Value = serde_json::from_str(file).unwrap();
    let number = u32::try_from(file["numberOfTests"].as_u64().unwrap()).unwrap();
    (file["testGroups"].as_array().unwrap().clone(), number)
}

fn tests(group: &Value) -> impl Iterator<Item = &Value> {
    group["tests"].as_array().unwrap().iter()
}

fn of_token(keys: &Value, token: &Value) -> Outcome {
    let Ok(keys) = Jwks::parse(keys.to_string().as_bytes()) else {
        return Outcome::KeySetRefused;
    };
    // A few vectors are JSON serialisations, not compact ones.
    let token = token
        .as_str()
        .map_or_else(|| token.to_string(), str::to_owned);
    let Ok(jws) = Jws::parse(&token) else {
        return Outcome::TokenRefused;
    };
    if keys.verifies(
        jws.kid.as_deref(),
        jws.algorithm,
        jws.message,
        &jws.signature,
    ) {
        Outcome::Accepted
    } else {
        Outcome::SignatureRefused
    }
}

fn tokens(file: &str, name: &str) {
    let (groups, vectors) = groups(file);
    let mut table = Table::default();
    for group in &groups {
        let key = group.get("public").unwrap_or(&group["private"]);
        let keys = match key.get("keys") {
            Some(_) => key.clone(),
            None => json!({"keys": [key]}),
        };
        let named = |key: &Value| key["alg"].as_str().unwrap_or("no alg").to_owned();
        let algorithms: Vec<String> = keys["keys"].as_array().unwrap().iter().map(named).collect();
        let ours = algorithms
            .iter()
            .all(|name| Algorithm::parse(name).is_some());
        for test in tests(group) {
            let outcome = of_token(&keys, &test["jws"]);
            let row = format!("{name} {}", algorithms.join("+"));
            table.add(row, ours, test, outcome);
        }
    }
    table.settle(vectors);
}

fn bytes(hex: &Value) -> Vec<u8> {
    let digits = hex.as_str().unwrap().as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}

fn signatures(file: &str, name: &str, algorithm: Algorithm, key: impl Fn(&Value) -> Value) {
    let (groups, vectors) = groups(file);
    let mut table = Table::default();
    for group in &groups {
        let mut key = key(group);
        key["kid"] = "one".into();
        let keys = Jwks::parse(json!({"keys": [key]}).to_string().as_bytes());
        for test in tests(group) {
            let (message, signature) = (bytes(&test["msg"]), bytes(&test["sig"]));
            let outcome = match &keys {
                Err(_) => Outcome::KeySetRefused,
                Ok(keys) if keys.verifies("one", algorithm, &message, &signature) => {
                    Outcome::Accepted
                }
                Ok(_) => Outcome::SignatureRefused,
            };
            table.add(name.to_owned(), true, test, outcome);
        }
    }
    table.settle(vectors);
}

// T1, T2, T4, T5
#[test]
fn t01_tokens() {
    tokens(TOKENS, "json_web_signature");
}

// T6, T7
#[test]
fn t07_key_sets() {
    tokens(KEYS, "json_web_key");
}

#[test]
fn signatures_of_ed25519() {
    signatures(ED25519, "ed25519", Algorithm::EdDsa, |group| {
        group["publicKeyJwk"].clone()
    });
}

#[test]
fn signatures_of_ecdsa_on_p256() {
    signatures(
        P256,
        "ecdsa_secp256r1_sha256_p1363",
        Algorithm::Es256,
        |group| {
            let point = bytes(&group["publicKey"]["uncompressed"]);
            let (x, y) = point[1..].split_at(32);
            json!({"kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)})
        },
    );
}

#[test]
fn signatures_of_rsa() {
    signatures(
        RSA,
        "rsa_signature_2048_sha256",
        Algorithm::Rs256,
        |group| {
            let number = |name: &str| {
                let bytes = bytes(&group["publicKey"][name]);
                let first = bytes.iter().position(|byte| *byte != 0).unwrap();
                URL_SAFE_NO_PAD.encode(&bytes[first..])
            };
            json!({"kty": "RSA", "n": number("modulus"), "e": number("publicExponent")})
        },
    );
}
