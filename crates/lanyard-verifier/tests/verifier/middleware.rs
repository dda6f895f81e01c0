//! The middleware around a real router: what the tool receives, and how other requests are
//! answered.

use axum::body::{Body, to_bytes};
use axum::routing::get;
use axum::{Extension, Router};
use http::{HeaderMap, Request, Response};
use lanyard_verifier::{Accepted, require_scopes};
use serde_json::json;
use tower_service::Service as _;

use crate::fake::{KEYS, LIST, Scene};

async fn tool(Extension(caller): Extension<Accepted>, headers: HeaderMap) -> String {
    let names: Vec<_> = headers.keys().map(http::HeaderName::as_str).collect();
    format!(
        "{} under {} with {}",
        caller.agent,
        caller.task,
        names.join(",")
    )
}

fn app(scene: &Scene) -> Router {
    let inner = Router::new().route("/deep", get(tool));
    Router::new()
        .route(
            "/tickets",
            get(tool).layer(require_scopes(["tickets.read"])),
        )
        .route(
            "/moves",
            get(tool).layer(require_scopes(["tickets.read", "tickets.move"])),
        )
        .nest("/nested", inner)
        .layer(scene.verifier.layer())
}

async fn ask(mut app: Router, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
    let mut request = Request::get(path).header("x-other", "kept");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    app.call(request).await.unwrap()
}

/// Renders status, challenges and body.
async fn seen(response: Response<Body>) -> String {
    let (head, body) = response.into_parts();
    let mut text = format!("{}\n", head.status.as_u16());
    for name in ["www-authenticate", "retry-after"] {
        for value in head.headers.get_all(name) {
            text += &format!("{name}: {}\n", value.to_str().unwrap());
        }
    }
    let body = to_bytes(body, 64 * 1024).await.unwrap();
    text + std::str::from_utf8(&body).unwrap()
}

#[tokio::test]
async fn the_tool_gets_the_claims_and_not_the_token() {
    let scene = Scene::set();
    let bearer = format!("Bearer {}", scene.token());
    let answer = ask(
        app(&scene),
        "/tickets",
        &[("authorization", &bearer), ("dpop", "x")],
    )
    .await;
    assert_eq!(
        seen(answer).await,
        "200\nrouter under T-0TYM3XZBCCFE22Z8KHHVXMF9ZK with x-other"
    );
    let answer = ask(app(&scene), "/nested/deep", &[("authorization", &bearer)]).await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn each_refusal_has_its_answer() {
    let scene = Scene::set();
    let good = format!("Bearer {}", scene.token());
    let other = format!("Bearer {}", scene.token_with(&json!({"aud": "mail"})));
    let mut text = String::new();
    for (what, path, authorization) in [
        ("nothing", "/tickets", None),
        ("nonsense", "/tickets", Some("Bearer nonsense")),
        ("a token for another tool", "/tickets", Some(other.as_str())),
        ("no proof", "/tickets", Some("DPoP nonsense")),
        ("too little", "/moves", Some(good.as_str())),
    ] {
        let headers: Vec<_> = authorization
            .map(|value| ("authorization", value))
            .into_iter()
            .collect();
        let answer = ask(app(&scene), path, &headers).await;
        text += &format!("# {what}\n{}", seen(answer).await);
    }
    for (what, url) in [("no list", LIST), ("no keys", KEYS)] {
        let scene = Scene::set();
        scene.documents.at.lock().remove(url);
        let good = format!("Bearer {}", scene.token());
        let answer = ask(app(&scene), "/tickets", &[("authorization", &good)]).await;
        text += &format!("# {what}\n{}", seen(answer).await);
    }
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/verifier/answers.txt");
    if std::env::var_os("LANYARD_UPDATE").is_some() {
        std::fs::write(golden, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(golden).unwrap());
}

#[tokio::test]
async fn a_route_that_demands_scopes_and_forgot_the_verifier_is_closed() {
    let open = Router::new().route("/", get(tool).layer(require_scopes(["tickets.read"])));
    let answer = ask(open, "/", &[("authorization", "Bearer x")]).await;
    assert_eq!(answer.status(), 401);
}
