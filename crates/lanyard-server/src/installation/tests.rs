//! Tests of what `lanyardd init` creates, refuses and repeats.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use clap::Parser as _;

use super::pieces::LIST;
use super::*;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    init: Init,
}

fn init(dir: &Path, arguments: &[&str]) -> Result<()> {
    let line = ["init".into(), dir.as_os_str().to_owned()];
    let line = line.into_iter().chain(arguments.iter().map(Into::into));
    run(Line::try_parse_from(line)?.init)
}

fn all(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(all(&path));
        }
        found.push(path);
    }
    found.sort();
    found
}

#[tokio::test]
async fn an_installation_is_ready_and_nobody_else_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    // A path with a space and a quote, and with the words of the templates.
    for name in ["plain", "it's LISTEN USER HOME"] {
        let dir = folder.path().join(name);
        init(&dir, &[]).unwrap();
        for path in all(&dir).iter().chain([&dir]) {
            let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode, expected, "{}", path.display());
        }
        assert!(!dir.join(LIST).exists());
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        crate::check::run(&dir.join("lanyardd.yaml")).await.unwrap();
        let unit = fs::read_to_string(dir.join("lanyardd.service")).unwrap();
        let state = format!("ConditionPathExists={}/lanyardd.yaml\n", dir.display());
        assert!(unit.contains(&state), "{unit}");
    }
}

#[tokio::test]
async fn names_people_and_places_are_as_they_were_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, data) = (folder.path().join("own"), folder.path().join("ISSUER data"));
    let data_dir = data.display().to_string();
    let asked = [
        "--host",
        "Broker.acme.example",
        "--listen",
        "0.0.0.0:7171",
        "--person",
        "alice:approver,admin",
        "--person",
        "bob:on-call",
        "--data-dir",
        &data_dir,
    ];
    init(&dir, &asked).unwrap();
    assert_eq!(
        fs::metadata(&data).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    let alice: serde_json::Value = serde_json::from_str(&read("contexts/alice.json")).unwrap();
    assert_eq!(alice["endpoint"], "https://broker.acme.example:7171");
    assert_eq!(
        alice["identity"]["groups"],
        serde_json::json!(["approvers", "admins"])
    );
    assert!(!dir.join("contexts/admin.json").exists());
    let config = crate::config::load(&dir.join("lanyardd.yaml")).unwrap();
    assert_eq!(config.data_dir, data);
    assert_eq!(config.issuer, "https://broker.acme.example:7171");
    let origins = &config.identities.origins;
    assert!(
        origins.contains(&"https://[::1]:7171".to_owned()),
        "{origins:?}"
    );
}

#[test]
fn nothing_is_overwritten_and_what_is_in_the_way_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("own");
    init(&dir, &[]).unwrap();
    let before: Vec<_> = all(&dir)
        .iter()
        .filter_map(|path| fs::read(path).ok())
        .collect();
    let refused = init(&dir, &[]).unwrap_err().to_string();
    assert!(
        refused.contains("agents.jwks.json` is in the way"),
        "{refused}"
    );
    let after: Vec<_> = all(&dir)
        .iter()
        .filter_map(|path| fs::read(path).ok())
        .collect();
    assert_eq!(before, after);
    let file = folder.path().join("file");
    fs::write(&file, "text").unwrap();
    let refused = init(&file, &[]).unwrap_err().to_string();
    assert!(refused.contains("no directory"), "{refused}");
    let deep = folder.path().join("none/own");
    let refused = init(&deep, &[]).unwrap_err().to_string();
    assert!(refused.contains("there is no directory"), "{refused}");
    // A data directory of another installation.
    let (dir, data) = (folder.path().join("second"), dir.join("tls"));
    let refused = init(&dir, &["--data-dir", &data.display().to_string()]).unwrap_err();
    assert!(refused.to_string().contains("is in the way"), "{refused}");
    assert!(!dir.exists());
}

#[test]
fn an_interrupted_run_is_recognized_and_repeated_and_nothing_of_others_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    init(&whole, &[]).unwrap();
    let names = |dir: &Path| {
        let all = all(dir);
        all.iter()
            .map(|path| path.strip_prefix(dir).unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    // As after a crash behind any of the files.
    for last in all(&whole) {
        let dir = folder.path().join("half");
        let missing = dir.join(last.strip_prefix(&whole).unwrap());
        init(&dir, &["--person", "carol:viewer"]).unwrap();
        let list: String = names(&dir)
            .iter()
            .map(|name| {
                let end = if dir.join(name).is_dir() { "/" } else { "" };
                format!("{}{end}\n", name.display())
            })
            .collect();
        fs::write(dir.join(LIST), list).unwrap();
        if missing.is_dir() {
            fs::remove_dir_all(&missing).unwrap();
        } else {
            fs::remove_file(&missing).ok();
        }
        fs::remove_file(dir.join("lanyardd.yaml")).ok();
        let error = crate::config::load(&dir.join("lanyardd.yaml")).unwrap_err();
        assert!(
            error.to_string().contains("was interrupted there"),
            "{error}"
        );
        init(&dir, &[]).unwrap();
        assert_eq!(names(&dir), names(&whole));
        fs::remove_dir_all(&dir).unwrap();
    }
    // Something of another's is in the way of a repetition, and stays.
    let dir = folder.path().join("shared");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join(LIST), "tls/\ntls/server.key\n").unwrap();
    fs::create_dir(dir.join("tls")).unwrap();
    fs::write(dir.join("tls/of-somebody"), "text").unwrap();
    let refused = format!("{:#}", init(&dir, &[]).unwrap_err());
    assert!(
        refused.contains("cannot remove") && refused.contains("tls"),
        "{refused}"
    );
    assert!(dir.join("tls/of-somebody").exists());
    // A list that leads elsewhere is none.
    fs::write(dir.join(LIST), "../whole/lanyardd.yaml\n").unwrap();
    init(&dir, &[]).unwrap_err();
    assert!(whole.join("lanyardd.yaml").exists());
}

#[test]
fn two_runs_at_once_do_not_mix() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("own");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join(LIST), "tls/\n").unwrap();
    let held = fs::File::open(dir.join(LIST)).unwrap();
    held.lock().unwrap();
    let refused = init(&dir, &[]).unwrap_err().to_string();
    assert!(
        refused.contains("another `lanyardd init` works in"),
        "{refused}"
    );
    drop(held);
    init(&dir, &[]).unwrap();
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("own");
    for (arguments, says) in [
        (&["--listen", "127.0.0.1:0"][..], "has no port"),
        (
            &["--user", "no-such-user"],
            "there is no user `no-such-user`",
        ),
        (
            &["--person", "agent:admin"],
            "two contexts would be called `agent`",
        ),
        (
            &["--person", "eve:admin", "--person", "eve:viewer"],
            "two contexts would be called `eve`",
        ),
        (&["--person", "eve:boss"], "`boss` is no role"),
        (
            &["--host", "https://a"],
            "write the name or the address alone",
        ),
    ] {
        let refused = init(&dir, arguments).unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
        assert!(!dir.exists());
    }
}

#[test]
fn what_is_said_fits_a_terminal_and_a_shell() {
    let made = Made {
        root: "/srv/my broker".into(),
        data_dir: "/srv/my broker/data".into(),
        is_apart: false,
        listen: "127.0.0.1:7070".parse().unwrap(),
        hosts: vec!["localhost".parse().unwrap()],
        people: Person::usual(),
        user: None,
        validity: Validity::of_days(
            lanyard_vocabulary::time::Timestamp::from_secs(1_900_000_000),
            825,
        )
        .unwrap(),
    };
    let told = made.told(Path::new("my broker"));
    assert!(
        told.lines().all(|line| line.chars().count() <= 80),
        "{told}"
    );
    assert!(
        told.contains("lanyardd check --config 'my broker/lanyardd.yaml'"),
        "{told}"
    );
}
