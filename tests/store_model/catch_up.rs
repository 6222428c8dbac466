//! One seed: a board that fell behind gets the store's content from two senders, in turns, while these go on applying,
//! flushing and removing, and while everybody crashes. In the end it holds what the senders hold.

use solder::{store::*, types::*};

use crate::machine::{Machine, Subject, hash};

/// Which of the three boards sends.
type Sender = usize;

const RECEIVER: usize = 2;
const LIMITS: SliceLimits = SliceLimits { rows: 1000, bytes: 1 << 20 };

struct Transfer {
    sender: Sender,
    id: TransferId,
    cursor: KeyRev,
}

struct Scene {
    machine: Machine,
    boards: [Subject; 3],
    transfer: Option<Transfer>,
    transfers: u64,
    /// Steps after which nothing goes wrong any more, so that it ends.
    calm_after: u64,
    steps: u64,
}

pub(crate) fn run(seed: u64, bugs: Bugs) -> u64 {
    let mut machine = Machine::new(seed);
    let on_lmdb = seed.is_multiple_of(16);
    let chance = &mut machine.chance;
    let boards = [false, false, on_lmdb].map(|on_lmdb| Subject::new(chance, on_lmdb, bugs));
    let calm_after = chance.rng.u64(..200);
    let mut scene = Scene { machine, boards, transfer: None, transfers: 0, calm_after, steps: 0 };
    scene.fall_behind();
    while !scene.step() {
        assert!(scene.steps < 20_000, "the transfer does not end");
    }
    scene.check_end();
    scene.steps
}

impl Scene {
    /// All three apply the same for a while, and then the receiver is away.
    fn fall_behind(&mut self) {
        let together = self.machine.chance.rng.u64(..60);
        for _ in 0..together {
            self.machine.apply(&mut self.boards);
            self.flush_some(0..3);
        }
        let away = 1 + self.machine.chance.rng.u64(..120);
        for _ in 0..away {
            self.machine.apply(&mut self.boards[..1]);
            self.flush_some(0..2);
        }
        // At least one sender has more than the receiver had.
        self.machine.log.replay(&mut self.boards[0].store);
    }

    fn flush_some(&mut self, boards: std::ops::Range<usize>) {
        for board in boards {
            let chance = &mut self.machine.chance;
            if chance.one_in(3) && self.boards[board].flush(chance) {
                self.crash(board);
            }
        }
    }

    fn crash(&mut self, board: usize) {
        let applied = self.boards[board].store.applied().index.0 as usize;
        self.boards[board].crash();
        let store = &mut self.boards[board].store;
        if store.receive_mark().is_none() {
            self.machine.log.replay_up_to(store, applied);
        }
        // Neither side remembers the transfer.
        if let Some(transfer) =
            self.transfer.take_if(|transfer| transfer.sender == board || board == RECEIVER)
        {
            self.boards[transfer.sender].store.unpin_transfer(transfer.id);
        }
    }

    /// True: the receiver is whole again.
    fn step(&mut self) -> bool {
        self.steps += 1;
        if self.steps < self.calm_after {
            self.disturb();
        }
        let Some(Transfer { sender, id, cursor }) = self.transfer else {
            self.begin();
            return false;
        };
        let bytes_max = self.machine.chance.rng.u64(..2000);
        let slice = self.boards[sender].store.transfer_slice(cursor, bytes_max).expect("readable");
        let tail = slice.done.then(|| self.boards[sender].store.transfer_tail().expect("readable"));
        if self.steps < self.calm_after && self.machine.chance.one_in(6) {
            // While the slice is on its way.
            self.flush_some(0..2);
        }
        let receiver = &mut self.boards[RECEIVER].store;
        if receiver.receive_mark().is_none() || self.transfer.is_none() {
            return false;
        }
        receiver.receive_slice(&slice).expect("room");
        if self.machine.chance.one_in(10) {
            receiver.receive_slice(&slice).expect("room");
        }
        self.boards[sender].store.move_transfer(id, slice.next);
        self.transfer = Some(Transfer { sender, id, cursor: slice.next });
        tail.is_some_and(|tail| self.finish(sender, &tail))
    }

    fn begin(&mut self) {
        let sender = self.machine.chance.rng.usize(..RECEIVER);
        self.transfers += 1;
        let id = TransferId(self.transfers);
        let Some(base) = self.boards[sender].store.pin_transfer(id) else { return };
        let cursor = self.boards[RECEIVER].store.receive_begin(base).expect("room");
        self.boards[sender].store.move_transfer(id, cursor);
        self.transfer = Some(Transfer { sender, id, cursor });
    }

    fn disturb(&mut self) {
        for _ in 0..self.machine.chance.rng.usize(..4) {
            self.machine.apply(&mut self.boards[..1]);
        }
        // The other sender follows at its own pace.
        let entries = self.machine.log.entries.len();
        let upto = entries - self.machine.chance.rng.usize(..20).min(entries);
        self.machine.log.replay_up_to(&mut self.boards[1].store, upto);
        self.flush_some(0..2);
        match self.machine.chance.rng.u8(..30) {
            0 => self.crash(0),
            1 => self.crash(1),
            2 | 3 => self.crash(RECEIVER),
            4 => {
                if let Some(Transfer { sender, id, .. }) = self.transfer.take() {
                    self.boards[sender].store.unpin_transfer(id);
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, sender: Sender, tail: &TransferTail) -> bool {
        if self.boards[RECEIVER].store.receive_finish(tail).expect("room") == ReceiveEnd::SenderBehind {
            assert!(
                sender == 1 || self.boards[1].store.applied() >= tail.at,
                "the one that is ahead is not behind"
            );
            // It will have applied more by then.
            self.machine.log.replay(&mut self.boards[sender].store);
            return false;
        }
        let store = &self.boards[RECEIVER].store;
        assert_eq!(store.applied(), tail.at);
        assert_eq!(store.state_hash(), self.machine.log.hashes[tail.at.index.0 as usize - 1]);
        assert_eq!(store.receive_mark(), None);
        let Transfer { sender, id, .. } = self.transfer.take().expect("it has just ended");
        self.boards[sender].store.unpin_transfer(id);
        true
    }

    fn check_end(&mut self) {
        self.check_equal();
        for _ in 0..5 {
            self.machine.apply(&mut self.boards);
        }
        self.check_equal();
        self.clear_alarms();
        self.compact_all();
        self.check_equal();
        let counts = [0, 1, RECEIVER].map(|board| count(&self.boards[board]));
        assert!(counts.iter().all(|count| *count == counts[0]), "records that nobody removes: {counts:?}");
    }

    fn check_equal(&mut self) {
        for board in &mut self.boards {
            self.machine.log.replay(&mut board.store);
        }
        let oldest = self.machine.model.compacted.0.max(1);
        for revision in oldest..=self.machine.model.revision.0 {
            let revision = Revision(revision);
            let expected = hash(&self.boards[0].store, revision, LIMITS);
            assert_eq!(hash(&self.boards[RECEIVER].store, revision, LIMITS), expected, "at {revision}");
        }
        for _ in 0..40 {
            self.machine.check_all(&self.boards[RECEIVER].store);
        }
    }

    fn clear_alarms(&mut self) {
        for kind in [AlarmKind::Corrupt, AlarmKind::NoSpace] {
            let alarm = AlarmRequest { action: AlarmAction::Deactivate, member: NodeId(1), kind };
            self.machine.apply_command(Command::Alarm(alarm), &mut self.boards);
        }
    }

    /// Twice, because a tombstone made at the compacted revision waits for the next one; and removal has its time.
    fn compact_all(&mut self) {
        for key in ["x", "y"] {
            let put = PutRequest { key: key.into(), ..PutRequest::default() };
            self.machine.apply_command(Command::Put(put), &mut self.boards);
            let revision = self.machine.model.revision;
            self.machine.apply_command(Command::Compact { revision }, &mut self.boards);
            for board in &mut self.boards {
                while let Some(job) = board.store.start_flush(Index(u64::MAX)) {
                    let result = job.run(&*board.backend);
                    board.store.finish_flush(result).expect("room");
                }
            }
        }
    }
}

fn count(board: &Subject) -> [usize; 3] {
    let snapshot = board.backend.read().expect("readable");
    [Table::Keys, Table::Revs, Table::LeaseKeys]
        .map(|table| snapshot.scan(table, &[]).expect("readable").count())
}
