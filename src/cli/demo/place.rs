//! Where the cluster lives: a directory, and loopback ports.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder},
    io,
    net::{Ipv4Addr, TcpListener},
    os::unix::{fs::DirBuilderExt as _, process::CommandExt as _},
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::cli::serve::PARENT;

/// In the directory: the ports, so that who goes on from its data finds its members where they were.
const PORTS: &str = "ports";

pub(super) struct Place {
    dir: PathBuf,
    binary: PathBuf,
    /// Of each member, for clients and for peers.
    ports: Vec<[u16; 2]>,
    is_kept: bool,
}

impl Place {
    /// In a directory of its own, unless one is named. Errors: one line that says what is wrong with it.
    pub(super) fn make(named: Option<PathBuf>, members: usize) -> Result<Place, String> {
        let binary = std::env::current_exe().map_err(|error| format!("cannot find this binary: {error}"))?;
        let is_kept = named.is_some();
        let dir =
            named.unwrap_or_else(|| std::env::temp_dir().join(format!("solder-demo-{}", std::process::id())));
        let failed =
            |error: io::Error| format!("{}: {error}: name another directory with --dir", dir.display());
        // A directory of this name that is here already is somebody else's.
        DirBuilder::new().mode(0o700).recursive(is_kept).create(&dir).map_err(failed)?;
        let dir = fs::canonicalize(&dir).map_err(failed)?;
        let mut place = Place { dir, binary, ports: Vec::new(), is_kept };
        place.ports = place.settle_ports(members)?;
        Ok(place)
    }

    fn settle_ports(&self, members: usize) -> Result<Vec<[u16; 2]>, String> {
        let path = self.dir.join(PORTS);
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        match fs::read_to_string(&path) {
            Ok(text) => {
                let ports = read_ports(&text)
                    .ok_or_else(|| format!("{} is damaged: remove {}", path.display(), self.dir.display()))?;
                match ports.len() == members {
                    true => Ok(ports),
                    false => Err(format!(
                        "{} is of a demo of another size: give --size {}, or another --dir",
                        self.dir.display(),
                        ports.len()
                    )),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if fs::read_dir(&self.dir).map_err(failed)?.next().is_some() {
                    return Err(format!("{} is not empty: name another --dir", self.dir.display()));
                }
                let ports = free_ports(members).map_err(|error| format!("no free ports: {error}"))?;
                let lines: String = ports.iter().map(|[client, peer]| format!("{client} {peer}\n")).collect();
                fs::write(&path, lines).map_err(failed)?;
                Ok(ports)
            }
            Err(error) => Err(failed(error)),
        }
    }

    pub(super) fn members(&self) -> usize {
        self.ports.len()
    }

    fn url(&self, number: usize, peer: bool) -> String {
        format!("http://127.0.0.1:{}", self.ports[number][usize::from(peer)])
    }

    fn arguments(&self, number: usize) -> Vec<OsString> {
        let cluster: Vec<String> =
            (0..self.members()).map(|other| format!("n{}={}", other + 1, self.url(other, true))).collect();
        let (client, peer) = (self.url(number, false), self.url(number, true));
        let mut data_dir = OsString::from("--data-dir=");
        data_dir.push(self.dir.join(format!("n{}", number + 1)));
        let mut arguments: Vec<OsString> =
            vec!["serve".into(), format!("--name=n{}", number + 1).into(), data_dir];
        arguments.extend(
            [
                format!("--listen-client-urls={client}"),
                format!("--advertise-client-urls={client}"),
                format!("--listen-peer-urls={peer}"),
                format!("--initial-advertise-peer-urls={peer}"),
                format!("--initial-cluster={}", cluster.join(",")),
            ]
            .map(OsString::from),
        );
        arguments
    }

    /// What the environment says of a server is about another one.
    pub(super) fn command(&self, number: usize) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(self.arguments(number)).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let is_ours = |name: &OsString| name.to_string_lossy().starts_with("SOLDER_");
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_ours(name)) {
            command.env_remove(name);
        }
        command.env(PARENT, std::process::id().to_string());
        command
    }

    /// For a person to type.
    pub(super) fn command_line(&self, number: usize) -> String {
        let words = self.arguments(number).into_iter().map(|word| quoted(&word.to_string_lossy()));
        [quoted(&self.binary.to_string_lossy())].into_iter().chain(words).collect::<Vec<_>>().join(" ")
    }

    /// What to do with it.
    pub(super) fn welcome(&self, pids: impl Iterator<Item = u32>) -> String {
        let all: Vec<String> = (0..self.members()).map(|number| self.url(number, false)).collect();
        let end = match self.is_kept {
            true => format!("the data stays in {}", self.dir.display()),
            false => format!("{} is removed then", self.dir.display()),
        };
        let pids: Vec<String> = pids.map(|pid| pid.to_string()).collect();
        format!(
            "\n{} members serve. Ctrl-C ends them; {end}. In another terminal:\n\n  export SOLDER_ENDPOINTS={}\n  solder put \
             greeting hello\n  solder get greeting\n  solder endpoint status -w table\n  curl {}/kv/greeting\n\nand see the \
             others go on when one of the processes {} is killed.\n\n",
            self.members(),
            all.join(","),
            all[0],
            pids.join(", ")
        )
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_kept
            && let Err(error) = fs::remove_dir_all(&self.dir)
        {
            eprintln!("solder: {} cannot be removed: {error}", self.dir.display());
        }
    }
}

fn read_ports(text: &str) -> Option<Vec<[u16; 2]>> {
    let line = |line: &str| {
        let (client, peer) = line.split_once(' ')?;
        Some([client.parse().ok()?, peer.parse().ok()?])
    };
    text.lines().map(line).collect::<Option<Vec<_>>>().filter(|ports| !ports.is_empty())
}

/// All are held at one time, so that they differ.
fn free_ports(members: usize) -> io::Result<Vec<[u16; 2]>> {
    let held = (0..2 * members).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let held = held.collect::<io::Result<Vec<_>>>()?;
    let pair = |pair: &[TcpListener]| Ok([pair[0].local_addr()?.port(), pair[1].local_addr()?.port()]);
    held.chunks_exact(2).map(pair).collect()
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_they_were_written() {
        assert_eq!(read_ports("1 2\n3 65535\n"), Some(vec![[1, 2], [3, 65535]]));
        for bad in ["", "1\n", "1 65536\n", "1 2\n\n"] {
            assert_eq!(read_ports(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn words_for_a_shell() {
        assert_eq!(quoted("--a=http://b:1,c"), "--a=http://b:1,c");
        assert_eq!(quoted("/my dir/it's"), r"'/my dir/it'\''s'");
    }
}
