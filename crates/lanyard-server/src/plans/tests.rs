//! Tests of the plan store on a folder of its own.

use std::os::unix::fs::PermissionsExt as _;

use lanyard_provider_github::{KeyId, SealingKeys};

use super::*;

const CANARY: &[u8] =
    b"a plan with a password, hunter2-canary, in it; long enough that nothing hides in a name";

fn who(subject: &str) -> Identity {
    Identity {
        issuer: "https://issuer.example".to_owned(),
        subject: subject.to_owned(),
    }
}

fn store(all: u64, one: u64) -> (tempfile::TempDir, PlanStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = PlanStore::with_bounds(folder.path(), None, (all, one)).unwrap();
    (folder, store)
}

fn used(store: &PlanStore) -> (u64, usize, usize) {
    let books = store.0.books.lock();
    (books.all, books.of.len(), books.plans.len())
}

/// The bytes that a plan of this length takes.
fn taken(length: usize) -> u64 {
    let (_folder, store) = store(u64::MAX, u64::MAX);
    store.put(&who("a"), &vec![0; length]).unwrap();
    used(&store).0
}

// T47
#[test]
fn s18_one_identity_has_a_share_of_the_store_and_all_have_a_bound() {
    let one = taken(60);
    let (_folder, store) = store(3 * one, 2 * one);
    store.put(&who("a"), &[1; 60]).unwrap();
    let again = store.put(&who("a"), &[1; 60]).unwrap();
    store.put(&who("a"), &[2; 60]).unwrap();
    let full = store.put(&who("a"), &[3; 60]).unwrap_err();
    assert!(matches!(full, PutError::Share), "{full}");
    store.put(&who("b"), &[4; 60]).unwrap();
    let full = store.put(&who("b"), &[5; 60]).unwrap_err();
    assert!(matches!(full, PutError::Full), "{full}");
    store.sweep(&[again].into(), Duration::ZERO).unwrap();
    assert_eq!(used(&store), (one, 1, 1));
    assert_eq!(store.get(again).unwrap(), [1; 60]);
    store.put(&who("b"), &[5; 60]).unwrap();
    store
        .sweep(&HashSet::new(), Duration::from_secs(60))
        .unwrap();
    assert!(store.get(again).is_ok(), "it may be submitted this moment");
}

#[test]
fn s18_equal_puts_at_once_are_counted_once_and_come_to_nothing_when_swept() {
    let (_folder, store) = store(u64::MAX, u64::MAX);
    std::thread::scope(|scope| {
        for who_is in 0..8 {
            let store = store.clone();
            scope.spawn(move || store.put(&who(&who_is.to_string()), &[7; 1000]).unwrap());
        }
    });
    assert_eq!(used(&store), (taken(1000), 1, 1));
    store.sweep(&HashSet::new(), Duration::ZERO).unwrap();
    assert_eq!(used(&store), (0, 0, 0));
}

#[test]
fn s18_a_write_that_fails_leaves_nothing_in_the_books() {
    let (folder, store) = store(u64::MAX, u64::MAX);
    let kept = store.put(&who("a"), &[1; 60]).unwrap();
    let before = used(&store);
    let plans = folder.path().join("plans");
    let aside = folder.path().join("aside");
    fs::rename(&plans, &aside).unwrap();
    for _ in 0..3 {
        let failed = store.put(&who("a"), &[2; 60]).unwrap_err();
        assert!(matches!(failed, PutError::Io(_)), "{failed}");
        assert_eq!(used(&store), before);
    }
    // The one that is known is written anew, and stays in the books when that fails.
    assert!(store.put(&who("a"), &[1; 60]).is_err());
    assert_eq!(used(&store), before);
    fs::rename(&aside, &plans).unwrap();
    assert_eq!(store.get(kept).unwrap(), [1; 60]);
    store.sweep(&HashSet::new(), Duration::ZERO).unwrap();
    assert_eq!(used(&store), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn s18_a_plan_that_is_submitted_again_is_not_swept_from_under_it() {
    let (_folder, store) = store(u64::MAX, u64::MAX);
    let digest = store.put(&who("a"), CANARY).unwrap();
    tokio::time::advance(2 * SWEEP_INTERVAL).await;
    // The sweep knew nobody who refers to it, and then it is brought again.
    let kept = HashSet::new();
    store.put(&who("a"), CANARY).unwrap();
    store.sweep(&kept, SWEEP_INTERVAL).unwrap();
    assert_eq!(store.get(digest).unwrap(), CANARY);
    tokio::time::advance(2 * SWEEP_INTERVAL).await;
    store.sweep(&kept, SWEEP_INTERVAL).unwrap();
    assert!(store.get(digest).is_err());
}

#[test]
fn s18_the_books_are_the_same_after_a_start() {
    let (folder, store) = store(u64::MAX, u64::MAX);
    store.put(&who("a"), &[1; 60]).unwrap();
    store.put(&who("a"), &[2; 600]).unwrap();
    let digest = store.put(&who("b"), &[3; 6000]).unwrap();
    fs::write(folder.path().join("plans/17.unfinished"), [0; 99]).unwrap();
    let again = PlanStore::with_bounds(folder.path(), None, (u64::MAX, u64::MAX)).unwrap();
    assert_eq!(used(&again), used(&store));
    assert_eq!(again.0.books.lock().of, store.0.books.lock().of);
    assert_eq!(again.get(digest).unwrap(), [3; 6000]);
    assert!(!folder.path().join("plans/17.unfinished").exists());
}

// What lies there and is no plan neither keeps the daemon from starting nor is removed.
#[test]
fn s18_a_start_leaves_alone_what_it_does_not_know_and_what_it_cannot_read() {
    let (folder, store) = store(u64::MAX, u64::MAX);
    let digest = store.put(&who("a"), CANARY).unwrap();
    let plans = folder.path().join("plans");
    fs::create_dir(plans.join("lost+found")).unwrap();
    fs::create_dir(plans.join("3.unfinished")).unwrap();
    fs::write(plans.join("notes.txt"), b"of an operator").unwrap();
    // As a file that cannot be read, whoever runs this test.
    fs::create_dir(store.path(Digest::of(b"a folder"))).unwrap();
    let dangling = store.path(Digest::of(b"nothing"));
    std::os::unix::fs::symlink("nowhere", &dangling).unwrap();
    fs::write(plans.join("17.unfinished"), [0; 99]).unwrap();
    let again = PlanStore::with_bounds(folder.path(), None, (u64::MAX, u64::MAX)).unwrap();
    assert_eq!(used(&again), used(&store));
    assert_eq!(again.get(digest).unwrap(), CANARY);
    assert!(!plans.join("17.unfinished").exists());
    assert!(plans.join("lost+found").exists());
    assert!(plans.join("notes.txt").exists());
    assert!(dangling.is_symlink());
}

/// The contents of all files below a folder, joined.
fn everything(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(everything(&path));
        } else {
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", path.display());
            all.extend(fs::read(&path).unwrap());
        }
    }
    all
}

fn holds(folder: &Path, needle: &[u8]) -> bool {
    let all = everything(folder);
    all.windows(needle.len()).any(|window| window == needle)
}

// T49, T52
#[test]
fn s25_plans_are_sealed_on_the_disk_and_open_under_their_own_name_alone() {
    let (folder, store) = store(u64::MAX, u64::MAX);
    let digest = store.put(&who("a"), CANARY).unwrap();
    let other = store.put(&who("a"), b"other").unwrap();
    assert!(!holds(folder.path(), b"hunter2-canary"));
    assert_eq!(store.get(digest).unwrap(), CANARY);
    fs::copy(store.path(digest), store.path(other)).unwrap();
    assert!(store.get(other).is_err());
    // T18
    let mut bytes = fs::read(store.path(digest)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(store.path(digest), bytes).unwrap();
    assert!(store.get(digest).is_err());
    store.put(&who("a"), CANARY).unwrap();
    assert_eq!(
        store.get(digest).unwrap(),
        CANARY,
        "what was damaged is written anew"
    );
}

#[test]
fn s25_plans_of_earlier_versions_are_read_and_sealed() {
    let (folder, store) = store(u64::MAX, u64::MAX);
    let (digest, wrong) = (Digest::of(CANARY), Digest::of(b"something else"));
    fs::write(store.path(digest), CANARY).unwrap();
    fs::write(store.path(wrong), CANARY).unwrap();
    let store = PlanStore::with_bounds(folder.path(), None, (u64::MAX, u64::MAX)).unwrap();
    assert_eq!(store.get(digest).unwrap(), CANARY);
    store.seal_old().unwrap();
    assert!(!holds(folder.path(), b"hunter2-canary"));
    assert_eq!(store.get(digest).unwrap(), CANARY);
    assert!(!store.path(wrong).exists());
    store.sweep(&HashSet::new(), Duration::ZERO).unwrap();
    assert_eq!(used(&store), (0, 0, 0));
}

#[test]
fn s25_keys_of_the_configuration_seal_and_none_lies_beside_the_plans() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("elsewhere");
    let data = folder.path().join("data");
    let open = || PlanStore::open(&data, Some(&keys)).0;
    assert!(
        open().put(&who("a"), CANARY).is_err(),
        "a named file is not made"
    );
    SealingKeys::create(&keys, &KeyId::new("of-the-vault").unwrap()).unwrap();
    let digest = open().put(&who("a"), CANARY).unwrap();
    assert_eq!(open().get(digest).unwrap(), CANARY);
    assert_eq!(fs::read_dir(&data).unwrap().count(), 1);
    fs::remove_file(&keys).unwrap();
    SealingKeys::create(&keys, &KeyId::new("another").unwrap()).unwrap();
    assert!(open().get(digest).is_err());
}
