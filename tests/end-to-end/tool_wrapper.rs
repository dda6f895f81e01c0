//! A tool behind the verifier: an HTTP service of the test's own, and tokens that a real broker
//! issues for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::routing::{get, post};
use axum::{Extension, Router};
use lanyard_tests::Stage;
use lanyard_tests::keys::Key;
use lanyard_verifier::{
    Accepted, Broker, Clock, Demands, Https, MAX_LIST_AGE, SystemClock, Timestamp, Verifier,
    require_scopes,
};
use tokio::task::JoinSet;

/// The audience of the tickets in the charter of a stage.
const AUDIENCE: &str = "https://tickets.acme.example";
/// The ttl of the broker's lists.
const TTL: Duration = Duration::from_secs(10);

/// The system's clock, on which some more time has passed.
struct Ahead {
    usual: SystemClock,
    millis: AtomicU64,
}

impl Ahead {
    fn pass(&self, span: Duration) -> Result<()> {
        let millis = u64::try_from(span.as_millis())?;
        self.millis.fetch_add(millis, Ordering::SeqCst);
        Ok(())
    }
}

impl Clock for Ahead {
    // How long something has been kept is all that these tests make longer: the broker's clock
    // stays where it is.
    fn now(&self) -> Timestamp {
        self.usual.now()
    }

    fn running(&self) -> Duration {
        self.usual.running() + Duration::from_millis(self.millis.load(Ordering::SeqCst))
    }
}

/// A ticket system behind the verifier's middleware.
struct Tool {
    address: SocketAddr,
    clock: Arc<Ahead>,
    http: reqwest::Client,
    _serving: JoinSet<()>,
}

async fn tickets(Extension(caller): Extension<Accepted>) -> String {
    format!("{} {} {}", caller.agent, caller.task, caller.grant)
}

impl Tool {
    /// In front of the broker of this stage.
    async fn set(stage: &Stage, audience: &str) -> Result<Self> {
        let roots = std::fs::read(stage.directory.path().join("dev-ca.pem"))?;
        let fetch = Https::trusting(Some(&roots))?;
        let broker = Broker::named("https://dev.lanyard.invalid")?;
        let broker = broker.reached_at(&stage.url(""))?;
        let clock = Arc::new(Ahead {
            usual: SystemClock::start(),
            millis: AtomicU64::new(0),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let demands = Demands::audience(audience).reached_at(&format!("http://{address}"));
        let verifier = Verifier::with(broker, demands, (Arc::new(fetch), clock.clone()));
        let app = Router::new()
            .route(
                "/tickets",
                get(tickets).layer(require_scopes(["tickets.read"])),
            )
            .route(
                "/tickets",
                post(tickets).layer(require_scopes(["tickets.read"])),
            )
            .route(
                "/moves",
                post(tickets).layer(require_scopes(["tickets.move"])),
            )
            .layer(verifier.layer());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            // It ends with the test.
            axum::serve(listener, app).await.ok();
        });
        Ok(Self {
            address,
            clock,
            http: reqwest::Client::new(),
            _serving: serving,
        })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends a request to the tool, and returns the status and the body.
    async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Result<(u16, String)> {
        let mut request = self.http.post(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    async fn shown(&self, path: &str, token: &str) -> Result<(u16, String)> {
        let bearer = format!("Bearer {token}");
        self.ask(path, &[("authorization", &bearer)]).await
    }

    /// Until the tool answers this.
    async fn comes_to(&self, status: u16, token: &str) -> Result<String> {
        for _ in 0..1000 {
            self.clock.pass(TTL)?;
            let (seen, body) = self.shown("/tickets", token).await?;
            if seen == status {
                return Ok(body);
            }
        }
        anyhow::bail!("it never answered {status}")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_the_tool_that_it_is_for_and_no_further_than_its_scopes() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let token = stage.token(&task)?;
    let tool = Tool::set(&stage, AUDIENCE).await?;
    let (status, body) = tool.shown("/tickets", &token).await?;
    assert_eq!(
        (status, body.as_str()),
        (
            200,
            format!("https://agents.dev.lanyard.invalid#agent:router {task} read-tickets").as_str()
        )
    );
    let (status, body) = tool.shown("/moves", &token).await?;
    assert_eq!(status, 403);
    assert!(body.contains("insufficient_scope"), "{body}");
    assert_eq!(tool.ask("/tickets", &[]).await?.0, 401);
    let other = Tool::set(&stage, "https://mail.acme.example").await?;
    let (status, body) = other.shown("/tickets", &token).await?;
    assert_eq!(status, 401);
    assert!(body.contains("for another audience"), "{body}");
    // What the broker signs for itself opens nothing.
    let identity = stage.agent.ok(&["identity"])?;
    assert_eq!(tool.shown("/tickets", &identity).await?.0, 401);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_reaches_a_token_within_the_ttl_of_the_list_and_leaves_its_neighbour() -> Result<()>
{
    let stage = Stage::set()?;
    let (task, other) = (stage.task()?, stage.task()?);
    let (killed, kept) = (stage.token(&task)?, stage.token(&other)?);
    let tool = Tool::set(&stage, AUDIENCE).await?;
    assert_eq!(tool.shown("/tickets", &killed).await?.0, 200);
    stage
        .oncall
        .ok(&["kill", "--task", &task, "--reason", "drill", "--yes"])?;
    let body = tool.comes_to(401, &killed).await?;
    assert!(body.contains("the token was revoked"), "{body}");
    assert_eq!(tool.shown("/tickets", &kept).await?.0, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_broker_the_tool_goes_on_until_the_list_is_stale_and_then_stops() -> Result<()>
{
    let stage = Stage::set()?;
    let token = stage.token(&stage.task()?)?;
    let tool = Tool::set(&stage, AUDIENCE).await?;
    assert_eq!(tool.shown("/tickets", &token).await?.0, 200);
    let stopped = stage.stop()?;
    tool.clock.pass(TTL)?;
    assert_eq!(tool.shown("/tickets", &token).await?.0, 200);
    tool.clock.pass(MAX_LIST_AGE)?;
    let (status, body) = tool.shown("/tickets", &token).await?;
    assert_eq!(status, 503);
    assert!(body.contains("status list is older than 30 s"), "{body}");
    drop(stopped);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t12_a_token_that_is_bound_to_a_key_is_shown_with_a_proof_once() -> Result<()> {
    let (stage, held) = (Stage::set()?, Key::fresh()?);
    let task = stage.task()?;
    let proof = held.proof(&stage.url("/oauth2/token"), None)?;
    let (status, answer) = stage.post(
        "/oauth2/token",
        &[("dpop", &proof)],
        &[
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ("subject_token", &stage.agent.ok(&["identity"])?),
            ("task", &task),
            ("grant", "read-tickets"),
        ],
    )?;
    assert_eq!(status, 200, "{answer}");
    let token = answer.get("access_token").and_then(|token| token.as_str());
    let token = token.context("no token")?;
    let tool = Tool::set(&stage, AUDIENCE).await?;
    assert_eq!(tool.shown("/tickets", token).await?.0, 401);
    let dpop = format!("DPoP {token}");
    let proof = held.proof(&tool.url("/tickets"), Some(token))?;
    let with_proof = [("authorization", dpop.as_str()), ("dpop", &proof)];
    assert_eq!(tool.ask("/tickets", &with_proof).await?.0, 200);
    let (status, body) = tool.ask("/tickets", &with_proof).await?;
    assert_eq!(status, 401);
    assert!(body.contains("was used before"), "{body}");
    let stranger = Key::fresh()?.proof(&tool.url("/tickets"), Some(token))?;
    let with_another = [("authorization", dpop.as_str()), ("dpop", &stranger)];
    assert_eq!(tool.ask("/tickets", &with_another).await?.0, 401);
    Ok(())
}
