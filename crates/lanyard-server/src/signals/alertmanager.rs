//! Prometheus alerts that give kill orders, sent by Alertmanager's webhook in version 4 of its
//! message.
//!
//! <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use axum::Json;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lanyard_core::kill::Actor;
use lanyard_document::Item;
use lanyard_document::shape::{Form, List, Map, Open, Shape, Word, optional, required};
use lanyard_secret_file::{Origin, read_word};
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use lanyard_vocabulary::time::Timestamp;
use ring::digest::{SHA256, digest};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::scopes::{self, Labels, Mapped, mapped};
use super::{Signal, Signals, bounded, heed};
use crate::refusal;
use crate::switch::Switch;
use crate::values::{PATH, path};

/// The largest message, in bytes: a group can have many alerts.
///
/// # Limit
/// - for: a message of Alertmanager
/// - unit: bytes
/// - beyond: the message is refused with 413
/// - test: `t44_a_body_over_http_has_so_many_bytes_and_no_more`
pub(crate) const MAX_ALERTS_BYTES: usize = 1024 * 1024;
/// The shortest secret, in bytes.
const SHORTEST: usize = 24;

/// The section `alertmanager` of the configuration.
#[derive(Debug)]
pub(crate) struct AlertConfig {
    secret_file: PathBuf,
    rules: Vec<Rule>,
}

/// The scope that alerts with these labels stop.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    labels: Labels,
    scope: Mapped,
    roles: RoleFilter,
}

/// The roles that a kill order stops, by the words of the configuration.
const ROLES: &[Word<RoleFilter>] = &[
    Word::new("both", RoleFilter::Both),
    Word::new("apply", RoleFilter::ApplyOnly),
];

pub(super) fn shape() -> Map {
    let rule = Map::new()
        .with(required(
            "labels",
            "The labels that an alert has to have.",
            Open::of(Form::ANY, Shape::Text),
        ))
        .with(required(
            "scope",
            "The scope that is killed.",
            scopes::shape(),
        ))
        .with(optional("role", "The role that is stopped.", Shape::words(ROLES)).or("both"));
    Map::new()
        .with(required(
            "secret_file",
            "The bearer token of Alertmanager, of 24 bytes at least, mode 0600.",
            PATH,
        ))
        .with(required(
            "kills",
            "The rules; the first that matches an alert counts.",
            List::of(rule),
        ))
}

pub(super) fn config(item: Item<'_>, base: &Path) -> Option<AlertConfig> {
    let section = item.section()?;
    let secret = section.get("secret_file").and_then(|item| path(item, base));
    let rules = section.get("kills").map(|item| {
        let items = item.items().into_iter();
        items.filter_map(rule).collect()
    });
    Some(AlertConfig {
        secret_file: secret?,
        rules: rules?,
    })
}

fn rule(item: Item<'_>) -> Option<Rule> {
    let section = item.section()?;
    let labels = section.get("labels").map(|labels| {
        let entries = labels.entries().into_iter();
        let pairs = entries
            .filter_map(|entry| Some((entry.name.to_owned(), entry.value.text()?.to_owned())));
        pairs.collect()
    });
    let scope = section.get("scope").and_then(mapped);
    let roles = section.get("role").and_then(|item| item.word(ROLES));
    Some(Rule {
        labels: labels?,
        scope: scope?,
        roles: roles?,
    })
}

impl AlertConfig {
    pub(crate) fn open(&self) -> Result<Alerts> {
        let shown = self.secret_file.display();
        let secret = read_word(&self.secret_file, Origin::Configured)?;
        let enough = secret.len() >= SHORTEST;
        ensure!(
            enough,
            "{shown}: a secret has {SHORTEST} characters at least"
        );
        Ok(Alerts {
            secret: digest(&SHA256, secret.as_bytes()).as_ref().to_vec(),
            rules: self.rules.clone(),
        })
    }
}

/// The sender's secret, and the rules.
#[derive(Debug)]
pub(crate) struct Alerts {
    /// SHA-256 of the sender's secret. Comparing digests reveals nothing of the secret.
    secret: Vec<u8>,
    rules: Vec<Rule>,
}

impl Alerts {
    fn knows(&self, headers: &HeaderMap) -> bool {
        let shown = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        shown.is_some_and(|shown| digest(&SHA256, shown.as_bytes()).as_ref() == self.secret)
    }

    /// The first rule that matches the labels.
    fn rule(&self, labels: &Labels) -> Option<&Rule> {
        self.rules.iter().find(|rule| {
            let mut wanted = rule.labels.iter();
            wanted.all(|(name, value)| labels.get(name) == Some(value))
        })
    }
}

/// A message. Fields that later versions add are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    version: String,
    group_key: String,
    #[serde(default)]
    truncated_alerts: u64,
    #[serde(default)]
    common_labels: Labels,
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    status: String,
    labels: Labels,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(deserialize_with = "moment")]
    starts_at: Timestamp,
}

impl Alert {
    fn reason(&self) -> String {
        let unnamed = || "unnamed".to_owned();
        let name = self
            .labels
            .get("alertname")
            .cloned()
            .unwrap_or_else(unnamed);
        let said = self
            .annotations
            .get("summary")
            .or(self.annotations.get("description"));
        bounded(&match said {
            Some(said) => format!("alert {name}: {said}"),
            None => format!("alert {name}"),
        })
    }
}

/// Reads a time in RFC 3339.
fn moment<'de, D: Deserializer<'de>>(text: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(text)?;
    let at: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
    let millis = u64::try_from(at.as_millisecond()).map_err(D::Error::custom)?;
    Ok(Timestamp::from_millis(millis))
}

impl Signals {
    /// Takes a message of Alertmanager. Firing alerts give kill orders; `resolved` changes nothing.
    pub(crate) async fn alerts(
        &self,
        switch: Switch<'_>,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Response {
        let Some(alerts) = self.alerts.as_ref().filter(|it| it.knows(headers)) else {
            return refusal::refused(&refusal::unauthenticated());
        };
        let message = match serde_json::from_slice::<Message>(body) {
            Ok(message) if message.version == "4" => message,
            Ok(message) => {
                let version = message.version.escape_debug();
                return bad(&[format!(
                    "version {version} of the message is not understood, 4 is"
                )]);
            }
            Err(error) => return bad(&[format!("the body: {error}")]),
        };
        let (signals, faults) = signals(alerts, &message);
        let mut orders = Vec::new();
        for signal in signals {
            match heed(switch, signal).await {
                Ok(fenced) => orders.push((fenced.order.id, fenced.is_durable())),
                Err(status) => return refusal::refused(&status),
            }
        }
        if !faults.is_empty() {
            tracing::error!(
                ?faults,
                "alerts that were meant to stop something name nothing to stop"
            );
            return bad(&faults);
        }
        // What is not durable is sent again, and is then the same order.
        let durable = orders.iter().all(|(_, durable)| *durable);
        let code = if durable {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        let ids: Vec<_> = orders.iter().map(|(id, _)| id).collect();
        (code, Json(json!({"orders": ids, "durable": durable}))).into_response()
    }
}

fn bad(faults: &[String]) -> Response {
    let body: Value = json!({"error": faults.join("; ")});
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

/// The signals of a message, one for each scope since its first alert fires, and what could not be
/// understood.
fn signals(alerts: &Alerts, message: &Message) -> (Vec<Signal>, Vec<String>) {
    let mut found: BTreeMap<(Scope, RoleFilter), Signal> = BTreeMap::new();
    let mut faults = Vec::new();
    let firing = message
        .alerts
        .iter()
        .filter(|alert| alert.status == "firing");
    for alert in firing {
        let Some(rule) = alerts.rule(&alert.labels) else {
            continue;
        };
        match rule.scope.scope(&alert.labels) {
            Ok(scope) => {
                let signal = signal(message, (scope.clone(), rule.roles), alert);
                let since = signal.since;
                let known = found.entry((scope, rule.roles)).or_insert(signal);
                known.since = known.since.max(since);
            }
            Err(why) => faults.push(format!("{}: {why}", alert.reason())),
        }
    }
    if message.truncated_alerts > 0 && alerts.rule(&message.common_labels).is_some() {
        faults.push(format!(
            "{} alerts were cut off by max_alerts: what they are about is not known",
            message.truncated_alerts
        ));
    }
    (found.into_values().collect(), faults)
}

fn signal(message: &Message, (scope, roles): (Scope, RoleFilter), alert: &Alert) -> Signal {
    let group =
        lanyard_vocabulary::digest::hex(digest(&SHA256, message.group_key.as_bytes()).as_ref());
    let group = group.get(..16).unwrap_or_default();
    Signal {
        key: format!("alertmanager {group} {scope} {roles:?}"),
        scope,
        roles,
        reason: alert.reason(),
        by: Actor::Signal {
            kind: "alertmanager".to_owned(),
            name: bounded(&message.group_key),
        },
        since: alert.starts_at,
    }
}
