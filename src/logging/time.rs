//! Wall time as RFC 3339 in UTC, with milliseconds. Boards have no clock battery: it is shown, and nothing rests on it.

use std::{
    fmt::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};

pub(super) fn write(text: &mut String, now: SystemTime) {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let _ = write!(text, "{}.{:03}Z", date_and_time(since.as_secs()), since.subsec_millis());
}

/// Whole seconds since 1970, as lines of the log tell them.
pub fn utc(seconds: u64) -> String {
    format!("{}Z", date_and_time(seconds))
}

fn date_and_time(seconds: u64) -> String {
    let (year, month, day) = date(seconds / 86_400);
    let second = seconds % 86_400;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// The Gregorian date of a day counted from 1970-01-01. Years begin in March here, so that the leap day comes last, and
/// 400 of them are one era (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn date(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            let mut text = String::new();
            write(&mut text, UNIX_EPOCH + Duration::from_secs(seconds));
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn a_clock_before_1970() {
        let mut text = String::new();
        write(&mut text, UNIX_EPOCH - Duration::from_secs(5));
        assert_eq!(text, "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn each_day_follows_the_one_before() {
        let mut last = date(0);
        for day in 1..200_000 {
            let (year, month, number) = date(day);
            let follows = match (number, month) {
                (1, 1) => last == (year - 1, 12, 31),
                (1, _) => last.0 == year && last.1 + 1 == month && last.2 >= 28,
                _ => last == (year, month, number - 1),
            };
            assert!(follows, "{last:?} then {:?}", (year, month, number));
            last = (year, month, number);
        }
    }
}
