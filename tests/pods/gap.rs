//! For how long nobody answers at an address, while something else happens.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lanyard_rig::Pods;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const ASK_INTERVAL: Duration = Duration::from_millis(50);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

const GAP_TIMEOUT: Duration = Duration::from_secs(180);

/// The answers that somebody got who asked all the time.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) answered: u32,
    /// How often what came instead of an answer.
    pub(crate) unanswered: BTreeMap<String, u32>,
    /// The longest time between two answers.
    pub(crate) gap: Duration,
}

/// A GET of this path at an address, over TLS and a connection of its own; the status.
fn get(config: &Arc<ClientConfig>, address: SocketAddr, name: &str, path: &str) -> Result<u16> {
    let tcp = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
    tcp.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from(name.to_owned())?;
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::clone(config), name)?, tcp);
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: lanyard\r\nconnection: close\r\n\r\n"
    )?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    let status = std::str::from_utf8(&start)?;
    Ok(status.split(' ').nth(1).context("no status")?.parse()?)
}

/// Asks an address of the cluster while this is done; what came of it, and what was seen.
#[expect(
    clippy::disallowed_methods,
    reason = "how long nobody answered is what is measured"
)]
pub(crate) fn while_asking<T>(
    pods: &Pods,
    (address, name, path): (SocketAddr, &str, &str),
    authority: &str,
    work: impl FnOnce() -> Result<T>,
) -> Result<(T, Seen)> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (config, done) = (Arc::new(config), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            pods.on_network(|| {
                let (mut seen, mut last) = (Seen::default(), Instant::now());
                loop {
                    let was_done = done.load(Ordering::SeqCst);
                    let failed = match get(&config, address, name, path) {
                        Ok(200) => None,
                        Ok(status) => Some(status.to_string()),
                        Err(error) => Some(error.to_string()),
                    };
                    if let Some(failed) = failed {
                        *seen.unanswered.entry(failed).or_default() += 1;
                        ensure!(
                            last.elapsed() < GAP_TIMEOUT,
                            "nobody answers any more: {seen:?}"
                        );
                    } else {
                        seen.answered += 1;
                        seen.gap = seen.gap.max(last.elapsed());
                        last = Instant::now();
                        // A gap that is open when the work is done ends with the next answer.
                        if was_done {
                            return Ok(seen);
                        }
                    }
                    std::thread::sleep(ASK_INTERVAL);
                }
            })
        });
        let came = work();
        done.store(true, Ordering::SeqCst);
        let seen = asking
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((came?, seen))
    })
}
