//! What is kept: etcd's MVCC over pending layers in memory and a database.

mod backend;
mod error;
mod signatures;

pub use backend::{Backend, Row, Rows, Snapshot, Table, Transaction, Usage, Work};
pub use error::{ReadError, StoreError};
pub use signatures::*;
