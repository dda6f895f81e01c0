//! AuditService.

use std::cmp::Reverse;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lanyard_core::condition::{Condition, People, Reason};
use lanyard_core::kill::EngagedOrder;
use lanyard_core::state::State;
use lanyard_engine::condition::Accepted;
use lanyard_identity::Verified;
use lanyard_proto::v1;
use lanyard_proto::v1::audit_service_server::AuditService;
use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::digest::hex;
use lanyard_vocabulary::operator::OperatorRole;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::scope::Scope;
use lanyard_vocabulary::time::Timestamp;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::caught_up::caught_up;
use super::records::{AskedNames, AskedRecords, Lookup};
use super::{SEES_ORDERS, Services, time};
use crate::fields::{parsed, text};
use crate::identity::no_role;
use crate::issuing::{Issuing, exceptions, pauses_of_everything, with_reach};
use crate::{charters, refusal};

/// Records that a tail reads at a time.
const RECORDS_PER_READ: usize = 100;
/// The most orders that cover everything which a status names.
///
/// # No limit
/// One of them stops everything; `lanyard kill list` has them all.
const MAX_STOPPING_ORDERS: usize = 10;
/// The time for which a watcher is kept who does not read (T45).
const UNREAD_TIME: Duration = Duration::from_secs(30);
#[tonic::async_trait]
impl AuditService for Services {
    async fn get_status(
        &self,
        request: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        // Whoever stops something has to see how the broker is.
        self.operator_with(&request, SEES_ORDERS).await?;
        let broker = &self.0;
        let now = broker.engine.clock().now();
        let asked = broker.engine.context().in_effect(|state| {
            let engaged = state.kills().count_engaged();
            let pauses = state.pauses().filter(|pause| pause.lasts(now)).count();
            let emergencies = state.emergencies().filter(|one| one.lasts(now));
            let emergencies: Vec<_> = emergencies.map(|one| one.charter.to_string()).collect();
            (
                state.leases().live() as u64,
                engaged as u64,
                pauses as u64,
                emergencies,
                (stopped_by(state, now), exceptions(state, now)),
                Issuing::by(state, now),
            )
        });
        let (live_leases, engaged_kill_orders, pauses, emergencies, (stopped_by, except), issued) =
            asked.await;
        let except: Vec<_> = except
            .into_iter()
            .map(|stop| with_reach(&broker.engine, stop))
            .collect();
        let reasons = broker.engine.conditions().reasons();
        let stops = |reason: &&Reason| reason.kind().condition() != Condition::Issuing;
        let not_issuing: Vec<_> = reasons
            .iter()
            .filter(stops)
            .map(ToString::to_string)
            .collect();
        let (journal_size, root) = broker.ledger.tree();
        Ok(Response::new(v1::GetStatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            live_leases,
            engaged_kill_orders,
            pauses,
            emergencies,
            journal_size,
            journal_root: hex(&root),
            not_issuing: not_issuing.join("; "),
            condition: condition(Condition::of(&reasons)).into(),
            reasons: reasons.iter().map(reason).collect(),
            charter_problems: broker.charters.problems(),
            charters_ending: charters::ending(&broker.engine),
            problems: [broker.ledger.problems(), broker.doors.problems()].concat(),
            stopped_by,
            issuing: issued
                .under(Condition::of(&reasons))
                .told(!except.is_empty())
                .into(),
            except,
        }))
    }

    async fn accept_reason(
        &self,
        request: Request<v1::AcceptReasonRequest>,
    ) -> Result<Response<v1::AcceptReasonResponse>, Status> {
        // What a re-arm takes, this takes: it is the same direction.
        let needed = (OperatorRole::OnCall, &self.0.doors.fresh.rearm);
        let operator = self.fresh(&request, needed).await?;
        let request = request.into_inner();
        let kind = parsed("kind", &request.kind)?;
        let why = text("reason", request.reason)?;
        let (engine, by) = (&self.0.engine, operator.person());
        let said = engine
            .acceptances()
            .accept_seen((kind, &request.seen), &by, why)
            .await;
        let waits = match said.map_err(refusal::accept)? {
            Accepted::Lifted => {
                self.0.accepted(kind, &request.seen);
                None
            }
            Accepted::SecondPersonBy(until) => time(until),
        };
        Ok(Response::new(v1::AcceptReasonResponse {
            second_person_by: waits,
        }))
    }

    type TailRecordsStream =
        Pin<Box<dyn Stream<Item = Result<v1::TailRecordsResponse, Status>> + Send>>;

    async fn query_records(
        &self,
        request: Request<v1::QueryRecordsRequest>,
    ) -> Result<Response<v1::QueryRecordsResponse>, Status> {
        self.operator(&request, OperatorRole::Viewer).await?;
        let request = request.into_inner();
        let asked = AskedRecords::of(request)?;
        let (ledger, engine) = (Arc::clone(&self.0.ledger), Arc::clone(&self.0.engine));
        caught_up(&ledger, false).await?;
        let found = tokio::task::spawn_blocking(move || asked.found(&engine, ledger.history()));
        let found = found.await;
        let found = found.map_err(|_| Status::internal("the history could not be read"))?;
        Ok(Response::new(found?))
    }

    async fn tail_records(
        &self,
        request: Request<v1::TailRecordsRequest>,
    ) -> Result<Response<Self::TailRecordsStream>, Status> {
        let viewer = self.operator(&request, OperatorRole::Viewer).await?;
        let place = self.0.watches.of_person(&viewer.identity)?;
        let ledger = Arc::clone(&self.0.ledger);
        let engine = Arc::clone(&self.0.engine);
        let request = request.into_inner();
        let from = u64::try_from(request.from_index).ok();
        let asked = AskedNames::of_tail(request)?;
        let size = ledger.tree().0;
        let (mut first, mut unknown_names) = (None, Vec::new());
        // Without a word about what is wanted, the journal is followed whatever became of the
        // history.
        if !asked.is_everything() {
            caught_up(&ledger, false).await?;
            let (asked, engine, ledger) = (asked.clone(), Arc::clone(&engine), Arc::clone(&ledger));
            let looked =
                tokio::task::spawn_blocking(move || asked.before(&engine, ledger.history()));
            let looked = looked.await;
            let looked = looked.map_err(|_| Status::internal("the history could not be read"))?;
            (first, unknown_names) = looked?;
        }
        let from = from.or(first).unwrap_or(size);
        // A page is as long as its records: few of them wait for the reader.
        let (events, stream) = tokio::sync::mpsc::channel(2);
        if !unknown_names.is_empty() {
            let records = Vec::new();
            let told = v1::TailRecordsResponse {
                records,
                unknown_names,
            };
            events.try_send(Ok(told)).ok();
        }
        // The task ends with its reader: a send fails once nobody listens, or nobody reads.
        tokio::spawn(async move {
            let _place = place;
            let mut cursor = ledger.records(from);
            loop {
                let grown = tokio::select! {
                    grown = ledger.grown(cursor.index()) => grown,
                    () = events.closed() => None,
                };
                let Some(durable) = grown.filter(|_| !events.is_closed()) else {
                    return;
                };
                let until = durable.min(cursor.index() + RECORDS_PER_READ as u64);
                let (engine, history) = (Arc::clone(&engine), Arc::clone(ledger.history()));
                let asked = asked.clone();
                let read = tokio::task::spawn_blocking(move || {
                    let (mut records, mut lookup) = (Vec::new(), Lookup::new(&engine, &history));
                    let read = cursor.read(until, |entry| {
                        records.extend(asked.record(&mut lookup, (entry.index, entry.record)));
                    });
                    (cursor, read.map(|()| records))
                });
                let Ok((back, records)) = read.await else {
                    return;
                };
                cursor = back;
                // Of a page without a record that is asked for, nothing is told.
                if records.as_ref().is_ok_and(Vec::is_empty) {
                    continue;
                }
                let event = records
                    .map(|records| v1::TailRecordsResponse {
                        records,
                        unknown_names: Vec::new(),
                    })
                    .map_err(|error| Status::data_loss(error.to_string()));
                let failed = event.is_err();
                if events.send_timeout(event, UNREAD_TIME).await.is_err() || failed {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn who_am_i(
        &self,
        request: Request<v1::WhoAmIRequest>,
    ) -> Result<Response<v1::WhoAmIResponse>, Status> {
        let caller = self.caller(&request).await?;
        let identity = caller.identity().clone();
        let known = v1::WhoAmIResponse {
            identity: identity.to_string(),
            issuer: identity.issuer.clone(),
            subject: identity.subject.clone(),
            ..Default::default()
        };
        Ok(Response::new(match caller {
            Verified::Agent(Caller { evidence, .. }) => v1::WhoAmIResponse {
                kind: "agent".to_owned(),
                agent: self.0.engine.context().agent(&identity).0,
                method: evidence.method.to_string(),
                claims: evidence.claims.into_iter().collect(),
                key: evidence.key.map(|key| key.to_string()).unwrap_or_default(),
                ..known
            },
            Verified::Operator(operator, login) => v1::WhoAmIResponse {
                kind: "operator".to_owned(),
                no_role_reason: no_role(&operator, &login).unwrap_or_default(),
                roles: operator
                    .roles
                    .iter()
                    .map(|role| role.name().to_owned())
                    .collect(),
                login_time: login.at.and_then(time),
                acr: login.acr.unwrap_or_default(),
                ..known
            },
        }))
    }
}

const fn condition(condition: Condition) -> v1::Condition {
    match condition {
        Condition::Issuing => v1::Condition::Issuing,
        Condition::RevokeOnly => v1::Condition::RevokeOnly,
        Condition::Stopped => v1::Condition::Stopped,
    }
}

/// The orders that keep a role, or both, from being issued anywhere.
fn stopped_by(state: &State, now: Timestamp) -> Vec<v1::StoppingOrder> {
    let stops =
        |engaged: &EngagedOrder, role| engaged.order.roles.reaches(role) && engaged.stops(role);
    let all = state.kills().of_scope(&Scope::All);
    let mut stopping: Vec<_> = all.filter(|engaged| stops(engaged, Role::Apply)).collect();
    // Those that stop more come first, then the newer ones.
    stopping.sort_by_key(|engaged| Reverse((stops(engaged, Role::Plan), engaged.seq)));
    let named = stopping.into_iter().take(MAX_STOPPING_ORDERS);
    let named = named.map(|engaged| v1::StoppingOrder {
        id: engaged.order.id.to_string(),
        reason: engaged.order.reason.clone(),
        apply_only: !stops(engaged, Role::Plan),
        what: engaged.order.scope.to_string(),
    });
    named.chain(pauses_of_everything(state, now)).collect()
}

fn reason(reason: &Reason) -> v1::ConditionReason {
    let kind = reason.kind();
    v1::ConditionReason {
        kind: kind.as_str().to_owned(),
        text: reason.to_string(),
        remedy: kind.remedy().to_owned(),
        people: match kind.accepted_by() {
            None => 0,
            Some(People::One) => 1,
            Some(People::Two) => 2,
        },
    }
}
