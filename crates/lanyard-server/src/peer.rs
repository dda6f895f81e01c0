//! The peer of a connection, as requests carry it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The address of a request's peer, among the request's extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerAddress(pub(crate) SocketAddr);

impl PeerAddress {
    /// Returns the network that bounds by peer count, see [`network`].
    pub(crate) fn network(&self) -> IpAddr {
        network(self.0.ip())
    }
}

/// The address, or for IPv6 its /64, because whoever has one address of a /64 has all of them.
pub(crate) fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}
