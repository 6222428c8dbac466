//! Power on, power off, and settings that a start finds.

use std::collections::VecDeque;

use solder::{
    raft,
    replica::{self, Replica, boot},
    store::{self, Store, StoreError},
    types::{Bugs, ClusterId, Membership, NodeId},
    wal::{self, Record, Wal, WalError},
};

use super::{
    super::{
        database::Database,
        judges::{Verdict, promises::Promises},
        knobs::{Bounds, MILLI, SECOND, Timing},
        pilot::Pilot,
        world::{Happening, World},
    },
    Board, Flush, Probe, Running, Step,
};

const CLUSTER: ClusterId = ClusterId(0x50_1d);

impl World {
    pub(in super::super) fn add_board(&mut self, id: NodeId, genesis: Membership) {
        let slow_clock = self.rng.u64(..=self.knobs.slow_clock);
        let board = Board {
            id,
            slow_clock,
            timing: self.timing,
            ticks: 0,
            genesis,
            disk: wal::Twin::new(),
            database: Database::new(self.knobs.lmdb),
            life: 0,
            running: None,
            paused_until: 0,
            slow_until: 0,
            full_until: 0,
            lost: false,
            probe: Probe::default(),
        };
        self.boards.insert(id, board);
    }

    /// Power on.
    pub(in super::super) fn start(&mut self, id: NodeId) -> Verdict {
        let board = &self.boards[&id];
        if !board.is_down() {
            return Ok(());
        }
        match self.boot(id) {
            Ok(running) => {
                let applied = running.store.applied().index;
                self.safety.started(id, applied)?;
                self.boards.get_mut(&id).expect("it is there").running = Some(running);
                let phase = self.rng.u64(..self.boards[&id].tick());
                self.later(id, phase, Step::Tick);
                self.later(id, phase, Step::FlushDue);
                self.tell_of_meeting(id);
                Ok(())
            }
            Err(Trouble::Passing) => {
                self.boards.get_mut(&id).expect("it is there").disk.crash(&mut self.rng);
                self.schedule(SECOND, Happening::Start(id));
                Ok(())
            }
            Err(Trouble::Fatal(reason)) => Err(format!("{id} does not start: {reason}")),
        }
    }

    fn boot(&mut self, id: NodeId) -> Result<Running, Trouble> {
        let (bugs, bounds) = (self.bugs, self.knobs.bounds.clone());
        let board = self.boards.get_mut(&id).expect("it is there");
        board.life += 1;
        let backend = board.database.open()?;
        let options = store::Options { pending_bytes_max: bounds.pending_bytes, flush_pages_max: 64, bugs };
        let mut store = Store::open(backend.clone(), options)?;
        if !store.is_initialised() {
            store.init(CLUSTER, board.genesis.clone())?;
        }
        let options =
            wal::Options { segment_bytes: bounds.segment_bytes, cluster: CLUSTER, member: id, bugs };
        let known = wal::Known {
            applied: store.applied().index,
            catching_up: store.receive_mark().is_some(),
            members: store.membership(),
        };
        let (mut wal, found) = Wal::open(board.disk.clone(), options, known, self.rng.fork())?;
        self.report.torn += u64::from(found.warning.is_some());
        let log = boot::Log { hard_state: found.hard_state, start: found.start, entries: found.entries };
        let boot = boot::reconcile(&store, log).map_err(|gap| Trouble::Fatal(gap.to_string()))?;
        if let Some(start) = boot.log_start {
            wal.write(&[Record::LogStart(start)], store.membership())?;
            wal.sync()?;
        }
        let on_disk = boot.restored.entries.iter().map(|entry| entry.id);
        let promises = Promises::new(store.applied().index, on_disk, found.hard_state);
        let options = replica_options(id, &bounds, board.timing, bugs);
        let replica = Replica::new(options, boot, self.rng.fork());
        Ok(Running {
            replica,
            store,
            backend,
            wal,
            appends: Vec::new(),
            syncing: None,
            log_room: true,
            store_room: true,
            work: VecDeque::new(),
            working: false,
            flush: None,
            reports: VecDeque::new(),
            last_report_at: 0,
            writing: Vec::new(),
            promises,
            pilot: Pilot::default(),
        })
    }

    /// Power off, in the middle of everything.
    pub(in super::super) fn cut_power(&mut self, id: NodeId) {
        let board = self.boards.get_mut(&id).expect("it is there");
        if let Some(running) = board.running.take() {
            self.report.crashes_writing += u64::from(running.syncing.is_some());
            self.report.crashes_in_parts += u64::from(running.store.unfinished().is_some());
            self.report.crashes_catching_up += u64::from(running.store.receive_mark().is_some());
            if let (Some(Flush::Out(job)), true) = (&running.flush, self.rng.bool()) {
                // In the middle of a transaction: it is never committed.
                board.database.set_full(true);
                let aborted = job.run(&*running.backend);
                assert!(aborted.is_err(), "a transaction that is not committed does not succeed");
                board.database.set_full(false);
            }
            drop(running);
            board.life += 1;
            board.disk.crash(&mut self.rng);
            self.report.crashes += 1;
            self.requests.retain(|_, asked| asked.board != id);
            self.tell_of_loss(id);
        }
    }

    /// The cluster's time-outs, as this board hears of them.
    pub(in super::super) fn retime(&mut self, id: NodeId) {
        let (timing, bugs, bounds) = (self.timing, self.bugs, self.knobs.bounds.clone());
        let Some(board) = self.boards.get_mut(&id) else { return };
        board.timing = timing;
        if let Some(running) = &mut board.running {
            running.replica.retime(&replica_options(id, &bounds, timing, bugs));
            self.report.retimed += 1;
        }
    }

    /// This board's fault: its process ends and is started again.
    pub(super) fn die(&mut self, id: NodeId) -> Verdict {
        self.cut_power(id);
        let delay = self.rng.u64(10 * MILLI..2 * SECOND);
        self.schedule(delay, Happening::Start(id));
        Ok(())
    }
}

fn replica_options(id: NodeId, bounds: &Bounds, timing: Timing, bugs: Bugs) -> replica::Options {
    replica::Options {
        raft: raft::Options {
            id,
            election_ticks: timing.election_ticks,
            heartbeat_ticks: 1,
            append_bytes_max: bounds.append_bytes,
            window_bytes: bounds.window_bytes,
            uncommitted_bytes_max: bounds.uncommitted_bytes,
            tail_bytes_max: bounds.tail_bytes,
            apply_bytes_max: bounds.unapplied_bytes,
            reads_max: 64,
            bugs,
        },
        request_timeout_ticks: timing.request_ticks,
        requests_max: 256,
        transfers_max: 2,
        transfer_piece_bytes: bounds.piece_bytes,
        transfer_resend_ticks: 3,
        transfer_give_up_ticks: 50,
    }
}

/// What keeps a board from starting.
enum Trouble {
    /// No room, or a disk that fails: goes by.
    Passing,
    Fatal(String),
}

impl From<WalError> for Trouble {
    fn from(error: WalError) -> Trouble {
        match error {
            WalError::Full { .. } | WalError::Io { .. } => Trouble::Passing,
            error => Trouble::Fatal(error.to_string()),
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Trouble {
        match error {
            StoreError::Full { .. } => Trouble::Passing,
            error => Trouble::Fatal(error.to_string()),
        }
    }
}
