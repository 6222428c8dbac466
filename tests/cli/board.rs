//! A server, and commands that are told where it is.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use super::support::{runner, server::Server};

/// Status, standard output, standard error.
pub(crate) type Ended = (i32, String, String);

pub(crate) struct Board(pub(crate) Server);

impl Board {
    pub(crate) fn new() -> Board {
        Board(Server::fresh())
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = runner::command(env!("CARGO_BIN_EXE_solder"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("SOLDER_ENDPOINTS", self.0.address().to_string()).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.feed(arguments, b"")
    }

    pub(crate) fn feed(&self, arguments: &[&str], input: &[u8]) -> Ended {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().expect("the command starts");
        child.stdin.take().expect("an input").write_all(input).expect("it reads");
        let ended = child.wait_with_output().expect("the command ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (ended.status.code().expect("a status"), text(&ended.stdout), text(&ended.stderr))
    }

    /// Standard output of what must succeed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let (status, output, errors) = self.run(arguments);
        assert_eq!(status, 0, "{arguments:?}: {errors}");
        output
    }

    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let (status, output, errors) = self.run(arguments);
        assert_eq!((status, output.as_str()), (1, ""), "{arguments:?}: {errors}");
        errors
    }

    pub(crate) fn revision(&self) -> i64 {
        let fields = self.ok(&["get", "none", "-w", "fields"]);
        let line = fields.lines().find_map(|line| line.strip_prefix("\"Revision\" : ")).expect("a revision");
        line.parse().expect("a number")
    }
}
