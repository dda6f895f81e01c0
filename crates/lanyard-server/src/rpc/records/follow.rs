//! The records of an id: its own, those of what it gave rise to, and those that it rests on.

use std::collections::{BTreeMap, BTreeSet};

use lanyard_core::command::{Command, Record};
use lanyard_core::id::ApprovalId;
use lanyard_core::lease::Seq;
use lanyard_ledger::history::{MAX_RECORDS_PER_ANSWER, Query};
use lanyard_proto::v1;

use super::{Filters, Lookup, at, plain};

/// Ids whose records are followed from one id; with more of them the answer says that there is more.
const IDS_FOLLOWED_PER_CALL: usize = 200;
/// The records of an id, of what it gave rise to, and those that it rests on. Says whether that is all.
pub(in crate::rpc) fn follow(
    lookup: &mut Lookup<'_>,
    id: &str,
    filters: &Filters,
) -> (Vec<v1::AuditRecord>, bool) {
    let mut records: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let mut waiting = vec![id.to_owned()];
    let mut seen: BTreeSet<String> = waiting.iter().cloned().collect();
    let mut evidence: BTreeSet<u64> = BTreeSet::new();
    let mut is_all = true;
    while let Some(id) = waiting.pop() {
        let room = MAX_RECORDS_PER_ANSWER.saturating_sub(records.len());
        if room == 0 {
            is_all = false;
            break;
        }
        let (found, next) = lookup.history.query(&Query {
            mentions: Some(id.clone()),
            limit: room,
            ..Query::default()
        });
        is_all &= next.is_none();
        for (index, bytes) in found {
            if let Ok(record) = serde_json::from_slice::<Record>(&bytes) {
                evidence.extend(rests_on(&record.command, &id).iter().map(|seq| seq.0));
                for further in leads_to(&record.command, &id) {
                    if seen.len() >= IDS_FOLLOWED_PER_CALL {
                        is_all &= seen.contains(&further);
                    } else if seen.insert(further.clone()) {
                        waiting.push(further);
                    }
                }
            }
            records.insert(index, bytes);
        }
    }
    let missing: Vec<u64> = evidence
        .into_iter()
        .filter(|at| !records.contains_key(at))
        .collect();
    let mut told: Vec<v1::AuditRecord> = at(lookup, &missing);
    for (index, bytes) in &records {
        let Ok(record) = serde_json::from_slice::<Record>(bytes) else {
            told.push(plain(*index, bytes));
            continue;
        };
        let is_in_time = filters.since.is_none_or(|since| record.at >= since)
            && filters.until.is_none_or(|until| record.at <= until);
        let (is_asked, about) = lookup.is_asked(&record, filters);
        if is_in_time && is_asked {
            told.push(lookup.told(*index, bytes, &record, about));
        }
    }
    if let Some(kind) = &filters.kind {
        told.retain(|record| record.kind == *kind);
    }
    told.sort_by_key(|record| record.index);
    (told, is_all)
}

/// The records that a stop of this id names as its reason.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all that happens, stops rest on records"
)]
fn rests_on(command: &Command, id: &str) -> Vec<Seq> {
    match command {
        Command::Kill(order) if order.id.to_string() == id => order.evidence.clone(),
        Command::Pause(pause) if pause.id.to_string() == id => pause.evidence.clone(),
        _ => Vec::new(),
    }
}

/// The ids whose records go on from a record of this id.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all that happens, this gives rise to something"
)]
fn leads_to(command: &Command, id: &str) -> Vec<String> {
    match command {
        Command::BeginMint(intent) => {
            let is_of = |other: &dyn ToString| other.to_string() == id;
            match is_of(&intent.task) || is_of(&intent.decision) || is_of(&intent.lease) {
                true => {
                    let approval = intent.approval.as_ref().map(|(approval, _)| approval);
                    let approval = approval.map(ApprovalId::to_string);
                    approval
                        .into_iter()
                        .chain([intent.lease.to_string()])
                        .collect()
                }
                false => Vec::new(),
            }
        }
        Command::SubmitPlan { plan, .. } => {
            let is_of = plan.task.to_string() == id || plan.id.to_string() == id;
            let approval = plan.approval.filter(|_| is_of).map(|id| id.to_string());
            let plan = Some(plan.id.to_string()).filter(|_| is_of);
            approval.into_iter().chain(plan).collect()
        }
        Command::ProposeRearm(proposal) if proposal.kill.to_string() == id => {
            vec![proposal.id.to_string()]
        }
        _ => Vec::new(),
    }
}
