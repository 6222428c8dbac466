//! Sockets that listen.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt},
};

/// As the standard library asks for.
const BACKLOG: i32 = 128;

/// `[::]` is every address, of IPv4 too, whatever the system's default is; without IPv6 it is every address of IPv4.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    match address.ip() {
        IpAddr::V6(ip) if ip.is_unspecified() => everywhere(address.port()),
        _ => TcpListener::bind(address),
    }
}

fn everywhere(port: u16) -> io::Result<TcpListener> {
    let only_v4 = || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port));
    let socket = match socket_with(AddressFamily::INET6, SocketType::STREAM, SocketFlags::CLOEXEC, None) {
        Err(Errno::AFNOSUPPORT) => return only_v4(),
        made => made?,
    };
    sockopt::set_ipv6_v6only(&socket, false)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    match bind(&socket, &SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0)) {
        Err(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT) => return only_v4(),
        bound => bound?,
    }
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn everywhere_is_both() {
        let listener = listen((Ipv6Addr::UNSPECIFIED, 0).into()).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("by IPv4");
        let (_, from) = listener.accept().expect("a connection");
        assert!(from.ip().to_canonical().is_ipv4(), "{from}");
        // Some machines have none.
        if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, port)).expect("by IPv6");
        }
        let taken = listen((Ipv6Addr::UNSPECIFIED, port).into()).expect_err("it is taken");
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    }
}
