//! `solder demo`: a throw-away cluster of real processes on this machine, for trying things out.
//!
//! ```text
//!   this process --starts--> n1, n2, n3: `solder serve`, each on loopback ports of its own
//!        ^----- lines -----------'  one thread for each stream   --> standard output, by name and colour
//!   Ctrl-C --> SIGTERM to all --> the directory is removed, unless it was named
//! ```
//!
//! Members are in process groups of their own, so that a Ctrl-C is theirs only by way of this process, and in order. They are
//! started by the main thread, with which they end (`cli::serve`): also where this process is killed.

mod member;
mod place;

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitStatus,
    time::{Duration, Instant},
};

use async_io::Timer;
use async_signal::{Signal, Signals};
use clap::Args;
use futures_lite::{StreamExt as _, future};
use smol::channel::{Receiver, bounded};

use self::{
    member::{Line, Member},
    place::Place,
};

#[derive(Args)]
pub(super) struct Demo {
    /// How many members.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=9))]
    size: u8,
    /// Keep the data here, and go on from it the next time [default: a directory that is removed at the end].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Lines that wait to be printed. Members that say more wait.
const LINES_MAX: usize = 256;

/// How often is looked whether a member has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Longer than any clean stop takes.
const STOP_MAX: Duration = Duration::from_secs(30);

pub(super) fn run(demo: Demo) -> Result<(), String> {
    let place = Place::make(demo.dir, usize::from(demo.size))?;
    // Before there is anything to end.
    let signals = Signals::new([Signal::Int, Signal::Term, Signal::Hup])
        .map_err(|error| format!("cannot listen to signals: {error}"))?;
    let (says, lines) = bounded(LINES_MAX);
    let mut running = Running { members: Vec::new(), lines, colours: colours(), serving: 0 };
    for number in 0..place.members() {
        running.members.push(Member::start(&place, number, &says)?);
    }
    drop(says);
    let played = async_io::block_on(running.play(&place, signals));
    let stopped = async_io::block_on(running.stop());
    played.and(stopped).map_err(|error| format!("cannot print: {error}"))
}

fn colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Dropped, what still runs is killed.
struct Running {
    members: Vec<Member>,
    lines: Receiver<Line>,
    colours: bool,
    /// How many have said so.
    serving: usize,
}

enum Happened {
    Said(Line),
    Asked,
    Nothing,
}

impl Running {
    /// Until it is asked to end, or nobody is left. Errors: nobody listens any more.
    async fn play(&mut self, place: &Place, mut signals: Signals) -> io::Result<()> {
        while self.members.iter().any(Member::runs) {
            match self.next(&mut signals).await {
                Happened::Said(line) => self.said(place, &line)?,
                Happened::Asked => return Ok(()),
                Happened::Nothing => {}
            }
            self.look_for_dead(place)?;
        }
        self.print_rest()?;
        self.tell("no member is left")
    }

    async fn next(&self, signals: &mut Signals) -> Happened {
        let asked = async {
            signals.next().await;
            Happened::Asked
        };
        let said = async {
            match self.lines.recv().await {
                Ok(line) => Happened::Said(line),
                // All streams are closed: the members are about to be seen to have ended.
                Err(_) => future::pending().await,
            }
        };
        let nothing = async {
            Timer::after(LOOK_EVERY).await;
            Happened::Nothing
        };
        future::or(asked, future::or(said, nothing)).await
    }

    fn said(&mut self, place: &Place, line: &Line) -> io::Result<()> {
        self.print(line)?;
        if self.serving < self.members.len() && line.text.contains("serving clients at") {
            self.serving += 1;
            if self.serving == self.members.len() {
                return self.tell(&place.welcome(self.members.iter().filter_map(Member::pid)));
            }
        }
        Ok(())
    }

    fn look_for_dead(&mut self, place: &Place) -> io::Result<()> {
        let ended: Vec<(usize, ExitStatus)> =
            self.members.iter_mut().filter_map(|member| Some((member.number, member.ended()?))).collect();
        for (number, status) in ended {
            self.print_rest()?;
            let again = place.command_line(number);
            self.tell(&format!("n{} has ended ({status}); to start it again: {again}", number + 1))?;
        }
        Ok(())
    }

    fn print_rest(&self) -> io::Result<()> {
        while let Ok(line) = self.lines.try_recv() {
            self.print(&line)?;
        }
        Ok(())
    }

    fn print(&self, line: &Line) -> io::Result<()> {
        let name = format!("n{}", line.number + 1);
        let mut out = io::stdout().lock();
        match self.colours {
            // Red is for trouble.
            true => writeln!(out, "\x1b[{}m{name}\x1b[0m | {}", 32 + line.number % 5, line.text),
            false => writeln!(out, "{name} | {}", line.text),
        }
    }

    /// This process's own words.
    fn tell(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        text.lines().try_for_each(|line| writeln!(out, "-- | {line}"))?;
        out.flush()
    }

    /// All at one time; whoever takes too long is killed when this is dropped.
    async fn stop(&mut self) -> io::Result<()> {
        self.members.iter().for_each(Member::ask_to_end);
        let deadline = Instant::now() + STOP_MAX;
        let mut printed = Ok(());
        while self.members.iter_mut().any(|member| member.ended().is_none() && member.runs())
            && Instant::now() < deadline
        {
            // Somebody has to take what they say, whether anybody listens or not: else they wait for ever.
            printed = printed.and_then(|()| self.print_rest());
            while self.lines.try_recv().is_ok() {}
            Timer::after(LOOK_EVERY / 4).await;
        }
        printed.and(self.print_rest())
    }
}
