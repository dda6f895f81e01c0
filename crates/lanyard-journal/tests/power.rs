//! The power goes, after every operation of a history: what was acknowledged is there, and the next
//! start succeeds.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its footing gives way"
)]

use std::path::Path;
use std::sync::Arc;

use lanyard_disk::Files;
use lanyard_disk::simulated::{Chance, SimulatedDisk};
use lanyard_journal::merkle::Frontier;
use lanyard_journal::{Journal, Options, Recovery, Snapshot};

const PLACE: &str = "/data/journal";
/// Number of ways to lose unsynced bytes that are tried at each moment.
const SEEDS: u64 = 32;
/// The least number of cuts that the test has to make.
const CUTS: usize = 10_000;

const OPTIONS: Options = Options {
    segment_bytes: 1500,
    reserve_bytes: 4096,
};

fn files(disk: &Arc<SimulatedDisk>) -> Files {
    Arc::<SimulatedDisk>::clone(disk)
}

/// The records that a start finds: those of the newest snapshot and of the segments behind it.
fn start(disk: &Arc<SimulatedDisk>) -> (Journal, Recovery, Vec<Vec<u8>>) {
    let disk = files(disk);
    let place = Path::new(PLACE);
    let newest = Snapshot::newest(disk.as_ref(), place).ok().flatten();
    let (mut records, from) = match newest {
        None => (Vec::new(), Frontier::default()),
        Some(snapshot) => {
            let records = snapshot.payload.split(|byte| *byte == 0);
            let mut records: Vec<_> = records.map(<[u8]>::to_vec).collect();
            records.pop();
            (records, snapshot.frontier)
        }
    };
    let each = |index: u64, record: &[u8]| {
        assert_eq!(index, records.len() as u64);
        records.push(record.to_vec());
    };
    let (journal, recovery) = Journal::open(&disk, place, OPTIONS, from, each).unwrap();
    (journal, recovery, records)
}

/// A scripted history: the records that it appended, and the number acknowledged at each moment.
struct History {
    disk: Arc<SimulatedDisk>,
    records: Vec<Vec<u8>>,
    acknowledged: Vec<(usize, usize)>,
}

impl History {
    fn write(seed: u64, batches: usize) -> Self {
        let disk = SimulatedDisk::shared();
        disk.record();
        let (mut journal, ..) = start(&disk);
        let mut chance = Chance::of(seed);
        let (mut records, mut acknowledged) = (Vec::new(), vec![(0, 0)]);
        for turn in 1..=batches {
            let batch: Vec<Vec<u8>> = (0..=chance.below(3))
                .map(|_| vec![1 + chance.below(255) as u8; chance.below(300) as usize])
                .collect();
            if turn % 5 == 0 {
                journal.append_critical(&batch).unwrap();
            } else {
                journal.make_room(1500).unwrap();
                journal.append(&batch).unwrap();
            }
            records.extend(batch);
            acknowledged.push((disk.moments(), records.len()));
            if turn % 12 == 0 {
                let payload: Vec<u8> = records
                    .iter()
                    .flat_map(|it| [it, &[0][..]].concat())
                    .collect();
                let frontier = journal.frontier().clone();
                let snapshot = Snapshot { frontier, payload };
                snapshot
                    .write(files(&disk).as_ref(), Path::new(PLACE))
                    .unwrap();
            }
            if turn % 20 == 0 {
                drop(journal);
                (journal, ..) = start(&disk);
            }
        }
        Self {
            disk,
            records,
            acknowledged,
        }
    }

    /// The number of records acknowledged after so many operations.
    fn acknowledged_at(&self, moment: usize) -> usize {
        let before = self
            .acknowledged
            .iter()
            .take_while(|(at, _)| *at <= moment + 1);
        before.last().map_or(0, |(_, count)| *count)
    }

    fn check(&self, cut: &Arc<SimulatedDisk>, (moment, seed): (usize, u64)) {
        let (mut journal, recovery, records) = start(cut);
        let at = format!("after operation {moment}, seed {seed}");
        assert_eq!(recovery.faults, Vec::new(), "{at}");
        assert_eq!(
            recovery.loss, None,
            "what was never acknowledged is no loss: {at}"
        );
        assert_eq!(journal.failure(), None, "{at}");
        assert!(
            records.len() >= self.acknowledged_at(moment),
            "{at}: {} records",
            records.len()
        );
        assert_eq!(records, self.records.get(..records.len()).unwrap(), "{at}");
        journal.append(&[b"next"]).unwrap();
        drop(journal);
        let (_, recovery, again) = start(&cut.after_a_crash());
        assert_eq!(
            (recovery.loss, recovery.faults, again.len()),
            (None, Vec::new(), records.len() + 1),
            "{at}"
        );
    }
}

#[test]
fn power_loss_after_every_operation_keeps_what_was_acknowledged() {
    let mut cuts = 0;
    for history in [History::write(1, 60), History::write(2, 35)] {
        for moment in 0..history.disk.moments() {
            for seed in 0..SEEDS {
                history.check(&history.disk.cut(moment, seed), (moment, seed));
                cuts += 1;
            }
        }
    }
    assert!(cuts >= CUTS, "only {cuts}");
}

#[test]
fn power_loss_while_a_start_recovers_from_power_loss() {
    let history = History::write(3, 25);
    let mut chance = Chance::of(9);
    for moment in 0..history.disk.moments() {
        let cut = history.disk.cut(moment, 2 + chance.below(1000));
        cut.record();
        drop(start(&cut));
        for again in 0..cut.moments() {
            let seed = chance.below(1000);
            history.check(&cut.cut(again, seed), (moment, seed));
        }
    }
}
