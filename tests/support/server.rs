//! The binary, running.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{
    client::Client,
    http::{Connection, Request},
    runner,
};

/// A start takes well under a second; a slow machine, an emulator and a long log may need more.
const START_MAX: Duration = Duration::from_secs(30);

/// Behind it a stop is not clean.
const STOP_MAX: Duration = Duration::from_secs(15);

pub struct Server {
    binary: PathBuf,
    child: Option<Child>,
    address: SocketAddr,
    home: PathBuf,
    args: Vec<String>,
    environment: Vec<(String, String)>,
    /// The words before the command, for one that runs elsewhere.
    runner: Vec<String>,
    /// The arguments are all there are, but for the data directory.
    is_bare: bool,
    /// Removed at the end.
    _scratch: Option<TempDir>,
}

/// What is tested: ours, or the one that `SOLDER_UNDER_TEST` names.
pub fn binary() -> PathBuf {
    match std::env::var_os("SOLDER_UNDER_TEST") {
        Some(path) => path.into(),
        None => env!("CARGO_BIN_EXE_solder").into(),
    }
}

/// Is it etcd's own that the tests are to be proven with?
pub fn is_etcd() -> bool {
    is_etcds(&binary())
}

fn is_etcds(binary: &Path) -> bool {
    binary.file_name().is_some_and(|name| name == "etcd")
}

impl Server {
    /// On an empty directory that goes with it.
    pub fn fresh() -> Server {
        Server::with(&[])
    }

    /// The same with more flags.
    pub fn with(args: &[&str]) -> Server {
        Server::of(binary(), args)
    }

    /// The same of another binary.
    pub fn of(binary: PathBuf, args: &[&str]) -> Server {
        let scratch = TempDir::new().expect("a temporary directory");
        let mut server = Server::stopped(scratch.path(), args);
        server.binary = binary;
        server._scratch = Some(scratch);
        server.start();
        server
    }

    /// In `home`, which stays; not started yet.
    pub fn stopped(home: &Path, args: &[&str]) -> Server {
        Server::elsewhere(home, free_address(), Vec::new(), args)
    }

    /// The same, but serving at `address`, by way of a command that runs another where that address is.
    pub fn elsewhere(home: &Path, address: SocketAddr, runner: Vec<String>, args: &[&str]) -> Server {
        Server {
            binary: binary(),
            child: None,
            address,
            home: home.to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            environment: Vec::new(),
            runner,
            is_bare: false,
            _scratch: None,
        }
    }

    /// With no flags but these and the data directory, `args` beginning with the command; where that is, only `runner` knows.
    pub fn bare(home: &Path, runner: Vec<String>, args: &[&str]) -> Server {
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 2379));
        let mut server = Server::elsewhere(home, nowhere, runner, args);
        server.is_bare = true;
        server
    }

    /// From its next start on.
    pub fn set_args(&mut self, args: &[&str]) {
        self.args = args.iter().map(|arg| (*arg).to_owned()).collect();
    }

    /// The same by another binary.
    pub(super) fn by(mut self, binary: PathBuf) -> Server {
        self.binary = binary;
        self
    }

    /// Starts and waits until it serves.
    pub fn start(&mut self) {
        self.try_start().unwrap_or_else(|why| panic!("{why}\n{}", self.log_tail()));
    }

    /// Starts and waits until it serves or has ended; the error tells its last words.
    pub fn try_start(&mut self) -> Result<(), String> {
        self.launch();
        self.wait()
    }

    /// Waits until it serves or has ended; the error tells its last words.
    pub fn wait(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + START_MAX;
        while !self.serves() {
            if let Some(status) = self.ended() {
                return Err(format!(
                    "{} ended at its start: {status}\n{}",
                    self.binary.display(),
                    self.log_tail()
                ));
            }
            assert!(Instant::now() < deadline, "not ready within {START_MAX:?}\n{}", self.log_tail());
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// etcd's own is of this machine always.
    fn command(&self) -> Command {
        let command = match is_etcds(&self.binary) {
            true => Command::new(&self.binary),
            false => runner::command(&self.binary),
        };
        let Some((first, rest)) = self.runner.split_first() else { return command };
        let mut elsewhere = Command::new(first);
        elsewhere.args(rest).arg(command.get_program()).args(command.get_args());
        elsewhere
    }

    fn flags(&self) -> Vec<String> {
        if self.is_bare {
            let data = format!("--data-dir={}", self.data_dir().display());
            return self.args.iter().cloned().chain([data]).collect();
        }
        let url = format!("http://{}", self.address);
        let mut flags = Vec::new();
        let has_peers = self.args.iter().any(|arg| arg.starts_with("--listen-peer-urls"));
        if is_etcds(&self.binary) && has_peers {
            flags.push("--log-level=error".to_owned());
        } else if is_etcds(&self.binary) {
            let peer = format!("http://{}", free_address());
            flags.push(format!("--listen-peer-urls={peer}"));
            flags.push(format!("--initial-advertise-peer-urls={peer}"));
            flags.push(format!("--initial-cluster=default={peer}"));
            flags.push("--log-level=error".to_owned());
        } else {
            flags.push("serve".to_owned());
            if !has_peers {
                flags.push("--listen-peer-urls=http://127.0.0.1:0".to_owned());
            }
        }
        flags.push(format!("--data-dir={}", self.data_dir().display()));
        flags.push(format!("--listen-client-urls={url}"));
        flags.push(format!("--advertise-client-urls={url}"));
        flags.extend(self.args.iter().cloned());
        flags
    }

    /// Does it answer that it can read and write? An alarm does not count against it.
    pub fn serves(&self) -> bool {
        let ask = || -> std::io::Result<bool> {
            let mut connection = Connection::open_within(self.address, Duration::from_secs(2))?;
            let answer = connection.call(&Request::get("/health?exclude=NOSPACE&exclude=CORRUPT"))?;
            Ok(answer.status == 200)
        };
        ask().unwrap_or(false)
    }

    /// Starts; how far it gets is the caller's affair.
    pub fn launch(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let log = File::options().create(true).append(true).open(self.log()).expect("the log can be written");
        let errors = log.try_clone().expect("a second handle");
        let mut command = self.command();
        command.envs(self.environment.iter().cloned());
        command.args(self.flags()).stdin(Stdio::null()).stdout(log).stderr(errors);
        self.child =
            Some(command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.binary.display())));
    }

    /// From its next start on.
    pub fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().expect("it is our child")?;
        self.child = None;
        Some(status)
    }

    /// As a power cut ends it, but for the disk.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it is our child");
            child.wait().expect("it is our child");
        }
    }

    /// As an operator stops it: SIGTERM. How it ended.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + STOP_MAX;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < deadline, "did not stop within {STOP_MAX:?}\n{}", self.log_tail());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops it in the middle of whatever it does, or lets it go on.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it runs");
    }

    pub fn runs(&self) -> bool {
        self.child.is_some()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    pub fn data_dir(&self) -> PathBuf {
        self.home.join("data")
    }

    fn pid(&self) -> Pid {
        let child = self.child.as_ref().expect("it runs");
        Pid::from_child(child)
    }

    /// Of its process.
    pub fn id(&self) -> i32 {
        self.pid().as_raw_nonzero().get()
    }

    pub fn memory(&self) -> Memory {
        Memory { status: format!("/proc/{}/status", self.pid().as_raw_nonzero()).into() }
    }

    fn log(&self) -> PathBuf {
        self.home.join("server.log")
    }

    /// All that its processes have said.
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log()).unwrap_or_default()).into_owned()
    }

    /// What it said last, for a message.
    pub fn log_tail(&self) -> String {
        let text = self.log_text();
        let lines: Vec<&str> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(20)..];
        format!("the server's last words:\n    {}", tail.join("\n    "))
    }
}

/// Looks at what a process takes.
pub struct Memory {
    status: PathBuf,
}

impl Memory {
    /// Of its own, that no file backs. `None`: the process has ended.
    pub fn anonymous_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(&self.status).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
        Some(kib * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.log_tail());
        }
        self.kill();
    }
}

/// A port that is free now, below those that the kernel gives to clients: none of them takes it between two starts.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 1000) as u16 * 20;
    for _ in 0..2000 {
        let port = 10_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("2000 ports in a row are in use")
}
