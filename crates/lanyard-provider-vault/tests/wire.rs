//! The requests that go over the connection, and the handling of answers that no honest server
//! gives.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use lanyard_core::provider::ProviderError;
use lanyard_provider_vault::api::{AccessorLookup, Endpoint, VaultApi as _};
use lanyard_provider_vault::{ConnectError, Login, Server};
use lanyard_vocabulary::secret::Secret;
use parking_lot::Mutex;

const CANARY: &str = "canary0SecretThatNobodyMayRepeat";
const LOGIN: &str = r#"{"request_id": "1", "auth": {"client_token": "hvs.broker", "accessor": "own", "lease_duration": 600, "renewable": true, "token_type": "service"}}"#;

const LIST: &str = r#"{"request_id": "2", "data": {"keys": ["other", "own"]}}"#;

/// The requests that arrived: request line and headers in lower case, and the body.
type Asked = Arc<Mutex<Vec<String>>>;

/// Starts a server that accepts logins, and answers everything else with this.
fn listen(head: &'static str, body: String) -> (SocketAddr, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Asked::default());
    let kept = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut reader = BufReader::new(client.try_clone().unwrap());
            let (mut request, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let line = line.to_ascii_lowercase();
                if let Some(said) = line.strip_prefix("content-length:") {
                    length = said.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
                request.push_str(&line);
            }
            let mut sent = vec![0; length];
            reader.read_exact(&mut sent).unwrap();
            request.push_str(&String::from_utf8(sent).unwrap());
            let login = request.contains("/login");
            kept.lock().push(request);
            let (head, body) = if login {
                ("200 OK", LOGIN)
            } else {
                (head, body.as_str())
            };
            let length = body.len();
            let content = if body.starts_with('<') {
                "text/html"
            } else {
                "application/json"
            };
            // The write fails if the client has closed the connection.
            drop(write!(
                client,
                "HTTP/1.1 {head}\r\ncontent-type: {content}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            ));
        }
    });
    (address, asked)
}

fn connect(address: &str, namespace: &str) -> Result<Server, ConnectError> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let endpoint = Endpoint {
        address: address.to_owned(),
        namespace: namespace.to_owned(),
        certificate_authority: String::new(),
    };
    let login = Login::Jwt {
        mount: "jwt".to_owned(),
        role: "role".to_owned(),
        // Any file with a text will do.
        token_file: concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into(),
    };
    Server::new(endpoint, login)
}

#[tokio::test]
async fn every_request_names_its_namespace_and_the_token_of_the_broker() {
    let (address, asked) = listen("200 OK", LIST.to_owned());
    let server = connect(&format!("http://{address}"), "platform/payments").unwrap();
    server.accessors().await.unwrap();
    server.accessors().await.unwrap();
    let asked = asked.lock();
    assert_eq!(asked.len(), 3, "one login");
    for request in asked.iter() {
        assert!(
            request.contains("x-vault-namespace: platform/payments\r\n"),
            "{request}"
        );
        assert!(request.contains("x-vault-request: true\r\n"), "{request}");
    }
    let [login, list, _] = asked.as_slice() else {
        unreachable!("three")
    };
    assert!(
        login.starts_with("post /v1/auth/jwt/login http/1.1"),
        "{login}"
    );
    assert!(!login.contains("x-vault-token"), "{login}");
    assert!(
        list.starts_with("list /v1/auth/token/accessors http/1.1"),
        "{list}"
    );
    assert!(list.contains("x-vault-token: hvs.broker\r\n"), "{list}");
}

/// A redirect would send the token to another address.
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (elsewhere, visited) = listen("200 OK", LIST.to_owned());
    let head =
        format!("307 Temporary Redirect\r\nlocation: http://{elsewhere}/v1/auth/token/accessors");
    let (address, _) = listen(head.leak(), String::new());
    let server = connect(&format!("http://{address}"), "").unwrap();
    let error = server.accessors().await.unwrap_err();
    assert!(matches!(error, ProviderError::Ambiguous { .. }), "{error}");
    assert!(visited.lock().is_empty());
}

/// T50: a server that echoes the request, with every status.
#[tokio::test]
async fn t50_no_text_of_the_server_reaches_an_error() {
    let body = serde_json::json!({"errors": [format!("permission denied: {CANARY}")], "data": {"keys": CANARY}});
    for head in [
        "200 OK",
        "400 Bad Request",
        "403 Forbidden",
        "404 Not Found",
        "412 Precondition Failed",
        "429 Too Many Requests",
        "472 Standby",
        "500 Internal Server Error",
        "503 Service Unavailable",
    ] {
        let (address, _) = listen(head, body.to_string());
        let server = connect(&format!("http://{address}"), "").unwrap();
        let child = server
            .create_child(&Secret::new(CANARY.to_owned()), &ask())
            .await;
        let errors = [
            server.revoke_accessor("a").await.err(),
            server.lookup("a").await.err(),
            server.mounts().await.err(),
            server.token_role("a").await.err(),
            child.err(),
        ];
        for error in errors.into_iter().flatten() {
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains(CANARY), "{head}: {shown}");
            let code = head.split(' ').next().unwrap();
            let expected = match code {
                "429" => matches!(error, ProviderError::Throttled { .. }),
                "400" | "403" | "404" => matches!(error, ProviderError::Refused { .. }),
                _ => matches!(error, ProviderError::Ambiguous { .. }),
            };
            assert!(expected, "{head}: {error:?}");
        }
    }
}

/// T55: an incomplete list of tokens would make live leases look dead.
#[tokio::test]
async fn t55_a_list_without_the_brokers_token_is_refused() {
    for (head, body) in [
        ("404 Not Found", r#"{"errors": []}"#),
        ("200 OK", r#"{"request_id": "3", "data": {"keys": []}}"#),
        (
            "200 OK",
            r#"{"request_id": "3", "data": {"keys": ["other"]}}"#,
        ),
        ("200 OK", r#"{"request_id": "3", "data": {}}"#),
    ] {
        let (address, _) = listen(head, body.to_owned());
        let server = connect(&format!("http://{address}"), "").unwrap();
        let listed = server.accessors().await;
        assert!(listed.is_err(), "{head} {body}: {listed:?}");
    }
    let (address, _) = listen("200 OK", LIST.to_owned());
    let server = connect(&format!("http://{address}"), "").unwrap();
    assert_eq!(server.accessors().await.unwrap(), ["other", "own"]);
}

/// T66: an engine's own error can use the words of the server; the secret is not gone.
#[tokio::test]
async fn t66_an_engines_error_does_not_count_as_the_end_of_a_secret() {
    for said in [
        "ACL token not found",
        "invalid lease",
        "lease not found",
        "invalid accessor",
        "no such user",
    ] {
        let body = serde_json::json!({"errors": [format!("failed to revoke entry: {said}")]});
        let (address, _) = listen("400 Bad Request", body.to_string());
        let server = connect(&format!("http://{address}"), "").unwrap();
        let revoked = server.revoke_lease("nomad/creds/a/b").await;
        assert!(
            matches!(revoked, Err(ProviderError::Pending { .. })),
            "{said}: {revoked:?}"
        );
    }
}

/// A refusal counts only in the words of the server: a proxy can refuse as well.
#[tokio::test]
async fn t55_a_refusal_of_a_proxy_does_not_count_as_gone() {
    let (address, _) = listen("403 Forbidden", "<h1>no</h1>".to_owned());
    let server = connect(&format!("http://{address}"), "").unwrap();
    let looked = server.lookup("a").await;
    assert!(
        matches!(looked, Err(ProviderError::Ambiguous { .. })),
        "{looked:?}"
    );
    for (head, words, gone) in [
        ("403 Forbidden", "invalid accessor", true),
        ("404 Not Found", "invalid accessor", true),
        ("403 Forbidden", "bad token", false),
        ("400 Bad Request", "token not found", false),
        ("404 Not Found", "", false),
    ] {
        let body = serde_json::json!({"errors": [format!("1 error occurred:\n\t* {words}\n\n")]});
        let (address, _) = listen(head, body.to_string());
        let server = connect(&format!("http://{address}"), "").unwrap();
        let looked = server.lookup("a").await;
        assert_eq!(
            matches!(looked, Ok(AccessorLookup::Gone)),
            gone,
            "{head} {words}: {looked:?}"
        );
    }
}

fn ask() -> lanyard_provider_vault::api::TokenAsk<'static> {
    lanyard_provider_vault::api::TokenAsk {
        role: "lanyard-lease",
        policies: vec!["payments-read".to_owned()],
        life: std::time::Duration::from_secs(60),
        uses: None,
        meta: std::collections::BTreeMap::new(),
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let (address, _) = listen("200 OK", "x".repeat(17 * 1024 * 1024));
    let server = connect(&format!("http://{address}"), "").unwrap();
    let error = server.accessors().await.unwrap_err();
    assert!(matches!(error, ProviderError::Ambiguous { .. }), "{error}");
}

#[tokio::test]
async fn an_address_is_https_or_on_this_machine() {
    for address in [
        "http://vault.acme.example:8200",
        "http://10.0.0.1:8200",
        "ftp://127.0.0.1",
        "https://user:password@vault.acme.example",
        "https://vault.acme.example/v1",
        "https://vault.acme.example?x",
        "vault.acme.example",
        "",
    ] {
        assert!(connect(address, "").is_err(), "{address}");
    }
    for address in [
        "https://vault.acme.example:8200/",
        "http://127.0.0.1:8200",
        "http://[::1]:8200",
    ] {
        assert!(connect(address, "").is_ok(), "{address}");
    }
    assert!(connect("https://vault.acme.example", "a\nb").is_err());
}

/// S47: 200, 404 and 500 with HTML, `{}` and another object, from a proxy or gateway.
#[tokio::test]
async fn s47_a_foreign_answer_ends_nothing_and_proves_nothing() {
    let another = r#"{"request_id": "9", "data": {"accessor": "other", "path": "x", "meta": null}, "auth": null}"#;
    let words = "invalid accessor, token not found, invalid lease, permission denied";
    let page = format!("<html>{words}</html>");
    let message = format!(r#"{{"message": "{words}"}}"#);
    let text = format!(r#""{words}""#);
    for head in [
        "200 OK",
        "400 Bad Request",
        "403 Forbidden",
        "404 Not Found",
        "500 Internal Server Error",
    ] {
        for body in ["{}", "[]", "", another, page.as_str(), &message, &text] {
            let told = format!("{head}: {body}");
            let (address, _) = listen(head, body.to_owned());
            let server = connect(&format!("http://{address}"), "").unwrap();
            let token = Secret::new("hvs.token".to_owned());
            assert!(server.revoke_accessor("a").await.is_err(), "{told}");
            assert!(server.revoke_lease("l").await.is_err(), "{told}");
            assert!(server.lookup("a").await.is_err(), "{told}");
            assert!(server.accessors().await.is_err(), "{told}");
            assert!(server.policy("p").await.is_err(), "{told}");
            assert!(server.create_child(&token, &ask()).await.is_err(), "{told}");
            // Another object of the server is not an answer about the token, and so no verdict on
            // it.
            assert!(server.accepted(&token).await != Ok(false), "{told}");
            assert!(server.lease_exists("l").await != Ok(false), "{told}");
        }
    }
    let (address, _) = listen("204 No Content", String::new());
    let server = connect(&format!("http://{address}"), "").unwrap();
    assert_eq!(server.revoke_accessor("a").await, Ok(()));
    let told = r#"{"request_id": "7", "data": null, "auth": null, "warnings": ["w"]}"#;
    let (address, _) = listen("200 OK", told.to_owned());
    let server = connect(&format!("http://{address}"), "").unwrap();
    assert_eq!(server.revoke_accessor("a").await, Ok(()));
}

/// T67: the failure of an engine, and the failure of the server.
#[tokio::test]
async fn t67_a_failing_engine_and_a_failing_server_differ() {
    const FAILED: &str = r#"{"errors": ["failed to revoke entry: connection refused"]}"#;
    const SEALED: &str = r#"{"errors": ["Vault is sealed"]}"#;
    for (head, body, of_server) in [
        ("400 Bad Request", FAILED, false),
        ("500 Internal Server Error", FAILED, false),
        ("503 Service Unavailable", SEALED, true),
        ("500 Internal Server Error", "<html></html>", true),
        ("400 Bad Request", "{}", true),
    ] {
        let (address, _) = listen(head, body.to_owned());
        let server = connect(&format!("http://{address}"), "").unwrap();
        let error = server.revoke_lease("database/creds/a/1").await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
        assert_eq!(error.is_of_provider(), of_server, "{error}");
    }
}
