//! Who is there?

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    time::Duration,
};

use async_io::{Async, Timer};
use futures_lite::future::or;

use super::{EVERYBODY, PACKET_BYTES_MAX, words};

/// Boards answer at once; a slow Wi-Fi takes its time.
const PATIENCE: Duration = Duration::from_millis(800);

/// Who shouts louder than a cluster has members is not listened to.
const FOUND_MAX: usize = 32;

/// On one address: one neighbour cannot be all that are found.
const PORTS_MAX: usize = 2;

/// Asks the network that `from`, an address of this board, is in: where those are that answer. Takes a moment.
pub async fn browse(from: Ipv4Addr) -> io::Result<Vec<SocketAddr>> {
    let socket = Async::<UdpSocket>::bind((from, 0))?;
    socket.get_ref().set_multicast_loop_v4(true)?;
    socket.send_to(&words::query(), SocketAddr::V4(EVERYBODY)).await?;
    let mut found = Vec::new();
    let listening = async {
        let mut packet = vec![0; PACKET_BYTES_MAX];
        while found.len() < FOUND_MAX {
            let Ok((bytes, sender)) = socket.recv_from(&mut packet).await else { break };
            if let (Some(port), IpAddr::V4(address)) = (words::port(&packet[..bytes]), sender.ip()) {
                let place = SocketAddr::V4(SocketAddrV4::new(address, port));
                if is_wanted(&found, place) {
                    found.push(place);
                }
            }
        }
    };
    or(listening, async {
        Timer::after(PATIENCE).await;
    })
    .await;
    Ok(found)
}

fn is_wanted(found: &[SocketAddr], place: SocketAddr) -> bool {
    let there = found.iter().filter(|other| other.ip() == place.ip()).count();
    there < PORTS_MAX && !found.contains(&place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_fills_the_list() {
        let mut found = Vec::new();
        for place in ["10.0.0.1:1", "10.0.0.1:1", "10.0.0.1:2", "10.0.0.1:3", "10.0.0.2:3"] {
            let place = place.parse().expect("a place");
            if is_wanted(&found, place) {
                found.push(place);
            }
        }
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.1:1", "10.0.0.1:2", "10.0.0.2:3"]);
    }
}
