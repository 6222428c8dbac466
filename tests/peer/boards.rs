//! Boards that have keys of their own, and what a test plays against them.

use std::{
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_io::Async;
use futures_lite::io::{AsyncReadExt, AsyncWriteExt};
use futures_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    sign::{CertifiedKey, SingleCertAndKey},
};
use smol::LocalExecutor;
use solder::peer::{
    BoardTls, Frame, GREETING_BYTES, Greeting, JoinFrame, MemberAddress, Options, PeerUrl, Purpose, Tls,
};
use solder::types::{Bytes, ClusterId, NodeId};
use tempfile::TempDir;

use crate::{
    raw::{FRAME_BYTES_MAX, bytes_of, greeting},
    support::{Board, options},
};

pub(crate) const URL: &str = "https://127.0.0.1:0";

/// The folders of some boards of one cluster. The first founded it.
pub(crate) struct Homes {
    dir: TempDir,
    founder: BoardTls,
}

impl Homes {
    pub(crate) fn new() -> Homes {
        let dir = TempDir::new().expect("room");
        let mut founder = BoardTls::make(&dir.path().join("1")).expect("room");
        founder.found().expect("room");
        Homes { dir, founder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// That of the founder, which has the authority's key.
    pub(crate) fn founder(&self) -> &BoardTls {
        &self.founder
    }

    pub(crate) fn pin(&self) -> Bytes {
        self.founder.pin().expect("it has founded")
    }

    /// Another member's, made as a newcomer makes it.
    pub(crate) fn member(&self, name: &str) -> BoardTls {
        let mut board = BoardTls::make(&self.path(name)).expect("room");
        if !board.has_certificate() {
            let certificate = self.founder.certify(&board.public_key(), id_of(name)).expect("it has the key");
            board.keep(&self.founder.ca().expect("it has founded"), &certificate).expect("it is good");
        }
        board
    }

    /// As options want it.
    pub(crate) fn options(&self, id: u64) -> Options {
        let name = id.to_string();
        self.member(&name);
        Options { tls: Some(Tls::Board(self.path(&name))), ..options(id) }
    }

    pub(crate) fn start(&self, executor: &Rc<LocalExecutor<'static>>, id: u64) -> Board {
        Board::start_at(executor, self.options(id), URL)
    }

    /// As the list of members has it once it is in.
    pub(crate) fn address(&self, board: &Board, is_kept: bool) -> MemberAddress {
        let key = self.member(&board.id.0.to_string()).key_hash();
        MemberAddress { key, votes: true, ..board.address(is_kept) }
    }
}

/// "2b" is another home of member 2.
fn id_of(name: &str) -> NodeId {
    NodeId(name.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().expect("a number"))
}

pub(crate) fn in_1970() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(5)
}

pub(crate) fn in_2090() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(120 * 365 * 86_400)
}

/// Takes any certificate.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// What a folder of a board's has: its chain, and its key.
fn shown(folder: &Path) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = ["member.crt", "ca.crt"].into_iter().flat_map(|name| {
        let all = CertificateDer::pem_file_iter(folder.join(name)).expect("a file");
        all.map(|certificate| certificate.expect("a certificate"))
    });
    (chain.collect(), PrivateKeyDer::from_pem_file(folder.join("member.key")).expect("a key"))
}

/// One end of a TLS connection that is played by the test.
pub(crate) struct RawTls {
    pub(crate) stream: TlsStream<Async<TcpStream>>,
    input: Vec<u8>,
}

impl RawTls {
    /// Shows what is in `folder`, or nothing.
    pub(crate) async fn dial(url: &PeerUrl, folder: Option<&Path>) -> RawTls {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody));
        let config = match folder.map(shown) {
            Some((chain, key)) => config.with_client_auth_cert(chain, key).expect("they fit"),
            None => config.with_no_client_auth(),
        };
        let socket = Async::<TcpStream>::connect(([127, 0, 0, 1], url.port)).await.expect("it listens");
        let name = ServerName::try_from("anybody").expect("a name");
        let stream =
            TlsConnector::from(Arc::new(config)).connect(name, socket).await.expect("anybody is good");
        RawTls { stream: TlsStream::Client(stream), input: Vec::new() }
    }

    pub(crate) fn exporter(&self) -> [u8; 32] {
        let label = b"EXPORTER-solder-join";
        let exported = match &self.stream {
            TlsStream::Client(stream) => stream.get_ref().1.export_keying_material([0; 32], label, None),
            TlsStream::Server(stream) => stream.get_ref().1.export_keying_material([0; 32], label, None),
        };
        exported.expect("the handshake is done")
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("it reads");
        self.stream.flush().await.expect("it reads");
    }

    /// `None`: the other side has closed the connection, in whatever way.
    pub(crate) async fn read_greeting(&mut self) -> Option<Greeting> {
        let mut bytes = [0; GREETING_BYTES];
        self.stream.read_exact(&mut bytes).await.ok()?;
        Some(Greeting::decode(&bytes).expect("a good greeting"))
    }

    pub(crate) async fn greet(&mut self, greeting: Greeting) -> Option<Greeting> {
        self.write(&greeting.encode()).await;
        self.read_greeting().await
    }

    pub(crate) async fn send(&mut self, frame: JoinFrame) {
        self.write(&bytes_of(&Frame::Join(Box::new(frame)))).await;
    }

    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, length)) = Frame::decode(&self.input, FRAME_BYTES_MAX).expect("good frames") {
                self.input.drain(..length);
                return Some(frame);
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.input.extend_from_slice(&bytes[..count]),
            }
        }
    }

    pub(crate) async fn next_of_joining(&mut self) -> Option<JoinFrame> {
        match self.next().await? {
            Frame::Join(frame) => Some(*frame),
            other => panic!("not about joining: {other:?}"),
        }
    }
}

/// Is dialled, and shows what is in a folder.
pub(crate) struct RawTlsListener {
    socket: Async<TcpListener>,
    config: Arc<ServerConfig>,
}

impl RawTlsListener {
    pub(crate) fn bind(folder: &Path) -> RawTlsListener {
        RawTlsListener::bind_with(folder, folder)
    }

    /// The certificates of one, and the key of another.
    pub(crate) fn bind_with(certificates: &Path, key: &Path) -> RawTlsListener {
        let ((chain, _), (_, key)) = (shown(certificates), shown(key));
        let provider = ring::default_provider();
        let key = provider.key_provider.load_private_key(key).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .expect("TLS 1.3")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key))));
        let socket = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).expect("a free port");
        RawTlsListener { socket, config: Arc::new(config) }
    }

    pub(crate) fn url(&self) -> PeerUrl {
        let port = self.socket.get_ref().local_addr().expect("bound").port();
        PeerUrl::parse(&format!("https://127.0.0.1:{port}")).expect("a URL")
    }

    /// `None`: who dialled did not believe it.
    pub(crate) async fn accept(&self) -> Option<RawTls> {
        let (socket, _) = self.socket.accept().await.expect("a connection");
        let stream = TlsAcceptor::from(self.config.clone()).accept(socket).await.ok()?;
        Some(RawTls { stream: TlsStream::Server(stream), input: Vec::new() })
    }
}

/// Of who is nobody.
pub(crate) fn nobodys(purpose: Purpose) -> Greeting {
    let nobody = NodeId(0);
    Greeting { purpose, cluster: ClusterId(0), from: nobody, to: nobody, incarnation: 0, ..greeting(0, 0) }
}
