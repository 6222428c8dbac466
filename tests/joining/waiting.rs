//! What a board says that waits to be let in.

use std::os::unix::net::UnixDatagram;

use serde_json::json;
use tempfile::TempDir;

use crate::{
    house::{House, PATIENCE},
    invited::first_board,
    judge::{Book, is_one_cluster, voters_of},
    runner::{Scene, scenes},
    together::VOTERS_MAX,
};

pub(crate) const SCENES: &[Scene] = scenes![clients_and_the_manager_are_told];

/// The service manager is one that this test plays.
fn clients_and_the_manager_are_told() {
    let Some(mut house) = House::build(2) else { return };
    let folder = TempDir::new().expect("a temporary directory");
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let hear = || {
        let mut buffer = [0; 4096];
        let bytes = manager.recv(&mut buffer).expect("it says something");
        String::from_utf8_lossy(&buffer[..bytes]).into_owned()
    };
    let mut book = Book::new();
    let url = first_board(&mut house, &[], &mut book);
    house.boards[0].kill();
    house.boards[1].set_environment("NOTIFY_SOCKET", path.to_str().expect("it is text"));
    house.serve(1, &["--discovery", &url]);

    assert_eq!(hear(), "EXTEND_TIMEOUT_USEC=600000000\n", "before anything else");
    for _ in 0..2 {
        let said = hear();
        let (time, status) = said.split_once('\n').expect("two lines");
        assert_eq!(time, "EXTEND_TIMEOUT_USEC=600000000", "{said}");
        assert!(status.starts_with("STATUS=waiting to be let into the cluster: "), "{said}");
        assert!(status.contains("10.77.0.1:2380"), "{said}");
    }
    let ask = |path: &str| {
        let answer = house.get(1, path).expect("it answers at once");
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    };
    for page in ["/health", "/readyz", "/metrics", "/version", "/kv/key", "/v2/keys"] {
        let (status, body) = ask(page);
        assert_eq!(status, 503, "{page}: {body}");
        assert!(
            body.contains("waits to be let into the cluster: ") && body.contains("10.77.0.1"),
            "{page}: {body}"
        );
    }
    assert_eq!(ask("/livez"), (200, "ok\n".to_owned()));
    let refused = house.ask(1, "/v3/kv/range", &json!({"key": "YQ=="})).expect_err("it has nothing");
    assert!(format!("{refused:?}").contains("waits to be let into the cluster"), "{refused:?}");

    house.boards[0].launch();
    house.wait_until_serving(1);
    is_one_cluster(&house, &house.all(), voters_of(2, VOTERS_MAX), &book);
    while !hear().starts_with("READY=1\n") {}
}
