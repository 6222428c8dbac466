//! What the store needs of a database: tables of ordered bytes, consistent views, and one synced transaction at a time.
//!
//! Two of them: LMDB (`lmdb`), and a twin in memory for tests (`twin`).
//!
//! Here you will not find: what the bytes mean.

use super::StoreError;

/// The tables. Their keys are ordered as bytes; what they hold is drawn in `format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// (user key, newest revision first) -> what is known of that version without its value.
    Keys,
    /// revision -> the record with its value.
    Revs,
    /// lease -> time to live.
    Leases,
    /// (lease, user key) -> nothing: the keys that a lease holds.
    LeaseKeys,
    /// member -> what its operator told of it.
    Members,
    /// What is true of the store as a whole.
    Meta,
}

impl Table {
    pub const ALL: [Table; 6] =
        [Table::Keys, Table::Revs, Table::Leases, Table::LeaseKeys, Table::Members, Table::Meta];

    pub fn name(self) -> &'static str {
        match self {
            Table::Keys => "keys",
            Table::Revs => "revs",
            Table::Leases => "leases",
            Table::LeaseKeys => "lease_keys",
            Table::Members => "members",
            Table::Meta => "meta",
        }
    }
}

/// One row, borrowed from the view it was read in.
pub type Row<'a> = (&'a [u8], &'a [u8]);

/// Rows in ascending order of their keys.
pub type Rows<'a> = Box<dyn Iterator<Item = Result<Row<'a>, StoreError>> + 'a>;

/// A consistent view. Short-lived: while one is open, the database cannot reuse room, nor grow.
pub trait Snapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<&[u8]>, StoreError>;

    /// The first row at or after `key`.
    fn seek(&self, table: Table, key: &[u8]) -> Result<Option<Row<'_>>, StoreError>;

    /// The last row before `key`.
    fn seek_before(&self, table: Table, key: &[u8]) -> Result<Option<Row<'_>>, StoreError>;

    /// The pages of a table that lead to its rows and hold none: those that changes in scattered places share. 0 if the
    /// database has no such thing.
    fn branch_pages(&self, table: Table) -> Result<u64, StoreError>;

    /// All rows at or after `key`.
    fn scan(&self, table: Table, key: &[u8]) -> Result<Rows<'_>, StoreError>;
}

/// The one transaction that writes. It reads what it wrote.
pub trait Transaction: Snapshot {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError>;

    /// A row that is not there is no error.
    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), StoreError>;

    /// Deletes every row of the table.
    fn clear(&mut self, table: Table) -> Result<(), StoreError>;
}

/// The work of a transaction. It may be run more than once (from the start, when the database had to grow), so it
/// must not keep anything of an earlier run.
pub type Work<'a> = dyn FnMut(&mut dyn Transaction) -> Result<(), StoreError> + 'a;

/// Looks at a copy before it takes the database's place. An error says what is wrong with it.
pub type Inspect<'a> = dyn FnMut(&dyn Snapshot) -> Result<(), StoreError> + 'a;

pub trait Backend: Send + Sync {
    /// A view of what is committed. One thread must not hold two.
    fn read(&self) -> Result<Box<dyn Snapshot + '_>, StoreError>;

    /// Does `work` in one transaction. `Ok`: all of it is on stable storage. `Err`: nothing was changed.
    fn write(&self, work: &mut Work<'_>) -> Result<(), StoreError>;

    /// Makes sure of the room that the next transactions need, as far as it can be had ahead. `Full`: it cannot; they may
    /// still find enough.
    fn secure(&self) -> Result<(), StoreError>;

    /// How much room there is. Costs about as much as one read.
    fn usage(&self) -> Result<Usage, StoreError>;

    /// Writes a copy without unused pages beside the database, synced. Until it is adopted nothing may be written.
    /// `Full`: there is no room for it, and nothing was changed.
    fn make_copy(&self) -> Result<(), StoreError>;

    /// Puts the copy in the place of the database, if it passes the check. Waits until no view is open. After an error the
    /// process ends; the next one finds the database or the copy in its place.
    fn adopt_copy(&self, check: &mut Inspect<'_>) -> Result<(), StoreError>;
}

/// The room of a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The unit in which the file is written.
    pub page_bytes: u32,
    /// What a pointer of the build that wrote it has.
    pub word_bits: u32,
    /// The file's length. Pages that hold nothing any more are in it: `used_bytes` plus what defragmenting gives back.
    pub file_bytes: u64,
    /// Pages that hold something.
    pub used_bytes: u64,
    /// The most that the pages in use can become.
    pub capacity_bytes: u64,
}
