//! The image: as any user, on a root that nobody writes, on volumes that are not the daemon's.

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::broker::{Broker, Shape, until};
use crate::pods;

#[test]
fn the_image_runs_as_a_user_that_it_does_not_know_on_a_root_that_nobody_writes() -> Result<()> {
    let Some(pods) = pods() else {
        return Ok(());
    };
    // As OpenShift runs it: a user of the namespace's range, in the group of root.
    let user: u32 = 1_000_660_000;
    let shape = Shape {
        security: json!({"runAsUser": user, "runAsGroup": 0, "fsGroup": user}),
        ..Shape::default()
    };
    let broker = Broker::install(pods, "any-user", &shape)?;
    broker.ready()?;
    let data = std::path::PathBuf::from(broker.volume()?).join("data");
    let found = std::fs::metadata(&data)?;
    use std::os::unix::fs::MetadataExt as _;
    assert_eq!((found.uid(), found.mode() & 0o777), (user, 0o700));
    let version = broker.ok(&["exec", "lanyardd-0", "--", "/bin/lanyard", "--version"])?;
    assert!(version.starts_with("lanyard "), "{version}");
    let shell = broker.kubectl(&["exec", "lanyardd-0", "--", "/bin/sh", "-c", "true"])?;
    assert_ne!(shell.code, 0, "there is a shell");
    broker.oncall_ok(&["status"])?;
    Ok(())
}

/// The last line of the log of a daemon that does not start, and that it is the only one about it.
fn refused(broker: &Broker) -> Result<String> {
    let mut said = String::new();
    until("the daemon ended", || {
        let ended = "jsonpath={.status.containerStatuses[0].restartCount}";
        let answer = broker.kubectl(&["get", "pod", "lanyardd-0", "-o", ended])?;
        said = broker.log();
        Ok(answer.stdout.parse().unwrap_or(0) > 0 && !said.is_empty())
    })?;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 1, "{said}");
    lines
        .last()
        .map(|line| (*line).to_owned())
        .context("no line")
}

#[test]
fn a_volume_of_another_owner_is_named_in_one_line_with_what_to_do() -> Result<()> {
    let Some(pods) = pods() else {
        return Ok(());
    };
    // Without `fsGroup` the volume is root's, and nobody else writes to it.
    let shape = Shape {
        security: json!({"runAsUser": 65532, "runAsGroup": 65532}),
        secret_mode: 0o444,
    };
    let broker = Broker::install(pods, "no-group", &shape)?;
    let line = refused(&broker)?;
    let expected = "cannot use data directory `/var/lib/lanyard/data`: `/var/lib/lanyard` belongs to user 0 and group 0 with \
                    mode 0755, and the daemon runs as user 65532: run `chown 65532 /var/lib/lanyard`; in Kubernetes, set `fsGroup`";
    assert!(line.contains(expected), "{line}");

    // A directory that the daemon made as another user, as after a change of `runAsUser`.
    let data = std::path::PathBuf::from(broker.volume()?).join("data");
    std::fs::create_dir(&data)?;
    std::os::unix::fs::chown(&data, Some(4242), Some(4242))?;
    let foreign = "data directory `/var/lib/lanyard/data` belongs to user 4242 with mode 0755, and the daemon runs as user 65532";
    until("the daemon says whose it is", || {
        Ok(refused(&broker)?.contains(foreign))
    })?;
    Ok(())
}
