//! What a member is for.

use solder::types::{
    Command, DeleteRangeRequest, Error, KeyRange, Outcome, RangeRequest, Revision, TxnOp, TxnPart, TxnRequest,
};

use super::support::{get, options, put, put_of, rows, with};

#[test]
fn what_is_put_can_be_got() {
    let dir = tempfile::tempdir().unwrap();
    with(options(dir.path()), |member, _| async move {
        assert_eq!(put(&member, "a", "1").await, Ok(Revision(2)));
        assert_eq!(put(&member, "a", "2").await, Ok(Revision(3)));
        assert_eq!(get(&member, "a").await.as_deref(), Some("2"));
        assert_eq!(get(&member, "b").await, None);
        assert_eq!(member.header().revision, Revision(3));
        assert_eq!(put(&member, "", "2").await, Err(Error::EmptyKey));
    });
}

#[test]
fn what_was_put_is_there_after_the_plug_was_pulled() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3 {
        with(options(dir.path()), |member, _| async move {
            if round > 0 {
                assert_eq!(get(&member, "round").await, Some((round - 1).to_string()));
            }
            put(&member, "round", &round.to_string()).await.unwrap();
        });
    }
}

#[test]
fn a_long_range_comes_in_slices_at_one_revision() {
    const KEYS: usize = 10_000;
    let dir = tempfile::tempdir().unwrap();
    with(options(dir.path()), |member, executor| async move {
        let tasks: Vec<_> = (0..KEYS)
            .map(|number| {
                let member = member.clone();
                executor.spawn(async move { put(&member, &format!("key{number:05}"), "value").await })
            })
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            // More at one time than may be under way.
            if task.await.is_err() {
                put(&member, &format!("key{number:05}"), "value").await.unwrap();
            }
        }
        let request = RangeRequest { range: KeyRange::prefix(b"key"), ..RangeRequest::default() };
        let mut reader = member.range(request, false).await.unwrap();
        let first = reader.next().await.unwrap();
        assert!(first.rows.len() <= 1000 && first.end.is_none(), "{} rows at once", first.rows.len());
        // What happens meanwhile does not show, not even a compaction.
        let all = DeleteRangeRequest { range: KeyRange::all(), prev_kv: false };
        let deleted = member.propose(Command::DeleteRange(all)).await.unwrap();
        assert!(matches!(&deleted.outcome, Outcome::Delete(delete) if delete.deleted == KEYS as u64));
        member.compact(member.header().revision, false).await.unwrap();
        let mut count = first.rows.len();
        loop {
            let slice = reader.next().await.unwrap();
            count += slice.rows.len();
            if let Some(end) = slice.end {
                assert_eq!(end.count, KEYS as u64);
                break;
            }
        }
        assert_eq!(count, KEYS);
        assert_eq!(rows(&member, KeyRange::all()).await, []);
    });
}

#[test]
fn what_an_outcome_names_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    with(options(dir.path()), |member, _| async move {
        put(&member, "a", "before").await.unwrap();
        let range = TxnOp::Range(RangeRequest { range: KeyRange::all(), ..RangeRequest::default() });
        let Command::Put(mut inner) = put_of("a", "after") else { unreachable!() };
        inner.prev_kv = true;
        let success = vec![range.clone(), TxnOp::Put(inner), range];
        let txn = TxnRequest { success, ..TxnRequest::default() };
        let applied = member.propose(Command::Txn(txn)).await.unwrap();
        put(&member, "a", "later").await.unwrap();
        member.compact(member.header().revision, false).await.unwrap();
        let Outcome::Txn(outcome) = &applied.outcome else { panic!("{:?}", applied.outcome) };
        let mut seen = Vec::new();
        for part in &outcome.parts {
            match part {
                TxnPart::Range { range, .. } => {
                    let slice = member.range_at(range.clone()).await.unwrap().next().await.unwrap();
                    seen.push(slice.rows.iter().next().unwrap().value.into());
                }
                TxnPart::Put(put) => {
                    seen.push(member.record(put.prev.unwrap()).await.unwrap().value);
                }
                part => panic!("{part:?}"),
            }
        }
        assert_eq!(seen, ["before".into(), "before".into(), "after".into()]);
    });
}
