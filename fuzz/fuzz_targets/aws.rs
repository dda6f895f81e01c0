//! Hostile proofs of AWS workloads, and hostile answers to them: nothing else is asked of nobody
//! else, and nobody else is named.
#![no_main]

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_identity::aws::{AwsCallers, CallerIdentity, CallerIdentityRequest, Region};
use lanyard_vocabulary::time::Timestamp;
use libfuzzer_sys::fuzz_target;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

static REGION: LazyLock<Region> = LazyLock::new(|| "eu-west-1".parse().expect("a region"));
static CALLERS: LazyLock<AwsCallers> = LazyLock::new(|| {
    AwsCallers::new(
        "lanyard.acme.example".parse().expect("a server id"),
        [REGION.clone()].into(),
        ["123456789012".parse().expect("an account")].into(),
        ["arn:aws:iam::123456789012:role/lanyard/plan"
            .parse()
            .expect("a role")]
        .into(),
    )
});

fn request(evidence: &str) {
    let Ok(request) = CallerIdentityRequest::parse(evidence, &CALLERS, NOW) else {
        return;
    };
    assert_eq!(request.region(), &*REGION);
    let headers: Vec<_> = request.headers().collect();
    let value = |name| {
        headers
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    };
    assert_eq!(value("host"), Some("sts.eu-west-1.amazonaws.com"));
    assert_eq!(value("x-lanyard-server-id"), Some("lanyard.acme.example"));
    for (name, value) in &headers {
        assert!(
            value.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{name}"
        );
    }
    // Everything but the signature itself is signed, and nothing else is.
    let mut names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
    names.retain(|name| *name != "authorization");
    let signed = format!(", SignedHeaders={}, ", names.join(";"));
    assert!(value("authorization").is_some_and(|value| value.contains(&signed)));
}

fn answer(text: &str) {
    let Ok(caller) = CallerIdentity::parse(200, text.as_bytes(), &REGION, &CALLERS) else {
        return;
    };
    let identity = caller.identity();
    assert_eq!(identity.issuer, "aws:123456789012");
    let resource = identity.subject.strip_prefix("arn:aws:iam::123456789012:");
    let resource = resource.expect("of that account");
    assert!(
        resource.starts_with("role/") || resource.starts_with("user/"),
        "{resource}"
    );
    assert_ne!(resource, "role/plan", "a lease role");
    assert_eq!(
        text.matches("</Arn>").count(),
        1,
        "two readers, two identities"
    );
}

fuzz_target!(|text: &str| {
    request(text);
    request(&format!("lanyard-aws.{}", URL_SAFE_NO_PAD.encode(text)));
    answer(text);
});
