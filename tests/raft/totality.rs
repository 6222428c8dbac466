//! Nonsense: whatever message arrives, a node neither panics nor grows without bound.

use arbtest::arbitrary::{Result, Unstructured};
use solder::raft::{Envelope, Message, Options, Refusal};
use solder::types::{
    Bugs, Bytes, Entry, EntryId, Index, Membership, MembershipChange, NodeId, Payload, ProposalId, Term,
};

use crate::board::{Board, Disk, Store};

const HELD_BYTES_MAX: u64 = 4_000;

#[test]
fn nonsense_is_borne() {
    arbtest::arbtest(|u| {
        let mut board = board(u)?;
        for _ in 0..u.int_in_range(1..=60)? {
            match u.int_in_range(0..=9)? {
                0 => (0..u.int_in_range(1..=12)?).for_each(|_| board.node.tick()),
                1 => board.node.propose(proposal(u)?, Bytes::from(vec![0; u.int_in_range(0..=300)?])),
                2 => board.node.read_index(proposal(u)?),
                3 => board.node.change_members(proposal(u)?, change(u)?, Bytes::new()),
                _ => board.node.step(envelope(u, &board)?),
            }
            if u.ratio(2, 3)? {
                settle(&mut board);
            }
            check_bounds(&board);
        }
        Ok(())
    })
    .budget_ms(3_000);
}

/// A voter, a learner, or one that knows nothing; with a log of a few terms.
fn board(u: &mut Unstructured) -> Result<Board> {
    let mut initial = Membership::of_voters((1..=u.int_in_range(1..=4)?).map(NodeId));
    if u.ratio(1, 6)? {
        initial = Membership::default();
    }
    let mut disk = Disk { store: Store { initial, history: Vec::new() }, ..Disk::default() };
    let mut term = 1;
    for index in 1..=u.int_in_range(0..=8)? {
        term += u.int_in_range(0..=1)?;
        disk.entries.push(Entry { id: EntryId::new(term, index), payload: Payload::Empty });
    }
    disk.hard_state.term = Term(term);
    Ok(Board::boot(options(), disk, u.arbitrary()?))
}

fn options() -> Options {
    Options {
        id: NodeId(1),
        election_ticks: 4,
        heartbeat_ticks: 1,
        append_bytes_max: 400,
        window_bytes: 800,
        uncommitted_bytes_max: HELD_BYTES_MAX / 2,
        tail_bytes_max: 1_000,
        apply_bytes_max: HELD_BYTES_MAX / 2,
        reads_max: 4,
        bugs: Bugs::default(),
    }
}

fn settle(board: &mut Board) {
    for _ in 0..20 {
        while board.node.has_ready() {
            board.ready();
        }
        let (_, ticket) = board.sync(usize::MAX);
        if let Some(ticket) = ticket {
            board.node.persisted(ticket);
        }
        board.apply(usize::MAX);
    }
    assert!(!board.node.has_ready(), "never done: {:?}", board.node.status());
}

fn check_bounds(board: &Board) {
    let status = board.node.status();
    let held = status.last.index.0 - status.applied.0.min(status.durable.0);
    // Empty entries come free; there are at most 60 rounds of them.
    assert!(held < 2_000, "{held} entries held: {status:?}");
    assert!(status.durable <= status.last.index && status.commit <= status.last.index, "{status:?}");
    assert!(status.applied <= status.commit, "{status:?}");
}

/// Mostly near what could be true, so that it gets past the first check; sometimes far from it.
fn near(u: &mut Unstructured, value: u64) -> Result<u64> {
    Ok(match u.int_in_range(0..=12)? {
        0 => u64::MAX - u.int_in_range(0..=2)?,
        1 => u.arbitrary()?,
        2 => u.int_in_range(0..=3)?,
        _ => value.saturating_add(u.int_in_range(0..=4)?).saturating_sub(2),
    })
}

fn proposal(u: &mut Unstructured) -> Result<ProposalId> {
    Ok(ProposalId { origin: NodeId(u.int_in_range(0..=5)?), number: u.int_in_range(0..=9)? })
}

fn change(u: &mut Unstructured) -> Result<MembershipChange> {
    let id = NodeId(u.int_in_range(0..=6)?);
    Ok(match u.int_in_range(0..=4)? {
        0 => MembershipChange::AddVoter(id),
        1 => MembershipChange::AddLearner(id),
        2 => MembershipChange::Promote(id),
        3 => MembershipChange::Demote(id),
        _ => MembershipChange::Remove(id),
    })
}

fn envelope(u: &mut Unstructured, board: &Board) -> Result<Envelope> {
    let term = Term(near(u, board.node.term().0)?);
    let from = NodeId(u.int_in_range(0..=6)?);
    let to = NodeId(if u.ratio(1, 20)? { 2 } else { 1 });
    Ok(Envelope { from, to, term, message: message(u, board)? })
}

fn message(u: &mut Unstructured, board: &Board) -> Result<Message> {
    let last = board.node.last();
    let index = Index(near(u, last.index.0)?);
    let id = EntryId { term: Term(near(u, last.term.0)?), index };
    let (pre, yes) = (u.arbitrary()?, u.arbitrary()?);
    Ok(match u.int_in_range(0..=14)? {
        0 => Message::VoteRequest { pre, last: id, transfer: yes },
        1 => Message::VoteResponse { pre, granted: yes },
        2..=4 => append(u, board)?,
        5 => Message::AppendAccepted { matched: index },
        6 => Message::AppendRejected { prev: Index(near(u, last.index.0)?), hint: id, catching_up: yes },
        7 => Message::Heartbeat { commit: index, round: near(u, 1)? },
        8 => Message::HeartbeatAck { round: near(u, 1)?, has_room: yes },
        9 => Message::Propose { id: proposal(u)?, data: Bytes::from(vec![0; u.int_in_range(0..=500)?]) },
        10 => Message::ChangeMembers { id: proposal(u)?, change: change(u)?, info: Bytes::new() },
        11 => Message::ReadIndex { id: proposal(u)? },
        12 => Message::ReadIndexAt { id: proposal(u)?, index },
        13 => Message::Refuse { id: proposal(u)?, reason: Refusal::NotLeader, is_certain: u.arbitrary()? },
        _ => Message::TimeoutNow,
    })
}

fn append(u: &mut Unstructured, board: &Board) -> Result<Message> {
    let prev_index = Index(near(u, board.node.last().index.0)?);
    let known = board.node.term_at(prev_index).unwrap_or_default();
    let prev =
        EntryId { term: if u.ratio(4, 5)? { known } else { Term(near(u, known.0)?) }, index: prev_index };
    let mut entries = Vec::new();
    let mut id = prev;
    for _ in 0..u.int_in_range(0..=6)? {
        id = EntryId {
            term: Term(id.term.0.saturating_add(u.int_in_range(0..=1)?)),
            index: Index(id.index.0.saturating_add(1)),
        };
        if u.ratio(1, 20)? {
            id.index = Index(near(u, id.index.0)?);
        }
        entries.push(Entry { id, payload: payload(u)? });
    }
    Ok(Message::Append { prev, entries, commit: Index(near(u, prev_index.0)?) })
}

fn payload(u: &mut Unstructured) -> Result<Payload> {
    Ok(match u.int_in_range(0..=5)? {
        0 => Payload::Empty,
        1 => Payload::Membership { id: proposal(u)?, change: change(u)?, info: Bytes::new() },
        _ => Payload::Command { id: proposal(u)?, data: Bytes::from(vec![0; u.int_in_range(0..=900)?]) },
    })
}

/// A disk that is full for days takes nothing; a leader goes on asking all the while.
#[test]
fn a_disk_that_stands_still_is_promised_little() {
    const TICKETS_MAX: usize = 1024;
    let mut board = Board::new(options(), Membership::of_voters([NodeId(1), NodeId(2)]), 1);
    let follower = board.node.id();
    let say = |board: &mut Board, message| {
        board.node.step(Envelope { from: NodeId(2), to: follower, term: Term(7), message });
        while board.node.has_ready() {
            board.ready();
        }
    };
    let entry = Entry { id: EntryId::new(7, 1), payload: Payload::Empty };
    let append = Message::Append { prev: EntryId::default(), entries: vec![entry], commit: Index(0) };
    for _ in 0..10 * TICKETS_MAX {
        say(&mut board, append.clone());
    }
    assert!(board.writing.len() <= TICKETS_MAX, "{} writes under way", board.writing.len());
    let (leave, ticket) = board.sync(usize::MAX);
    assert!(leave.iter().all(|envelope| envelope.message == Message::AppendAccepted { matched: Index(1) }));
    board.node.persisted(ticket.expect("something was written"));
    say(&mut board, append);
    assert_eq!((board.node.durable(), board.writing.len()), (Index(1), 0), "all is well again");
}
