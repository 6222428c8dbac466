//! Clients that ask and are told, and followers that read history; over wires of their own, which lose things too.

use solder::{
    replica::{Answer, Event, RequestId},
    store::{RangeCursor, ReadError, RevRecord, SliceLimits, Store},
    types::{
        Bytes, Command, Compare, CompareResult, CompareValue, DeleteRangeRequest, Error, KeyRange, KeyRev,
        LeaseId, NodeId, Outcome, PutRequest, RangeAt, RangeRequest, Revision, TxnOp, TxnPart, TxnRequest,
    },
};

use super::{
    Micros,
    boards::Board,
    judges::{
        Verdict,
        history::{self, At, CallId, Kv, Op},
        progress::Standing,
        truth,
        watches::Watcher,
    },
    knobs::{MILLI, SECOND},
    world::{Happening, World},
};

/// One client: asks one thing at a time.
#[derive(Default)]
pub(super) struct Client {
    /// Counts its calls; what comes for an earlier one is too late.
    turn: u64,
    waiting: Option<CallId>,
    /// The board it likes to ask.
    board: usize,
}

/// A client's request on its way to a board.
pub(super) struct Arrival {
    pub(super) board: NodeId,
    asker: Asker,
    op: Op,
}

/// Who waits for an answer.
#[derive(Clone)]
pub(super) enum Asker {
    Client {
        client: usize,
        turn: u64,
        call: CallId,
    },
    /// The write that shows that a board serves again.
    Probe,
    /// Who changes the members and moves leadership; looks at the members, not at answers.
    Operator,
    /// Writes that no judge of clients follows; what the boards make of them must still be equal.
    Background,
}

/// What a board took.
pub(super) struct Asked {
    pub(super) board: NodeId,
    /// By the board's own clock.
    pub(super) at_tick: u64,
    asker: Asker,
    pub(super) op: Option<Op>,
}

/// An answer on its way to a client.
pub(super) struct Told {
    client: usize,
    turn: u64,
    call: CallId,
    answer: history::Answer,
}

/// Follows all changes, at one board after the other.
pub(super) struct Follower {
    pub(super) watcher: Watcher,
    board: usize,
    /// Parts of a revision that has not been read to its end.
    parts: Vec<truth::Event>,
    from: KeyRev,
}

impl truth::Event {
    pub(super) fn from_record(record: RevRecord) -> truth::Event {
        let value = (!record.tombstone).then_some(record.value);
        truth::Event { at: record.rev, key: record.key, value }
    }
}

fn kv_of(record: RevRecord) -> Kv {
    Kv { value: record.value, modified: record.rev.main, created: record.create, version: record.version }
}

impl World {
    pub(super) fn add_clients(&mut self) {
        for client in 0..self.knobs.clients.count as usize {
            self.clients.push(Client { board: client, ..Client::default() });
            let delay = self.rng.u64(..SECOND);
            self.schedule(delay, Happening::ClientActs { client, turn: 0 });
        }
        for number in 0..self.knobs.clients.watchers as usize {
            let watcher = Watcher::new(format!("follower {number}"), KeyRange::all(), truth::EMPTY.next());
            let from = KeyRev { main: watcher.next(), sub: 0 };
            self.followers.push(Follower { watcher, board: number, parts: Vec::new(), from });
            self.schedule(SECOND, Happening::FollowerReads(number));
        }
    }

    /// Boards that a client may know of: all that ever were and have a disk.
    fn some_board(&self, preferred: usize) -> NodeId {
        let with_disk: Vec<NodeId> =
            self.boards.values().filter(|board| !board.lost).map(|board| board.id).collect();
        with_disk[preferred % with_disk.len()]
    }

    /// It is this client's turn: it gives up what it waits for, and asks something new.
    pub(super) fn client_acts(&mut self, client: usize, turn: u64) -> Verdict {
        if self.clients[client].turn != turn || !self.stormy {
            return Ok(());
        }
        if self.clients[client].waiting.take().is_some() || self.rng.u32(..10) == 0 {
            // No answer, or curiosity: try another board.
            self.clients[client].board = self.rng.usize(..64);
        }
        let board = self.some_board(self.clients[client].board);
        let op = self.draw_op(client);
        let call = self.history.invoke(client as u64, op.clone(), self.report.steps);
        let turn = turn + 1;
        (self.clients[client].turn, self.clients[client].waiting) = (turn, Some(call));
        self.schedule(self.knobs.clients.patience, Happening::ClientActs { client, turn });
        let asker = Asker::Client { client, turn, call };
        self.ask(Arrival { board, asker, op });
        if self.rng.u32(..4) == 0 {
            self.background(board)?;
        }
        Ok(())
    }

    fn ask(&mut self, arrival: Arrival) {
        let lost = self.stormy && self.rng.u32(..1000) < self.knobs.network.lost;
        let delay = self.rng.u64(100..2 * MILLI);
        if !lost {
            self.schedule(delay, Happening::ClientAsks(arrival));
        }
    }

    fn draw_op(&mut self, client: usize) -> Op {
        let key = Bytes::from(format!("k{}", self.rng.u64(..self.knobs.clients.keys)).as_str());
        let name = format!("{client}.{}.{} ", self.clients[client].turn, self.rng.u32(..));
        let length = self.rng.usize(..=self.knobs.clients.value_bytes);
        let value = Bytes::from(format!("{name:.<length$}").as_str());
        let compacts = self.rng.u32(..1000) < self.knobs.clients.compactions;
        match self.rng.u32(..100) {
            _ if compacts => self.draw_compaction(),
            0..38 => Op::Put { key, value },
            38..46 => Op::Delete { key },
            46..60 => {
                let expect = self.expected_revision(&key);
                Op::Cas { key, expect, value }
            }
            60..66 => Op::Get { key, at: At::Revision(self.past_revision()), serializable: self.rng.bool() },
            number => Op::Get { key, at: At::Newest, serializable: number >= 92 },
        }
    }

    fn draw_compaction(&mut self) -> Op {
        let revision = self.past_revision();
        self.compaction_asked = self.compaction_asked.max(revision);
        Op::Compact { revision }
    }

    /// What a client that has read lately would expect; wrong often enough.
    fn expected_revision(&mut self, key: &Bytes) -> Revision {
        let newest = self.truth.events().iter().rev().take(50).find(|event| event.key == *key);
        match newest {
            Some(event) if event.value.is_some() && self.rng.u32(..4) > 0 => event.at.main,
            _ => Revision(0),
        }
    }

    fn past_revision(&mut self) -> Revision {
        let last = self.truth.last().0;
        Revision(self.rng.i64((last - 30).max(1)..=last))
    }

    /// A request has reached a board.
    pub(super) fn client_asks(&mut self, arrival: Arrival) -> Verdict {
        let Arrival { board, asker, op } = arrival;
        if self.boards[&board].running.is_none() {
            return Ok(());
        }
        if let Op::Get { ref key, at, serializable: true } = op {
            if let Some(store) = serving(&self.boards[&board]) {
                let answer = get(store, key, at);
                self.tell(asker, answer?);
            }
            return Ok(());
        }
        let request = self.take(board, asker, Some(op.clone()));
        let event = match command_of(&op) {
            Some(command) => Event::Propose { request, data: command.encode() },
            None => Event::Read { request },
        };
        self.feed(board, event)
    }

    pub(super) fn take(&mut self, board: NodeId, asker: Asker, op: Option<Op>) -> RequestId {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        let at_tick = self.boards[&board].ticks;
        self.requests.insert(request, Asked { board, at_tick, asker, op });
        request
    }

    /// A board answers.
    pub(super) fn answered(&mut self, board: NodeId, request: RequestId, answer: Answer) -> Verdict {
        let asked = self.requests.remove(&request).expect("a request is answered once");
        let store = &self.boards[&board].running.as_ref().expect("it answers").store;
        if matches!(answer, Answer::Applied(_)) {
            self.safety.acknowledged(store.applied().index)?;
        }
        match asked.asker {
            Asker::Probe => {
                let acked = matches!(answer, Answer::Applied(Outcome::Put(_)));
                let probe = &mut self.boards.get_mut(&board).expect("it answers").probe;
                probe.acked |= acked;
                probe.asked_at = None;
            }
            Asker::Operator | Asker::Background => {}
            Asker::Client { .. } => {
                let op = asked.op.expect("clients ask something");
                if let Some(told) = translate(store, &op, answer)? {
                    self.tell(asked.asker, Some(told));
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self, asker: Asker, answer: Option<history::Answer>) {
        let (Asker::Client { client, turn, call }, Some(answer)) = (asker, answer) else { return };
        let lost = self.stormy && self.rng.u32(..1000) < self.knobs.network.lost;
        let delay = self.rng.u64(100..2 * MILLI);
        if !lost {
            self.schedule(delay, Happening::ClientIsTold(Told { client, turn, call, answer }));
        }
    }

    pub(super) fn client_is_told(&mut self, told: Told) {
        let client = &mut self.clients[told.client];
        if client.turn != told.turn || client.waiting != Some(told.call) {
            return;
        }
        client.waiting = None;
        self.history.answer(told.call, told.answer, self.report.steps);
        let think = self.rng.u64(..=self.knobs.clients.think_max);
        self.schedule(think, Happening::ClientActs { client: told.client, turn: told.turn });
    }

    /// Leases and transactions on keys of their own.
    fn background(&mut self, board: NodeId) -> Verdict {
        if self.boards[&board].running.is_none() {
            return Ok(());
        }
        let command = self.draw_background();
        let request = self.take(board, Asker::Background, None);
        self.feed(board, Event::Propose { request, data: command.encode() })
    }

    fn draw_background(&mut self) -> Command {
        let lease = LeaseId(self.rng.i64(1..5));
        let key = Bytes::from(format!("x{}", self.rng.u32(..5)).as_str());
        // Sometimes a batch of several blocks.
        let bytes = if self.rng.bool() { self.rng.usize(..9_000) } else { self.rng.usize(..200) };
        let value = Bytes::from(vec![b'v'; bytes]);
        let put =
            |lease| PutRequest { key: key.clone(), value: value.clone(), lease, ..PutRequest::default() };
        match self.rng.u32(..6) {
            0 => Command::LeaseGrant { id: lease, ttl_s: 60 },
            1 => Command::LeaseRevoke { id: lease, only_in: None },
            2 | 3 => Command::Put(put(lease)),
            4 => Command::DeleteRange(DeleteRangeRequest {
                range: KeyRange::prefix(b"x"),
                ..DeleteRangeRequest::default()
            }),
            _ => Command::Txn(TxnRequest {
                compare: Vec::new(),
                success: vec![
                    TxnOp::Put(put(LeaseId::NONE)),
                    TxnOp::Range(RangeRequest { range: KeyRange::prefix(b"x"), ..RangeRequest::default() }),
                    TxnOp::Put(PutRequest {
                        key: b"y".into(),
                        value: value.clone(),
                        ..PutRequest::default()
                    }),
                ],
                failure: Vec::new(),
            }),
        }
    }

    /// A follower reads on, often a little at a time.
    pub(super) fn follower_reads(&mut self, number: usize) -> Verdict {
        let pause = if self.stormy { self.rng.u64(20 * MILLI..400 * MILLI) } else { 20 * MILLI };
        self.schedule(pause, Happening::FollowerReads(number));
        if self.rng.u32(..10) == 0 {
            self.followers[number].board = self.rng.usize(..64);
        }
        let board = self.some_board(self.followers[number].board);
        let rows = self.rng.u32(1..8);
        let moved = self.rng.u32(..10) == 0;
        let follower = &mut self.followers[number];
        let Some(store) = serving(&self.boards[&board]) else {
            follower.board += 1;
            return Ok(());
        };
        if moved || follower.from.main < follower.watcher.next() {
            follower.parts.clear();
            follower.from = KeyRev { main: follower.watcher.next(), sub: 0 };
        }
        if store.revision() < follower.from.main {
            return Ok(());
        }
        match store.history(follower.from, &KeyRange::all(), SliceLimits { rows, bytes: 10_000 }) {
            Ok(slice) => {
                follower.from = slice.next;
                follower.parts.extend(slice.events.into_iter().map(truth::Event::from_record));
                let whole =
                    follower.parts.partition_point(|event| slice.done || event.at.main < slice.next.main);
                let told: Vec<truth::Event> = follower.parts.drain(..whole).collect();
                if told.is_empty() { Ok(()) } else { follower.watcher.received(&self.truth, &told) }
            }
            Err(ReadError::Refused(Error::Compacted(compacted))) => {
                follower.parts.clear();
                follower.watcher.compacted(compacted, self.compaction_asked)
            }
            Err(error) => Err(format!("{board} cannot tell its history: {error}")),
        }
    }

    /// After the storm: asks every member for a write until it is acknowledged.
    pub(super) fn probe(&mut self, standings: &[Standing]) {
        for standing in standings.iter().filter(|standing| !standing.probe_acked) {
            let board = standing.node;
            let now = self.now;
            let probe = &mut self.boards.get_mut(&board).expect("it stands").probe;
            if probe.asked_at.is_none_or(|at: Micros| now - at > 10 * SECOND) {
                probe.asked_at = Some(now);
                let key = Bytes::from(format!("probe{board}").as_str());
                let op = Op::Put { key, value: Bytes::from(format!("{board} at {now}").as_str()) };
                self.ask(Arrival { board, asker: Asker::Probe, op });
            }
        }
    }
}

/// A store that answers reads: one that is not catching up.
fn serving(board: &Board) -> Option<&Store> {
    let running = board.running.as_ref()?;
    (!running.replica.node().is_catching_up() && running.store.receive_mark().is_none())
        .then_some(&running.store)
}

fn command_of(op: &Op) -> Option<Command> {
    Some(match op.clone() {
        Op::Get { .. } => return None,
        Op::Put { key, value } => Command::Put(PutRequest { key, value, ..PutRequest::default() }),
        Op::Delete { key } => Command::DeleteRange(DeleteRangeRequest {
            range: KeyRange::single(key),
            ..DeleteRangeRequest::default()
        }),
        Op::Compact { revision } => Command::Compact { revision },
        Op::Cas { key, expect, value } => Command::Txn(TxnRequest {
            compare: vec![Compare {
                range: KeyRange::single(key.clone()),
                result: CompareResult::Equal,
                value: CompareValue::Mod(expect),
            }],
            success: vec![TxnOp::Put(PutRequest { key: key.clone(), value, ..PutRequest::default() })],
            failure: vec![TxnOp::Range(RangeRequest {
                range: KeyRange::single(key),
                ..RangeRequest::default()
            })],
        }),
    })
}

/// What a client makes of a board's answer. `None`: nobody knows.
fn translate(store: &Store, op: &Op, answer: Answer) -> Result<Option<history::Answer>, String> {
    Ok(Some(match answer {
        Answer::Refused(_) | Answer::Applied(Outcome::Refused(_)) => history::Answer::Refused,
        Answer::Unknown(_) => return Ok(None),
        Answer::ReadAt(_) => match op {
            Op::Get { key, at, .. } => return get(store, key, *at),
            _ => return Err(format!("{op:?} was answered as a read")),
        },
        Answer::Applied(Outcome::Put(put)) => history::Answer::Put { revision: put.revision },
        Answer::Applied(Outcome::Delete(delete)) => {
            history::Answer::Delete { revision: delete.revision, deleted: delete.deleted > 0 }
        }
        Answer::Applied(Outcome::Compacted { revision }) => history::Answer::Compact { revision },
        Answer::Applied(Outcome::Txn(txn)) => match (txn.succeeded, txn.parts.as_slice()) {
            (true, [TxnPart::Put(_)]) => history::Answer::CasDone { revision: txn.revision },
            (false, [TxnPart::Range { range, .. }]) => {
                let Some(kv) = first_of(store, range.clone()) else { return Ok(None) };
                history::Answer::CasElse { revision: txn.revision, kv }
            }
            other => return Err(format!("a transaction was answered with {other:?}")),
        },
        other => return Err(format!("{op:?} was answered with {other:?}")),
    }))
}

fn get(store: &Store, key: &Bytes, at: At) -> Result<Option<history::Answer>, String> {
    if store.receive_mark().is_some() {
        return Ok(None);
    }
    let revision = match at {
        At::Newest => Revision(0),
        At::Revision(revision) => revision,
    };
    let request = RangeRequest { range: KeyRange::single(key.clone()), revision, ..RangeRequest::default() };
    match store.range_at(&request) {
        Ok(range) => {
            let kv = first_of(store, range).ok_or("a range that may be read cannot be read")?;
            Ok(Some(history::Answer::Get { revision: store.revision(), kv }))
        }
        Err(Error::Compacted(_)) => Ok(Some(history::Answer::Compacted)),
        Err(Error::FutureRevision) => Ok(Some(history::Answer::Refused)),
        Err(error) => Err(format!("a get was refused: {error}")),
    }
}

/// The first row of a range; `None` if it has been compacted since it was named, or if the store has begun to catch up and
/// so is behind what was applied to it.
fn first_of(store: &Store, range: RangeAt) -> Option<Option<Kv>> {
    if store.receive_mark().is_some() {
        return None;
    }
    let mut cursor = RangeCursor::new(range);
    let slice = store.range(&mut cursor, SliceLimits { rows: 10, bytes: 10_000 }).ok()?;
    Some(slice.rows.iter().next().map(|record| kv_of(record.into())))
}
