//! Installations with one fault each, and the report of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::*;

const CONFIG: &str = "data_dir: data\ncharters: charters\nlisten: 127.0.0.1:0\ntls:\n  certificate: tls.pem\n  key: tls.key\n\
    issuer: https://lanyard.example\naudience: lanyard\nissuers:\n  - issuer: https://agents.example\n    kind: agents\n    \
    jwks_file: agents.json\nwebhooks:\n  - name: chat\n    url: https://chat.example/\n    secret_file: chat.secret\n\
    environments: {staging: sandbox}\ntargets: {tickets: {kind: token}}\n";
const CHARTER: &str = include_str!("../dev/ticket-router.yaml");

/// A folder with everything that the configuration names.
fn whole() -> (tempfile::TempDir, PathBuf) {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lanyardd.yaml");
    fs::write(&path, CONFIG).unwrap();
    fs::create_dir(folder.path().join("charters")).unwrap();
    fs::write(folder.path().join("agents.json"), r#"{"keys":[]}"#).unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.path().join("tls.pem"), made.cert.pem()).unwrap();
    for (name, text) in [
        ("tls.key", made.signing_key.serialize_pem()),
        ("chat.secret", "whsec_".to_owned() + &"A".repeat(44)),
    ] {
        let secret = folder.path().join(name);
        fs::write(&secret, text).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    }
    (folder, path)
}

async fn faults(path: &Path) -> Vec<String> {
    let error = run(path).await.unwrap_err();
    match error.downcast() {
        Ok(ConfigError::Faults(lines)) => lines,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_whole_installation_is_ready_and_stays_as_it_is() {
    let (folder, path) = whole();
    run(&path).await.unwrap();
    assert!(!folder.path().join("data").exists());
}

#[tokio::test]
async fn each_thing_that_is_named_and_not_there_has_the_line_that_names_it() {
    for (name, place) in [
        ("tls.pem", "lanyardd.yaml:5:16"),
        ("tls.key", "lanyardd.yaml:6:8"),
        ("agents.json", "lanyardd.yaml:12:16"),
        ("chat.secret", "lanyardd.yaml:16:18"),
        ("charters", "lanyardd.yaml:2:11"),
    ] {
        let (folder, path) = whole();
        fs::rename(folder.path().join(name), folder.path().join("away")).unwrap();
        let found = faults(&path).await;
        let [line] = found.as_slice() else {
            panic!("{name}: {found:?}");
        };
        assert!(
            line.contains(place) && line.contains("error[LC404]"),
            "{line}"
        );
        assert!(
            line.contains(name) && line.contains("No such file"),
            "{line}"
        );
    }
}

#[tokio::test]
async fn everything_that_is_wrong_is_said_at_once_in_the_order_of_the_file() {
    let (folder, path) = whole();
    for name in ["agents.json", "tls.pem", "chat.secret"] {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    let charter = CHARTER.replacen("purpose:", "porpoise:", 1);
    fs::write(folder.path().join("charters/one.yaml"), charter).unwrap();
    let found = faults(&path).await.join("\n");
    let at = |text: &str| {
        found
            .find(text)
            .unwrap_or_else(|| panic!("{text}: {found}"))
    };
    let order = ["tls.pem", "agents.json", "chat.secret", "one.yaml:7:3"].map(at);
    assert!(order.is_sorted(), "{found}");
}

#[tokio::test]
async fn a_data_directory_that_would_be_refused_is_a_fault_and_is_left_alone() {
    let (folder, path) = whole();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("of-somebody"), "text").unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    let found = faults(&path).await.join("\n");
    assert!(found.contains("lanyardd.yaml:1:11"), "{found}");
    assert!(found.contains("has mode 0755, must be 0700"), "{found}");
    // One of a daemon is closed by the start, and not by looking at it.
    fs::create_dir(data.join("journal")).unwrap();
    run(&path).await.unwrap();
    let mode = fs::metadata(&data).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
}

#[tokio::test]
async fn one_charter_in_two_files_and_one_of_the_brokers_own_name_are_faults() {
    let (folder, path) = whole();
    let charter = CHARTER
        .replace("production: {autonomy: execute-production}", "")
        .replace(", production]", "]");
    let charter = charter.replace("environments: [production]", "environments: [staging]");
    let charter = charter.replace("environment: production", "environment: staging");
    for name in ["one", "two"] {
        fs::write(
            folder.path().join(format!("charters/{name}.yaml")),
            &charter,
        )
        .unwrap();
    }
    let own = charter.replacen("name: ticket-router", "name: lanyard-drill", 1);
    fs::write(folder.path().join("charters/zero.yaml"), own).unwrap();
    let found = faults(&path).await.join("\n");
    assert!(found.contains("two.yaml:1:1"), "{found}");
    assert!(found.contains("one file for a charter"), "{found}");
    assert!(found.contains("zero.yaml:1:1"), "{found}");
    assert!(found.contains("the broker's own drills"), "{found}");
}

#[tokio::test]
async fn an_address_that_this_machine_has_not_is_a_fault_and_one_that_is_in_use_is_none() {
    let (_folder, path) = whole();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listens = |address: &str| CONFIG.replacen("127.0.0.1:0", address, 1);
    let used = taken.local_addr().unwrap().to_string();
    fs::write(&path, listens(&used)).unwrap();
    run(&path).await.unwrap();
    // An address of the documentation's (RFC 5737), which no machine has.
    fs::write(&path, listens("192.0.2.1:7070")).unwrap();
    let found = faults(&path).await.join("\n");
    assert!(found.contains("lanyardd.yaml:3:9"), "{found}");
    assert!(found.contains("cannot listen on 192.0.2.1:7070"), "{found}");
}

#[tokio::test]
async fn each_of_several_faults_about_one_thing_is_at_its_own_place() {
    let (folder, path) = whole();
    let more = "metrics_listen: 127.0.0.1:7172\nmetrics_bearer_file: none.token\nmetrics_client_ca: none.pem\n\
                kill_listen: 127.0.0.1:7172\n";
    fs::write(&path, format!("{CONFIG}{more}")).unwrap();
    // Not copied: the key keeps its mode.
    let certificate = fs::read(folder.path().join("tls.pem")).unwrap();
    fs::write(folder.path().join("tls.key"), certificate).unwrap();
    let found = faults(&path).await;
    let expected = [
        ("lanyardd.yaml:6:8", "the key"),
        ("lanyardd.yaml:19:17", "the address of another listener"),
        ("lanyardd.yaml:20:22", "none.token"),
        ("lanyardd.yaml:21:20", "none.pem"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (line, (place, says)) in found.iter().zip(expected) {
        assert!(line.contains(place) && line.contains(says), "{line}");
    }
}

#[tokio::test]
async fn a_certificate_that_has_ended_is_a_fault() {
    let (folder, path) = whole();
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let ended = params.self_signed(&key).unwrap();
    fs::write(folder.path().join("tls.pem"), ended.pem()).unwrap();
    fs::write(folder.path().join("tls.key"), key.serialize_pem()).unwrap();
    let found = faults(&path).await.join("\n");
    assert!(found.contains("lanyardd.yaml:5:16"), "{found}");
    assert!(found.contains("has ended"), "{found}");
}

#[test]
fn a_place_is_found_by_number_and_by_name_and_else_as_near_as_there_is() {
    let places = Places::of(CONFIG);
    let at = |path: &[&str]| places.span(path).at.to_string();
    assert_eq!(at(&["issuers", "0", "jwks_file"]), "12:16");
    assert_eq!(at(&["webhooks", "chat", "secret_file"]), "16:18");
    assert_eq!(at(&["tls", "no-such-field"]), at(&["tls"]));
    assert_eq!(at(&["no-such-field"]), "1:1");
}
