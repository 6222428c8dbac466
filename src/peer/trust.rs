//! Whom TLS lets in: whoever shows a certificate of the cluster's own authority, and holds its key. No other root counts,
//! not the system's either.
//!
//! webpki checks the chain, the name and the use; what is decided here is only the time that it is checked at (`clock`).
//! Who dials also checks that the certificate is for the host of the URL; who is dialled cannot know which host that
//! would be, and leaves it to the greeting and the list of members to say whom it talks to.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    server::{
        NoServerSessionStorage, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    version::TLS13,
};

use super::{clock::Clock, validity::Validity};

/// What a board shows, and whom it trusts.
pub(super) struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) authorities: RootCertStore,
}

/// For both ways. Sessions are not resumed: that would let in whoever was let in once, whatever the files say by now.
pub(super) fn configs(identity: Identity, clock: Clock) -> Result<(ServerConfig, ClientConfig), String> {
    let provider = Arc::new(ring::default_provider());
    let roots = Arc::new(identity.authorities);
    let server = server(&provider, &roots, identity.chain.clone(), identity.key.clone_key(), clock)
        .map_err(|error| error.to_string())?;
    let client =
        client(&provider, &roots, identity.chain, identity.key, clock).map_err(|error| error.to_string())?;
    Ok((server, client))
}

fn server(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    clock: Clock,
) -> Result<ServerConfig, Error> {
    let inner = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    let mut config = ServerConfig::builder_with_details(provider.clone(), Arc::new(clock))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(Callers(inner)))
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
    let inner = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone())
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    let mut config = ClientConfig::builder_with_details(provider.clone(), Arc::new(clock))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Called(inner)))
        .with_client_auth_cert(chain, key)?;
    config.resumption = Resumption::disabled();
    Ok(config)
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
