//! One event, one line.

use std::{
    fmt::{self, Write},
    time::SystemTime,
};

use log::Level;

use super::{Format, LINE_BYTES_MAX, Logger, time};

/// Appends the line, with its end.
pub(super) fn write(
    line: &mut String,
    logger: &Logger,
    level: Level,
    now: SystemTime,
    message: &fmt::Arguments<'_>,
) {
    let name = match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug | Level::Trace => "debug",
    };
    if logger.journal {
        let _ = write!(line, "<{}>", priority(level));
    }
    let mut escaped = Escaped { line, json: logger.format == Format::Json, room_bytes: LINE_BYTES_MAX };
    match (logger.format, logger.journal) {
        (Format::Json, _) => {
            let _ = write!(escaped.line, r#"{{"level":"{name}","ts":""#);
            time::write(escaped.line, now);
            escaped.line.push_str(r#"","msg":""#);
            escaped.message(message);
            line.push_str("\"}");
        }
        (Format::Console, journal) => {
            if !journal {
                time::write(escaped.line, now);
                escaped.line.push(' ');
            }
            let _ = write!(escaped.line, "{name:<5} ");
            escaped.message(message);
        }
    }
    line.push('\n');
}

/// syslog's, as `sd-daemon(3)` reads them.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Takes text as it is formatted and leaves it on one line, with an end.
struct Escaped<'a> {
    line: &'a mut String,
    json: bool,
    room_bytes: usize,
}

impl Escaped<'_> {
    fn message(&mut self, message: &fmt::Arguments<'_>) {
        // The only error is our own: no room.
        if self.write_fmt(*message).is_err() {
            self.line.push_str("...");
        }
    }

    fn push(&mut self, c: char) -> fmt::Result {
        let before = self.line.len();
        match (c, self.json) {
            ('"' | '\\', true) => self.line.extend(['\\', c]),
            ('\n', _) => self.line.push_str("\\n"),
            ('\t', _) => self.line.push_str("\\t"),
            ('\r', _) => self.line.push_str("\\r"),
            (c, true) if c.is_control() => write!(self.line, "\\u{:04x}", u32::from(c))?,
            (c, false) if c.is_control() => write!(self.line, "{}", c.escape_default())?,
            (c, _) => self.line.push(c),
        }
        match self.room_bytes.checked_sub(self.line.len() - before) {
            Some(room_bytes) => self.room_bytes = room_bytes,
            None => {
                self.line.truncate(before);
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.push(c))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn line(format: Format, journal: bool, level: Level, message: &str) -> String {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_777_615_628_009);
        let mut line = String::new();
        write(&mut line, &Logger { format, journal }, level, now, &format_args!("{message}"));
        line
    }

    #[test]
    fn lines() {
        use Format::{Console, Json};
        for (format, journal, level, message, expected) in [
            (Console, false, Level::Info, "serving", "2026-05-01T06:07:08.009Z info  serving\n"),
            (Console, false, Level::Error, "a\nb", "2026-05-01T06:07:08.009Z error a\\nb\n"),
            (Console, true, Level::Warn, "room", "<4>warn  room\n"),
            (Console, true, Level::Debug, "\u{1b}[2J\u{7f}\u{85}\"", "<7>debug \\u{1b}[2J\\u{7f}\\u{85}\"\n"),
            (
                Json,
                false,
                Level::Info,
                "é",
                "{\"level\":\"info\",\"ts\":\"2026-05-01T06:07:08.009Z\",\"msg\":\"é\"}\n",
            ),
            (
                Json,
                true,
                Level::Error,
                "\"\\\n\u{0}",
                "<3>{\"level\":\"error\",\"ts\":\"2026-05-01T06:07:08.009Z\",\"msg\":\"\\\"\\\\\\n\\u0000\"}\n",
            ),
        ] {
            assert_eq!(line(format, journal, level, message), expected);
        }
    }

    #[test]
    fn json_stays_json() {
        let message: String = (0..300).filter_map(char::from_u32).collect();
        let line = line(Format::Json, false, Level::Info, &message);
        let parsed: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(parsed["msg"], message.as_str());
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        for filler in ["x", "é", "\u{1}", "\u{10ffff}"] {
            let line = line(Format::Console, true, Level::Info, &filler.repeat(100_000));
            assert!(line.len() <= LINE_BYTES_MAX + 20 && line.len() > LINE_BYTES_MAX - 10, "{}", line.len());
            assert!(line.ends_with("...\n"));
        }
    }
}
