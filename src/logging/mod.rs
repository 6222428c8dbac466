//! Log lines that a person reads: one line an event, on standard error.
//!
//! ```text
//! console    2026-05-01T06:07:08.009Z info  serving clients on http://127.0.0.1:2379
//! journal    <6>info  serving clients on http://127.0.0.1:2379
//! json       {"level":"info","ts":"2026-05-01T06:07:08.009Z","msg":"serving clients on http://127.0.0.1:2379"}
//! ```
//!
//! - systemd's journal (`JOURNAL_STREAM` is set) has its own time, and takes the priority from `<N>`.
//! - Whatever a message holds, it stays one line: control characters are escaped, and what is longer than `LINE_BYTES_MAX`
//!   is cut, so that no key or value floods a log or moves a terminal's cursor.
//! - A line is one write of a buffer that each thread keeps: logging allocates once a thread.
//! - Of other crates only warnings and errors are told.
//! - What could come by the thousand is asked of `Seldom` first by who says it, what may last for weeks of `Rarely`.
//!
//! Here you will not find: files, rotation. Whoever keeps the lines does that.

mod line;
mod rarely;
mod seldom;
mod time;

use std::{
    cell::RefCell,
    env,
    io::{self, Write as _},
    time::SystemTime,
};

use log::{LevelFilter, Log, Metadata, Record};

pub use self::{
    rarely::Rarely,
    seldom::{LeftOut, Seldom},
    time::utc,
};

/// Longest line. A journal's own default is 48 KiB; what a person reads is far less.
const LINE_BYTES_MAX: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    pub level: Level,
    pub format: Format,
}

/// etcd's levels. Nothing here logs above an error, so the last two mean silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
    Panic,
    Fatal,
}

impl Level {
    pub const NAMES: [(&'static str, Level); 6] = [
        ("debug", Level::Debug),
        ("info", Level::Info),
        ("warn", Level::Warn),
        ("error", Level::Error),
        ("panic", Level::Panic),
        ("fatal", Level::Fatal),
    ];

    fn filter(self) -> LevelFilter {
        match self {
            Level::Debug => LevelFilter::Debug,
            Level::Info => LevelFilter::Info,
            Level::Warn => LevelFilter::Warn,
            Level::Error => LevelFilter::Error,
            Level::Panic | Level::Fatal => LevelFilter::Off,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Console,
    Json,
}

impl Format {
    pub const NAMES: [(&'static str, Format); 3] =
        [("console", Format::Console), ("text", Format::Console), ("json", Format::Json)];
}

/// From now on `log`'s macros are heard. Once a process; a second call changes nothing.
pub fn start(options: Options) {
    let journal = env::var_os("JOURNAL_STREAM").is_some_and(|stream| !stream.is_empty());
    let logger = Box::new(Logger { format: options.format, journal });
    if log::set_boxed_logger(logger).is_ok() {
        log::set_max_level(options.level.filter());
    }
}

struct Logger {
    format: Format,
    journal: bool,
}

thread_local! {
    static LINE: RefCell<String> = RefCell::new(String::with_capacity(256));
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
            && (is_ours(metadata.target()) || metadata.level() <= log::Level::Warn)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let write = |line: &mut String| {
            line.clear();
            line::write(line, self, record.level(), SystemTime::now(), record.args());
            // Whoever has closed our standard error does not want to know.
            let _ = io::stderr().lock().write_all(line.as_bytes());
        };
        // A message that logs while it is written finds the buffer taken.
        LINE.with(|line| match line.try_borrow_mut() {
            Ok(mut line) => write(&mut line),
            Err(_) => write(&mut String::new()),
        });
    }

    fn flush(&self) {}
}

fn is_ours(target: &str) -> bool {
    target == "solder" || target.starts_with("solder::")
}
