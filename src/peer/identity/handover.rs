//! One key follows another: what a member that has renewed its key shows to those whose list has an older one.
//!
//! ```text
//!   member.crt   | the authority: key 3 is member 7's | key 2: after me comes 3 | key 1: after me comes 2 | ..
//! ```
//!
//! A handover is a certificate that the older key has signed for itself, whose only name is the hash of the newer one, in
//! hexadecimal: `<32 digits>.<32 digits>.next.solder.internal`. They travel behind the certificate, newest first, in each
//! handshake.
//!
//! - Who has an older key of a member in its list believes the newer one, until its list has the newer: from then on the
//!   older is nobody's. So a member that has renewed its key is let in everywhere, whoever has heard of it and whoever has not.
//! - It takes the older key itself. The authority's word would not do: those who had its key and were removed could be any
//!   member then. Who has stolen an older key can say what it likes to those who have not heard, as itself, and nothing to
//!   those who have.

use std::sync::Arc;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};

use crate::{peer::trust, types::hex};

use super::{
    KeyHash,
    certificates::{params, shown_key, text},
};

/// A member that was away for so many renewals of another's key cannot be sure of that one any more, and is not called by it
/// before it has heard of the newest from a third. Each takes about 400 bytes of a handshake.
pub(super) const HANDOVERS_MAX: usize = 16;

/// In a certificate's place for a name of whoever it is about.
const SUBJECT: &str = "solder handover";

/// The key that the other side of a connection has proven to hold; then those that it has followed, the newest first.
#[derive(Clone, Debug)]
pub(in crate::peer) struct Shown(Arc<[KeyHash]>);

impl Shown {
    /// By the chain of certificates as it came, of which the first is proven to be of the authority and the rest are not.
    pub(in crate::peer) fn of(chain: &[CertificateDer<'_>]) -> Result<Option<Shown>, rustls::Error> {
        let Some((first, rest)) = chain.split_first() else { return Ok(None) };
        let mut keys = vec![shown_key(first)?];
        // One more is the authority's own, or several where somebody has put files there.
        for certificate in rest.iter().take(HANDOVERS_MAX + 1) {
            keys.extend(older(certificate, &keys[keys.len() - 1]));
        }
        Ok(Some(Shown(keys.into())))
    }

    /// Does it pass for whoever is known by this key?
    pub(in crate::peer) fn is(&self, listed: &[u8]) -> bool {
        self.0.iter().any(|key| key[..] == *listed)
    }
}

/// `old` says that `next` follows it.
pub(super) fn handover(old: &KeyPair, next: &KeyHash) -> Result<CertificateDer<'static>, String> {
    let mut params = params(SUBJECT)?;
    params.subject_alt_names = CertificateParams::new(vec![name(next)]).map_err(text)?.subject_alt_names;
    params.is_ca = IsCa::ExplicitNoCa;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params.self_signed(old).map_err(text)?.into())
}

/// The key that has said that `next` follows it, if this is a handover to that.
fn older(certificate: &CertificateDer<'_>, next: &KeyHash) -> Option<KeyHash> {
    let name = ServerName::try_from(name(next)).expect("digits and dots are a name");
    trust::check_own(certificate, &name).ok()?;
    shown_key(certificate).ok()
}

fn name(next: &KeyHash) -> String {
    let digits = hex(next);
    let (first, second) = digits.split_at(digits.len() / 2);
    format!("{first}.{second}.next.solder.internal")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::identity::{certificates::public_key, key_hash};

    fn key() -> (KeyPair, KeyHash) {
        let key = crate::peer::identity::certificates::new_key().expect("chance");
        let hash = key_hash(&public_key(&key));
        (key, hash)
    }

    #[test]
    fn a_key_follows_another_only_by_the_word_of_that_one() {
        let [(one, first), (two, second), (_, third)] = [key(), key(), key()];
        let good = handover(&one, &second).expect("a certificate");
        assert_eq!(older(&good, &second), Some(first));
        assert_eq!(older(&good, &third), None, "it names another");
        assert_eq!(older(&good, &first), None);
        let next = handover(&two, &third).expect("a certificate");
        assert_eq!(older(&next, &third), Some(second));
        let mut forged = good.to_vec();
        for place in 0..forged.len() {
            forged[place] ^= 1;
            let found = older(&CertificateDer::from(forged.clone()), &second);
            assert!(found.is_none(), "byte {place} is another");
            forged[place] ^= 1;
        }
    }

    #[test]
    fn the_chain_goes_on_only_from_key_to_key() {
        let [(one, first), (two, second), (three, third), (four, fourth)] = [key(), key(), key(), key()];
        let leaf = handover(&four, &first).expect("any certificate");
        let word = |key: &KeyPair, next: &KeyHash| handover(key, next).expect("a certificate");
        let shown = |rest: &[CertificateDer<'static>]| {
            let chain = [std::slice::from_ref(&leaf), rest].concat();
            Shown::of(&chain).expect("it can be read").expect("not empty").0.to_vec()
        };
        let (to_four, to_three, to_two) = (word(&three, &fourth), word(&two, &third), word(&one, &second));
        assert_eq!(shown(&[]), [fourth]);
        let all = [to_four.clone(), to_three.clone(), to_two.clone()];
        assert_eq!(shown(&all), [fourth, third, second, first]);
        assert_eq!(shown(&[to_four.clone(), to_two.clone()]), [fourth, third], "a link is missing");
        assert_eq!(shown(&[to_three, to_four.clone()]), [fourth, third], "the order is another");
        let many: Vec<_> = std::iter::repeat_n(to_two, HANDOVERS_MAX).chain([to_four]).collect();
        assert_eq!(shown(&many), [fourth, third]);
        let more: Vec<_> = std::iter::once(many[0].clone()).chain(many).collect();
        assert_eq!(shown(&more), [fourth], "no more is looked at");
    }
}
