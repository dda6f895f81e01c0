//! The kill plane: a listener and a thread of its own, which nothing else can keep busy (T48). While nobody can be reached
//! there, nothing is issued: what is issued has to be stopped by it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use lanyard_core::condition::{Kind, Reason};
use lanyard_engine::Engine;
use tokio::sync::watch;

use crate::listen::Listener;
use crate::tls::TlsFiles;

/// How long after a failure the address is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// What is served, and where.
pub(crate) struct KillPlane {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) router: axum::Router,
    pub(crate) engine: Arc<Engine>,
}

impl KillPlane {
    /// Serves until told to close. The address is taken, or the reason why not is raised, before this returns.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub(crate) async fn begin(self, closing: watch::Receiver<bool>) -> Result<JoinHandle<()>> {
        let first = self.open().await;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new().name("kill".to_owned());
        Ok(thread.spawn(move || {
            let fallen = Fallen {
                engine: Arc::clone(&self.engine),
                address: self.address,
                closing: closing.clone(),
            };
            runtime.block_on(self.run(first, closing));
            drop(fallen);
        })?)
    }

    async fn open(&self) -> Result<Listener> {
        let opened = Listener::open(self.address, self.tls.as_ref()).await;
        let reason = opened.as_ref().err().map(|error| Reason::KillPlaneDown {
            address: self.address.to_string(),
            why: format!("{error:#}"),
        });
        let conditions = self.engine.conditions();
        conditions.replace(Kind::KillPlaneDown, reason);
        opened
    }

    async fn run(self, first: Result<Listener>, mut closing: watch::Receiver<bool>) {
        let mut next = Some(first);
        loop {
            let listener = match next.take() {
                Some(first) => first,
                None => self.open().await,
            };
            if let Ok(listener) = listener {
                let served = listener.serve(self.router.clone(), closing.clone()).await;
                if *closing.borrow() {
                    return;
                }
                let why = served.err().map(|error| format!("{error:#}"));
                let reason = Reason::KillPlaneDown {
                    address: self.address.to_string(),
                    why: why.unwrap_or_else(|| "the listener ended by itself".to_owned()),
                };
                let conditions = self.engine.conditions();
                conditions.replace(Kind::KillPlaneDown, [reason]);
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY_INTERVAL) => {}
                _ = closing.wait_for(|closing| *closing) => return,
            }
        }
    }
}

/// Dropped when the thread ends, by a panic too.
struct Fallen {
    engine: Arc<Engine>,
    address: SocketAddr,
    closing: watch::Receiver<bool>,
}

impl Drop for Fallen {
    fn drop(&mut self) {
        if !*self.closing.borrow() {
            self.engine.conditions().raise(Reason::KillPlaneDown {
                address: self.address.to_string(),
                why: "the thread has ended by itself".to_owned(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use lanyard_testkit::ledger::MemoryLedger;

    use super::*;
    use crate::spool::tests::engine_over;

    #[tokio::test]
    async fn a_broker_whose_kill_plane_cannot_be_reached_issues_nothing_until_it_can() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let ledger = MemoryLedger::replay(Arc::default(), Vec::new());
        let engine = engine_over(Arc::new(ledger));
        let plane = KillPlane {
            address,
            tls: None,
            router: axum::Router::new(),
            engine: Arc::clone(&engine),
        };
        let (close, closing) = watch::channel(false);
        let thread = plane.begin(closing).await.unwrap();
        let refused = engine.conditions().check().unwrap_err();
        assert!(refused.kinds.contains(&Kind::KillPlaneDown), "{refused}");
        let reasons = engine.conditions().reasons();
        assert!(
            reasons[0].to_string().contains(&address.to_string()),
            "{reasons:?}"
        );
        drop(taken);
        while engine.conditions().check().is_err() {
            tokio::task::yield_now().await;
        }
        tokio::net::TcpStream::connect(address).await.unwrap();
        close.send_replace(true);
        tokio::task::spawn_blocking(|| thread.join())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(engine.conditions().reasons(), []);
    }

    #[tokio::test]
    async fn a_thread_of_the_kill_plane_that_dies_stops_issuing() {
        let engine = engine_over(Arc::new(MemoryLedger::replay(Arc::default(), Vec::new())));
        let (_close, closing) = watch::channel(false);
        let fallen = Fallen {
            engine: Arc::clone(&engine),
            address: SocketAddr::from(([127, 0, 0, 1], 1)),
            closing,
        };
        let dies = std::thread::spawn(move || {
            let _fallen = fallen;
            panic!("a defect");
        });
        assert!(dies.join().is_err());
        let refused = engine.conditions().check().unwrap_err();
        assert!(refused.kinds.contains(&Kind::KillPlaneDown), "{refused}");
    }
}
