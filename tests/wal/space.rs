//! Disks that are full, disks that fail, segments that live many lives.

use solder::{
    types::{Bugs, EntryId, Index},
    wal::{Faults, Options, Record, SPARES_MAX, Twin, WalError},
};

use crate::support::{Model, entry, hard_state, members, open, options};

const SEGMENT: u64 = 5 * 4096;

fn full(capacity_bytes: u64) -> Faults {
    Faults { capacity_bytes: Some(capacity_bytes), ..Faults::default() }
}

fn found(twin: &Twin, options: &Options, applied: u64) -> Model {
    open(twin.clone(), options, applied, 9).expect("a good log").1.into()
}

#[test]
fn a_full_disk_at_every_allocation() {
    for segments in 0..8 {
        let (twin, options) = (Twin::new(), options(5));
        // Not a whole number of segments: the last one does not fit.
        twin.set_faults(full(segments * SEGMENT + SEGMENT / 2));
        let (mut model, mut index) = (Model::default(), 1);
        if segments == 0 {
            let refused = open(twin.clone(), &options, 0, 1).map(|_| ());
            assert!(matches!(refused, Err(WalError::Full { needed_bytes: SEGMENT, .. })), "{refused:?}");
            twin.set_faults(full(SEGMENT));
        }
        let (mut wal, _) = open(twin.clone(), &options, 0, 1).expect("one segment fits");
        let refused = loop {
            let group = [entry(1, index, 5000), entry(1, index + 1, 10)];
            match wal.write(&group, &members()) {
                Ok(()) => wal.sync().expect("a good disk"),
                Err(error) => break error,
            }
            model = model.with(&group);
            index += 2;
            // Here a caller that is careful would stop.
            let _ = wal.secure_room();
        };
        assert!(matches!(refused, WalError::Full { .. }), "{refused:?}");
        assert_eq!(index, 1 + 2 * segments.max(1), "each segment holds one such group");
        assert!(wal.room() < 3 * 4096, "{}", wal.room());
        // What is small still fits, and a restart changes nothing.
        let small = [hard_state(7, 1)];
        wal.write(&small, &members()).expect("a block is left");
        wal.sync().expect("a good disk");
        model = model.with(&small);
        drop(wal);
        assert_eq!(found(&twin, &options, 0), model);
        // Space comes back, and the same write works.
        let (mut wal, _) = open(twin.clone(), &options, 0, 1).expect("a full disk is no damage");
        assert!(matches!(wal.secure_room(), Err(WalError::Full { .. })));
        twin.set_faults(Faults::default());
        let group = [entry(7, index, 5000), entry(7, index + 1, 10)];
        wal.write(&group, &members()).expect("there is space again");
        wal.sync().expect("a good disk");
        wal.secure_room().expect("there is space again");
        assert_eq!(found(&twin, &options, 0), model.with(&group));
    }
}

#[test]
fn a_group_that_does_not_fit_is_not_written_in_part() {
    let (twin, options) = (Twin::new(), options(5));
    twin.set_faults(full(2 * SEGMENT));
    let (mut wal, _) = open(twin.clone(), &options, 0, 1).expect("two segments fit");
    let before = twin.counts();
    let group: Vec<Record> = (1..=4).map(|index| entry(1, index, 8000)).collect();
    let refused = wal.write(&group, &members());
    assert!(matches!(refused, Err(WalError::Full { .. })), "{refused:?}");
    assert_eq!(twin.counts().writes, before.writes);
    // The store catches up: no space comes from outside, but segments are free again.
    wal.write(&group[..2], &members()).expect("two fit");
    wal.sync().expect("a good disk");
    wal.write(&group[2..3], &members()).expect_err("no third segment");
    wal.release(Index(1));
    wal.write(&group[2..3], &members()).expect("the first segment is spare now");
    wal.sync().expect("a good disk");
    let ids: Vec<EntryId> = found(&twin, &options, 1).entries.iter().map(|entry| entry.id).collect();
    assert_eq!(ids, [EntryId::new(1, 2), EntryId::new(1, 3)]);
}

#[test]
fn a_failed_sync_is_final() {
    let (twin, options) = (Twin::new(), options(5));
    let (mut wal, _) = open(twin.clone(), &options, 0, 1).expect("an empty disk");
    wal.write(&[entry(1, 1, 10)], &members()).expect("room");
    twin.set_faults(Faults { sync_fails: true, ..Faults::default() });
    let failed = wal.sync().expect_err("the disk fails");
    assert!(
        matches!(&failed, WalError::Io { verb: "syncing", file, .. } if file == "wal/00.seg"),
        "{failed}"
    );
    // The disk works again. Nobody knows what was lost meanwhile.
    twin.set_faults(Faults::default());
    let syncs = twin.counts().syncs;
    assert_eq!(wal.sync(), Err(failed.clone()));
    assert_eq!(wal.write(&[entry(1, 2, 10)], &members()), Err(failed.clone()));
    assert_eq!(wal.secure_room(), Err(failed));
    assert_eq!(twin.counts().syncs, syncs, "a sync is never tried again");
}

#[test]
fn what_a_failed_sync_left_in_memory_is_not_believed() {
    for seed in 0..100 {
        let (twin, options) = (Twin::new(), options(5));
        let (mut wal, _) = open(twin.clone(), &options, 0, 1).expect("an empty disk");
        twin.crash(&mut fastrand::Rng::with_seed(seed));
        wal.write(&[entry(1, 1, 6000)], &members()).expect("room");
        twin.set_faults(Faults { sync_fails: true, ..Faults::default() });
        wal.sync().expect_err("the disk fails");
        // The process ends and starts again, the machine goes on.
        twin.set_faults(Faults::default());
        let before = found(&twin, &options, 0);
        twin.crash(&mut fastrand::Rng::with_seed(seed));
        assert_eq!(found(&twin, &options, 0), before, "seed {seed}");
    }
}

#[test]
fn what_a_killed_process_wrote_is_durable_before_it_is_believed() {
    let (twin, options) = (Twin::new(), options(5));
    let (mut wal, _) = open(twin.clone(), &options, 0, 1).expect("an empty disk");
    wal.write(&[entry(1, 1, 10)], &members()).expect("room");
    drop(wal);
    let before = found(&twin, &options, 0);
    assert_eq!(before.last(), EntryId::new(1, 1), "the kernel had it");
    for seed in 0..20 {
        twin.crash(&mut fastrand::Rng::with_seed(seed));
        assert_eq!(found(&twin, &options, 0), before);
    }
}

#[test]
fn failing_writes_and_reads_are_final() {
    let (twin, options) = (Twin::new(), options(5));
    let (mut wal, _) = open(twin.clone(), &options, 0, 1).expect("an empty disk");
    twin.set_faults(Faults { write_fails: true, ..Faults::default() });
    let failed = wal.write(&[entry(1, 1, 10)], &members()).expect_err("the disk fails");
    assert!(matches!(failed, WalError::Io { verb: "writing", .. }), "{failed}");
    twin.set_faults(Faults::default());
    assert_eq!(wal.sync(), Err(failed));
    drop(wal);
    twin.set_faults(Faults { read_fails: true, ..Faults::default() });
    let unread = open(twin, &options, 0, 1).map(|_| ());
    assert!(matches!(unread, Err(WalError::Io { verb: "reading", .. })), "{unread:?}");
}

#[test]
#[should_panic(expected = "batch 2 is written before the one before is durable")]
fn a_second_write_before_the_sync_is_our_fault() {
    let (mut wal, _) = open(Twin::new(), &options(5), 0, 1).expect("an empty disk");
    wal.write(&[entry(1, 1, 10)], &members()).expect("room");
    let _ = wal.write(&[entry(1, 2, 10)], &members());
}

/// Five thousand lives of segments: what an older one left never comes back, and the files stay few.
#[test]
fn segments_are_reused_for_ever() {
    let (twin, options) = (Twin::new(), options(4));
    let (mut wal, _) = open(twin.clone(), &options, 0, 1).expect("an empty disk");
    let (mut model, mut rng) = (Model::default(), fastrand::Rng::with_seed(7));
    for index in 1..=5000 {
        let group = [entry(1, index, rng.usize(..6000))];
        wal.write(&group, &members()).expect("room");
        wal.sync().expect("a good disk");
        model = model.beyond(index.saturating_sub(3)).with(&group);
        wal.release(Index(index.saturating_sub(3)));
        wal.secure_room().expect("space");
        if index % 50 == 0 {
            drop(wal);
            twin.crash(&mut rng);
            let (again, recovered) = open(twin.clone(), &options, index - 3, index).expect("a good log");
            assert_eq!(recovered.warning, None);
            assert_eq!(Model::from(recovered), model.beyond(index - 3));
            wal = again;
        }
    }
    let (live, spare) = wal.segments();
    assert!(live <= 5 && spare <= SPARES_MAX, "{live} live, {spare} spare");
    assert!(twin.counts().allocations < 20, "{:?}", twin.counts());
}

#[test]
fn a_lagging_store_makes_the_log_grow_and_gives_back() {
    let (twin, options) = (Twin::new(), options(4));
    let (mut wal, _) = open(twin.clone(), &options, 0, 1).expect("an empty disk");
    for index in 1..=40 {
        wal.write(&[entry(1, index, 5000)], &members()).expect("room");
        wal.sync().expect("a good disk");
    }
    assert_eq!(wal.segments().0, 40);
    wal.release(Index(40));
    assert_eq!(wal.segments(), (1, 39));
    wal.secure_room().expect("a good disk");
    assert_eq!(wal.segments(), (1, SPARES_MAX));
    assert_eq!(twin.files().len(), 1 + SPARES_MAX);
    assert_eq!(found(&twin, &options, 40).last(), EntryId::new(1, 40));
}

#[test]
fn one_small_record_is_one_block_and_one_sync() {
    let options = Options { segment_bytes: Options::SEGMENT_BYTES, ..options(4) };
    let twin = Twin::new();
    let (mut wal, _) = open(twin.clone(), &options, 0, 1).expect("an empty disk");
    let before = twin.counts();
    wal.write(&[entry(1, 1, 200)], &members()).expect("room");
    wal.sync().expect("a good disk");
    wal.secure_room().expect("space");
    let after = twin.counts();
    assert_eq!(after.bytes_written - before.bytes_written, 4096);
    assert_eq!(after.syncs - before.syncs, 1);
    // Nothing happens: nothing is written.
    wal.write(&[], &members()).expect("nothing to write");
    wal.sync().expect("a good disk");
    assert_eq!(twin.counts(), after);
    // Sixty-four that waited are one write and one sync.
    let group: Vec<Record> = (2..66).map(|index| entry(1, index, 200)).collect();
    wal.write(&group, &members()).expect("room");
    wal.sync().expect("a good disk");
    assert_eq!((twin.counts().writes - after.writes, twin.counts().syncs - after.syncs), (1, 1));
}

#[test]
fn a_large_group_is_several_batches() {
    let options = Options { segment_bytes: Options::SEGMENT_BYTES_MIN, bugs: Bugs::default(), ..options(4) };
    let twin = Twin::new();
    let (mut wal, _) = open(twin.clone(), &options, 0, 1).expect("an empty disk");
    let before = twin.counts();
    let largest = solder::types::limits::COMMAND_BYTES_MAX;
    let group = [entry(1, 1, 700_000), entry(1, 2, 700_000), entry(1, 3, largest), entry(1, 4, 1)];
    wal.write(&group, &members()).expect("room");
    wal.sync().expect("a good disk");
    let after = twin.counts();
    // No two fit together in a batch, and before the largest is a new segment's header.
    assert_eq!((after.writes - before.writes, after.syncs - before.syncs), (5, 5));
    assert_eq!(found(&twin, &options, 0), Model::default().with(&group));
}

#[test]
fn segments_of_another_size_are_replaced_as_they_are_released() {
    let (twin, small, large) = (Twin::new(), options(4), options(8));
    let (mut wal, _) = open(twin.clone(), &small, 0, 1).expect("an empty disk");
    let mut model = Model::default();
    for index in 1..=10 {
        let group = [entry(1, index, 5000)];
        wal.write(&group, &members()).expect("room");
        wal.sync().expect("a good disk");
        model = model.with(&group);
    }
    drop(wal);
    let (mut wal, recovered) = open(twin.clone(), &large, 5, 1).expect("a good log");
    assert_eq!(Model::from(recovered), model.beyond(5));
    for index in 11..=20 {
        let group = [entry(1, index, 20_000)];
        wal.write(&group, &members()).expect("room for what is larger than a small segment");
        wal.sync().expect("a good disk");
        model = model.with(&group);
        wal.release(Index(index - 2));
        wal.secure_room().expect("space");
    }
    assert!(twin.files().iter().all(|(_, bytes)| bytes.len() == 8 * 4096));
    assert_eq!(found(&twin, &large, 18), model.beyond(18));
}
