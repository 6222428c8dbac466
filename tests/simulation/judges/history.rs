//! What clients asked and were told: the record that is judged.
//!
//! Times are any numbers that never go back; what counts is which of two came first. Calls and answers at one and the
//! same time count as concurrent, so a clock that stands still hides faults: let it count steps.
//!
//! Every value written must be unique in its history: it is how a write is recognised when it is seen.

use std::fmt;

use solder::types::{Bytes, Revision};

/// What one client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    Put {
        key: Bytes,
        value: Bytes,
    },
    Delete {
        key: Bytes,
    },
    Get {
        key: Bytes,
        at: At,
        serializable: bool,
    },
    /// A transaction: if the key's mod revision is `expect` (0: there is no such key), then put, else get.
    Cas {
        key: Bytes,
        expect: Revision,
        value: Bytes,
    },
    Compact {
        revision: Revision,
    },
}

/// Which state a read asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Newest,
    Revision(Revision),
}

/// What a client was told. `revision` is the one of the answer's header: the store's newest when it was made, the
/// write's own for a write that had an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Put {
        revision: Revision,
    },
    Delete {
        revision: Revision,
        deleted: bool,
    },
    Get {
        revision: Revision,
        kv: Option<Kv>,
    },
    CasDone {
        revision: Revision,
    },
    /// The key had another mod revision; `kv` is what the get in the other branch found.
    CasElse {
        revision: Revision,
        kv: Option<Kv>,
    },
    Compact {
        revision: Revision,
    },
    /// A get at a revision that is compacted.
    Compacted,
    /// It certainly has no effect, now and for ever; nothing was read.
    Refused,
}

/// A key as a client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kv {
    pub value: Bytes,
    pub modified: Revision,
    pub created: Revision,
    pub version: i64,
}

/// One call. Without an answer its outcome is unknown, and it may take effect at any time from `invoked` on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub client: u64,
    pub op: Op,
    pub invoked: u64,
    pub answered: Option<(u64, Answer)>,
}

/// Names a call until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(usize);

/// All calls of a run, in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub struct History {
    calls: Vec<Call>,
}

impl History {
    pub fn invoke(&mut self, client: u64, op: Op, now: u64) -> CallId {
        let last = self.calls.last().map_or(0, |call| call.invoked);
        assert!(now >= last, "time went back from {last} to {now}");
        self.calls.push(Call { client, op, invoked: now, answered: None });
        CallId(self.calls.len() - 1)
    }

    /// Not called for an outcome that stays unknown.
    pub fn answer(&mut self, id: CallId, answer: Answer, now: u64) {
        let call = &mut self.calls[id.0];
        assert!(call.answered.is_none(), "answered twice: {call}");
        assert!(call.invoked <= now, "answered at {now} before it was asked: {call}");
        assert!(answer.fits(&call.op), "{answer:?} is no answer to {call}");
        call.answered = Some((now, answer));
    }

    pub fn calls(&self) -> &[Call] {
        &self.calls
    }
}

impl Op {
    /// The key that it is about.
    pub fn key(&self) -> Option<&Bytes> {
        match self {
            Op::Put { key, .. } | Op::Delete { key } | Op::Get { key, .. } | Op::Cas { key, .. } => Some(key),
            Op::Compact { .. } => None,
        }
    }

    /// The value that it may write.
    pub fn value(&self) -> Option<&Bytes> {
        match self {
            Op::Put { value, .. } | Op::Cas { value, .. } => Some(value),
            Op::Delete { .. } | Op::Get { .. } | Op::Compact { .. } => None,
        }
    }
}

impl Answer {
    /// The revision of the header, where there was one.
    pub fn header(&self) -> Option<Revision> {
        match *self {
            Answer::Put { revision }
            | Answer::Delete { revision, .. }
            | Answer::Get { revision, .. }
            | Answer::CasDone { revision }
            | Answer::CasElse { revision, .. }
            | Answer::Compact { revision } => Some(revision),
            Answer::Compacted | Answer::Refused => None,
        }
    }

    /// The revision that this answer says was made by the call.
    pub fn wrote(&self) -> Option<Revision> {
        match *self {
            Answer::Put { revision }
            | Answer::Delete { revision, deleted: true }
            | Answer::CasDone { revision } => Some(revision),
            _ => None,
        }
    }

    fn fits(&self, op: &Op) -> bool {
        match self {
            Answer::Put { .. } => matches!(op, Op::Put { .. }),
            Answer::Delete { .. } => matches!(op, Op::Delete { .. }),
            Answer::Get { .. } => matches!(op, Op::Get { .. }),
            Answer::CasDone { .. } | Answer::CasElse { .. } => matches!(op, Op::Cas { .. }),
            Answer::Compact { .. } => matches!(op, Op::Compact { .. }),
            Answer::Compacted => matches!(op, Op::Get { at: At::Revision(_), .. }),
            Answer::Refused => true,
        }
    }
}

impl Call {
    pub fn answer(&self) -> Option<&Answer> {
        self.answered.as_ref().map(|(_, answer)| answer)
    }

    pub fn is_refused(&self) -> bool {
        matches!(self.answer(), Some(Answer::Refused))
    }
}

/// One line: who, when, what, and what came of it.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {} at {}: {:?}", self.client, self.invoked, self.op)?;
        match &self.answered {
            Some((at, answer)) => write!(f, ", at {at}: {answer:?}"),
            None => f.write_str(", outcome unknown"),
        }
    }
}
