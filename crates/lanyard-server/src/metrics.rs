//! What a monitoring system scrapes: counts, never a name of a person or a secret.
//!
//! Every number is read when it is asked for: gauges from the same state that answers requests,
//! counters and histograms from what the engine counted since the start of the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, extract};
use lanyard_core::approval::Approval;
use lanyard_core::condition::{Condition, Kind};
use lanyard_core::drill::DrillOutcome;
use lanyard_core::lease::Awaits;
use lanyard_core::state::State;
use lanyard_engine::Engine;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::Timestamp;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::broker::Broker;
use crate::issuing::Issuing;
use crate::scrapers::{Scrapers, admitted};

mod activity;

/// The content type of the OpenMetrics text format, version 1.0.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) fn router(broker: Arc<Broker>, scrapers: Scrapers) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .with_state(broker)
        .layer(from_fn_with_state(scrapers, admitted))
        .layer(from_fn(crate::identity::presented))
}

async fn metrics(extract::State(broker): extract::State<Arc<Broker>>) -> Response {
    match scrape(&broker).await {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
    }
}

/// A name, what it is, and its value.
type Count = (&'static str, &'static str, usize);

async fn scrape(broker: &Broker) -> Result<String, String> {
    let now = broker.engine.clock().now();
    let asked = Asked::of(&broker.engine, now);
    let counted = broker
        .engine
        .context()
        .in_effect(|state| of_state(state, &asked, now));
    let counts = counted.await;
    let issuing = broker
        .engine
        .context()
        .in_effect(|state| Issuing::by(state, now))
        .await;
    let issuing = issuing.under(broker.engine.conditions().condition());
    let mut registry = Registry::with_prefix("lanyard");
    for (name, help, value) in counts.into_iter().chain(of_broker(broker, issuing)) {
        let gauge: Gauge = Gauge::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    }
    conditions(broker, &mut registry);
    activity::register(broker, &mut registry);
    ends(broker, &mut registry);
    roles(issuing, &mut registry);
    security_events(broker, &mut registry);
    let by_target = broker
        .engine
        .context()
        .in_effect(|state| of_targets(state, broker, now));
    for (name, help, values) in by_target.await {
        let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        for (target, value) in values {
            family
                .get_or_create(&vec![("target".to_owned(), target)])
                .set(value);
        }
        registry.register(name, help, family);
    }
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| error.to_string())?;
    Ok(text)
}

/// Labels of one value.
type Labels = Vec<(String, String)>;
/// A name, what it is, and its value at each target that has one.
type Counts = (&'static str, &'static str, Vec<(String, f64)>);

fn seconds(at: Timestamp) -> f64 {
    if at == Timestamp::NEVER {
        return f64::INFINITY;
    }
    at.as_millis() as f64 / 1000.0
}

/// Counts what is known of each target.
fn of_targets(state: &State, broker: &Broker, now: Timestamp) -> Vec<Counts> {
    let targets = || broker.engine.providers().keys();
    let each = |of: &dyn Fn(&Name) -> Option<f64>| {
        let values = targets().filter_map(|target| Some((target.to_string(), of(target)?)));
        values.collect::<Vec<_>>()
    };
    let waiting = |target: &Name| {
        let steps = [Awaits::Kill, Awaits::Provider].into_iter();
        let all = steps.flat_map(|what| state.leases().awaiting(target, what));
        all.map(|lease| lease.worst_expiry).collect::<Vec<_>>()
    };
    let old = broker
        .drills
        .as_ref()
        .map(|drills| now.before(drills.old()));
    let good = |target: &Name| state.drills().get(target)?.good.clone();
    let overdue = |target: &Name| old.is_none_or(|old| good(target).is_none_or(|(at, _)| at < old));
    let of_good =
        |target: &Name, what: fn(&DrillOutcome) -> Option<f64>| what(&good(target)?.1.outcome);
    vec![
        (
            "revocations_waiting",
            "Revocations that no provider has taken yet",
            each(&|target| Some(waiting(target).len() as f64)),
        ),
        (
            "revocations_worst_case_timestamp_seconds",
            "Until when a credential whose revocation waits could be live at worst",
            each(&|target| waiting(target).into_iter().max().map(seconds)),
        ),
        (
            "target_clock_skew_seconds",
            "How far the target's clock is ahead of the broker's, as it was measured last",
            each(&|target| Some(broker.engine.clock().skew(target)?.as_secs_f64())),
        ),
        (
            "drill_passed",
            "1 when the last drill passed",
            each(&|target| {
                let last = &state.drills().get(target)?.last.1;
                Some(f64::from(u8::from(last.outcome.is_passed())))
            }),
        ),
        (
            "drill_last_pass_timestamp_seconds",
            "When the last drill that passed was held",
            each(&|target| good(target).map(|(at, _)| seconds(at))),
        ),
        (
            "drill_overdue",
            "1 when the last drill that passed is so long ago that it proves nothing any more",
            each(&|target| Some(f64::from(u8::from(overdue(target))))),
        ),
        (
            "drill_fenced_seconds",
            "From the order to the fence, in the last drill that passed",
            each(&|target| of_good(target, fenced)),
        ),
        (
            "drill_taken_seconds",
            "From the order until the provider took the revocation, in that drill",
            each(&|target| of_good(target, taken)),
        ),
        (
            "drill_dead_seconds",
            "From the order until a check showed the canary dead, in that drill",
            each(&|target| of_good(target, dead)),
        ),
    ]
}

const fn fenced(outcome: &DrillOutcome) -> Option<f64> {
    match outcome {
        DrillOutcome::Passed { fenced_micros, .. } => Some(*fenced_micros as f64 / 1e6),
        DrillOutcome::Failed { .. } => None,
    }
}

const fn taken(outcome: &DrillOutcome) -> Option<f64> {
    match outcome {
        DrillOutcome::Passed { taken_millis, .. } => Some(*taken_millis as f64 / 1e3),
        DrillOutcome::Failed { .. } => None,
    }
}

fn dead(outcome: &DrillOutcome) -> Option<f64> {
    match outcome {
        DrillOutcome::Passed { dead_millis, .. } => dead_millis.map(|millis| millis as f64 / 1e3),
        DrillOutcome::Failed { .. } => None,
    }
}

/// Returns the counts of the ledger.
fn of_state(state: &State, asked: &Asked, now: Timestamp) -> [Count; 12] {
    let pauses = state.pauses().filter(|pause| pause.lasts(now));
    let emergencies = state.emergencies().filter(|one| one.lasts(now));
    let (answers, observed) = (&asked.answers, state.observed());
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let at = |percent: usize| answers.get(answers.len().saturating_sub(1) * percent / 100);
    [
        (
            "approvals_answered",
            "Requests for approval that people answered within a day",
            answers.len(),
        ),
        (
            "approval_answer_seconds_median",
            "How long people took for those, by the median",
            at(50).copied().unwrap_or(0),
        ),
        (
            "approval_answer_seconds_p99",
            "How long people took for those, by the 99th percentile",
            at(99).copied().unwrap_or(0),
        ),
        (
            "live_leases",
            "Credentials that are out",
            state.leases().live(),
        ),
        (
            "kill_orders_engaged",
            "Kill orders that still stop something",
            state.kills().count_engaged(),
        ),
        ("pauses", "Pauses that last", pauses.count()),
        ("emergencies", "Emergencies that last", emergencies.count()),
        (
            "approvals_open",
            "Plans that wait for people",
            asked.waiting,
        ),
        (
            "strays",
            "Credentials that no lease stood for, found and revoked, in all",
            count(observed.strays),
        ),
        (
            "leases_missing",
            "Leases whose credential was gone from its target, in all",
            count(observed.missing),
        ),
        (
            "revocations_edited",
            "Edits by others of what keeps credentials revoked, set right, in all",
            count(observed.edited),
        ),
        (
            "breakers_tripped",
            "Breakers whose consequence is not recorded yet",
            state.tripped().len(),
        ),
    ]
}

/// Each condition and each reason by its name, so that an alert names what it is about; details
/// stand in the status.
fn conditions(broker: &Broker, registry: &mut Registry) {
    let reasons = broker.engine.conditions().reasons();
    let (now, of) = (Condition::of(&reasons), |kind| {
        reasons
            .iter()
            .filter(|reason| reason.kind() == kind)
            .count()
    });
    let family = |label: &str, values: Vec<(&str, usize)>| {
        let family = Family::<Labels, Gauge>::default();
        for (name, value) in values {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            let labels = vec![(label.to_owned(), name.to_owned())];
            family.get_or_create(&labels).set(value);
        }
        family
    };
    let each = Condition::ALL.map(|one| (one.as_str(), usize::from(one == now)));
    registry.register(
        "condition",
        "1 for the condition that the broker is in",
        family("condition", each.into()),
    );
    let (notices, stops): (Vec<Kind>, _) = Kind::ALL
        .into_iter()
        .partition(|kind| kind.condition() == Condition::Issuing);
    let counted = |kinds: Vec<Kind>| {
        let each = kinds.into_iter().map(|kind| (kind.as_str(), of(kind)));
        family("reason", each.collect())
    };
    registry.register(
        "not_issuing_reasons",
        "How many reasons of this kind keep the broker from issuing",
        counted(stops),
    );
    registry.register(
        "notices",
        "How many reasons of this kind operators have to look at, while the broker issues",
        counted(notices),
    );
}

/// Registers when charters end, of those that do: an alert can be early.
fn ends(broker: &Broker, registry: &mut Registry) {
    let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
    for charter in broker.engine.charters().all() {
        if let Some(end) = charter.expires {
            let labels = vec![("charter".to_owned(), charter.name.to_string())];
            family.get_or_create(&labels).set(seconds(end.when));
        }
    }
    registry.register(
        "charter_expire_timestamp_seconds",
        "When the charter ends, of charters that do",
        family,
    );
}

/// Security events by who sent them and what became of them; refused ones have no sender that is
/// believed.
fn security_events(broker: &Broker, registry: &mut Registry) {
    let family = Family::<Labels, Counter>::default();
    for (transmitter, heard, count) in broker.signals.heard() {
        let outcome = heard.as_str().to_owned();
        let labels = vec![
            ("transmitter".to_owned(), transmitter),
            ("outcome".to_owned(), outcome),
        ];
        family.get_or_create(&labels).inc_by(count);
    }
    registry.register(
        "security_events",
        "Security events of identity providers since the start, by what became of them",
        family,
    );
}

/// The requests to people.
#[derive(Default)]
struct Asked {
    /// The times that people took to answer, in seconds, of the requests of the last day; in order.
    answers: Vec<usize>,
    /// The number of requests that wait for them.
    waiting: usize,
}

impl Asked {
    fn of(engine: &Engine, now: Timestamp) -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let mut asked = Self::default();
        engine.context().pass_approvals(|state, approval| {
            asked.waiting += usize::from(state.is_waiting(approval, now));
            if approval.requested > now.before(DAY) {
                asked.answers.extend(answer_time(approval));
            }
        });
        asked.answers.sort_unstable();
        asked
    }
}

fn answer_time(approval: &Approval) -> Option<usize> {
    let denied = approval.denied.as_ref().map(|(.., at)| *at);
    let at = denied.or(approval.is_complete().then(|| approval.decided_at()))?;
    usize::try_from(at.since(approval.requested).as_secs()).ok()
}

/// Each role, and whether it is issued anywhere.
fn roles(issuing: Issuing, registry: &mut Registry) {
    let family = Family::<Labels, Gauge>::default();
    for (role, is_issued) in [("plan", issuing.plan), ("apply", issuing.apply)] {
        let labels = vec![("role".to_owned(), role.to_owned())];
        family.get_or_create(&labels).set(i64::from(is_issued));
    }
    registry.register(
        "issuing_role",
        "1 when credentials of this role are issued, 0 when the condition, a kill order or a pause stops the role everywhere",
        family,
    );
}

fn of_broker(broker: &Broker, issuing: Issuing) -> [Count; 8] {
    let mut charters = broker.engine.charters().all();
    charters.retain(|charter| charter.name.as_str() != crate::drill::CHARTER);
    let dangerous = charters
        .iter()
        .map(|charter| charter.admin_equivalent().count());
    let records = usize::try_from(broker.ledger.tree().0).unwrap_or(usize::MAX);
    let out = broker.charters.out_of_force();
    [
        (
            "issuing",
            "1 when credentials are issued, 0 when the condition, a kill order or a pause stops all of them",
            usize::from(!issuing.is_nothing()),
        ),
        ("charters_in_force", "Charters in force", charters.len()),
        (
            "charters_out_of_force",
            "Charter files that do not hold together",
            out,
        ),
        (
            "admin_equivalent_grants",
            "Grants in force that could raise their own power",
            dangerous.sum(),
        ),
        ("journal_records", "Records of the journal", records),
        (
            "journal_first_record",
            "The first record that is kept: retention removed those before it",
            usize::try_from(broker.ledger.kept().first()).unwrap_or(usize::MAX),
        ),
        (
            "journal_sealed_bytes",
            "Size of the segments of the journal that nothing is written to any more",
            usize::try_from(broker.ledger.kept().sealed_bytes()).unwrap_or(usize::MAX),
        ),
        (
            "events_given_up",
            "Events given up since the start: the receiver never accepted them, or their record cannot be decoded",
            broker.given_up.load(Ordering::Relaxed),
        ),
    ]
}
