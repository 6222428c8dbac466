//! Which of this board's addresses others can call: the one that its packets to them would come from. The system's own
//! routes know; asking them sends nothing. And where others may be, if addresses do not lead to them.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

use crate::peer::PeerUrl;

use super::hardware::is_virtual;

/// Addresses of documentation: nobody has them, and every default route leads there.
const ANYBODY_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const ANYBODY_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// The kernel's tables: routes, and addresses.
const ROUTES_V4: &str = "/proc/net/route";
const ADDRESSES_V6: &str = "/proc/net/if_inet6";

/// The address of this board for `other`. `None`: there is no way there now, or none that others could be told.
pub fn address_towards(other: IpAddr) -> Option<IpAddr> {
    let own: SocketAddr = match other {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(own).ok()?;
    socket.connect((other, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip().to_canonical()).filter(can_be_told)
}

/// Means the same on another board, but for loopback. (An address of one link does not say which.)
pub fn can_be_told(address: &IpAddr) -> bool {
    let is_of_one_link = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    !address.is_unspecified() && !is_of_one_link
}

/// The address that most others would see: where the default route begins, else the first that is no loopback.
pub fn address_outward() -> Option<IpAddr> {
    let mut by_default = [ANYBODY_V4, ANYBODY_V6].into_iter().filter_map(address_towards);
    let neighbourly = || by_neighbours().map(IpAddr::V4);
    let last = || of_cards_v6().first().copied().map(IpAddr::V6);
    by_default.find(|address| !address.is_loopback()).or_else(neighbourly).or_else(last)
}

/// The same of IPv4 alone, for who asks neighbours.
pub fn address_of_neighbour() -> Option<Ipv4Addr> {
    v4(address_towards(ANYBODY_V4)).or_else(by_neighbours)
}

/// All by which others may call it, the one that most would see first.
pub(super) fn addresses() -> Vec<IpAddr> {
    let of_cards = of_cards_v4().into_iter().filter(|address| !address.is_link_local()).map(IpAddr::V4);
    let mut found: Vec<IpAddr> = address_outward().into_iter().collect();
    for address in of_cards.chain(of_cards_v6().into_iter().map(IpAddr::V6)) {
        if !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

/// A network of boards may have no way out of it, and so no default route.
fn by_neighbours() -> Option<Ipv4Addr> {
    let everybody = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 251));
    v4(address_towards(everybody)).or_else(|| of_cards_v4().first().copied())
}

fn v4(address: Option<IpAddr>) -> Option<Ipv4Addr> {
    match address {
        Some(IpAddr::V4(address)) if !address.is_loopback() => Some(address),
        _ => None,
    }
}

/// In the networks that are joined directly. Any host of a network will do: its route is asked for, nothing is sent.
fn of_cards_v4() -> Vec<Ipv4Addr> {
    let table = fs::read_to_string(ROUTES_V4).unwrap_or_default();
    let hosts = networks_v4(&table).into_iter().map(|network| Ipv4Addr::from_bits(network.to_bits() | 1));
    hosts.filter_map(|host| v4(address_towards(IpAddr::V4(host)))).collect()
}

/// `eth0 00004D0A 00000000 ...`: a card, a network, the router on the way there.
fn networks_v4(table: &str) -> Vec<Ipv4Addr> {
    let number = |word: &str| u32::from_str_radix(word, 16).ok().map(u32::from_be);
    let network = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (card, network, router) = (words.next()?, number(words.next()?)?, number(words.next()?)?);
        let is_joined = network != 0 && router == 0 && !is_virtual(card);
        is_joined.then(|| Ipv4Addr::from_bits(network))
    };
    table.lines().filter_map(network).collect()
}

fn of_cards_v6() -> Vec<Ipv6Addr> {
    addresses_v6(&fs::read_to_string(ADDRESSES_V6).unwrap_or_default())
}

/// `fd77..01 02 40 00 80 eth0`: an address, the number of its card, its prefix's length, how far it counts, its flags, its card.
/// One of each card: those that are made up for a day come last, those that do not count yet or any more never.
fn addresses_v6(table: &str) -> Vec<Ipv6Addr> {
    const EVERYWHERE: u8 = 0;
    const TEMPORARY: u8 = 0x01;
    const FAILED_OLD_OR_TENTATIVE: u8 = 0x08 | 0x20 | 0x40;
    let address = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [address, _, _, scope, flags, card] = words[..] else { return None };
        let byte = |word: &str| u8::from_str_radix(word, 16).ok();
        let (address, flags) = (Ipv6Addr::from_bits(u128::from_str_radix(address, 16).ok()?), byte(flags)?);
        let counts = byte(scope)? == EVERYWHERE && flags & FAILED_OLD_OR_TENTATIVE == 0 && !is_virtual(card);
        counts.then(|| (card.to_owned(), flags & TEMPORARY, address))
    };
    let mut found: Vec<_> = table.lines().filter_map(address).collect();
    found.sort();
    found.dedup_by(|later, first| later.0 == first.0);
    found.into_iter().map(|(_, _, address)| address).collect()
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
    fn what_can_be_told() {
        let told = |address: &str| can_be_told(&address.parse().expect("an address"));
        assert!(["10.0.0.1", "127.0.0.1", "fd00::1", "2001:db8::1", "::1"].into_iter().all(told));
        assert!(!["fe80::1", "0.0.0.0", "::"].into_iter().any(told));
    }

    #[test]
    fn the_kernels_tables() {
        let routes = format!(
            "Iface\tDestination\tGateway\n{}",
            [
                ("eth0", [0, 0, 0, 0], [10, 77, 0, 9]),
                ("eth0", [10, 77, 0, 0], [0; 4]),
                ("docker0", [172, 17, 0, 0], [0; 4])
            ]
            .into_iter()
            .chain([("eth1", [10, 99, 0, 0], [10, 77, 0, 9]), ("eth1", [192, 168, 1, 0], [0; 4])])
            .map(|(card, network, router)| {
                let word = |bytes| u32::from_ne_bytes(bytes);
                format!("{card}\t{:08X}\t{:08X}\t0001\n", word(network), word(router))
            })
            .collect::<String>()
        );
        let networks: Vec<String> = networks_v4(&routes).iter().map(ToString::to_string).collect();
        assert_eq!(networks, ["10.77.0.0", "192.168.1.0"]);
        let table = "00000000000000000000000000000001 01 80 10 80       lo\n\
                     fe800000000000000000000000000001 02 40 20 80     eth0\n\
                     fd770000000000000000000000000003 02 40 00 01     eth0\n\
                     fd770000000000000000000000000002 02 40 00 80     eth0\n\
                     fd880000000000000000000000000001 03 40 00 40    wlan0\n\
                     fd990000000000000000000000000001 04 40 00 80  docker0\n\
                     bad\n";
        assert_eq!(addresses_v6(table), ["fd77::2".parse::<Ipv6Addr>().expect("an address")]);
    }

    #[test]
    fn outward_is_never_loopback() {
        assert!(address_outward().is_none_or(|address| !address.is_loopback()));
    }
}
