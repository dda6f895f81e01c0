//! The Debian package: built, installed on a copy of this machine, started as its unit starts it,
//! removed and purged.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use lanyard_rig::{binaries, free_port};

/// The most that `systemd-analyze security` may find exposed, of 10. What is left is the network,
/// which a broker is there for.
const WORST_EXPOSURE: f64 = 2.0;

fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("{command:?} does not start"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} ended with {}: {text}{said}", output.status);
    }
    Ok(text)
}

/// The tool or right that this machine lacks for the test; `None` if it lacks nothing.
fn missing() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("a package is installed by root");
    }
    let programs = [
        "dpkg-deb",
        "unshare",
        "setpriv",
        "curl",
        "systemd-analyze",
        "systemd-sysusers",
        "systemd-tmpfiles",
    ];
    let is_there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    programs.into_iter().find(|program| !is_there(program))
}

/// The lines behind this mark of the script.
fn part<'a>(output: &'a str, name: &str) -> &'a str {
    let mark = format!("== {name}\n");
    let after = output.split_once(&mark).map_or("", |(_, after)| after);
    after.split("== ").next().unwrap_or_default()
}

#[test]
fn the_package_is_installed_started_killed_and_removed() -> Result<()> {
    if let Some(missing) = missing() {
        eprintln!("NOT RUN: the Debian package: {missing}");
        return Ok(());
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir()?;
    let mut build = Command::new(here.join("../packaging/deb/build"));
    build.arg(binaries()?).arg(folder.path());
    let package = output(build.env("DEB_COMPRESSION", "none"))?;
    let package = package.trim();
    let contents = output(Command::new("dpkg-deb").args(["--contents", package]))?;
    for file in [
        "./usr/bin/lanyard",
        "./usr/bin/lanyardd",
        "./usr/lib/systemd/system/lanyardd.service",
        "./usr/share/man/man1/lanyard-kill.1.gz",
        "./usr/share/man/man8/lanyardd.8.gz",
        "./usr/share/man/man8/lanyardd-init.8.gz",
        "./usr/share/bash-completion/completions/lanyardd",
        "./usr/share/doc/lanyard/docs/how-to/first-install.md",
        "./usr/share/doc/lanyard/copyright",
    ] {
        assert!(
            contents.lines().any(|line| line.ends_with(file)),
            "{file}: {contents}"
        );
    }
    assert!(!contents.contains("./etc/"), "{contents}");

    let work = folder.path().join("work");
    std::fs::create_dir(&work)?;
    let mut tried = Command::new("unshare");
    tried.args([
        "--mount",
        "bash",
        "-c",
        include_str!("debian.sh"),
        "debian.sh",
        package,
    ]);
    let tried = output(tried.arg(&work).arg(free_port()?.to_string()))?;
    if tried == "no overlay\n" {
        eprintln!("NOT RUN: the Debian package: this machine mounts no overlay");
        return Ok(());
    }
    let part = |name| part(&tried, name);
    let has = |name, lines: &[&str]| {
        for line in lines {
            assert!(
                part(name).lines().any(|own| own == *line),
                "{line}: {tried}"
            );
        }
    };
    has(
        "install",
        &[
            "/etc/lanyard 750 root lanyard",
            "/var/lib/lanyard 700 lanyard lanyard",
        ],
    );
    assert!(part("install").contains("nothing is started"), "{tried}");
    let exposure = part("security")
        .split_whitespace()
        .find_map(|word| word.parse::<f64>().ok());
    let exposure = exposure.with_context(|| format!("no exposure: {tried}"))?;
    eprintln!("systemd-analyze security: {exposure}");
    assert!(exposure <= WORST_EXPOSURE, "{tried}");
    has(
        "init",
        &[
            "/etc/lanyard 750 root lanyard",
            "/etc/lanyard/lanyardd.yaml 640 root lanyard",
            "/etc/lanyard/tls/server.key 640 root lanyard",
            "/etc/lanyard/contexts 700 root root",
            "/etc/lanyard/contexts/people.key 600 root root",
            "/var/lib/lanyard/data 700 lanyard lanyard",
            "/etc/lanyard/lanyardd.yaml: ready to be served",
            "  sudo systemctl enable --now lanyardd",
        ],
    );
    assert!(
        !tried.contains("the daemon reads") && !tried.contains("the daemon writes"),
        "{tried}"
    );
    assert!(part("serve").contains("ticket-router"), "{tried}");
    has("serve", &["ended with 0"]);
    has(
        "remove",
        &["/etc/lanyard/lanyardd.yaml", "/var/lib/lanyard/data"],
    );
    let is_program = |line: &str| line.starts_with("usr/") || line.contains("systemd");
    assert!(!part("remove").lines().any(is_program), "{tried}");
    assert!(
        part("purge").contains("the journal stays in /var/lib/lanyard"),
        "{tried}"
    );
    // The journal, and what the system says of packages and users.
    let documented = [
        "var/lib/lanyard/",
        "var/lib/dpkg/",
        "var/log/",
        "etc/",
        "var/cache/",
    ];
    for left in part("left").lines() {
        assert!(
            documented.iter().any(|known| left.starts_with(known)),
            "{left}: {tried}"
        );
        assert!(!left.starts_with("etc/lanyard"), "{left}: {tried}");
    }
    assert!(
        part("left").contains("var/lib/lanyard/data/journal/"),
        "{tried}"
    );
    Ok(())
}
