//! The log's thread: appends and syncs. All that waits goes into one batch and one sync.
//!
//! Here you will not find: decisions. What it cannot do for want of room it tries again; any other failure ends the process.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    logging::Seldom,
    replica::Append,
    types::{Index, Membership},
    wal::{Disk, Record, Wal, WalError},
};

use super::{
    gather::Gather,
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
            gather: Gather::default(),
            has_room: true,
            room_told: Seldom::default(),
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
    gather: Gather,
    has_room: bool,
    room_told: Seldom,
    ended: bool,
}

impl<D: Disk> LogThread<D> {
    fn run(&mut self) {
        let mut jobs = Vec::new();
        while !self.ended {
            if self.appends.is_empty() || !self.has_room {
                let deadline = (!self.has_room).then(|| Instant::now() + LOOK_AGAIN);
                if !self.mailbox.take(&mut jobs, deadline) {
                    return;
                }
            }
            self.beat.moved();
            jobs.drain(..).for_each(|job| self.sort(job));
            if self.has_room {
                self.gather(&mut jobs);
            }
            self.turn(&mut jobs);
        }
    }

    /// Waits a little for those who are likely to come. Nobody waits with a vote.
    fn gather(&mut self, jobs: &mut Vec<LogJob>) {
        let until = Instant::now() + self.gather.patience();
        while self.holds_entries_only() && self.gather.expects_more(self.entries()) {
            let is_open = self.mailbox.take(jobs, Some(until));
            if !is_open || jobs.is_empty() {
                return;
            }
            jobs.drain(..).for_each(|job| self.sort(job));
        }
    }

    fn holds_entries_only(&self) -> bool {
        let is_entries = |append: &Append| append.hard_state.is_none() && append.log_start.is_none();
        !self.appends.is_empty() && self.appends.iter().all(is_entries)
    }

    fn entries(&self) -> usize {
        self.appends.iter().map(|append| append.entries.len()).sum()
    }

    fn sort(&mut self, job: LogJob) {
        match job {
            LogJob::Append(append) => self.appends.push(append),
            LogJob::Members(members) => self.members = members,
            LogJob::Release(index) => self.wal.release(index),
            LogJob::Beat => {}
        }
    }

    fn turn(&mut self, jobs: &mut Vec<LogJob>) {
        if let Some(ticket) = self.appends.last().map(|append| append.ticket) {
            let started = Instant::now();
            match self.write() {
                Ok(()) => {
                    let took = started.elapsed();
                    self.inbox.send(Report::Persisted { ticket, took });
                    let entries = self.entries();
                    self.appends = Vec::new();
                    self.mailbox.take_now(jobs);
                    jobs.drain(..).for_each(|job| self.sort(job));
                    self.gather.synced(entries, self.entries(), took);
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
            Some(error) => {
                // On a disk that is full to the brim room comes and goes.
                if let Some(left_out) = self.room_told.may(Instant::now()) {
                    log::warn!("{error}, writing goes on by itself then{left_out}");
                }
            }
            None => log::debug!("the log has room again"),
        }
        self.inbox.send(Report::LogRoom(self.has_room));
    }
}

fn records_of(append: &Append) -> impl Iterator<Item = Record> + '_ {
    let head = append.hard_state.map(Record::HardState).into_iter();
    let start = append.log_start.map(Record::LogStart);
    head.chain(start).chain(append.entries.iter().cloned().map(Record::Entry))
}
