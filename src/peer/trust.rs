//! Whom TLS lets in: whoever shows a certificate of the cluster's own authority, and holds its key. No other root counts,
//! not the system's either.
//!
//! webpki checks the chain, the name and the use; what is decided here is only the time that it is checked at (`clock`).
//! Who dials also checks that the certificate is for the host of the URL; who is dialled cannot know which host that
//! would be, and leaves it to the greeting and the list of members to say whom it talks to.
//!
//! Boards without files (`identity`) have certificates without end for one name: the same checks, and no clock asked. There
//! the list of members has the hash of each one's key; who is dialled takes callers without a certificate too, for they may
//! want to join, and `judge` sees to it that they do nothing else.

use std::{io, sync::Arc, time::SystemTime};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    ServerConfig, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    server::{
        NoServerSessionStorage, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    version::TLS13,
};

use crate::types::Bytes;

use super::{
    clock::Clock,
    identity::{self, NAME},
    validity::Validity,
};

/// What a board shows, and whom it trusts.
pub(super) struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) authorities: RootCertStore,
}

/// For both ways. Sessions are not resumed: that would let in whoever was let in once, whatever the files say by now.
pub(super) fn configs(identity: Identity, clock: Clock) -> Result<(ServerConfig, ClientConfig), String> {
    both(identity, clock, false)
}

/// What never ends asks for no time: any will do.
const NO_CLOCK: Clock = Clock(|| SystemTime::UNIX_EPOCH);

/// For boards that go by their keys.
pub(super) fn of_board(identity: Identity) -> Result<(ServerConfig, ClientConfig), String> {
    both(identity, NO_CLOCK, true)
}

fn both(
    identity: Identity,
    clock: Clock,
    takes_nobody: bool,
) -> Result<(ServerConfig, ClientConfig), String> {
    let provider = Arc::new(ring::default_provider());
    let roots = Arc::new(identity.authorities);
    let callers = callers(&provider, &roots, takes_nobody).map_err(|error| error.to_string())?;
    let server = server(&provider, callers, identity.chain.clone(), identity.key.clone_key(), clock)
        .map_err(|error| error.to_string())?;
    let client =
        client(&provider, &roots, identity.chain, identity.key, clock).map_err(|error| error.to_string())?;
    Ok((server, client))
}

/// `takes_nobody`: those, too, who show nothing.
fn callers(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    takes_nobody: bool,
) -> Result<Callers, Error> {
    let builder = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
    let builder = if takes_nobody { builder.allow_unauthenticated() } else { builder };
    Ok(Callers(builder.build().map_err(|error| Error::General(error.to_string()))?))
}

fn server(
    provider: &Arc<CryptoProvider>,
    callers: Callers,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    clock: Clock,
) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_details(provider.clone(), Arc::new(clock))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(callers))
        .with_single_cert(chain, key)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    clock: Clock,
) -> Result<ClientConfig, Error> {
    let called = called(provider, roots.clone())?;
    let mut config = ClientConfig::builder_with_details(provider.clone(), Arc::new(clock))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(called))
        .with_client_auth_cert(chain, key)?;
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn called(provider: &Arc<CryptoProvider>, roots: Arc<RootCertStore>) -> Result<Called, Error> {
    WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
        .build()
        .map(Called)
        .map_err(|error| Error::General(error.to_string()))
}

/// Is this a certificate of a member, as all who go by `ca` will see it?
pub(super) fn check_member(
    ca: &CertificateDer<'static>,
    certificate: &CertificateDer<'_>,
) -> Result<(), Error> {
    let provider = Arc::new(ring::default_provider());
    let roots = only(ca.clone())?;
    let name = ServerName::try_from(NAME).expect("it is a name");
    called(&provider, roots.clone())?.verify_server_cert(certificate, &[], &name, &[], NO_CLOCK.now())?;
    callers(&provider, &roots, false)?.verify_client_cert(certificate, &[], NO_CLOCK.now())?;
    Ok(())
}

/// Is this certificate signed with its own key, and for this name?
pub(super) fn check_own(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), Error> {
    let provider = Arc::new(ring::default_provider());
    let roots = only(certificate.clone().into_owned())?;
    called(&provider, roots)?.verify_server_cert(certificate, &[], name, &[], NO_CLOCK.now())?;
    Ok(())
}

fn only(ca: CertificateDer<'static>) -> Result<Arc<RootCertStore>, Error> {
    let mut roots = RootCertStore::empty();
    roots.add(ca)?;
    Ok(Arc::new(roots))
}

/// For who is nobody yet, and shows nothing. Whom it has reached is proven by `join`.
pub(super) fn of_newcomer(pin: Option<Bytes>) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let members = Members { provider: provider.clone(), pin };
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(NO_CLOCK))
        .with_protocol_versions(&[&TLS13])
        .expect("ring has what TLS 1.3 needs")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(members))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config
}

/// Was it for a certificate that the handshake failed?
pub(super) fn is_distrust(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref());
    matches!(error, Some(Error::InvalidCertificate(_) | Error::NoCertificatesPresented))
}

/// Checks whom a newcomer has reached: a member of the authority that it has the pin of, or, without one, anybody.
#[derive(Debug)]
struct Members {
    provider: Arc<CryptoProvider>,
    pin: Option<Bytes>,
}

impl ServerCertVerifier for Members {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(pin) = &self.pin {
            let pinned = others.iter().find(|other| identity::key_hash(other) == **pin);
            let ca = pinned.ok_or(CertificateError::UnknownIssuer)?;
            check_member(&ca.clone().into_owned(), end)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// No earlier than any of these certificates begins. See `clock`.
fn at_least(now: UnixTime, end: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> UnixTime {
    let begins = |der: &CertificateDer<'_>| Validity::of(der).map_or(0, |validity| validity.not_before_s);
    let latest = others.iter().map(begins).chain([begins(end)]).max().unwrap_or_default();
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(latest.max(now.as_secs())))
}

/// Checks who is dialled.
#[derive(Debug)]
struct Called(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Called {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.0.verify_server_cert(end, others, name, ocsp, at_least(now, end, others))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Checks who dials.
#[derive(Debug)]
struct Callers(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Callers {
    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.0.verify_client_cert(end, others, at_least(now, end, others))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
