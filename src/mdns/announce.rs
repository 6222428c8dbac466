//! Here.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    time::Duration,
};

use async_io::{Async, Timer};
use futures_lite::future::or;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};

use super::{EVERYBODY, GROUP, PACKET_BYTES_MAX, PORT, words};

/// Between two answers: nobody makes this board shout.
const PAUSE: Duration = Duration::from_millis(50);

/// After so long it is begun anew: the address may be another.
const RENEW_EVERY: Duration = Duration::from_secs(60);

/// Answers who asks for members, as long as it is polled. `address`: this board's, if it is in a network now.
pub async fn announce<T>(name: &str, port: u16, address: impl Fn() -> Option<Ipv4Addr>) -> T {
    let mut is_told = false;
    loop {
        let Some(address) = address() else {
            Timer::after(RENEW_EVERY).await;
            continue;
        };
        let speaker = words::Speaker { name, address, port };
        let renew = async {
            Timer::after(RENEW_EVERY).await;
            Ok(())
        };
        if let Err(error) = or(speak(&speaker), renew).await {
            if !is_told {
                log::warn!("this board cannot be found by mDNS at {address}: {error}");
            }
            is_told = true;
            Timer::after(RENEW_EVERY).await;
        }
    }
}

async fn speak(speaker: &words::Speaker<'_>) -> io::Result<()> {
    let socket = Async::new(open(speaker.address)?)?;
    let mut packet = vec![0; PACKET_BYTES_MAX];
    loop {
        let (bytes, sender) = socket.recv_from(&mut packet).await?;
        let Some((id, is_private)) = words::asks(&packet[..bytes]) else { continue };
        let Some(answer) = words::answer(id, speaker) else { continue };
        let to = if is_private || sender.port() != PORT { sender } else { SocketAddr::V4(EVERYBODY) };
        if let Err(error) = socket.send_to(&answer, to).await {
            log::debug!("mDNS: {sender} was not answered: {error}");
        }
        Timer::after(PAUSE).await;
    }
}

/// The port is shared with whoever else speaks mDNS on this board.
fn open(address: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT))?;
    let socket = UdpSocket::from(socket);
    socket.join_multicast_v4(&GROUP, &address)?;
    Ok(socket)
}
