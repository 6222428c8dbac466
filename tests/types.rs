//! The shared words: ranges against a naive reading of etcd's rules, and the bytes of commands.

#[path = "golden/mod.rs"]
pub mod golden;

use std::fmt::Write;

use arbtest::arbitrary::{Arbitrary, Result, Unstructured};
use arbtest::arbtest;
use solder::types::{
    AlarmAction, AlarmKind, AlarmRequest, Bytes, Command, Compare, CompareResult, CompareValue,
    DeleteRangeRequest, KeyRange, LeaseId, LeaseRemaining, NodeId, PutRequest, RangeRequest, Revision,
    SortOrder, SortTarget, Term, TxnOp, TxnRequest, limits,
};

/// Few and short, so that equal ones and neighbours are common.
fn key(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let length = u.int_in_range(0..=3)?;
    (0..length).map(|_| Ok(*u.choose(&[0, 1, b'a', 0xff])?)).collect()
}

/// As etcd's documentation has it (rpc.proto, `RangeRequest.range_end`).
fn naive_contains(start: &[u8], end: &[u8], key: &[u8]) -> bool {
    if end.is_empty() {
        return key == start;
    }
    key >= start && (end == [0] || key < end)
}

#[test]
fn ranges_hold_what_etcd_says() {
    arbtest(|u| {
        let (start, end, key) = (key(u)?, key(u)?, key(u)?);
        let range = KeyRange::new(start.clone(), end.clone());
        let inside = naive_contains(&start, &end, &key);
        assert_eq!(range.contains(&key), inside, "{range:?} and {key:?}");
        assert!(!range.is_empty() || !inside, "{range:?} is empty and holds {key:?}");
        assert!(range.is_empty() || range.contains(&start), "{range:?} is not empty, without its start");
        Ok(())
    });
}

#[test]
fn a_prefix_holds_what_starts_with_it() {
    arbtest(|u| {
        let (prefix, key) = (key(u)?, key(u)?);
        if !key.is_empty() {
            let range = KeyRange::prefix(&prefix);
            assert_eq!(range.contains(&key), key.starts_with(&prefix), "{range:?} and {key:?}");
        }
        Ok(())
    });
}

fn bytes(u: &mut Unstructured<'_>) -> Result<Bytes> {
    Ok(Vec::<u8>::arbitrary(u)?.into())
}

fn range(u: &mut Unstructured<'_>) -> Result<KeyRange> {
    Ok(KeyRange::new(bytes(u)?, bytes(u)?))
}

fn put(u: &mut Unstructured<'_>) -> Result<PutRequest> {
    Ok(PutRequest {
        key: bytes(u)?,
        value: bytes(u)?,
        lease: LeaseId(u.arbitrary()?),
        prev_kv: u.arbitrary()?,
        ignore_value: u.arbitrary()?,
        ignore_lease: u.arbitrary()?,
    })
}

fn delete(u: &mut Unstructured<'_>) -> Result<DeleteRangeRequest> {
    Ok(DeleteRangeRequest { range: range(u)?, prev_kv: u.arbitrary()? })
}

fn range_request(u: &mut Unstructured<'_>) -> Result<RangeRequest> {
    use SortTarget::{Create, Key, Mod, Value, Version};
    Ok(RangeRequest {
        range: range(u)?,
        limit: u.arbitrary()?,
        revision: Revision(u.arbitrary()?),
        sort_order: *u.choose(&[SortOrder::None, SortOrder::Ascend, SortOrder::Descend])?,
        sort_target: *u.choose(&[Key, Version, Create, Mod, Value])?,
        keys_only: u.arbitrary()?,
        count_only: u.arbitrary()?,
        min_mod_revision: Revision(u.arbitrary()?),
        max_mod_revision: Revision(u.arbitrary()?),
        min_create_revision: Revision(u.arbitrary()?),
        max_create_revision: Revision(u.arbitrary()?),
    })
}

fn compare(u: &mut Unstructured<'_>) -> Result<Compare> {
    use CompareResult::{Equal, Greater, Less, NotEqual, Unknown};
    Ok(Compare {
        range: range(u)?,
        result: *u.choose(&[Equal, Greater, Less, NotEqual, Unknown])?,
        value: match u.int_in_range(0..=4)? {
            0 => CompareValue::Version(u.arbitrary()?),
            1 => CompareValue::Create(Revision(u.arbitrary()?)),
            2 => CompareValue::Mod(Revision(u.arbitrary()?)),
            3 => CompareValue::Value(bytes(u)?),
            _ => CompareValue::Lease(LeaseId(u.arbitrary()?)),
        },
    })
}

fn several<T>(u: &mut Unstructured<'_>, one: impl Fn(&mut Unstructured<'_>) -> Result<T>) -> Result<Vec<T>> {
    let count = u.int_in_range(0..=3)?;
    (0..count).map(|_| one(u)).collect()
}

fn txn(u: &mut Unstructured<'_>, depth: usize) -> Result<TxnRequest> {
    Ok(TxnRequest {
        compare: several(u, compare)?,
        success: several(u, |u| txn_op(u, depth))?,
        failure: several(u, |u| txn_op(u, depth))?,
    })
}

fn txn_op(u: &mut Unstructured<'_>, depth: usize) -> Result<TxnOp> {
    Ok(match u.int_in_range(0..=3)? {
        0 => TxnOp::Range(range_request(u)?),
        1 => TxnOp::Put(put(u)?),
        2 if depth < limits::TXN_DEPTH_MAX => TxnOp::Txn(Box::new(txn(u, depth + 1)?)),
        _ => TxnOp::DeleteRange(delete(u)?),
    })
}

fn only_in(u: &mut Unstructured<'_>) -> Result<Option<Term>> {
    Ok(u.arbitrary::<Option<u64>>()?.map(Term))
}

fn command(u: &mut Unstructured<'_>) -> Result<Command> {
    Ok(match u.int_in_range(0..=7)? {
        0 => Command::Put(put(u)?),
        1 => Command::DeleteRange(delete(u)?),
        2 => Command::Txn(txn(u, 0)?),
        3 => Command::Compact { revision: Revision(u.arbitrary()?) },
        4 => Command::LeaseGrant { id: LeaseId(u.arbitrary()?), ttl_s: u.arbitrary()? },
        5 => Command::LeaseRevoke { id: LeaseId(u.arbitrary()?), only_in: only_in(u)? },
        6 => Command::LeaseCheckpoint {
            leases: several(u, |u| {
                Ok(LeaseRemaining { id: LeaseId(u.arbitrary()?), remaining_s: u.arbitrary()? })
            })?,
            only_in: only_in(u)?,
        },
        _ => Command::Alarm(AlarmRequest {
            action: *u.choose(&[AlarmAction::Activate, AlarmAction::Deactivate])?,
            member: NodeId(u.arbitrary()?),
            kind: *u.choose(&[AlarmKind::NoSpace, AlarmKind::Corrupt])?,
        }),
    })
}

#[test]
fn commands_come_back_as_they_went() {
    arbtest(|u| {
        let command = command(u)?;
        let bytes = command.encode();
        assert_eq!(Command::decode(&bytes).as_ref(), Ok(&command));
        // A piece of a command is never a command, nor is one with something behind it.
        let cut = u.int_in_range(0..=bytes.len() - 1)?;
        assert!(Command::decode(&bytes[..cut]).is_err(), "{command:?} cut at {cut}");
        let mut longer = bytes.to_vec();
        longer.push(u.arbitrary()?);
        assert!(Command::decode(&longer).is_err(), "{command:?} and {longer:?}");
        Ok(())
    });
}

/// Whatever stands in a log entry: an error at most. And what is taken for a command is written back as one.
#[test]
fn any_bytes_can_be_decoded() {
    arbtest(|u| {
        let mut bytes = vec![1];
        bytes.extend(Vec::<u8>::arbitrary(u)?);
        if let Ok(command) = Command::decode(&bytes) {
            assert_eq!(Command::decode(&command.encode()), Ok(command));
        }
        Ok(())
    });
}

fn nested(depth: usize) -> Command {
    let mut txn = TxnRequest::default();
    for _ in 0..depth {
        txn = TxnRequest { success: vec![TxnOp::Txn(Box::new(txn))], ..TxnRequest::default() };
    }
    Command::Txn(txn)
}

#[test]
fn bytes_do_not_choose_the_depth_of_a_recursion() {
    let deepest = nested(limits::TXN_DEPTH_MAX);
    assert_eq!(Command::decode(&deepest.encode()), Ok(deepest));
    assert!(Command::decode(&nested(limits::TXN_DEPTH_MAX + 1).encode()).is_err());
    // A refusal on the way in leaves nothing behind.
    assert!(Command::decode(&nested(limits::TXN_DEPTH_MAX).encode()).is_ok());
    // Deep enough to end a thread's stack: version, then Txn, then in each transaction no compare, one operation, Txn.
    let deep: Vec<u8> = [1, 2].into_iter().chain([0, 1, 3].into_iter().cycle().take(300_000)).collect();
    assert!(Command::decode(&deep).is_err());
}

/// One of every kind, each field different from its neighbours.
fn samples() -> Vec<Command> {
    let range = KeyRange::new(b"a", b"b");
    let put = PutRequest {
        key: b"key".into(),
        value: b"value".into(),
        lease: LeaseId(7),
        prev_kv: true,
        ignore_value: false,
        ignore_lease: true,
    };
    let delete = DeleteRangeRequest { range: range.clone(), prev_kv: true };
    let look = RangeRequest {
        range: range.clone(),
        limit: 10,
        revision: Revision(11),
        sort_order: SortOrder::Descend,
        sort_target: SortTarget::Mod,
        keys_only: true,
        count_only: false,
        min_mod_revision: Revision(12),
        max_mod_revision: Revision(13),
        min_create_revision: Revision(14),
        max_create_revision: Revision(15),
    };
    let values = [
        (CompareResult::Equal, CompareValue::Version(1)),
        (CompareResult::Greater, CompareValue::Create(Revision(2))),
        (CompareResult::Less, CompareValue::Mod(Revision(3))),
        (CompareResult::NotEqual, CompareValue::Value(b"value".into())),
        (CompareResult::Unknown, CompareValue::Lease(LeaseId(-4))),
    ];
    let compares = values.map(|(result, value)| Compare { range: range.clone(), result, value });
    let inner = TxnRequest { success: vec![TxnOp::Put(put.clone())], ..TxnRequest::default() };
    let txn = TxnRequest {
        compare: compares.to_vec(),
        success: vec![TxnOp::Range(look), TxnOp::Put(put.clone()), TxnOp::DeleteRange(delete.clone())],
        failure: vec![TxnOp::Txn(Box::new(inner))],
    };
    let leases = vec![LeaseRemaining { id: LeaseId(7), remaining_s: 300 }];
    let alarm = |action, kind| Command::Alarm(AlarmRequest { action, member: NodeId(0xabc), kind });
    vec![
        Command::Put(put),
        Command::DeleteRange(delete),
        Command::Txn(txn),
        Command::Compact { revision: Revision(1_000_000) },
        Command::LeaseGrant { id: LeaseId(0x7fff_ffff_ffff_ffff), ttl_s: 60 },
        Command::LeaseRevoke { id: LeaseId(7), only_in: None },
        Command::LeaseRevoke { id: LeaseId(7), only_in: Some(Term(3)) },
        Command::LeaseCheckpoint { leases, only_in: Some(Term(3)) },
        alarm(AlarmAction::Activate, AlarmKind::NoSpace),
        alarm(AlarmAction::Deactivate, AlarmKind::Corrupt),
    ]
}

/// What a version once wrote, every later one reads: a difference here is a log that cannot be read any more.
#[test]
fn the_bytes_of_every_command() {
    let mut golden = String::new();
    for command in samples() {
        let kind = format!("{command:?}");
        let kind = kind.split([' ', '(']).next().unwrap_or_default();
        let hex: Vec<String> = command.encode().iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(golden, "{kind} {}", hex.concat()).expect("a string takes what memory takes");
    }
    let advice = "bytes of a released format never change: make a new version in types/command.rs. If this one was \
                  never released, UPDATE_GOLDENFILES=1 cargo test --test types";
    golden::check("tests/data/0.1.0/commands.golden", &golden, advice);
}

#[test]
fn what_was_written_is_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/0.1.0/commands.golden");
    let golden = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(golden.lines().count(), samples().len());
    for (line, sample) in golden.lines().zip(samples()) {
        let hex = line.split(' ').next_back().unwrap_or_default();
        let byte = |place: usize| u8::from_str_radix(&hex[place..place + 2], 16).expect("hex");
        let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        assert_eq!(Command::decode(&bytes), Ok(sample), "{line}");
    }
}
