//! The kill plane: an address served by a thread of its own, which nothing else can occupy (T48).
//! Nothing is issued while the kill plane cannot be reached, because what is issued has to be
//! stopped by it.

use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Result;
use lanyard_core::condition::Reason;
use lanyard_engine::Engine;
use tokio::sync::watch;

use crate::plane::Plane;

/// Serves until told to close. On return the address is open, or the reason why not is raised.
///
/// # Errors
/// When there is no thread for it.
pub(crate) async fn begin(plane: Plane, closing: watch::Receiver<bool>) -> Result<JoinHandle<()>> {
    let first = plane.open().await;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let thread = std::thread::Builder::new().name("kill".to_owned());
    Ok(thread.spawn(move || {
        let fallen = Fallen {
            engine: Arc::clone(&plane.engine),
            address: plane.address.to_string(),
            closing: closing.clone(),
        };
        runtime.block_on(plane.serve(first, closing));
        drop(fallen);
    })?)
}

/// Raises a reason when it is dropped, which happens also if the thread panics.
struct Fallen {
    engine: Arc<Engine>,
    address: String,
    closing: watch::Receiver<bool>,
}

impl Drop for Fallen {
    fn drop(&mut self) {
        if !*self.closing.borrow() {
            self.engine.conditions().raise(Reason::KillPlaneDown {
                address: self.address.clone(),
                why: "the thread has ended by itself".to_owned(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use lanyard_core::condition::Kind;

    use super::*;
    use crate::plane::Purpose;
    use crate::plane::tests::{kinds, plane, taken};

    #[tokio::test]
    async fn a_broker_whose_kill_plane_cannot_be_reached_issues_nothing_until_it_can() {
        let (holds, address) = taken();
        let (plane, engine) = plane(Purpose::Kills, address, None);
        let (close, closing) = watch::channel(false);
        let thread = begin(plane, closing).await.unwrap();
        let refused = engine.conditions().check().unwrap_err();
        assert!(refused.kinds.contains(&Kind::KillPlaneDown), "{refused}");
        drop(holds);
        while engine.conditions().check().is_err() {
            tokio::task::yield_now().await;
        }
        tokio::net::TcpStream::connect(address).await.unwrap();
        close.send_replace(true);
        tokio::task::spawn_blocking(|| thread.join())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(kinds(&engine), []);
    }

    #[tokio::test]
    async fn a_thread_of_the_kill_plane_that_dies_stops_issuing() {
        let (plane, engine) = plane(Purpose::Kills, taken().1, None);
        let (_close, closing) = watch::channel(false);
        let fallen = Fallen {
            engine: plane.engine,
            address: plane.address.to_string(),
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
