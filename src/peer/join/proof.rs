//! The proof that one knows a secret, to one listener on one connection.
//!
//! ```text
//! mac = HMAC-SHA256(secret, "solder join: " role NUL token exporter)        role: newcomer, or member
//! exporter = 32 bytes of TLS's keying material for the label EXPORTER-solder-join (RFC 8446, 7.5)
//! ```
//!
//! The exporter is another on each connection, and the same at both its ends only if nobody stands between them. The role
//! keeps a proof from being sent back to who made it. Secrets have 128 bits, so hearing a proof does not help to guess one.

use ring::hmac;

use crate::types::Bytes;

pub(super) const EXPORTER_LABEL: &[u8] = b"EXPORTER-solder-join";

pub(super) type Exporter = [u8; 32];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Newcomer,
    Member,
}

fn said(role: Role, token: &str, exporter: &Exporter) -> Vec<u8> {
    let role = match role {
        Role::Newcomer => "newcomer",
        Role::Member => "member",
    };
    [b"solder join: ", role.as_bytes(), b"\0", token.as_bytes(), exporter].concat()
}

pub(super) fn prove(secret: &[u8; 16], role: Role, token: &str, exporter: &Exporter) -> Bytes {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    Bytes::from(hmac::sign(&key, &said(role, token, exporter)).as_ref())
}

/// Takes as long whatever is wrong.
pub(super) fn is_proven(secret: &[u8; 16], role: Role, token: &str, exporter: &Exporter, mac: &[u8]) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hmac::verify(&key, &said(role, token, exporter), mac).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8; 16] = b"0123456789abcdef";
    const EXPORTER: Exporter = [7; 32];

    #[test]
    fn a_proof_is_of_one_secret_one_role_one_token_and_one_connection() {
        let mac = prove(SECRET, Role::Newcomer, "t", &EXPORTER);
        let holds = |secret, role, token, exporter, mac: &[u8]| is_proven(secret, role, token, exporter, mac);
        assert!(holds(SECRET, Role::Newcomer, "t", &EXPORTER, &mac));
        assert!(!holds(b"0123456789abcdeg", Role::Newcomer, "t", &EXPORTER, &mac));
        assert!(!holds(SECRET, Role::Member, "t", &EXPORTER, &mac));
        assert!(!holds(SECRET, Role::Newcomer, "u", &EXPORTER, &mac));
        assert!(!holds(SECRET, Role::Newcomer, "t", &[8; 32], &mac));
        assert!(!holds(SECRET, Role::Newcomer, "t", &EXPORTER, &mac[..31]));
        assert!(!holds(SECRET, Role::Newcomer, "t", &EXPORTER, &[]));
        assert_eq!(mac[..4], [0xb4, 0x99, 0x71, 0x81], "as another build makes it");
    }
}
