//! The callers that a flood must not slow: agents that ask for credentials, an operator who issues
//! kill orders, and an approver who reads a plan.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lanyard_client::{Client, v1};
use lanyard_proto::v1::credential_service_client::CredentialServiceClient;
use lanyard_proto::v1::plan_service_client::PlanServiceClient;
use lanyard_proto::v1::submit_plan_request::Part;
use lanyard_proto::v1::task_service_client::TaskServiceClient;
use tokio::task::JoinSet;

use super::flood::Caller;
use crate::stopwatch;

/// Agents that ask for credentials. Each has its own quota of records and asks about a dozen times
/// a minute, so a high total rate needs many agents.
const IDENTITIES: usize = 720;
/// Workers that ask in the names of these agents, one request after the other with [`REST`] in
/// between.
const CALLERS: usize = 4;
const REST: Duration = Duration::from_millis(25);
/// The time between two kill orders.
const KILL_INTERVAL: Duration = Duration::from_millis(200);
/// The time between two reads of the plan.
const READ_INTERVAL: Duration = Duration::from_secs(1);
/// Tasks with a lease each, for kill orders to name.
const TO_BE_KILLED: usize = 48;
/// The size of the plan that is read, in bytes: just below the largest that an approver can be
/// shown.
const PLAN_BYTES: usize = 1_900 << 10;
const HERE: std::net::Ipv4Addr = std::net::Ipv4Addr::LOCALHOST;

/// An agent with its open task.
struct Other {
    caller: Caller,
    task: String,
}

/// A task and one of its leases, for a kill order.
struct Spare {
    task: String,
    lease: String,
}

/// The callers with their open tasks, leases and plan.
pub(super) struct Quiet {
    others: Vec<Vec<Other>>,
    spares: Vec<Spare>,
    kills: Client,
    reader: Client,
    plan: String,
    killed: usize,
}

/// The sorted waits of each kind of caller, and the number of calls that failed.
#[derive(Debug, Default)]
pub(super) struct Waits {
    pub(super) others: Vec<Duration>,
    pub(super) refused: u64,
    pub(super) kills: Vec<Duration>,
    pub(super) not_durable: u64,
    pub(super) reads: Vec<Duration>,
    pub(super) unread: u64,
}

/// Returns the `part`th percentile (0 to 99) of sorted waits.
pub(super) fn at(waits: &[Duration], part: usize) -> Duration {
    let waited = waits.get(waits.len() * part / 100);
    waited.copied().unwrap_or_default()
}

async fn open(caller: &Caller) -> Result<String> {
    let open = v1::OpenTaskRequest {
        charter: "others".to_owned(),
        environment: "production".to_owned(),
        reason: "a measurement".to_owned(),
        ..Default::default()
    };
    let opened = TaskServiceClient::new(caller.channel())
        .open_task(caller.request(open)?)
        .await?;
    Ok(opened.into_inner().task.context("no task")?.id)
}

fn ask(task: &str) -> v1::IssueCredentialRequest {
    v1::IssueCredentialRequest {
        task_id: task.to_owned(),
        grant: "read".to_owned(),
        ..Default::default()
    }
}

impl Quiet {
    /// Connects the callers and opens their tasks; kill orders go to the address `kill_plane`.
    pub(super) async fn prepare(directory: &Path, kill_plane: &str) -> Result<Self> {
        let mut others = Vec::new();
        for worker in 0..CALLERS {
            let first = Caller::connect(directory, &format!("other:{worker}"), HERE).await?;
            let mut own = Vec::new();
            for number in 0..IDENTITIES / CALLERS {
                let caller = first.as_subject(directory, &format!("other:{worker}-{number}"))?;
                let task = open(&caller).await?;
                own.push(Other { caller, task });
            }
            others.push(own);
        }
        let first = Caller::connect(directory, "other:spare", HERE).await?;
        let mut spares = Vec::new();
        for number in 0..TO_BE_KILLED {
            let caller = first.as_subject(directory, &format!("other:spare-{number}"))?;
            let task = open(&caller).await?;
            let asked = caller.request(ask(&task))?;
            let issued = CredentialServiceClient::new(caller.channel())
                .issue_credential(asked)
                .await?;
            let lease = issued.into_inner().lease_id;
            spares.push(Spare { task, lease });
        }
        let plan = submit(&first.as_subject(directory, "other:planner")?).await?;
        Ok(Self {
            others,
            spares,
            kills: Client::connect(&at_kill_plane(directory, kill_plane)?).await?,
            reader: Client::connect(&directory.join("contexts/alice.json")).await?,
            plan,
            killed: 0,
        })
    }

    /// Returns the id of a task that the flooding strangers do not own.
    pub(super) fn task(&self) -> Result<String> {
        let other = self.others.first().and_then(|own| own.first());
        Ok(other.context("no quiet caller has a task")?.task.clone())
    }

    /// Asks, kills and reads for `seconds`, and returns the waits.
    pub(super) async fn measure(&mut self, seconds: u64) -> Result<Waits> {
        let until = stopwatch() + Duration::from_secs(seconds);
        let mut workers = JoinSet::new();
        for own in std::mem::take(&mut self.others) {
            workers.spawn(asking(own, until));
        }
        let orders = self.orders();
        let reader = (self.reader.clone(), self.plan.clone());
        let (killed, read) = tokio::join!(
            killing(self.kills.clone(), orders, until),
            reading(reader, until)
        );
        let ((kills, not_durable), (reads, unread)) = (killed?, read);
        self.killed += kills.len();
        let mut waits = Waits {
            kills,
            not_durable,
            reads,
            unread,
            ..Waits::default()
        };
        while let Some(worker) = workers.join_next().await {
            let (own, took, refused) = worker??;
            self.others.push(own);
            waits.others.extend(took);
            waits.refused += refused;
        }
        waits.others.sort_unstable();
        waits.kills.sort_unstable();
        waits.reads.sort_unstable();
        ensure!(
            !waits.others.is_empty(),
            "no credential was requested during the measurement"
        );
        Ok(waits)
    }

    /// Takes half of the spares at the first call and the rest at the second. Returns for each an
    /// order over its lease, one over its task, and one over an unknown agent.
    fn orders(&mut self) -> Vec<v1::Scope> {
        use v1::scope::Kind;
        let spares = std::mem::take(&mut self.spares);
        let half = spares.len() / 2;
        let (now, later) = spares.split_at(if self.killed == 0 { half } else { spares.len() });
        let begin = self.killed;
        let over = |(number, spare): (usize, &Spare)| {
            [
                Kind::LeaseId(spare.lease.clone()),
                Kind::TaskId(spare.task.clone()),
                Kind::Agent(format!("nobody-{}", begin + number)),
            ]
        };
        let kinds = now.iter().enumerate().flat_map(over);
        let orders = kinds.map(|kind| v1::Scope { kind: Some(kind) }).collect();
        self.spares = later
            .iter()
            .map(|spare| Spare {
                task: spare.task.clone(),
                lease: spare.lease.clone(),
            })
            .collect();
        orders
    }
}

/// Submits the plan that is read, which waits for an approval, and returns its id.
async fn submit(caller: &Caller) -> Result<String> {
    let header = v1::PlanHeader {
        task_id: open(caller).await?,
        grant: "change".to_owned(),
        format: v1::PlanFormat::Text.into(),
        summary: "to be read".to_owned(),
        ..Default::default()
    };
    let content = "a line of a plan that a person has to read\n".repeat(PLAN_BYTES / 43);
    let chunks = content.as_bytes().chunks(lanyard_proto::MAX_CHUNK_BYTES);
    let chunks = chunks.map(|it| Part::Chunk(it.to_vec()));
    let parts: Vec<_> = std::iter::once(Part::Header(header))
        .chain(chunks)
        .map(|part| v1::SubmitPlanRequest { part: Some(part) })
        .collect();
    let parts = caller.request(futures_util::stream::iter(parts))?;
    let submitted = PlanServiceClient::new(caller.channel())
        .submit_plan(parts)
        .await?;
    Ok(submitted.into_inner().plan.context("no plan")?.id)
}

/// Writes a context for the on-call person that names the kill plane as the broker's address.
fn at_kill_plane(directory: &Path, kill_plane: &str) -> Result<PathBuf> {
    let oncall = std::fs::read_to_string(directory.join("contexts/oncall.json"))?;
    let mut oncall: serde_json::Value = serde_json::from_str(&oncall)?;
    if let Some(fields) = oncall.as_object_mut() {
        fields.insert("endpoint".to_owned(), kill_plane.into());
    }
    let path = directory.join("contexts/kills.json");
    std::fs::write(&path, oncall.to_string())?;
    Ok(path)
}

type Asked = (Vec<Other>, Vec<Duration>, u64);

async fn asking(own: Vec<Other>, until: Instant) -> Result<Asked> {
    let (mut took, mut refused) = (Vec::new(), 0);
    for other in own.iter().cycle() {
        if stopwatch() >= until {
            break;
        }
        let request = other.caller.request(ask(&other.task))?;
        let mut client = CredentialServiceClient::new(other.caller.channel());
        let asked = stopwatch();
        let answer = client.issue_credential(request).await;
        took.push(asked.elapsed());
        refused += u64::from(answer.is_err());
        tokio::time::sleep(REST).await;
    }
    Ok((own, took, refused))
}

async fn killing(
    mut client: Client,
    orders: Vec<v1::Scope>,
    until: Instant,
) -> Result<(Vec<Duration>, u64)> {
    let (mut took, mut not_durable) = (Vec::new(), 0);
    let mut orders = orders.into_iter();
    let mut turns = tokio::time::interval(KILL_INTERVAL);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stopwatch() < until {
        turns.tick().await;
        let nobody = || v1::Scope {
            kind: Some(v1::scope::Kind::Agent(format!("nobody-{}", took.len()))),
        };
        let order = v1::EngageKillRequest {
            scope: Some(orders.next().unwrap_or_else(nobody)),
            reason: "a measurement".to_owned(),
            ..Default::default()
        };
        let asked = stopwatch();
        let answer = client.engage_kill(order).await;
        took.push(asked.elapsed());
        not_durable += u64::from(!answer.is_ok_and(|answer| answer.durable));
    }
    Ok((took, not_durable))
}

async fn reading((mut client, plan): (Client, String), until: Instant) -> (Vec<Duration>, u64) {
    let (mut took, mut unread) = (Vec::new(), 0);
    let mut turns = tokio::time::interval(READ_INTERVAL);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stopwatch() < until {
        turns.tick().await;
        let asked = stopwatch();
        let answer = client.read_plan(plan.clone(), u64::MAX).await;
        took.push(asked.elapsed());
        unread += u64::from(answer.is_err());
    }
    (took, unread)
}
