//! The content of a role's deny policy, and its behaviour when it is full.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test may panic"
)]

mod evaluator;

use std::time::Duration;

use evaluator::{Request, Verdict, evaluate};
use lanyard_core::lease::{Handle, LeaseRef};
use lanyard_provider_aws::policy::{Composed, Demand, DenyPolicy, compose};
use lanyard_testkit::ids::Ids;
use lanyard_vocabulary::id::{KillId, LeaseId};
use lanyard_vocabulary::time::Timestamp;

const BUDGET: usize = 10_240;
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const HOUR: Duration = Duration::from_secs(3600);

fn leases(seed: u64, count: u64, kill: Option<KillId>) -> Vec<LeaseRef> {
    let ids = Ids::seeded(seed);
    (0..count)
        .map(|place| LeaseRef {
            id: ids.lease(),
            task: ids.task(),
            handle: Handle::default(),
            asked: NOW.before(Duration::from_secs(600 + place)),
            worst_expiry: NOW + Duration::from_secs(600),
            kill,
        })
        .collect()
}

fn killed(seed: u64, count: u64) -> Vec<LeaseRef> {
    leases(seed, count, Some(KillId::from_bits(1)))
}

fn demand<'a>(due: &'a [LeaseRef], present: &'a DenyPolicy) -> Demand<'a> {
    Demand {
        due,
        standing: &[],
        cut: None,
        present,
        now: NOW,
        budget: BUDGET,
    }
}

fn text(composed: &Composed) -> String {
    serde_json::to_string(&composed.policy.document()).unwrap()
}

fn denies(policy: &str, lease: LeaseId, issued: Timestamp) -> bool {
    let request = Request {
        action: "s3:GetObject",
        resource: "arn:aws:s3:::a",
        now: &NOW.to_string(),
        issued: &issued.to_string(),
        source_identity: &lease.to_string(),
    };
    evaluate(policy, &request) == Verdict::Denied
}

#[test]
fn the_sample_deny_policy_is_as_written_down() {
    let due = [killed(1, 2), leases(2, 1, None)].concat();
    let present = DenyPolicy::default();
    let composed = compose(&Demand {
        cut: Some(NOW),
        ..demand(&due, &present)
    });
    assert!(
        composed.policy.document().statement.len() == 1,
        "the cut covers all of them"
    );
    let composed = compose(&demand(&due, &present));
    assert_eq!(text(&composed), include_str!("golden/deny.json").trim_end());
}

#[test]
fn only_the_killed_lease_is_denied() {
    let (due, present) = (killed(1, 1), DenyPolicy::default());
    let policy = text(&compose(&demand(&due, &present)));
    assert!(denies(&policy, due[0].id, due[0].asked));
    assert!(!denies(&policy, LeaseId::from_bits(9), due[0].asked));
}

#[test]
fn a_cut_denies_what_came_before_and_stays_where_it_is() {
    let (due, present) = (killed(1, 1), DenyPolicy::default());
    let first = compose(&Demand {
        cut: Some(NOW),
        ..demand(&due, &present)
    });
    let cut = first.policy.cut().unwrap();
    assert!(cut > NOW);
    assert!(denies(&text(&first), LeaseId::from_bits(9), NOW));
    assert!(!denies(&text(&first), LeaseId::from_bits(9), cut));
    // The policy is written again an hour later, after new leases: the cut has not moved.
    let again = Demand {
        cut: Some(NOW),
        now: NOW + HOUR,
        ..demand(&due, &first.policy)
    };
    assert_eq!(compose(&again).policy.cut(), Some(cut));
    // The cut stays while a session that it denies could still live, and is then dropped.
    let later = |hours| Demand {
        now: NOW + HOUR * hours,
        ..demand(&[], &first.policy)
    };
    assert_eq!(compose(&later(11)).policy.cut(), Some(cut));
    assert_eq!(compose(&later(13)).policy.cut(), None);
}

// Rule 13: a session whose mint was in progress at the cut can be issued after it, so it is listed
// as well.
#[test]
fn a_lease_that_may_be_issued_after_the_cut_is_named_too() {
    let (mut due, present) = (killed(1, 1), DenyPolicy::default());
    due[0].asked = NOW;
    let composed = compose(&Demand {
        cut: Some(NOW),
        ..demand(&due, &present)
    });
    let cut = composed.policy.cut().unwrap();
    assert!(denies(
        &text(&composed),
        due[0].id,
        cut + Duration::from_secs(10)
    ));
}

// T42
#[test]
fn t42_a_full_list_of_kills_cuts_the_role_and_stays_within_the_budget() {
    let present = DenyPolicy::default();
    for count in [1, 300, 330, 400, 5000] {
        let due = killed(1, count);
        let composed = compose(&demand(&due, &present));
        let policy = text(&composed);
        assert!(policy.len() <= BUDGET, "{count}: {}", policy.len());
        assert!(composed.unlisted.is_empty());
        assert_eq!(composed.policy.cut().is_some(), count > 320, "{count}");
        for lease in &due {
            assert!(denies(&policy, lease.id, lease.asked), "{count}");
        }
    }
}

// Rule 12
#[test]
fn s26_released_leases_take_half_of_the_list_never_cause_a_cut_and_are_said_to_be_left_out() {
    let (due, present) = (leases(1, 1000, None), DenyPolicy::default());
    let composed = compose(&demand(&due, &present));
    assert_eq!(composed.policy.cut(), None);
    assert!(text(&composed).len() <= BUDGET);
    let listed = due
        .iter()
        .filter(|one| composed.policy.names(one.id))
        .count();
    assert!((150..170).contains(&listed), "{listed}");
    assert_eq!(listed + composed.unlisted.len(), due.len());
    // The other half is reserved for kills, which need no cut.
    let due = killed(2, 140);
    let composed = compose(&demand(&due, &composed.policy));
    assert_eq!(composed.policy.cut(), None);
    assert!(due.iter().all(|one| composed.policy.names(one.id)));
    assert!(text(&composed).len() <= BUDGET);
}

// Rule 12: a kill comes before a release, and an acknowledged entry is never removed for it.
#[test]
fn a_kill_on_a_full_list_is_held_and_so_is_what_was_listed() {
    let released = leases(1, 1000, None);
    let full = compose(&demand(&released, &DenyPolicy::default()));
    let due = killed(2, 10);
    let composed = compose(&Demand {
        standing: &released,
        ..demand(&due, &full.policy)
    });
    let policy = text(&composed);
    assert!(policy.len() <= BUDGET);
    let listed = released.iter().filter(|one| full.policy.names(one.id));
    for lease in due.iter().chain(listed) {
        assert!(denies(&policy, lease.id, lease.asked));
    }
}

// Rule 11: leases that the ledger has lost stay denied.
#[test]
fn entries_unknown_to_the_ledger_stay_until_their_hour_has_passed() {
    let lost = killed(1, 3);
    let present = compose(&demand(&lost, &DenyPolicy::default())).policy;
    let due = killed(2, 1);
    let union = compose(&demand(&due, &present));
    assert!(
        lost.iter()
            .chain(&due)
            .all(|one| union.policy.names(one.id))
    );
    let later = compose(&Demand {
        now: NOW + HOUR * 2,
        ..demand(&due, &present)
    });
    assert!(lost.iter().all(|one| !later.policy.names(one.id)));
}

#[test]
fn a_policy_survives_writing_and_reading_and_another_is_not_taken_for_it() {
    let due = [killed(1, 400), leases(2, 5, None)].concat();
    let policy = compose(&demand(&due, &DenyPolicy::default())).policy;
    let mut document = policy.document();
    assert_eq!(DenyPolicy::parse(&document), Some(policy));
    document.statement[0].effect = lanyard_provider_aws::policy::Effect::Allow;
    assert_eq!(DenyPolicy::parse(&document), None);
}
