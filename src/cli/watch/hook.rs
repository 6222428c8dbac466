//! The command that runs for an event.

use std::{
    ffi::OsString,
    process::{Command, ExitStatus},
    time::{Duration, Instant},
};

use async_io::Timer;

use crate::{
    cli::{
        failure::{Failure, Status},
        go,
        session::bytes,
    },
    rpc::{Event, WatchResponse},
};

pub(super) struct Hook {
    /// Empty: there is none.
    command: Vec<OsString>,
    /// Wait up to so long, and let one run stand for all events until then.
    splay: Option<Duration>,
    /// The last event, and when the command runs for it.
    pending: Option<(Instant, Variables)>,
}

/// What the command is told.
type Variables = [(&'static str, String); 4];

impl Hook {
    pub(super) fn new(command: Vec<OsString>, splay: Option<Duration>) -> Hook {
        Hook { command, splay, pending: None }
    }

    /// Runs the command for each event, or once, later.
    pub(super) async fn tell(&mut self, response: &WatchResponse) -> Result<(), Failure> {
        if self.command.is_empty() {
            return Ok(());
        }
        let revision = response.header.as_ref().map_or(0, |header| header.revision);
        for event in &response.events {
            let variables = variables(revision, event);
            match self.splay {
                None => self.execute(variables).await?,
                Some(splay) => {
                    let at = self.pending.take().map_or_else(|| Instant::now() + chance(splay), |(at, _)| at);
                    self.pending = Some((at, variables));
                }
            }
        }
        Ok(())
    }

    /// Returns when the command is to run. Cancel-safe.
    pub(super) async fn due(&self) {
        match &self.pending {
            Some((at, _)) => drop(Timer::at(*at).await),
            None => futures_lite::future::pending().await,
        }
    }

    /// Runs the command for the last event, if one waits.
    pub(super) async fn run(&mut self) -> Result<(), Failure> {
        match self.pending.take() {
            Some((_, variables)) => self.execute(variables).await,
            None => Ok(()),
        }
    }

    /// Waits for what is to come, and runs it.
    pub(super) async fn finish(&mut self) -> Result<(), Failure> {
        if self.pending.is_some() {
            self.due().await;
        }
        self.run().await
    }

    async fn execute(&self, variables: Variables) -> Result<(), Failure> {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).envs(variables);
        // Waiting for it must not stop other watches.
        let problem = match smol::unblock(move || command.status()).await {
            Ok(status) if status.success() => return Ok(()),
            Ok(status) => ended(status),
            Err(error) => go::reason(&error),
        };
        let words: Vec<String> = self.command.iter().map(|word| go::quote(&bytes(word))).collect();
        eprintln!("command [{}] error ({problem})", words.join(" "));
        Err(Failure::silent(Status::Error))
    }
}

fn ended(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit status {code}"),
        None => status.to_string(),
    }
}

fn chance(splay: Duration) -> Duration {
    splay.mul_f64(fastrand::f64())
}

fn variables(revision: i64, event: &Event) -> Variables {
    let kv = event.kv.clone().unwrap_or_default();
    [
        ("ETCD_WATCH_REVISION", revision.to_string()),
        ("ETCD_WATCH_EVENT_TYPE", go::quote(event.kind.name().unwrap_or_default().as_bytes())),
        ("ETCD_WATCH_KEY", go::quote(&kv.key)),
        ("ETCD_WATCH_VALUE", go::quote(&kv.value)),
    ]
}
