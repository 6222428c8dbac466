//! A folder of keys and certificates in PEM: read with clear words, written so that a power cut leaves the old or the new.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::KeyPair;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject};

use super::certificates;

/// Keys and certificates are a few hundred bytes; what is larger is another file.
pub(super) const FILE_BYTES_MAX: u64 = 64 << 10;

/// As RFC 7468 has it.
const LINE_BYTES: usize = 64;

pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(path: &Path) -> Folder {
        Folder(path.to_owned())
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// What is wrong with the folder, with what to do.
    pub(super) fn advise(&self, wrong: String) -> String {
        format!(
            "{} cannot be used: {wrong}: put back a copy of the folder, or, to have this board join anew, remove the whole \
             data directory",
            self.0.display()
        )
    }

    /// For this user alone.
    pub(super) fn create(&self) -> Result<(), String> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.0);
        made.and_then(|()| fs::set_permissions(&self.0, fs::Permissions::from_mode(0o700)))
            .and_then(|()| sync(self.0.parent().unwrap_or(Path::new("/"))))
            .map_err(|error| format!("{} cannot be made: {error}", self.0.display()))
    }

    pub(super) fn certificate(&self, name: &str) -> Result<Option<CertificateDer<'static>>, String> {
        Ok(self.certificates(name)?.and_then(|all| all.into_iter().next()))
    }

    /// One at least.
    pub(super) fn certificates(&self, name: &str) -> Result<Option<Vec<CertificateDer<'static>>>, String> {
        let Some(pem) = self.read(name)? else { return Ok(None) };
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let trouble = match read {
            Ok(all) if all.is_empty() => "there is none".to_owned(),
            Ok(all) => return Ok(Some(all)),
            Err(error) => error.to_string(),
        };
        Err(self.advise(format!("no certificate can be read from {name}: {trouble}")))
    }

    pub(super) fn key(&self, name: &str) -> Result<Option<KeyPair>, String> {
        let Some(pem) = self.read(name)? else { return Ok(None) };
        let der = PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|error| error.to_string());
        let key = der.and_then(|der| certificates::read_key(der.secret_pkcs8_der()));
        key.map(Some).map_err(|error| self.advise(format!("no key can be read from {name}: {error}")))
    }

    /// `None`: there is no such file.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let path = self.path(name);
        let metadata = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            metadata => metadata.map_err(|error| format!("{} cannot be read: {error}", path.display()))?,
        };
        if metadata.len() > FILE_BYTES_MAX {
            return Err(self.advise(format!("{name} has {} bytes: it is another file", metadata.len())));
        }
        let read = fs::read(&path).map(Some);
        read.map_err(|error| format!("{} cannot be read: {error}", path.display()))
    }

    pub(super) fn keep_certificate(&self, name: &str, der: &[u8]) -> Result<(), String> {
        self.keep_certificates(name, &[der])
    }

    pub(super) fn keep_certificates(&self, name: &str, ders: &[&[u8]]) -> Result<(), String> {
        let pem: String = ders.iter().map(|der| pem("CERTIFICATE", der)).collect();
        self.keep(name, &pem)
    }

    pub(super) fn keep_key(&self, name: &str, pkcs8: &[u8]) -> Result<(), String> {
        self.keep(name, &pem("PRIVATE KEY", pkcs8))
    }

    fn keep(&self, name: &str, pem: &str) -> Result<(), String> {
        let (path, new) = (self.path(name), self.path(&format!("{name}.new")));
        write(&path, &new, pem).map_err(|error| format!("{} cannot be written: {error}", path.display()))
    }

    /// Takes the place of what had that name.
    pub(super) fn rename(&self, name: &str, to: &str) -> Result<(), String> {
        let (path, new) = (self.path(to), self.path(name));
        fs::rename(&new, &path)
            .and_then(|()| sync(&self.0))
            .map_err(|error| format!("{} cannot become {}: {error}", new.display(), path.display()))
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), String> {
        let path = self.path(name);
        let removed = match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => removed.and_then(|()| sync(&self.0)),
        };
        removed.map_err(|error| format!("{} cannot be removed: {error}", path.display()))
    }
}

/// For this user alone; by way of `new`, which lies beside it.
pub(super) fn write(path: &Path, new: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(new)?;
    // One that was left there may have had other rights.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(new, path)?;
    sync(path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new(".")))
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines = text.as_bytes().chunks(LINE_BYTES).map(String::from_utf8_lossy);
    let lines: String = lines.flat_map(|line| [line, "\n".into()]).collect();
    format!("-----BEGIN {label}-----\n{lines}-----END {label}-----\n")
}
