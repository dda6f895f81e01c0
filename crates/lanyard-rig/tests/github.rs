//! The fake of GitHub accepts nothing that GitHub's documentation refuses.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lanyard_rig::GitHub;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;
const MINT: (&str, &str) = ("POST", "/app/installations/42/access_tokens");

fn github() -> GitHub {
    let github = GitHub::start().unwrap();
    github.set_clock(NOW);
    github
}

fn signed(github: &GitHub, header: &Value, claims: &Value) -> String {
    let pem = std::fs::read_to_string(github.private_key()).unwrap();
    let der: String = pem.lines().filter(|line| !line.starts_with("--")).collect();
    let key = RsaKeyPair::from_der(&STANDARD.decode(der).unwrap()).unwrap();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(header), part(claims));
    let mut signature = vec![0; key.public().modulus_len()];
    let random = SystemRandom::new();
    key.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)
        .unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn app(github: &GitHub) -> String {
    let claims = json!({"iat": NOW - 60, "exp": NOW + 540, "iss": github.app_id()});
    signed(github, &json!({"alg": "RS256", "typ": "JWT"}), &claims)
}

fn minted(github: &GitHub, body: &Value) -> (u16, Value) {
    github.call(MINT, &app(github), Some(body)).unwrap()
}

#[test]
fn an_app_authenticates_with_its_own_token_only() {
    let github = github();
    let rs256 = json!({"alg": "RS256", "typ": "JWT"});
    let id = github.app_id();
    let good = json!({"iat": NOW - 60, "exp": NOW + 600, "iss": id});
    let status = |jwt: &str| {
        let asked = ("GET", "/orgs/acme/installation");
        github.call(asked, jwt, None).unwrap().0
    };
    assert_eq!(status(&signed(&github, &rs256, &good)), 200);
    let by_client = json!({"iat": NOW, "exp": NOW + 1, "iss": github.client_id()});
    assert_eq!(status(&signed(&github, &rs256, &by_client)), 200);
    let cases = [
        (
            &rs256,
            json!({"iat": NOW - 60, "exp": NOW + 601, "iss": id}),
            401,
        ),
        (&rs256, json!({"iat": NOW - 60, "exp": NOW, "iss": id}), 401),
        (
            &rs256,
            json!({"iat": NOW + 1, "exp": NOW + 600, "iss": id}),
            401,
        ),
        (&rs256, json!({"exp": NOW + 600, "iss": id}), 401),
        (&rs256, json!({"iat": NOW - 60, "iss": id}), 401),
        (
            &rs256,
            json!({"iat": NOW - 60, "exp": NOW + 600, "iss": "54321"}),
            404,
        ),
        (&rs256, json!({"iat": NOW - 60, "exp": NOW + 600}), 404),
        (&json!({"alg": "none"}), good.clone(), 401),
        (&json!({"alg": "HS256"}), good.clone(), 401),
    ];
    for (header, claims, expected) in cases {
        assert_eq!(
            status(&signed(&github, header, &claims)),
            expected,
            "{header} {claims}"
        );
    }
    let jwt = signed(&github, &rs256, &good);
    let (rest, _) = jwt.rsplit_once('.').unwrap();
    let other = app(&github);
    let (_, signature) = other.rsplit_once('.').unwrap();
    assert_eq!(
        status(&format!("{rest}.{signature}")),
        401,
        "the signature of another"
    );
    assert_eq!(status("ghs_nothing"), 401);
}

#[test]
fn what_a_token_is_asked_for_is_checked_member_by_member() {
    let github = github();
    let many: Vec<_> = (0..501).map(|at| format!("r{at}")).collect();
    let permissions = json!({"contents": "read"});
    let cases = [
        (
            json!({"repositories": ["payments"], "permissions": permissions}),
            201,
        ),
        (
            json!({"repository": "payments", "permissions": permissions}),
            422,
        ),
        (
            json!({"repositories": ["payments"], "permission": permissions}),
            422,
        ),
        (
            json!({"repositories": "payments", "permissions": permissions}),
            422,
        ),
        (
            json!({"repositories": ["payments", 1], "permissions": permissions}),
            422,
        ),
        (
            json!({"repositories": ["payments", "elsewhere"], "permissions": permissions}),
            422,
        ),
        (
            json!({"repositories": many, "permissions": permissions}),
            422,
        ),
        (
            json!({"repositories": ["payments"], "permissions": {"contents": "admin"}}),
            422,
        ),
        (
            json!({"repositories": ["payments"], "permissions": {"contents": "all"}}),
            422,
        ),
        (
            json!({"repositories": ["payments"], "permissions": {"secrets": "read"}}),
            422,
        ),
        (
            json!({"repositories": ["payments"], "permissions": ["contents"]}),
            422,
        ),
        (json!(["payments"]), 400),
        (json!({"repositories": ["x".repeat(2 << 20)]}), 413),
    ];
    for (body, expected) in cases {
        let (status, answer) = minted(&github, &body);
        assert_eq!(status, expected, "{answer}");
    }
    assert_eq!(github.live(), 1);
    let elsewhere = ("POST", "/app/installations/43/access_tokens");
    assert_eq!(github.call(elsewhere, &app(&github), None).unwrap().0, 404);
}

/// The fake reads missing fields as GitHub does, as all of them, so a test has to show that both
/// are sent.
#[test]
fn missing_fields_mean_everything() {
    let github = github();
    for body in [json!({}), json!({"repositories": [], "permissions": {}})] {
        let (status, answer) = minted(&github, &body);
        assert_eq!(
            (status, &answer["repository_selection"]),
            (201, &json!("all"))
        );
        assert_eq!(answer["permissions"]["issues"], "write");
        let token = answer["token"].as_str().unwrap();
        for name in ["payments", "ledger", "website"] {
            let file = format!("/repos/acme/{name}/contents/README.md");
            assert_eq!(github.call(("GET", &file), token, None).unwrap().0, 200);
        }
    }
}

#[test]
fn a_token_is_good_for_what_it_is_for_until_its_end() {
    let github = github();
    let body = json!({"repositories": ["payments"], "permissions": {"contents": "write"}});
    let (_, answer) = minted(&github, &body);
    assert_eq!(answer["expires_at"], "2027-01-15T09:00:00Z");
    assert_eq!(
        answer["permissions"],
        json!({"contents": "write", "metadata": "read"})
    );
    let token = answer["token"].as_str().unwrap();
    let status = |request| github.call(request, token, None).unwrap().0;
    assert_eq!(status(("GET", "/repos/acme/payments")), 200);
    assert_eq!(status(("GET", "/repos/acme/ledger")), 404);
    assert_eq!(status(("GET", "/repos/other/payments")), 404);
    assert_eq!(status(("POST", "/repos/acme/payments/pulls")), 403);
    assert_eq!(status(MINT), 401, "a token cannot create a token");
    assert_eq!(status(("GET", "/user")), 404);
    github.set_clock(NOW + 3599);
    assert_eq!(status(("GET", "/installation/repositories")), 200);
    github.set_clock(NOW + 3600);
    assert_eq!(status(("GET", "/installation/repositories")), 401);
    assert_eq!(status(("DELETE", "/installation/token")), 401);
}

#[test]
fn a_token_that_may_write_can_merge_without_a_review_rule() {
    let github = github();
    let permissions = json!({"contents": "write", "pull_requests": "write"});
    let body = json!({"repositories": ["payments"], "permissions": permissions});
    let (_, answer) = minted(&github, &body);
    let token = answer["token"].as_str().unwrap();
    let merge = ("PUT", "/repos/acme/payments/pulls/1/merge");
    let opened = github.call(("POST", "/repos/acme/payments/pulls"), token, None);
    assert_eq!(opened.unwrap().0, 201);
    github.require_reviews("payments", 1, None);
    assert_eq!(github.call(merge, token, None).unwrap().0, 405);
    github.require_reviews("payments", 1, Some("always"));
    assert_eq!(github.call(merge, token, None).unwrap().0, 200);
}

#[test]
fn requests_need_their_headers() {
    let github = github();
    let address = github.url().replace("http://", "");
    let status = |headers: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        let jwt = app(&github);
        write!(
            stream,
            "GET /orgs/acme/installation HTTP/1.1\r\nauthorization: Bearer {jwt}\r\n{headers}\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    let (agent, accept) = (
        "user-agent: us\r\n",
        "accept: application/vnd.github+json\r\n",
    );
    let version = "x-github-api-version: 2022-11-28\r\n";
    assert_eq!(status(&format!("{agent}{accept}{version}")), 200);
    assert_eq!(status(&format!("{accept}{version}")), 403);
    assert_eq!(status(&format!("{agent}{version}")), 415);
    assert_eq!(status(&format!("{agent}{accept}")), 400);
    assert_eq!(
        status(&format!(
            "{agent}{accept}x-github-api-version: 2020-01-01\r\n"
        )),
        400
    );
}

#[test]
fn a_suspended_installation_and_its_tokens_do_nothing() {
    let github = github();
    let body = json!({"repositories": ["payments"], "permissions": {"contents": "read"}});
    let (_, answer) = minted(&github, &body);
    let token = answer["token"].as_str().unwrap();
    let suspend = ("PUT", "/app/installations/42/suspended");
    assert_eq!(github.call(suspend, &app(&github), None).unwrap().0, 204);
    let found = github.call(("GET", "/orgs/acme/installation"), &app(&github), None);
    assert!(found.unwrap().1["suspended_at"].is_string());
    assert_eq!(minted(&github, &body).0, 403);
    assert_eq!(
        github
            .call(("GET", "/installation/repositories"), token, None)
            .unwrap()
            .0,
        403
    );
}
