//! Durations as Go and etcd write them: `1h30m`, `100ms`, `1.5s`.

use std::time::Duration;

const NANOS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// `None`: not a duration, or longer than Go's longest, 292 years. A bare `0` is one, other bare numbers are not.
pub fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut nanos = 0_u128;
    let mut rest = text;
    while !rest.is_empty() || text.is_empty() {
        let (number, after) = split(rest, |c| !c.is_ascii_digit() && c != '.');
        let (unit, after) = split(after, |c| c.is_ascii_digit() || c == '.');
        let (_, scale) = NANOS.iter().find(|(name, _)| *name == unit)?;
        nanos = nanos.checked_add(scaled(number, *scale)?)?;
        rest = after;
    }
    let nanos = u64::try_from(nanos).ok().filter(|nanos| i64::try_from(*nanos).is_ok())?;
    Some(Duration::from_nanos(nanos))
}

fn split(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

/// `number` times `scale`, where `number` may have a fraction; what is less than 1 is dropped.
fn scaled(number: &str, scale: u64) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // Beyond 15 digits a fraction is less than a nanosecond of any unit.
    let digits = &fraction[..fraction.len().min(15)];
    let part: u64 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = u128::from(part) * u128::from(scale) / 10_u128.pow(digits.len() as u32);
    Some(u128::from(whole) * u128::from(scale) + part)
}

/// The shortest form in whole units: `1h30m`, `90s` is `1m30s`, `0s`.
pub fn write_duration(duration: Duration) -> String {
    let mut nanos = duration.as_nanos();
    let mut text = String::new();
    for (unit, scale) in [("h", 3_600_000_000_000_u128), ("m", 60_000_000_000), ("s", 1_000_000_000)]
        .into_iter()
        .chain([("ms", 1_000_000), ("us", 1_000), ("ns", 1)])
    {
        let (count, rest) = (nanos / scale, nanos % scale);
        if count > 0 {
            text += &format!("{count}{unit}");
        }
        nanos = rest;
    }
    if text.is_empty() { "0s".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_reads_them() {
        let ms = |ms| Some(Duration::from_millis(ms));
        for (text, expected) in [
            ("0", ms(0)),
            ("0s", ms(0)),
            ("100ms", ms(100)),
            ("1h30m", ms(5_400_000)),
            ("1.5s", ms(1500)),
            (".5s", ms(500)),
            ("1.s", ms(1000)),
            ("1h0.001s", ms(3_600_001)),
            ("1500us", Some(Duration::from_micros(1500))),
            ("3µs", Some(Duration::from_micros(3))),
            ("0.3333333333333333333h", Some(Duration::from_nanos(1_199_999_999_999))),
            ("2562047h", Some(Duration::from_secs(2_562_047 * 3600))),
            ("2562048h", None),
            ("99999999999999999999h", None),
            ("", None),
            ("1", None),
            ("h", None),
            (".s", None),
            ("1.2.3s", None),
            ("1d", None),
            ("-1h", None),
            (" 1h", None),
            ("1h ", None),
            ("1h30", None),
        ] {
            assert_eq!(parse_duration(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for nanos in [0, 1, 999, 1_000, 1_500_000, 90_000_000_000, 3_600_000_000_000, 5_400_000_000_001] {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(parse_duration(&write_duration(duration)), Some(duration));
        }
        assert_eq!(write_duration(Duration::from_secs(5400)), "1h30m");
    }
}
