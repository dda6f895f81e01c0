//! The replay cache on a disk that loses power, is damaged, or refuses writes.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lanyard_disk::simulated::SimulatedDisk;
use lanyard_disk::{Disk as _, Files};
use lanyard_identity::RejectedToken;
use lanyard_identity::replay_cache::{Owner, ProofId, ReplayCache, Use};
use lanyard_vocabulary::time::Timestamp;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const PLACE: &str = "/data/used-proofs";
const HOUR: Duration = Duration::from_secs(3600);

fn open_at(disk: &Arc<SimulatedDisk>, now: Timestamp) -> Arc<ReplayCache> {
    let files: Files = Arc::<SimulatedDisk>::clone(disk);
    ReplayCache::open(&files, Path::new(PLACE), now, false).unwrap()
}

fn open(disk: &Arc<SimulatedDisk>) -> Arc<ReplayCache> {
    open_at(disk, NOW)
}

const OWNER: Owner<'_> = Owner {
    issuer: "issuer",
    name: "agent",
    is_known: true,
};

fn proof(name: &str, until: Timestamp) -> Use {
    Use {
        id: ProofId::of(&[name]),
        key: None,
        until,
    }
}

async fn remember(memory: &ReplayCache, name: &str) -> Result<(), RejectedToken> {
    let remembered = memory.remember(&proof(name, NOW + HOUR), OWNER, NOW)?;
    remembered.durable().await
}

/// Records this many uses, each durable before the next.
async fn filled(disk: &Arc<SimulatedDisk>, uses: usize) {
    let memory = open(disk);
    for number in 0..uses {
        remember(&memory, &number.to_string()).await.unwrap();
    }
}

#[tokio::test]
async fn power_loss_after_every_operation_forgets_no_use() {
    let disk = SimulatedDisk::shared();
    disk.record();
    let mut memory = open(&disk);
    let mut known: HashMap<usize, usize> = HashMap::new();
    for number in 0..60 {
        if number % 10 == 9 {
            drop(memory);
            memory = open(&disk);
        }
        // Uses that arrive together form one batch, which can be torn.
        let batch: Vec<_> = (0..number % 4)
            .map(|part| {
                let name = format!("{number} {part}");
                memory
                    .remember(&proof(&name, NOW + HOUR), OWNER, NOW)
                    .unwrap()
            })
            .collect();
        for written in batch {
            written.durable().await.unwrap();
        }
        known.insert(number, disk.moments());
    }
    let mut cuts = 0;
    for moment in 0..disk.moments() {
        for seed in 0..24 {
            let cut = disk.cut(moment, seed);
            let memory = open(&cut);
            let at = format!("after operation {moment}, seed {seed}");
            assert_eq!(memory.damage(NOW), None, "a torn batch is no damage: {at}");
            for number in (0..60).filter(|number| known[number] <= moment + 1) {
                for part in 0..number % 4 {
                    let id = ProofId::of(&[&format!("{number} {part}")]);
                    assert!(memory.knows(id), "{at}: {number} {part}");
                }
            }
            cuts += 1;
        }
    }
    assert!(cuts > 2000, "only {cuts}");
}

#[tokio::test]
async fn s16_a_bad_record_is_reported_and_the_others_are_loaded() {
    let disk = SimulatedDisk::shared();
    filled(&disk, 40).await;
    let file = Path::new(PLACE).join("used");
    let length = disk.read(&file).unwrap().len();
    for place in (0..length).step_by(37) {
        let disk = disk.after_a_crash();
        disk.tamper(&file, |bytes| bytes[place] ^= 1);
        let memory = open(&disk);
        let damage = memory.damage(NOW).unwrap().to_string();
        let record = place / 76;
        assert!(
            damage.contains(&format!("record {record} of 41")),
            "{damage}"
        );
        let known = (0..40)
            .filter(|it| memory.knows(ProofId::of(&[&it.to_string()])))
            .count();
        assert!(known >= 39, "byte {place}: {known}");
        // The cache works on, and the next start still reports the damage although the file was
        // replaced.
        remember(&memory, "new").await.unwrap();
        drop(memory);
        let memory = open(&disk);
        assert!(memory.damage(NOW).is_some() && memory.knows(ProofId::of(&["new"])));
        let later = NOW + HOUR * 26;
        assert_eq!(
            memory.damage(later),
            None,
            "none of it could count any more"
        );
        assert_eq!(open_at(&disk.after_a_crash(), later).damage(later), None);
        memory.accept_damage().unwrap();
        drop(memory);
        assert_eq!(open(&disk).damage(NOW), None);
    }
}

#[tokio::test]
async fn s15_missing_durable_uses_at_the_end_are_damage() {
    let disk = SimulatedDisk::shared();
    filled(&disk, 5).await;
    let file = Path::new(PLACE).join("used");
    let length = disk.read(&file).unwrap().len();
    for cut in 0..length {
        let disk = disk.after_a_crash();
        disk.tamper(&file, |bytes| bytes.truncate(cut));
        assert!(open(&disk).damage(NOW).is_some(), "cut at {cut}");
    }
    let gone = disk.after_a_crash();
    gone.remove(&file).unwrap();
    assert!(open(&gone).damage(NOW).is_some());
    let unreadable = disk.after_a_crash();
    unreadable.make_unreadable(&file);
    let memory = open(&unreadable);
    assert!(
        memory
            .damage(NOW)
            .unwrap()
            .to_string()
            .contains("cannot be read")
    );
}

#[tokio::test]
async fn s09_on_a_failed_disk_known_uses_are_known_and_no_token_is_accepted() {
    let disk = SimulatedDisk::shared();
    filled(&disk, 5).await;
    for kind in [ErrorKind::ReadOnlyFilesystem, ErrorKind::StorageFull] {
        let disk = disk.after_a_crash();
        disk.refuse(Some(kind));
        let memory = open(&disk);
        assert_eq!(memory.damage(NOW), None);
        assert_eq!(remember(&memory, "3").await, Err(RejectedToken::Replayed));
        assert_eq!(
            remember(&memory, "new").await,
            Err(RejectedToken::ReplayCacheFailed)
        );
        disk.refuse(None);
        remember(&memory, "another").await.unwrap();
        drop(memory);
        let memory = open(&disk);
        assert!(
            ["3", "another"]
                .iter()
                .all(|name| memory.knows(ProofId::of(&[name])))
        );
    }
}

#[tokio::test]
async fn s15_a_missing_replay_cache_beside_a_used_journal_is_damage() {
    let disk = SimulatedDisk::shared();
    let opened = |disk: &Arc<SimulatedDisk>, was_used: bool| {
        let files: Files = Arc::<SimulatedDisk>::clone(disk);
        ReplayCache::open(&files, Path::new(PLACE), NOW, was_used).unwrap()
    };
    // A first start without any caller has written the file.
    drop(opened(&disk, false));
    let again = disk.after_a_crash();
    assert_eq!(opened(&again, true).damage(NOW), None);
    filled(&disk, 5).await;
    for name in ["used", "used-durable"] {
        disk.remove(&Path::new(PLACE).join(name)).unwrap();
    }
    let gone = disk.after_a_crash();
    assert!(opened(&gone, true).damage(NOW).is_some());
    // The next start still reports the damage, although a file exists again.
    let next = opened(&gone, true);
    assert!(next.damage(NOW).is_some());
    next.accept_damage().unwrap();
    assert_eq!(opened(&gone, true).damage(NOW), None);
    assert_eq!(opened(&SimulatedDisk::shared(), false).damage(NOW), None);
}

#[tokio::test]
async fn s16_a_failed_write_of_the_replay_cache_is_reported_and_retried() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("used-proofs");
    std::fs::create_dir_all(place.join("used-durable")).unwrap();
    let disk = lanyard_disk::system();
    let memory = ReplayCache::open(&disk, &place, NOW, false).unwrap();
    let (file, why) = memory.trouble().unwrap();
    assert_eq!(file, place.join("used"));
    assert!(!why.is_empty());
    let refused = remember(&memory, "one").await;
    assert_eq!(refused, Err(RejectedToken::ReplayCacheFailed));
    assert!(memory.trouble().is_some());
    std::fs::remove_dir(place.join("used-durable")).unwrap();
    // No caller comes meanwhile.
    while memory.trouble().is_some() {
        tokio::task::yield_now().await;
    }
    remember(&memory, "two").await.unwrap();
}
