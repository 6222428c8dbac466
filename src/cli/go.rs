//! Go's ways of writing and reading, which etcdctl's users know: quoted text, durations, sizes, numbers.

use std::{fmt::Write as _, time::Duration};

/// `%q`: text in double quotes, what cannot be printed escaped.
pub(super) fn quote(bytes: &[u8]) -> String {
    let mut out = String::from('"');
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|char| quote_char(&mut out, char));
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

fn quote_char(out: &mut String, char: char) {
    let _ = match char {
        '"' => write!(out, "\\\""),
        '\\' => write!(out, "\\\\"),
        '\x07' => write!(out, "\\a"),
        '\x08' => write!(out, "\\b"),
        '\x0c' => write!(out, "\\f"),
        '\n' => write!(out, "\\n"),
        '\r' => write!(out, "\\r"),
        '\t' => write!(out, "\\t"),
        '\x0b' => write!(out, "\\v"),
        '\0'..' ' | '\x7f' => write!(out, "\\x{:02x}", u32::from(char)),
        _ if is_printable(char) => write!(out, "{char}"),
        '\0'..='\u{ffff}' => write!(out, "\\u{:04x}", u32::from(char)),
        _ => write!(out, "\\U{:08x}", u32::from(char)),
    };
}

/// Rust escapes what cannot be printed; a mark that combines only where it comes first.
fn is_printable(char: char) -> bool {
    char == '\'' || (' '..='~').contains(&char) || format!("a{char}").escape_debug().nth(1) == Some(char)
}

/// A text in double quotes or back quotes at the start of `input`, without quotes and escapes, and what follows it.
pub(super) fn unquote(input: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    if let Some(raw) = input.strip_prefix(b"`") {
        let end = raw.iter().position(|byte| *byte == b'`')?;
        return Some((raw[..end].to_vec(), &raw[end + 1..]));
    }
    let mut rest = input.strip_prefix(b"\"")?;
    let mut text = Vec::new();
    loop {
        rest = match rest {
            [b'"', after @ ..] => return Some((text, after)),
            [b'\\', escape @ ..] => unescape(escape, &mut text)?,
            [b'\n', ..] | [] => return None,
            [byte, after @ ..] => {
                text.push(*byte);
                after
            }
        };
    }
}

/// What stands behind a backslash.
fn unescape<'a>(escape: &'a [u8], text: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (first, rest) = escape.split_first()?;
    let simple = match first {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'\\' | b'"' => *first,
        b'x' => {
            let (byte, rest) = digits(rest, 2, 16)?;
            text.push(u8::try_from(byte).ok()?);
            return Some(rest);
        }
        b'u' | b'U' => {
            let (code, rest) = digits(rest, if *first == b'u' { 4 } else { 8 }, 16)?;
            text.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(rest);
        }
        _ => {
            let (byte, rest) = digits(escape, 3, 8)?;
            text.push(u8::try_from(byte).ok()?);
            return Some(rest);
        }
    };
    text.push(simple);
    Some(rest)
}

fn digits(input: &[u8], count: usize, radix: u32) -> Option<(u32, &[u8])> {
    let (digits, rest) = input.split_at_checked(count)?;
    let all = digits.iter().all(|digit| char::from(*digit).is_digit(radix));
    let text = str::from_utf8(digits).ok().filter(|_| all)?;
    Some((u32::from_str_radix(text, radix).ok()?, rest))
}

/// `--hex`: every byte as `\x6b`.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut out = String::new();
    for byte in bytes {
        let _ = write!(out, "\\x{byte:02x}");
    }
    out
}

/// `1.5s`, `923.802µs`, `1m0.5s`.
pub(super) fn duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let small = |unit: u128, name| format!("{}{name}", fraction(nanos, unit));
    match nanos {
        0 => "0s".into(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => small(1_000, "µs"),
        1_000_000..1_000_000_000 => small(1_000_000, "ms"),
        _ => {
            let (hours, minutes) = (duration.as_secs() / 3600, duration.as_secs() / 60);
            let seconds = fraction(nanos % 60_000_000_000, 1_000_000_000);
            match (hours, minutes) {
                (0, 0) => format!("{seconds}s"),
                (0, _) => format!("{minutes}m{seconds}s"),
                _ => format!("{hours}h{}m{seconds}s", minutes % 60),
            }
        }
    }
}

/// A quotient, without the zeros that end its fraction.
fn fraction(nanos: u128, unit: u128) -> String {
    let width = unit.ilog10() as usize;
    let text = format!("{}.{:0width$}", nanos / unit, nanos % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// Reads `300ms`, `1.5h`, `1m30s`, `0`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration: write for example 5s, 300ms or 1m30s");
    let mut rest = text;
    let mut sum = Duration::ZERO;
    if rest == "0" {
        return Ok(sum);
    }
    while !rest.is_empty() || text.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())?;
        sum = sum.checked_add(part).ok_or_else(wrong)?;
        rest = after;
    }
    Ok(sum)
}

/// `20 kB`, `1.5 MB`: thousands, one digit behind the point below ten.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 10 {
        return format!("{bytes} B");
    }
    let power = bytes.ilog(1000);
    let unit_bytes = 1000u128.pow(power);
    let tenths = (u128::from(bytes) * 10 + unit_bytes / 2) / unit_bytes;
    let unit = UNITS[power as usize];
    match tenths {
        0..100 => format!("{}.{} {unit}", tenths / 10, tenths % 10),
        // Halves go to the even side.
        _ => format!("{} {unit}", (tenths + 4 + tenths / 10 % 2) / 10),
    }
}

/// An I/O error without Rust's `(os error 2)`.
pub(super) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// A decimal number, or etcdctl's complaint.
pub(super) fn parse_int(text: &str, radix: u32) -> Result<i64, String> {
    i64::from_str_radix(text, radix).map_err(|error| complaint("ParseInt", text, error.kind()))
}

pub(super) fn parse_uint(text: &str, radix: u32) -> Result<u64, String> {
    let signed = text.starts_with('+');
    let number =
        u64::from_str_radix(text, radix).map_err(|error| complaint("ParseUint", text, error.kind()))?;
    match signed {
        true => Err(complaint("ParseUint", text, &std::num::IntErrorKind::InvalidDigit)),
        false => Ok(number),
    }
}

fn complaint(function: &str, text: &str, kind: &std::num::IntErrorKind) -> String {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    let what = match kind {
        PosOverflow | NegOverflow => "value out of range",
        _ => "invalid syntax",
    };
    format!("strconv.{function}: parsing {}: {what}", quote(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_as_go_does() {
        let cases: [(&[u8], &str); 8] = [
            (b"", r#""""#),
            (b"\xff\x01\n\"\\\xc3\xa9\t", r#""\xff\x01\n\"\\é\t""#),
            (b"\x07\x08\x0c\r\x0b\x7f\0'", r#""\a\b\f\r\v\x7f\x00'""#),
            ("a\u{a0}\u{200b}\u{1f600}".as_bytes(), "\"a\\u00a0\\u200b\u{1f600}\""),
            ("e\u{301} 日本".as_bytes(), "\"e\u{301} 日本\""),
            ("\u{e0001}".as_bytes(), r#""\U000e0001""#),
            (b"\xe3\x81", r#""\xe3\x81""#),
            ("\u{fffd}".as_bytes(), "\"\u{fffd}\""),
        ];
        for (bytes, text) in cases {
            assert_eq!(quote(bytes), text);
        }
        assert_eq!(hex(b"k\0\xff"), r"\x6b\x00\xff");
    }

    #[test]
    fn unquoted_as_go_does() {
        let read = |text: &'static str| {
            unquote(text.as_bytes()).map(|(text, rest)| (text, rest.escape_ascii().to_string()))
        };
        assert_eq!(read(r#""a\"b" rest"#), Some((b"a\"b".to_vec(), " rest".into())));
        assert_eq!(
            read(r#""\xff\101\u00e9\U0001F600\t""#),
            Some((b"\xffA\xc3\xa9\xf0\x9f\x98\x80\t".to_vec(), "".into()))
        );
        assert_eq!(read(r"`a\n`)"), Some((br"a\n".to_vec(), ")".into())));
        let wrong = [
            "a",
            "\"a",
            "`a",
            r#""\q""#,
            r#""\'""#,
            r#""\400""#,
            r#""\x4""#,
            r#""\ud800""#,
            r#""\"#,
            "",
            r#""\x+1""#,
        ];
        for wrong in wrong {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations_both_ways() {
        let cases = [
            ("0s", 0),
            ("7ns", 7),
            ("923.802µs", 923_802),
            ("2.26ms", 2_260_000),
            ("5.002577216s", 5_002_577_216),
            ("1m1.5s", 61_500_000_000),
            ("1h0m0s", 3_600_000_000_000),
            ("25h1m30s", 90_090_000_000_000),
        ];
        for (text, nanos) in cases {
            assert_eq!(duration(Duration::from_nanos(nanos)), text);
            assert_eq!(parse_duration(text).map(|time| time.as_nanos()), Ok(u128::from(nanos)), "{text}");
        }
        assert_eq!(parse_duration("1.5h"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        for wrong in ["", "5", "s", "5x", "1..5s", "-5s", "5 s", "1e400s", "99999999999999999999999h"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_as_etcdctl_prints_them() {
        let cases = [
            (0, "0 B"),
            (9, "9 B"),
            (10, "10 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (9949, "9.9 kB"),
            (9950, "10 kB"),
            (20480, "20 kB"),
            (20_500, "20 kB"),
            (21_500, "22 kB"),
            (21_449, "21 kB"),
            (36864, "37 kB"),
            (1_500_000, "1.5 MB"),
            (u64::MAX, "18 EB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn complaints_about_numbers() {
        assert_eq!(parse_int("-7f", 16), Ok(-127));
        assert_eq!(parse_int("zz", 16).unwrap_err(), r#"strconv.ParseInt: parsing "zz": invalid syntax"#);
        let large = "9223372036854775808";
        assert_eq!(
            parse_int(large, 10).unwrap_err(),
            format!("strconv.ParseInt: parsing \"{large}\": value out of range")
        );
        assert_eq!(parse_uint("ffffffffffffffff", 16), Ok(u64::MAX));
        assert_eq!(parse_uint("+1", 16).unwrap_err(), r#"strconv.ParseUint: parsing "+1": invalid syntax"#);
    }
}
