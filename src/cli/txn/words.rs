//! A line cut into words as etcdctl cuts it: `"double\n quoted"`, `'single quoted'`, or up to a blank.

use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

use crate::cli::go;

/// `None`: an escape that there is none of. A quote that never ends is passed over.
pub(in crate::cli) fn split(line: &[u8]) -> Option<Vec<OsString>> {
    let mut words = Vec::new();
    let mut rest = line;
    while let [first, after @ ..] = rest {
        rest = match first {
            b'"' => match double_quoted(rest) {
                Some((quoted, after)) => {
                    words.push(go::unquote(quoted)?.0);
                    after
                }
                None => after,
            },
            b'\'' => match after.iter().position(|byte| *byte == b'\'') {
                Some(end) => {
                    words.push(after[..end].to_vec());
                    &after[end + 1..]
                }
                None => after,
            },
            blank if is_blank(blank) => after,
            _ => {
                let end = rest.iter().position(is_blank).unwrap_or(rest.len());
                words.push(rest[..end].to_vec());
                &rest[end..]
            }
        };
    }
    Some(words.into_iter().map(OsString::from_vec).collect())
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c')
}

/// Up to the quote that ends it, with both quotes.
fn double_quoted(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut escaped = false;
    let end = line.iter().skip(1).position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })?;
    Some(line.split_at(end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let cases: [(&str, &[&str]); 8] = [
            ("get   a  ", &["get", "a"]),
            (r#"put 'a b' 'c"d' "e\" f\x41""#, &["put", "a b", "c\"d", "e\" fA"]),
            (r#"put a x"y"z q"#, &["put", "a", "x\"y\"z", "q"]),
            ("put a \"unterminated", &["put", "a", "unterminated"]),
            ("put a 'unterminated b", &["put", "a", "unterminated", "b"]),
            (r#"a"b" "c""d"'e'"#, &["a\"b\"", "c", "d", "e"]),
            ("put `a b` \"\"", &["put", "`a", "b`", ""]),
            ("", &[]),
        ];
        for (line, words) in cases {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            assert_eq!(split(line.as_bytes()), Some(words), "{line}");
        }
        assert_eq!(split(br#"put a "\q""#), None);
        assert_eq!(
            split(b"put a \xff"),
            Some(vec!["put".into(), "a".into(), OsString::from_vec(vec![0xff])])
        );
    }
}
