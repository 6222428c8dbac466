//! `solder discovery serve`, running.

use std::{
    fs::File,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    get,
    support::{
        http::{Connection, Request},
        runner,
        server::free_address,
    },
    token,
};

const START_MAX: Duration = Duration::from_secs(30);

pub(crate) struct Service {
    child: Child,
    address: SocketAddr,
    home: TempDir,
}

impl Service {
    pub(crate) fn start() -> Service {
        let home = tempfile::tempdir().expect("a directory");
        let address = free_address();
        let log = File::create(home.path().join("log")).expect("a file");
        let child = runner::command(env!("CARGO_BIN_EXE_solder"))
            .args(["discovery", "serve", &format!("--listen-client-urls=http://{address}")])
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("solder starts");
        let mut service = Service { child, address, home };
        service.wait();
        service
    }

    fn wait(&mut self) {
        let deadline = Instant::now() + START_MAX;
        let serves = |address| {
            let answer = Connection::open(address)?.call(&Request::get("/health"))?;
            std::io::Result::Ok(answer.status == 200)
        };
        while !serves(self.address).unwrap_or(false) {
            let ended = self.child.try_wait().expect("it is our child");
            assert!(ended.is_none() && Instant::now() < deadline, "{ended:?}\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    fn data_dir(&self) -> PathBuf {
        self.home.path().join("solder-discovery")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the service said:\n{}", self.log());
        }
    }
}

/// Two of them, and a member beside them, run on one machine: there is no port of peers to fight about.
#[test]
fn discovery_and_nothing_else() {
    let (service, other) = (Service::start(), Service::start());
    let (_, token) = token(service.address(), 3);
    assert_eq!(get(service.address(), &token).status, 200);
    assert_eq!(get(other.address(), &token).status, 404);
    assert_eq!(get(service.address(), "/kv/a").status, 404);
    assert_eq!(get(service.address(), "/metrics").status, 200);
    assert!(service.data_dir().join("member.toml").is_file(), "{}", service.log());
    let serving = format!("serving discovery at http://{}", service.address());
    assert!(service.log().contains(&serving), "{}", service.log());
}
