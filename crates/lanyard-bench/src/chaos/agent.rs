//! The flood of a chartered agent, which uses everything it is allowed.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use lanyard_proto::v1;
use lanyard_proto::v1::action_service_client::ActionServiceClient;
use lanyard_proto::v1::approval_service_client::ApprovalServiceClient;
use lanyard_proto::v1::audit_service_client::AuditServiceClient;
use lanyard_proto::v1::charter_service_client::CharterServiceClient;
use lanyard_proto::v1::credential_service_client::CredentialServiceClient;
use lanyard_proto::v1::plan_service_client::PlanServiceClient;
use lanyard_proto::v1::submit_plan_request::Part;
use lanyard_proto::v1::task_service_client::TaskServiceClient;
use parking_lot::Mutex;
use serde_json::json;
use tokio::task::JoinSet;
use tonic::Request;

use super::flood::{Caller, Choices, Flood, http};
use super::stranger::exchange;

/// The subject of the flooding agent.
pub(super) const SUBJECT: &str = "agent:flood";
/// The subject that the agent opens tasks for.
pub(super) const BELOW: &str = "agent:below";
const FROM: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// Workers that make every kind of call, each over a connection of its own.
const CALLERS: usize = 32;
/// Workers that submit plans one after the other.
const PLANNERS: usize = 4;
/// Streams that send a part of a plan and are then left open.
const LEFT_OPEN: usize = 32;
/// Watches that the agent attempts: more than one agent may have.
const WATCHERS: usize = 300;
const WATCHES_PER_CONNECTION: usize = 100;
/// The most tasks that the agent keeps open.
const TASKS: usize = 64;
/// Sizes of the submitted plans in bytes: up to the largest that people can be shown, and up to the
/// largest that the daemon accepts.
const PLAN_BYTES: [usize; 4] = [1 << 10, 500 << 10, 1_900 << 10, (4 << 20) - (1 << 10)];

/// The open tasks, leases, plans and actions that the workers share.
#[derive(Default)]
struct Held {
    tasks: Vec<String>,
    leases: Vec<String>,
    plans: Vec<(String, String)>,
    actions: Vec<(String, String)>,
}

#[derive(Clone)]
struct Agent {
    directory: PathBuf,
    endpoint: String,
    flood: Flood,
    held: Arc<Mutex<Held>>,
}

/// Floods the daemon for `seconds`.
pub(super) async fn flood(directory: &Path, seconds: u64, seed: u64) -> Result<Flood> {
    let agent = Agent {
        directory: directory.to_path_buf(),
        endpoint: super::flood::context(directory, SUBJECT)?
            .endpoint()
            .to_owned(),
        flood: Flood::lasting(seconds),
        held: Arc::default(),
    };
    let first = Caller::connect(directory, SUBJECT, FROM).await?;
    agent.open(&first, "flooded").await?;
    agent.open(&first, "flooded-below").await?;
    let mut workers = JoinSet::new();
    for worker in 0..CALLERS {
        let (agent, choices) = (
            agent.clone(),
            Choices::seeded(seed.wrapping_add(worker as u64)),
        );
        workers.spawn(async move { agent.calls(&choices).await });
    }
    for worker in 0..PLANNERS {
        let seed = seed.wrapping_add(1000 + worker as u64);
        let (agent, choices) = (agent.clone(), Choices::seeded(seed));
        workers.spawn(async move { agent.plans(&choices).await });
    }
    let left_open = Caller::connect(directory, SUBJECT, FROM).await?;
    for _ in 0..LEFT_OPEN {
        let (agent, caller) = (agent.clone(), left_open.clone());
        workers.spawn(async move { agent.leaves_plans_open(&caller).await });
    }
    for _ in 0..WATCHERS.div_ceil(WATCHES_PER_CONNECTION) {
        let caller = Caller::connect(directory, SUBJECT, FROM).await?;
        for _ in 0..WATCHES_PER_CONNECTION {
            let (agent, caller) = (agent.clone(), caller.clone());
            workers.spawn(async move { agent.watches(&caller).await });
        }
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    Ok(agent.flood)
}

/// Returns a text of this many characters, each of which takes the most bytes in a record because
/// JSON escapes it.
fn longest(characters: usize) -> String {
    "\u{1}".repeat(characters)
}

/// Returns a Terraform plan of about `bytes` bytes: a list of changes, each with a sensitive value.
fn terraform(bytes: usize, salt: usize) -> Vec<u8> {
    let change = |number: usize| {
        let name = format!("q{salt}-{number}-{}", "n".repeat(200));
        json!({
            "address": format!("aws_sqs_queue.{name}"), "mode": "managed", "type": "aws_sqs_queue", "name": name,
            "provider_name": "registry.terraform.io/hashicorp/aws",
            "change": {"actions": ["create"], "before": null, "after": {"name": name, "policy": "secret"},
                "after_unknown": {}, "before_sensitive": false, "after_sensitive": {"policy": true}},
        })
    };
    let one = change(0).to_string().len() + 1;
    let changes: Vec<_> = (0..(bytes / one).max(1)).map(change).collect();
    let plan = json!({"format_version": "1.2", "terraform_version": "1.11.0", "resource_changes": changes});
    plan.to_string().into_bytes()
}

impl Agent {
    fn task(&self, choices: &Choices) -> String {
        choices.pick(&self.held.lock().tasks).unwrap_or_default()
    }

    async fn open(&self, caller: &Caller, charter: &str) -> Result<()> {
        let open = v1::OpenTaskRequest {
            charter: charter.to_owned(),
            environment: "production".to_owned(),
            reason: format!("a flood {}", longest(900)),
            ticket: longest(1000),
            version: Some(v1::AgentVersion {
                model: longest(199) + "m",
                prompt_digest: String::new(),
            }),
            ..Default::default()
        };
        let mut tasks = TaskServiceClient::new(caller.channel());
        let answer = tasks.open_task(caller.request(open)?).await;
        if let Some(opened) = self.flood.count("open a task", answer) {
            let task = opened.into_inner().task.unwrap_or_default().id;
            self.held.lock().tasks.push(task);
        }
        Ok(())
    }

    async fn open_below(&self, caller: &Caller, choices: &Choices) -> Result<()> {
        let open = v1::OpenTaskRequest {
            charter: "flooded-below".to_owned(),
            environment: "production".to_owned(),
            reason: format!("below {}", longest(900)),
            parent_task_id: self.task(choices),
            delegate: Some(v1::AgentIdentity {
                issuer: "https://agents.dev.lanyard.invalid".to_owned(),
                subject: BELOW.to_owned(),
            }),
            ..Default::default()
        };
        let mut tasks = TaskServiceClient::new(caller.channel());
        let answer = tasks.open_task(caller.request(open)?).await;
        self.flood.count("open a task for another agent", answer);
        Ok(())
    }

    async fn close(&self, caller: &Caller) -> Result<()> {
        let id = {
            let mut held = self.held.lock();
            // The first two tasks stay, because plans are submitted under them.
            if held.tasks.len() <= TASKS {
                return Ok(());
            }
            held.tasks.remove(2)
        };
        let mut tasks = TaskServiceClient::new(caller.channel());
        let answer = tasks
            .close_task(caller.request(v1::CloseTaskRequest { id })?)
            .await;
        self.flood.count("close a task", answer);
        Ok(())
    }

    async fn issue(&self, caller: &Caller, choices: &Choices) -> Result<()> {
        let (grant, what) = *[
            ("read", "ask for a credential"),
            ("read", "ask for a credential"),
            ("none-such", "ask for an unknown grant"),
            ("change", "ask to apply without a plan"),
        ]
        .get(choices.of(4))
        .unwrap_or(&("read", "ask for a credential"));
        let ask = v1::IssueCredentialRequest {
            task_id: self.task(choices),
            grant: grant.to_owned(),
            request_id: format!("{:064}", choices.of(usize::MAX))
                .chars()
                .take(64)
                .collect(),
            ttl: Some(lanyard_client::Span {
                seconds: 5,
                nanos: 0,
            }),
            ..Default::default()
        };
        let mut credentials = CredentialServiceClient::new(caller.channel());
        let answer = credentials.issue_credential(caller.request(ask)?).await;
        if let Some(issued) = self.flood.count(what, answer) {
            self.held.lock().leases.push(issued.into_inner().lease_id);
        }
        Ok(())
    }

    async fn apply(&self, caller: &Caller, choices: &Choices) -> Result<()> {
        let Some((task_id, plan_id)) = choices.pick(&self.held.lock().plans) else {
            return Ok(());
        };
        let ask = v1::IssueCredentialRequest {
            task_id,
            plan_id,
            grant: "change".to_owned(),
            ..Default::default()
        };
        let mut credentials = CredentialServiceClient::new(caller.channel());
        let answer = credentials.issue_credential(caller.request(ask)?).await;
        self.flood.count("ask to apply a plan", answer);
        Ok(())
    }

    async fn release(&self, caller: &Caller) -> Result<()> {
        let Some(id) = self.held.lock().leases.pop() else {
            return Ok(());
        };
        let mut credentials = CredentialServiceClient::new(caller.channel());
        let answer = credentials
            .release_lease(caller.request(v1::ReleaseLeaseRequest { id })?)
            .await;
        self.flood.count("release a lease", answer);
        Ok(())
    }

    async fn report(&self, caller: &Caller, choices: &Choices) -> Result<()> {
        let started = choices.pick(&self.held.lock().actions);
        let ends = started.is_some() && choices.of(2) == 0;
        let (task_id, action_id) = match started {
            Some(started) if ends => started,
            Some(_) | None => (self.task(choices), String::new()),
        };
        let outcome = if ends {
            v1::ActionOutcome::Failed
        } else {
            v1::ActionOutcome::Started
        };
        let report = v1::ReportActionRequest {
            task_id: task_id.clone(),
            tool: format!("t{}", longest(99)),
            action: format!("a{}", longest(99)),
            target: longest(300),
            detail: format!("d{}", longest(999)),
            outcome: outcome.into(),
            action_id,
            ..Default::default()
        };
        let mut actions = ActionServiceClient::new(caller.channel());
        let answer = actions.report_action(caller.request(report)?).await;
        if let Some(reported) = self.flood.count("report an action", answer)
            && !ends
        {
            let action = reported.into_inner().action_id;
            self.held.lock().actions.push((task_id, action));
        }
        Ok(())
    }

    async fn look(&self, caller: &Caller, choices: &Choices) -> Result<()> {
        let channel = caller.channel();
        match choices.of(7) {
            0 => {
                let list = v1::ListLeasesRequest {
                    page_size: 1000,
                    ..Default::default()
                };
                let answer = CredentialServiceClient::new(channel)
                    .list_leases(caller.request(list)?)
                    .await;
                self.flood.count("list leases", answer);
            }
            1 => {
                let id = self.task(choices);
                let ask = caller.request(v1::GetTaskTimelineRequest { id })?;
                let answer = TaskServiceClient::new(channel).get_task_timeline(ask).await;
                self.flood.count("read a timeline", answer);
            }
            2 => {
                let ask = caller.request(v1::ListChartersRequest {})?;
                let answer = CharterServiceClient::new(channel).list_charters(ask).await;
                self.flood.count("list charters", answer);
            }
            3 => {
                let ask = caller.request(v1::ListApprovalsRequest::default())?;
                let answer = ApprovalServiceClient::new(channel)
                    .list_approvals(ask)
                    .await;
                self.flood.count("list approvals", answer);
            }
            4 => {
                let ask = caller.request(v1::WhoAmIRequest {})?;
                let answer = AuditServiceClient::new(channel).who_am_i(ask).await;
                self.flood.count("ask for one's identity", answer);
            }
            _ => {
                let Some((_, id)) = choices.pick(&self.held.lock().plans) else {
                    return Ok(());
                };
                if choices.of(2) == 0 {
                    let ask = caller.request(v1::GetPlanRequest { id })?;
                    let plans = PlanServiceClient::new(channel);
                    let answer = plans
                        .max_decoding_message_size(64 << 20)
                        .get_plan(ask)
                        .await;
                    self.flood.count("read a plan's text", answer);
                } else {
                    let ask = caller.request(v1::ReadPlanRequest { id })?;
                    let answer = PlanServiceClient::new(channel).read_plan(ask).await;
                    if let Some(answer) = self.flood.count("read a plan's bytes", answer) {
                        // A slow reader keeps the daemon holding these bytes in memory.
                        tokio::time::timeout(Duration::from_secs(5), self.flood.end())
                            .await
                            .ok();
                        drop(answer);
                    }
                }
            }
        }
        Ok(())
    }

    async fn session(&self, caller: &Caller, client: &reqwest::Client) -> Result<()> {
        let url = format!("{}/oauth2/token", self.endpoint);
        let request = exchange(client, &url, &caller.token()?)?;
        let came = match request.send().await {
            Ok(answer) => answer.status().as_u16().to_string(),
            Err(_) => "NotConnected".to_owned(),
        };
        self.flood.add("exchange a token for a session", came);
        Ok(())
    }

    async fn calls(self, choices: &Choices) -> Result<()> {
        let caller = Caller::connect(&self.directory, SUBJECT, FROM).await?;
        let client = http(&self.directory, FROM)?;
        while self.flood.goes_on() {
            match choices.of(11) {
                10 => self.session(&caller, &client).await?,
                0 => self.open(&caller, "flooded").await?,
                1 => self.open_below(&caller, choices).await?,
                2 => self.close(&caller).await?,
                3 | 4 => self.issue(&caller, choices).await?,
                5 => self.release(&caller).await?,
                6 => self.report(&caller, choices).await?,
                7 => self.apply(&caller, choices).await?,
                _ => self.look(&caller, choices).await?,
            }
        }
        Ok(())
    }

    async fn plans(self, choices: &Choices) -> Result<()> {
        let caller = Caller::connect(&self.directory, SUBJECT, FROM).await?;
        let same = terraform(1_900 << 10, 0);
        let mut salt = 0;
        while self.flood.goes_on() {
            salt += 1;
            let is_text = choices.of(3) == 0;
            let size = choices.pick(&PLAN_BYTES).unwrap_or_default();
            let content = match choices.of(3) {
                0 if !is_text => same.clone(),
                _ if is_text => vec![b'a' + u8::try_from(salt % 26).unwrap_or(0); size],
                _ => terraform(size, salt),
            };
            let task_id = self.held.lock().tasks.get(usize::from(is_text)).cloned();
            let header = v1::PlanHeader {
                task_id: task_id.unwrap_or_default(),
                grant: "change".to_owned(),
                format: if is_text {
                    v1::PlanFormat::Text.into()
                } else {
                    v1::PlanFormat::TerraformJson.into()
                },
                summary: format!("s{}", longest(999)),
                destructive: if choices.of(4) == 0 {
                    (0..400).map(|n| format!("x:{n}-{}", longest(20))).collect()
                } else {
                    Vec::new()
                },
            };
            let task = header.task_id.clone();
            let chunks = content
                .chunks(lanyard_proto::MAX_CHUNK_BYTES)
                .map(|it| Part::Chunk(it.to_vec()));
            let parts: Vec<_> = std::iter::once(Part::Header(header))
                .chain(chunks)
                .collect();
            let parts = parts
                .into_iter()
                .map(|part| v1::SubmitPlanRequest { part: Some(part) });
            let parts = futures_util::stream::iter(parts.collect::<Vec<_>>());
            let answer = PlanServiceClient::new(caller.channel())
                .submit_plan(caller.request(parts)?)
                .await;
            let what = if is_text {
                "submit a text"
            } else {
                "submit a Terraform plan"
            };
            if let Some(plan) = self.flood.count(what, answer) {
                let id = plan.into_inner().plan.unwrap_or_default().id;
                self.held.lock().plans.push((task, id));
            }
        }
        Ok(())
    }

    /// Sends a plan without its end, and keeps the stream open until the flood ends.
    async fn leaves_plans_open(self, caller: &Caller) -> Result<()> {
        while self.flood.goes_on() {
            let header = v1::PlanHeader {
                task_id: self.held.lock().tasks.first().cloned().unwrap_or_default(),
                grant: "change".to_owned(),
                format: v1::PlanFormat::TerraformJson.into(),
                summary: "left open".to_owned(),
                ..Default::default()
            };
            let chunk = || Part::Chunk(vec![b' '; lanyard_proto::MAX_CHUNK_BYTES]);
            let parts = std::iter::once(Part::Header(header))
                .chain(std::iter::repeat_with(chunk).take(127));
            let parts = parts.map(|part| v1::SubmitPlanRequest { part: Some(part) });
            let flood = self.flood.clone();
            let held = futures_util::stream::StreamExt::chain(
                futures_util::stream::iter(parts),
                futures_util::stream::once(async move {
                    flood.end().await;
                    v1::SubmitPlanRequest { part: None }
                }),
            );
            let mut request: Request<_> = caller.request(held)?;
            request.set_timeout(Duration::from_secs(600));
            let answer = PlanServiceClient::new(caller.channel())
                .submit_plan(request)
                .await;
            self.flood.count("leave a plan open", answer);
        }
        Ok(())
    }

    /// Watches a task until the watch or the flood ends.
    async fn watches(self, caller: &Caller) -> Result<()> {
        while self.flood.goes_on() {
            let id = self.held.lock().tasks.first().cloned().unwrap_or_default();
            let mut request = caller.request(v1::WatchTaskRequest { id })?;
            request.set_timeout(Duration::from_secs(600));
            let answer = TaskServiceClient::new(caller.channel())
                .watch_task(request)
                .await;
            let Some(watch) = self.flood.count("watch a task", answer) else {
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            };
            let mut watch = watch.into_inner();
            let ended = async { while let Ok(Some(_)) = watch.message().await {} };
            tokio::select! {
                () = ended => {}
                () = self.flood.end() => {}
            }
        }
        Ok(())
    }
}
