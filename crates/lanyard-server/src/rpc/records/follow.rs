//! The records of an id: its own, those of what it gave rise to, and those that it rests on.

use std::collections::{BTreeMap, BTreeSet};

use lanyard_core::command::Command;
use lanyard_ledger::history::{MAX_RECORDS_PER_ANSWER, Query};
use lanyard_proto::v1;
use lanyard_vocabulary::id::ApprovalId;
use lanyard_vocabulary::seq::Seq;

use super::{Filters, Lookup, one};

/// Ids whose records are followed from one id; with more of them the answer says that there is
/// more.
const IDS_FOLLOWED_PER_CALL: usize = 200;

/// Refusals of one kill order or one pause in an answer; with more of them the answer says that
/// there is more. An agent that asks again and again while it is stopped must not push the end of
/// the order out of the answer.
const REFUSALS_SHOWN_PER_STOP: usize = 200;

/// Pages of [`MAX_RECORDS_PER_ANSWER`] that are read of one id: beyond them, the answer says that
/// there is more.
const PAGES_READ_PER_ID: usize = 20;

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
        let (found, is_whole) = of_id(lookup, &id, room);
        is_all &= is_whole;
        for (index, bytes) in found {
            if let Ok(record) = lanyard_records::decode(&bytes) {
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

/// So many records of one id, the oldest first, and whether those are all. Of the refusals that the
/// id caused, the first [`REFUSALS_SHOWN_PER_STOP`].
fn of_id(lookup: &Lookup<'_>, id: &str, room: usize) -> (Vec<(u64, Vec<u8>)>, bool) {
    let (mut found, mut refusals, mut from) = (Vec::new(), 0_usize, 0);
    for _ in 0..PAGES_READ_PER_ID {
        let (page, next) = lookup.history.query(&Query {
            mentions: Some(id.to_owned()),
            from,
            limit: MAX_RECORDS_PER_ANSWER,
            ..Query::default()
        });
        for (index, bytes) in page {
            if is_held_by(&bytes, id) {
                refusals += 1;
                if refusals > REFUSALS_SHOWN_PER_STOP {
                    continue;
                }
            }
            if found.len() == room {
                return (found, false);
            }
            found.push((index, bytes));
        }
        match next {
            Some(next) => from = next,
            None => return (found, refusals <= REFUSALS_SHOWN_PER_STOP),
        }
    }
    (found, false)
}

/// Tells if the record is a refusal that the stop of this id caused.
fn is_held_by(bytes: &[u8], id: &str) -> bool {
    let command = lanyard_records::decode(bytes).map(|record| record.command);
    let Ok(Command::Deny { denial, .. }) = command else {
        return false;
    };
    denial.held_by.is_some_and(|what| what.to_string() == id)
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
