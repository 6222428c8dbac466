//! Deliberate bugs, to prove that the simulator can see. Each is one line of code somewhere that the feature `testing`
//! can switch on; without the feature `Bugs` is empty, `has` is constantly false, and the compiler drops the line.

/// One known way of being wrong, named after what goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// raft: a vote is answered before term and vote are durable.
    VoteNotSynced,
    /// raft: an append is acknowledged before the entries are durable.
    AckBeforeSync,
    /// raft: a late `persisted` makes an index durable though its entry was replaced since.
    PersistedByIndexAlone,
    /// raft: an entry of an older term is committed by counting copies (Raft thesis figure 3.7).
    CommitOlderTerm,
    /// raft: a new leader answers reads before it has committed in its term.
    StaleReadAfterElection,
    /// raft: a read is served by a round of heartbeats that began before it arrived.
    ReadByEarlierRound,
    /// raft: a leader answers reads without asking, because by its own ticks its lease has not run out.
    ReadFromPausedLeader,
    /// store: the applied index is not written in the transaction that holds the data.
    AppliedTwice,
    /// wal: after a restart, entries behind a rewritten one are taken from before the rewrite.
    TruncatedSuffixKept,
    /// wal: the last batch is taken though its CRC is wrong.
    TornBatchAccepted,
    /// wal: a batch starts in the block where the last one ended, rewriting it.
    BatchesShareBlock,
    /// store: compaction removes what a transfer has yet to send.
    CompactPastTransfer,
    /// autopilot: where a voter is to be a learner because it is gone, another one is taken.
    DemoteTheLiving,
}

impl Bug {
    pub const ALL: [Bug; 13] = [
        Bug::VoteNotSynced,
        Bug::AckBeforeSync,
        Bug::PersistedByIndexAlone,
        Bug::CommitOlderTerm,
        Bug::StaleReadAfterElection,
        Bug::ReadByEarlierRound,
        Bug::ReadFromPausedLeader,
        Bug::AppliedTwice,
        Bug::TruncatedSuffixKept,
        Bug::TornBatchAccepted,
        Bug::BatchesShareBlock,
        Bug::CompactPastTransfer,
        Bug::DemoteTheLiving,
    ];
}

/// The bugs that are switched on: none, unless a test says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bugs {
    #[cfg(feature = "testing")]
    on: Option<Bug>,
}

impl Bugs {
    #[cfg(feature = "testing")]
    pub fn only(bug: Bug) -> Bugs {
        Bugs { on: Some(bug) }
    }

    #[cfg(feature = "testing")]
    pub fn has(&self, bug: Bug) -> bool {
        self.on == Some(bug)
    }

    #[cfg(not(feature = "testing"))]
    #[inline(always)]
    pub const fn has(&self, _: Bug) -> bool {
        false
    }
}
