//! Where peers call this board.

use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
};

use async_io::Async;

use super::PeerUrl;
use crate::system;

/// A bound address.
pub struct PeerListener {
    pub(super) socket: Async<TcpListener>,
    pub(super) is_tls: bool,
    address: SocketAddr,
}

impl PeerListener {
    /// The error is one line that says what to do.
    pub fn bind(url: &PeerUrl) -> Result<PeerListener, String> {
        let bound = bind(url).map_err(|error| explain(url, &error))?;
        if !url.is_tls && !url.is_loopback() {
            log::warn!(
                "peers are listened to at {url} without TLS: whoever reaches it can read and change everything; use \
                 https:// with --peer-cert-file, --peer-key-file and --peer-trusted-ca-file"
            );
        }
        Ok(bound)
    }

    /// As bound: with the port that the system chose if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn bind(url: &PeerUrl) -> io::Result<PeerListener> {
    let addresses = (url.host.as_str(), url.port).to_socket_addrs()?;
    // As Go's programs do, a name is bound by its IPv4 address if it has one.
    let address = addresses.min_by_key(SocketAddr::is_ipv6).ok_or(io::ErrorKind::AddrNotAvailable)?;
    let socket = system::listen(address)?;
    let address = socket.local_addr()?;
    Ok(PeerListener { socket: Async::new(socket)?, is_tls: url.is_tls, address })
}

fn explain(url: &PeerUrl, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there: stop it, or choose another port with --listen-peer-urls"
        }
        io::ErrorKind::AddrNotAvailable => "this board has no such address: see `ip address`",
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need rights: choose another with --listen-peer-urls"
        }
        _ => return format!("cannot listen on {url}: {error}"),
    };
    format!("cannot listen on {url}: {advice}")
}
