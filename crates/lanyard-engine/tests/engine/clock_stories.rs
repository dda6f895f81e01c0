//! Whatever wall clocks do, in any order: jumps, drifts, small steps, restarts and boots, with
//! mints, kills and lost revocations in between (S3, S50, T62).

use std::time::Duration;

use lanyard_core::ledger::look;
use lanyard_engine::clock::{Clock as _, Randomness as _, SystemRandomness};
use lanyard_testkit::fake::RevokeFault;
use lanyard_vocabulary::id::TaskId;
use lanyard_vocabulary::time::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::clocks::{HOUR, SECOND, Site, TEN_YEARS};

#[derive(Debug, Clone)]
enum Event {
    Pass(u64),
    Off(i64),
    Right,
    Nudge(i64),
    Drift(i64),
    Issue,
    Kill,
    Lose(bool),
    KeepHouse,
    Restart,
    Reboot(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let far = prop_oneof![
        Just(11 * SECOND),
        Just(70 * SECOND),
        Just(2 * HOUR),
        Just(14 * HOUR),
        Just(TEN_YEARS)
    ];
    prop_oneof![
        4 => (1_u64..900).prop_map(Event::Pass),
        2 => (far, any::<bool>()).prop_map(|(far, ahead)| Event::Off(if ahead { far } else { -far })),
        2 => Just(Event::Right),
        1 => (-2 * SECOND..2 * SECOND).prop_map(Event::Nudge),
        1 => (-500_i64..500).prop_map(Event::Drift),
        4 => Just(Event::Issue),
        1 => Just(Event::Kill),
        1 => any::<bool>().prop_map(Event::Lose),
        4 => Just(Event::KeepHouse),
        1 => Just(Event::Restart),
        1 => (0_u64..7200).prop_map(Event::Reboot),
    ]
}

/// A run of events, and what holds after each of them.
struct Story {
    site: Site,
    tasks: Vec<TaskId>,
    /// A boot with a wrong clock was believed once.
    boots_misled: bool,
    /// The time for which the machine was down is not known, while the wall clock is not believed.
    blind: bool,
    /// The latest time that was told.
    told: Timestamp,
}

impl Story {
    async fn new() -> Self {
        let site = Site::new().await;
        Self {
            tasks: vec![site.open().await],
            boots_misled: false,
            blind: false,
            told: site.clock.now(),
            site,
        }
    }

    async fn happen(&mut self, event: Event) {
        let site = &mut self.site;
        match event {
            Event::Pass(seconds) => site.pass(Duration::from_secs(seconds)),
            Event::Off(off) => site.machine.set_off(off),
            Event::Right => site.machine.set_off(0),
            Event::Nudge(by) if site.is_right() => {
                let off = (site.machine.off() + by).clamp(-3 * SECOND, 3 * SECOND);
                site.machine.set_off(off);
            }
            Event::Nudge(_) => {}
            Event::Drift(drift) => site.drift = drift,
            Event::Issue => {
                let task = site.open().await;
                self.tasks.push(task);
                let issued = site.issue(task).await;
                let wrong = !site.is_right() && !site.misled;
                assert!(!(wrong && issued.is_ok()), "issued by a wrong clock");
            }
            Event::Kill => {
                let task = self.tasks.swap_remove(0);
                self.tasks.push(site.open().await);
                site.kill(task).await;
            }
            Event::Lose(lose) => site.provider.revocations(if lose {
                RevokeFault::Lost
            } else {
                RevokeFault::None
            }),
            Event::KeepHouse => site.keep_house().await,
            Event::Restart => {
                site.restart().await;
                self.told = Timestamp::EPOCH;
            }
            // Two boots with a clock that is wrong alike are a clock that is right.
            Event::Reboot(_) if !site.is_right() && self.boots_misled => {}
            Event::Reboot(down) => self.reboot(Duration::from_secs(down)).await,
        }
    }

    async fn reboot(&mut self, down: Duration) {
        let site = &mut self.site;
        site.machine.reboot(down);
        site.truth.set(site.machine.truth());
        site.restart().await;
        let believed = site.clock.faults().is_empty();
        self.blind = !believed;
        if believed && !site.is_right() {
            (site.misled, self.boots_misled) = (true, true);
        }
        self.told = Timestamp::EPOCH;
    }

    async fn check(&mut self) {
        let site = &mut self.site;
        // The engine's loop does so twice a second: a boot whose wall clock is believed is known to
        // the next process.
        site.engine.clock().note().await;
        let now = site.clock.now();
        assert!(
            now >= self.told,
            "time went back from {} to {now}",
            self.told
        );
        self.told = now;
        // The first wall clock that the journal does not contradict is believed.
        if self.blind && site.clock.faults().is_empty() {
            self.blind = false;
            site.misled |= !site.is_right();
        }
        if !site.misled && !self.blind {
            let apart = now.as_millis().abs_diff(site.truth.now().as_millis());
            let off = site.machine.off();
            assert!(apart <= 8000, "{apart} ms off, the wall clock {off} ms");
        }
        if site.is_right() && (!site.misled || site.clock.faults().is_empty()) {
            let was_misled = site.misled;
            site.service_is_back().await;
            if was_misled && !site.misled {
                self.told = Timestamp::EPOCH;
            }
        }
        site.nothing_live_is_called_dead();
    }

    /// In the end the clock is right, and everything that was killed is dead.
    async fn end(mut self) {
        let site = &mut self.site;
        site.machine.set_off(0);
        site.service_is_back().await;
        site.provider.revocations(RevokeFault::None);
        for _ in 0..4 {
            site.pass(Duration::from_secs(60));
            site.keep_house().await;
            site.nothing_live_is_called_dead();
        }
        let task = site.open().await;
        site.issue(task).await.unwrap();
        let (live, killed) = (site.provider.live(), &site.killed);
        look(site.ledger.as_ref(), |state| {
            for id in live {
                let task = state.leases().get(id).map(|lease| lease.task.id);
                let was_killed = task.is_some_and(|task| killed.contains(&task));
                assert!(!was_killed, "{id} was killed");
            }
        });
    }
}

/// The number of histories that are drawn, unless the environment names another one.
const HISTORIES: u32 = 300;

/// Other histories in every run: the seed of this one is printed where one fails, and
/// `PROPTEST_RNG_SEED` draws them again.
fn draws() -> ProptestConfig {
    let given = ProptestConfig::default();
    let seed = match given.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => fresh_seed(),
    };
    println!("PROPTEST_RNG_SEED={seed}");
    let is_asked = std::env::var_os("PROPTEST_CASES").is_some();
    ProptestConfig {
        cases: if is_asked { given.cases } else { HISTORIES },
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..given
    }
}

fn fresh_seed() -> u64 {
    let bits = SystemRandomness::default().draw().unwrap();
    u64::try_from(bits & u128::from(u64::MAX)).unwrap()
}

fn told(events: Vec<Event>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut story = Story::new().await;
        for event in events {
            story.happen(event).await;
            story.check().await;
        }
        story.end().await;
    });
}

proptest! {
    #![proptest_config(draws())]

    #[test]
    fn s50_whatever_clocks_do_nothing_live_is_called_dead_and_kills_work(
        events in proptest::collection::vec(event(), 1..60)
    ) {
        told(events);
    }
}

/// A boot with a clock that was behind, and a jump right after it was set right: the process
/// between the two had said where the clock stands, and the next one goes by that.
#[test]
fn s50_a_clock_that_is_set_right_and_jumps_before_a_restart_is_not_believed() {
    let events = [Event::Off(-2 * HOUR), Event::Reboot(0), Event::Right];
    told([&events[..], &[Event::Off(11 * SECOND), Event::Restart]].concat());
}
