//! A key as one line of JSON, for people and shell scripts.
//!
//! ```text
//! {"key":"boards/a","value":"on","rev":7}
//! {"key_b64":"/wA=","value_b64":"AAE=","rev":8}          what is no text is base64
//! {"key":"boards/a","rev":9}                             a deletion, as a watch tells it
//! ```

use crate::{rpc, store::Record};

pub(super) fn write(record: &Record<'_>, out: &mut Vec<u8>) {
    out.push(b'{');
    write_bytes(out, record.key, "\"key\":", "\"key_b64\":");
    if !record.tombstone {
        write_bytes(out, record.value, "\"value\":", "\"value_b64\":");
    }
    rpc::key(out, "\"rev\":");
    rpc::integer(out, false, record.rev.main.0.unsigned_abs());
    out.push(b'}');
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8], as_text: &str, as_base64: &str) {
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            rpc::key(out, as_text);
            rpc::text(out, text);
        }
        Err(_) => {
            rpc::key(out, as_base64);
            rpc::base64(out, bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::RevRecord;
    use crate::types::{KeyRev, LeaseId, Revision};

    #[test]
    fn lines() {
        let line = |key: &[u8], value: &[u8], tombstone| {
            let record = RevRecord {
                rev: KeyRev::new(7, 0),
                key: key.into(),
                value: value.into(),
                create: Revision(7),
                version: 1,
                lease: LeaseId::NONE,
                tombstone,
            };
            let mut out = Vec::new();
            write(&record.as_record(), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(line(b"/a\n", b"", false), r#"{"key":"/a\n","value":"","rev":7}"#);
        assert_eq!(line(b"\xff\0", b"\0\x01\x80", false), r#"{"key_b64":"/wA=","value_b64":"AAGA","rev":7}"#);
        assert_eq!(line(b"a", b"", true), r#"{"key":"a","rev":7}"#);
    }
}
