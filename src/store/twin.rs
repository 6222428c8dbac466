//! The database's twin in memory, for tests: what is committed stays, what is not is gone, and it can be full or broken
//! when a test wants it to.
//!
//! A handle is cheap to clone; all clones are one database. A crash is to drop the store and open another one over a
//! handle: a commit is atomic, so what was committed is what there is.

use std::{
    collections::BTreeMap,
    io,
    ops::Bound,
    sync::{Arc, RwLock, RwLockReadGuard},
};

use super::{Backend, Inspect, Row, Rows, Snapshot, StoreError, Table, Transaction, Usage, Work};

const PAGE_BYTES: u32 = 4096;

/// What the next commits do instead of committing. Nothing is changed by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The disk or the map is full.
    Full,
    /// A sync failed.
    Io,
}

#[derive(Clone, Default)]
pub struct Twin {
    inner: Arc<RwLock<Inner>>,
}

#[derive(Default)]
struct Inner {
    tables: Tables,
    fault: Option<Fault>,
}

type Tables = [BTreeMap<Vec<u8>, Vec<u8>>; Table::ALL.len()];

impl Twin {
    pub fn new() -> Twin {
        Twin::default()
    }

    /// Every commit fails in this way until told otherwise.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.inner.write().expect("no panic while it is held").fault = fault;
    }
}

impl Backend for Twin {
    fn read(&self) -> Result<Box<dyn Snapshot + '_>, StoreError> {
        Ok(Box::new(View { inner: self.inner.read().expect("no panic while it is held") }))
    }

    fn write(&self, work: &mut Work<'_>) -> Result<(), StoreError> {
        let mut inner = self.inner.write().expect("no panic while it is held");
        let fault = inner.fault;
        let mut txn = Writing { tables: &mut inner.tables, undo: Vec::new() };
        let done = work(&mut txn).and_then(|()| fault.map_or(Ok(()), |fault| Err(fault.error())));
        if done.is_err() {
            txn.roll_back();
        }
        done
    }

    fn secure(&self) -> Result<(), StoreError> {
        match self.inner.read().expect("no panic while it is held").fault {
            Some(fault @ Fault::Full) => Err(fault.error()),
            _ => Ok(()),
        }
    }

    fn usage(&self) -> Result<Usage, StoreError> {
        let inner = self.inner.read().expect("no panic while it is held");
        let rows = inner.tables.iter().flatten();
        let used_bytes = rows.map(|(key, value)| (key.len() + value.len()) as u64).sum();
        Ok(Usage {
            page_bytes: PAGE_BYTES,
            word_bits: usize::BITS,
            file_bytes: used_bytes,
            used_bytes,
            capacity_bytes: u64::MAX,
        })
    }

    fn make_copy(&self) -> Result<(), StoreError> {
        self.inner.read().expect("no panic while it is held").fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn adopt_copy(&self, check: &mut Inspect<'_>) -> Result<(), StoreError> {
        check(&*self.read()?)
    }
}

impl Fault {
    fn error(self) -> StoreError {
        match self {
            Fault::Full => StoreError::Full { what: "the twin was told to be full".into() },
            Fault::Io => StoreError::Io {
                what: "the twin was told to fail".into(),
                error: io::Error::from(io::ErrorKind::Other),
            },
        }
    }
}

struct View<'a> {
    inner: RwLockReadGuard<'a, Inner>,
}

struct Writing<'a> {
    tables: &'a mut Tables,
    /// What stood there before, to be put back from the end.
    undo: Vec<(Table, Vec<u8>, Option<Vec<u8>>)>,
}

impl Writing<'_> {
    fn set(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) {
        let rows = &mut self.tables[table as usize];
        let before = match value {
            Some(value) => rows.insert(key.to_vec(), value.to_vec()),
            None => rows.remove(key),
        };
        self.undo.push((table, key.to_vec(), before));
    }

    fn roll_back(self) {
        for (table, key, before) in self.undo.into_iter().rev() {
            let rows = &mut self.tables[table as usize];
            match before {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
    }
}

trait HasTables {
    fn tables(&self) -> &Tables;
}

impl HasTables for View<'_> {
    fn tables(&self) -> &Tables {
        &self.inner.tables
    }
}

impl HasTables for Writing<'_> {
    fn tables(&self) -> &Tables {
        self.tables
    }
}

fn row<'a>((key, value): (&'a Vec<u8>, &'a Vec<u8>)) -> Row<'a> {
    (key, value)
}

/// Both kinds of transaction read in the same way.
macro_rules! snapshot {
    ($view:ident) => {
        impl Snapshot for $view<'_> {
            fn get(&self, table: Table, key: &[u8]) -> Result<Option<&[u8]>, StoreError> {
                Ok(self.tables()[table as usize].get(key).map(Vec::as_slice))
            }

            fn seek(&self, table: Table, key: &[u8]) -> Result<Option<Row<'_>>, StoreError> {
                self.scan(table, key)?.next().transpose()
            }

            fn seek_before(&self, table: Table, key: &[u8]) -> Result<Option<Row<'_>>, StoreError> {
                let bounds = (Bound::Unbounded, Bound::Excluded(key));
                Ok(self.tables()[table as usize].range::<[u8], _>(bounds).next_back().map(row))
            }

            fn branch_pages(&self, _: Table) -> Result<u64, StoreError> {
                Ok(0)
            }

            fn scan(&self, table: Table, key: &[u8]) -> Result<Rows<'_>, StoreError> {
                let bounds = (Bound::Included(key), Bound::Unbounded);
                Ok(Box::new(
                    self.tables()[table as usize].range::<[u8], _>(bounds).map(|found| Ok(row(found))),
                ))
            }
        }
    };
}

snapshot!(View);
snapshot!(Writing);

impl Transaction for Writing<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.set(table, key, Some(value));
        Ok(())
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), StoreError> {
        self.set(table, key, None);
        Ok(())
    }

    fn clear(&mut self, table: Table) -> Result<(), StoreError> {
        for (key, value) in std::mem::take(&mut self.tables[table as usize]) {
            self.undo.push((table, key, Some(value)));
        }
        Ok(())
    }
}
