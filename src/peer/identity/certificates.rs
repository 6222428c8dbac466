//! What the certificates of boards are like: one name for all, one with the member's id, no end.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData, SerialNumber,
    SignatureAlgorithm, date_time_ymd,
};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::{
    client::verify_server_name,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName},
    server::ParsedCertificate,
};

use crate::{peer::trust, types::NodeId};

use super::{KeyHash, key_hash};

/// Whom every certificate is for: which of them it is says its key.
pub(crate) const NAME: &str = "member.solder.internal";

const AUTHORITY: &str = "solder cluster authority";

/// A P-256 key (RFC 5480): before the 65 bytes of the point.
const P256: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";

/// An Ed25519 key (RFC 8410): before its 32 bytes.
const ED25519: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

/// A public key that may be certified.
struct PublicKey<'a> {
    bytes: &'a [u8],
    algorithm: &'static SignatureAlgorithm,
}

impl<'a> PublicKey<'a> {
    /// Of a SubjectPublicKeyInfo, which has one form for each kind of key.
    fn parse(der: &'a [u8]) -> Option<PublicKey<'a>> {
        let p256 = || der.strip_prefix(P256).filter(|bytes| bytes.len() == 65 && bytes[0] == 4);
        let ed25519 = || der.strip_prefix(ED25519).filter(|bytes| bytes.len() == 32);
        match (p256(), ed25519()) {
            (Some(bytes), _) => Some(PublicKey { bytes, algorithm: &PKCS_ECDSA_P256_SHA256 }),
            (_, Some(bytes)) => Some(PublicKey { bytes, algorithm: &PKCS_ED25519 }),
            _ => None,
        }
    }
}

impl PublicKeyData for PublicKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.bytes
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

pub(super) struct Authority<'a> {
    pub(super) ca: &'a CertificateDer<'static>,
    pub(super) key: &'a KeyPair,
}

impl Authority<'_> {
    /// A certificate for this public key, checked as others will.
    pub(super) fn sign(&self, public_key: &[u8], member: Option<NodeId>) -> Result<Vec<u8>, String> {
        let key = PublicKey::parse(public_key)
            .ok_or("a certificate was asked for a key that is neither P-256 nor Ed25519")?;
        let mut params = params(NAME)?;
        // Who has the authority's key when it has no id yet could sign for any.
        let id = member.map_or_else(|| format!("*.{NAME}"), name_of);
        let names = vec![NAME.to_owned(), id];
        params.subject_alt_names = CertificateParams::new(names).map_err(text)?.subject_alt_names;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let authority = authority()?;
        let certificate = params.signed_by(&key, &Issuer::from_params(&authority, self.key)).map_err(text)?;
        check(self.ca, certificate.der(), public_key)
            .map_err(|wrong| format!("a certificate that was just made {wrong}"))?;
        Ok(certificate.der().to_vec())
    }
}

pub(super) fn of_authority(key: &KeyPair) -> Result<CertificateDer<'static>, String> {
    Ok(authority()?.self_signed(key).map_err(text)?.into())
}

fn authority() -> Result<CertificateParams, String> {
    let mut params = params(AUTHORITY)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

pub(super) fn params(name: &str) -> Result<CertificateParams, String> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(1970, 1, 1);
    // RFC 5280, 4.1.2.5: 99991231235959Z says that there is no end.
    params.not_after = date_time_ymd(9999, 12, 31) + std::time::Duration::from_secs(86_399);
    let mut serial = [0; 16];
    SystemRandom::new().fill(&mut serial).map_err(|_| "the system gives no random numbers")?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

/// Says what is wrong, as the end of a sentence about the certificate.
pub(super) fn check(
    ca: &CertificateDer<'static>,
    certificate: &CertificateDer<'_>,
    public_key: &[u8],
) -> Result<(), String> {
    let key = shown_key(certificate).map_err(|error| format!("cannot be read: {error}"))?;
    if key != key_hash(public_key) {
        return Err("is for another key".into());
    }
    trust::check_member(ca, certificate).map_err(|error| format!("is not of the authority: {error}"))
}

/// The hash of the key that a certificate is for.
pub(in crate::peer) fn shown_key(certificate: &CertificateDer<'_>) -> Result<KeyHash, rustls::Error> {
    Ok(key_hash(&ParsedCertificate::try_from(certificate)?.subject_public_key_info()))
}

fn name_of(member: NodeId) -> String {
    format!("{member}.{NAME}")
}

/// Was its holder let in as this member?
pub(in crate::peer) fn is_of(certificate: &CertificateDer<'_>, member: NodeId) -> bool {
    let (Ok(parsed), Ok(name)) =
        (ParsedCertificate::try_from(certificate), ServerName::try_from(name_of(member)))
    else {
        return false;
    };
    verify_server_name(&parsed, &name).is_ok()
}

pub(super) fn new_key() -> Result<KeyPair, String> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| format!("no key could be made: {error}"))
}

/// PKCS #8, DER.
pub(super) fn read_key(der: &[u8]) -> Result<KeyPair, String> {
    let key = PrivatePkcs8KeyDer::from(der);
    KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256).map_err(text)
}

pub(super) fn public_key(key: &KeyPair) -> Vec<u8> {
    key.subject_public_key_info()
}

pub(super) fn text(error: rcgen::Error) -> String {
    error.to_string()
}
