//! The log's thread: appends and syncs. All that waits goes into one batch and one sync.
//!
//! Here you will not find: decisions. What it cannot do for want of room it tries again; any other failure ends the process.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    replica::Append,
    types::{Index, Membership},
    wal::{Disk, Record, Wal, WalError},
};

use super::{
    inbox::{Inbox, Report},
    mailbox::Mailbox,
    pulse::Beat,
};

/// How soon after "no room" to look again.
const LOOK_AGAIN: Duration = Duration::from_millis(300);

pub(super) enum LogJob {
    Append(Append),
    /// Those of the cluster, from the next append on.
    Members(Membership),
    /// The store durably has all up to here.
    Release(Index),
    /// Answer that you are alive.
    Beat,
}

/// A log, whatever disk it is on.
pub(super) trait Log: Send {
    fn run(self: Box<Self>, mailbox: Arc<Mailbox<LogJob>>, inbox: Arc<Inbox>, beat: Beat);
}

pub(super) struct LogOf<D> {
    pub(super) wal: Wal<D>,
    pub(super) members: Membership,
}

impl<D: Disk + Send> Log for LogOf<D> {
    fn run(self: Box<Self>, mailbox: Arc<Mailbox<LogJob>>, inbox: Arc<Inbox>, beat: Beat) {
        let LogOf { wal, members } = *self;
        let mut thread = LogThread {
            wal,
            members,
            mailbox,
            inbox,
            beat,
            appends: Vec::new(),
            has_room: true,
            ended: false,
        };
        thread.run();
    }
}

struct LogThread<D> {
    wal: Wal<D>,
    members: Membership,
    mailbox: Arc<Mailbox<LogJob>>,
    inbox: Arc<Inbox>,
    beat: Beat,
    /// To be written, in order.
    appends: Vec<Append>,
    has_room: bool,
    ended: bool,
}

impl<D: Disk> LogThread<D> {
    fn run(&mut self) {
        let mut jobs = Vec::new();
        while !self.ended {
            let deadline = (!self.has_room).then(|| Instant::now() + LOOK_AGAIN);
            if !self.mailbox.take(&mut jobs, deadline) {
                return;
            }
            self.beat.moved();
            jobs.drain(..).for_each(|job| self.sort(job));
            self.turn();
        }
    }

    fn sort(&mut self, job: LogJob) {
        match job {
            LogJob::Append(append) => self.appends.push(append),
            LogJob::Members(members) => self.members = members,
            LogJob::Release(index) => self.wal.release(index),
            LogJob::Beat => {}
        }
    }

    fn turn(&mut self) {
        if let Some(ticket) = self.appends.last().map(|append| append.ticket) {
            let started = Instant::now();
            match self.write() {
                Ok(()) => {
                    self.inbox.send(Report::Persisted { ticket, took: started.elapsed() });
                    self.appends = Vec::new();
                }
                Err(error) => return self.failed(error),
            }
        }
        // When nobody waits for a sync any more: this may make a file.
        match self.wal.secure_room() {
            Ok(()) => self.set_room(None),
            Err(error) => self.failed(error),
        }
    }

    fn write(&mut self) -> Result<(), WalError> {
        let records: Vec<Record> = self.appends.iter().flat_map(records_of).collect();
        if !records.is_empty() {
            self.wal.write(&records, &self.members)?;
            self.wal.sync()?;
        }
        Ok(())
    }

    /// What is to be written stays where it is, and so does what comes after it, until there is room.
    fn failed(&mut self, error: WalError) {
        match error {
            WalError::Full { .. } => self.set_room(Some(error)),
            error => {
                self.ended = true;
                self.inbox.send(Report::Failed(error.to_string()));
            }
        }
    }

    fn set_room(&mut self, lack: Option<WalError>) {
        if lack.is_none() == self.has_room {
            return;
        }
        self.has_room = lack.is_none();
        match lack {
            Some(error) => log::warn!("{error}, writing goes on by itself then"),
            None => log::info!("the log has room again"),
        }
        self.inbox.send(Report::LogRoom(self.has_room));
    }
}

fn records_of(append: &Append) -> impl Iterator<Item = Record> + '_ {
    let head = append.hard_state.map(Record::HardState).into_iter();
    let start = append.log_start.map(Record::LogStart);
    head.chain(start).chain(append.entries.iter().cloned().map(Record::Entry))
}
