//! Multicast DNS: which boards of this network say that they are members, without anybody naming them.
//!
//! ```text
//!   browse    "_solder._tcp.local?"  ==> 224.0.0.251:5353 ==>  announce
//!             where, and which port  <========================  to who asked, or to all
//! ```
//!
//! A hint only: anybody in the network can say so. What decides is the secret (`peer`).
//!
//! Here you will not find: TLS, who is believed.

mod announce;
mod browse;
mod words;

use std::net::{Ipv4Addr, SocketAddrV4};

pub use self::{announce::announce, browse::browse};

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const PORT: u16 = 5353;
const EVERYBODY: SocketAddrV4 = SocketAddrV4::new(GROUP, PORT);

/// RFC 6762, 17: no larger packet is sent.
const PACKET_BYTES_MAX: usize = 9000;
