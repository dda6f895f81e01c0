//! Races between the watch of a task and the answer to a request for a credential. In either order,
//! a task caches and hands out no credential that has ended. The test decides when its broker
//! answers.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use lanyard_client::{Client, ClientError, Stop, Task, v1};
use lanyard_proto::v1::credential_service_server::{CredentialService, CredentialServiceServer};
use lanyard_proto::v1::task_service_server::{TaskService, TaskServiceServer};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status};

type Told = Result<v1::WatchTaskResponse, Status>;
type Answer = Result<v1::IssueCredentialResponse, Status>;

/// A broker that sends only what the test tells it to.
#[derive(Clone)]
struct Broker {
    told: Arc<Mutex<Option<mpsc::Receiver<Told>>>>,
    answers: Arc<tokio::sync::Mutex<mpsc::Receiver<Answer>>>,
    asked: mpsc::Sender<()>,
    released: mpsc::Sender<String>,
}

/// The test's controls of the broker.
struct Words {
    tell: mpsc::Sender<Told>,
    answer: mpsc::Sender<Answer>,
    asked: mpsc::Receiver<()>,
    released: mpsc::Receiver<String>,
}

fn unasked<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not here"))
}

#[tonic::async_trait]
impl TaskService for Broker {
    type WatchTaskStream = Pin<Box<dyn Stream<Item = Told> + Send>>;

    async fn watch_task(
        &self,
        _: Request<v1::WatchTaskRequest>,
    ) -> Result<Response<Self::WatchTaskStream>, Status> {
        let told = self.told.lock().unwrap().take();
        let told = told.ok_or_else(|| Status::unavailable("once"))?;
        Ok(Response::new(Box::pin(ReceiverStream::new(told))))
    }

    async fn open_task(
        &self,
        _: Request<v1::OpenTaskRequest>,
    ) -> Result<Response<v1::OpenTaskResponse>, Status> {
        unasked()
    }

    async fn list_tasks(
        &self,
        _: Request<v1::ListTasksRequest>,
    ) -> Result<Response<v1::ListTasksResponse>, Status> {
        unasked()
    }

    async fn get_task(
        &self,
        _: Request<v1::GetTaskRequest>,
    ) -> Result<Response<v1::GetTaskResponse>, Status> {
        unasked()
    }

    async fn get_task_timeline(
        &self,
        _: Request<v1::GetTaskTimelineRequest>,
    ) -> Result<Response<v1::GetTaskTimelineResponse>, Status> {
        unasked()
    }

    async fn close_task(
        &self,
        _: Request<v1::CloseTaskRequest>,
    ) -> Result<Response<v1::CloseTaskResponse>, Status> {
        unasked()
    }
}

#[tonic::async_trait]
impl CredentialService for Broker {
    async fn issue_credential(
        &self,
        _: Request<v1::IssueCredentialRequest>,
    ) -> Result<Response<v1::IssueCredentialResponse>, Status> {
        self.asked.send(()).await.unwrap();
        let answer = self.answers.lock().await.recv().await;
        answer
            .unwrap_or_else(|| Err(Status::unavailable("no more")))
            .map(Response::new)
    }

    async fn release_lease(
        &self,
        request: Request<v1::ReleaseLeaseRequest>,
    ) -> Result<Response<v1::ReleaseLeaseResponse>, Status> {
        self.released.send(request.into_inner().id).await.unwrap();
        Ok(Response::new(v1::ReleaseLeaseResponse {}))
    }

    async fn list_leases(
        &self,
        _: Request<v1::ListLeasesRequest>,
    ) -> Result<Response<v1::ListLeasesResponse>, Status> {
        unasked()
    }

    async fn get_lease(
        &self,
        _: Request<v1::GetLeaseRequest>,
    ) -> Result<Response<v1::GetLeaseResponse>, Status> {
        unasked()
    }

    async fn list_holders(
        &self,
        _: Request<v1::ListHoldersRequest>,
    ) -> Result<Response<v1::ListHoldersResponse>, Status> {
        unasked()
    }
}

/// Opens a task at a controlled broker.
async fn stage(directory: &tempfile::TempDir) -> (Task, Words) {
    let (tell, told) = mpsc::channel(8);
    let (answer, answers) = mpsc::channel(8);
    let (asked_by, asked) = mpsc::channel(8);
    let (released_by, released) = mpsc::channel(8);
    let broker = Broker {
        told: Arc::new(Mutex::new(Some(told))),
        answers: Arc::new(tokio::sync::Mutex::new(answers)),
        asked: asked_by,
        released: released_by,
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tonic::transport::Server::builder()
        .add_service(TaskServiceServer::new(broker.clone()))
        .add_service(CredentialServiceServer::new(broker))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(serving);
    let key =
        ring::signature::Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
    let file = directory.path().join("key");
    std::fs::write(&file, key.as_ref()).unwrap();
    let own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, own).unwrap();
    let context = directory.path().join("context.json");
    let text = format!(
        r#"{{"endpoint": "http://{address}", "identity": {{"key_file": "key", "kid": "k", "issuer": "i", "subject": "s", "audience": "a"}}}}"#
    );
    std::fs::write(&context, text).unwrap();
    let task = Client::connect(&context).await.unwrap().task("T-1".into());
    let words = Words {
        tell,
        answer,
        asked,
        released,
    };
    (task, words)
}

/// Returns a message that covers the journal up to this record.
fn state(live: &[&str], closed: bool, next_record: u64) -> Told {
    Ok(v1::WatchTaskResponse {
        next_record,
        task: Some(v1::Task {
            id: "T-1".into(),
            closed,
            ..Default::default()
        }),
        live_lease_ids: live.iter().map(|id| (*id).to_owned()).collect(),
        ..Default::default()
    })
}

fn issued(lease: &str, record: u64) -> Answer {
    let token = v1::TokenCredential {
        jwt: "secret".into(),
    };
    Ok(v1::IssueCredentialResponse {
        lease_id: lease.into(),
        record,
        lifetime: Some(lanyard_client::Span {
            seconds: 300,
            nanos: 0,
        }),
        credential: Some(v1::Credential {
            kind: Some(v1::credential::Kind::Token(token)),
        }),
        ..Default::default()
    })
}

/// Requests a credential in the background.
fn ask(task: &Task) -> tokio::task::JoinHandle<Result<String, ClientError>> {
    let task = task.clone();
    tokio::spawn(async move {
        let held = task.credential("read", None).await?;
        Ok(held.lease_id.clone())
    })
}

async fn heard(task: &Task) {
    task.stops().wait_for(Option::is_some).await.unwrap();
}

#[tokio::test]
async fn a_credential_that_arrives_after_the_end_of_the_task_is_released() {
    let directory = tempfile::tempdir().unwrap();
    let (task, mut words) = stage(&directory).await;
    let asking = ask(&task);
    words.asked.recv().await.unwrap();
    words.tell.send(state(&[], true, 9)).await.unwrap();
    heard(&task).await;
    words.answer.send(issued("L-1", 7)).await.unwrap();
    let refused = asking.await.unwrap().unwrap_err().to_string();
    assert_eq!(refused, "task `T-1` ended while its credential was issued");
    assert_eq!(words.released.recv().await.unwrap(), "L-1");
    assert!(task.held().is_empty());
}

/// Adds an order over another lease to the message, so that a test can wait until the client has
/// read it.
fn with_order(told: Told, id: &str) -> Told {
    let mut message = told?;
    message.orders.push(v1::KillOrder {
        id: id.into(),
        ..Default::default()
    });
    Ok(message)
}

/// Waits until the client has read the message with this order.
async fn read(task: &Task, order: &str) {
    let is_it = |stop: &Option<Stop>| matches!(stop, Some(Stop::Killed { kill_id, .. }) if kill_id == order);
    task.stops().wait_for(is_it).await.unwrap();
}

/// Makes the task cache lease `L-1` of record 7, which the message at record 6 does not cover.
async fn keep_first(task: &Task, words: &mut Words) {
    words.tell.send(state(&[], false, 6)).await.unwrap();
    let asking = ask(task);
    words.asked.recv().await.unwrap();
    words.answer.send(issued("L-1", 7)).await.unwrap();
    assert_eq!(asking.await.unwrap().unwrap(), "L-1");
}

// The message was built before the lease began, and arrives after the lease is cached.
#[tokio::test]
async fn an_older_message_does_not_drop_a_newer_lease() {
    let directory = tempfile::tempdir().unwrap();
    let (task, mut words) = stage(&directory).await;
    keep_first(&task, &mut words).await;
    let older = with_order(state(&[], false, 7), "K-1");
    words.tell.send(older).await.unwrap();
    read(&task, "K-1").await;
    let held: Vec<_> = task.held().into_iter().map(|(_, held)| held).collect();
    assert_eq!(held.len(), 1);
    // A second lease would be issued at once, so the cached one is handed out.
    words.answer.send(issued("L-2", 8)).await.unwrap();
    assert_eq!(ask(&task).await.unwrap().unwrap(), "L-1");
    // A message that covers the lease and does not list it ends the lease.
    let newer = with_order(state(&[], false, 8), "K-2");
    words.tell.send(newer).await.unwrap();
    read(&task, "K-2").await;
    assert!(task.held().is_empty());
    assert!(
        words.released.try_recv().is_err(),
        "the lease was not released"
    );
}

// The order is recorded before the leases end: a message between the two contains the order and
// still lists the leases.
#[tokio::test]
async fn an_order_over_the_task_ends_what_the_same_message_lists() {
    let directory = tempfile::tempdir().unwrap();
    let (task, mut words) = stage(&directory).await;
    keep_first(&task, &mut words).await;
    let mut killed = with_order(state(&["L-1"], false, 9), "K-1").unwrap();
    for order in &mut killed.orders {
        order.lifted = "nothing".into();
        order.scope = Some(v1::Scope {
            kind: Some(v1::scope::Kind::TaskId("T-1".into())),
        });
    }
    words.tell.send(Ok(killed)).await.unwrap();
    read(&task, "K-1").await;
    assert!(task.held().is_empty());
}

#[tokio::test]
async fn a_lease_that_a_newer_message_does_not_list_is_released_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let (task, mut words) = stage(&directory).await;
    words.tell.send(state(&[], false, 6)).await.unwrap();
    let asking = ask(&task);
    words.asked.recv().await.unwrap();
    // The lease ended while its answer was on the way.
    let newer = with_order(state(&[], false, 9), "K-1");
    words.tell.send(newer).await.unwrap();
    read(&task, "K-1").await;
    words.answer.send(issued("L-1", 7)).await.unwrap();
    let refused = asking.await.unwrap().unwrap_err().to_string();
    assert_eq!(refused, "task `T-1` ended while its credential was issued");
    assert_eq!(words.released.recv().await.unwrap(), "L-1");
}

#[tokio::test]
async fn a_message_without_a_record_number_counts_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let (task, mut words) = stage(&directory).await;
    let asking = ask(&task);
    words.asked.recv().await.unwrap();
    words.answer.send(issued("L-1", 0)).await.unwrap();
    assert_eq!(asking.await.unwrap().unwrap(), "L-1");
    words.tell.send(state(&["L-1"], false, 0)).await.unwrap();
    let next = with_order(state(&[], false, 0), "K-1");
    words.tell.send(next).await.unwrap();
    read(&task, "K-1").await;
    assert!(task.held().is_empty());
}

#[tokio::test]
async fn a_lease_listed_before_its_answer_stays_cached_while_it_is_listed() {
    let directory = tempfile::tempdir().unwrap();
    let (task, mut words) = stage(&directory).await;
    let asking = ask(&task);
    words.asked.recv().await.unwrap();
    // The first message was built before the lease existed, the second one after.
    words.tell.send(state(&[], false, 7)).await.unwrap();
    words.tell.send(state(&["L-1"], false, 8)).await.unwrap();
    words.answer.send(issued("L-1", 7)).await.unwrap();
    assert_eq!(asking.await.unwrap().unwrap(), "L-1");
    assert_eq!(ask(&task).await.unwrap().unwrap(), "L-1");
    // The lease ends, so the next caller causes another request.
    words.tell.send(state(&[], false, 9)).await.unwrap();
    while !task.held().is_empty() {
        tokio::task::yield_now().await;
    }
    let again = ask(&task);
    words.asked.recv().await.unwrap();
    words
        .answer
        .send(Err(Status::permission_denied("no")))
        .await
        .unwrap();
    assert_eq!(again.await.unwrap().unwrap_err().to_string(), "no");
    assert!(task.held().is_empty());
}
