//! Stories about the log: the machine's own words beneath what was asked of it. See `tests/scripts/wal`.

use std::{error::Error, fmt::Write as _, path::Path};

use goldenscript::{Argument, Command, Context, Runner};
use solder::{
    types::{
        Bytes, Entry, EntryId, HardState, Index, Membership, MembershipChange, NodeId, Payload, ProposalId,
        PutRequest, Term,
    },
    wal::{Faults, Inspector, Known, Options, Plan, Record, Recovered, Slot, Twin, Wal},
};

use crate::support::{members, options};

type Outcome = Result<String, Box<dyn Error>>;

/// One board: its disk and, while it runs, its log.
struct Story {
    twin: Twin,
    wal: Option<Wal<Twin>>,
    options: Options,
    members: Membership,
    boots: u64,
}

impl Runner for Story {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Outcome {
        match command.name.as_str() {
            "segments" => self.segments(command),
            "open" => self.open(command),
            "write" => self.write(command),
            "sync" => done(self.wal()?.sync()),
            "release" => {
                self.wal()?.release(Index(number(command, "applied")?));
                self.room()
            }
            "secure-room" => {
                self.wal()?.secure_room()?;
                self.room()
            }
            "room" => self.room(),
            "kill" => {
                self.wal = None;
                Ok(String::new())
            }
            "crash" => self.crash(command),
            "disk" => self.faults(command),
            "damage" => self.damage(command),
            "voters" => self.voters(command),
            "dump" => self.dump(true),
            "verify" => self.dump(false),
            "salvage" => self.salvage(command),
            name => Err(format!("unknown command {name}").into()),
        }
    }
}

impl Story {
    fn new() -> Story {
        Story { twin: Twin::new(), wal: None, options: options(6), members: members(), boots: 0 }
    }

    fn wal(&mut self) -> Result<&mut Wal<Twin>, Box<dyn Error>> {
        self.wal.as_mut().ok_or("the log is not open".into())
    }

    /// segments blocks=N: the size of those to come; two blocks are headers
    fn segments(&mut self, command: &Command) -> Outcome {
        self.options = options(u32::try_from(number(command, "blocks")?)?);
        Ok(String::new())
    }

    /// open [applied=N] [catching_up=yes]
    fn open(&mut self, command: &Command) -> Outcome {
        let mut args = command.consume_args();
        let applied = Index(args.take_key("applied").unwrap_or("0").parse()?);
        let catching_up = args.take_key("catching_up").is_some();
        args.reject_next()?;
        self.boots += 1;
        let known = Known { applied, catching_up, members: &self.members };
        let rng = fastrand::Rng::with_seed(self.boots);
        let (wal, recovered) = Wal::open(self.twin.clone(), self.options.clone(), known, rng)?;
        self.wal = Some(wal);
        Ok(told(&recovered))
    }

    /// write [state=term/vote] [start=index@term] [index@term=value].. [add-voter=index@term/node]
    fn write(&mut self, command: &Command) -> Outcome {
        let records = command.args.iter().map(record).collect::<Result<Vec<_>, _>>()?;
        let members = self.members.clone();
        let before = self.twin.counts();
        self.wal()?.write(&records, &members)?;
        let after = self.twin.counts();
        Ok(format!(
            "{} writes, {} bytes",
            after.writes - before.writes,
            after.bytes_written - before.bytes_written
        ))
    }

    fn room(&mut self) -> Outcome {
        let wal = self.wal()?;
        let (live, spare) = wal.segments();
        Ok(format!("{live} segments and {spare} spare, room for {} bytes", wal.room()))
    }

    /// crash [seed=N]: power goes; what was not synced is lost, written, or torn
    fn crash(&mut self, command: &Command) -> Outcome {
        let mut args = command.consume_args();
        let seed: u64 = args.take_key("seed").unwrap_or("0").parse()?;
        args.reject_next()?;
        self.wal = None;
        self.twin.crash(&mut fastrand::Rng::with_seed(seed));
        Ok(String::new())
    }

    /// disk [capacity=segments] [syncs=fail] [writes=fail] [reads=fail]
    fn faults(&mut self, command: &Command) -> Outcome {
        let mut args = command.consume_args();
        let capacity = args.take_key("capacity").map(str::parse::<u64>).transpose()?;
        let mut fails = |verb| args.take_key(verb) == Some("fail");
        self.twin.set_faults(Faults {
            capacity_bytes: capacity.map(|segments| segments * u64::from(self.options.segment_bytes)),
            sync_fails: fails("syncs"),
            write_fails: fails("writes"),
            read_fails: fails("reads"),
            power_for_verbs: None,
        });
        args.reject_next()?;
        Ok(String::new())
    }

    /// damage slot=N at=offset [bytes=N] | damage slot=N length=N
    fn damage(&mut self, command: &Command) -> Outcome {
        let mut args = command.consume_args();
        let slot = Slot(args.take_key("slot").ok_or("which slot?")?.parse()?);
        let length = args.take_key("length").map(str::parse).transpose()?;
        let at: usize = args.take_key("at").unwrap_or("0").parse()?;
        let bytes: usize = args.take_key("bytes").unwrap_or("1").parse()?;
        args.reject_next()?;
        self.twin.damage(slot, |file| match length {
            Some(length) => file.truncate(length),
            None => file[at..at + bytes].iter_mut().for_each(|byte| *byte ^= 0xff),
        });
        Ok(String::new())
    }

    /// voters ids..: who votes from now on
    fn voters(&mut self, command: &Command) -> Outcome {
        let mut args = command.consume_args();
        let ids = std::iter::from_fn(|| args.next_pos()).map(|id| id.parse().map(NodeId));
        self.members = Membership::of_voters(ids.collect::<Result<Vec<_>, _>>()?);
        Ok(String::new())
    }

    fn dump(&mut self, records: bool) -> Outcome {
        let mut text = String::new();
        let mut twin = self.twin.clone();
        let mut found = |found: solder::wal::Found<'_>| {
            if records {
                writeln!(text, "{found}").expect("a string takes it");
            }
        };
        let summary = Inspector { found: &mut found, pause: &mut || {} }.inspect(&mut twin)?;
        Ok(if records { text } else { summary.to_string() })
    }

    /// salvage [give_up=yes]
    fn salvage(&mut self, command: &Command) -> Outcome {
        let mut args = command.consume_args();
        let give_up = args.take_key("give_up").is_some();
        args.reject_next()?;
        let mut text = String::new();
        let mut twin = self.twin.clone();
        let mut found = |found: solder::wal::Found<'_>| {
            writeln!(text, "given up: {found}").expect("a string takes it");
        };
        let Some(plan) = Plan::make(&mut twin, &mut found)? else { return Ok("nothing to give up".into()) };
        let slots: Vec<String> = plan.slots().iter().map(Slot::to_string).collect();
        writeln!(text, "{}\nkept: {}\nslots: {}", plan.damage, plan.kept, slots.join(", "))?;
        if give_up {
            plan.carry_out(&mut twin)?;
        }
        Ok(text)
    }
}

fn done<T, E: Error + 'static>(result: Result<T, E>) -> Outcome {
    result.map(|_| String::new()).map_err(Into::into)
}

fn number(command: &Command, key: &str) -> Result<u64, Box<dyn Error>> {
    Ok(command.consume_args().take_key(key).ok_or(format!("{key}=?"))?.parse()?)
}

fn entry_id(text: &str) -> Result<EntryId, Box<dyn Error>> {
    let (index, term) = text.split_once('@').ok_or("index@term is wanted")?;
    Ok(EntryId::new(term.parse()?, index.parse()?))
}

fn record(arg: &Argument) -> Result<Record, Box<dyn Error>> {
    let Argument::KeyValue(key, value) = arg else { return Err("what=how is wanted".into()) };
    match key.as_str() {
        "state" => {
            let (term, vote) = value.split_once('/').ok_or("term/vote is wanted")?;
            Ok(Record::HardState(HardState { term: Term(term.parse()?), vote: Some(NodeId(vote.parse()?)) }))
        }
        "start" => Ok(Record::LogStart(entry_id(value)?)),
        "add-voter" => {
            let (id, node) = value.split_once('/').ok_or("index@term/node is wanted")?;
            let (id, change) = (entry_id(id)?, MembershipChange::AddVoter(NodeId(node.parse()?)));
            let payload = Payload::Membership { id: proposal(id), change, info: Bytes::new() };
            Ok(Record::Entry(Entry { id, payload }))
        }
        id => Ok(Record::Entry(put(entry_id(id)?, value))),
    }
}

fn proposal(id: EntryId) -> ProposalId {
    ProposalId { origin: NodeId(1), number: id.index.0 }
}

/// Puts the text under "key"; `x500` is a text of that many bytes, and nothing at all is an empty entry.
fn put(id: EntryId, text: &str) -> Entry {
    let value = match text.strip_prefix('x').and_then(|bytes| bytes.parse().ok()) {
        Some(bytes) => "x".repeat(bytes),
        None => text.into(),
    };
    if value.is_empty() {
        return Entry { id, payload: Payload::Empty };
    }
    let request = PutRequest { key: "key".into(), value: value.as_str().into(), ..PutRequest::default() };
    let data = solder::types::Command::Put(request).encode();
    Entry { id, payload: Payload::Command { id: proposal(id), data } }
}

fn told(recovered: &Recovered) -> String {
    let HardState { term, vote } = recovered.hard_state;
    let vote = vote.map_or("nobody".into(), |vote| vote.to_string());
    let mut text = format!("term {term}, vote for {vote}, the log begins after {}\n", recovered.start);
    for entry in &recovered.entries {
        writeln!(text, "{}", Record::Entry(entry.clone())).expect("a string takes it");
    }
    if let Some(warning) = &recovered.warning {
        writeln!(text, "warning: {warning}").expect("a string takes it");
    }
    for repaired in &recovered.repaired {
        writeln!(text, "warning: {repaired}").expect("a string takes it");
    }
    text
}

#[test]
fn stories() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/wal");
    let mut scripts: Vec<_> = std::fs::read_dir(directory)
        .expect("there are scripts")
        .map(|file| file.expect("a readable directory").path())
        .collect();
    scripts.sort();
    assert!(scripts.len() >= 8, "{scripts:?}");
    for script in scripts {
        println!("{}", script.display());
        goldenscript::run(&mut Story::new(), &script)
            .unwrap_or_else(|error| panic!("{}: {error}", script.display()));
    }
}
