//! One process of the cluster.

use std::{
    io::{BufRead as _, BufReader, Read},
    process::{Child, ExitStatus},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use smol::channel::Sender;

use super::place::Place;

/// What a member says in one line; what is longer comes in parts.
const LINE_BYTES_MAX: u64 = 16 << 10;

pub(super) struct Line {
    pub(super) number: usize,
    pub(super) text: String,
}

/// Dropped, it is killed.
pub(super) struct Member {
    pub(super) number: usize,
    child: Option<Child>,
}

impl Member {
    pub(super) fn start(place: &Place, number: usize, says: &Sender<Line>) -> Result<Member, String> {
        let mut command = place.command(number);
        let mut child = command.spawn().map_err(|error| format!("cannot start a member: {error}"))?;
        let (out, errors) = (child.stdout.take(), child.stderr.take());
        let member = Member { number, child: Some(child) };
        out.into_iter().try_for_each(|out| listen(number, out, says.clone()))?;
        errors.into_iter().try_for_each(|errors| listen(number, errors, says.clone()))?;
        Ok(member)
    }

    pub(super) fn runs(&self) -> bool {
        self.child.is_some()
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Told once.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        // What cannot be waited for is not there.
        let status = self.child.as_mut()?.try_wait().unwrap_or_default()?;
        self.child = None;
        Some(status)
    }

    pub(super) fn ask_to_end(&self) {
        if let Some(child) = &self.child {
            // It has not been waited for, so its id is nobody else's. If it has ended by itself, all the better.
            let _ = kill_process(Pid::from_child(child), Signal::TERM);
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Ends with the stream, or with who listens.
fn listen(number: usize, stream: impl Read + Send + 'static, says: Sender<Line>) -> Result<(), String> {
    let mut stream = BufReader::new(stream);
    let listening = move || {
        loop {
            let mut line = Vec::new();
            match (&mut stream).take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
                Ok(bytes) if bytes > 0 => {}
                _ => return,
            }
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if says.send_blocking(Line { number, text }).is_err() {
                return;
            }
        }
    };
    let thread = thread::Builder::new().name(format!("n{}", number + 1)).spawn(listening);
    thread.map(drop).map_err(|error| format!("no thread can be had: {error}"))
}
