//! Counters and histograms of what happened since the start of the process.

use std::collections::BTreeMap;
use std::fmt;

use lanyard_core::state::Unusual;
use lanyard_engine::activity::{Approving, Numbers, Spans};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::role::Role;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::Labels;
use crate::broker::Broker;

pub(super) fn register(broker: &Broker, registry: &mut Registry) {
    let mut numbers = broker.engine.activity().numbers();
    from_zero(broker, &mut numbers);
    counters(&numbers, registry);
    let charter = |of: Option<Name>| labels([("charter", name(of))]);
    let tasks = numbers.tasks.into_iter();
    let tasks = tasks.map(|(of, spans)| (charter(of), spans));
    registry.register_collector(Box::new(Histograms {
        name: "task_duration_seconds",
        help: "From the opening of a task to its closing, of tasks that were closed, by charter",
        spans: tasks.collect(),
    }));
    let waits = numbers.waits.into_iter();
    let waits = waits.map(|(how, spans)| (labels([("answer", how.as_str().to_owned())]), spans));
    registry.register_collector(Box::new(Histograms {
        name: "approval_wait_seconds",
        help: "From a request for approval to the answer that decided it",
        spans: waits.collect(),
    }));
}

/// Adds a 0 for everything that can be counted here and was not yet, so that a rate sees the first
/// of it.
fn from_zero(broker: &Broker, numbers: &mut Numbers) {
    for provider in broker.engine.providers().values() {
        let kind = provider.capabilities().provider;
        for role in [Role::Plan, Role::Apply] {
            numbers.issued.entry((kind, role)).or_default();
            numbers.failed.entry((kind, role)).or_default();
        }
    }
    for how in Approving::ALL {
        numbers.approvals.entry(how).or_default();
    }
    for pattern in Unusual::ALL {
        numbers.unusual.entry(pattern).or_default();
    }
}

fn counters(numbers: &Numbers, registry: &mut Registry) {
    let answers = numbers.answers.iter().map(|(of, count)| {
        let of = labels([
            ("charter", name(of.charter.clone())),
            ("request", of.request.as_str().to_owned()),
            ("outcome", of.outcome.to_owned()),
            ("reason_code", of.code.to_owned()),
        ]);
        (of, *count)
    });
    registry.register(
        "decisions",
        "Answers to requests, by charter in force, request, outcome and reason code",
        family(answers),
    );
    let by_kind = |counts: &BTreeMap<(&'static str, Role), u64>| {
        let counts = counts.iter().map(|((kind, role), count)| {
            let of = labels([("kind", (*kind).to_owned()), ("role", role.to_string())]);
            (of, *count)
        });
        family(counts)
    };
    registry.register(
        "credentials_issued",
        "Credentials that providers made, by kind of target and role; canaries of drills are among them",
        by_kind(&numbers.issued),
    );
    registry.register(
        "credentials_failed",
        "Credentials that a provider was asked for and did not make, by kind of target and role",
        by_kind(&numbers.failed),
    );
    let actions = numbers.actions.iter().map(|((charter, outcome), count)| {
        let outcome = outcome.to_string().replace(' ', "-");
        let of = labels([("charter", name(charter.clone())), ("outcome", outcome)]);
        (of, *count)
    });
    registry.register(
        "actions_reported",
        "Reports of what was done with credentials, by charter in force and outcome",
        family(actions),
    );
    let approvals = numbers.approvals.iter();
    let approvals = approvals.map(|(how, count)| {
        let of = labels([("event", how.as_str().to_owned())]);
        (of, *count)
    });
    registry.register(
        "approvals",
        "Requests for approval, and what became of them",
        family(approvals),
    );
    let unusual = numbers.unusual.iter().map(|(pattern, count)| {
        let of = labels([("pattern", pattern.as_str().to_owned())]);
        (of, *count)
    });
    registry.register(
        "unusual_approvals",
        "Approvals by people that deserve a second look, by pattern",
        family(unusual),
    );
}

fn name(charter: Option<Name>) -> String {
    charter.map(|name| name.to_string()).unwrap_or_default()
}

fn labels<const N: usize>(of: [(&str, String); N]) -> Labels {
    let named = of.map(|(name, value)| (name.to_owned(), value));
    named.into()
}

fn family(counts: impl Iterator<Item = (Labels, u64)>) -> Family<Labels, Counter> {
    let family = Family::<Labels, Counter>::default();
    for (of, count) in counts {
        family.get_or_create(&of).inc_by(count);
    }
    family
}

/// Histograms of one name that were counted elsewhere.
#[derive(Debug)]
struct Histograms {
    name: &'static str,
    help: &'static str,
    spans: Vec<(Labels, Spans)>,
}

impl Collector for Histograms {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut family =
            encoder.encode_descriptor(self.name, self.help, None, MetricType::Histogram)?;
        for (of, spans) in &self.spans {
            // The encoder adds the buckets up, and writes this bound as +Inf.
            let bound = |bound: Option<u64>| bound.map_or(f64::MAX, |seconds| seconds as f64);
            let buckets = spans.buckets().map(|(at, count)| (bound(at), count));
            let buckets: Vec<(f64, u64)> = buckets.collect();
            let mut one = family.encode_family(of)?;
            one.encode_histogram::<Labels>(spans.sum(), spans.count(), &buckets, None)?;
        }
        Ok(())
    }
}
