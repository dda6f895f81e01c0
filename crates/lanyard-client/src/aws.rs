//! The proof of an AWS workload: a signed `GetCallerIdentity` request that the broker sends to STS.
//!
//! The secret key only signs and never leaves this process. The signature covers the region's STS
//! host and the broker's server id, so no other server can use the proof.

use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_config::Region;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::clock::now;
use crate::random::fresh_id;

pub use aws_credential_types::Credentials;

const PREFIX: &str = "lanyard-aws.";
const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
const FORM: &str = "application/x-www-form-urlencoded";

/// An AWS proof could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// The environment, the profile, the container endpoint and the instance metadata hold no
    /// credentials.
    #[error("no AWS credentials in the environment, profile, container or instance")]
    Credentials(#[source] CredentialsError),
    /// The request cannot be signed because the region or the server id is invalid.
    #[error("cannot sign the request to STS")]
    Signing(#[source] Box<dyn Error + Send + Sync>),
    /// The system supplies neither randomness nor a clock reading.
    #[error("the system supplies no randomness or no clock reading")]
    System,
}

/// Signs a proof for `server_id` with the credentials that the AWS SDKs would find: environment,
/// profile, web identity, container, instance. The broker accepts the proof once and for five
/// minutes.
///
/// # Errors
/// See [`AwsError`].
pub async fn evidence(region: &str, server_id: &str) -> Result<String, AwsError> {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let configuration = ProviderConfig::default()
        .with_http_client(http)
        .with_region(Some(Region::new(region.to_owned())));
    let chain = DefaultCredentialsChain::builder().configure(configuration);
    let credentials = chain.build().await.provide_credentials().await;
    let credentials = credentials.map_err(AwsError::Credentials)?;
    let since = std::time::Duration::from_secs(now().map_err(|_| AwsError::System)?);
    signed(&credentials, region, server_id, UNIX_EPOCH + since)
}

/// Signs a proof with the given `credentials` at the time `at`.
///
/// # Errors
/// See [`AwsError`].
pub fn signed(
    credentials: &Credentials,
    region: &str,
    server_id: &str,
    at: SystemTime,
) -> Result<String, AwsError> {
    let host = host(region);
    let url = format!("https://{host}/");
    // Two requests of one second would have one signature, and the second would be a replay.
    let nonce = fresh_id().map_err(|_| AwsError::System)?;
    let given = [
        ("content-type", FORM),
        ("host", host.as_str()),
        ("x-lanyard-nonce", nonce.as_str()),
        ("x-lanyard-server-id", server_id),
    ];
    let body = SignableBody::Bytes(BODY.as_bytes());
    let request = SignableRequest::new("POST", &url, given.into_iter(), body);
    let request = request.map_err(unsigned)?;
    let identity = credentials.clone().into();
    let parameters = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(at)
        .settings(SigningSettings::default())
        .build()
        .map_err(unsigned)?;
    let signing = sign(request, &parameters.into()).map_err(unsigned)?;
    let added = signing.output().headers();
    let headers: Map<String, Value> = given
        .into_iter()
        .chain(added)
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    let evidence = json!({"url": url, "headers": headers, "body": BODY});
    Ok(format!(
        "{PREFIX}{}",
        URL_SAFE_NO_PAD.encode(evidence.to_string())
    ))
}

fn unsigned(error: impl Error + Send + Sync + 'static) -> AwsError {
    AwsError::Signing(Box::new(error))
}

/// Returns the STS host of `region`; the domain depends on the AWS partition.
fn host(region: &str) -> String {
    let suffix = if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else if region.starts_with("eusc-") {
        "amazonaws.eu"
    } else {
        "amazonaws.com"
    };
    format!("sts.{region}.{suffix}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lanyard_identity::aws::{AwsCallers, CallerIdentityRequest};
    use lanyard_vocabulary::time::Timestamp;
    use ring::{digest, hmac};

    use super::*;

    const SERVER: &str = "lanyard.acme.example";
    const NOW: u64 = 1_800_000_000;

    fn at() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(NOW)
    }

    fn credentials(token: Option<&str>) -> Credentials {
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let token = token.map(str::to_owned);
        Credentials::new("AKIAIOSFODNN7EXAMPLE", secret, token, None, "test")
    }

    fn read(evidence: &str, region: &str) -> CallerIdentityRequest {
        let callers = AwsCallers::new(
            SERVER.parse().unwrap(),
            [region.parse().unwrap()].into(),
            [].into(),
            [].into(),
        );
        let now = Timestamp::from_secs(NOW);
        CallerIdentityRequest::parse(evidence, &callers, now).unwrap()
    }

    fn mac(key: &[u8], message: &str) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn sha256(text: &str) -> String {
        hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
    }

    /// Computes Signature Version 4 a second time, from AWS's description of the algorithm.
    fn expected(request: &CallerIdentityRequest, region: &str) -> String {
        let headers = request.headers();
        let headers: Vec<_> = headers
            .filter(|(name, _)| *name != "authorization")
            .collect();
        let line = |(name, value): &(&str, &str)| format!("{name}:{value}\n");
        let lines: String = headers.iter().map(line).collect();
        let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
        let (names, body) = (names.join(";"), sha256(BODY));
        let canonical = format!("POST\n/\n\n{lines}\n{names}\n{body}");
        let scope = format!("20270115/{region}/sts/aws4_request");
        let digest = sha256(&canonical);
        let message = format!("AWS4-HMAC-SHA256\n20270115T080000Z\n{scope}\n{digest}");
        let secret = credentials(None);
        let first = format!("AWS4{}", secret.secret_access_key()).into_bytes();
        let key = scope.split('/').fold(first, |key, part| mac(&key, part));
        hex(&mac(&key, &message))
    }

    #[test]
    fn a_signed_request_parses_at_the_broker_and_is_rebuilt_equal() {
        for (region, token) in [
            ("eu-west-1", Some("FwoGZXIvYXdzEXAMPLE")),
            ("us-gov-west-1", None),
            ("cn-north-1", None),
        ] {
            let evidence = signed(&credentials(token), region, SERVER, at()).unwrap();
            let request = read(&evidence, region);
            let signature = expected(&request, region);
            let mut headers = request.headers();
            let (_, authorization) = headers.find(|(name, _)| *name == "authorization").unwrap();
            assert!(authorization.ends_with(&signature), "{authorization}");
        }
    }

    // T12
    #[test]
    fn t12_two_proofs_of_one_second_differ() {
        let one = || signed(&credentials(None), "eu-west-1", SERVER, at()).unwrap();
        let key = |evidence: String| read(&evidence, "eu-west-1").replay_key();
        assert_ne!(key(one()), key(one()));
    }

    // T49
    #[test]
    fn t49_the_secret_key_is_not_in_the_proof() {
        let evidence = signed(&credentials(None), "eu-west-1", SERVER, at()).unwrap();
        let json = URL_SAFE_NO_PAD.decode(&evidence[PREFIX.len()..]).unwrap();
        let json = String::from_utf8(json).unwrap();
        assert!(!json.contains(credentials(None).secret_access_key()));
    }

    #[test]
    fn a_server_id_that_cannot_be_a_header_is_not_signed() {
        let refused = signed(&credentials(None), "eu-west-1", "a\r\nhost: b", at());
        assert!(matches!(refused, Err(AwsError::Signing(_))), "{refused:?}");
    }
}
