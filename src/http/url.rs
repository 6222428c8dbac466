//! Paths and queries, decoded. Pure.

use std::fmt;

/// What is encoded is not well encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadEscape;

impl fmt::Display for BadEscape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a % is not followed by two hex digits, or the text is not UTF-8")
    }
}

/// Decodes `%41` and nothing else: a path has no other escapes, and is never cleaned.
pub fn decode_path(path: &str) -> Result<Vec<u8>, BadEscape> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let [high, low, after @ ..] = rest else { return Err(BadEscape) };
            decoded.push(hex(*high)? << 4 | hex(*low)?);
            rest = after;
        } else {
            decoded.push(byte);
        }
    }
    Ok(decoded)
}

/// `key[=value]` pairs, in order. As in forms, `+` is a space. A key without a value has an empty one.
pub fn decode_query(query: &str) -> Result<Vec<(String, String)>, BadEscape> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode_text(key)?, decode_text(value)?))
        })
        .collect()
}

fn decode_text(text: &str) -> Result<String, BadEscape> {
    String::from_utf8(decode_path(&text.replace('+', " "))?).map_err(|_| BadEscape)
}

fn hex(digit: u8) -> Result<u8, BadEscape> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(BadEscape),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_strictly() {
        let table: [(&str, Result<&[u8], BadEscape>); 12] = [
            ("", Ok(b"")),
            ("/kv//boards/a", Ok(b"/kv//boards/a")),
            ("%2fa%2F%00", Ok(b"/a/\0")),
            ("a+b", Ok(b"a+b")),
            ("%ff%FE", Ok(b"\xff\xfe")),
            ("%2541", Ok(b"%41")),
            ("\u{fc}", Ok("\u{fc}".as_bytes())),
            ("%", Err(BadEscape)),
            ("a%4", Err(BadEscape)),
            ("%zz", Err(BadEscape)),
            ("%+1", Err(BadEscape)),
            ("%4\u{fc}", Err(BadEscape)),
        ];
        for (path, expected) in table {
            assert_eq!(decode_path(path).as_deref(), expected.as_deref(), "{path}");
        }
    }

    #[test]
    fn queries_are_pairs() {
        let pairs = |query| {
            let text = |(key, value)| format!("{key}:{value}");
            decode_query(query).map(|pairs| pairs.into_iter().map(text).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(pairs("prefix").as_deref(), Ok("prefix:"));
        assert_eq!(pairs("ttl=10s&a=b%26c&a=2").as_deref(), Ok("ttl:10s a:b&c a:2"));
        assert_eq!(pairs("q=a+b%2B=").as_deref(), Ok("q:a b+="));
        assert_eq!(pairs("&&=x&").as_deref(), Ok(":x"));
        assert_eq!(pairs("a=%f"), Err(BadEscape));
        assert_eq!(pairs("a=%ff"), Err(BadEscape));
    }
}
