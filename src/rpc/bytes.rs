//! Bytes as base64.

use ::base64::{
    Engine,
    alphabet::{Alphabet, STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::scalar::{Scalar, scalar_value};
use crate::types::Bytes;

const fn engine(alphabet: &Alphabet, padding: DecodePaddingMode) -> GeneralPurpose {
    // Go's decoder does not look at the bits that no byte needs.
    let config = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(alphabet, config.with_decode_padding_mode(padding))
}

static PADDED: GeneralPurpose = engine(&STANDARD, DecodePaddingMode::RequireCanonical);
static BARE: GeneralPurpose = engine(&STANDARD, DecodePaddingMode::RequireNone);
static URL_PADDED: GeneralPurpose = engine(&URL_SAFE, DecodePaddingMode::RequireCanonical);
static URL_BARE: GeneralPurpose = engine(&URL_SAFE, DecodePaddingMode::RequireNone);

impl Scalar for Bytes {
    const KIND: &'static str = "bytes";

    /// As protobuf-go: url-safe if `-` or `_` occurs, without padding if the length is no multiple of four; Go's decoder
    /// skips ends of lines.
    fn from_text(text: &str) -> Option<Bytes> {
        let bytes = text.as_bytes();
        let url = bytes.iter().any(|byte| matches!(byte, b'-' | b'_'));
        let engine = match (url, bytes.len() % 4) {
            (false, 0) => &PADDED,
            (false, _) => &BARE,
            (true, 0) => &URL_PADDED,
            (true, _) => &URL_BARE,
        };
        if bytes.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            return decode(engine, text.replace(['\n', '\r'], "").as_bytes());
        }
        decode(engine, bytes)
    }
}

/// Short ones, which most are, without an allocation but the result's.
fn decode(engine: &GeneralPurpose, text: &[u8]) -> Option<Bytes> {
    let mut short = [0; 384];
    if text.len() <= 512 {
        let len = engine.decode_slice_unchecked(text, &mut short).ok()?;
        return Some(short[..len].into());
    }
    engine.decode(text).ok().map(Bytes::from)
}

scalar_value!(Bytes, |bytes| bytes.is_empty(), |bytes, out| base64(out, bytes));

/// As a string of base64, with its quotes.
pub fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = ::base64::encoded_len(bytes.len(), true).expect("what is in memory has a length in base64");
    out.push(b'"');
    let start = out.len();
    out.resize(start + len, 0);
    PADDED.encode_slice(bytes, &mut out[start..]).expect("room was made for it");
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read() {
        let good: [(&str, &[u8]); 12] = [
            ("", b""),
            ("YQ==", b"a"),
            ("YQ", b"a"),
            ("YR==", b"a"),
            ("+/8=", b"\xfb\xff"),
            ("+/8", b"\xfb\xff"),
            ("-_8=", b"\xfb\xff"),
            ("-_8", b"\xfb\xff"),
            ("YWJj", b"abc"),
            ("YWJj\n", b"abc"),
            ("YW\nJj", b"abc"),
            ("YW\r\nI", b"ab"),
        ];
        for (text, bytes) in good {
            assert_eq!(Bytes::from_text(text), Some(bytes.into()), "{text:?}");
        }
        let bad = ["+_8=", "+/8==", "+\n/8=", " +/8=", "+/8= ", "***", "A", "AB=C", "YQ=", "====", "é"];
        for text in bad {
            assert_eq!(Bytes::from_text(text), None, "{text:?}");
        }
    }

    #[test]
    fn every_length_comes_back() {
        for len in 0..1030 {
            let bytes: Vec<u8> = (0..len).map(|index| (index * 7) as u8).collect();
            let mut text = Vec::new();
            base64(&mut text, &bytes);
            let text = std::str::from_utf8(&text).unwrap();
            assert_eq!(Bytes::from_text(&text[1..text.len() - 1]), Some(bytes.into()), "{len}");
        }
    }
}
