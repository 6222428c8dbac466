//! Commands and reads drawn from a seed: few keys, so that they meet.

use fastrand::Rng;
use solder::types::*;

pub(crate) struct Chance {
    pub(crate) rng: Rng,
    values: u32,
}

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance { rng: Rng::with_seed(seed), values: 0 }
    }

    pub(crate) fn one_in(&mut self, n: u32) -> bool {
        self.rng.u32(..n) == 0
    }

    fn key(&mut self) -> Bytes {
        const KEYS: [&[u8]; 14] = [
            b"a",
            b"b",
            b"b\0",
            b"bb",
            b"c",
            b"key",
            b"key-0001",
            b"key-0002",
            b"key-00020",
            b"z",
            b"\0",
            b"\xff",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"",
        ];
        // The last one, the empty key, is refused: now and then.
        let known = if self.one_in(50) { KEYS.len() } else { KEYS.len() - 1 };
        KEYS[self.rng.usize(..known)].into()
    }

    pub(crate) fn range(&mut self) -> KeyRange {
        match self.rng.u8(..8) {
            0 => KeyRange::all(),
            1 => KeyRange::new(self.key(), b"\0"),
            2 => KeyRange::prefix(b"key"),
            3 | 4 => KeyRange::new(self.key(), self.key()),
            _ => KeyRange::single(self.key()),
        }
    }

    fn lease(&mut self) -> LeaseId {
        LeaseId([1, 2, 3, -4, i64::MAX][self.rng.usize(..5)])
    }

    fn lease_or_none(&mut self) -> LeaseId {
        if self.one_in(3) { self.lease() } else { LeaseId::NONE }
    }

    fn value(&mut self) -> Bytes {
        self.values += 1;
        match self.rng.u8(..10) {
            0 => Bytes::new(),
            1 => b"same".into(),
            2 => vec![self.values as u8; self.rng.usize(..600)].into(),
            _ => format!("v{}", self.values).into_bytes().into(),
        }
    }

    /// A revision that may be too old, too new, or "the newest".
    pub(crate) fn revision(&mut self, newest: Revision) -> Revision {
        match self.rng.u8(..6) {
            0 => Revision(self.rng.i64(-1..newest.0 + 3)),
            1 => Revision(self.rng.i64(..newest.0 + 1)),
            2 => Revision((newest.0 - self.rng.i64(..6)).max(0)),
            _ => Revision(0),
        }
    }

    fn put(&mut self) -> PutRequest {
        let ignore_value = self.one_in(12);
        let ignore_lease = self.one_in(12);
        let odd = self.one_in(40);
        PutRequest {
            key: self.key(),
            value: if ignore_value && !odd { Bytes::new() } else { self.value() },
            lease: if ignore_lease && !odd { LeaseId::NONE } else { self.lease_or_none() },
            prev_kv: self.rng.bool(),
            ignore_value,
            ignore_lease,
        }
    }

    fn delete(&mut self) -> DeleteRangeRequest {
        DeleteRangeRequest { range: self.range(), prev_kv: self.rng.bool() }
    }

    pub(crate) fn read(&mut self, newest: Revision) -> RangeRequest {
        let mut bound = |rare: u32| if self.one_in(rare) { self.revision(newest) } else { Revision(0) };
        let (min_mod, max_mod, min_create, max_create) = (bound(8), bound(8), bound(8), bound(8));
        RangeRequest {
            range: self.range(),
            limit: if self.rng.bool() { self.rng.i64(-1..6) } else { 0 },
            revision: self.revision(newest),
            sort_order: [SortOrder::None, SortOrder::Ascend, SortOrder::Descend][self.rng.usize(..3)],
            sort_target: [
                SortTarget::Key,
                SortTarget::Version,
                SortTarget::Create,
                SortTarget::Mod,
                SortTarget::Value,
            ][self.rng.usize(..5)],
            keys_only: self.one_in(5),
            count_only: self.one_in(8),
            min_mod_revision: min_mod,
            max_mod_revision: max_mod,
            min_create_revision: min_create,
            max_create_revision: max_create,
        }
    }

    fn compare(&mut self, newest: Revision) -> Compare {
        let value = match self.rng.u8(..5) {
            0 => CompareValue::Version(self.rng.i64(..4)),
            1 => CompareValue::Create(Revision(self.rng.i64(..newest.0 + 1))),
            2 => CompareValue::Mod(Revision(self.rng.i64(..newest.0 + 1))),
            3 => CompareValue::Value(self.value()),
            _ => CompareValue::Lease(self.lease_or_none()),
        };
        let result = match self.rng.u8(..5) {
            0 => CompareResult::Equal,
            1 => CompareResult::Greater,
            2 => CompareResult::Less,
            3 => CompareResult::NotEqual,
            _ => CompareResult::Unknown,
        };
        Compare { range: self.range(), result, value }
    }

    fn txn(&mut self, newest: Revision, depth: u32) -> TxnRequest {
        TxnRequest {
            compare: (0..self.rng.usize(..3)).map(|_| self.compare(newest)).collect(),
            success: self.ops(newest, depth),
            failure: self.ops(newest, depth),
        }
    }

    fn ops(&mut self, newest: Revision, depth: u32) -> Vec<TxnOp> {
        let count = self.rng.usize(..4);
        let op = |_| match self.rng.u8(..8) {
            0 if depth < 3 => TxnOp::Txn(Box::new(self.txn(newest, depth + 1))),
            0..=2 => TxnOp::Range(self.read(newest)),
            3..=5 => TxnOp::Put(self.put()),
            _ => TxnOp::DeleteRange(self.delete()),
        };
        (0..count).map(op).collect()
    }

    pub(crate) fn command(&mut self, newest: Revision, compacted: Revision, term: Term) -> Command {
        let only_in = self.one_in(3).then(|| Term(term.0 - u64::from(self.one_in(3))));
        match self.rng.u8(..68) {
            0..=27 => Command::Put(self.put()),
            28..=35 => Command::DeleteRange(self.delete()),
            36..=51 => Command::Txn(self.txn(newest, 0)),
            52..=54 => Command::Compact { revision: self.compaction(newest, compacted) },
            55..=58 => Command::LeaseGrant { id: self.lease(), ttl_s: self.rng.i64(1..100) },
            59 | 60 => Command::LeaseRevoke { id: self.lease(), only_in },
            61 => Command::LeaseCheckpoint {
                leases: (0..3).map(|n| LeaseRemaining { id: self.lease(), remaining_s: n }).collect(),
                only_in,
            },
            62 => Command::Alarm(AlarmRequest {
                // Off more often than on: while one is on little happens.
                action: if self.one_in(6) { AlarmAction::Activate } else { AlarmAction::Deactivate },
                member: NodeId(1),
                kind: if self.rng.bool() { AlarmKind::NoSpace } else { AlarmKind::Corrupt },
            }),
            63 => Command::Alarm(AlarmRequest {
                action: AlarmAction::Deactivate,
                member: NodeId(1),
                kind: if self.rng.bool() { AlarmKind::NoSpace } else { AlarmKind::Corrupt },
            }),
            _ => self.about_members(),
        }
    }

    /// Of members and of others; nobody is 0, whose row is the cluster's.
    fn about_members(&mut self) -> Command {
        let member = NodeId(self.rng.u64(..5));
        match self.rng.u8(..8) {
            0 | 1 => Command::Publish {
                member,
                name: self.texts(1).concat(),
                client_urls: self.texts(3),
                level: self.rng.u32(..4),
                incarnation: self.rng.u64(..3),
            },
            2 => Command::UpdateMember { member, peer_urls: self.texts(3) },
            3 => Command::UpdateCluster(ClusterChange {
                timeouts_ms: self.rng.bool().then(|| (self.rng.u32(..500), self.rng.u32(..9000))),
                level: self.rng.bool().then(|| self.rng.u32(..4)),
            }),
            4 => Command::Identify {
                member,
                key: self.texts(1).concat().into_bytes().into(),
                board: self.texts(1).concat().into_bytes().into(),
            },
            5 => Command::Autopilot(AutopilotChange {
                voters_max: self.rng.bool().then(|| self.rng.u32(..9)),
                replace_after_s: self.rng.bool().then(|| self.rng.u32(..900)),
                learners_max: self.rng.bool().then(|| self.rng.u32(..100)),
                forming: self.rng.bool().then(|| self.rng.u32(..5)),
            }),
            6 => Command::Amend {
                members: vec![member, NodeId(self.rng.u64(..5))],
                since_s: self.rng.bool().then(|| self.rng.u64(..900)),
                board: self.rng.bool().then(|| self.texts(1).concat().into_bytes().into()),
            },
            _ => Command::UpdateCluster(ClusterChange::default()),
        }
    }

    fn texts(&mut self, most: usize) -> Vec<String> {
        let count = self.rng.usize(..=most);
        (0..count).map(|_| format!("http://host-{}", self.rng.u16(..))).collect()
    }

    /// A change that fits, if the first one that comes to mind does.
    pub(crate) fn member_change(&mut self, membership: &Membership) -> Option<MembershipChange> {
        let id = NodeId(self.rng.u64(1..9));
        let change = match self.rng.u8(..5) {
            0 => MembershipChange::AddVoter(id),
            1 => MembershipChange::AddLearner(id),
            2 => MembershipChange::Promote(id),
            3 => MembershipChange::Demote(id),
            _ => MembershipChange::Remove(id),
        };
        membership.with(change).map(|_| change)
    }

    fn compaction(&mut self, newest: Revision, compacted: Revision) -> Revision {
        match self.rng.u8(..8) {
            0 => Revision(self.rng.i64(-2..newest.0 + 3)),
            1 => newest,
            _ => Revision(compacted.0 + self.rng.i64(..(newest.0 - compacted.0) / 2 + 2)),
        }
    }
}
