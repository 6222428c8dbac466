//! Who asks from elsewhere, here by this machine's outward address.

use std::net::{SocketAddr, UdpSocket};

use solder::types::limits;
use tempfile::TempDir;

use crate::{
    ask, get, register,
    support::{
        http::Request,
        server::{Server, free_address},
    },
    token,
};

/// An address of this machine that is not loopback. A socket for datagrams knows it; nothing is sent.
pub(crate) fn outward(port: u16) -> Option<SocketAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback()).then_some(SocketAddr::new(ip, port))
}

/// Serves everywhere. The directory goes with it.
pub(crate) fn everywhere(args: &[&str]) -> (Server, TempDir) {
    let address = free_address();
    let home = tempfile::tempdir().expect("a directory");
    let everywhere = format!("--listen-client-urls=http://0.0.0.0:{}", address.port());
    let args: Vec<&str> = args.iter().copied().chain([&*everywhere]).collect();
    let mut server = Server::elsewhere(home.path(), address, Vec::new(), &args);
    server.start();
    (server, home)
}

/// New tokens are this board's own affair, unless it is there for others; a token that is there is open to who knows it.
#[test]
fn tokens_are_not_made_for_strangers() {
    let (closed, _home) = everywhere(&[]);
    let Some(outside) = outward(closed.address().port()) else {
        println!("SKIPPED: NOTHING WAS ASKED FROM ELSEWHERE: this machine has no address but loopback");
        return;
    };
    let refused = get(outside, "/new");
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("start it with --discovery-public"), "{}", refused.text());
    assert_eq!(refused.text().lines().count(), 1);
    assert_eq!(ask(outside, &Request::post("/new?size=1", b"")).status, 403);
    let (_, path) = token(closed.address(), 3);
    assert_eq!(register(outside, &path, "1").status, 201);
    assert_eq!(get(outside, &path).status, 200);

    let (public, _home) = everywhere(&["--discovery-public"]);
    let outside = SocketAddr::new(outside.ip(), public.address().port());
    let most = limits::DISCOVERY_STRANGER_TOKENS_MAX;
    (0..most).for_each(|_| drop(token(outside, 3)));
    let refused = get(outside, "/new");
    let text =
        format!("{most} discovery tokens were made from this address: another can be made in 120 minutes\n");
    assert_eq!((refused.status, refused.text()), (429, text));
    // Who sits at the board makes as many as there is room for.
    (0..=most).for_each(|_| drop(token(public.address(), 3)));
}
