//! The number of connections, in all and for each peer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::peer::network;

/// The most connections of a listener.
///
/// # Limit
/// - for: a listener, half of them one address (one /64 for IPv6); fewer where the system has fewer
///   descriptors
/// - unit: connections
/// - beyond: the connection is closed at once
/// - test: `t43_a_peer_has_so_many_connections_and_no_more`
const MAX_CONNECTIONS: usize = 4096;
/// The number of file descriptors asked of the operating system: enough for the listeners, the
/// journal and the providers.
const DESCRIPTORS: u64 = 32 * 1024;
/// The fraction of the descriptors that one listener takes at most. There are three listeners, and
/// the journal needs some too.
const PART: u64 = 4;

/// The connections of a listener, counted.
#[derive(Clone)]
pub(super) struct Places {
    most: usize,
    of_a_peer: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    peers: HashMap<IpAddr, usize>,
    all: usize,
    refused: u64,
}

/// A counted connection, until it is dropped.
pub(super) struct CountedConnection {
    places: Places,
    peer: IpAddr,
}

impl Places {
    /// Allows as many connections as the process has descriptors for. One peer, which may be a
    /// proxy for many, gets half.
    pub(super) fn of_process() -> Self {
        let most = descriptors().map_or(MAX_CONNECTIONS, |most| {
            usize::try_from(most / PART).map_or(MAX_CONNECTIONS, |part| part.min(MAX_CONNECTIONS))
        });
        Self::new(most, most / 2)
    }

    pub(super) fn new(most: usize, of_a_peer: usize) -> Self {
        Self {
            most,
            of_a_peer,
            taken: Arc::default(),
        }
    }

    /// Counts a connection of this peer, if there is room.
    pub(super) fn take(&self, peer: IpAddr) -> Option<CountedConnection> {
        let peer = network(peer);
        let mut taken = self.taken.lock();
        let of_peer = taken.peers.get(&peer).copied().unwrap_or(0);
        if taken.all >= self.most || of_peer >= self.of_a_peer {
            taken.refused += 1;
            // One line for each doubling: a flood of connections does not become one of log lines.
            if taken.refused.is_power_of_two() {
                tracing::warn!(
                    %peer,
                    of_peer,
                    all = taken.all,
                    refused = taken.refused,
                    "too many connections: refused"
                );
            }
            return None;
        }
        taken.all += 1;
        taken.peers.insert(peer, of_peer + 1);
        Some(CountedConnection {
            places: self.clone(),
            peer,
        })
    }
}

impl Drop for CountedConnection {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        taken.all = taken.all.saturating_sub(1);
        match taken.peers.get_mut(&self.peer) {
            Some(of_peer) if *of_peer > 1 => *of_peer -= 1,
            Some(_) | None => drop(taken.peers.remove(&self.peer)),
        }
    }
}

/// The number of descriptors of this process, after asking for as many as allowed.
fn descriptors() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(DESCRIPTORS, |maximum| maximum.min(DESCRIPTORS));
    if current.is_none_or(|current| current >= wanted) {
        return current;
    }
    let more = Rlimit {
        current: Some(wanted),
        maximum,
    };
    if setrlimit(Resource::Nofile, more).is_ok() {
        Some(wanted)
    } else {
        current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // T43
    #[test]
    fn t43_a_peer_has_its_part_and_gives_it_back() {
        let places = Places::new(3, 2);
        let peer = |text: &str| text.parse::<IpAddr>().unwrap();
        let one = places.take(peer("192.0.2.1")).unwrap();
        let _other = places.take(peer("::ffff:192.0.2.1")).unwrap();
        assert!(places.take(peer("192.0.2.1")).is_none());
        let _elsewhere = places.take(peer("192.0.2.2")).unwrap();
        assert!(places.take(peer("192.0.2.3")).is_none(), "more than in all");
        drop(one);
        assert!(places.take(peer("192.0.2.1")).is_some());
    }

    // T43
    #[test]
    fn t43_a_network_of_ipv6_is_one_peer() {
        let places = Places::new(10, 1);
        let peer = |text: &str| text.parse::<IpAddr>().unwrap();
        let _one = places.take(peer("2001:db8::1")).unwrap();
        assert!(places.take(peer("2001:db8::ffff:1")).is_none());
        assert!(places.take(peer("2001:db8:0:1::1")).is_some());
    }
}
