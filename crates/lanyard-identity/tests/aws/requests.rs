//! The request that a caller hands in.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_identity::aws::{
    AccountId, BODY, CallerIdentityRequest, MAX_EVIDENCE_BYTES, RejectedRequest, RoleArn,
};
use proptest::prelude::*;
use ring::{digest, hmac};
use serde_json::{Value, json};

use super::{NOW, SERVER, callers};

const URL: &str = "https://sts.eu-west-1.amazonaws.com/";
const DATE: &str = "20270115T080000Z";
const TOKEN: &str = "FwoGZXIvYXdzEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// The signature that botocore 1.44 computes. An independent signer of forty lines computes the
/// same.
const SIGNATURE: &str = "89d4bfd22f670f757602e44225b8af0912b71a68544eeb284f3bf4ccfcbb4168";
const SCOPE: &str = "20270115/eu-west-1/sts/aws4_request";
const SIGNED: &str = "content-type;host;x-amz-date;x-amz-security-token;x-lanyard-server-id";

fn authorization(scope: &str, signed: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/{scope}, SignedHeaders={signed}, Signature={SIGNATURE}"
    )
}

fn headers() -> Value {
    json!({
        "host": "sts.eu-west-1.amazonaws.com",
        "content-type": "application/x-www-form-urlencoded",
        "X-Amz-Date": DATE,
        "X-Amz-Security-Token": TOKEN,
        "x-lanyard-server-id": SERVER,
        "Authorization": authorization(SCOPE, SIGNED),
    })
}

fn encoded(json: &str) -> String {
    format!("lanyard-aws.{}", URL_SAFE_NO_PAD.encode(json))
}

fn evidence(url: &str, headers: &Value, body: &str) -> String {
    encoded(&json!({"url": url, "headers": headers, "body": body}).to_string())
}

fn parse(evidence: &str) -> Result<CallerIdentityRequest, RejectedRequest> {
    CallerIdentityRequest::parse(evidence, &callers(), NOW)
}

fn refusal(evidence: &str) -> Option<RejectedRequest> {
    parse(evidence).err()
}

/// Encodes the honest evidence with one header changed or removed.
fn with(name: &str, value: Option<&str>) -> String {
    let mut headers = headers();
    let object = headers.as_object_mut().unwrap();
    match value {
        Some(value) => drop(object.insert(name.to_owned(), value.into())),
        None => drop(object.remove(name)),
    }
    evidence(URL, &headers, BODY)
}

/// Encodes the honest evidence with one more header in its JSON text, after the honest ones.
fn with_text(name: &str, value: &str) -> String {
    let text = headers().to_string();
    let headers = format!(
        "{},{}:{}}}",
        text.strip_suffix('}').unwrap(),
        json!(name),
        json!(value)
    );
    encoded(&format!(
        r#"{{"url":{},"headers":{headers},"body":{}}}"#,
        json!(URL),
        json!(BODY)
    ))
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

#[test]
fn the_rebuilt_request_is_what_the_caller_signed() {
    let request = parse(&evidence(URL, &headers(), BODY)).unwrap();
    let mut sent: Vec<_> = request.headers().collect();
    let (name, authorization_header) = sent.pop().unwrap();
    assert_eq!(name, "authorization");
    assert_eq!(authorization_header, authorization(SCOPE, SIGNED));
    let lines: String = sent
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect();
    let names: Vec<_> = sent.iter().map(|(name, _)| *name).collect();
    let canonical = format!("POST\n/\n\n{lines}\n{}\n{}", names.join(";"), sha256(BODY));
    let message = format!("AWS4-HMAC-SHA256\n{DATE}\n{SCOPE}\n{}", sha256(&canonical));
    let first = format!("AWS4{SECRET}").into_bytes();
    let key = SCOPE.split('/').fold(first, |key, part| mac(&key, part));
    assert_eq!(hex(&mac(&key, &message)), SIGNATURE);
    assert_eq!(request.region().url(), URL);
    assert_eq!(request.issued(), NOW);
}

#[test]
fn users_sign_without_a_security_token_and_sdks_may_name_a_charset() {
    let signed = "content-type;host;x-amz-date;x-lanyard-server-id";
    let mut headers = headers();
    headers["Authorization"] = authorization(SCOPE, signed).into();
    headers["content-type"] = "application/x-www-form-urlencoded; charset=utf-8".into();
    headers
        .as_object_mut()
        .unwrap()
        .remove("X-Amz-Security-Token");
    assert_eq!(refusal(&evidence(URL, &headers, BODY)), None);
}

#[test]
fn two_requests_of_one_second_may_differ_by_a_nonce() {
    let signed = SIGNED.replace("x-lanyard-server-id", "x-lanyard-nonce;x-lanyard-server-id");
    let mut headers = headers();
    headers["Authorization"] = authorization(SCOPE, &signed).into();
    headers["x-lanyard-nonce"] = "q0Zr8Wv1".into();
    assert_eq!(refusal(&evidence(URL, &headers, BODY)), None);
    let unsigned = refusal(&with("x-lanyard-nonce", Some("q0Zr8Wv1")));
    assert_eq!(unsigned, Some(RejectedRequest::Authorization));
}

// Project Zero: the caller names the host that is to confirm the caller.
#[test]
fn the_request_goes_to_no_host_that_the_caller_chose() {
    for url in [
        "https://sts.eu-west-1.amazonaws.com.evil.example/",
        "https://sts.eu-west-1.amazonaws.com@evil.example/",
        "https://user:pass@sts.eu-west-1.amazonaws.com/",
        "https://evil.example/sts.eu-west-1.amazonaws.com/",
        "http://sts.eu-west-1.amazonaws.com/",
        "https://sts.eu-west-1.amazonaws.com:443/",
        "https://sts.eu-west-1.amazonaws.com:8443/",
        "https://STS.eu-west-1.amazonaws.com/",
        "https://sts.eu-west-1.amazonaws.com./",
        "https://sts.eu-west-1.amazonaws.com",
        "https://sts.eu-west-1.amazonaws.com//",
        "https://sts.eu-west-1.amazonaws.com/\\evil.example",
        "https://sts.eu-west-1.amazonaws.com/#evil",
        "https://sts.eu-west-1.amazonaws.com/ ",
        "https://sts.eu-west-1.amazonaws.com/\n",
        "https://sts.eu-west-1.amazonaws.com.cn/",
        "https://sts.amazonaws.com/",
        "https://sts.ap-south-1.amazonaws.com/",
        "https://s3.eu-west-1.amazonaws.com/",
        "https://169.254.169.254/",
        "",
    ] {
        let refused = refusal(&evidence(url, &headers(), BODY));
        assert_eq!(refused, Some(RejectedRequest::Url), "{url}");
    }
}

// Project Zero: the URL is that of STS, and the Host header names another server.
#[test]
fn the_host_header_is_the_url_s() {
    for host in [
        "evil.example",
        "sts.us-east-1.amazonaws.com",
        "STS.eu-west-1.amazonaws.com",
        "sts.eu-west-1.amazonaws.com:443",
        "sts.eu-west-1.amazonaws.com evil.example",
        "",
    ] {
        let refused = refusal(&with("host", Some(host)));
        assert_eq!(refused, Some(RejectedRequest::Headers), "{host}");
    }
    let absent = refusal(&with("host", None));
    assert_eq!(absent, Some(RejectedRequest::Headers));
}

// Project Zero: another action, whose answer contains text of the caller's choice. CVE-2022-2385:
// the action twice, with different case.
#[test]
fn no_other_action_is_asked_for() {
    for body in [
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&WebIdentityToken=x",
        "Action=GetCallerIdentity&Action=AssumeRole&Version=2011-06-15",
        "Action=AssumeRole&Action=GetCallerIdentity&Version=2011-06-15",
        "Action=GetCallerIdentity&action=AssumeRole&Version=2011-06-15",
        "Version=2011-06-15&Action=GetCallerIdentity",
        "Action=GetCallerIdentity&Version=2011-06-15&RoleArn=x",
        "Action=GetCallerIdentity&Version=2011-06-15&",
        "Action=GetCallerIdentity&Version=2011-06-15\r\n",
        "Action=GetCallerIdentity&Version=2011-06-16",
        "Action=GetCallerIdentity%26Version=2011-06-15",
        "action=GetCallerIdentity&version=2011-06-15",
        "",
    ] {
        let refused = refusal(&evidence(URL, &headers(), body));
        assert_eq!(refused, Some(RejectedRequest::Body), "{body}");
    }
}

// Project Zero, CVE-2022-2385: the action, or the whole signature, in the query.
#[test]
fn the_presigned_form_and_every_other_query_are_refused() {
    for query in [
        "?",
        "?Action=AssumeRoleWithWebIdentity",
        "?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=60",
        "?Action=GetCallerIdentity&action=AssumeRole",
        "?x-amz-signedheaders=host&X-Amz-SignedHeaders=host;x-lanyard-server-id",
    ] {
        let refused = refusal(&evidence(&format!("{URL}{query}"), &headers(), BODY));
        assert_eq!(refused, Some(RejectedRequest::Url), "{query}");
    }
}

// Project Zero: `Accept: application/json` made STS answer in a format that does not escape the
// caller's text.
#[test]
fn unexpected_headers_are_refused() {
    for name in [
        "Accept",
        "Accept-Encoding",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Expect",
        "User-Agent",
        "X-Forwarded-Host",
        "X-Amz-Target",
        "X-Amz-Content-Sha256",
        "X-HTTP-Method-Override",
        "x-lanyard-server-id ",
        "x-lanyard_server-id",
        "",
    ] {
        let refused = refusal(&with(name, Some("application/json")));
        assert_eq!(refused, Some(RejectedRequest::Headers), "{name}");
    }
}

// CVE-2022-2385: a repeated header, of which two readers take different values.
#[test]
fn a_repeated_header_is_refused_in_any_case() {
    for (name, value) in [
        ("X-Lanyard-Server-Id", SERVER),
        ("x-lanyard-server-id", "elsewhere.example"),
        ("Host", "sts.eu-west-1.amazonaws.com"),
        ("x-amz-date", DATE),
        ("AUTHORIZATION", "AWS4-HMAC-SHA256"),
    ] {
        let refused = refusal(&with_text(name, value));
        assert_eq!(refused, Some(RejectedRequest::Headers), "{name}");
    }
}

#[test]
fn a_header_value_cannot_end_its_line_or_have_a_second_form() {
    for value in [
        "lanyard.acme.example\r\nHost: evil.example",
        "lanyard.acme.example\n",
        "lanyard.acme.example\0",
        " lanyard.acme.example",
        "lanyard.acme.example ",
        "lanyard.acme  example",
        "lanyard.acme.example\t",
        "lanyard.ácme.example",
        "",
    ] {
        let refused = refusal(&with("x-lanyard-server-id", Some(value)));
        assert_eq!(refused, Some(RejectedRequest::Headers), "{value:?}");
    }
}

// A server that accepts requests signed for another server can impersonate its own callers there.
#[test]
fn a_request_signed_for_another_server_is_refused() {
    for id in [
        "vault.acme.example",
        "lanyard.acme.example.evil.example",
        "lanyard",
        "LANYARD.acme.example",
    ] {
        let refused = refusal(&with("x-lanyard-server-id", Some(id)));
        assert_eq!(refused, Some(RejectedRequest::Server), "{id}");
    }
    let absent = refusal(&with("x-lanyard-server-id", None));
    assert_eq!(absent, Some(RejectedRequest::Headers));
}

// CVE-2022-2385: the server id is present, and the signature does not cover it.
#[test]
fn exactly_the_present_headers_must_be_signed() {
    for signed in [
        "content-type;host;x-amz-date;x-amz-security-token",
        "content-type;host;x-amz-security-token;x-lanyard-server-id",
        "content-type;x-amz-date;x-amz-security-token;x-lanyard-server-id",
        "host;x-amz-date;x-amz-security-token;x-lanyard-server-id",
        "content-type;host;x-amz-date;x-lanyard-server-id",
        "accept;content-type;host;x-amz-date;x-amz-security-token;x-lanyard-server-id",
        "content-type;host;host;x-amz-date;x-amz-security-token;x-lanyard-server-id",
        "host;content-type;x-amz-date;x-amz-security-token;x-lanyard-server-id",
        "content-type;Host;x-amz-date;x-amz-security-token;x-lanyard-server-id",
        "content-type;host;x-amz-date;x-amz-security-token;x-lanyard-server-id;",
        "",
    ] {
        let authorization = authorization(SCOPE, signed);
        let refused = refusal(&with("Authorization", Some(&authorization)));
        assert_eq!(refused, Some(RejectedRequest::Authorization), "{signed}");
    }
}

#[test]
fn the_authorization_has_one_form() {
    let honest = authorization(SCOPE, SIGNED);
    for odd in [
        honest.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        honest.replace("AWS4-HMAC-SHA256", "aws4-hmac-sha256"),
        honest.replace(", ", ","),
        honest.replace("aws4_request", "aws4_request/aws4_request"),
        honest.replace("/aws4_request", ""),
        honest.replace(SIGNATURE, &SIGNATURE.to_uppercase()),
        honest.replace(SIGNATURE, &SIGNATURE[1..]),
        honest.replace(SIGNATURE, ""),
        honest.replace("AKIAIOSFODNN7EXAMPLE", "akiaiosfodnn7example"),
        honest.replace("AKIAIOSFODNN7EXAMPLE", ""),
        format!("{honest}, Signature={SIGNATURE}"),
        format!("{honest},"),
        "Bearer x".to_owned(),
    ] {
        let refused = refusal(&with("Authorization", Some(&odd)));
        assert_eq!(refused, Some(RejectedRequest::Authorization), "{odd}");
    }
}

#[test]
fn the_credential_is_scoped_to_that_sts_and_that_day() {
    for scope in [
        "20270115/us-east-1/sts/aws4_request",
        "20270115/eu-west-1/iam/aws4_request",
        "20270115/eu-west-1/STS/aws4_request",
        "20270114/eu-west-1/sts/aws4_request",
        "2027011/eu-west-1/sts/aws4_request",
    ] {
        let refused = refusal(&with("Authorization", Some(&authorization(scope, SIGNED))));
        assert_eq!(refused, Some(RejectedRequest::Scope), "{scope}");
    }
}

// T13
#[test]
fn t13_a_request_is_good_for_five_minutes_and_thirty_seconds_of_skew() {
    let text = evidence(URL, &headers(), BODY);
    let at = |now| CallerIdentityRequest::parse(&text, &callers(), now).err();
    let request = parse(&text).unwrap();
    assert_eq!(request.expires(), NOW + Duration::from_secs(330));
    assert_eq!(at(NOW + Duration::from_secs(330)), None);
    assert_eq!(at(NOW.before(Duration::from_secs(30))), None);
    let late = at(NOW + Duration::from_millis(330_001));
    assert_eq!(late, Some(RejectedRequest::Times));
    let early = at(NOW.before(Duration::from_millis(30_001)));
    assert_eq!(early, Some(RejectedRequest::Times));
    for date in [
        "20270115T080000",
        "2027-01-15T08:00:00Z",
        "20270115T080000z",
        "20270115T250000Z",
        "20270230T080000Z",
        "20270115T08000+Z",
        "Fri, 15 Jan 2027 08:00:00 GMT",
    ] {
        let refused = refusal(&with("X-Amz-Date", Some(date)));
        assert_eq!(refused, Some(RejectedRequest::Times), "{date}");
    }
}

// T12, CVE-2022-2385: the same signature in another encoding is the same proof.
#[test]
fn t12_one_signature_has_one_replay_key_in_every_encoding() {
    let plain = parse(&evidence(URL, &headers(), BODY)).unwrap();
    let mut shuffled = headers();
    let object = shuffled.as_object_mut().unwrap();
    let host = object.remove("host").unwrap();
    object.insert("HOST".to_owned(), host);
    let text = json!({"body": BODY, "headers": shuffled, "url": URL});
    let pretty = serde_json::to_string_pretty(&text).unwrap();
    let dressed = parse(&encoded(&pretty)).unwrap();
    assert_eq!(plain.replay_key(), dressed.replay_key());
    let other = authorization(SCOPE, SIGNED).replace(SIGNATURE, &"0".repeat(64));
    let other = parse(&with("Authorization", Some(&other))).unwrap();
    assert_ne!(plain.replay_key(), other.replay_key());
}

// T5
#[test]
fn t05_evidence_has_one_form_and_a_bounded_size() {
    let honest = json!({"url": URL, "headers": headers(), "body": BODY}).to_string();
    let inside = honest.strip_suffix('}').unwrap();
    for text in [
        encoded(&format!("{inside},\"url\":\"https://evil.example/\"}}")),
        encoded(&format!("{inside},\"headers\":{{}}}}")),
        encoded(&format!("{inside},\"method\":\"GET\"}}")),
        encoded(&format!("{honest}{honest}")),
        encoded("{}"),
        encoded("[]"),
        encoded(&honest.replace(&format!("\"{SERVER}\""), "[\"lanyard.acme.example\"]")),
        encoded(&honest)["lanyard-aws.".len()..].to_owned(),
        encoded(&honest).replace("lanyard-aws.", "LANYARD-AWS."),
        format!("lanyard-aws.{}=", URL_SAFE_NO_PAD.encode(&honest)),
        format!("lanyard-aws. {}", URL_SAFE_NO_PAD.encode(&honest)),
        encoded(&format!("{honest}{}", " ".repeat(MAX_EVIDENCE_BYTES))),
        encoded(&"[".repeat(6000)),
        "lanyard-aws.".to_owned(),
        String::new(),
    ] {
        assert_eq!(refusal(&text), Some(RejectedRequest::Form), "{text}");
    }
    assert!(CallerIdentityRequest::is_one(&encoded(&honest)));
    assert!(!CallerIdentityRequest::is_one("eyJhbGciOiJFZERTQSJ9.e30.x"));
}

// T49
#[test]
fn t49_debug_shows_neither_the_signature_nor_the_security_token() {
    let request = parse(&evidence(URL, &headers(), BODY)).unwrap();
    let shown = format!("{request:?}");
    assert!(
        !shown.contains(SIGNATURE) && !shown.contains(TOKEN),
        "{shown}"
    );
}

#[test]
fn names_of_the_configuration_are_parsed_strictly() {
    for region in [
        "",
        "eu",
        "eu-west",
        "EU-west-1",
        "eu-west-0",
        "eu-west-1.evil.example",
        "us-iso-east-1",
        "eu--west-1",
        "eu-west-1/",
    ] {
        assert!(
            region.parse::<lanyard_identity::aws::Region>().is_err(),
            "{region}"
        );
    }
    for (region, host) in [
        ("eu-west-1", "sts.eu-west-1.amazonaws.com"),
        ("us-gov-west-1", "sts.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
        ("eusc-de-east-1", "sts.eusc-de-east-1.amazonaws.eu"),
    ] {
        let region: lanyard_identity::aws::Region = region.parse().unwrap();
        assert_eq!(region.host(), host);
    }
    assert!("12345678901".parse::<AccountId>().is_err());
    assert!("12345678901a".parse::<AccountId>().is_err());
    for arn in [
        "arn:aws:iam::123456789012:user/x",
        "arn:aws:iam::1:role/x",
        "role/x",
        "arn:aws:iam::123456789012:role/",
    ] {
        assert!(arn.parse::<RoleArn>().is_err(), "{arn}");
    }
}

#[test]
fn names_of_the_configuration_have_bounds() {
    let server = |length: usize| {
        "s".repeat(length)
            .parse::<lanyard_identity::aws::ServerId>()
    };
    assert!(server(255).is_ok() && server(256).is_err());
    let region = |length: usize| {
        let text = format!("{}-b-1", "a".repeat(length - 4));
        text.parse::<lanyard_identity::aws::Region>()
    };
    assert!(region(32).is_ok() && region(33).is_err());
}

proptest! {
    // Whichever byte is changed, a request that is accepted differs from the honest one only in
    // signature, access key or token.
    #[test]
    fn a_damaged_request_is_refused_or_equivalent(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut json = json!({"url": URL, "headers": headers(), "body": BODY}).to_string().into_bytes();
        let place = place.index(json.len());
        json[place] = byte;
        let text = format!("lanyard-aws.{}", URL_SAFE_NO_PAD.encode(json));
        if let Ok(request) = parse(&text) {
            prop_assert_eq!(request.region().url(), URL);
            for (name, value) in request.headers() {
                match name {
                    "host" => prop_assert_eq!(value, "sts.eu-west-1.amazonaws.com"),
                    "content-type" => prop_assert_eq!(value, "application/x-www-form-urlencoded"),
                    "x-lanyard-server-id" => prop_assert_eq!(value, SERVER),
                    "authorization" => prop_assert!(value.contains("/20270115/eu-west-1/sts/aws4_request, ")),
                    "x-amz-date" | "x-amz-security-token" => prop_assert!(!value.contains(['\r', '\n'])),
                    other => prop_assert!(false, "{}", other),
                }
            }
        }
    }
}
