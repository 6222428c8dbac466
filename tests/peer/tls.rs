//! Over TLS: who is trusted, when, and what happens when files and clocks change.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_io::Async;
use futures_lite::io::{AsyncReadExt, AsyncWriteExt};
use futures_rustls::TlsConnector;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use smol::LocalExecutor;
use solder::peer::{Options, Peers, Roster, Tls, TlsFiles};
use tempfile::TempDir;

use crate::{
    raw::{Raw, greeting},
    support::{Board, options, run, until},
};

const URL: &str = "https://127.0.0.1:0";

/// Signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// From when until when, in years.
type Years = (i32, i32);

const GOOD: Years = (2020, 2060);

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// Certificate and key, in PEM.
    fn sign(&self, host: &str, years: Years) -> [String; 2] {
        let mut params = CertificateParams::new([host.to_owned()]).expect("a host");
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        [cert.pem(), key.serialize_pem()]
    }

    /// Files for a board that trusts this authority, as options name them.
    fn issue(&self, dir: &Path, id: u64, years: Years) -> [PathBuf; 3] {
        self.issue_for(dir, id, "127.0.0.1", years)
    }

    fn issue_for(&self, dir: &Path, id: u64, host: &str, years: Years) -> [PathBuf; 3] {
        let paths = ["cert", "key", "ca"].map(|name| dir.join(format!("{id}.{name}.pem")));
        let [cert, key] = self.sign(host, years);
        for (path, text) in paths.iter().zip([&cert, &key, &self.pem]) {
            fs::write(path, text).expect("room");
        }
        paths
    }
}

fn with(id: u64, files: [PathBuf; 3]) -> Options {
    let [cert, key, trusted_ca] = files;
    Options { tls: Some(Tls::Files(TlsFiles { cert, key, trusted_ca })), ..options(id) }
}

/// One that is fit for the cluster of `authority`.
fn board(executor: &Rc<LocalExecutor<'static>>, id: u64, authority: &Authority, dir: &Path) -> Board {
    Board::start_at(executor, with(id, authority.issue(dir, id, GOOD)), URL)
}

async fn cannot_reach(one: &Board, two: &Board) {
    let (before, messages) = (one.figures(two.id.0).dials_failed, two.messages().len());
    until("its attempts fail", || {
        one.heartbeat(two.id.0, 1);
        one.figures(two.id.0).dials_failed >= before + 2
    })
    .await;
    assert!(!one.is_connected(two.id.0) && !two.is_connected(one.id.0));
    assert_eq!(two.messages().len(), messages);
}

#[test]
fn messages_go_both_ways() {
    run(|executor| async move {
        let (dir, authority) = (TempDir::new().expect("room"), Authority::new());
        let one = board(&executor, 1, &authority, dir.path());
        let two = board(&executor, 2, &authority, dir.path());
        one.keeps(&[&two]);
        two.knows(&[&one]);
        one.reaches(&two).await;
        two.reaches(&one).await;
        let large = crate::support::append(1, 2, 0, 1_400_000);
        one.peers.send(large);
        until("a large one comes whole", || two.messages().contains(&"append 0".to_owned())).await;
        let url = two.url.to_string();
        drop(two);
        until("its end is noticed as without TLS", || one.lost() == [2]).await;
        let files = authority.issue(dir.path(), 2, GOOD);
        let two = Board::start_at(&executor, with(2, files), &url);
        two.knows(&[&one]);
        one.reaches(&two).await;
    });
}

#[test]
fn another_authority_is_no_authority() {
    run(|executor| async move {
        let dir = TempDir::new().expect("room");
        let one = board(&executor, 1, &Authority::new(), dir.path());
        let two = board(&executor, 2, &Authority::new(), dir.path());
        one.knows(&[&two]);
        two.knows(&[&one]);
        cannot_reach(&one, &two).await;
        cannot_reach(&two, &one).await;
        assert!(two.peers.totals().strangers_failed > 0);
    });
}

#[test]
fn a_certificate_is_for_its_host() {
    run(|executor| async move {
        let (dir, authority) = (TempDir::new().expect("room"), Authority::new());
        let one = board(&executor, 1, &authority, dir.path());
        let files = authority.issue_for(dir.path(), 2, "elsewhere.example", GOOD);
        let two = Board::start_at(&executor, with(2, files), URL);
        one.knows(&[&two]);
        two.knows(&[&one]);
        cannot_reach(&one, &two).await;
        // Who dials shows whose it is; the host that it calls from is nobody's.
        two.reaches(&one).await;
        one.reaches(&two).await;
    });
}

/// A caller that trusts the authority and shows no certificate, or none at all.
#[test]
fn who_shows_nothing_stays_out() {
    run(|executor| async move {
        let (dir, authority) = (TempDir::new().expect("room"), Authority::new());
        let one = board(&executor, 1, &authority, dir.path());
        one.peers.set_members(Roster { takes_guests: true, ..Roster::default() });
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).expect("PEM"))
            .expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let socket = Async::<TcpStream>::connect(([127, 0, 0, 1], one.url.port)).await.expect("it listens");
        let name = ServerName::try_from("127.0.0.1").expect("an address");
        // In TLS 1.3 the caller has done its part before it is judged.
        let mut stream =
            TlsConnector::from(Arc::new(config)).connect(name, socket).await.expect("the board is trusted");
        let _ = stream.write_all(&greeting(2, 1).encode()).await;
        let mut answer = Vec::new();
        assert!(stream.read_to_end(&mut answer).await.is_err() && answer.is_empty());
        until("counted", || one.peers.totals().strangers_failed == 1).await;
        let mut plain = Raw::dial(&one.url).await;
        plain.write(&greeting(2, 1).encode()).await;
        let mut answer = Vec::new();
        let _ = plain.socket.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"SolderPe"), "not a word but TLS's");
        until("counted", || one.peers.totals().strangers_failed == 2).await;
        assert!(one.peers.figures().is_empty());
    });
}

#[test]
fn https_needs_its_files() {
    run(|executor| async move {
        let (dir, authority) = (TempDir::new().expect("room"), Authority::new());
        let refused = |options| {
            let url = solder::peer::PeerUrl::parse(URL).expect("a URL");
            let listener = solder::peer::PeerListener::bind(&url).expect("a free port");
            let rng = fastrand::Rng::with_seed(1);
            Peers::start(options, vec![listener], executor.clone(), rng).err().expect("it cannot work")
        };
        assert!(refused(options(1)).contains("--peer-cert-file"));
        let good = authority.issue(dir.path(), 1, GOOD);
        let other = authority.issue(dir.path(), 2, GOOD);
        let [cert, key, ca] = good.clone();
        let missing = dir.path().join("missing.pem");
        let empty = dir.path().join("empty.pem");
        fs::write(&empty, "").expect("room");
        for (files, named) in [
            ([missing.clone(), key.clone(), ca.clone()], "missing.pem cannot be read"),
            ([empty.clone(), key.clone(), ca.clone()], "no certificate in"),
            ([cert.clone(), empty.clone(), ca.clone()], "no private key can be read from"),
            ([cert.clone(), key.clone(), empty], "no certificate in"),
            ([cert.clone(), key.clone(), key.clone()], "no certificate in"),
            ([cert, other[1].clone(), ca], "cannot be used together"),
        ] {
            let told = refused(with(1, files));
            assert!(told.contains(named), "{told}");
        }
        // A peer with TLS, of a board without.
        let (one, two) = (Board::start(&executor, 1), board(&executor, 2, &authority, dir.path()));
        one.knows(&[&two]);
        cannot_reach(&one, &two).await;
    });
}

/// Files are replaced while the boards run: the trust of the old authority goes over to the new one.
#[test]
fn files_are_read_again_when_they_change() {
    run(|executor| async move {
        let (dir, old, new) = (TempDir::new().expect("room"), Authority::new(), Authority::new());
        let files = old.issue(dir.path(), 1, GOOD);
        let one = Board::start_at(&executor, with(1, files.clone()), URL);
        let two = board(&executor, 2, &new, dir.path());
        let three = board(&executor, 3, &old, dir.path());
        one.knows(&[&two, &three]);
        one.reaches(&three).await;
        cannot_reach(&one, &two).await;
        // Half written: the old ones stay in use.
        let connections = one.figures(3).connections;
        fs::write(&files[0], "-----BEGIN CERTIFICATE-----\nMIIB").expect("room");
        let url = three.url.to_string();
        drop(three);
        until("it went", || one.lost() == [3]).await;
        let three = Board::start_at(&executor, with(3, old.issue(dir.path(), 3, GOOD)), &url);
        one.reaches(&three).await;
        assert_ne!(one.figures(3).connections, connections);
        new.issue(dir.path(), 1, GOOD);
        one.reaches(&two).await;
        one.reaches(&three).await;
        assert_eq!(one.figures(3).connections[0], connections[0] + 1, "what stands is not cut");
    });
}

/// Later than the clock of whoever runs the tests, and far later than 1970.
const FUTURE: Years = (2080, 2090);

fn in_1970() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(5)
}

#[test]
fn boards_whose_clocks_say_1970() {
    run(|executor| async move {
        let (dir, authority) = (TempDir::new().expect("room"), Authority::new());
        let start = |id, years| {
            let options = with(id, authority.issue(dir.path(), id, years));
            Board::start_at(&executor, Options { wall_clock: in_1970, ..options }, URL)
        };
        let (one, two, three) = (start(1, GOOD), start(2, FUTURE), start(3, (2010, 2020)));
        one.knows(&[&two, &three]);
        two.knows(&[&one, &three]);
        three.knows(&[&one]);
        one.reaches(&two).await;
        two.reaches(&one).await;
        // It had run out before this was built: whatever the clock says, that time has passed.
        cannot_reach(&one, &three).await;
        cannot_reach(&three, &one).await;
        // Nor does a clock of 1970 let anybody else in.
        let stranger = board(&executor, 4, &Authority::new(), dir.path());
        stranger.knows(&[&one]);
        cannot_reach(&stranger, &one).await;
    });
}

/// The clock of one board, which the test below sets.
static CLOCK_S: AtomicU64 = AtomicU64::new(0);

fn set_by_test() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(CLOCK_S.load(Ordering::Relaxed))
}

#[test]
fn a_clock_that_jumps() {
    const YEAR_S: u64 = 365 * 86_400;
    run(|executor| async move {
        let (dir, authority) = (TempDir::new().expect("room"), Authority::new());
        CLOCK_S.store(57 * YEAR_S, Ordering::Relaxed);
        let options = with(1, authority.issue(dir.path(), 1, GOOD));
        let one = Board::start_at(&executor, Options { wall_clock: set_by_test, ..options }, URL);
        let two = board(&executor, 2, &authority, dir.path());
        let three = board(&executor, 3, &authority, dir.path());
        one.knows(&[&two, &three]);
        one.reaches(&two).await;
        CLOCK_S.store(107 * YEAR_S, Ordering::Relaxed);
        cannot_reach(&one, &three).await;
        one.reaches(&two).await;
        assert_eq!(one.figures(2).connections, [1, 0], "what stands goes on");
        CLOCK_S.store(0, Ordering::Relaxed);
        one.reaches(&three).await;
        one.reaches(&two).await;
    });
}

/// Handshakes that are begun and not gone on with.
#[test]
fn a_flood_of_half_handshakes() {
    run(|executor| async move {
        let (dir, authority) = (TempDir::new().expect("room"), Authority::new());
        let one = board(&executor, 1, &authority, dir.path());
        let two = board(&executor, 2, &authority, dir.path());
        one.knows(&[&two]);
        two.knows(&[&one]);
        let mut flood = Vec::new();
        for number in 0..200 {
            let mut raw = Raw::dial(&one.url).await;
            // The head of a record that promises 16 KB, and some of them.
            let hello = [&[0x16, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc][..], &vec![3; number * 20]].concat();
            let _ = raw.socket.write_all(&hello).await;
            flood.push(raw);
        }
        two.reaches(&one).await;
        one.reaches(&two).await;
        until("all were taken", || one.peers.totals().accepted >= 200).await;
        assert!(one.peers.totals().strangers_pushed_out > 100);
        drop(flood);
    });
}
