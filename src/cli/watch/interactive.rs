//! `watch -i`: lines from standard input, each `watch KEY …` or `progress`.

use std::io::BufReader;

use clap::Parser;
use futures_lite::FutureExt as _;
use smol::{
    LocalExecutor, Unblock,
    channel::{Receiver, Sender, bounded},
    io::AsyncBufReadExt as _,
};

use super::{Basic, Defaults, Follower, Hook};
use crate::cli::{
    failure::{Failure, Status},
    session::Session,
    txn::words,
};

/// A line, without its first word.
#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Line {
    #[command(flatten)]
    basic: Basic,
}

pub(super) async fn run(session: &Session, defaults: &Defaults) -> Result<(), Failure> {
    let executor = LocalExecutor::new();
    let (failed, failures) = bounded(1);
    let mut watches = Watches { session, executor: &executor, failed, progress: Vec::new() };
    let fatal = async { Err(failures.recv().await.unwrap_or_else(|_| Failure::silent(Status::Error))) };
    executor.run(watches.read(defaults).or(fatal)).await
}

/// The watches that lines have begun.
struct Watches<'a, 'e> {
    session: &'a Session,
    executor: &'e LocalExecutor<'a>,
    /// One of them cannot go on, and so nothing can.
    failed: Sender<Failure>,
    /// Asks each for its progress.
    progress: Vec<Sender<()>>,
}

impl<'a> Watches<'a, '_> {
    async fn read(&mut self, defaults: &Defaults) -> Result<(), Failure> {
        let mut input = smol::io::BufReader::new(Unblock::new(BufReader::new(std::io::stdin())));
        loop {
            let mut line = Vec::new();
            let problem = match input.read_until(b'\n', &mut line).await {
                Ok(_) if line.ends_with(b"\n") => None,
                Ok(_) => Some("EOF".to_string()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(problem) = problem {
                let text = format!("error reading watch request line: {problem}");
                return Err(Failure::new(Status::InvalidInput, text));
            }
            self.obey(line.trim_ascii_end(), defaults)?;
        }
    }

    fn obey(&mut self, line: &[u8], defaults: &Defaults) -> Result<(), Failure> {
        let shown = String::from_utf8_lossy(line);
        let words = words::split(line).ok_or_else(|| Failure::new(Status::InvalidInput, "invalid syntax"))?;
        let Some((first, rest)) = words.split_first() else {
            eprintln!("Invalid command: {shown} (watch and progress supported)");
            return Ok(());
        };
        match first.to_str() {
            Some("watch") if rest.is_empty() && defaults.key.is_none() => {
                eprintln!("Invalid command {shown} (command type or key is not provided)");
            }
            Some("watch") => {
                let line = Line::try_parse_from(rest).map_err(|error| {
                    Failure::bad_arguments(
                        error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: "),
                    )
                })?;
                let request = line.basic.request(defaults, rest.last().is_some_and(|last| last == "--"))?;
                let watch = self.session.client.watch(request);
                let hook = Hook::new(line.basic.command, None);
                self.begin(Follower { watch, hook, events_max: usize::MAX });
            }
            Some("progress") => self.progress.retain(|watch| {
                // One that has not got round to the last request yet needs no other.
                !matches!(watch.try_send(()), Err(smol::channel::TrySendError::Closed(())))
            }),
            _ => eprintln!("Invalid command {shown} (only support watch)"),
        }
        Ok(())
    }

    fn begin(&mut self, follower: Follower<'a>) {
        let (sender, asked) = bounded(1);
        self.progress.push(sender);
        let (session, failed) = (self.session, self.failed.clone());
        let task = self.executor.spawn(async move {
            if let Err(failure) = follow(follower, session, asked).await {
                let _ = failed.try_send(failure);
            }
        });
        task.detach();
    }
}

/// Until the server ends the watch.
async fn follow(mut follower: Follower<'_>, session: &Session, asked: Receiver<()>) -> Result<(), Failure> {
    loop {
        let message = async { follower.step(session).await.map(Some) };
        let progress = async {
            match asked.recv().await {
                Ok(()) => Ok(None),
                Err(_) => futures_lite::future::pending().await,
            }
        };
        match message.or(progress).await? {
            Some(told) if told.canceled => return Ok(()),
            Some(_) => {}
            None => follower.watch.request_progress(),
        }
    }
}
