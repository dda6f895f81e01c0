//! The flood of strangers: callers whose identity verifies but is named by no charter and no role,
//! and callers without any identity.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use lanyard_proto::v1;
use lanyard_proto::v1::approval_service_client::ApprovalServiceClient;
use lanyard_proto::v1::audit_service_client::AuditServiceClient;
use lanyard_proto::v1::charter_service_client::CharterServiceClient;
use lanyard_proto::v1::credential_service_client::CredentialServiceClient;
use lanyard_proto::v1::identity_service_client::IdentityServiceClient;
use lanyard_proto::v1::kill_service_client::KillServiceClient;
use lanyard_proto::v1::plan_service_client::PlanServiceClient;
use lanyard_proto::v1::submit_plan_request::Part;
use lanyard_proto::v1::task_service_client::TaskServiceClient;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::flood::{Caller, Choices, Flood, channel, dpop, http};

/// Addresses of the strangers. They need several, because one address may use only half of the
/// common quota.
const FROM: [Ipv4Addr; 3] = [
    Ipv4Addr::new(127, 0, 0, 10),
    Ipv4Addr::new(127, 0, 0, 11),
    Ipv4Addr::new(127, 0, 0, 12),
];
/// Workers that make every kind of call, each over a connection of its own.
const CALLERS: usize = 32;
/// Workers that make plain HTTP calls.
const BROWSERS: usize = 8;
/// Connections that hold request bodies open.
const BODY_CONNECTIONS: usize = 40;
/// Bodies that each of these connections holds open.
const BODIES: usize = 120;
/// The size of one body in bytes: just below the largest allowed message.
const BODY_BYTES: usize = 60 << 10;
/// The time for which a body is held open.
const BODY_HELD: Duration = Duration::from_secs(40);
/// Connections that send no request.
const IDLE: usize = 600;
/// Identities of the strangers: so many that each has almost no quota of its own.
const IDENTITIES: usize = 500;

#[derive(Clone)]
struct Stranger {
    directory: PathBuf,
    endpoint: String,
    flood: Flood,
    /// A task that the strangers do not own.
    task: String,
}

/// Floods the daemon for `seconds`; `task` is a task of another agent.
pub(super) async fn flood(directory: &Path, seconds: u64, seed: u64, task: &str) -> Result<Flood> {
    let context = super::flood::context(directory, "stranger:0")?;
    let stranger = Stranger {
        directory: directory.to_path_buf(),
        endpoint: context.endpoint().to_owned(),
        flood: Flood::lasting(seconds),
        task: task.to_owned(),
    };
    let mut workers = JoinSet::new();
    let from = |worker: usize| FROM.get(worker % FROM.len()).copied().unwrap_or(FROM[0]);
    for worker in 0..CALLERS {
        let (own, from) = (stranger.clone(), from(worker));
        let choices = Choices::seeded(seed.wrapping_add(2000 + worker as u64));
        workers.spawn(async move { own.calls(&choices, from).await });
    }
    for worker in 0..BROWSERS {
        let (own, from) = (stranger.clone(), from(worker));
        let choices = Choices::seeded(seed.wrapping_add(3000 + worker as u64));
        workers.spawn(async move { own.browses(&choices, from).await });
    }
    for worker in 0..BODY_CONNECTIONS {
        let (own, from) = (stranger.clone(), from(worker));
        workers.spawn(async move { own.holds_bodies(from).await });
    }
    for worker in 0..IDLE {
        let (own, from) = (stranger.clone(), from(worker));
        workers.spawn(async move { own.holds_connections(from).await });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    Ok(stranger.flood)
}

/// Returns `token` with the signature of another token.
fn forged(token: &str) -> String {
    let mut forged = token.to_owned();
    let last = if forged.ends_with('A') { 'Q' } else { 'A' };
    forged.pop();
    forged.push(last);
    let at = forged.rfind('.').map_or(0, |dot| dot + 3);
    let other = if forged.as_bytes().get(at) == Some(&b'x') {
        "y"
    } else {
        "x"
    };
    forged.replace_range(at..=at, other);
    forged
}

impl Stranger {
    async fn calls(self, choices: &Choices, from: Ipv4Addr) -> Result<()> {
        let any = |choices: &Choices| format!("stranger:{}", choices.of(IDENTITIES));
        let mut caller = Caller::connect(&self.directory, &any(choices), from).await?;
        while self.flood.goes_on() {
            if choices.of(8) == 0 {
                caller = caller.as_subject(&self.directory, &any(choices))?;
            }
            if self.call(&caller, choices).await.is_err() {
                // The daemon has closed the connection.
                match Caller::connect(&self.directory, &any(choices), from).await {
                    Ok(again) => caller = again,
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        }
        Ok(())
    }

    async fn call(&self, caller: &Caller, choices: &Choices) -> Result<()> {
        let channel = caller.channel();
        match choices.of(11) {
            0 | 1 => {
                let names = ["others", "flooded", "none-such", "another-none"];
                let charter = choices.pick(&names).unwrap_or_default();
                let open = v1::OpenTaskRequest {
                    charter: charter.to_owned(),
                    environment: "production".to_owned(),
                    reason: "\u{1}".repeat(900) + "x",
                    ..Default::default()
                };
                let answer = TaskServiceClient::new(channel)
                    .open_task(caller.request(open)?)
                    .await;
                self.counted("open a task", answer)
            }
            2 => {
                let text = "x: {a: 1}\n".repeat(6000);
                let ask = caller.request(v1::InspectCharterRequest { text })?;
                let answer = CharterServiceClient::new(channel)
                    .inspect_charter(ask)
                    .await;
                self.counted("inspect a charter", answer)
            }
            3 => {
                let ask = caller.request(v1::ListChartersRequest {})?;
                let answer = CharterServiceClient::new(channel).list_charters(ask).await;
                self.counted("list charters", answer)
            }
            4 => {
                let ask = caller.request(v1::ListLeasesRequest::default())?;
                let answer = CredentialServiceClient::new(channel).list_leases(ask).await;
                self.counted("list leases", answer)
            }
            5 => {
                let ask = caller.request(v1::WatchTaskRequest {
                    id: self.task.clone(),
                })?;
                let answer = TaskServiceClient::new(channel).watch_task(ask).await;
                self.counted("watch another agent's task", answer)
            }
            6 => {
                let ask = v1::IssueCredentialRequest {
                    task_id: self.task.clone(),
                    grant: "read".to_owned(),
                    ..Default::default()
                };
                let answer = CredentialServiceClient::new(channel)
                    .issue_credential(caller.request(ask)?)
                    .await;
                self.counted("ask for a credential", answer)
            }
            7 => {
                let ask = caller.request(v1::WatchApprovalsRequest {})?;
                let answer = ApprovalServiceClient::new(channel)
                    .watch_approvals(ask)
                    .await;
                self.counted("watch approvals", answer)
            }
            8 => {
                let forged = forged(&caller.token()?);
                let ask = caller.shown(v1::WhoAmIRequest {}, &forged)?;
                let answer = AuditServiceClient::new(channel).who_am_i(ask).await;
                self.counted("show a forged token", answer)
            }
            9 => {
                let ask = v1::EngageKillRequest {
                    reason: "a stranger".to_owned(),
                    scope: Some(v1::Scope {
                        kind: Some(v1::scope::Kind::All(true)),
                    }),
                    ..Default::default()
                };
                let answer = KillServiceClient::new(channel)
                    .engage_kill(caller.request(ask)?)
                    .await;
                self.counted("kill", answer)
            }
            _ => {
                if choices.of(2) == 0 {
                    let ask = v1::BeginEnrolmentRequest {
                        join_token: "guessed".to_owned(),
                        public_key: "AAAA".to_owned(),
                    };
                    let answer = IdentityServiceClient::new(channel)
                        .begin_enrolment(Request::new(ask))
                        .await;
                    self.counted("guess a join token", answer)
                } else {
                    self.submits(caller).await
                }
            }
        }
    }

    fn counted<T>(&self, what: &'static str, answer: Result<Response<T>, Status>) -> Result<()> {
        let ended = answer
            .as_ref()
            .is_err_and(|status| std::error::Error::source(status).is_some());
        self.flood.count(what, answer);
        anyhow::ensure!(!ended, "the connection was ended");
        Ok(())
    }

    /// Submits the largest plan, for a task that the stranger does not own.
    async fn submits(&self, caller: &Caller) -> Result<()> {
        let header = v1::PlanHeader {
            task_id: self.task.clone(),
            grant: "change".to_owned(),
            format: v1::PlanFormat::Text.into(),
            summary: "x".to_owned(),
            ..Default::default()
        };
        let chunk = || Part::Chunk(vec![b'x'; lanyard_proto::MAX_CHUNK_BYTES]);
        let parts =
            std::iter::once(Part::Header(header)).chain(std::iter::repeat_with(chunk).take(127));
        let parts = parts.map(|part| v1::SubmitPlanRequest { part: Some(part) });
        let request = caller.request(futures_util::stream::iter(parts))?;
        let answer = PlanServiceClient::new(caller.channel())
            .submit_plan(request)
            .await;
        self.counted("submit a plan", answer)
    }

    /// Sends complete messages in bodies that do not end, so that the daemon waits for the end
    /// before it verifies the identity.
    async fn holds_bodies(self, from: Ipv4Addr) -> Result<()> {
        while self.flood.goes_on() {
            let Ok(channel) = channel(&self.directory, &self.endpoint, from).await else {
                self.flood
                    .add("hold a body open", "NotConnected".to_owned());
                tokio::time::sleep(Duration::from_millis(500)).await;
                continue;
            };
            let mut held = JoinSet::new();
            for _ in 0..BODIES {
                let (own, channel) = (self.clone(), channel.clone());
                held.spawn(async move { own.holds_body(channel).await });
            }
            while let Some(one) = held.join_next().await {
                one?;
            }
        }
        Ok(())
    }

    async fn holds_body(self, channel: Channel) {
        let message = v1::OpenTaskRequest {
            charter: "x".repeat(BODY_BYTES),
            ..Default::default()
        };
        let flood = self.flood.clone();
        let rest = futures_util::stream::once(async move {
            tokio::time::timeout(BODY_HELD, flood.end()).await.ok();
            v1::OpenTaskRequest::default()
        });
        let first = futures_util::stream::iter([message]);
        let body = futures_util::stream::StreamExt::chain(first, rest);
        let mut client = tonic::client::Grpc::new(channel);
        if client.ready().await.is_err() {
            return self
                .flood
                .add("hold a body open", "NotConnected".to_owned());
        }
        let path = http::uri::PathAndQuery::from_static("/lanyard.v1.TaskService/OpenTask");
        let codec = ProstCodec::<v1::OpenTaskRequest, v1::OpenTaskResponse>::default();
        let answer = client
            .client_streaming(Request::new(body), path, codec)
            .await;
        self.flood.count("hold a body open", answer);
    }

    async fn holds_connections(self, from: Ipv4Addr) -> Result<()> {
        while self.flood.goes_on() {
            let opened = channel(&self.directory, &self.endpoint, from).await;
            let came = if opened.is_ok() {
                "opened"
            } else {
                "NotConnected"
            };
            self.flood.add("hold a connection", came.to_owned());
            // The daemon closes a connection after 20 s without a request.
            tokio::time::timeout(Duration::from_secs(19), self.flood.end())
                .await
                .ok();
        }
        Ok(())
    }

    async fn browses(self, choices: &Choices, from: Ipv4Addr) -> Result<()> {
        let client = http(&self.directory, from)?;
        let pages = [
            "/.well-known/jwks.json",
            "/.well-known/oauth-authorization-server",
            "/livez",
            "/readyz",
            "/readyz/kill",
            "/metrics",
            "/oauth2/status-lists/1",
            "/console",
            "/none-such",
        ];
        let posts = [
            "/oauth2/token",
            "/oauth2/introspect",
            "/oauth2/revoke",
            "/v1/actions",
            "/v1/kill",
            "/v1/hooks/alertmanager",
            "/v1/hooks/caep",
            "/v1/hooks/actions/none",
        ];
        while self.flood.goes_on() {
            let subject = format!("stranger:{}", choices.of(IDENTITIES));
            let (what, request) = match choices.of(3) {
                0 => {
                    let page = choices.pick(&pages).unwrap_or_default();
                    ("get a page", client.get(format!("{}{page}", self.endpoint)))
                }
                1 => {
                    let page = choices.pick(&posts).unwrap_or_default();
                    let token = super::flood::context(&self.directory, &subject)?.token()?;
                    let body = "token=".to_owned() + &"x".repeat(60_000);
                    let request = client
                        .post(format!("{}{page}", self.endpoint))
                        .bearer_auth(token.expose());
                    let form = ("content-type", "application/x-www-form-urlencoded");
                    (
                        "post an invalid request",
                        request.header(form.0, form.1).body(body),
                    )
                }
                _ => {
                    let url = format!("{}/oauth2/token", self.endpoint);
                    let token = super::flood::context(&self.directory, &subject)?.token()?;
                    (
                        "exchange a token for a session",
                        exchange(&client, &url, token.expose())?,
                    )
                }
            };
            let came = match request.send().await {
                Ok(answer) => answer.status().as_u16().to_string(),
                Err(_) => "NotConnected".to_owned(),
            };
            self.flood.add(what, came);
        }
        Ok(())
    }
}

/// Builds a token exchange (RFC 8693) for a session that is bound to a key.
pub(super) fn exchange(
    client: &reqwest::Client,
    url: &str,
    token: &str,
) -> Result<reqwest::RequestBuilder> {
    let form = [
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange".to_owned(),
        format!("subject_token={token}"),
        "subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt".to_owned(),
        "requested_token_type=urn%3Alanyard%3Aparams%3Aoauth%3Atoken-type%3Asession".to_owned(),
    ];
    Ok(client
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("dpop", dpop(url)?)
        .body(form.join("&")))
}
