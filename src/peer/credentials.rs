//! The files that TLS needs, and what is made of them. Read again when they change; a change that cannot be used leaves
//! what was, with one warning.
//!
//! Everything here reads files, and is called on the thread of `handshake` only. Connections that stand are not ended by a
//! change of files: who must go at once is removed from the cluster.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::{
    clock::Clock,
    identity::Paths,
    trust::{self, Identity},
    validity::Validity,
};

/// Certificates and keys are a few KB; what is larger is another file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// When the end of a certificate is warned of: 30 days, 7 days and one day before, and after it.
const WARN_BEFORE_S: [u64; 4] = [30 * 86_400, 7 * 86_400, 86_400, 0];

/// What TLS goes by.
#[derive(Clone, Debug)]
pub enum Tls {
    /// What somebody has put there: an authority's word about hosts, until a date.
    Files(TlsFiles),
    /// The folder of [`super::BoardTls`], which has a certificate: an authority's word about keys, without an end.
    Board(PathBuf),
}

impl Tls {
    fn files(&self) -> TlsFiles {
        match self {
            Tls::Files(files) => files.clone(),
            Tls::Board(folder) => {
                let Paths { key, certificate, ca } = Paths::of(folder);
                TlsFiles { cert: certificate, key, trusted_ca: ca }
            }
        }
    }
}

/// In PEM, as etcd's flags of the same names want them.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// `--peer-cert-file`: this board's certificate, then those between it and the authority.
    pub cert: PathBuf,
    /// `--peer-key-file`.
    pub key: PathBuf,
    /// `--peer-trusted-ca-file`: the authorities that members' certificates come from.
    pub trusted_ca: PathBuf,
}

/// Tells whether a file was changed, or another put in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

/// See the module.
pub(super) struct Credentials {
    files: TlsFiles,
    is_board: bool,
    clock: Clock,
    configs: Configs,
    /// Of the files when they were last looked at, whether they could be used or not.
    stamps: [Option<Stamp>; 3],
    /// What ends first, and which file it is in.
    ends: Option<(u64, PathBuf)>,
    /// How many of `WARN_BEFORE_S` have been warned of.
    warned: usize,
}

#[derive(Clone)]
pub(super) struct Configs {
    pub(super) server: Arc<ServerConfig>,
    pub(super) client: Arc<ClientConfig>,
    /// They go by `Tls::Board`.
    pub(super) is_board: bool,
}

impl Credentials {
    /// Errors: one line that names the file and what is wrong with it.
    pub(super) fn load(tls: Tls, clock: Clock) -> Result<Credentials, String> {
        let (files, is_board) = (tls.files(), matches!(tls, Tls::Board(_)));
        let stamps = stamps(&files);
        let (configs, ends) = load(&files, is_board, clock)?;
        let mut credentials = Credentials { files, is_board, clock, configs, stamps, ends, warned: 0 };
        credentials.warn_of_the_end();
        Ok(credentials)
    }

    /// As the files are now, or were when they could last be used.
    pub(super) fn current(&mut self) -> Configs {
        // Stamps first: what changes while it is read is seen at the next look.
        let stamps = stamps(&self.files);
        if stamps != self.stamps {
            self.stamps = stamps;
            self.reload();
        }
        self.configs.clone()
    }

    fn reload(&mut self) {
        match load(&self.files, self.is_board, self.clock) {
            Ok((configs, ends)) => {
                (self.configs, self.ends, self.warned) = (configs, ends, 0);
                log::info!("the certificates of peers were read again: {}", self.files.cert.display());
                self.warn_of_the_end();
            }
            Err(error) => {
                log::warn!("the certificates of peers have changed, the old ones stay in use: {error}")
            }
        }
    }

    /// Once for each of the steps. A clock that cannot be right says nothing about the end.
    pub(super) fn warn_of_the_end(&mut self) {
        let (Some(now), Some((end_s, file))) = (self.clock.plausible(), &self.ends) else { return };
        let left_s = end_s.saturating_sub(now.as_secs());
        let reached = WARN_BEFORE_S.iter().filter(|before| left_s <= **before).count();
        if reached <= self.warned {
            return;
        }
        self.warned = reached;
        let file = file.display();
        match left_s {
            0 => log::error!(
                "a certificate in {file} has run out: peers refuse it; replace it, or set this board's clock if it is wrong"
            ),
            _ => log::warn!("a certificate in {file} runs out in {} days: replace it", left_s / 86_400),
        }
    }

    #[cfg(test)]
    fn warned(&self) -> usize {
        self.warned
    }
}

fn stamps(files: &TlsFiles) -> [Option<Stamp>; 3] {
    let stamp = |metadata: Metadata| Stamp {
        modified: metadata.modified().ok(),
        bytes: metadata.len(),
        inode: metadata.ino(),
    };
    [&files.cert, &files.key, &files.trusted_ca].map(|path| fs::metadata(path).ok().map(stamp))
}

type Loaded = (Configs, Option<(u64, PathBuf)>);

fn load(files: &TlsFiles, is_board: bool, clock: Clock) -> Result<Loaded, String> {
    let chain = certificates(&files.cert)?;
    let authorities = certificates(&files.trusted_ca)?;
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
        .map_err(|error| format!("no private key can be read from {}: {error}", files.key.display()))?;
    // A board's have none.
    let ends = ends(&files.cert, &chain).chain(ends(&files.trusted_ca, &authorities)).min();
    let ends = ends.filter(|_| !is_board);
    // So that a newcomer sees the authority that its URL has the pin of.
    let chain = if is_board { [chain, authorities.clone()].concat() } else { chain };
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        let added = roots.add(authority);
        added.map_err(|error| {
            format!("no authority's certificate in {}: {error}", files.trusted_ca.display())
        })?;
    }
    let identity = Identity { chain, key, authorities: roots };
    let configs = if is_board { trust::of_board(identity) } else { trust::configs(identity, clock) };
    let (server, client) = configs.map_err(|error| {
        format!("{} and {} cannot be used together: {error}", files.cert.display(), files.key.display())
    })?;
    Ok((Configs { server: Arc::new(server), client: Arc::new(client), is_board }, ends))
}

fn ends(path: &Path, certificates: &[CertificateDer<'_>]) -> impl Iterator<Item = (u64, PathBuf)> {
    let end =
        |der: &CertificateDer<'_>| Validity::of(der).map(|validity| (validity.not_after_s, path.to_owned()));
    certificates.iter().filter_map(end).collect::<Vec<_>>().into_iter()
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err(format!("there is no certificate in {}", path.display())),
        Ok(all) => Ok(all),
        Err(error) => Err(format!("no certificate can be read from {}: {error}", path.display())),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let explain = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let bytes = fs::metadata(path).map_err(explain)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(format!("{} has {bytes} bytes: it cannot be a certificate or key", path.display()));
    }
    fs::read(path).map_err(explain)
}

/// How often the files are looked at while nobody connects, and their end is thought of.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU64, Ordering},
        time::UNIX_EPOCH,
    };

    use tempfile::TempDir;

    use super::*;

    static NOW_S: AtomicU64 = AtomicU64::new(0);

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(NOW_S.load(Ordering::Relaxed))
    }

    /// 2060-01-01.
    const END_S: u64 = 2_840_140_800;

    const DAY_S: u64 = 86_400;

    fn files(dir: &TempDir, end_of_year: i32) -> TlsFiles {
        let mut params = rcgen::CertificateParams::new(["board".to_owned()]).expect("a name");
        params.not_after = rcgen::date_time_ymd(end_of_year, 1, 1);
        let key = rcgen::KeyPair::generate().expect("a key");
        let cert = params.self_signed(&key).expect("a certificate").pem();
        let [cert_file, key_file] = ["cert", "key"].map(|name| dir.path().join(name));
        fs::write(&cert_file, cert).expect("room");
        fs::write(&key_file, key.serialize_pem()).expect("room");
        TlsFiles { cert: cert_file.clone(), key: key_file, trusted_ca: cert_file }
    }

    #[test]
    fn the_end_is_warned_of_at_each_step_and_never_by_a_wrong_clock() {
        let dir = TempDir::new().expect("room");
        let mut credentials =
            Credentials::load(Tls::Files(files(&dir, 2060)), Clock(now)).expect("good files");
        let mut steps = Vec::new();
        for now_s in [
            5,
            END_S - 31 * DAY_S,
            END_S - 30 * DAY_S,
            END_S - 29 * DAY_S,
            END_S - 6 * DAY_S,
            END_S - DAY_S / 2,
            5,
            END_S + 1,
        ] {
            NOW_S.store(now_s, Ordering::Relaxed);
            credentials.warn_of_the_end();
            steps.push(credentials.warned());
        }
        assert_eq!(steps, [0, 0, 1, 1, 2, 3, 3, 4]);
        files(&dir, 2070);
        credentials.current();
        assert_eq!(credentials.warned(), 0, "new files end later");
    }

    #[test]
    fn files_that_cannot_be_used_are_read_once() {
        let dir = TempDir::new().expect("room");
        let files = files(&dir, 2060);
        let mut credentials =
            Credentials::load(Tls::Files(files.clone()), Clock(SystemTime::now)).expect("good files");
        let first = credentials.current().server;
        assert!(Arc::ptr_eq(&first, &credentials.current().server), "nothing changed");
        fs::write(&files.key, "half a ke").expect("room");
        assert!(Arc::ptr_eq(&first, &credentials.current().server));
        let stamps = credentials.stamps.clone();
        assert!(Arc::ptr_eq(&first, &credentials.current().server));
        assert_eq!(stamps, credentials.stamps, "the bad ones are known");
        fs::remove_file(&files.key).expect("it was there");
        assert!(Arc::ptr_eq(&first, &credentials.current().server));
        self::files(&dir, 2061);
        assert!(!Arc::ptr_eq(&first, &credentials.current().server));
    }
}
