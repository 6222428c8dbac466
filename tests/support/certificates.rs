//! Certificates for boards.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// One certificate for hosts of these addresses, and the flags that name it. (Whose it is nobody asks: peers ask whether it is
/// good for the host that they dial, and signed by the authority that they know.)
pub fn certify(dir: &Path, hosts: Vec<String>) -> Vec<String> {
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
