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

/// Between two looks whether the address is another: whoever searches for this board then is not to wait.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// After a failure, which may last.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Answers who asks for members, as long as it is polled. `address`: this board's, if it is in a network now.
pub async fn announce<T>(name: &str, port: u16, address: impl Fn() -> Option<Ipv4Addr>) -> T {
    let mut is_told = false;
    loop {
        let Some(here) = address() else {
            Timer::after(LOOK_EVERY).await;
            continue;
        };
        let speaker = words::Speaker { name, address: here, port };
        let moved = async {
            while address() == Some(here) {
                Timer::after(LOOK_EVERY).await;
            }
            Ok(())
        };
        if let Err(error) = or(speak(&speaker), moved).await {
            if !is_told {
                log::warn!("this board cannot be found by mDNS at {here}: {error}");
            }
            is_told = true;
            Timer::after(AGAIN_AFTER).await;
        }
    }
}

async fn speak(speaker: &words::Speaker<'_>) -> io::Result<()> {
    let socket = Async::new(open(speaker.address)?)?;
    let mut packet = vec![0; PACKET_BYTES_MAX];
    // As RFC 6762, 8.3 has it, for those who keep what they have heard.
    tell(&socket, words::answer(0, speaker), SocketAddr::V4(EVERYBODY)).await;
    loop {
        let (bytes, sender) = socket.recv_from(&mut packet).await?;
        let Some((id, is_private)) = words::asks(&packet[..bytes]) else { continue };
        let to = if is_private || sender.port() != PORT { sender } else { SocketAddr::V4(EVERYBODY) };
        tell(&socket, words::answer(id, speaker), to).await;
        Timer::after(PAUSE).await;
    }
}

async fn tell(socket: &Async<UdpSocket>, answer: Option<Vec<u8>>, to: SocketAddr) {
    let Some(answer) = answer else { return };
    if let Err(error) = socket.send_to(&answer, to).await {
        log::debug!("mDNS: {to} was not told: {error}");
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
    // Also where no default route leads there.
    sockopt::set_ip_multicast_if(&socket, &address)?;
    Ok(socket)
}
