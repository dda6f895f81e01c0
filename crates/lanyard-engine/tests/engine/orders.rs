//! What the report of an order is about: every lease in its reach that is not dead, whoever began
//! to stop it.

use std::sync::Arc;
use std::time::Duration;

use lanyard_charter::TargetKind;
use lanyard_core::kill::Actor;
use lanyard_engine::mint::IssueRequest;
use lanyard_engine::report::KillReport;
use lanyard_testkit::fake::{MintFault, RevokeFault};
use lanyard_testkit::world;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::{KillId, LeaseId};
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use parking_lot::Mutex;

use crate::common::{Bench, bench, mint_own};

async fn mint(bench: &Bench) -> LeaseId {
    let lease = mint_own(bench).await.unwrap();
    bench.engine.deliveries().settle().await;
    lease
}

/// Two credentials that no provider takes back for now.
async fn stuck() -> (Bench, [LeaseId; 2]) {
    let bench = bench(world::CHARTER).await;
    let leases = [mint(&bench).await, mint(&bench).await];
    bench.provider.revocations(RevokeFault::Lost);
    (bench, leases)
}

async fn kill(bench: &Bench, scope: Scope) -> KillId {
    let draft =
        bench
            .engine
            .kills()
            .draft(scope, RoleFilter::Both, "drill".to_owned(), Actor::Local);
    let fenced = bench.engine.kills().engage(draft.unwrap()).await;
    bench.engine.kills().sweep_orders().await;
    bench.engine.revoker().revoke_round(&bench.target).await;
    fenced.order.id
}

/// A kill that comes while the provider is called, before it makes the credential, and a round of
/// revocations that finds nothing. Gives the order.
fn kill_in_mid_mint(bench: &Bench) -> Arc<Mutex<Option<KillId>>> {
    let order = Arc::new(Mutex::new(None));
    let (engine, target, given) = (
        Arc::clone(&bench.engine),
        bench.target.clone(),
        Arc::clone(&order),
    );
    bench.provider.delay(Box::pin(async move {
        let draft =
            engine
                .kills()
                .draft(charter(), RoleFilter::Both, "now".to_owned(), Actor::Local);
        let fenced = engine.kills().engage(draft.unwrap()).await;
        engine.kills().sweep_orders().await;
        engine.revoker().revoke_round(&target).await;
        let report = engine.kills().report(fenced.order.id).await;
        let report = report.unwrap();
        assert!(!report.is_taken() && !report.is_confirmed(), "{report:?}");
        let why = report.lines.first().unwrap().why.clone().unwrap();
        assert!(why.contains("its mint is still under way"), "{why}");
        *given.lock() = Some(fenced.order.id);
    }));
    order
}

async fn refused_mint(bench: &Bench) {
    let ask = IssueRequest {
        task: bench.task,
        grant: world::grant(TargetKind::KUBERNETES),
        ttl: None,
        plan: None,
        request: None,
    };
    assert!(
        bench
            .engine
            .mints()
            .issue(&world::caller(), &ask)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn s17_a_revocation_waits_for_the_mint_under_way() {
    let bench = bench(world::CHARTER).await;
    let order = kill_in_mid_mint(&bench);
    refused_mint(&bench).await;
    let order = order.lock().unwrap();
    assert_eq!(bench.provider.live().len(), 1, "made after the revocation");
    assert!(!report(&bench, order).await.is_confirmed());
    bench.clock.advance(Duration::from_secs(1));
    bench.engine.revoker().revoke_round(&bench.target).await;
    assert!(bench.provider.live().is_empty());
    let found = report(&bench, order).await;
    assert!(found.is_confirmed() && found.total.proved == 1, "{found:?}");
}

#[tokio::test]
async fn s17_a_lease_whose_mint_was_given_up_is_not_called_dead_before_nothing_can_come_late() {
    let bench = bench(world::CHARTER).await;
    let late = Duration::from_secs(60);
    bench.provider.carry_out_late(late);
    bench.provider.next_mint(MintFault::LostBefore);
    refused_mint(&bench).await;
    let order = kill(&bench, charter()).await;
    let found = report(&bench, order).await;
    assert_eq!((found.total.acknowledged, found.total.dead()), (1, 0));
    // One that was confirmed has no mint that could still come.
    assert!(!found.is_confirmed());
}

async fn report(bench: &Bench, order: KillId) -> KillReport {
    bench.engine.kills().report(order).await.unwrap()
}

fn charter() -> Scope {
    Scope::Charter(world::name("payments-terraform"))
}

/// All that an order says of these leases: counts, lines, the whole list, and whether the end is
/// reached.
async fn is_about(bench: &Bench, order: KillId, leases: &[LeaseId]) {
    let found = report(bench, order).await;
    let count = leases.len() as u64;
    assert_eq!(found.total.requested, count, "{found:?}");
    let target = found.targets.get(&bench.target);
    assert_eq!(target.map_or(0, |it| it.tally.requested), count);
    assert_eq!(found.is_taken(), leases.is_empty(), "{found:?}");
    assert_eq!(found.is_confirmed(), leases.is_empty(), "{found:?}");
    let mut lines: Vec<LeaseId> = found.lines.iter().map(|line| line.lease).collect();
    let mut listed = bench.engine.kills().leases(order).await;
    let mut wanted = leases.to_vec();
    lines.sort();
    listed.sort();
    wanted.sort();
    assert_eq!(lines, wanted);
    assert_eq!(listed, wanted);
    let read = bench.engine.kills().lines(order, &listed).await;
    for line in found.lines.iter().chain(&read) {
        let why = line.why.as_deref().unwrap_or_default();
        assert!(!why.is_empty() && line.other != Some(order), "{line:?}");
        if let Some(other) = line.other {
            assert!(
                why.starts_with(&format!("stopped by order {other}: ")),
                "{why}"
            );
        }
    }
}

#[tokio::test]
async fn s46_a_second_order_is_about_what_the_first_has_not_killed() {
    let (bench, leases) = stuck().await;
    let first = kill(&bench, charter()).await;
    is_about(&bench, first, &leases).await;
    // The same again, by whoever: counted as a whole, since no lease can be outside of the second.
    let second = kill(&bench, charter()).await;
    is_about(&bench, second, &leases).await;
    // Wider, and both at once.
    let third = kill(&bench, Scope::All).await;
    is_about(&bench, third, &leases).await;
    bench.provider.revocations(RevokeFault::None);
    bench.clock.advance(Duration::from_secs(60));
    bench.engine.revoker().revoke_round(&bench.target).await;
    for order in [first, second, third] {
        let found = report(&bench, order).await;
        assert!(found.is_confirmed(), "{found:?}");
    }
}

#[tokio::test]
async fn s46_a_narrower_order_is_about_its_own_scope_alone() {
    let (bench, [one, other]) = stuck().await;
    kill(&bench, Scope::Target(bench.target.clone())).await;
    let narrow = kill(&bench, Scope::Lease(one)).await;
    is_about(&bench, narrow, &[one]).await;
    let task = kill(&bench, Scope::Task(bench.task)).await;
    is_about(&bench, task, &[one, other]).await;
    let elsewhere = kill(&bench, Scope::Charter(world::name("another"))).await;
    is_about(&bench, elsewhere, &[]).await;
}

#[tokio::test]
async fn s46_what_was_released_or_has_expired_and_lives_on_belongs_to_the_order() {
    let (bench, leases) = stuck().await;
    let [released, expired] = leases;
    let agent = world::agent();
    bench
        .engine
        .expiry()
        .release(&agent, released)
        .await
        .unwrap();
    bench.engine.revoker().revoke_round(&bench.target).await;
    let order = kill(&bench, Scope::Lease(released)).await;
    is_about(&bench, order, &[released]).await;
    // Past its end for the broker, and not for the provider, which has a leeway.
    bench.clock.advance(Duration::from_secs(10 * 60 + 1));
    bench.engine.expiry().expire_due().await;
    bench.engine.revoker().revoke_round(&bench.target).await;
    let order = kill(&bench, charter()).await;
    is_about(&bench, order, &[released, expired]).await;
}

#[tokio::test]
async fn s46_an_order_is_about_its_leases_after_a_restart_and_before_its_sweep() {
    let (bench, leases) = stuck().await;
    kill(&bench, charter()).await;
    let draft = bench.engine.kills().draft(
        Scope::All,
        RoleFilter::Both,
        "again".to_owned(),
        Actor::Local,
    );
    let fenced = bench.engine.kills().engage(draft.unwrap()).await;
    // Nothing has swept it yet: what another order stops is all there is.
    is_about(&bench, fenced.order.id, &leases).await;
    let bench = bench.restarted();
    let found = report(&bench, fenced.order.id).await;
    assert!(
        !found.is_confirmed() && found.total.requested == 2,
        "{found:?}"
    );
    // Of the apply role alone there is nothing.
    let draft = bench.engine.kills().draft(
        charter(),
        RoleFilter::ApplyOnly,
        "apply".to_owned(),
        Actor::Local,
    );
    let fenced = bench.engine.kills().engage(draft.unwrap()).await;
    is_about(&bench, fenced.order.id, &[]).await;
}

#[tokio::test]
async fn t66_a_round_that_fails_again_adds_nothing_to_the_journal_and_is_told_to_those_who_watch() {
    let (bench, leases) = stuck().await;
    let order = kill(&bench, charter()).await;
    let records = bench.ledger.records().len();
    let mut changes = bench.engine.context().changes();
    for _ in 0..5 {
        changes.mark_unchanged();
        bench.clock.advance(Duration::from_secs(120));
        let asked = bench.provider.revocations_asked();
        bench.engine.revoker().revoke_round(&bench.target).await;
        assert!(bench.provider.revocations_asked() > asked);
        assert!(changes.has_changed().unwrap());
    }
    assert_eq!(bench.ledger.records().len(), records);
    let found = report(&bench, order).await;
    assert_eq!(found.total.requested, leases.len() as u64);
    for line in found.lines {
        let why = line.why.unwrap();
        assert!(why.contains(" since "), "{why}");
    }
}

#[tokio::test]
async fn an_order_is_counted_by_what_it_found_live_after_it_was_given() {
    let (bench, leases) = stuck().await;
    let reached = |given: Option<KillId>| {
        let scope = Scope::Target(bench.target.clone());
        let radius = bench
            .engine
            .scopes()
            .blast_radius(&scope, RoleFilter::Both, given);
        radius.leases.values().sum::<usize>()
    };
    assert_eq!(reached(None), leases.len());
    let order = kill(&bench, charter()).await;
    assert_eq!(reached(Some(order)), leases.len());
    // Nothing is left for another one.
    assert_eq!(reached(None), 0);
    let other = kill(&bench, Scope::Target(bench.target.clone())).await;
    assert_eq!(reached(Some(other)), 0);
}

#[tokio::test]
async fn s46_an_order_over_a_name_that_nothing_has_is_told_so_and_is_engaged() {
    let bench = bench(world::CHARTER).await;
    let unknown = |scope: Scope| {
        let radius = bench
            .engine
            .scopes()
            .blast_radius(&scope, RoleFilter::Both, None);
        radius.unknown_name
    };
    let name = |text: &str| text.parse().unwrap();
    let agent = |text: &str| Scope::Agent(AgentName(text.to_owned()));
    let identity = world::agent();
    for known in [
        Scope::All,
        Scope::Target(bench.target.clone()),
        charter(),
        agent(&identity.to_string()),
        agent(&identity.subject),
    ] {
        assert_eq!(unknown(known.clone()), None, "{known}");
    }
    for mistyped in [
        Scope::Target(name("clustr")),
        Scope::Environment(name("prodution")),
        Scope::Charter(name("ticket-routr")),
        agent(&format!("{identity}x")),
    ] {
        let why = unknown(mistyped.clone());
        assert!(why.is_some(), "{mistyped}");
        kill(&bench, mistyped).await;
    }
    let why = unknown(Scope::Target(name("vault"))).unwrap();
    assert!(why.contains(bench.target.as_str()), "{why}");
}
