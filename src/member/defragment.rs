//! Gives disk back without a server: of a data directory that nobody serves.

use std::{path::Path, sync::Arc};

use crate::store::{self, Defragmented, Lmdb, LmdbOptions, Store};

use super::{directory::DataDir, open::OpenError};

/// What the log has beyond the database stays there: the next start applies it.
///
/// Errors: a server has the directory open; there is no store in it, one that is catching up, or a damaged one; there is not
/// enough free disk for a copy of what is in use. All is as it was then.
pub fn defragment(path: &Path) -> Result<Defragmented, OpenError> {
    let none = |what| OpenError::NoStore { path: path.to_path_buf(), what };
    if !path.join("member.toml").exists() || !path.join("db/data.mdb").exists() {
        return Err(none("there is no store here: is it a data directory?"));
    }
    let dir = DataDir::open(path)?;
    // Who serves it next has room allocated again.
    let options = LmdbOptions { headroom_bytes: 0, ..LmdbOptions::default() };
    let backend = Arc::new(Lmdb::open(&dir.db(), &options)?);
    let mut store = Store::open(backend.clone(), store::Options::default())?;
    let Some(job) = store.start_defragment() else {
        return Err(none("the store is catching up: let it end, then defragment"));
    };
    let done = job.run(&*backend);
    Ok(store.finish_defragment(done)?)
}
