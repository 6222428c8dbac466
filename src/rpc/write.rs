//! Messages out: straight into a vector of bytes, without a string in between.

use super::Value;

/// A message as one compact line, without the line's end.
pub fn encode(message: &impl Value) -> Vec<u8> {
    let mut out = Vec::new();
    message.write(&mut out);
    out
}

/// `encode`, behind what is in `out`.
pub fn encode_into(message: &impl Value, out: &mut Vec<u8>) {
    message.write(out);
}

/// One field of an object that is being written, unless it is absent. `key` is the name with quotes and colon.
pub fn member(out: &mut Vec<u8>, key: &str, value: &impl Value) {
    if !value.is_absent() {
        self::key(out, key);
        value.write(out);
    }
}

/// The name of the next field, after a comma if it is not the object's first.
pub fn key(out: &mut Vec<u8>, key: &str) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    out.extend_from_slice(key.as_bytes());
}

/// A decimal number.
pub fn integer(out: &mut Vec<u8>, negative: bool, mut magnitude: u64) {
    const DIGITS_MAX: usize = 20;
    let mut digits = [0; DIGITS_MAX];
    let mut start = DIGITS_MAX;
    loop {
        start -= 1;
        digits[start] = b'0' + (magnitude % 10) as u8;
        magnitude /= 10;
        if magnitude == 0 {
            break;
        }
    }
    if negative {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[start..]);
}

/// A string with its quotes.
pub fn text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a vector takes what memory takes");
}
