//! What the board that founds a cluster must not forget before the others can join it: a file beside its keys, from before the
//! cluster exists until the cluster itself knows it.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

use super::file;
use crate::{
    member::{Formation, Hardware},
    peer::BoardTls,
    types::{from_hex, hex},
};

const FILE: &str = "formation.toml";

/// What the others are to prove.
#[derive(Clone, PartialEq, Eq)]
pub struct Founding {
    pub formation: Formation,
    pub secret: [u8; 16],
}

#[derive(Serialize, Deserialize)]
struct Written {
    token: String,
    secret: String,
    size: u32,
}

impl Founding {
    /// `None`: this board founds nothing. Errors, here and below: one line that names the file.
    pub fn read(
        folder: &Path,
        tls: &BoardTls,
        hardware: &Hardware,
        port: u16,
    ) -> Result<Option<Founding>, String> {
        let path = folder.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
        };
        let damaged = || {
            format!(
                "{} is damaged: this board was about to found a cluster; clear its data directory and begin with a new token",
                path.display()
            )
        };
        let Written { token, secret, size } = toml::from_str(&text).map_err(|_| damaged())?;
        let secret = from_hex(&secret).ok_or_else(damaged)?;
        let formation = Formation { token, size, key: tls.key_hash(), board: hardware.mark(port) };
        Ok(Some(Founding { formation, secret }))
    }

    pub(super) fn keep(&self, folder: &Path) -> Result<(), String> {
        let written = Written {
            token: self.formation.token.clone(),
            secret: hex(self.secret),
            size: self.formation.size,
        };
        let text = toml::to_string(&written).map_err(|error| error.to_string())?;
        file::keep(folder, FILE, &text)
    }

    /// The cluster knows it by now. What cannot be removed is removed next time.
    pub fn forget(folder: &Path) {
        match fs::remove_file(folder.join(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                log::warn!("{} cannot be removed: {error}", folder.join(FILE).display());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_kept_until_it_is_forgotten() {
        let dir = tempfile::TempDir::new().expect("a temporary directory");
        let folder = dir.path().join("tls");
        let tls = BoardTls::make(&folder).expect("room");
        let hardware = Hardware::here();
        let read = || Founding::read(&folder, &tls, &hardware, 2380);
        assert!(read().expect("nothing wrong").is_none());
        let formation =
            Formation { token: "t".into(), size: 3, key: tls.key_hash(), board: hardware.mark(2380) };
        let founding = Founding { formation, secret: [7; 16] };
        founding.keep(&folder).expect("room");
        assert!(read().expect("nothing wrong").is_some_and(|kept| kept == founding));
        fs::write(folder.join(FILE), "token = 1").expect("room");
        assert!(read().err().expect("it is damaged").contains("is damaged"));
        Founding::forget(&folder);
        Founding::forget(&folder);
        assert!(read().expect("nothing wrong").is_none());
    }
}
