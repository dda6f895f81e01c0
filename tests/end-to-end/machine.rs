//! The machine around the command line: the authority of the broker's certificate, and the proxy on
//! the way to the broker.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use lanyard_rig::{Answer, binaries, daemon_command, free_port};
use lanyard_tests::{Stage, until};
use serde_json::{Value, json};

/// The name that clients reach the broker by; nobody resolves it.
const HOST: &str = "broker.acme.example";

/// A proxy that speaks CONNECT, and notes the first line of each request.
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// A proxy that connects whoever asks to this address, by whatever name; one that refuses where
    /// there is none.
    fn to(broker: Option<SocketAddr>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let noted = Arc::clone(&asked);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let noted = Arc::clone(&noted);
                // A client that goes away ends its tunnel, and nothing else.
                std::thread::spawn(move || drop(tunnel(client, broker, &noted)));
            }
        });
        Ok(Self { address, asked })
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn tunnel(
    mut client: TcpStream,
    broker: Option<SocketAddr>,
    noted: &Mutex<Vec<String>>,
) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8(head)?;
    let first = head.lines().next().unwrap_or_default().to_owned();
    noted
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(first);
    let Some(broker) = broker else {
        return Ok(client.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")?);
    };
    let mut server = TcpStream::connect(broker)?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        // Either side may end first; then the other one is told.
        drop(std::io::copy(&mut from, &mut to));
        drop(to.shutdown(Shutdown::Both));
    });
    drop(std::io::copy(&mut server, &mut client));
    Ok(client.shutdown(Shutdown::Both)?)
}

/// A broker whose certificate and contexts name [`HOST`], on loopback.
struct Broker {
    folder: tempfile::TempDir,
    address: SocketAddr,
    child: Child,
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended before: then there is nothing to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Makes an installation in this folder; where.
fn installed(folder: &Path, address: SocketAddr) -> Result<PathBuf> {
    let broker = folder.join("broker");
    let (place, listen) = (broker.display().to_string(), address.to_string());
    let init = ["init", &place, "--listen", &listen, "--host", HOST];
    let people = [
        "--person",
        "alice:approver,on-call,admin",
        "--person",
        "bob:on-call",
    ];
    let made = daemon_command(&[&init[..], &people].concat())?;
    ensure!(made.code == 0, "{made:?}");
    Ok(broker)
}

impl Broker {
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = free_port()?;
        let broker = installed(folder.path(), address)?;
        let child = Command::new(binaries()?.join("lanyardd"))
            .args(["serve", "--config"])
            .arg(broker.join("lanyardd.yaml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("lanyardd.log"))?)
            .spawn()?;
        Ok(Self {
            folder,
            address,
            child,
        })
    }

    /// `lanyard` as this one of its contexts, with these variables of the proxies and no others.
    fn run(&self, who: &str, proxies: &[(&str, &str)], arguments: &[&str]) -> Result<Answer> {
        let folder = self.folder.path();
        let output = Command::new(binaries()?.join("lanyard"))
            .arg("--context")
            .arg(folder.join(format!("broker/contexts/{who}.json")))
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder)
            .env("LANYARD_STATE", folder.join("state"))
            // Of Terraform, whose version `doctor` asks for: it would look for a newer one.
            .env("CHECKPOINT_DISABLE", "1")
            .envs(proxies.iter().copied())
            .stdin(Stdio::null())
            .output()?;
        Ok(Answer::of(&output))
    }
}

// Whole processes: the command line over gRPC, `doctor` over HTTP too, and the local agent that the
// command line starts.
#[test]
fn e42_a_broker_behind_a_proxy_is_reached_by_every_process() -> Result<()> {
    let broker = Broker::start()?;
    let proxy = Proxy::to(Some(broker.address))?;
    let url = proxy.url();
    let connect = format!("CONNECT {HOST}:{} HTTP/1.1", broker.address.port());
    until(|| {
        let me = broker.run("agent", &[("HTTPS_PROXY", &url)], &["whoami"])?;
        Ok(me.code == 0)
    })?;
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        proxy.asked();
        let me = broker.run("agent", &[(variable, &url)], &["whoami"])?;
        assert_eq!(me.code, 0, "{variable}: {me:?}");
        assert_eq!(proxy.asked(), [connect.as_str()], "{variable}");
    }
    let looked = broker.run("alice", &[("HTTPS_PROXY", &url)], &["doctor"])?;
    let named = format!("the proxy {url} (HTTPS_PROXY)");
    assert!(looked.stdout.contains(&named), "{looked:?}");
    assert!(proxy.asked().contains(&connect));
    // The local agent is a process of its own, and speaks to the broker itself.
    let asked =
        "creds token read-tickets --charter ticket-router --environment production --reason trial";
    let asked: Vec<_> = asked.split(' ').collect();
    let token = broker.run("agent", &[("https_proxy", &url)], &asked)?;
    assert!(
        token.code == 0 && token.stdout.starts_with("ey"),
        "{token:?}"
    );
    let stopped = broker.run("agent", &[("https_proxy", &url)], &["agent", "stop"])?;
    assert_eq!(stopped.code, 0, "{stopped:?}");
    // What NO_PROXY names is not asked of the proxy.
    proxy.asked();
    let direct = [
        ("HTTPS_PROXY", url.as_str()),
        ("NO_PROXY", "corp.example, .acme.example"),
    ];
    let lost = broker.run("agent", &direct, &["whoami"])?;
    assert_eq!(lost.code, 7, "{lost:?}");
    assert_eq!(proxy.asked(), [""; 0]);

    // A proxy that refuses is named, with what to do.
    let wall = Proxy::to(None)?;
    let url = wall.url();
    for arguments in [&["whoami"][..], &["status"]] {
        let refused = broker.run("alice", &[("https_proxy", &url)], arguments)?;
        assert_eq!(refused.code, 7, "{refused:?}");
        let said = refused
            .stderr
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let named = format!("the proxy {url} (https_proxy) does not connect to `{HOST}:");
        assert!(said.contains(&named) && said.contains("NO_PROXY"), "{said}");
    }
    Ok(())
}

#[test]
fn e42_a_broker_on_loopback_is_reached_without_the_proxy() -> Result<()> {
    let stage = Stage::set()?;
    let wall = Proxy::to(None)?;
    let url = wall.url();
    let agent = stage.daemon.cli("agent")?;
    let agent = agent.with(&[("HTTPS_PROXY", &url), ("ALL_PROXY", &url)]);
    agent.ok(&["whoami"])?;
    assert_eq!(wall.asked(), [""; 0]);
    Ok(())
}

/// Another authority of another name, and one of the same name with another key: as after a broker
/// was installed anew.
#[test]
fn e42_an_authority_that_the_context_does_not_know_is_told_with_what_to_do() -> Result<()> {
    let (stage, anew) = (Stage::set()?, Stage::set()?);
    let other = tempfile::tempdir()?;
    let other = installed(other.path(), free_port()?)?;
    let theirs: Value =
        serde_json::from_str(&std::fs::read_to_string(other.join("contexts/agent.json"))?)?;
    let theirs = theirs.get("ca_file").and_then(Value::as_str);
    let theirs = other.join("contexts").join(theirs.context("no ca_file")?);
    let contexts = stage.directory.path().join("contexts");
    let text = std::fs::read_to_string(contexts.join("agent.json"))?;
    for authority in [theirs, anew.directory.path().join("dev-ca.pem")] {
        let mut context: Value = serde_json::from_str(&text)?;
        context
            .as_object_mut()
            .context("no object")?
            .insert("ca_file".to_owned(), json!(authority));
        let file = contexts.join("moved.json");
        std::fs::write(&file, context.to_string())?;
        let refused = stage.daemon.cli("moved")?.run(&["whoami"])?;
        assert_eq!(refused.code, 7, "{refused:?}");
        let said = refused
            .stderr
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let remedy = format!(
            "its certificate is of an authority that the context does not know: put the authority's PEM file into `ca_file` of {}",
            file.display()
        );
        assert!(said.contains(&remedy), "{said}");
    }
    Ok(())
}
