//! Who a board is, without anybody's files: its own key, and what its cluster's authority said of it.
//!
//! ```text
//! data-dir/tls  0700
//!   member.key  made here, never leaves the board       member.crt  the authority's word that this is a member's key
//!   ca.crt      the authority of the cluster            ca.key      its key; voters have it, so that any can let in
//!
//!   next.key, next.crt          while the key is renewed: see `renewal`, and `handover` for what stands behind the first in
//!                               member.crt from then on
//!
//!   make --> a key --.-- found --> an authority, and the own certificate from it     (the founder)
//!                    '-- keep ---> what a member answered: ca.crt, member.crt        (all others)
//! ```
//!
//! - All are PEM, 0600, and written whole: beside, synced, renamed, the folder synced. A step that was cut off is done again.
//! - Certificates have no end and one name, `member.solder.internal`, and with an id before it: a member is
//!   known by the hash of its public key, which stands in the list of members, and not by a host or a date. Removal is a
//!   matter of that list.
//! - The authority says that a key was let in, and as which member. It is what a member with an older list goes by: a guest
//!   is who it says that it is, or a removed board could come back under an id that nobody has. (Not so one that has voted:
//!   with the authority's key it can be anybody whom a list does not have.)
//!
//! Here you will not find: clocks; who may have which file.

mod certificates;
mod copy;
mod files;
mod handover;
mod renewal;

use std::path::{Path, PathBuf};

use rcgen::KeyPair;
use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;

use crate::types::{Bytes, NodeId};

use self::{certificates::Authority, files::Folder};

pub(super) use self::{
    certificates::{NAME, is_of},
    handover::Shown,
};

pub use self::{copy::AuthorityCopy, renewal::NextKey};

/// SHA-256 of a public key (SubjectPublicKeyInfo, DER).
pub(super) type KeyHash = [u8; 32];

/// See the module.
pub struct BoardTls {
    folder: Folder,
    key: KeyPair,
    ca: Option<CertificateDer<'static>>,
    certificate: Option<CertificateDer<'static>>,
    /// By which the keys before this one have said which was next; the newest first.
    handovers: Vec<CertificateDer<'static>>,
    authority: Option<KeyPair>,
}

/// Those of a board's files that a connection needs.
pub(super) struct Paths {
    pub(super) key: PathBuf,
    pub(super) certificate: PathBuf,
    pub(super) ca: PathBuf,
}

impl Paths {
    pub(super) fn of(folder: &Path) -> Paths {
        let path = |name| folder.join(name);
        Paths { key: path(MEMBER_KEY), certificate: path(MEMBER_CERTIFICATE), ca: path(CA_CERTIFICATE) }
    }
}

const MEMBER_KEY: &str = "member.key";
const MEMBER_CERTIFICATE: &str = "member.crt";
const CA_CERTIFICATE: &str = "ca.crt";
const CA_KEY: &str = "ca.key";

impl BoardTls {
    /// What is in `folder`; `None`: no key was made there yet. Errors, here and below: one line that names the file and says
    /// what to do.
    pub fn open(folder: &Path) -> Result<Option<BoardTls>, String> {
        // Another thread may be renewing the key, and be in the midst of two steps.
        BoardTls::read(folder).or_else(|_| BoardTls::read(folder))
    }

    fn read(folder: &Path) -> Result<Option<BoardTls>, String> {
        let folder = Folder::new(folder);
        let Some(key) = folder.key(MEMBER_KEY)? else {
            let rest = [MEMBER_CERTIFICATE, CA_CERTIFICATE, CA_KEY];
            return match rest.iter().find(|name| folder.has(name)) {
                None => Ok(None),
                Some(name) => Err(folder.advise(format!("it has {name}, and no {MEMBER_KEY}"))),
            };
        };
        let next = renewal::of_key(&folder)?;
        let mut chain = match next {
            Some(chain) => chain.into_iter(),
            None => folder.certificates(MEMBER_CERTIFICATE)?.unwrap_or_default().into_iter(),
        };
        let board = BoardTls {
            key,
            ca: folder.certificate(CA_CERTIFICATE)?,
            certificate: chain.next(),
            handovers: chain.collect(),
            authority: folder.key(CA_KEY)?,
            folder,
        };
        board.check().map_err(|wrong| board.folder.advise(wrong))?;
        Ok(Some(board))
    }

    /// The same, with a key made now if there is none.
    pub fn make(folder: &Path) -> Result<BoardTls, String> {
        if let Some(board) = BoardTls::open(folder)? {
            return Ok(board);
        }
        let folder = Folder::new(folder);
        let key = certificates::new_key()?;
        folder.create()?;
        folder.keep_key(MEMBER_KEY, key.serialized_der())?;
        Ok(BoardTls { folder, key, ca: None, certificate: None, handovers: Vec::new(), authority: None })
    }

    fn check(&self) -> Result<(), String> {
        match (&self.ca, &self.authority) {
            (Some(ca), Some(authority)) => fits(ca, authority)?,
            (None, _) if self.certificate.is_some() => {
                return Err(format!("it has {MEMBER_CERTIFICATE}, and no {CA_CERTIFICATE}"));
            }
            _ => {}
        }
        match (&self.ca, &self.certificate) {
            (Some(ca), Some(certificate)) => certificates::check(ca, certificate, &self.public_key())
                .map_err(|wrong| format!("{MEMBER_CERTIFICATE} {wrong}")),
            _ => Ok(()),
        }
    }

    /// SubjectPublicKeyInfo, DER.
    pub fn public_key(&self) -> Bytes {
        certificates::public_key(&self.key).into()
    }

    /// SHA-256 of the public key: what the list of members knows this board by.
    pub fn key_hash(&self) -> Bytes {
        hash(&self.public_key())
    }

    /// It was let in somewhere, or has founded.
    pub fn has_certificate(&self) -> bool {
        self.certificate.is_some()
    }

    pub fn has_authority_key(&self) -> bool {
        self.ca.is_some() && self.authority.is_some()
    }

    /// SHA-256 of the authority's certificate.
    pub fn pin(&self) -> Option<Bytes> {
        self.ca.as_ref().map(|ca| hash(ca))
    }

    /// The authority's certificate, DER.
    pub fn ca(&self) -> Option<Bytes> {
        self.ca.as_ref().map(|ca| Bytes::from(ca.as_ref()))
    }

    /// Makes the authority, and this board its first member. What was begun is gone on with.
    pub fn found(&mut self) -> Result<(), String> {
        if self.ca.is_some() && self.authority.is_none() {
            return Err(format!(
                "{} is of a cluster that another board founded: to found one here, remove the folder",
                self.folder.path(CA_CERTIFICATE).display()
            ));
        }
        if self.authority.is_none() {
            let key = certificates::new_key()?;
            self.folder.keep_key(CA_KEY, key.serialized_der())?;
            self.authority = Some(key);
        }
        if let (None, Some(key)) = (&self.ca, &self.authority) {
            let ca = certificates::of_authority(key)?;
            self.folder.keep_certificate(CA_CERTIFICATE, &ca)?;
            self.ca = Some(ca);
        }
        if self.certificate.is_none() {
            let certificate = CertificateDer::from(self.sign(&self.public_key(), None)?);
            self.folder.keep_certificate(MEMBER_CERTIFICATE, &certificate)?;
            self.certificate = Some(certificate);
        }
        Ok(())
    }

    /// The same where another board founded, and nobody is left who could let others in: what that authority has signed counts no
    /// more. What was cut off is gone on with by doing it again.
    pub fn found_anew(&mut self) -> Result<(), String> {
        if !self.has_authority_key() {
            self.forget()?;
        }
        self.found()
    }

    /// A certificate (DER) for who holds the private part of this key, as this member. It takes the authority's key.
    pub fn certify(&self, public_key: &[u8], member: NodeId) -> Result<Bytes, String> {
        self.sign(public_key, Some(member)).map(Bytes::from)
    }

    fn sign(&self, public_key: &[u8], member: Option<NodeId>) -> Result<Vec<u8>, String> {
        let (Some(ca), Some(key)) = (&self.ca, &self.authority) else {
            return Err(format!(
                "this board does not have the key of the cluster's authority ({}): only voters have",
                self.folder.path(CA_KEY).display()
            ));
        };
        Authority { ca, key }.sign(public_key, member)
    }

    /// What a newcomer was given (DER), checked. What it had of another authority goes: its data went before.
    pub fn keep(&mut self, ca: &[u8], certificate: &[u8]) -> Result<(), String> {
        let (ca, certificate) =
            (CertificateDer::from(ca.to_vec()), CertificateDer::from(certificate.to_vec()));
        certificates::check(&ca, &certificate, &self.public_key())
            .map_err(|wrong| format!("the certificate that this board was given {wrong}"))?;
        if self.ca.as_ref() != Some(&ca) {
            self.forget()?;
            self.folder.keep_certificate(CA_CERTIFICATE, &ca)?;
            self.ca = Some(ca);
        }
        self.folder.keep_certificate(MEMBER_CERTIFICATE, &certificate)?;
        (self.certificate, self.handovers) = (Some(certificate), Vec::new());
        Ok(())
    }

    /// What came from an authority, in an order of which each step leaves files that fit each other.
    fn forget(&mut self) -> Result<(), String> {
        for name in [MEMBER_CERTIFICATE, CA_KEY, CA_CERTIFICATE] {
            self.folder.remove(name)?;
        }
        (self.certificate, self.authority, self.ca) = (None, None, None);
        self.handovers.clear();
        Ok(())
    }

    /// To be told to another voter (PKCS #8, DER). `None`: it is not here.
    pub fn authority_key(&self) -> Option<Bytes> {
        self.ca.as_ref().and(self.authority.as_ref()).map(|key| Bytes::from(key.serialized_der()))
    }

    /// As another voter told it, checked against `ca.crt`.
    pub fn keep_authority_key(&mut self, key: &[u8]) -> Result<(), String> {
        let ca = self.ca.as_ref().ok_or("this board has no authority's certificate that a key could fit")?;
        let key = certificates::read_key(key).map_err(|error| {
            format!("what another voter told as the authority's key cannot be read: {error}")
        })?;
        fits(ca, &key)?;
        self.folder.keep_key(CA_KEY, key.serialized_der())?;
        self.authority = Some(key);
        Ok(())
    }
}

fn fits(ca: &CertificateDer<'_>, authority: &KeyPair) -> Result<(), String> {
    match certificates::shown_key(ca) {
        Ok(key) if key == key_hash(&certificates::public_key(authority)) => Ok(()),
        Ok(_) => Err(format!("{CA_KEY} is not the key of {CA_CERTIFICATE}")),
        Err(error) => Err(format!("{CA_CERTIFICATE} cannot be read: {error}")),
    }
}

pub(super) fn key_hash(public_key: &[u8]) -> KeyHash {
    let mut hash = KeyHash::default();
    hash.copy_from_slice(digest(&SHA256, public_key).as_ref());
    hash
}

fn hash(bytes: &[u8]) -> Bytes {
    Bytes::from(&key_hash(bytes))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Wherever it is cut off, doing it again leaves an authority and a certificate of it; and only then is it another.
    #[test]
    fn an_authority_is_founded_anew() {
        let dir = tempfile::TempDir::new().expect("room");
        let [one, two] = ["1", "2"].map(|name| dir.path().join(name));
        let mut founder = BoardTls::make(&one).expect("room");
        founder.found().expect("room");
        let mut board = BoardTls::make(&two).expect("room");
        let certificate = founder.certify(&board.public_key(), NodeId(2)).expect("it founded");
        board.keep(&founder.ca().expect("it founded"), &certificate).expect("it fits");
        let key = board.key_hash();
        let after = |removed: &[&str]| {
            let files = [MEMBER_CERTIFICATE, CA_CERTIFICATE, CA_KEY];
            let before = files.map(|name| fs::read(two.join(name)).ok());
            removed.iter().for_each(|name| fs::remove_file(two.join(name)).expect("it is there"));
            let mut board = BoardTls::open(&two).expect("each step fits").expect("it has a key");
            board.found_anew().expect("room");
            let board = BoardTls::open(&two).expect("it fits").expect("it has a key");
            assert!(board.has_certificate() && board.has_authority_key() && board.key_hash() == key);
            for (name, before) in files.iter().zip(before) {
                before.into_iter().for_each(|bytes| fs::write(two.join(name), bytes).expect("room"));
            }
            board.pin()
        };
        let of_old = founder.pin();
        assert_ne!(after(&[]), of_old);
        fs::remove_file(two.join(CA_KEY)).expect("of the new one");
        let mut board = BoardTls::open(&two).expect("it fits").expect("it has a key");
        board.found_anew().expect("room");
        let new = board.pin();
        assert!(new != of_old && after(&[]) == new, "what is there stays");
        // The steps of the way there.
        assert_eq!(after(&[MEMBER_CERTIFICATE]), new);
        assert_ne!(after(&[MEMBER_CERTIFICATE, CA_KEY]), new);
        fs::remove_dir_all(&two).expect("it is there");
        let mut blank = BoardTls::make(&two).expect("room");
        blank.found_anew().expect("room");
        assert!(blank.has_authority_key() && blank.has_certificate());
    }
}
