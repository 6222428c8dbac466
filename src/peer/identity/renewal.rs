//! A board's key is renewed on the disk. At each step, and after a power cut behind each, the folder has one key with a
//! certificate that fits.
//!
//! ```text
//!   next.key                        the new key                            left there, it is written over or removed
//!   next.crt                        its certificate, and the handovers     the same
//!   next.key  becomes  member.key   from here on the new key counts        the next start goes on (`settle`)
//!   next.crt  becomes  member.crt
//! ```

use std::path::Path;

use rcgen::KeyPair;
use rustls::pki_types::CertificateDer;

use crate::types::{Bytes, step};

use super::{
    BoardTls, MEMBER_CERTIFICATE, MEMBER_KEY, certificates,
    files::Folder,
    handover::{HANDOVERS_MAX, handover},
    key_hash,
};

const NEXT_KEY: &str = "next.key";
const NEXT_CERTIFICATE: &str = "next.crt";

/// A key that is not this board's yet.
pub struct NextKey(KeyPair);

impl NextKey {
    /// SubjectPublicKeyInfo, DER.
    pub fn public_key(&self) -> Bytes {
        certificates::public_key(&self.0).into()
    }
}

impl BoardTls {
    /// What is in `folder`, and a key made now that is to follow the one there.
    pub fn begin_renewal(folder: &Path) -> Result<(BoardTls, NextKey), String> {
        // What the disk did not take the last time may be waiting there.
        BoardTls::settle(folder)?;
        let board = BoardTls::open(folder)?.ok_or("this board has no key that another could follow")?;
        let key = certificates::new_key()?;
        board.folder.keep_key(NEXT_KEY, key.serialized_der())?;
        step("renewal: made");
        Ok((board, NextKey(key)))
    }

    /// From now on this board's key is `next`, of which `certificate` (DER) says that it is a member's. Errors: all is as it was;
    /// or, if the disk failed behind the middle, as the next start finds it.
    pub fn renew(&mut self, next: NextKey, certificate: &[u8]) -> Result<(), String> {
        let ca = self.ca.as_ref().ok_or("this board has no authority's certificate")?;
        let (certificate, public_key) = (CertificateDer::from(certificate.to_vec()), next.public_key());
        certificates::check(ca, &certificate, &public_key)
            .map_err(|wrong| format!("the certificate for this board's new key {wrong}"))?;
        let mut handovers = vec![handover(&self.key, &key_hash(&public_key))?];
        handovers.extend(self.handovers.iter().cloned());
        handovers.truncate(HANDOVERS_MAX);
        let chain: Vec<&[u8]> = std::iter::once(&certificate).chain(&handovers).map(|der| &**der).collect();
        self.folder.keep_certificates(NEXT_CERTIFICATE, &chain)?;
        step("renewal: certified");
        self.folder.rename(NEXT_KEY, MEMBER_KEY)?;
        step("renewal: half");
        self.folder.rename(NEXT_CERTIFICATE, MEMBER_CERTIFICATE)?;
        step("renewal: kept");
        (self.key, self.certificate, self.handovers) = (next.0, Some(certificate), handovers);
        Ok(())
    }

    /// Ends what a power cut has left of a renewal. For the one process that the folder belongs to, and no other thread of it.
    pub fn settle(folder: &Path) -> Result<(), String> {
        let folder = Folder::new(folder);
        if !folder.has(NEXT_KEY) && !folder.has(NEXT_CERTIFICATE) {
            return Ok(());
        }
        match of_key(&folder)? {
            Some(_) => folder.rename(NEXT_CERTIFICATE, MEMBER_CERTIFICATE)?,
            None => folder.remove(NEXT_CERTIFICATE)?,
        }
        folder.remove(NEXT_KEY)
    }
}

/// The certificates of the key that counts, where they do not have their name yet.
pub(super) fn of_key(folder: &Folder) -> Result<Option<Vec<CertificateDer<'static>>>, String> {
    let Some(key) = folder.key(MEMBER_KEY)? else { return Ok(None) };
    // What cannot be read was cut off before it counted.
    let Ok(Some(chain)) = folder.certificates(NEXT_CERTIFICATE) else { return Ok(None) };
    let shown = chain.first().map(certificates::shown_key);
    let is_of = matches!(shown, Some(Ok(shown)) if shown == key_hash(&certificates::public_key(&key)));
    Ok(is_of.then_some(chain))
}
