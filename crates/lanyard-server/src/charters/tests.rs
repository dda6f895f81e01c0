//! The charter directory as Kubernetes mounts it, over a broker that nobody listens at.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use lanyard_vocabulary::digest::Digest;

use crate::broker::Broker;
use crate::config::{self, Config};
use crate::machine::Machine;
use crate::wire;

const CHARTER: &str = include_str!("../dev/ticket-router.yaml");
const LAX: &str = "package main\nimport rego.v1\ndeny contains \"never\" if false\n";
const STRICT: &str = "package main\nimport rego.v1\ndeny contains \"frozen\" if true\n";

/// A broker whose charters are in a folder of this directory.
pub(super) async fn broker(directory: &Path) -> Broker {
    let listen = "127.0.0.1:1".parse().unwrap();
    let file = crate::dev::prepare(directory, listen, None, None).unwrap();
    let charters = directory.join("mounted");
    fs::create_dir_all(&charters).unwrap();
    let config = Config {
        charters: Some(charters),
        ..config::load(&file).unwrap()
    };
    wire::assemble(&config, &Machine::default()).await.unwrap()
}

/// A state of a ConfigMap, in the folder that holds it.
fn projected(mounted: &Path, version: &str, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = mounted.join(version).join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    symlink(version, mounted.join("..data_tmp")).unwrap();
    fs::rename(mounted.join("..data_tmp"), mounted.join("..data")).unwrap();
}

fn with_policy(path: &str) -> String {
    let plans = format!("  plans:\n    policies: [{path}]\n");
    CHARTER.replacen("  plans:\n", &plans, 1)
}

fn policies(broker: &Broker) -> Option<Digest> {
    let name = "ticket-router".parse().unwrap();
    let charter = broker.engine.charters().in_force(&name)?;
    Some(charter.policies_digest())
}

#[tokio::test]
async fn a08_a_policy_behind_the_links_of_a_mounted_configmap_is_read_again() {
    for path in ["policies/own.rego", "own.rego", "deep/er/own.rego"] {
        let directory = tempfile::tempdir().unwrap();
        let broker = broker(directory.path()).await;
        let mounted = directory.path().join("mounted");
        let charter = with_policy(path);
        let files = |policy| [("charter.yaml", charter.as_str()), (path, policy)];
        projected(&mounted, "..2026_11_29_12_00_00.1", &files(LAX));
        let first = path.split('/').next().unwrap();
        for link in ["charter.yaml", first] {
            symlink(Path::new("..data").join(link), mounted.join(link)).unwrap();
        }
        broker.charters.look().await;
        let lax = policies(&broker);
        assert!(lax.is_some(), "{path}: {:?}", broker.charters.problems());
        broker.charters.look().await;
        assert_eq!(policies(&broker), lax, "{path}");
        projected(&mounted, "..2026_11_29_12_05_00.2", &files(STRICT));
        fs::remove_dir_all(mounted.join("..2026_11_29_12_00_00.1")).unwrap();
        broker.charters.look().await;
        let strict = policies(&broker);
        assert!(strict.is_some() && strict != lax, "{path}: {strict:?}");
        // What is edited where the links lead is read again as well.
        let behind = mounted.join("..data").join(path);
        fs::write(behind, STRICT.replace("frozen", "shut")).unwrap();
        broker.charters.look().await;
        assert!(
            policies(&broker).is_some() && policies(&broker) != strict,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a08_a_policy_that_was_missing_brings_its_charter_into_force_when_it_comes() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker(directory.path()).await;
    let mounted = directory.path().join("mounted");
    fs::write(
        mounted.join("charter.yaml"),
        with_policy("policies/own.rego"),
    )
    .unwrap();
    symlink("nowhere.yaml", mounted.join("dangling.yaml")).unwrap();
    broker.charters.look().await;
    assert_eq!(policies(&broker), None);
    projected(&mounted, "..1", &[("own.rego", LAX)]);
    symlink("..data", mounted.join("policies")).unwrap();
    broker.charters.look().await;
    assert!(
        policies(&broker).is_some(),
        "{:?}",
        broker.charters.problems()
    );
    // A file that cannot be read is a fault of its own, and none of the others.
    let problems = broker.charters.problems();
    assert!(
        problems
            .iter()
            .any(|line| line.starts_with("dangling.yaml: cannot read `"))
    );
    // T25: a link that comes to lead out of the folder takes the charter out of force.
    fs::write(directory.path().join("own.rego"), LAX).unwrap();
    symlink("..", mounted.join("..data_tmp")).unwrap();
    fs::rename(mounted.join("..data_tmp"), mounted.join("..data")).unwrap();
    broker.charters.look().await;
    assert_eq!(policies(&broker), None);
}

/// Pipes that nobody ever writes to do not hold the look up.
#[tokio::test]
async fn s16_pipes_among_charters_policies_and_revisions_are_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker(directory.path()).await;
    let mounted = directory.path().join("mounted");
    let pipe = |path: &Path| {
        let made = std::process::Command::new("mkfifo").arg(path).status();
        assert!(made.unwrap().success());
    };
    fs::write(mounted.join("good.yaml"), CHARTER).unwrap();
    fs::create_dir(mounted.join("policies")).unwrap();
    let other = with_policy("policies/pipe.rego").replace("ticket-router", "other");
    fs::write(mounted.join("other.yaml"), other).unwrap();
    pipe(&mounted.join("policies/pipe.rego"));
    pipe(&mounted.join("pipe.yaml"));
    fs::File::create(mounted.join("endless.yaml"))
        .unwrap()
        .set_len(6 << 30)
        .unwrap();
    broker.charters.look().await;
    let problems = broker.charters.problems();
    for said in [
        "pipe.rego is not a file",
        "pipe.yaml` is not a plain file",
        "endless.yaml` has more than 262144 bytes",
    ] {
        let is_said = problems.iter().any(|line| line.contains(said));
        assert!(is_said, "{said}: {problems:?}");
    }
    let names: Vec<_> = broker.engine.charters().all();
    let names: Vec<_> = names.iter().map(|charter| charter.name.as_str()).collect();
    assert!(names.contains(&"ticket-router"), "{problems:?}");
    // Of the revision that was kept, and in the place of one.
    let revisions = directory.path().join("data/revisions");
    let kept = fs::read_dir(&revisions).unwrap().next().unwrap().unwrap();
    fs::remove_file(kept.path().join("charter.yaml")).unwrap();
    pipe(&kept.path().join("charter.yaml"));
    pipe(&revisions.join("sha256-1"));
    broker.charters.remember().unwrap();
    fs::remove_dir_all(kept.path()).unwrap();
    pipe(&kept.path());
    for text in [format!("{CHARTER}\n"), CHARTER.to_owned()] {
        fs::write(mounted.join("good.yaml"), text).unwrap();
        broker.charters.look().await;
    }
    assert!(kept.path().is_dir(), "{:?}", broker.charters.problems());
}
