//! Measures how many identities of each kind are verified a second on one thread, compared with the
//! bare signature check of the same library.

use std::hint::black_box;
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lanyard_identity::dpop::{self, Target};
use lanyard_identity::jwks::{Algorithm, Jwks};
use lanyard_identity::session::{SESSION_TYPE, Session, Who};
use lanyard_identity::spiffe::{Bundle, TrustDomains};
use lanyard_identity::verifier::{PeopleRule, Purpose};
use lanyard_identity::{Issuer, IssuerKind, Keys, Verifier};
use lanyard_provider_token::Keyring;
use lanyard_vocabulary::identity::{Confirmation, Method};
use lanyard_vocabulary::time::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose, SanType};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use serde_json::{Value, json};

use crate::stopwatch;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const TURNS: u32 = 5_000;
const ISSUER: &str = "https://issuer.acme.example";

type Sign = Box<dyn Fn(&[u8]) -> Result<Vec<u8>>>;

/// A key of one kind, with its public half.
struct Signer {
    name: &'static str,
    algorithm: Algorithm,
    jwk: Value,
    sign: Sign,
}

pub(crate) fn run() -> Result<()> {
    println!("verifications, one thread, {TURNS} each; the ratio is to the bare signature check");
    for signer in signers()? {
        let bare = bare(&signer)?;
        token(&signer, bare)?;
        if signer.algorithm != Algorithm::Rs256 {
            proof(&signer, bare)?;
        }
        if signer.algorithm == Algorithm::EdDsa {
            session(bare)?;
        }
    }
    svid()
}

fn measured(what: &str, bare: Option<f64>, mut once: impl FnMut() -> bool) -> Result<f64> {
    let began = stopwatch();
    for _ in 0..TURNS {
        if !black_box(once()) {
            return Err(anyhow!("{what}: not verified"));
        }
    }
    let rate = f64::from(TURNS) / began.elapsed().as_secs_f64();
    match bare {
        Some(bare) => println!("  {what:<34} {rate:>9.0} a second  {:.2}", rate / bare),
        None => println!("  {what:<34} {rate:>9.0} a second"),
    }
    Ok(rate)
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn signers() -> Result<[Signer; 3]> {
    let random = SystemRandom::new();
    let unspecified = |_| anyhow!("no key");
    let ed = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).map_err(|_| anyhow!("no key"))?;
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(unspecified)?;
    let ec = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random);
    let ec = ec.map_err(|_| anyhow!("no key"))?;
    let rsa = RsaKeyPair::from_pkcs8(&rsa()?).map_err(|_| anyhow!("no key"))?;
    let point = ec.public_key().as_ref().get(1..).context("no point")?;
    let (x, y) = point.split_at(32);
    let public: ring::signature::RsaPublicKeyComponents<Vec<u8>> = rsa.public().into();
    Ok([
        Signer {
            name: "EdDSA",
            algorithm: Algorithm::EdDsa,
            jwk: json!({"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": b64(ed.public_key())}),
            sign: Box::new(move |message| Ok(ed.sign(message).as_ref().to_vec())),
        },
        Signer {
            name: "ES256",
            algorithm: Algorithm::Es256,
            jwk: json!({"kty": "EC", "crv": "P-256", "kid": "one", "x": b64(x), "y": b64(y)}),
            sign: Box::new(move |message| {
                let signature = ec.sign(&SystemRandom::new(), message);
                Ok(signature
                    .map_err(|_| anyhow!("no signature"))?
                    .as_ref()
                    .to_vec())
            }),
        },
        Signer {
            name: "RS256",
            algorithm: Algorithm::Rs256,
            jwk: json!({"kty": "RSA", "kid": "one", "n": b64(&public.n), "e": b64(&public.e)}),
            sign: Box::new(move |message| {
                let mut signature = vec![0; rsa.public().modulus_len()];
                let random = SystemRandom::new();
                let signed = rsa.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature);
                signed.map_err(|_| anyhow!("no signature"))?;
                Ok(signature)
            }),
        },
    ])
}

/// Generates an RSA key with `openssl`, because ring cannot.
fn rsa() -> Result<Vec<u8>> {
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", "RSA"])
        .args(["-pkeyopt", "rsa_keygen_bits:2048"])
        .output()
        .context("openssl does not start")?;
    let pem = String::from_utf8(made.stdout)?;
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    Ok(STANDARD.decode(body)?)
}

impl Signer {
    fn jws(&self, header: &Value, claims: &Value) -> Result<String> {
        let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let signature = (self.sign)(message.as_bytes())?;
        Ok(format!("{message}.{}", b64(signature)))
    }

    fn keys(&self) -> Result<Jwks> {
        Ok(Jwks::parse(
            json!({"keys": [self.jwk]}).to_string().as_bytes(),
        )?)
    }
}

fn bare(signer: &Signer) -> Result<f64> {
    let (keys, message) = (signer.keys()?, [7; 300]);
    let signature = (signer.sign)(&message)?;
    let what = format!("{}: signature alone", signer.name);
    measured(&what, None, || {
        keys.verifies("one", signer.algorithm, &message, &signature)
    })
}

fn token(signer: &Signer, bare: f64) -> Result<()> {
    let issuer = Issuer {
        name: ISSUER.to_owned(),
        kind: IssuerKind::Agents,
        keys: Keys::fixed(signer.keys()?),
        audience: None,
        method: Method::Oidc,
        claims: ["repository_id".to_owned()].into(),
        groups_claim: "groups".into(),
        roles: std::collections::BTreeMap::new(),
        people: PeopleRule::default(),
        sponsor: None,
    };
    let verifier = Verifier::new("lanyard".to_owned(), vec![issuer]);
    let header = json!({"alg": signer.name, "typ": "JWT", "kid": "one"});
    let claims = json!({"iss": ISSUER, "sub": "repo:acme/payments:environment:production", "aud": "lanyard",
        "iat": NOW.as_secs(), "exp": NOW.as_secs() + 300, "jti": "8f14e45fceea167a", "repository_id": "74",
        "repository": "acme/payments", "ref": "refs/heads/main", "run_id": "123456789", "actor": "alice"});
    let token = signer.jws(&header, &claims)?;
    let what = format!("{}: token of an issuer", signer.name);
    measured(&what, Some(bare), || {
        verifier.verify(&token, None, Purpose::Change, NOW).is_ok()
    })?;
    Ok(())
}

fn proof(signer: &Signer, bare: f64) -> Result<()> {
    let header = json!({"typ": "dpop+jwt", "alg": signer.name, "jwk": signer.jwk});
    let mut header = header;
    if let Some(jwk) = header.get_mut("jwk").and_then(Value::as_object_mut) {
        jwk.remove("kid");
    }
    let token = "t".repeat(900);
    let ath = b64(ring::digest::digest(
        &ring::digest::SHA256,
        token.as_bytes(),
    ));
    let claims = json!({"jti": "8f14e45fceea167a", "htm": "POST", "iat": NOW.as_secs(), "ath": ath,
        "htu": "https://lanyard.acme.example/lanyard.v1.CredentialService/IssueCredential"});
    let proof = signer.jws(&header, &claims)?;
    let origins = ["https://lanyard.acme.example".to_owned()];
    let target = Target {
        method: "POST",
        path: "/lanyard.v1.CredentialService/IssueCredential",
        origins: &origins,
    };
    let what = format!("{}: DPoP proof", signer.name);
    measured(&what, Some(bare), || {
        dpop::check(&proof, &target, Some(&token), NOW).is_ok()
    })?;
    Ok(())
}

/// Measures a session as the daemon verifies it, without its proof of possession.
fn session(bare: f64) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let keyring = Keyring::load_or_create(directory.path(), NOW)?;
    let key = Confirmation::Key("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I".to_owned());
    let broker = "https://lanyard.acme.example";
    let session = Session {
        iss: broker.to_owned(),
        aud: broker.to_owned(),
        sub: "agent".to_owned(),
        iat: NOW.as_secs(),
        exp: NOW.as_secs() + 300,
        jti: "8f14e45fceea167a".to_owned(),
        cnf: key.clone(),
        who: Who::Agent {
            identity: lanyard_vocabulary::identity::Identity {
                issuer: ISSUER.to_owned(),
                subject: "repo:acme/payments:environment:production".to_owned(),
            },
            evidence: lanyard_vocabulary::identity::Evidence::default(),
            sponsor: None,
        },
    };
    let token = keyring.sign_as(SESSION_TYPE, &serde_json::to_vec(&session)?, NOW);
    let token = token.context("no key")?;
    let verifier = Verifier::new("lanyard".to_owned(), Vec::new());
    measured("EdDSA: session", Some(bare), || {
        let payload = keyring.verify_as(SESSION_TYPE, token.expose(), NOW);
        let session: Option<Session> = payload.ok().and_then(|it| serde_json::from_slice(&it).ok());
        let used = (Some(&key), Purpose::Change);
        session.is_some_and(|it| it.presented(broker, used, &verifier, NOW).is_ok())
    })?;
    Ok(())
}

/// Measures the chain of a client certificate; the handshake proves possession of its key.
fn svid() -> Result<()> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let own = KeyPair::generate()?;
    let authority = params.self_signed(&own)?;
    let mut leaf = CertificateParams::new(Vec::new())?;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let id = "spiffe://acme.example/agents/router".try_into()?;
    leaf.subject_alt_names.push(SanType::URI(id));
    let issuer = rcgen::Issuer::from_params(&params, &own);
    let leaf = leaf.signed_by(&KeyPair::generate()?, &issuer)?;
    let x5c = STANDARD.encode(authority.der());
    let bundle = json!({"keys": [{"use": "x509-svid", "kty": "EC", "crv": "P-256", "x5c": [x5c]}]});
    let domains = TrustDomains::new(["acme.example".to_owned()]);
    domains.renew(
        "acme.example",
        Bundle::parse(bundle.to_string().as_bytes())?,
        Timestamp::NEVER,
    );
    let chain = [leaf.der().clone()];
    measured("ES256: X.509-SVID", None, || {
        domains.verify(&chain, NOW).is_ok()
    })?;
    Ok(())
}
