//! The id under which a board registers with a discovery service: only who knows the secret of the URL can make one. Whoever has
//! seen the token can register, too; but not as one of those whose turn counts.
//!
//! ```text
//!   id  = key mac, in hexadecimal       24 bytes
//!   key = the first 8 bytes of the hash of the board's key: the same at each attempt
//!   mac = the first 16 bytes of HMAC-SHA256(secret, "solder register" token key)
//! ```

use ring::hmac;

use super::url::SECRET_BYTES;
use crate::types::{from_hex, hex};

const KEY_BYTES: usize = 8;
const MAC_BYTES: usize = 16;

/// Of the board with this hash of its key.
///
/// # Panics
///
/// If that is no hash.
pub fn id_of(secret: &[u8; SECRET_BYTES], token: &str, key_hash: &[u8]) -> String {
    let key = key_hash.first_chunk::<KEY_BYTES>().expect("a hash is longer");
    let mac = mac(secret, token, key);
    hex(key) + &hex(mac)
}

/// Was it made by who knows the secret?
pub(super) fn is_of_secret(secret: &[u8; SECRET_BYTES], token: &str, id: &str) -> bool {
    let Some(bytes) = from_hex::<{ KEY_BYTES + MAC_BYTES }>(id) else { return false };
    let (key, told) = bytes.split_first_chunk::<KEY_BYTES>().expect("it is longer");
    // Letters of another size would make two ids of one.
    mac(secret, token, key) == *told && !id.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn mac(secret: &[u8; SECRET_BYTES], token: &str, key: &[u8; KEY_BYTES]) -> [u8; MAC_BYTES] {
    let said = [b"solder register", token.as_bytes(), key].concat();
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), &said);
    *mac.as_ref().first_chunk().expect("it has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8; 16] = b"0123456789abcdef";
    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn an_id_is_of_one_secret_one_token_and_one_key() {
        let id = id_of(SECRET, TOKEN, &[7; 32]);
        assert_eq!((id.len(), &id[..16]), (48, "0707070707070707"));
        let other = id_of(SECRET, TOKEN, &[8; 32]);
        let mixed = format!("{}{}", &other[..16], &id[16..]);
        for (secret, token, id, is_good) in [
            (SECRET, TOKEN, &*id, true),
            (SECRET, TOKEN, &other, true),
            (SECRET, TOKEN, &mixed, false),
            (SECRET, TOKEN, &id.to_uppercase(), id == id.to_uppercase()),
            (b"0123456789abcdeg", TOKEN, &id, false),
            (SECRET, "fedcba9876543210fedcba9876543210", &id, false),
            (SECRET, TOKEN, &id[..47], false),
            (SECRET, TOKEN, "8e9e05c52164694d", false),
            (SECRET, TOKEN, "", false),
        ] {
            assert_eq!(is_of_secret(secret, token, id), is_good, "{id}");
        }
    }
}
