//! What a kubelet makes of volumes, Secrets and ConfigMaps, at the first start, the second, and
//! when they change.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;

use crate::broker::{Authority, Broker, Shape, until};
use crate::pods;

const CHARTER: &str = include_str!("charter.yaml");

/// Files and folders below a folder that somebody besides their owner may use.
fn open_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let metadata = std::fs::symlink_metadata(&path)?;
            if metadata.mode() & 0o077 != 0 {
                found.push(path.clone());
            }
            if metadata.is_dir() {
                folders.push(path);
            }
        }
    }
    Ok(found)
}

#[test]
fn a_second_start_on_a_volume_that_the_kubelet_opened_to_the_group_keeps_what_was_there()
-> Result<()> {
    let Some(pods) = pods() else {
        return Ok(());
    };
    // `Always` is what Kubernetes does where nothing is said: it opens every file of the volume to
    // the group at each start.
    let shape = Shape {
        security: json!({"runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532, "fsGroupChangePolicy": "Always"}),
        ..Shape::default()
    };
    let broker = Broker::install(pods, "second-start", &shape)?;
    broker.ready()?;
    let kill = [
        "kill",
        "--target",
        "tickets",
        "--reason",
        "to be remembered",
        "--yes",
    ];
    let killed = broker.oncall(&kill)?;
    assert_eq!(killed.code, 0, "{}", killed.stderr);
    let orders = broker.oncall_ok(&["kill", "list"])?;
    let data = PathBuf::from(broker.volume()?).join("data");
    let keys = || -> Result<Vec<_>> {
        let mut names: Vec<_> = std::fs::read_dir(data.join("keys"))?
            .map(|entry| Ok(entry?.file_name()))
            .collect::<Result<_>>()?;
        names.sort();
        Ok(names)
    };
    let before = keys()?;
    assert_eq!(open_below(&data)?, Vec::<PathBuf>::new());
    broker.restart()?;
    assert_eq!(keys()?, before, "another key signs");
    assert_eq!(open_below(&data)?, Vec::<PathBuf>::new());
    assert_eq!(broker.oncall_ok(&["kill", "list"])?, orders);
    Ok(())
}

#[test]
fn a_key_that_others_in_the_pod_may_read_is_refused_with_the_mode_to_set() -> Result<()> {
    let Some(pods) = pods() else {
        return Ok(());
    };
    let shape = Shape {
        secret_mode: 0o444,
        ..Shape::default()
    };
    let broker = Broker::install(pods, "open-secret", &shape)?;
    let line = "`/etc/lanyard-tls/tls.key` has mode 0444, so that others may read or change it";
    until("the daemon says so", || Ok(broker.log().contains(line)))?;
    assert!(
        broker.log().contains("`defaultMode: 0400`"),
        "{}",
        broker.log()
    );
    Ok(())
}

#[test]
fn a_charter_in_a_config_map_and_a_certificate_in_a_secret_are_read_again_when_they_change()
-> Result<()> {
    let Some(pods) = pods() else {
        return Ok(());
    };
    let broker = Broker::install(pods, "reload", &Shape::default())?;
    broker.ready()?;
    let listed = broker.oncall_ok(&["charter", "list"])?;
    let next = Authority::fresh()?;
    let changed = CHARTER.replace("name: shop", "name: other-shop");
    broker.settle(&changed, &next.certify(&broker.host())?)?;
    until("the new certificate is served", || {
        Ok(broker.oncall_believing(&next, &["charter", "list"])?.code == 0)
    })?;
    until("the new charter is in force", || {
        let now = broker.oncall_believing(&next, &["charter", "list"])?;
        Ok(now.stdout != listed && now.stdout.contains("other-shop"))
    })?;
    Ok(())
}
