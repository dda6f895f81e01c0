//! Answers of an API server, and of other servers in its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body as Answer;
use axum::extract::{Query, Request as Asked};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use lanyard_testkit::world;
use serde_json::json;
use tokio::sync::watch;

use super::*;
use crate::absence::Gap;
use crate::follow::{MAX_CONFIG_MAPS_PER_NAMESPACE, Source, follow};

/// Starts a server that answers each request with `answer`, and returns a client of it.
async fn serving<F>(answer: F) -> Client
where
    F: Fn(Asked) -> Response + Clone + Send + Sync + 'static,
{
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(move |asked: Asked| {
        let answer = answer.clone();
        async move { answer(asked) }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    let url = format!("http://{address}").parse().unwrap();
    let mut config = kube::Config::new(url);
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

fn api(client: Client) -> Api {
    Api::new(client, Duration::from_secs(10))
}

fn item(number: usize) -> Value {
    json!({"apiVersion": API_VERSION, "kind": "Charter",
        "metadata": {"name": format!("c{number}"), "uid": format!("u{number}"), "resourceVersion": "1"}, "spec": {}})
}

fn list(items: Vec<Value>, next: &str) -> String {
    let metadata = json!({"resourceVersion": "7", "continue": next});
    json!({"apiVersion": API_VERSION, "kind": "CharterList", "metadata": metadata, "items": items})
        .to_string()
}

#[tokio::test]
async fn a_list_of_many_pages_is_read_to_its_end() {
    let answer = |asked: Asked| {
        let query = Query::<BTreeMap<String, String>>::try_from_uri(asked.uri()).unwrap();
        assert_eq!(query.get("limit").unwrap(), "20");
        let first: usize = query.get("continue").map_or(0, |it| it.parse().unwrap());
        let items = (first..(first + 20).min(1000)).map(item).collect();
        let next = if first < 980 {
            (first + 20).to_string()
        } else {
            String::new()
        };
        list(items, &next).into_response()
    };
    let (objects, version) = api(serving(answer).await).list("n").await.unwrap();
    assert_eq!((objects.len(), version.as_str()), (1000, "7"));
}

#[tokio::test]
async fn the_number_of_objects_in_a_namespace_is_limited() {
    let count = |most: usize| {
        move |asked: Asked| {
            let query = Query::<BTreeMap<String, String>>::try_from_uri(asked.uri()).unwrap();
            let first: usize = query.get("continue").map_or(0, |it| it.parse().unwrap());
            let last = (first + 500).min(most);
            let next = if last < most {
                last.to_string()
            } else {
                String::new()
            };
            list((first..last).map(item).collect(), &next).into_response()
        }
    };
    let most = MAX_OBJECTS_PER_NAMESPACE;
    let listed = api(serving(count(most)).await).list("n").await;
    assert_eq!(listed.unwrap().0.len(), most);
    let listed = api(serving(count(most + 1)).await).list("n").await;
    assert_eq!(listed.unwrap_err(), Unread::TooMany);
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let answer = |_: Asked| {
        let piece = || Ok::<_, std::io::Error>(vec![b' '; 1 << 20]);
        let pieces = futures_util::stream::iter(std::iter::repeat_with(piece).take(100));
        Answer::from_stream(pieces).into_response()
    };
    let listed = api(serving(answer).await).list("n").await;
    assert!(matches!(listed, Err(Unread::Silent(_))), "{listed:?}");
}

#[tokio::test]
async fn an_answer_of_another_server_is_refused() {
    let foreign = [
        "{}".to_owned(),
        "<html>welcome</html>".to_owned(),
        json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": []}).to_string(),
        json!({"apiVersion": API_VERSION, "kind": "CharterList", "metadata": {}}).to_string(),
        json!({"apiVersion": API_VERSION, "kind": "CharterList", "items": []}).to_string(),
    ];
    for body in foreign {
        let text = body.clone();
        let api = api(serving(move |_| text.clone().into_response()).await);
        let listed = api.list("n").await;
        assert!(
            matches!(listed, Err(Unread::Foreign(_))),
            "{body}: {listed:?}"
        );
    }
    for code in [401, 403, 404, 410, 429, 500, 503] {
        let status = StatusCode::from_u16(code).unwrap();
        let answer = move |_: Asked| (status, "{\"message\": \"no\"}").into_response();
        let listed = api(serving(answer).await).list("n").await;
        let message = "no".to_owned();
        assert_eq!(listed.unwrap_err(), Unread::Refused { code, message });
    }
}

#[tokio::test]
async fn a_definition_that_is_being_deleted_takes_no_charters() {
    let with = |verbs: &[&str]| {
        let resources = json!([{"name": "charters", "verbs": verbs}, {"name": "charters/status", "verbs": ["patch"]}]);
        json!({"kind": "APIResourceList", "groupVersion": API_VERSION, "resources": resources})
            .to_string()
    };
    for (body, takes) in [
        (with(&["create", "list", "delete"]), true),
        (with(&["list", "delete"]), false),
        (with(&[]).replacen("charters", "others", 1), false),
    ] {
        let api = api(serving(move |_| body.clone().into_response()).await);
        assert_eq!(api.takes_charters().await, Ok(takes));
    }
    let missing = |_: Asked| (StatusCode::NOT_FOUND, "404 page not found").into_response();
    assert_eq!(
        api(serving(missing).await).takes_charters().await,
        Ok(false)
    );
    let down = |_: Asked| (StatusCode::BAD_GATEWAY, "").into_response();
    assert!(api(serving(down).await).takes_charters().await.is_err());
}

/// Waits until the state of the one namespace has this value.
async fn until<T>(
    source: &Source,
    mut so: impl FnMut(&crate::KnownObjects, Option<Gap>) -> Option<T>,
) -> T {
    let mut changes = source.changes();
    loop {
        let mut found = None;
        source.look(|_, books, _, gap| found = so(books, gap));
        if let Some(found) = found {
            return found;
        }
        changes.changed().await.unwrap();
    }
}

#[tokio::test]
async fn the_number_of_config_maps_is_limited() {
    let read = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&read);
    let answer = move |asked: Asked| {
        if asked.uri().path().contains("configmaps") {
            counts.fetch_add(1, Ordering::SeqCst);
            return (StatusCode::NOT_FOUND, "{}").into_response();
        }
        let policies = |first: usize| {
            let policies = (first..first + 100).map(|number| format!("m{number:03}/a.rego"));
            policies.collect::<Vec<_>>()
        };
        let items = (0..3).map(|number| {
            let mut item = item(number);
            item["spec"] = json!({"plans": {"policies": policies(number * 100)}});
            item
        });
        list(items.collect(), "").into_response()
    };
    let source = Arc::new(Source::new([world::name("n")], Duration::from_secs(600)));
    let client = serving(answer).await;
    let connect = move || {
        let client = client.clone();
        async move { Ok(client) }
    };
    let (stop, stopped) = watch::channel(false);
    let follows = tokio::spawn(follow(Arc::clone(&source), connect, stopped));
    until(&source, |books, _| {
        (books.objects().count() == 3).then_some(())
    })
    .await;
    assert_eq!(read.load(Ordering::SeqCst), MAX_CONFIG_MAPS_PER_NAMESPACE);
    stop.send_replace(true);
    follows.await.unwrap();
}

#[tokio::test]
async fn a_source_that_comes_back_is_read_again() {
    let step = Arc::new(AtomicUsize::new(0));
    let steps = Arc::clone(&step);
    // The steps: no connection, then no permission, then a list.
    let answer = move |_: Asked| match steps.load(Ordering::SeqCst) {
        0 => (StatusCode::FORBIDDEN, "{\"message\": \"no right\"}").into_response(),
        _ => list(vec![item(1)], "").into_response(),
    };
    let source = Arc::new(Source::new([world::name("n")], Duration::from_secs(600)));
    let (client, tries) = (serving(answer).await, Arc::new(AtomicUsize::new(0)));
    let connect = move || {
        let first = tries.fetch_add(1, Ordering::SeqCst) == 0;
        let client = client.clone();
        async move {
            if first {
                Err("no kubeconfig".to_owned())
            } else {
                Ok(client)
            }
        }
    };
    let (stop, stopped) = watch::channel(false);
    let follows = tokio::spawn(follow(Arc::clone(&source), connect, stopped));
    let why = |gap: Option<Gap>, text: &str| gap.filter(|gap| gap.why.contains(text));
    until(&source, |_, gap| why(gap, "no kubeconfig")).await;
    until(&source, |books, gap| {
        assert!(!books.was_read());
        why(gap, "403: no right")
    })
    .await;
    step.store(1, Ordering::SeqCst);
    until(&source, |books, gap| {
        (books.objects().count() == 1 && gap.is_none()).then_some(())
    })
    .await;
    stop.send_replace(true);
    follows.await.unwrap();
}
