//! The authority in a file of its own: what `snapshot save --with-authority` keeps beside a snapshot.
//!
//! ```text
//!   FILE.authority  0600
//!
//!   # whoever has this file lets boards into the cluster and can be any board that no list has
//!   cluster: 8e9e05c52164694d
//!   -----BEGIN CERTIFICATE-----    ca.crt
//!   -----BEGIN PRIVATE KEY-----    ca.key
//! ```
//!
//! What stands before the first BEGIN is no part of PEM (RFC 7468, 5.2), and tells which snapshots it belongs to. It is not in the
//! snapshot itself: that is of the store, the same from every member, and learners have one, too.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rcgen::KeyPair;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject};

use crate::types::{Bytes, ClusterId};

use super::{
    BoardTls, CA_CERTIFICATE, CA_KEY, certificates,
    files::{FILE_BYTES_MAX, Folder, pem, write},
    fits, hash,
};

const ABOUT: &str =
    "# whoever has this file lets boards into the cluster, and can be any board that no list has";

const CLUSTER: &str = "cluster: ";

/// See the module.
pub struct AuthorityCopy {
    cluster: ClusterId,
    ca: CertificateDer<'static>,
    key: KeyPair,
}

impl AuthorityCopy {
    /// From the keys of a member of `cluster`, and the hash of its own. Errors, here and below: one line that names the file.
    pub fn of(folder: &Path, cluster: ClusterId) -> Result<(AuthorityCopy, Bytes), String> {
        let board = BoardTls::open(folder)?;
        match board.map(|board| (board.key_hash(), board.ca, board.authority)) {
            Some((own, Some(ca), Some(key))) => Ok((AuthorityCopy { cluster, ca, key }, own)),
            _ => Err(format!(
                "{} has no key of a cluster's authority: the boards that vote have it, where boards join by themselves",
                folder.display()
            )),
        }
    }

    /// As `write` has written it.
    pub fn read(path: &Path) -> Result<AuthorityCopy, String> {
        let bytes = fs::metadata(path).and_then(|found| match found.len() > FILE_BYTES_MAX {
            true => Err(io::Error::other(format!("it has {} bytes", found.len()))),
            false => fs::read(path),
        });
        let bytes = bytes.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        AuthorityCopy::parse(&bytes)
            .map_err(|wrong| format!("{} is no copy of an authority: {wrong}", path.display()))
    }

    fn parse(bytes: &[u8]) -> Result<AuthorityCopy, String> {
        let text = String::from_utf8_lossy(bytes);
        let id = text.lines().find_map(|line| line.strip_prefix(CLUSTER));
        let id = id.and_then(|id| u64::from_str_radix(id.trim(), 16).ok());
        let cluster = ClusterId(id.ok_or("it does not say of which cluster")?);
        let ca =
            CertificateDer::from_pem_slice(bytes).map_err(|error| format!("its certificate: {error}"))?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(bytes).map_err(|error| format!("its key: {error}"))?;
        let key =
            certificates::read_key(key.secret_pkcs8_der()).map_err(|error| format!("its key: {error}"))?;
        fits(&ca, &key)?;
        Ok(AuthorityCopy { cluster, ca, key })
    }

    /// For this user alone, whole, and on the disk.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let (ca, key) = (pem("CERTIFICATE", &self.ca), pem("PRIVATE KEY", self.key.serialized_der()));
        let text = format!("{ABOUT}\n{CLUSTER}{}\n{ca}{key}", self.cluster);
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        write(path, &PathBuf::from(new), &text)
            .map_err(|error| format!("{} cannot be written: {error}", path.display()))
    }

    /// Of the cluster whose authority it is.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// SHA-256 of its certificate, as in the URLs that let boards in.
    pub fn pin(&self) -> Bytes {
        hash(&self.ca)
    }

    /// The keys of a board that founds a cluster of this authority, in a folder that is not there yet.
    pub fn found(&self, folder: &Path) -> Result<(), String> {
        let mut board = BoardTls::make(folder)?;
        let kept = Folder::new(folder);
        kept.keep_key(CA_KEY, self.key.serialized_der())?;
        kept.keep_certificate(CA_CERTIFICATE, &self.ca)?;
        board = BoardTls::open(folder)?.unwrap_or(board);
        board.found()
    }
}
