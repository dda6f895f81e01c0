//! Sealing keys, and handles sealed with them.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lanyard_core::provider::{Provider as _, ProviderError, Revoked};
use lanyard_provider_github::{
    AppKey, BranchRules, Client, ConnectError, GitHubProvider, GitHubTarget, KeyFileError,
    SealError, Sealed, Sealer, SealingKeys, SealingKeysError,
};
use lanyard_secret_file::SecretFileError;
use lanyard_vocabulary::secret::Secret;

use crate::target::{KEY, NOW, OTHER_KEY, Target, client, revoke, token, write};

/// T52: neither the handle nor any debug output contains the token.
#[tokio::test]
async fn t52_a_handle_holds_only_sealed_bytes() {
    let target = Target::start();
    for _ in 0..2 {
        let (lease, minted) = target.lease().await;
        let token = token(&minted);
        let shown = format!("{lease:?} {minted:?}");
        let encoded = [STANDARD.encode(token), URL_SAFE_NO_PAD.encode(token)];
        assert!(!shown.contains(token), "{shown}");
        assert!(encoded.iter().all(|text| !shown.contains(text)), "{shown}");
        let (head, sealed) = lease.handle.0.rsplit_once('.').unwrap();
        assert_eq!(head, "v1.k1");
        let bytes = URL_SAFE_NO_PAD.decode(sealed).unwrap();
        let piece = &token.as_bytes()[..8];
        assert!(!bytes.windows(8).any(|window| window == piece));
    }
}

/// T52: bytes sealed for one lease do not open for another, nor after a bit was changed.
#[tokio::test]
async fn t52_a_sealed_token_opens_only_for_its_lease() {
    let target = Target::start();
    let (one, _) = target.lease().await;
    let (mut other, _) = target.lease().await;
    let own = other.handle.clone();
    other.handle = one.handle.clone();
    let told = target.revoke(&other).await.unwrap_err();
    assert!(told.to_string().contains("for another lease"), "{told}");
    let changed = own.0.replacen("v1.k1.", "v1.k1.A", 1);
    other.handle.0 = changed.into();
    assert!(target.revoke(&other).await.is_err());
    assert_eq!(target.github.live(), 2);
    other.handle = own;
    assert_eq!(target.revoke(&other).await, Ok(Revoked::Acknowledged));
}

/// A new key is put on top; the old one still opens what it sealed while it is in the file.
#[tokio::test]
async fn keys_are_rotated_by_putting_a_new_one_on_top() {
    let target = Target::start();
    let (old, _) = target.lease().await;
    write(&target.keys(), &format!("# new\n{OTHER_KEY}\n{KEY}"), 0o600);
    let rotated = target.restarted();
    let request = target.request();
    let prepared = rotated.prepare(&request).unwrap();
    let minted = rotated.mint(&request, &prepared).await.unwrap();
    assert!(minted.handle.unwrap().0.starts_with("v1.k2."));
    assert_eq!(
        revoke(&rotated, &old, NOW.as_secs()).await,
        Ok(Revoked::Acknowledged)
    );
}

/// A missing key is named, and its lease is pending, not reported as ended.
#[tokio::test]
async fn a_key_that_is_gone_is_named_and_its_lease_is_pending() {
    let target = Target::start();
    let (lease, _) = target.lease().await;
    write(&target.keys(), OTHER_KEY, 0o600);
    let told = revoke(&target.restarted(), &lease, NOW.as_secs())
        .await
        .unwrap_err();
    assert!(matches!(told, ProviderError::Refused { .. }));
    let text = told.to_string();
    assert!(text.contains("no sealing key is named k1"), "{text}");
    assert!(text.contains(&lease.worst_expiry.to_string()), "{text}");
    assert_eq!(target.github.live(), 1);
}

/// A key service that does not answer.
struct Away;

#[async_trait]
impl Sealer for Away {
    async fn seal(&self, _: &Secret<String>, _: &[u8]) -> Result<Sealed, SealError> {
        Err(SealError::Unavailable("no answer"))
    }

    async fn open(&self, _: &Sealed, _: &[u8]) -> Result<Secret<String>, SealError> {
        Err(SealError::Unavailable("no answer"))
    }
}

/// A token that cannot be sealed is ended at once; one that cannot be opened now is tried again
/// later.
#[tokio::test]
async fn without_its_sealer_a_token_is_ended_and_a_lease_waits() {
    let target = Target::start();
    let (lease, _) = target.lease().await;
    let configured = GitHubTarget {
        host: "https://github.com".to_owned(),
        branch_rules: BranchRules::Required,
    };
    let away = GitHubProvider::new(configured, client(&target.github), Arc::new(Away));
    let told = revoke(&away, &lease, NOW.as_secs()).await.unwrap_err();
    assert!(told.is_retryable(), "{told}");
    let request = target.request();
    let prepared = away.prepare(&request).unwrap();
    let error = away.mint(&request, &prepared).await.unwrap_err();
    assert!(
        error.to_string().contains("cannot be used: no answer"),
        "{error}"
    );
    assert_eq!((target.github.tokens().len(), target.github.live()), (2, 1));
    let reference = target.reference(&request);
    assert_eq!(
        revoke(&away, &reference, NOW.as_secs()).await,
        Ok(Revoked::ProvedDead)
    );
    let lines = away.check_setup(&request).await.unwrap();
    assert_eq!(lines, ["the sealing keys cannot be used: no answer"]);
}

/// For example the handle of a later version.
#[tokio::test]
async fn an_unreadable_handle_is_reported() {
    let target = Target::start();
    let (mut lease, _) = target.lease().await;
    for odd in ["", "v2", "v1.k1", "v1.k1.!", "v1.k.1.AAAA"] {
        lease.handle.0 = odd.into();
        let told = target.revoke(&lease).await.unwrap_err();
        assert!(told.to_string().contains("cannot be read"), "{odd}: {told}");
    }
}

#[tokio::test]
async fn the_same_token_is_sealed_otherwise_each_time() {
    let target = Target::start();
    let keys = SealingKeys::read(&target.keys()).unwrap();
    let secret = Secret::new("canary".to_owned());
    let one = keys.seal(&secret, b"a").await.unwrap();
    let two = keys.seal(&secret, b"a").await.unwrap();
    assert_ne!(one, two);
    assert_eq!(keys.open(&one, b"a").await.unwrap().expose(), "canary");
    assert!(matches!(
        keys.open(&one, b"b").await,
        Err(SealError::Changed(_))
    ));
    let mut short = one;
    short.bytes.truncate(5);
    assert!(matches!(
        keys.open(&short, b"a").await,
        Err(SealError::Changed(_))
    ));
    assert!(!format!("{keys:?}").contains("MDEy"));
}

/// T51: key files that others may read are refused.
#[test]
fn t51_a_file_of_keys_that_others_can_read_is_refused() {
    let target = Target::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exposed");
    write(&path, KEY, 0o640);
    let refused = SealingKeys::read(&path).unwrap_err();
    let exposed = matches!(
        &refused,
        SealingKeysError::File(KeyFileError::File(SecretFileError::Exposed {
            mode: 0o640,
            ..
        }))
    );
    assert!(exposed, "{refused}");
    let pem = std::fs::read_to_string(target.github.private_key()).unwrap();
    write(&path, &pem, 0o600);
    let refused = AppKey::read("12345", &path).unwrap_err();
    assert!(
        matches!(refused, KeyFileError::File(SecretFileError::Exposed { .. })),
        "{refused}"
    );
}

#[test]
fn an_invalid_key_file_is_reported_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sealing.keys");
    let cases = [
        ("", "has no key"),
        ("k1 c2hvcnQ=\n", "line 1"),
        ("# all\n\nk1\n", "line 3"),
        (
            "k.1 MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n",
            "line 1",
        ),
    ];
    for (text, told) in cases {
        write(&path, text, 0o600);
        let refused = SealingKeys::read(&path).unwrap_err().to_string();
        assert!(refused.contains(told), "{refused}");
        assert!(!refused.contains("MDEy"), "{refused}");
    }
    write(&path, &format!("{KEY}{KEY}"), 0o600);
    assert!(matches!(
        SealingKeys::read(&path),
        Err(SealingKeysError::Twice(2))
    ));
    assert!(SealingKeys::read(&folder.path().join("none")).is_err());
}

/// Other tools convert GitHub's PKCS#1 to PKCS#8.
#[tokio::test]
async fn a_key_in_pkcs8_serves_as_well() {
    let target = Target::start();
    let pem = std::fs::read_to_string(target.github.private_key()).unwrap();
    let inner: String = pem.lines().filter(|line| !line.starts_with("--")).collect();
    let inner = STANDARD.decode(inner).unwrap();
    // PrivateKeyInfo: version 0, rsaEncryption with NULL, the key in an OCTET STRING (RFC 5208).
    let length = |of: usize| u16::try_from(of).unwrap().to_be_bytes();
    let algorithm = [
        0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
    ];
    let body = [
        &[0x02, 0x01, 0x00],
        &algorithm[..],
        &[0x04, 0x82],
        &length(inner.len()),
        &inner,
    ]
    .concat();
    let der = [&[0x30, 0x82], &length(body.len())[..], &body].concat();
    let path = target.keys().with_file_name("pkcs8.pem");
    let text = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(der)
    );
    write(&path, &text, 0o600);
    let key = AppKey::read(target.github.client_id(), &path).unwrap();
    assert!(!format!("{key:?}").contains("pair"));
    Client::new(&target.github.url(), key, "acme").unwrap();
    write(
        &path,
        "-----BEGIN PRIVATE KEY-----\nbm8=\n-----END PRIVATE KEY-----\n",
        0o600,
    );
    assert!(AppKey::read("1", &path).is_err());
    write(&path, "nothing", 0o600);
    assert!(AppKey::read("1", &path).is_err());
}

#[test]
fn plain_http_is_allowed_on_loopback_only() {
    let target = Target::start();
    let new = |api: &str, owner: &str| {
        let key = AppKey::read("12345", &target.github.private_key()).unwrap();
        Client::new(api, key, owner).err()
    };
    for good in [
        "https://api.github.com",
        "http://127.0.0.1:1",
        "http://[::1]:1/",
        "http://localhost:1",
    ] {
        assert!(new(good, "acme").is_none(), "{good}");
    }
    for bad in [
        "http://api.github.com",
        "ftp://127.0.0.1",
        "https://u@api.github.com",
        "https://api.github.com?x",
        "no",
    ] {
        assert!(
            matches!(new(bad, "acme"), Some(ConnectError::Address)),
            "{bad}"
        );
    }
    assert!(matches!(
        new("https://api.github.com", "a/b"),
        Some(ConnectError::Owner(_))
    ));
}
