//! Reads a snapshot from a file, block by block, and believes nothing.

use std::{
    fs::File,
    io::{BufReader, ErrorKind, Read},
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::{
    SnapshotError,
    format::{
        BLOCK_HEADER_BYTES, BlockHeader, Counts, Head, Kind, LeaseRow, MAGIC, Member, SHA_BYTES, VERSION,
        crc, decode_items,
    },
};
use crate::{
    store::RevRecord,
    types::{Bytes, ClusterId, EntryId, NodeId, Revision},
};

/// Some of what there is, in order. The head comes first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    Head(Box<Head>),
    Members(Vec<Member>),
    Leases(Vec<LeaseRow>),
    Records(Vec<RevRecord>),
}

/// What a snapshot is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Equal for equal states.
    pub hash: u32,
    pub cluster: ClusterId,
    pub applied: EntryId,
    pub revision: Revision,
    pub compacted: Revision,
    /// Changes of keys.
    pub total_keys: u64,
    pub leases: u64,
    /// The file's.
    pub total_size: u64,
    pub version: u32,
}

/// A file being read.
pub struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    skip_hash_check: bool,
    /// Of what was read.
    sha: Sha256,
    offset: u64,
    crc: u32,
    /// The kind of the last block.
    last: Option<Kind>,
    counts: Counts,
}

impl Reader {
    /// `skip_hash_check`: the sha256 at the end may be another, or missing. All other checks are made.
    pub fn open(path: &Path, skip_hash_check: bool) -> Result<Reader, SnapshotError> {
        let file = File::open(path).map_err(|error| SnapshotError::io(path, "cannot be opened", error))?;
        let mut reader = Reader {
            path: path.to_path_buf(),
            file: BufReader::with_capacity(64 << 10, file),
            skip_hash_check,
            sha: Sha256::new(),
            offset: 0,
            crc: 0,
            last: None,
            counts: Counts::default(),
        };
        reader.begin()?;
        Ok(reader)
    }

    fn begin(&mut self) -> Result<(), SnapshotError> {
        let (mut magic, mut version) = ([0; MAGIC.len()], [0; 4]);
        self.fill(&mut magic)?;
        if magic != *MAGIC {
            return Err(self.broken_at(0, "it does not begin as one"));
        }
        self.fill(&mut version)?;
        self.crc = crc(0, &[&magic, &version]);
        match u32::from_le_bytes(version) {
            VERSION => Ok(()),
            version => Err(SnapshotError::Version { path: self.path.clone(), version }),
        }
    }

    /// The next block. `None`: that was all, and all of it is as it was saved.
    pub fn next_block(&mut self) -> Result<Option<Block>, SnapshotError> {
        let at = self.offset;
        let mut header = [0; BLOCK_HEADER_BYTES];
        self.fill(&mut header)?;
        let Some(header) = BlockHeader::decode(&header) else {
            return Err(self.broken_at(at, "no block begins so"));
        };
        let mut items = vec![0; header.len as usize];
        self.fill(&mut items)?;
        self.crc =
            header.check(self.crc, &items).ok_or_else(|| self.broken_at(at, "the checksum is wrong"))?;
        self.check_order(at, header.kind)?;
        match header.kind {
            Kind::Head => Ok(Some(Block::Head(Box::new(self.only(at, &items)?)))),
            Kind::Members => Ok(Some(Block::Members(self.items(at, &items, |counts| &mut counts.members)?))),
            Kind::Leases => Ok(Some(Block::Leases(self.items(at, &items, |counts| &mut counts.leases)?))),
            Kind::Records => Ok(Some(Block::Records(self.items(at, &items, |counts| &mut counts.records)?))),
            Kind::End => self.end(at, &items).map(|()| None),
        }
    }

    /// The head alone comes first, and once.
    fn check_order(&mut self, at: u64, kind: Kind) -> Result<(), SnapshotError> {
        let follows = match self.last {
            None => kind == Kind::Head,
            Some(last) => kind != Kind::Head && kind >= last,
        };
        self.last = Some(kind);
        if follows { Ok(()) } else { Err(self.broken_at(at, "a block is in the wrong place")) }
    }

    fn items<T: DeserializeOwned>(
        &mut self,
        at: u64,
        bytes: &[u8],
        count: impl Fn(&mut Counts) -> &mut u64,
    ) -> Result<Vec<T>, SnapshotError> {
        let items = decode_items(bytes).ok_or_else(|| self.broken_at(at, "a block holds something else"))?;
        *count(&mut self.counts) += items.len() as u64;
        Ok(items)
    }

    fn only<T: DeserializeOwned>(&self, at: u64, bytes: &[u8]) -> Result<T, SnapshotError> {
        let items: Option<[T; 1]> = decode_items(bytes).and_then(|items: Vec<T>| items.try_into().ok());
        match items {
            Some([item]) => Ok(item),
            _ => Err(self.broken_at(at, "a block holds something else")),
        }
    }

    fn end(&mut self, at: u64, items: &[u8]) -> Result<(), SnapshotError> {
        let counts: Counts = self.only(at, items)?;
        if counts != self.counts {
            let what = format!("it had {counts:?}, there are {:?}", self.counts);
            return Err(self.broken_at(at, &what));
        }
        let (at, sha) = (self.offset, self.sha.clone().finalize());
        let mut rest = Vec::new();
        let read = self.file.by_ref().take(SHA_BYTES as u64 + 1).read_to_end(&mut rest);
        read.map_err(|error| SnapshotError::io(&self.path, "cannot be read", error))?;
        self.offset += rest.len() as u64;
        match rest.len() {
            SHA_BYTES if self.skip_hash_check || rest == sha[..] => Ok(()),
            0 if self.skip_hash_check => Ok(()),
            SHA_BYTES => Err(self.broken_at(at, "the sha256 is wrong")),
            0..SHA_BYTES => Err(self.broken_at(at, "the sha256 is missing, or not all of it is there")),
            _ => Err(self.broken_at(at, "something follows its end")),
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), SnapshotError> {
        match self.file.read_exact(buffer) {
            Ok(()) => {
                self.sha.update(&*buffer);
                self.offset += buffer.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(self.broken("it ends too early")),
            Err(error) => Err(SnapshotError::io(&self.path, "cannot be read", error)),
        }
    }

    /// What has been read last is not what it should be.
    pub(super) fn broken(&self, what: &str) -> SnapshotError {
        self.broken_at(self.offset, what)
    }

    fn broken_at(&self, offset: u64, what: &str) -> SnapshotError {
        SnapshotError::Broken { path: self.path.clone(), offset, what: what.to_string() }
    }

    /// What has been read so far, of which `head` came first.
    fn summary(&self, head: &Head) -> Summary {
        Summary {
            hash: self.crc,
            cluster: head.cluster,
            applied: head.applied,
            revision: head.revision,
            compacted: head.compacted,
            total_keys: self.counts.records,
            leases: self.counts.leases,
            total_size: self.offset,
            version: VERSION,
        }
    }

    /// The block that every snapshot begins with.
    pub(super) fn head(&mut self) -> Result<Box<Head>, SnapshotError> {
        match self.next_block()? {
            Some(Block::Head(head)) => Ok(head),
            other => unreachable!("`check_order` lets nothing come first but the head: {other:?}"),
        }
    }
}

/// The rows of the members that it is of; row 0 is the cluster's. Reads no further.
pub fn members(path: &Path) -> Result<Vec<(NodeId, Bytes)>, SnapshotError> {
    let mut reader = Reader::open(path, false)?;
    reader.head()?;
    let mut all = Vec::new();
    while let Some(Block::Members(members)) = reader.next_block()? {
        all.extend(members);
    }
    Ok(all)
}

/// Reads all of it. Memory: one block.
pub fn verify(path: &Path, skip_hash_check: bool) -> Result<Summary, SnapshotError> {
    let mut reader = Reader::open(path, skip_hash_check)?;
    let head = reader.head()?;
    while reader.next_block()?.is_some() {}
    Ok(reader.summary(&head))
}
