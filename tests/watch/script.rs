//! Stories about watches. A line says what happens, and beneath it stands what the hub says.
//!
//! `UPDATE_GOLDENFILES=1 cargo test --test watch` writes down what it says now; the diff is then the review.
//!
//! ```text
//! open STREAM..   close STREAM      watch STREAM ID KEY [END] [start=] [prev_kv] [no_put] [no_delete] [notify=SECONDS]
//! cancel STREAM ID                  rest STREAM                  synced STREAM..
//! progress STREAM  says when it has told all
//! take STREAM..                     what each has to say, until it waits        take_one STREAM
//! put KEY VALUE [size=BYTES]        delete KEY                   txn KEY=VALUE..  (one revision; none: deleted)
//! many N [KEY] [at_once]            N revisions of a key         compact REVISION
//! slice EVENTS    publish EVENTS    what the store reads, or tells with what it applies, at most
//! hold            the store does what it is asked only at `answer`              answer
//! forget          the store keeps nothing of what is compacted any longer
//! pass SECONDS    bounds            what is held
//! ```

use std::{error::Error, fmt::Write, path::PathBuf, time::Duration};

use goldenscript::{Argument, Command as Line, Context};
use solder::{
    types::{Bytes, KeyRange, KeyRev, Revision},
    watch::{Interest, Message, News, Options, Scan, StreamId, WatchId, WatchRequest},
};

use crate::world::{Handle, Report, World};

type Said = Result<String, Box<dyn Error>>;

#[test]
fn scripts() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/watch");
    let files = std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<PathBuf> =
        files.map(|file| file.expect("a directory that can be read").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no scripts in {}", dir.display());
    for path in paths {
        goldenscript::run(&mut Story::new(), &path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

struct Story {
    world: World,
    holds: bool,
    now: Duration,
}

impl goldenscript::Runner for Story {
    type Command = Line;

    fn run(&mut self, line: &Line, _: &Context) -> Said {
        let mut words = Words::of(&line.args);
        let mut said = self.act(&line.name, &mut words)?;
        if !words.plain.is_empty() {
            return Err(format!("words too many: {:?}", words.plain).into());
        }
        self.go_on(&mut said)?;
        Ok(said)
    }
}

impl Story {
    fn new() -> Story {
        let options = Options {
            window_bytes_max: 200,
            message_events_max: 4,
            message_bytes_max: 1000,
            ..Options::default()
        };
        Story { world: World::new(options), holds: false, now: Duration::ZERO }
    }

    /// Carries the post until nobody has any, and wakes who is to be woken.
    fn go_on(&mut self, said: &mut String) -> Result<(), Box<dyn Error>> {
        loop {
            while !self.world.said.is_empty() {
                self.world.hear();
            }
            if let Some(scan) = self.world.hub.scan() {
                writeln!(said, "store: {}", of_scan(&scan))?;
                self.world.asked.push_back(scan);
            }
            if self.holds || !self.answer(said)? {
                break;
            }
        }
        for stream in self.world.hub.woken() {
            let name = self.world.names.iter().find(|(_, id)| **id == stream).ok_or("nobody's stream")?.0;
            writeln!(said, "wake {name}")?;
        }
        Ok(())
    }

    fn answer(&mut self, said: &mut String) -> Result<bool, Box<dyn Error>> {
        let Some(scan) = self.world.asked.pop_front() else { return Ok(false) };
        let report = self.world.store.carry_out(&scan);
        match &report {
            Report::Scanned(Ok((events, next))) if scan.read != Interest::default() => {
                let upto = if next.sub == 0 {
                    format!("up to {}", next.main.0 - 1)
                } else {
                    format!("up to before {next}")
                };
                writeln!(said, "store: {} events {upto}", events.len())?;
            }
            Report::Scanned(Err(compacted)) => writeln!(said, "store: compacted at {compacted}")?,
            _ => {}
        }
        self.world.said.push_back(report);
        Ok(true)
    }

    fn act(&mut self, name: &str, words: &mut Words) -> Said {
        match name {
            "open" => {
                for name in words.plain.drain(..) {
                    let stream = self.world.hub.open();
                    self.world.names.insert(name, stream);
                }
            }
            "close" => {
                let name = words.take()?;
                let stream = self.world.names.remove(&name).ok_or("no such stream")?;
                self.world.hub.close(stream);
            }
            "watch" => self.watch(words)?,
            "cancel" => {
                let (stream, id) = (self.stream(&words.take()?)?, words.take_number()?);
                let found = self.world.hub.cancel(stream, WatchId(id));
                return Ok(if found { String::new() } else { "no such watch\n".into() });
            }
            "progress" => {
                let stream = self.stream(&words.take()?)?;
                self.world.hub.request_progress(stream, WatchId(-1));
            }
            "rest" => self.world.hub.rest(self.stream(&words.take()?)?),
            "synced" => return self.synced(words),
            "take" | "take_one" => return self.take(words, name == "take_one"),
            "put" | "delete" | "txn" | "many" => self.write(name, words)?,
            "compact" => {
                let report = self.world.store.compact(Revision(words.take_number()?));
                self.world.said.push_back(report);
            }
            "forget" => self.world.store.kept = None,
            "slice" => self.world.store.slice_max = words.take_number()? as usize,
            "publish" => self.world.store.publish_max = words.take_number()? as usize,
            "hold" => self.holds = true,
            "answer" => {
                let mut said = String::new();
                self.answer(&mut said)?;
                self.holds = false;
                return Ok(said);
            }
            "pass" => {
                self.now += Duration::from_secs_f64(words.take()?.parse()?);
                self.world.hub.advance(self.now);
                let deadline = self.world.hub.deadline().map(|at| at.as_secs_f64());
                return Ok(deadline.map_or(String::new(), |at| format!("next at {at} s\n")));
            }
            "bounds" => {
                let hub = &self.world.hub;
                let (held, late) = (hub.held_bytes(), hub.slow_watchers());
                return Ok(format!("{held} bytes held, {late} of {} late\n", hub.watchers()));
            }
            other => return Err(format!("no such word: {other}").into()),
        }
        Ok(String::new())
    }

    fn stream(&self, name: &str) -> Result<StreamId, Box<dyn Error>> {
        self.world.names.get(name).copied().ok_or_else(|| format!("no stream {name}").into())
    }

    fn watch(&mut self, words: &mut Words) -> Result<(), Box<dyn Error>> {
        let (prev_kv, no_put, no_delete) =
            (words.flag("prev_kv"), words.flag("no_put"), words.flag("no_delete"));
        let start = words.named("start").map_or(Ok(0), |text| text.parse())?;
        let notify = words.named("notify").map(|text| text.parse()).transpose()?;
        let (stream, id) = (self.stream(&words.take()?)?, words.take_number()?);
        let range = KeyRange::new(bytes(&words.take()?), bytes(&words.take().unwrap_or_default()));
        let progress_notify = notify.map(Duration::from_secs_f64);
        let start = Revision(start);
        let request = WatchRequest { range, start, prev_kv, no_put, no_delete, progress_notify };
        self.world.hub.create(stream, WatchId(id), request);
        Ok(())
    }

    fn synced(&mut self, words: &mut Words) -> Said {
        let mut said = String::new();
        for name in words.plain.drain(..).collect::<Vec<_>>() {
            match self.world.hub.synced(self.stream(&name)?) {
                Some(revision) => writeln!(said, "{name}: synced at {revision}")?,
                None => writeln!(said, "{name}: not synced")?,
            }
        }
        Ok(said)
    }

    fn take(&mut self, words: &mut Words, one: bool) -> Said {
        let mut said = String::new();
        for name in words.plain.drain(..).collect::<Vec<_>>() {
            let stream = self.stream(&name)?;
            loop {
                match self.world.hub.take(stream) {
                    Some(message) => writeln!(said, "{name}: {}", of_message(&message))?,
                    None => {
                        writeln!(said, "{name}: waits")?;
                        let mut more = String::new();
                        self.go_on(&mut more)?;
                        said += &more;
                        if more.contains(&format!("wake {name}\n")) {
                            continue;
                        }
                        break;
                    }
                }
                if one {
                    break;
                }
            }
        }
        Ok(said)
    }

    fn write(&mut self, name: &str, words: &mut Words) -> Result<(), Box<dyn Error>> {
        let report = match name {
            "put" => {
                let size: usize = words.named("size").map_or(Ok(0), |text| text.parse())?;
                let (key, mut value) = (words.take()?, words.take()?);
                value.extend(std::iter::repeat_n('.', size.saturating_sub(value.len())));
                self.world.store.write(vec![(bytes(&key), Some(value))])
            }
            "delete" => self.world.store.write(vec![(bytes(&words.take()?), None)]),
            "txn" => {
                let changes = words
                    .named
                    .drain(..)
                    .map(|(key, value)| (bytes(&key), Some(value).filter(|value| value != "none")));
                let changes = changes.collect();
                self.world.store.write(changes)
            }
            _ => {
                let (at_once, number) = (words.flag("at_once"), words.take_number()?);
                let key = bytes(&words.take().unwrap_or("a".into()));
                let revisions = (0..number).map(|value| vec![(key.clone(), Some(value.to_string()))]);
                if !at_once {
                    for changes in revisions {
                        let report = self.world.store.write(changes);
                        self.world.said.push_back(report);
                        self.world.hear();
                    }
                    return Ok(());
                }
                self.world.store.write_all(revisions.collect())
            }
        };
        self.world.said.push_back(report);
        Ok(())
    }
}

fn bytes(text: &str) -> Bytes {
    if text == "\\0" { Bytes::from(b"\0") } else { Bytes::from(text) }
}

fn of_range(range: &KeyRange) -> String {
    match range.is_single() {
        true => format!("{}", range.key.escape_ascii()),
        false => format!("[{}, {})", range.key.escape_ascii(), range.range_end.escape_ascii()),
    }
}

fn of_interest(interest: &Interest) -> String {
    match (&interest.events, &interest.prev) {
        (None, _) => "nothing".into(),
        (Some(range), None) => of_range(range),
        (Some(range), Some(prev)) => format!("{}, with values before of {}", of_range(range), of_range(prev)),
    }
}

fn of_scan(scan: &Scan) -> String {
    let to_come = of_interest(&scan.interest);
    let owed = scan.owed.map_or(String::new(), |owed| format!(", keep what is owed from {owed}"));
    match scan.read.events {
        None => format!("tell of {to_come}{owed}"),
        Some(_) => {
            let (read, from) = (of_interest(&scan.read), of_place(scan.from));
            format!("read {read} from {from}, tell of {to_come}{owed}")
        }
    }
}

fn of_place(place: KeyRev) -> String {
    if place.sub == 0 { place.main.to_string() } else { place.to_string() }
}

pub(crate) fn of_message(message: &Message<Handle>) -> String {
    let Message { watch, revision, what } = message;
    let what = match what {
        News::Events(events) => events.iter().map(of_event).collect::<Vec<_>>().join(", "),
        News::Part(events) => events.iter().map(of_event).chain(["..".into()]).collect::<Vec<_>>().join(", "),
        News::Progress => "progress".into(),
        News::Compacted(compacted) => format!("compacted at {compacted}"),
    };
    format!("{} at {revision}: {what}", watch.0)
}

fn of_event(event: &Handle) -> String {
    let change = &event.0;
    let key = change.key.escape_ascii();
    let prev = change.prev.as_ref().map_or(String::new(), |prev| format!(" (was {prev})"));
    match &change.value {
        Some(value) if value.len() > 20 => format!("{} {key}={} bytes{prev}", change.rev, value.len()),
        Some(value) => format!("{} {key}={value}{prev}", change.rev),
        None => format!("{} {key} deleted{prev}", change.rev),
    }
}

/// A line's words: those without a name, and those with one.
struct Words {
    plain: Vec<String>,
    named: Vec<(String, String)>,
}

impl Words {
    fn of(args: &[Argument]) -> Words {
        let mut words = Words { plain: Vec::new(), named: Vec::new() };
        for argument in args {
            match argument {
                Argument::KeyValue(key, value) => words.named.push((key.clone(), value.clone())),
                Argument::Positional(value) => words.plain.push(value.clone()),
                other => panic!("a word of a kind unknown here: {other}"),
            }
        }
        words
    }

    fn flag(&mut self, name: &str) -> bool {
        let before = self.plain.len();
        self.plain.retain(|word| word != name);
        self.plain.len() < before
    }

    fn named(&mut self, name: &str) -> Option<String> {
        let place = self.named.iter().position(|(other, _)| other == name)?;
        Some(self.named.remove(place).1)
    }

    fn take(&mut self) -> Result<String, Box<dyn Error>> {
        if self.plain.is_empty() { Err("a word is missing".into()) } else { Ok(self.plain.remove(0)) }
    }

    fn take_number(&mut self) -> Result<i64, Box<dyn Error>> {
        Ok(self.take()?.parse()?)
    }
}
