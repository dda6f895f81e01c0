//! An address that the daemon serves: opened, and tried again for as long as nobody can be reached
//! there. Its certificate may come later than the daemon, as a Secret of Kubernetes does, and its
//! address may be another process's for a while. Neither ends the process: revocations go on,
//! orders in the spool are taken over, and the other addresses are served.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use lanyard_core::condition::{Kind, Reason};
use lanyard_engine::Engine;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::listen::Listener;
use crate::newcomers::Newcomers;
use crate::tls::TlsFiles;

/// The wait before a failed address is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The purpose of an address, and so the consequence while it is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// `listen`: nothing is issued.
    Everybody,
    /// `kill_listen`: nothing is issued, because what is issued has to be stopped there.
    Kills,
    /// `metrics_listen`: the log says so.
    Metrics,
    /// `admission_listen`: the log says so, and the API server goes on without an answer.
    Admission,
}

impl Purpose {
    fn reason(self, address: String, why: String) -> Option<Reason> {
        match self {
            Self::Everybody => Some(Reason::ListenerDown { address, why }),
            Self::Kills => Some(Reason::KillPlaneDown { address, why }),
            Self::Metrics | Self::Admission => None,
        }
    }

    const fn kind(self) -> Option<Kind> {
        match self {
            Self::Everybody => Some(Kind::ListenerDown),
            Self::Kills => Some(Kind::KillPlaneDown),
            Self::Metrics | Self::Admission => None,
        }
    }

    /// Names what is not served, for the log.
    const fn served(self) -> &'static str {
        match self {
            Self::Everybody => "agents and people",
            Self::Kills => "the kill plane",
            Self::Metrics => "the metrics",
            Self::Admission => "the admission webhook",
        }
    }
}

/// Makes what is served at an address. Called for each try, because missing files may come.
pub(crate) type Router = Box<dyn Fn() -> Result<axum::Router> + Send + Sync>;

/// An address with what is served there.
pub(crate) struct Plane {
    pub(crate) purpose: Purpose,
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) router: Router,
    /// The turns of new connections. Kill orders and metrics do not wait for strangers of the same
    /// address.
    pub(crate) newcomers: Option<Newcomers>,
    pub(crate) engine: Arc<Engine>,
    /// The reason why the address is not served, as it was last logged.
    pub(crate) said: Mutex<Option<String>>,
}

/// An open listener with its router.
pub(crate) type Opened = (Listener, axum::Router);

impl Plane {
    /// Opens the address, or raises the reason why not.
    ///
    /// # Errors
    /// When the address, the certificate or what is served cannot be had now.
    pub(crate) async fn open(&self) -> Result<Opened> {
        let opened = async {
            let router = (self.router)()?;
            let listener = Listener::open(self.address, self.tls.as_ref()).await?;
            Ok((listener, router))
        };
        let opened = opened.await;
        self.say(opened.as_ref().err().map(|error| format!("{error:#}")));
        opened
    }

    /// Raises the reason why the address is not served, or lowers it.
    pub(crate) fn say(&self, why: Option<String>) {
        let mut said = self.said.lock();
        if *said == why {
            return;
        }
        said.clone_from(&why);
        let address = self.address.to_string();
        if let (None, Some(why)) = (self.purpose.kind(), &why) {
            let what = self.purpose.served();
            tracing::error!(address, why, what, "an address is not served");
        }
        if let Some(kind) = self.purpose.kind() {
            let reason = why.and_then(|why| self.purpose.reason(address, why));
            self.engine.conditions().replace(kind, reason);
        }
    }

    /// Serves what was opened first, and what can be opened later, until told to close.
    pub(crate) async fn serve(self, first: Result<Opened>, mut closing: watch::Receiver<bool>) {
        let mut next = Some(first);
        while !*closing.borrow() {
            let opened = match next.take() {
                Some(first) => first,
                None => self.open().await,
            };
            if let Ok((listener, router)) = opened {
                let newcomers = self.newcomers.clone();
                let served = listener.serve(router, newcomers, closing.clone()).await;
                if *closing.borrow() {
                    return;
                }
                let why = served.err().map(|error| format!("{error:#}"));
                let why = why.unwrap_or_else(|| "the listener ended by itself".to_owned());
                self.say(Some(why));
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY_INTERVAL) => {}
                _ = closing.wait_for(|closing| *closing) => return,
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;
    use std::path::Path;

    use lanyard_testkit::ledger::MemoryLedger;

    use super::*;
    use crate::spool::tests::engine_over;

    pub(crate) fn plane(
        purpose: Purpose,
        address: SocketAddr,
        tls: Option<TlsFiles>,
    ) -> (Plane, Arc<Engine>) {
        let ledger = MemoryLedger::replay(Arc::default(), Vec::new());
        let engine = engine_over(Arc::new(ledger));
        let plane = Plane {
            purpose,
            address,
            tls,
            router: Box::new(|| Ok(axum::Router::new())),
            newcomers: None,
            engine: Arc::clone(&engine),
            said: Mutex::default(),
        };
        (plane, engine)
    }

    /// A free address, held until the listener is dropped.
    pub(crate) fn taken() -> (std::net::TcpListener, SocketAddr) {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        (taken, address)
    }

    pub(crate) fn kinds(engine: &Engine) -> Vec<Kind> {
        let reasons = engine.conditions().reasons();
        reasons.iter().map(Reason::kind).collect()
    }

    /// Serves an address that fails until something repairs it, and reaches it then.
    async fn served_once_mended(
        (plane, engine): (Plane, Arc<Engine>),
        kind: Kind,
        says: &str,
        mend: impl FnOnce(),
    ) {
        let address = plane.address;
        let first = plane.open().await;
        assert_eq!(kinds(&engine), [kind]);
        let said = engine.conditions().reasons()[0].to_string();
        assert!(said.contains(&address.to_string()), "{said}");
        assert!(said.contains(says), "{said}");
        let (close, closing) = watch::channel(false);
        let serves = tokio::spawn(plane.serve(first, closing));
        mend();
        while engine.conditions().check().is_err() {
            tokio::task::yield_now().await;
        }
        tokio::net::TcpStream::connect(address).await.unwrap();
        close.send_replace(true);
        serves.await.unwrap();
        assert_eq!(engine.conditions().reasons(), []);
    }

    fn pair(directory: &Path) -> (TlsFiles, String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let files = TlsFiles {
            certificate: directory.join("tls.crt"),
            key: directory.join("tls.key"),
        };
        (files, made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn write(files: &TlsFiles, certificate: &str, key: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        fs::write(&files.key, key).unwrap();
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&files.certificate, certificate).unwrap();
    }

    #[tokio::test]
    async fn s16_an_address_that_is_taken_is_served_once_it_is_free() {
        for (purpose, kind) in [
            (Purpose::Everybody, Kind::ListenerDown),
            (Purpose::Kills, Kind::KillPlaneDown),
        ] {
            let (holds, address) = taken();
            let down = plane(purpose, address, None);
            served_once_mended(down, kind, "cannot listen on", || drop(holds)).await;
        }
    }

    #[tokio::test]
    async fn s16_a_certificate_that_is_missing_or_odd_is_served_once_it_is_there() {
        type Make = fn(&TlsFiles);
        let odd: [(&str, Make); 4] = [
            ("No such file", |_| {}),
            ("is a directory", |files| {
                fs::create_dir(&files.certificate).unwrap();
            }),
            ("is not a plain file", |files| {
                let made = std::process::Command::new("mkfifo")
                    .arg(&files.certificate)
                    .status();
                assert!(made.unwrap().success());
            }),
            ("tls.key", |files| write(files, "", "")),
        ];
        for (says, make) in odd {
            let directory = tempfile::tempdir().unwrap();
            let (files, certificate, key) = pair(directory.path());
            make(&files);
            let address = taken().1;
            let down = plane(Purpose::Everybody, address, Some(files.clone()));
            let mend = || {
                if files.certificate.is_dir() {
                    fs::remove_dir(&files.certificate).unwrap();
                } else if files.certificate.exists() {
                    fs::remove_file(&files.certificate).unwrap();
                }
                write(&files, &certificate, &key);
            };
            served_once_mended(down, Kind::ListenerDown, says, mend).await;
        }
    }

    #[tokio::test]
    async fn s16_a_plane_that_is_never_served_ends_when_told_to() {
        let (_holds, address) = taken();
        let (plane, _engine) = plane(Purpose::Metrics, address, None);
        let first = plane.open().await;
        assert!(first.is_err());
        let (close, closing) = watch::channel(false);
        let serves = tokio::spawn(plane.serve(first, closing));
        close.send_replace(true);
        serves.await.unwrap();
    }

    #[tokio::test]
    async fn s16_metrics_that_cannot_be_served_stop_no_issuing() {
        let (_holds, address) = taken();
        let (plane, engine) = plane(Purpose::Metrics, address, None);
        assert!(plane.open().await.is_err());
        assert_eq!(kinds(&engine), []);
    }
}
