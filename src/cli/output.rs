//! Standard output.

use std::{
    fmt::Display,
    io::{self, BufWriter, Write},
};

/// Whoever closes it early has seen enough; whoever has no room for it must be told.
pub(super) struct Output(BufWriter<io::StdoutLock<'static>>);

impl Output {
    pub(super) fn new() -> Output {
        Output(BufWriter::new(io::stdout().lock()))
    }

    pub(super) fn line(&mut self, line: impl Display) {
        let written = writeln!(self.0, "{line}");
        written.unwrap_or_else(|error| lost(&error));
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let written = self.0.write_all(bytes);
        written.unwrap_or_else(|error| lost(&error));
    }

    /// What was said so far has been heard when this returns.
    pub(super) fn flush(&mut self) {
        self.0.flush().unwrap_or_else(|error| lost(&error));
    }
}

fn lost(error: &io::Error) -> ! {
    if error.kind() != io::ErrorKind::BrokenPipe {
        eprintln!("Error: cannot write the result: {error}");
    }
    std::process::exit(1)
}

impl Drop for Output {
    fn drop(&mut self) {
        self.flush();
    }
}
