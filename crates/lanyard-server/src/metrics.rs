//! What a monitoring system scrapes: counts, never a name of a person or a secret.
//!
//! Every number is read when it is asked for, from the same state that answers requests.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use lanyard_core::kill::Lifted;
use lanyard_core::state::State;
use lanyard_core::time::Timestamp;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::wire::Broker;

/// The content type of the OpenMetrics text format, version 1.0.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) fn router(broker: Arc<Broker>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .with_state(broker)
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
    let now = broker.engine.now();
    let counted = broker.engine.query(|state| of_state(state, now)).await;
    let (counts, armed) = counted.map_err(|error| error.to_string())?;
    let mut registry = Registry::with_prefix("lanyard");
    for (name, help, value) in counts.into_iter().chain(of_broker(broker, armed)) {
        let gauge: Gauge = Gauge::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    }
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| error.to_string())?;
    Ok(text)
}

/// What the ledger counts, and whether the broker is armed.
fn of_state(state: &State, now: Timestamp) -> ([Count; 9], bool) {
    let orders = state.kills().iter();
    let engaged = orders.filter(|order| order.lifted != Lifted::Everything);
    let pauses = state.pauses().filter(|pause| pause.lasts(now));
    let emergencies = state.emergencies().filter(|one| one.lasts(now));
    let waiting = state.waiting(now);
    let answers = answer_times(state, now);
    let at = |percent: usize| answers.get(answers.len().saturating_sub(1) * percent / 100);
    let counts = [
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
            engaged.count(),
        ),
        ("pauses", "Pauses that last", pauses.count()),
        ("emergencies", "Emergencies that last", emergencies.count()),
        (
            "approvals_open",
            "Plans that wait for people",
            waiting.count(),
        ),
        (
            "breakers_tripped",
            "Breakers whose consequence is not recorded yet",
            state.tripped().len(),
        ),
    ];
    (counts, state.disarmed().is_none())
}

/// How long people took to answer, in seconds, of the requests of the last day; in order.
fn answer_times(state: &State, now: Timestamp) -> Vec<usize> {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let recent = state
        .approvals()
        .filter(|it| it.requested > now.before(DAY));
    let answered = recent.filter_map(|approval| {
        let denied = approval.denied.as_ref().map(|(.., at)| *at);
        let at = denied.or(approval.is_complete().then(|| approval.decided_at()))?;
        usize::try_from(at.since(approval.requested).as_secs()).ok()
    });
    let mut seconds: Vec<usize> = answered.collect();
    seconds.sort_unstable();
    seconds
}

fn of_broker(broker: &Broker, armed: bool) -> [Count; 5] {
    let charters = broker.engine.charters().all();
    let dangerous = charters
        .iter()
        .map(|charter| charter.admin_equivalent().count());
    let issuing = armed && broker.not_issuing().is_none();
    let records = usize::try_from(broker.ledger.tree().0).unwrap_or(usize::MAX);
    let out = broker.charters.out_of_force();
    [
        (
            "issuing",
            "1 when credentials are issued, 0 when only revocations go on",
            usize::from(issuing),
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
    ]
}
