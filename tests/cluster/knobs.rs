//! Settings that make a cluster meet what would else come rarely: flushes, full segments, pauses for want of room.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// Of all members of one cluster.
#[derive(Clone, Debug)]
pub(crate) struct Knobs {
    pub(crate) args: Vec<String>,
    /// Between members.
    pub(crate) tls: bool,
}

impl Knobs {
    pub(crate) fn plain(args: &[&str]) -> Knobs {
        Knobs { args: args.iter().map(|arg| (*arg).to_owned()).collect(), tls: false }
    }

    pub(crate) fn draw(args: &[&str], rng: &mut fastrand::Rng) -> Knobs {
        let mut knobs = Knobs { tls: rng.bool(), ..Knobs::plain(args) };
        let flags: [(&str, &[&str]); 4] = [
            ("flush-interval", &["50ms", "1s", "5m"]),
            ("flush-pages-max", &["64", "1024"]),
            ("pending-bytes-max", &["262144", "4194304"]),
            ("wal-segment-bytes", &["2097152", "4194304"]),
        ];
        for (flag, values) in flags {
            knobs.args.push(format!("--{flag}={}", values[rng.usize(..values.len())]));
        }
        knobs
    }
}

/// One certificate for hosts of these addresses, and the flags that name it. (Whose it is nobody asks: peers ask whether it is
/// good for the host that they dial, and signed by the authority that they know.)
pub(crate) fn certify(dir: &Path, hosts: Vec<String>) -> Vec<String> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let ca = authority.self_signed(&key).expect("a certificate").pem();
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate().expect("a key");
    let own = CertificateParams::new(hosts).expect("hosts").signed_by(&key, &issuer).expect("a certificate");
    let files = [("cert", own.pem()), ("key", key.serialize_pem()), ("trusted-ca", ca)];
    let write = |(what, text): (&str, String)| {
        let path = dir.join(format!("{what}.pem"));
        fs::write(&path, text).expect("room");
        format!("--peer-{what}-file={}", path.display())
    };
    files.into_iter().map(write).collect()
}
