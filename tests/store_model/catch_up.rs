//! One seed: a board that fell behind gets the store's content from two senders, in turns, while these go on applying,
//! flushing and removing, and while everybody crashes. In the end it holds what the senders hold. Then it is a sender
//! itself, for one of those it got its content from.

use solder::{store::*, types::*};

use crate::machine::{Machine, Subject, hash};

/// One of the three.
type Who = usize;

const LIMITS: SliceLimits = SliceLimits { rows: 1000, bytes: 1 << 20 };

struct Transfer {
    sender: Who,
    id: TransferId,
    cursor: KeyRev,
}

struct Scene {
    machine: Machine,
    boards: [Subject; 3],
    receiver: Who,
    /// The one that leads, and the one that follows at its own pace.
    senders: [Who; 2],
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
    let mut scene = Scene {
        machine,
        boards,
        receiver: 2,
        senders: [0, 1],
        transfer: None,
        transfers: 0,
        calm_after: 0,
        steps: 0,
    };
    let together = scene.machine.chance.rng.u64(..60);
    for _ in 0..together {
        scene.machine.apply(&mut scene.boards);
        scene.flush_some();
    }
    scene.catch_up();
    scene.receiver = 1;
    scene.senders = [0, 2];
    scene.catch_up();
    scene.check_end();
    scene.steps
}

impl Scene {
    fn catch_up(&mut self) {
        let away = 1 + self.machine.chance.rng.u64(..120);
        for _ in 0..away {
            self.apply_one();
            self.flush_some();
        }
        self.apply_in_part(self.receiver);
        if self.boards[self.receiver].store.applied() == self.boards[self.senders[0]].store.applied() {
            // Only who is behind is brought up to date.
            self.apply_one();
        }
        self.flush_some();
        self.calm_after = self.steps + self.machine.chance.rng.u64(..150);
        let limit = self.steps + 20_000;
        while !self.step() {
            assert!(self.steps < limit, "the transfer does not end");
        }
        self.check_equal();
    }

    /// The next entry reaches the first sender; the others have it in the log, for later.
    fn apply_one(&mut self) {
        let leader = self.senders[0];
        let crashes = self.boards[leader].crashes;
        self.machine.apply(&mut self.boards[leader..=leader]);
        if self.boards[leader].crashes > crashes {
            self.forget_transfer(leader);
        }
    }

    /// Some of what a board lacks; of the last entry perhaps not all.
    fn apply_in_part(&mut self, board: Who) {
        let Subject { store, .. } = &mut self.boards[board];
        let (applied, entries) = (store.applied().index.0 as usize, self.machine.log.entries.len());
        self.machine.log.replay_up_to(store, (applied + self.machine.chance.rng.usize(..4)).min(entries));
        for _ in 0..self.machine.chance.rng.usize(..4) {
            let next = self.machine.log.entries.get(store.applied().index.0 as usize);
            if let Some(entry) = next
                && let Applying::Paused = store.apply(entry).expect("an entry")
            {
                assert!(store.unfinished().is_some_and(|(half_done, _)| half_done == entry.id));
            }
        }
    }

    fn flush_some(&mut self) {
        for board in 0..self.boards.len() {
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
        self.forget_transfer(board);
    }

    /// Neither side remembers it.
    fn forget_transfer(&mut self, board: Who) {
        if let Some(transfer) =
            self.transfer.take_if(|transfer| transfer.sender == board || board == self.receiver)
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
            self.flush_some();
        }
        let receiver = &mut self.boards[self.receiver].store;
        if receiver.receive_mark().is_none() || self.transfer.is_none() {
            return false;
        }
        if self.machine.chance.one_in(10) {
            // It is lost: neither what follows it nor a tail is taken for it.
            let lost = !slice.records.is_empty();
            let next = self.boards[sender].store.transfer_slice(slice.next, bytes_max).expect("readable");
            let receiver = &mut self.boards[self.receiver].store;
            assert!(!lost || receiver.receive_slice(&next).expect("room") < slice.next);
            if let Some(tail) = tail.filter(|_| lost) {
                let end = receiver.receive_finish(&tail).expect("room");
                assert!(matches!(end, ReceiveEnd::SliceMissing | ReceiveEnd::SenderBehind), "{end:?}");
            }
            return false;
        }
        let cursor = receiver.receive_slice(&slice).expect("room");
        if self.machine.chance.one_in(10) {
            assert_eq!(receiver.receive_slice(&slice).expect("room"), cursor, "again");
        }
        self.boards[sender].store.move_transfer(id, cursor);
        self.transfer = Some(Transfer { sender, id, cursor });
        tail.is_some_and(|tail| self.finish(sender, &tail))
    }

    fn begin(&mut self) {
        let sender = self.senders[self.machine.chance.rng.usize(..2)];
        self.transfers += 1;
        let id = TransferId(self.transfers);
        let Some(base) = self.boards[sender].store.pin_transfer(id) else { return };
        let cursor = self.boards[self.receiver].store.receive_begin(base).expect("room");
        self.boards[sender].store.move_transfer(id, cursor);
        self.transfer = Some(Transfer { sender, id, cursor });
    }

    fn disturb(&mut self) {
        for _ in 0..self.machine.chance.rng.usize(..4) {
            self.apply_one();
        }
        let entries = self.machine.log.entries.len();
        let upto = entries - self.machine.chance.rng.usize(..20).min(entries);
        let follower = self.senders[1];
        self.machine.log.replay_up_to(&mut self.boards[follower].store, upto);
        self.apply_in_part(follower);
        self.flush_some();
        match self.machine.chance.rng.u8(..30) {
            0 => self.crash(self.senders[0]),
            1 => self.crash(self.senders[1]),
            2 | 3 => self.crash(self.receiver),
            4 => {
                if let Some(Transfer { sender, id, .. }) = self.transfer.take() {
                    self.boards[sender].store.unpin_transfer(id);
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, sender: Who, tail: &TransferTail) -> bool {
        if self.boards[self.receiver].store.receive_finish(tail).expect("room") == ReceiveEnd::SenderBehind {
            // It will have applied more by then.
            self.machine.log.replay(&mut self.boards[sender].store);
            return false;
        }
        let store = &self.boards[self.receiver].store;
        assert_eq!(store.applied(), tail.at);
        assert_eq!(store.state_hash(), self.machine.log.hashes[tail.at.index.0 as usize - 1]);
        assert_eq!(store.receive_mark(), None);
        assert_eq!(store.transfer_tail().expect("readable"), *tail);
        self.check_same(sender);
        let Transfer { sender, id, .. } = self.transfer.take().expect("it has just ended");
        self.boards[sender].store.unpin_transfer(id);
        true
    }

    /// Sender and receiver are at the same entry, and answer the same.
    fn check_same(&self, sender: Who) {
        let [sender, receiver] = [sender, self.receiver].map(|board| &self.boards[board].store);
        assert_eq!(sender.applied(), receiver.applied());
        let history = |store: &Store| {
            let from = KeyRev::new(store.compacted().0.max(0), 0);
            let slice = store.history(from, &KeyRange::all(), LIMITS).expect("not compacted");
            assert!(slice.done);
            slice.events
        };
        assert_eq!(history(receiver), history(sender));
        assert_eq!(hash(receiver, Revision(0), LIMITS), hash(sender, Revision(0), LIMITS));
        if sender.unfinished().is_some() {
            // Keys go one by one.
            return;
        }
        for (id, _) in sender.leases().expect("readable") {
            let keys = |store: &Store| store.lease_keys(id, None, 1000).expect("readable");
            assert_eq!(keys(receiver), keys(sender), "lease {id}");
        }
    }

    fn check_end(&mut self) {
        for _ in 0..5 {
            self.machine.apply(&mut self.boards);
        }
        self.check_equal();
        self.clear_alarms();
        self.compact_all();
        self.check_equal();
        let counts = self.boards.each_ref().map(count);
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
            assert_eq!(hash(&self.boards[self.receiver].store, revision, LIMITS), expected, "at {revision}");
        }
        for _ in 0..40 {
            self.machine.check_all(&self.boards[self.receiver].store);
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
