//! Reads a whole log without opening it, also beside the process that writes it: for `solder wal`.
//!
//! Memory is bounded by the largest batch. What moves under the reader is no damage: a batch that seems broken is read
//! again after a pause, and a segment whose header has changed meanwhile was reused, which the owner may do at any time.
//!
//! Here you will not find: anything that writes.

use crate::types::{Bugs, EntryId, HardState, Index, Membership, Payload};

use super::{
    batch::BatchHeader,
    disk::Disk,
    error::WalError,
    header::Header,
    record::{Record, Records},
    recovery::{TornTail, check_header},
    replay::Replay,
    scan::{Batch, Cursor, Next},
    survey::{Segment, Survey},
};

/// What is met, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    Segment {
        file: String,
        header: &'a Header,
    },
    /// One of the two copies of the segment's header is bad; opening repairs it.
    HeaderCopy {
        file: String,
        offset: u64,
    },
    Batch {
        offset: u64,
        header: &'a BatchHeader,
    },
    Record(&'a Record),
    /// The owner of the log began to write this segment anew.
    Reused {
        file: String,
    },
    Torn(TornTail),
    End {
        file: String,
        offset: u64,
    },
}

/// What a log amounts to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub segments: u64,
    pub spares: u64,
    pub batches: u64,
    pub records: u64,
    /// The entry before the first.
    pub start: EntryId,
    pub last: EntryId,
    pub hard_state: HardState,
    /// As far as headers and entries tell.
    pub members: Membership,
    pub torn: Option<TornTail>,
}

/// Who looks on, and how long a moment is.
pub struct Inspector<'a> {
    pub found: &'a mut dyn FnMut(Found<'_>),
    /// Called before something is read again.
    pub pause: &'a mut dyn FnMut(),
}

/// How often a list of segments that does not fit together is made again.
const SURVEYS_MAX: u32 = 3;

impl Inspector<'_> {
    /// Reads it all. An error is damage, or a disk that cannot be read.
    pub fn inspect<D: Disk>(&mut self, disk: &mut D) -> Result<Summary, WalError> {
        let survey = self.survey(disk)?;
        let mut summary = Summary { spares: survey.spares.len() as u64, ..Summary::default() };
        self.chain(disk, &survey.chain, &mut summary)?;
        Ok(summary)
    }

    fn survey<D: Disk>(&mut self, disk: &mut D) -> Result<Survey, WalError> {
        let mut tries = 1;
        loop {
            match Survey::take(disk) {
                Err(WalError::Damaged { .. } | WalError::Io { .. }) if tries < SURVEYS_MAX => {
                    tries += 1;
                    (self.pause)();
                }
                survey => return survey,
            }
        }
    }

    /// Reads these segments; what was read before an error is in the summary.
    pub(super) fn chain<D: Disk>(
        &mut self,
        disk: &mut D,
        chain: &[Segment],
        summary: &mut Summary,
    ) -> Result<(), WalError> {
        let mut replay = None;
        for (at, segment) in chain.iter().enumerate() {
            let header = &segment.header;
            let (file, next) = (disk.file(segment.slot), chain.get(at + 1));
            summary.begin(header, replay.is_none());
            let mut known = replay.take().unwrap_or_else(|| {
                // Every entry counts as applied, so that none is kept.
                Replay::new(header.preceding, header.hard_state, Index(u64::MAX), Bugs::default())
            });
            (self.found)(Found::Segment { file: file.clone(), header });
            if let Some(copy) = segment.stale_copy {
                let offset = copy * super::format::BLOCK;
                (self.found)(Found::HeaderCopy { file: file.clone(), offset });
            }
            let read = self.segment(disk, segment, next, &mut known, summary);
            (summary.last, summary.hard_state) = (known.last, known.hard_state);
            match read {
                Ok(()) => replay = Some(known),
                Err(WalError::Damaged { .. }) if self.reused(disk, segment) => {
                    (self.found)(Found::Reused { file });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Has the slot another life than when it was listed?
    fn reused<D: Disk>(&mut self, disk: &mut D, segment: &Segment) -> bool {
        let same = |now: &Segment| now.slot == segment.slot && now.header == segment.header;
        self.survey(disk).is_ok_and(|survey| !survey.chain.iter().any(same))
    }

    fn segment<D: Disk>(
        &mut self,
        disk: &mut D,
        segment: &Segment,
        next: Option<&Segment>,
        replay: &mut Replay,
        summary: &mut Summary,
    ) -> Result<(), WalError> {
        let mut cursor = Cursor::new(segment, Bugs::default());
        check_header(disk, &cursor, replay)?;
        loop {
            let torn = match self.next(disk, &mut cursor, next)? {
                Next::Batch(batch) => {
                    self.batch(disk, &cursor, &batch, replay, summary)?;
                    continue;
                }
                Next::Torn(torn) => Some(torn),
                Next::Nothing => None,
            };
            if next.is_none() {
                let (file, offset) = (disk.file(segment.slot), cursor.offset);
                summary.torn = torn.map(|torn| TornTail::new(disk, &cursor, &torn));
                (self.found)(summary.torn.clone().map_or(Found::End { file, offset }, Found::Torn));
            }
            return Ok(());
        }
    }

    /// The next batch. What is not one is read a second time before it is judged.
    fn next<D: Disk>(
        &mut self,
        disk: &mut D,
        cursor: &mut Cursor<'_>,
        next: Option<&Segment>,
    ) -> Result<Next, WalError> {
        let first = cursor.next(disk)?;
        let suspicious = match first {
            Next::Batch(_) => return Ok(first),
            Next::Torn(_) => next.is_none() || cursor.judge_end(disk, next).is_err(),
            Next::Nothing => cursor.judge_end(disk, next).is_err(),
        };
        if !suspicious {
            return Ok(first);
        }
        (self.pause)();
        let second = cursor.next(disk)?;
        if !matches!(second, Next::Batch(_)) {
            cursor.judge_end(disk, next)?;
        }
        Ok(second)
    }

    fn batch<D: Disk>(
        &mut self,
        disk: &D,
        cursor: &Cursor<'_>,
        batch: &Batch,
        replay: &mut Replay,
        summary: &mut Summary,
    ) -> Result<(), WalError> {
        summary.batches += 1;
        (self.found)(Found::Batch { offset: batch.offset, header: &batch.header });
        for record in Records::new(&batch.payload) {
            let record = record.map_err(|at| batch.no_record(disk, cursor, at))?;
            summary.record(&record);
            (self.found)(Found::Record(&record));
            replay.push(record).map_err(|what| batch.damage(disk, cursor, &what))?;
        }
        Ok(())
    }
}

impl Summary {
    fn begin(&mut self, header: &Header, anew: bool) {
        self.segments += 1;
        if anew {
            self.start = header.preceding;
        }
        if !header.members.is_blank() {
            self.members = header.members.clone();
        }
    }

    fn record(&mut self, record: &Record) {
        self.records += 1;
        match record {
            Record::LogStart(id) => self.start = *id,
            Record::Entry(entry) => self.members_after(&entry.payload),
            Record::HardState(_) => {}
        }
    }

    /// An approximation, good enough to tell one voter from several: entries that were replaced later count, too.
    pub(super) fn members_after(&mut self, payload: &Payload) {
        if let Payload::Membership { change, .. } = payload
            && let Some(members) = self.members.with(*change)
        {
            self.members = members;
        }
    }
}
