//! Writes those seeds of the corpora that are nobody's text: `UPDATE_GOLDENFILES=1 cargo test --test fuzz`.

use std::{env, fs, sync::Arc};

use solder::{
    peer::{
        AuthorityKey, Bye, Frame, Greeting, JoinAnswer, JoinFrame, JoinRequest, NoProof, Purpose, Refusal,
        RollCall, RollEntry,
    },
    raft::{Envelope, Message, Refusal as Refused},
    replica::{PeerMessage, Session, TransferMessage},
    snapshot::{SnapshotCursor, next_piece},
    store::{Lmdb, LmdbOptions, Options, Store},
    types::{
        AlarmAction, AlarmKind, AlarmRequest, Bytes, ClusterId, Command, DeleteRangeRequest, Entry, EntryId,
        Index, KeyRange, KeyRev, LeaseId, MemberRow, Membership, MembershipChange, NodeId, Payload,
        ProposalId, PutRequest, Revision, Term, TxnOp, TxnRequest,
    },
};
use tempfile::TempDir;

use crate::root;

fn commands() -> Vec<(&'static str, Command)> {
    let put = |key: &str, value: &str, lease| PutRequest {
        key: key.into(),
        value: value.into(),
        lease: LeaseId(lease),
        ..PutRequest::default()
    };
    let inner = TxnRequest { success: vec![TxnOp::Put(put("c", "3", 0))], ..TxnRequest::default() };
    let txn = TxnRequest {
        success: vec![TxnOp::Put(put("a", "2", 7)), TxnOp::Txn(Box::new(inner))],
        ..TxnRequest::default()
    };
    let alarm = AlarmRequest { action: AlarmAction::Activate, member: NodeId(1), kind: AlarmKind::NoSpace };
    vec![
        ("lease_grant", Command::LeaseGrant { id: LeaseId(7), ttl_s: 60 }),
        ("put", Command::Put(put("a", "1", 0))),
        ("put_with_lease", Command::Put(put("b", "1", 7))),
        ("txn", Command::Txn(txn)),
        ("delete", Command::DeleteRange(DeleteRangeRequest { range: KeyRange::single(b"b"), prev_kv: true })),
        ("compact", Command::Compact { revision: Revision(3) }),
        ("alarm", Command::Alarm(alarm)),
    ]
}

fn snapshot() -> Vec<u8> {
    let home = TempDir::new().expect("a temporary directory");
    let lmdb = LmdbOptions { map_bytes: 1 << 20, headroom_bytes: 0, ..LmdbOptions::default() };
    let lmdb = Arc::new(Lmdb::open(home.path(), &lmdb).expect("a new database"));
    let mut store = Store::open(lmdb, Options::default()).expect("a new store");
    store.init(ClusterId(5), Membership::of_voters([NodeId(1)])).expect("room");
    for (index, (_, command)) in (1..).zip(commands()) {
        let id = ProposalId { origin: NodeId(1), number: 1 };
        let payload = Payload::Command { id, data: command.encode() };
        store.apply_whole(&Entry { id: EntryId::new(1, index), payload }).expect("it is well-formed");
    }
    assert_eq!(store.applied().index, Index(7));
    let mut cursor = SnapshotCursor::begin(&store).expect("it is not catching up");
    let mut stream = Vec::new();
    while let Some(piece) = next_piece(&store, &mut cursor, 4096).expect("it is pinned by nobody's writing") {
        stream.extend(piece);
    }
    stream
}

fn greetings() -> Vec<(&'static str, Greeting)> {
    let first = Greeting {
        lowest: 1,
        highest: 1,
        purpose: Purpose::Urgent,
        verdict: None,
        cluster: ClusterId(5),
        from: NodeId(1),
        to: NodeId(2),
        frame_bytes_max: 4 << 20,
        incarnation: 9,
        known_as: 7,
        is_led: true,
    };
    let refused = Greeting { purpose: Purpose::Bulk, verdict: Some(Refusal::Removed), ..first };
    let (cluster, nobody) = (ClusterId(0), NodeId(0));
    let ask = Greeting { purpose: Purpose::Ask, cluster, from: nobody, to: nobody, ..first };
    let join = Greeting { purpose: Purpose::Join, ..ask };
    let plain = Greeting { verdict: Some(Refusal::Plain), from: NodeId(1), ..join };
    let voter = Greeting { purpose: Purpose::Authority, ..first };
    let learner = Greeting { verdict: Some(Refusal::NotVoter), ..voter };
    let renewing = Greeting { purpose: Purpose::Certificate, ..first };
    let wrong_key = Greeting { verdict: Some(Refusal::WrongKey), ..first };
    vec![
        ("first", first),
        ("refused", refused),
        ("ask", ask),
        ("join", join),
        ("join_plain", plain),
        ("authority", voter),
        ("authority_refused", learner),
        ("certificate", renewing),
        ("wrong_key", wrong_key),
    ]
}

fn frames() -> Vec<(&'static str, Frame)> {
    let (from, to) = (NodeId(1), NodeId(2));
    let raft = |message| Frame::Message(PeerMessage::Raft(Envelope { from, to, term: Term(3), message }));
    let id = ProposalId { origin: from, number: 1 };
    let entries: Vec<Entry> = (5..)
        .zip(commands())
        .map(|(index, (_, command))| Entry {
            id: EntryId::new(3, index),
            payload: Payload::Command { id, data: command.encode() },
        })
        .collect();
    let want = TransferMessage::Want { after: KeyRev::new(7, 1), committed: EntryId::new(3, 4) };
    let mut frames = vec![
        ("append", raft(Message::Append { prev: EntryId::new(2, 4), entries, commit: Index(4) })),
        ("heartbeat", raft(Message::Heartbeat { commit: Index(4), round: 9 })),
        ("vote", raft(Message::VoteRequest { pre: true, last: EntryId::new(2, 4), transfer: false })),
        ("propose", raft(Message::Propose { id, data: commands()[1].1.encode() })),
        ("want", Frame::Message(PeerMessage::Transfer { from, to, session: Session(8), message: want })),
        ("ping", Frame::Ping { number: 7 }),
        ("pong", Frame::Pong { number: u64::MAX }),
        ("bye", Frame::Bye(Bye::Removed)),
        ("roll_call", Frame::RollCall(roll_call())),
        ("certify", Frame::Certify(Bytes::from(&[0x30; 91]))),
        ("certificate", Frame::Certificate(Bytes::from(&[0x30; 480]))),
        ("authority_key", Frame::AuthorityKey(AuthorityKey(Bytes::from(&[0x30; 138])))),
    ];
    frames.extend(joining().into_iter().map(|(name, frame)| (name, Frame::Join(Box::new(frame)))));
    frames
}

fn joining() -> Vec<(&'static str, JoinFrame)> {
    let request = JoinRequest {
        name: "pi".into(),
        is_default_name: true,
        suffix: "1234".into(),
        public_key: Bytes::from(&[0x30; 91]),
        peer_urls: vec!["https://10.0.0.2:2380".into()],
        client_urls: vec!["http://10.0.0.2:2379".into()],
        board: b"serial".into(),
        level: 2,
    };
    let welcome = JoinAnswer::Welcome {
        cluster: ClusterId(5),
        member: NodeId(3),
        name: "pi-1234".into(),
        ca: Bytes::from(&[0x30; 40]),
        certificate: Bytes::from(&[0x30; 60]),
        roll: roll_call(),
    };
    let elsewhere = JoinAnswer::Elsewhere { urls: vec!["https://b:2380".into()] };
    let later = JoinAnswer::Later { why: "no leader".into() };
    let refused = JoinAnswer::Refused { why: "full".into() };
    let unknown = JoinFrame::Refused { reason: NoProof::Token, why: "unknown".into() };
    vec![
        ("join_proof", JoinFrame::Proof { token: "c0ffee".into(), mac: Bytes::from(&[7; 32]) }),
        ("join_refused", unknown),
        ("join_request", JoinFrame::Request(request)),
        ("join_welcome", JoinFrame::Answer(welcome)),
        ("join_elsewhere", JoinFrame::Answer(elsewhere)),
        ("join_later", JoinFrame::Answer(later)),
        ("join_no", JoinFrame::Answer(refused)),
    ]
}

fn roll_call() -> RollCall {
    let row = MemberRow { name: "a".into(), peer_urls: vec!["http://h:1".into()], ..MemberRow::default() };
    let members = vec![
        RollEntry { id: NodeId(1), is_learner: false, row: row.encode() },
        RollEntry { id: NodeId(2), is_learner: true, row: MemberRow::default().encode() },
    ];
    RollCall { cluster: ClusterId(5), member: NodeId(1), members, removed: [NodeId(9)].into() }
}

/// Steps of Raft's target: each message to a node of each kind, plausible in all ways, and time before and after it.
fn raft_steps() -> Vec<(String, Vec<u8>)> {
    let (from, to) = (NodeId(2), NodeId(1));
    let id = ProposalId { origin: from, number: 1 };
    let entry = |index, payload| Entry { id: EntryId::new(2, index), payload };
    let change = MembershipChange::AddVoter(NodeId(4));
    let entries = vec![
        entry(3, Payload::Empty),
        entry(4, Payload::Command { id, data: Bytes::from(vec![0; 20]) }),
        entry(5, Payload::Membership { id, change, info: Bytes::new() }),
    ];
    let last = EntryId::new(2, 3);
    let messages = [
        ("append", Message::Append { prev: EntryId::new(1, 2), entries, commit: Index(4) }),
        ("accepted", Message::AppendAccepted { matched: Index(1) }),
        (
            "rejected",
            Message::AppendRejected { prev: Index(3), hint: EntryId::new(1, 1), catching_up: false },
        ),
        ("lost", Message::AppendRejected { prev: Index(3), hint: EntryId::new(1, 1), catching_up: true }),
        ("pre_vote", Message::VoteRequest { pre: true, last, transfer: false }),
        ("vote", Message::VoteRequest { pre: false, last, transfer: true }),
        ("voted", Message::VoteResponse { pre: false, granted: true }),
        ("heartbeat", Message::Heartbeat { commit: Index(1), round: 1 }),
        ("heard", Message::HeartbeatAck { round: 1, has_room: true }),
        ("propose", Message::Propose { id, data: Bytes::from(vec![0; 20]) }),
        ("change", Message::ChangeMembers { id, change, info: Bytes::new() }),
        ("read", Message::ReadIndex { id }),
        ("read_at", Message::ReadIndexAt { id, index: Index(2) }),
        ("refuse", Message::Refuse { id, reason: Refused::NoSpace, is_certain: true }),
        ("timeout_now", Message::TimeoutNow),
    ];
    let states = [("follower", 0xc3), ("candidate", 0xc8), ("leader", 0xdc), ("learner", 0xc1)];
    let mut seeds = Vec::new();
    for (name, message) in messages {
        let envelope = Envelope { from, to, term: Term(2), message: message.clone() };
        let bytes = postcard::to_stdvec(&envelope).expect("a vector takes what memory takes");
        let length = u8::try_from(bytes.len()).expect("it is short");
        for (state, byte) in states {
            let steps =
                [&[byte, 0x02, 0xe0, length], &bytes[..], &[0x10, 0x24, 0x20, 0x05, 0x40, length], &bytes];
            seeds.push((format!("raft_step/{state}_{name}"), steps.concat()));
        }
    }
    seeds
}

fn frame_bytes(frame: &Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes, u32::MAX).expect("it is small");
    bytes
}

#[test]
fn seeds_are_written_when_asked_for() {
    let mut seeds: Vec<(String, Vec<u8>)> = commands()
        .into_iter()
        .map(|(name, command)| (format!("command_decode/{name}"), command.encode().to_vec()))
        .collect();
    // Behind a first byte that asks for good checksums.
    seeds.push(("snapshot_stream/small".to_owned(), [&[1], &snapshot()[..]].concat()));
    seeds.extend(
        greetings()
            .iter()
            .map(|(name, greeting)| (format!("peer_greeting/{name}"), greeting.encode().to_vec())),
    );
    seeds.extend(raft_steps());
    for (name, frame) in frames() {
        let bytes = frame_bytes(&frame);
        // The payload alone gets its header from the target.
        seeds.push((format!("peer_frames/{name}_payload"), bytes[8..].to_vec()));
        seeds.push((format!("peer_frames/{name}"), bytes));
    }
    for (name, bytes) in seeds {
        let path = root().join("fuzz/corpus").join(&name);
        if env::var("UPDATE_GOLDENFILES").as_deref() == Ok("1") {
            fs::write(&path, &bytes).expect("the corpus can be written");
        }
        assert!(path.exists(), "{name} is missing: UPDATE_GOLDENFILES=1 cargo test --test fuzz");
    }
}
