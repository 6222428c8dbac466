//! Real etcd members make clusters by our URLs.

use std::{net::SocketAddr, path::PathBuf, thread, time::Duration};

use crate::{
    etcd::{self, Etcd},
    members,
    service::Service,
    support::{cluster::Cluster, server::Server},
    token,
};

/// As many as the token is for, started one after the other with so long between them; then one more, which comes too late.
fn bootstrap(etcd: &PathBuf, service: SocketAddr, size: u8, pause: Duration) {
    let (url, path) = token(service, size);
    let mut running: Vec<Etcd> = Vec::new();
    for place in 0..usize::from(size) {
        thread::sleep(pause);
        running.push(Etcd::start(etcd, &format!("e{place}"), &url));
    }
    for member in &mut running {
        member.wait(size.into());
    }
    let [first, .., last] = &running[..] else { return one_of_one(&running[0], etcd, &url) };
    first.client().put(b"a", b"1").expect("it is written");
    let read = last.client().get(b"a").expect("it is read");
    assert_eq!(read.rows[0].value, b"1");
    let (ids, index) = members(service, &path);
    assert_eq!((ids.len(), index), (size.into(), (size + 1).to_string()));
    too_late(etcd, &url);
    assert_eq!(members(service, &path).0.len(), usize::from(size), "it looked before it came");
}

fn one_of_one(member: &Etcd, etcd: &PathBuf, url: &str) {
    member.client().put(b"a", b"1").expect("it is written");
    too_late(etcd, url);
}

fn too_late(etcd: &PathBuf, url: &str) {
    let mut late = Etcd::start(etcd, "late", url);
    let status = late.wait_for_end();
    let log = late.log();
    assert!(!status.success() && log.contains("cluster is full"), "{status}\n{log}");
}

#[test]
fn by_a_store() {
    let Some(etcd) = etcd::binary() else { return };
    let server = Server::fresh();
    bootstrap(&etcd, server.address(), 1, Duration::ZERO);
    bootstrap(&etcd, server.address(), 3, Duration::ZERO);
}

#[test]
fn by_a_service_of_its_own_one_after_the_other() {
    let Some(etcd) = etcd::binary() else { return };
    let service = Service::start();
    bootstrap(&etcd, service.address(), 1, Duration::ZERO);
    bootstrap(&etcd, service.address(), 3, Duration::from_millis(1500));
}

/// Asked is one that does not lead. (All by one URL: to etcd it is part of who they are.)
#[test]
fn by_a_follower_of_three() {
    let Some(etcd) = etcd::binary() else { return };
    let mut cluster = Cluster::of(3);
    let follower = cluster.follower();
    bootstrap(&etcd, cluster.address(follower), 3, Duration::from_millis(200));
}

#[test]
fn what_etcd_says_when_it_cannot_be() {
    let Some(etcd) = etcd::binary() else { return };
    let server = Server::fresh();
    let mut lost = Etcd::start(&etcd, "a", &format!("http://{}/{}", server.address(), "0".repeat(32)));
    assert!(!lost.wait_for_end().success());
    assert!(lost.log().contains("discovery token"), "{}", lost.log());
    // The secret of our own boards is nothing to it.
    let (url, _) = token(server.address(), 1);
    let mut alone = Etcd::start(&etcd, "a", &format!("{url}#0123456789abcdef0123456789abcdef"));
    alone.wait(1);
}
