//! The report as one JSON document, fit for a post-mortem: the order, the totals, and every lease.

use lanyard_client::{Client, ClientError, v1};
use serde_json::{Value, json};

use super::scope;
use crate::lease::{shown, state};
use crate::outcome::Outcome;
use crate::output::Output;

pub(super) async fn print(
    output: Output,
    client: &mut Client,
    (report, engaged): (&v1::WatchKillResponse, Option<&v1::EngageKillResponse>),
) -> Result<(), Outcome> {
    let order = report.order.clone().unwrap_or_default();
    let mut leases = Vec::new();
    let mut lines = client.read_kill_report(order.id.clone()).await?;
    while let Some(page) = lines.message().await.map_err(ClientError::from)? {
        leases.extend(page.lines.iter().map(lease));
    }
    let targets = report.targets.iter().map(|target| {
        let mut value = totals(target);
        if let Value::Object(fields) = &mut value {
            fields.insert("target".to_owned(), json!(target.target));
            let settles = seconds(target.settles.as_ref());
            fields.insert("settles_seconds".to_owned(), settles);
            fields.insert("fault".to_owned(), text(&target.fault));
        }
        value
    });
    let document = json!({
        "order": {
            "id": order.id,
            "scope": scope(order.scope.clone()),
            "roles": match order.roles() {
                v1::RoleFilter::ApplyOnly => "apply",
                v1::RoleFilter::Both | v1::RoleFilter::Unspecified => "both",
            },
            "reason": order.reason,
            "engaged_by": order.engaged_by,
            "engaged_at": shown(order.engage_time),
            "lifted": order.lifted,
            "evidence": order.evidence,
            "reaches_nothing": order.reaches_nothing,
        },
        "unknown_name": engaged.map(|engaged| &engaged.unknown_name),
        "near_names": engaged.map(|engaged| &engaged.near_names),
        "charters": report.charters.iter().map(stopped).collect::<Vec<_>>(),
        "as_of": jiff::Timestamp::now().to_string(),
        "confirmed": report.confirmed,
        "unswept": report.unswept,
        "total": report.total.as_ref().map(totals),
        "targets": targets.collect::<Vec<_>>(),
        "leases": leases,
    });
    output.document(&document);
    Ok(())
}

fn stopped(stopped: &v1::StoppedCharter) -> Value {
    let owners = stopped.owners.clone().unwrap_or_default();
    json!({
        "charter": stopped.charter,
        "owners": {
            "business": owners.business,
            "technical": owners.technical,
            "security": owners.security,
        },
    })
}

fn totals(target: &v1::TargetReport) -> Value {
    json!({
        "requested": target.requested,
        "acknowledged": target.acknowledged,
        "presumed_dead": target.presumed_dead,
        "proved_dead": target.proved_dead,
        "expired": target.expired,
        "collateral": target.collateral,
        "taken_seconds": {
            "p50": seconds(target.taken_p50.as_ref()),
            "p99": seconds(target.taken_p99.as_ref()),
        },
        "dead_seconds": {
            "p50": seconds(target.dead_p50.as_ref()),
            "p99": seconds(target.dead_p99.as_ref()),
        },
    })
}

fn lease(line: &v1::KillLine) -> Value {
    let at = |time: Option<lanyard_client::Time>| time.map(|time| shown(Some(time)));
    json!({
        "lease": line.lease_id,
        "target": line.target,
        "charter": line.charter,
        "grant": line.grant,
        "role": line.role,
        "agent": line.agent,
        "task": line.task_id,
        "state": state(line.state()),
        "collateral": line.collateral,
        "taken_at": at(line.take_time),
        "dead_at": at(line.dead_time),
        "live_at_worst_until": at(line.worst_expire_time),
        "why": text(&line.why),
    })
}

fn text(text: &str) -> Value {
    if text.is_empty() {
        Value::Null
    } else {
        json!(text)
    }
}

fn seconds(span: Option<&lanyard_client::Span>) -> Value {
    span.map_or(Value::Null, |span| {
        json!(span.seconds as f64 + f64::from(span.nanos) / 1e9)
    })
}
