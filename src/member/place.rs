//! Which of this board's addresses others can call: the one that its packets to them would come from. The system's own
//! routes know; asking them sends nothing. And where others may be, if addresses do not lead to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::peer::PeerUrl;

/// Addresses of documentation: nobody has them, and every default route leads there.
const ANYBODY: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];

/// The address of this board for `other`. `None`: there is no way there now.
pub fn address_towards(other: IpAddr) -> Option<IpAddr> {
    let own: SocketAddr = match other {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(own).ok()?;
    socket.connect((other, 9)).ok()?;
    let address = socket.local_addr().ok()?.ip().to_canonical();
    (!address.is_unspecified()).then_some(address)
}

/// The address that most others would see: where the default route begins, else the first that is no loopback.
pub fn address_outward() -> Option<IpAddr> {
    ANYBODY
        .into_iter()
        .find_map(address_towards)
        .filter(|address| !address.is_loopback())
        .or_else(neighbourly)
}

/// A network of boards may have no way out of it, and so no default route.
fn neighbourly() -> Option<IpAddr> {
    let broadcast = address_towards(IpAddr::V4(Ipv4Addr::new(224, 0, 0, 251)));
    broadcast.filter(|address| !address.is_loopback()).or_else(of_interface)
}

/// The kernel's table of IPv4 routes: the first network that is joined directly.
fn of_interface() -> Option<IpAddr> {
    let table = std::fs::read_to_string("/proc/net/route").ok()?;
    let networks = table.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().nth(1));
    let host = |network: &str| u32::from_str_radix(network, 16).ok().map(u32::from_be);
    let hosts = networks.filter_map(host).filter(|network| *network != 0);
    // Any host of that network will do: its route is asked for, nothing is sent.
    hosts
        .filter_map(|network| address_towards(IpAddr::V4(Ipv4Addr::from_bits(network | 1))))
        .find(|address| !address.is_loopback())
}

/// Where a host has no name in the network's DNS, it may have one of its own.
const SUFFIXES: [&str; 2] = [".local", ""];

/// Where a board of this name may be, if it is called as its host.
pub fn places_by_name(name: &str, port: u16) -> Vec<PeerUrl> {
    let place = |suffix: &&str| PeerUrl::parse(&format!("https://{name}{suffix}:{port}")).ok();
    SUFFIXES.iter().filter(|_| !name.is_empty()).filter_map(place).collect()
}

/// The host of a URL.
pub(super) fn as_host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn towards_itself_it_is_itself() {
        let home = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(address_towards(home), Some(home));
        assert_eq!(as_host(home), "127.0.0.1");
        assert_eq!(as_host(IpAddr::V6(Ipv6Addr::LOCALHOST)), "[::1]");
    }

    #[test]
    fn who_is_called_as_its_host_may_be_there() {
        let places = |name| places_by_name(name, 2380).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(places("kitchen"), ["https://kitchen.local:2380", "https://kitchen:2380"]);
        assert_eq!((places(""), places("two words")), (Vec::new(), Vec::new()));
    }

    #[test]
    fn outward_is_never_loopback() {
        assert!(address_outward().is_none_or(|address| !address.is_loopback()));
    }
}
