//! An etcd member that is told nothing but a URL.

use std::{
    env,
    fs::{self, File},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use tempfile::TempDir;

use crate::support::{
    client::Client,
    http::{Connection, Request},
    server::free_address,
};

/// Discovery, an election, and a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Etcd {
    child: Child,
    address: SocketAddr,
    home: TempDir,
}

/// Where one is; `None` is said aloud.
pub(crate) fn binary() -> Option<PathBuf> {
    let Some(binary) = env::var_os("ETCD").map(PathBuf::from) else {
        println!("SKIPPED: NO ETCD MEMBER HAS TRIED DISCOVERY: set ETCD=/path/to/etcd");
        return None;
    };
    assert!(binary.is_file(), "ETCD={}: no such file", binary.display());
    Some(binary)
}

impl Etcd {
    pub(crate) fn start(binary: &PathBuf, name: &str, url: &str) -> Etcd {
        let home = tempfile::tempdir().expect("a directory");
        let (address, peer) = (free_address(), free_address());
        let log = File::create(home.path().join("log")).expect("a file");
        let flags = [
            ("name", name.to_owned()),
            ("data-dir", home.path().join("data").display().to_string()),
            ("listen-client-urls", format!("http://{address}")),
            ("advertise-client-urls", format!("http://{address}")),
            ("listen-peer-urls", format!("http://{peer}")),
            ("initial-advertise-peer-urls", format!("http://{peer}")),
            ("discovery", url.to_owned()),
            ("discovery-fallback", "exit".to_owned()),
        ];
        let child = Command::new(binary)
            .args(flags.map(|(name, value)| format!("--{name}={value}")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("etcd starts");
        Etcd { child, address, home }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Waits until it is one of so many that serve.
    pub(crate) fn wait(&mut self, size: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.members() != Some(size) {
            let ended = self.child.try_wait().expect("it is our child");
            assert!(ended.is_none() && Instant::now() < deadline, "{ended:?}\n{}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// How many it knows, once it serves.
    fn members(&self) -> Option<usize> {
        let health = Connection::open(self.address).ok()?.call(&Request::get("/health")).ok()?;
        let list = self.client().call("/v3/cluster/member/list", &json!({})).ok()?;
        (health.status == 200).then(|| list["members"].as_array().map_or(0, Vec::len))
    }

    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end\n{}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("etcd's last words:\n{}", lines[lines.len().saturating_sub(15)..].join("\n"));
        }
    }
}
