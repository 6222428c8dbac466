//! Where the server is called.

use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    time::Duration,
};

use async_io::Async;
use rustix::net::sockopt;

use crate::system;

/// Connections that wait to be accepted: so many clients may come at the same moment.
const BACKLOG: i32 = 1024;

/// A bound address.
pub struct Listener {
    pub(super) socket: Async<TcpListener>,
    address: SocketAddr,
}

impl Listener {
    /// Binds `http://host:port` or `host:port`; host is a name, an address, or an IPv6 address in brackets, of which `[::]` is
    /// every address, of IPv4 too. The error is one line that says what to do.
    pub fn bind(url: &str) -> Result<Listener, String> {
        let (host, address) = resolve(url)?;
        let bound = system::listen(address).and_then(|socket| {
            // The standard library asks for a shorter queue than clients of a board that comes back make.
            rustix::net::listen(&socket, BACKLOG)?;
            tune(&socket)?;
            let address = socket.local_addr()?;
            Ok(Listener { socket: Async::new(socket)?, address })
        });
        bound.map_err(|error| explain(&host, &error))
    }

    /// The same once more: who is accepted by one is not by the other.
    pub fn again(&self) -> io::Result<Listener> {
        let socket = self.socket.get_ref().try_clone()?;
        Ok(Listener { socket: Async::new(socket)?, address: self.address })
    }

    /// As bound: with the port that the system chose if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Every connection inherits this. Answers are written whole, so nothing is gained by waiting for more; and a watcher whose
/// power went away without a word is noticed after two minutes.
fn tune(socket: &TcpListener) -> io::Result<()> {
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, Duration::from_secs(60))?;
    sockopt::set_tcp_keepintvl(socket, Duration::from_secs(15))?;
    Ok(sockopt::set_tcp_keepcnt(socket, 4)?)
}

fn resolve(url: &str) -> Result<(String, SocketAddr), String> {
    if url.starts_with("https://") {
        return Err(format!("cannot listen on {url}: TLS is not supported yet, use http://"));
    }
    let host = url.strip_prefix("http://").unwrap_or(url);
    let host = host.strip_suffix('/').unwrap_or(host);
    let addresses = host.to_socket_addrs().map_err(|error| {
        format!(
            "cannot listen on {url}: {error}; give it as http://ADDRESS:PORT, such as http://127.0.0.1:2379"
        )
    })?;
    // As Go's programs do, a name is bound by its IPv4 address if it has one.
    let address = addresses.min_by_key(SocketAddr::is_ipv6);
    address
        .map(|address| (host.to_string(), address))
        .ok_or(format!("cannot listen on {url}: no such address"))
}

fn explain(host: &str, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there: stop it, or choose another port with --listen-client-urls"
        }
        io::ErrorKind::AddrNotAvailable => "this board has no such address: see `ip address`",
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need rights: choose another with --listen-client-urls"
        }
        _ => return format!("cannot listen on {host}: {error}"),
    };
    format!("cannot listen on {host}: {advice}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn connections_inherit_what_is_set() {
        let listener = Listener::bind("http://127.0.0.1:0").expect("a free port");
        let _client = TcpStream::connect(listener.address()).expect("it listens");
        let (socket, _) = futures_lite::future::block_on(listener.socket.accept()).expect("a connection");
        assert!(
            sockopt::tcp_nodelay(&socket).expect("open") && sockopt::socket_keepalive(&socket).expect("open")
        );
        assert_eq!(sockopt::tcp_keepidle(&socket).expect("open"), Duration::from_secs(60));
    }
}
