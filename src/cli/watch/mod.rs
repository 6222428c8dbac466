//! `watch`: prints what changes, or runs a command for it.

mod hook;
mod interactive;

use std::{ffi::OsString, time::Duration};

use clap::Args;
use futures_lite::FutureExt as _;

use self::hook::Hook;
use super::{
    failure::{Failure, Status},
    go,
    output::Output,
    print::Answer,
    session::{Session, bytes},
};
use crate::{
    client::Watch,
    rpc::{WatchCreateRequest, WatchResponse},
    types::KeyRange,
};

/// What an interactive line has too.
#[derive(Args, Clone)]
pub(super) struct Basic {
    /// The key, or the first one of a range.
    key: Option<OsString>,
    /// The range ends before this key.
    range_end: Option<OsString>,
    /// Watch the keys that begin with KEY.
    #[arg(long)]
    prefix: bool,
    /// From that revision on; 0: from now on.
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "REVISION")]
    rev: i64,
    /// Print what was there before, too.
    #[arg(long)]
    prev_kv: bool,
    /// Print how far the watch is while nothing changes.
    #[arg(long)]
    progress_notify: bool,
    /// Run this command for every event, with ETCD_WATCH_REVISION, ETCD_WATCH_EVENT_TYPE, ETCD_WATCH_KEY and
    /// ETCD_WATCH_VALUE set.
    #[arg(last = true)]
    command: Vec<OsString>,
}

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    basic: Basic,
    /// Read `watch` and `progress` lines from standard input.
    #[arg(short, long)]
    interactive: bool,
    /// End after the first change.
    #[arg(long, conflicts_with = "interactive")]
    once: bool,
    /// Wait up to so long before the command runs, by chance; it then runs for the last of the events meanwhile.
    #[arg(long, value_name = "TIME", value_parser = go::parse_duration, requires = "command")]
    splay: Option<Duration>,
}

pub(super) async fn run(arguments: Arguments, session: &Session, environment: &str) -> Result<(), Failure> {
    let defaults = Defaults::from_environment(environment)?;
    if arguments.interactive {
        return interactive::run(session, &defaults).await;
    }
    let separator = std::env::args_os().next_back().is_some_and(|last| last == "--");
    let request = arguments.basic.request(&defaults, separator)?;
    let hook = Hook::new(arguments.basic.command, arguments.splay);
    let events_max = if arguments.once { 1 } else { usize::MAX };
    let mut follower = Follower { watch: session.client.watch(request), hook, events_max };
    loop {
        let told = follower.step(session).await?;
        if told.canceled {
            return Err(Failure::new(Status::Interrupted, "watch is canceled by the server"));
        }
        if arguments.once && !told.events.is_empty() {
            return follower.hook.finish().await;
        }
    }
}

/// What is watched unless arguments say so: ETCDCTL_WATCH_KEY and ETCDCTL_WATCH_RANGE_END, or SOLDER_…
pub(super) struct Defaults {
    key: Option<OsString>,
    range_end: Option<OsString>,
}

impl Defaults {
    fn from_environment(prefix: &str) -> Result<Defaults, Failure> {
        let get = |name: &str| std::env::var_os(format!("{prefix}_{name}")).filter(|value| !value.is_empty());
        let defaults = Defaults { key: get("WATCH_KEY"), range_end: get("WATCH_RANGE_END") };
        match &defaults {
            Defaults { key: None, range_end: Some(end) } => {
                let end = go::quote(&bytes(end));
                let text = format!("{prefix}_WATCH_KEY is empty but got {prefix}_WATCH_RANGE_END={end}");
                Err(Failure::bad_arguments(text))
            }
            _ => Ok(defaults),
        }
    }
}

impl Basic {
    /// `separator`: the line ends with `--`, where a command should follow.
    fn request(&self, defaults: &Defaults, separator: bool) -> Result<WatchCreateRequest, Failure> {
        if separator && self.command.is_empty() {
            return Err(Failure::bad_arguments(
                "bad number of arguments (found separator --, but no commands)",
            ));
        }
        let (key, range_end) = match (&self.key, &defaults.key) {
            (Some(_), Some(_)) => {
                return Err(Failure::bad_arguments(
                    "bad number of arguments (found conflicting environment key)",
                ));
            }
            (Some(key), None) => (key, &self.range_end),
            (None, Some(key)) => (key, &defaults.range_end),
            (None, None) => return Err(Failure::bad_arguments("bad number of arguments")),
        };
        let range = match range_end {
            Some(_) if self.prefix => {
                return Err(Failure::bad_arguments("`range_end` and `--prefix` are mutually exclusive"));
            }
            Some(end) => KeyRange::new(bytes(key), bytes(end)),
            None if self.prefix => KeyRange::prefix(&bytes(key)),
            None => KeyRange::single(bytes(key)),
        };
        Ok(WatchCreateRequest {
            key: range.key,
            range_end: range.range_end,
            start_revision: self.rev,
            progress_notify: self.progress_notify,
            prev_kv: self.prev_kv,
            ..WatchCreateRequest::default()
        })
    }
}

/// A watch, and what is done about it.
struct Follower<'a> {
    watch: Watch<'a>,
    hook: Hook,
    /// Of one message; the others are nobody's concern.
    events_max: usize,
}

impl Follower<'_> {
    /// Prints the next message and lets the command run.
    async fn step(&mut self, session: &Session) -> Result<WatchResponse, Failure> {
        loop {
            let message = async { self.watch.next().await.map(Some) };
            let due = async {
                self.hook.due().await;
                Ok(None)
            };
            let Some(mut response) = message.or(due).await? else {
                self.hook.run().await?;
                continue;
            };
            response.events.truncate(self.events_max);
            print(&response, session)?;
            self.hook.tell(&response).await?;
            return Ok(response);
        }
    }
}

fn print(response: &WatchResponse, session: &Session) -> Result<(), Failure> {
    if response.canceled {
        eprintln!("watch was canceled ({})", reason(response));
    } else if response.created {
        return Ok(());
    } else if response.events.is_empty() {
        let revision = response.header.as_ref().map_or(0, |header| header.revision);
        Output::new().line(format_args!("progress notify: {revision}"));
    }
    session.print(&Answer::Watch(response))
}

fn reason(response: &WatchResponse) -> &str {
    match response.cancel_reason.as_str() {
        "" if response.compact_revision != 0 => "etcdserver: mvcc: required revision has been compacted",
        "" => "etcdserver: mvcc: required revision is a future revision",
        reason => reason,
    }
}
