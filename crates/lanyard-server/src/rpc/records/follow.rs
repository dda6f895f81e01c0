//! The records of an id: its own, those of what it gave rise to, and those that it rests on.

use std::collections::{BTreeMap, BTreeSet};

use lanyard_core::command::{Command, Record};
use lanyard_core::id::ApprovalId;
use lanyard_core::lease::Seq;
use lanyard_ledger::history::{MAX_RECORDS_PER_ANSWER, Query};
use lanyard_proto::v1;

use super::{Filters, Lookup, one};

/// Ids whose records are followed from one id; with more of them the answer says that there is more.
const IDS_FOLLOWED_PER_CALL: usize = 200;

/// The records of an id, of what it gave rise to, and those that it rests on, where the filters ask
/// for them. Says whether that is all.
pub(super) fn follow(
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
    for place in evidence {
        if !records.contains_key(&place) {
            records.extend(one(lookup, place).map(|bytes| (place, bytes)));
        }
    }
    let told = records
        .iter()
        .filter_map(|(index, bytes)| lookup.asked((*index, bytes), filters));
    (told.collect(), is_all)
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
