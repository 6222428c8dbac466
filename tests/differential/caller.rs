//! Thinks of requests. It knows what the stores have come to as far as etcd told, so that it asks for what is interesting.

use fastrand::Rng;

use crate::{
    document::{
        Document::{self, Bool, Bytes, Enum, List, Message, Number},
        write,
    },
    judge::Said,
};

pub(crate) struct Call {
    pub(crate) path: &'static str,
    pub(crate) body: String,
}

pub(crate) struct Caller {
    chance: Rng,
    revision: i64,
    compacted: i64,
    /// What the last compaction asked for, until it is known whether it was made.
    asked: i64,
}

/// Few, so that requests meet; no more than 12, since the order of equals in longer sorts is not defined.
const KEYS: [&[u8]; 11] =
    [b"a", b"aa", b"ab", b"b", b"b\0", b"c", b"d", b"\0", b"\0\0", b"\xff", b"\xff\xff"];

const ENDS: [&[u8]; 12] =
    [b"", b"\0", b"\0", b"\0\0", b"a", b"aa", b"b", b"b\0", b"c", b"e", b"\xff", b"\xff\xff\xff"];

const VALUES: [&[u8]; 7] = [b"", b"1", b"2", b"two", b"\0", b"\xff\xfe", b"a longer one, to be put \"here\""];

const LEASES: [i64; 5] = [7, 8, 9, -5, i64::MAX];

type Field = (&'static str, Document);

impl Caller {
    pub(crate) fn new(chance: Rng) -> Caller {
        Caller { chance, revision: 1, compacted: 0, asked: 0 }
    }

    pub(crate) fn learn(&mut self, said: &Said) {
        self.revision = self.revision.max(said.revision());
        if said.is_good() && self.asked != 0 {
            self.compacted = self.asked;
        }
        self.asked = 0;
    }

    pub(crate) fn next(&mut self) -> Call {
        let (path, document) = match self.chance.u32(..100) {
            0..22 => ("/v3/kv/put", self.put()),
            22..52 => ("/v3/kv/range", self.range()),
            52..62 => ("/v3/kv/deleterange", self.delete()),
            62..86 => ("/v3/kv/txn", self.txn(0)),
            86..88 => ("/v3/kv/compaction", self.compaction()),
            _ => self.lease(),
        };
        Call { path, body: write(&document, &mut self.chance) }
    }

    /// A watch that has something to tell at once.
    pub(crate) fn watch(&mut self) -> String {
        let mut fields =
            vec![("start_revision", Number(self.chance.i64(self.compacted.max(1) - 1..=self.revision)))];
        fields.extend(self.interval());
        fields.extend(self.flag("prev_kv", 2));
        if self.chance.u32(..3) == 0 {
            let filter = self.chance.usize(..2);
            fields.push(("filters", List(vec![Enum(["NOPUT", "NODELETE"][filter], filter as i64)])));
        }
        if self.chance.u32(..4) == 0 {
            fields.push(("watch_id", Number(self.chance.i64(-2..4))));
        }
        Document::plain(&Message(vec![("create_request", Message(fields))]))
    }

    fn one_of(&mut self, number: u32) -> bool {
        self.chance.u32(..number) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.chance.usize(..from.len())]
    }

    fn flag(&mut self, name: &'static str, seldom: u32) -> Option<Field> {
        match self.chance.u32(..seldom * 4) {
            0..4 => Some((name, Bool(true))),
            4 => Some((name, Bool(false))),
            _ => None,
        }
    }

    fn key(&mut self) -> Document {
        if self.one_of(60) {
            return Bytes(Vec::new());
        }
        Bytes(self.pick(&KEYS).to_vec())
    }

    fn interval(&mut self) -> Vec<Field> {
        let mut fields = vec![("key", self.key())];
        if !self.one_of(3) {
            fields.push(("range_end", Bytes(self.pick(&ENDS).to_vec())));
        }
        fields
    }

    fn a_revision(&mut self) -> i64 {
        let (now, compacted) = (self.revision, self.compacted);
        match self.chance.u32(..16) {
            0 => now + 1,
            1 => now + 2,
            2 => compacted,
            3 => compacted - 1,
            4 => compacted + 1,
            5 => -1,
            6 => 0,
            7 => now,
            8 => self.pick(&[i64::MAX, i64::MIN]),
            _ => self.chance.i64(compacted.max(1)..=now.max(compacted).max(1)),
        }
    }

    fn put(&mut self) -> Document {
        let mut fields = vec![("key", self.key())];
        if !self.one_of(8) {
            fields.push(("value", Bytes(self.pick(&VALUES).to_vec())));
        }
        if self.one_of(4) {
            fields.push(("lease", Number(self.a_lease())));
        }
        fields.extend(self.flag("prev_kv", 2));
        if self.one_of(6) {
            fields.retain(|(name, _)| *name != "value");
            fields.push(("ignore_value", Bool(true)));
        }
        fields.extend(self.flag("ignore_lease", 8));
        Message(fields)
    }

    fn a_lease(&mut self) -> i64 {
        match self.chance.u32(..12) {
            0 => 0,
            1 => 12345,
            _ => self.pick(&LEASES),
        }
    }

    fn range(&mut self) -> Document {
        let mut fields = self.interval();
        if self.one_of(3) {
            fields.push(("limit", Number(self.pick(&[-1, 0, 1, 2, 3, 5, i64::MAX, i64::MIN]))));
        }
        if self.one_of(2) {
            fields.push(("revision", Number(self.a_revision())));
        }
        if self.one_of(3) {
            let order = self.pick(&[("NONE", 0), ("ASCEND", 1), ("DESCEND", 2), ("BOGUS", 7), ("BOGUS", -1)]);
            fields.push(("sort_order", Enum(order.0, order.1)));
        }
        if self.one_of(3) {
            // A number that is no target is the end of etcd.
            let targets = [("KEY", 0), ("VERSION", 1), ("CREATE", 2), ("MOD", 3), ("VALUE", 4), ("BOGUS", 0)];
            let target = self.pick(&targets);
            fields.push(("sort_target", Enum(target.0, target.1)));
        }
        fields.extend(self.flag("serializable", 6));
        fields.extend(self.flag("keys_only", 5));
        fields.extend(self.flag("count_only", 6));
        for name in ["min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision"] {
            if self.one_of(12) {
                fields.push((name, Number(self.a_revision())));
            }
        }
        Message(fields)
    }

    fn delete(&mut self) -> Document {
        let mut fields = self.interval();
        if self.one_of(2) {
            // Else the stores are empty most of the time.
            fields.truncate(1);
        }
        fields.extend(self.flag("prev_kv", 2));
        Message(fields)
    }

    fn txn(&mut self, depth: u32) -> Document {
        let mut fields = Vec::new();
        if !self.one_of(4) {
            fields.push(("compare", List((0..self.chance.u32(..3)).map(|_| self.compare()).collect())));
        }
        for branch in ["success", "failure"] {
            if !self.one_of(5) {
                fields
                    .push((branch, List((0..self.chance.u32(..4)).map(|_| self.operation(depth)).collect())));
            }
        }
        Message(fields)
    }

    fn compare(&mut self) -> Document {
        let results = [("EQUAL", 0), ("GREATER", 1), ("LESS", 2), ("NOT_EQUAL", 3), ("BOGUS", 4)];
        let result = self.pick(&results[..]);
        let targets = [
            (("VERSION", 0), "version"),
            (("CREATE", 1), "create_revision"),
            (("MOD", 2), "mod_revision"),
            (("VALUE", 3), "value"),
            (("LEASE", 4), "lease"),
        ];
        let (target, operand) = self.pick(&targets);
        let mut fields = vec![("key", self.key())];
        if !self.one_of(5) || result.1 == 4 {
            fields.push(("result", Enum(result.0, result.1)));
        }
        fields.push(("target", Enum(target.0, target.1)));
        let operand = if self.one_of(12) { self.pick(&targets).1 } else { operand };
        if !self.one_of(12) {
            let value = match operand {
                "value" => Bytes(self.pick(&VALUES).to_vec()),
                "lease" => Number(self.a_lease()),
                "version" => Number(self.chance.i64(0..4)),
                _ => Number(self.a_revision()),
            };
            fields.push((operand, value));
        }
        if self.one_of(4) {
            fields.push(("range_end", Bytes(self.pick(&ENDS).to_vec())));
        }
        Message(fields)
    }

    fn operation(&mut self, depth: u32) -> Document {
        let (name, request) = match self.chance.u32(..40) {
            0 => return Message(Vec::new()),
            1..16 => ("request_put", self.put()),
            16..26 => ("request_range", self.range()),
            26..34 => ("request_delete_range", self.delete()),
            _ if depth == 3 => ("request_range", self.range()),
            _ => ("request_txn", self.txn(depth + 1)),
        };
        Message(vec![(name, request)])
    }

    fn compaction(&mut self) -> Document {
        let back = self.pick(&[0, 1, 5, 20]);
        let revision = if self.one_of(3) { self.a_revision() } else { self.revision - back };
        self.asked = revision;
        let mut fields = vec![("revision", Number(revision))];
        fields.extend(self.flag("physical", 2));
        Message(fields)
    }

    fn lease(&mut self) -> (&'static str, Document) {
        let id = ("ID", Number(self.a_lease()));
        match self.chance.u32(..12) {
            0..6 => {
                let ttl = self.pick(&[1000, 2000, 5000, 9_000_000_000, 9_000_000_001, i64::MAX]);
                // Without an id etcd picks one.
                let id = ("ID", Number(self.pick(&LEASES)));
                ("/v3/lease/grant", Message(vec![("TTL", Number(ttl)), id]))
            }
            6 => ("/v3/lease/revoke", Message(vec![id])),
            7 => ("/v3/kv/lease/revoke", Message(vec![id])),
            8 => ("/v3/lease/leases", Message(Vec::new())),
            9 => ("/v3/lease/keepalive", Message(vec![id])),
            10 => ("/v3/kv/lease/timetolive", Message(vec![id, ("keys", Bool(true))])),
            _ => ("/v3/lease/timetolive", Message([id].into_iter().chain(self.flag("keys", 2)).collect())),
        }
    }
}
