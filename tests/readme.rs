//! What README prints works as printed: its first command, and every line of its second shell.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A store started as README says, in a directory of its own.
struct Store {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Store {
    fn start(args: &[&str]) -> Store {
        let port = free_port();
        let dir = tempfile::tempdir().expect("a directory");
        let child = Command::new(env!("CARGO_BIN_EXE_solder"))
            .args(args)
            .current_dir(&dir)
            .env("SOLDER_LISTEN_CLIENT_URLS", format!("http://127.0.0.1:{port}"))
            .env("SOLDER_ADVERTISE_CLIENT_URLS", format!("http://127.0.0.1:{port}"))
            .env("SOLDER_LISTEN_PEER_URLS", "http://127.0.0.1:0")
            .stderr(Stdio::null())
            .spawn()
            .expect("solder starts");
        let mut store = Store { child, port, dir };
        store.wait_until_ready();
        store
    }

    fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.is_ready() {
            let ended = self.child.try_wait().expect("it can be asked");
            assert!(ended.is_none(), "the server ended: {ended:?}");
            assert!(Instant::now() < deadline, "not ready after 30 s");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn is_ready(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let asked = stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut line = String::new();
        asked.is_ok()
            && BufReader::new(stream).read_line(&mut line).is_ok()
            && line.starts_with("HTTP/1.1 200")
    }

    /// What a line prints in a second shell, with `solder` in its path.
    fn run(&self, line: &str) -> String {
        let bin = Path::new(env!("CARGO_BIN_EXE_solder")).parent().expect("it lies somewhere");
        let path = std::env::join_paths(
            [bin.to_path_buf()]
                .into_iter()
                .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
        );
        let output = Command::new("sh")
            .args(["-c", &line.replace("localhost:2379", &format!("localhost:{}", self.port))])
            .current_dir(&self.dir)
            .env("PATH", path.expect("no colons in it"))
            .env("SOLDER_ENDPOINTS", format!("127.0.0.1:{}", self.port))
            .output()
            .expect("a shell");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

fn readme() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md");
    fs::read_to_string(path).expect("README.md")
}

/// What stands in the blocks of one kind.
fn blocks<'a>(text: &'a str, kind: &str) -> Vec<&'a str> {
    let fence = format!("```{kind}\n");
    text.split(fence.as_str())
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default())
        .map(str::trim_end)
        .collect()
}

/// The lines behind a `$`, each with what is printed below it.
fn lines(block: &str) -> Vec<(&str, String)> {
    let mut lines: Vec<(&str, String)> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), lines.last_mut()) {
            (Some(command), _) => lines.push((command, String::new())),
            (None, Some((_, printed))) => {
                printed.push_str(line);
                printed.push('\n');
            }
            (None, None) => panic!("a line without a command: {line}"),
        }
    }
    lines
}

/// Its first command starts a store, and its second is the whole test suite.
#[test]
fn the_two_commands() {
    let readme = readme();
    let [first, "cargo test"] = blocks(&readme, "sh")[..] else {
        panic!("not two commands, the second `cargo test`: {:?}", blocks(&readme, "sh"))
    };
    let args = first.strip_prefix("cargo run --release -- ").expect("the first runs the tool");
    Store::start(&args.split(' ').collect::<Vec<_>>());
}

#[test]
fn the_lines_of_the_second_shell() {
    let has_curl = Command::new("curl").arg("--version").output().is_ok();
    if !has_curl {
        println!("SKIPPED: there is no curl here: its lines in README.md were not tried");
    }
    let store = Store::start(&["serve"]);
    for block in blocks(&readme(), "console") {
        for (command, expected) in lines(block) {
            if has_curl || !command.starts_with("curl") {
                let printed = store.run(&command.replace("curl ", "curl -sS "));
                assert_eq!(printed.trim_end(), expected.trim_end(), "{command}");
            }
        }
    }
}
