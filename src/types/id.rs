//! Numbers with names. A number never travels without one.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty), $show:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $show, self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

number!(
    /// A Raft term: one election. 0 is before the first.
    Term(u64), "{}"
);
number!(
    /// A position in the Raft log. The first entry has index 1; 0 is before it.
    Index(u64), "{}"
);
number!(
    /// A member of a cluster, for its whole life; never given twice. 0 is nobody.
    NodeId(u64), "{:x}"
);
number!(
    /// A cluster, so that boards of two never talk to each other.
    ClusterId(u64), "{:x}"
);
number!(
    /// A revision of the store, etcd's `main`: 1 is the empty store, every change that has an effect adds one.
    /// Signed as in etcd's API, where -1 is "never compacted".
    Revision(i64), "{}"
);
number!(
    /// A lease. Signed as in etcd's API; 0 is no lease.
    LeaseId(i64), "{:x}"
);

impl Term {
    pub fn next(self) -> Term {
        Term(self.0 + 1)
    }
}

impl Index {
    pub fn next(self) -> Index {
        Index(self.0 + 1)
    }

    /// The index before; 0 stays 0.
    pub fn prev(self) -> Index {
        Index(self.0.saturating_sub(1))
    }
}

impl Revision {
    pub fn next(self) -> Revision {
        Revision(self.0 + 1)
    }
}

impl LeaseId {
    pub const NONE: LeaseId = LeaseId(0);

    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}

/// One change of one key: the revision it belongs to and its place among the changes of that revision.
/// etcd's `revision{main, sub}`. Ordered as they happened.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyRev {
    pub main: Revision,
    pub sub: u32,
}

impl KeyRev {
    pub const fn new(main: i64, sub: u32) -> KeyRev {
        KeyRev { main: Revision(main), sub }
    }

    /// The last change that `revision` can hold: "at this revision" includes all of it.
    pub const fn end_of(revision: Revision) -> KeyRev {
        KeyRev { main: revision, sub: u32::MAX }
    }

    /// The smallest place after this one. Nothing is after the last one: a peer may send any, and none comes back round.
    pub fn next(self) -> KeyRev {
        match (self.sub.checked_add(1), self.main.0.checked_add(1)) {
            (Some(sub), _) => KeyRev { main: self.main, sub },
            (None, Some(main)) => KeyRev { main: Revision(main), sub: 0 },
            (None, None) => self,
        }
    }
}

impl fmt::Display for KeyRev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.main.0, self.sub)
    }
}

impl fmt::Debug for KeyRev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Names one proposal (or one read) for its whole life, so that who asked recognises it when it is applied.
/// Unique over restarts: the upper 32 bits of `number` are drawn at random at every boot, the lower ones count.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProposalId {
    pub origin: NodeId,
    pub number: u64,
}

impl fmt::Display for ProposalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.origin, self.number)
    }
}

impl fmt::Debug for ProposalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_history_end() {
        assert_eq!(KeyRev::new(1, 0).next(), KeyRev::new(1, 1));
        assert_eq!(KeyRev::end_of(Revision(1)).next(), KeyRev::new(2, 0));
        assert_eq!(KeyRev::new(i64::MAX, 0).next(), KeyRev::new(i64::MAX, 1));
        assert_eq!(KeyRev::end_of(Revision(i64::MAX)).next(), KeyRev::end_of(Revision(i64::MAX)));
    }
}
