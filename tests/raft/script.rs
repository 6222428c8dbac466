//! Golden scripts: a cluster that does what it is told, and tells what it does.
//!
//! Boards have small hexadecimal ids. Unless a script says otherwise, disks and stores are done at once, and messages wait
//! until they are delivered. `UPDATE_GOLDENFILES=1 cargo test --test raft` writes the outputs anew.
//!
//! | command | does |
//! |---|---|
//! | `cluster VOTERS… [learners=ID-…] [election=N] [append= window= uncommitted= tail= apply= reads=BYTES] [bug=NAME]` | new boards; the bounds are generous if not given |
//! | `board ID [term=N] [vote=ID] [log=TERM-TERM-…] [applied=N] [blank]` | a board with that log, in place of an old one or as a new one |
//! | `tick ID… [times=N]` | time passes |
//! | `elect ID` | the board is told to stand, and all is delivered |
//! | `deliver`, `drop`, `double` `[from=ID] [to=ID] [kind=NAME]` | messages that wait now; what they cause waits |
//! | `settle` | delivers until nobody has anything to say |
//! | `reverse` | turns the order of what waits |
//! | `cut A B…`, `mute FROM TO`, `heal` | who does not hear whom |
//! | `disk ID slow\|fast`, `sync ID [N]` | a slow disk syncs when told |
//! | `store ID slow\|fast`, `apply ID [N]`, `flush ID` | likewise |
//! | `propose ID TEXT [bytes=N] [times=N]`, `read ID [times=N]`, `change ID WHAT ID` | requests |
//! | `transfer ID [TO]` | handing over |
//! | `room ID yes\|no` | the board has, or has not, room for proposals |
//! | `lost GONE ID…` | these boards are told that GONE's process has ended |
//! | `retime ID N` | the board's election time-out is N ticks from now on |
//! | `crash ID`, `restart ID` | what was not synced is lost |
//! | `begin-catch-up TO`, `finish-catch-up FROM TO [at=N]`, `fail-catch-up FROM TO` | a transfer of the store |
//! | `send FROM TO TERM append\|heartbeat\|timeout-now …` | a message made up by the script |
//! | `status [ID…]`, `log ID…`, `members ID…` | how things are |

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fmt::Write as _,
};

use goldenscript::{Argument, Command, Context};
use solder::raft::{Envelope, Message, Options, Refusal, Role};
use solder::types::{
    Bug, Bugs, Bytes, Entry, EntryId, HardState, Index, Membership, MembershipChange, NodeId, Payload,
    ProposalId, Term,
};

use crate::{
    board::{Board, Disk, Store},
    words,
};

type Told = Result<(), Box<dyn Error>>;

#[derive(Default)]
struct Script {
    boards: BTreeMap<NodeId, Board>,
    down: BTreeMap<NodeId, Disk>,
    options: Option<Options>,
    network: Vec<Envelope>,
    cut: BTreeSet<(NodeId, NodeId)>,
    slow_disks: BTreeSet<NodeId>,
    slow_stores: BTreeSet<NodeId>,
    /// What each board was last seen to be.
    seen: BTreeMap<NodeId, (Term, Role, Option<NodeId>)>,
    next_proposal: u64,
    output: String,
}

/// The arguments of a command, taken one after the other.
struct Args {
    words: std::collections::VecDeque<String>,
    named: BTreeMap<String, String>,
}

impl Args {
    fn new(command: &Command) -> Args {
        let mut args = Args { words: Default::default(), named: BTreeMap::new() };
        for arg in &command.args {
            match arg {
                Argument::KeyValue(key, value) => drop(args.named.insert(key.clone(), value.clone())),
                Argument::Positional(word) => args.words.push_back(word.clone()),
                other => panic!("an argument of a new kind: {other}"),
            }
        }
        args
    }

    fn word(&mut self) -> Result<String, Box<dyn Error>> {
        self.words.pop_front().ok_or_else(|| "an argument is missing".into())
    }

    fn id(&mut self) -> Result<NodeId, Box<dyn Error>> {
        id(&self.word()?)
    }

    fn ids(&mut self) -> Result<Vec<NodeId>, Box<dyn Error>> {
        self.words.drain(..).map(|word| id(&word)).collect()
    }

    fn number(&mut self, name: &str, default: u64) -> Result<u64, Box<dyn Error>> {
        Ok(self.named.remove(name).map(|text| text.parse()).transpose()?.unwrap_or(default))
    }

    fn named_id(&mut self, name: &str) -> Result<Option<NodeId>, Box<dyn Error>> {
        self.named.remove(name).map(|text| id(&text)).transpose()
    }

    fn end(self) -> Told {
        match (self.words.front(), self.named.keys().next()) {
            (None, None) => Ok(()),
            (word, name) => Err(format!("not understood: {:?}", word.or(name)).into()),
        }
    }
}

fn id(word: &str) -> Result<NodeId, Box<dyn Error>> {
    Ok(NodeId(u64::from_str_radix(word, 16)?))
}

/// `7@3`
fn entry_id(word: &str) -> Result<EntryId, Box<dyn Error>> {
    let (index, term) = word.split_once('@').ok_or("no entry, as in 7@3")?;
    Ok(EntryId::new(term.parse()?, index.parse()?))
}

impl goldenscript::Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Box<dyn Error>> {
        let mut args = Args::new(command);
        self.obey(&command.name, &mut args)?;
        args.end()?;
        self.poll()?;
        Ok(std::mem::take(&mut self.output))
    }
}

impl Script {
    fn obey(&mut self, name: &str, args: &mut Args) -> Told {
        match name {
            "cluster" => self.cluster(args),
            "board" => self.board(args),
            "tick" => self.tick(args),
            "elect" => self.elect(args),
            "status" | "log" | "members" => self.show(name, args),
            "propose" => self.propose(args),
            "read" => self.read(args),
            "change" => self.change(args),
            "transfer" => self.transfer(args),
            "room" => self.room(args),
            "lost" => self.lost(args),
            "retime" => self.retime(args),
            "send" => self.send(args),
            "deliver" => self.handle(args, Script::deliver),
            "drop" => self.handle(args, Script::lose),
            "double" => self.handle(args, Script::double),
            "settle" => self.settle(),
            _ => self.disturb(name, args),
        }
    }

    fn disturb(&mut self, name: &str, args: &mut Args) -> Told {
        match name {
            "reverse" => self.network.reverse(),
            "cut" => self.cut(args)?,
            "mute" => {
                self.cut.insert((args.id()?, args.id()?));
            }
            "heal" => self.cut.clear(),
            "disk" => set_speed(args, &mut self.slow_disks)?,
            "store" => set_speed(args, &mut self.slow_stores)?,
            "sync" => self.sync_told(args)?,
            "apply" => self.apply_told(args)?,
            "flush" => self.get(args.id()?)?.flush(),
            "crash" => self.crash(args)?,
            "restart" => self.restart(args)?,
            "begin-catch-up" => self.get(args.id()?)?.begin_catch_up(),
            "finish-catch-up" => self.finish_catch_up(args)?,
            "fail-catch-up" => self.get(args.id()?)?.node.catch_up_ended(args.id()?),
            _ => return Err(format!("no such command: {name}").into()),
        }
        Ok(())
    }

    fn show(&mut self, what: &str, args: &mut Args) -> Told {
        for id in self.ids_or_all(args)? {
            let board = self.get(id)?;
            let line = match what {
                "status" => words::status(&board.node.status()),
                "log" => {
                    let entries: Vec<String> = board.disk.entries.iter().map(words::entry).collect();
                    format!("{id} after {}: {}", board.disk.start, entries.join(", "))
                }
                _ => format!("{id}: {}", words::membership(board.node.membership())),
            };
            self.say(line);
        }
        Ok(())
    }

    fn say(&mut self, line: impl AsRef<str>) {
        self.output.push_str(line.as_ref());
        self.output.push('\n');
    }

    fn get(&mut self, id: NodeId) -> Result<&mut Board, Box<dyn Error>> {
        self.boards.get_mut(&id).ok_or_else(|| format!("no board {id} is up").into())
    }

    fn ids_or_all(&self, args: &mut Args) -> Result<Vec<NodeId>, Box<dyn Error>> {
        let ids = args.ids()?;
        Ok(if ids.is_empty() { self.boards.keys().copied().collect() } else { ids })
    }

    fn cluster(&mut self, args: &mut Args) -> Told {
        const PLENTY: u64 = 1 << 20;
        let options = Options {
            id: NodeId(0),
            election_ticks: args.number("election", 10)? as u32,
            heartbeat_ticks: args.number("heartbeat", 1)? as u32,
            append_bytes_max: args.number("append", PLENTY)?,
            window_bytes: args.number("window", PLENTY)?,
            uncommitted_bytes_max: args.number("uncommitted", PLENTY)?,
            tail_bytes_max: args.number("tail", PLENTY)?,
            apply_bytes_max: args.number("apply", PLENTY)?,
            reads_max: args.number("reads", 100)? as usize,
            bugs: args.named.remove("bug").map_or(Ok(Bugs::default()), |name| bug(&name))?,
        };
        let mut initial = Membership::of_voters(args.ids()?);
        if let Some(ids) = args.named.remove("learners") {
            initial.learners = ids.split('-').map(id).collect::<Result<_, _>>()?;
        }
        *self = Script { options: Some(options), ..Script::default() };
        for id in initial.members() {
            self.boot(
                id,
                Disk { store: Store { initial: initial.clone(), history: Vec::new() }, ..Disk::default() },
            )?;
        }
        Ok(())
    }

    fn boot(&mut self, id: NodeId, disk: Disk) -> Told {
        let options = Options { id, ..self.options.clone().ok_or("no cluster yet")? };
        self.boards.insert(id, Board::boot(options, disk, id.0));
        self.seen.remove(&id);
        Ok(())
    }

    fn board(&mut self, args: &mut Args) -> Told {
        let id = args.id()?;
        let is_blank = args.words.front().is_some_and(|word| word == "blank");
        args.words.drain(..usize::from(is_blank));
        let initial = match self.boards.values().next() {
            Some(other) if !is_blank => other.store.initial.clone(),
            _ => Membership::default(),
        };
        let terms = args.named.remove("log").unwrap_or_default();
        let log: Vec<Entry> = terms
            .split('-')
            .filter(|term| !term.is_empty())
            .zip(1..)
            .map(|(term, index)| {
                Ok(Entry { id: EntryId::new(term.parse()?, index), payload: Payload::Empty })
            })
            .collect::<Result<_, Box<dyn Error>>>()?;
        let last_term = log.last().map_or(0, |entry| entry.id.term.0);
        let hard_state =
            HardState { term: Term(args.number("term", last_term)?), vote: args.named_id("vote")? };
        let applied = args.number("applied", 0)? as usize;
        let store = Store { initial, history: log[..applied].to_vec() };
        self.boot(id, Disk { hard_state, entries: log, store, ..Disk::default() })
    }

    fn tick(&mut self, args: &mut Args) -> Told {
        let times = args.number("times", 1)?;
        let ids = args.ids()?;
        for _ in 0..times {
            for id in &ids {
                self.get(*id)?.node.tick();
            }
            self.poll()?;
        }
        Ok(())
    }

    fn elect(&mut self, args: &mut Args) -> Told {
        let to = args.id()?;
        let term = self.get(to)?.node.term();
        let from = NodeId(0xff);
        self.get(to)?.node.step(Envelope { from, to, term, message: Message::TimeoutNow });
        self.settle()
    }

    fn handle(&mut self, args: &mut Args, how: fn(&mut Script, Envelope) -> Told) -> Told {
        let (from, to) = (args.named_id("from")?, args.named_id("to")?);
        let kind = args.named.remove("kind");
        let fits = |envelope: &Envelope| {
            from.is_none_or(|from| from == envelope.from)
                && to.is_none_or(|to| to == envelope.to)
                && kind.as_ref().is_none_or(|kind| kind == words::kind(&envelope.message))
        };
        let (chosen, rest) = std::mem::take(&mut self.network).into_iter().partition(fits);
        self.network = rest;
        let chosen: Vec<Envelope> = chosen;
        if chosen.is_empty() {
            return Err("no such message waits".into());
        }
        chosen.into_iter().try_for_each(|envelope| how(self, envelope))
    }

    fn deliver(&mut self, envelope: Envelope) -> Told {
        let line = words::envelope(&envelope);
        let is_cut = self.cut.contains(&(envelope.from, envelope.to));
        if is_cut || !self.boards.contains_key(&envelope.to) {
            self.say(format!("{line} ✕"));
            return Ok(());
        }
        self.say(line);
        self.step(envelope)
    }

    fn step(&mut self, envelope: Envelope) -> Told {
        let to = envelope.to;
        self.get(to)?.node.step(envelope);
        while self.get(to)?.node.has_ready() {
            self.take_ready(to)?;
        }
        self.tell_change(to)
    }

    fn lose(&mut self, envelope: Envelope) -> Told {
        self.say(format!("{} ✕", words::envelope(&envelope)));
        Ok(())
    }

    fn double(&mut self, envelope: Envelope) -> Told {
        self.network.extend([envelope.clone(), envelope]);
        Ok(())
    }

    fn settle(&mut self) -> Told {
        self.poll()?;
        for _ in 0..1000 {
            if self.network.is_empty() {
                return Ok(());
            }
            std::mem::take(&mut self.network).into_iter().try_for_each(|envelope| self.deliver(envelope))?;
        }
        Err("they talk without end".into())
    }

    fn cut(&mut self, args: &mut Args) -> Told {
        let from = args.id()?;
        for to in args.ids()? {
            self.cut.extend([(from, to), (to, from)]);
        }
        Ok(())
    }

    fn sync_told(&mut self, args: &mut Args) -> Told {
        let id = args.id()?;
        let count = args.words.pop_front().map(|word| word.parse()).transpose()?.unwrap_or(usize::MAX);
        self.sync(id, count)
    }

    fn sync(&mut self, id: NodeId, count: usize) -> Told {
        let is_slow = self.slow_disks.contains(&id);
        let board = self.get(id)?;
        let (leave, ticket) = board.sync(count);
        if let Some(ticket) = ticket {
            board.node.persisted(ticket);
            if is_slow {
                self.say(format!("{id} synced #{}", ticket.0));
            }
        }
        self.network.extend(leave);
        Ok(())
    }

    fn apply_told(&mut self, args: &mut Args) -> Told {
        let id = args.id()?;
        let count = args.words.pop_front().map(|word| word.parse()).transpose()?.unwrap_or(usize::MAX);
        self.apply(id, count)
    }

    fn apply(&mut self, id: NodeId, count: usize) -> Told {
        let board = self.get(id)?;
        let lines: Vec<String> = board.applying.iter().take(count).map(words::entry).collect();
        board.apply(count);
        if !lines.is_empty() {
            self.say(format!("{id} applies {}", lines.join(", ")));
        }
        Ok(())
    }

    fn proposal(&mut self, origin: NodeId) -> ProposalId {
        self.next_proposal += 1;
        ProposalId { origin, number: self.next_proposal }
    }

    fn propose(&mut self, args: &mut Args) -> Told {
        let (id, text) = (args.id()?, args.word()?);
        let bytes = args.number("bytes", text.len() as u64)? as usize;
        for _ in 0..args.number("times", 1)? {
            let proposal = self.proposal(id);
            let data = Bytes::from(text.bytes().cycle().take(bytes).collect::<Vec<u8>>());
            self.get(id)?.node.propose(proposal, data);
        }
        Ok(())
    }

    fn read(&mut self, args: &mut Args) -> Told {
        let id = args.id()?;
        for _ in 0..args.number("times", 1)? {
            let proposal = self.proposal(id);
            self.get(id)?.node.read_index(proposal);
        }
        Ok(())
    }

    fn change(&mut self, args: &mut Args) -> Told {
        let (id, what, member) = (args.id()?, args.word()?, args.id()?);
        let change = match what.as_str() {
            "add-voter" => MembershipChange::AddVoter(member),
            "add-learner" => MembershipChange::AddLearner(member),
            "promote" => MembershipChange::Promote(member),
            "remove" => MembershipChange::Remove(member),
            "demote" => MembershipChange::Demote(member),
            _ => return Err(format!("no such change: {what}").into()),
        };
        let proposal = self.proposal(id);
        self.get(id)?.node.change_members(proposal, change, Bytes::new());
        Ok(())
    }

    fn transfer(&mut self, args: &mut Args) -> Told {
        let from = args.id()?;
        let to = args.words.pop_front().map(|word| id(&word)).transpose()?;
        if let Err(error) = self.get(from)?.node.transfer_leader(to) {
            self.say(error.to_string());
        }
        Ok(())
    }

    fn room(&mut self, args: &mut Args) -> Told {
        let id = args.id()?;
        let reason = match args.word()?.as_str() {
            "yes" => None,
            "no" => Some(Refusal::NoSpace),
            room => return Err(format!("neither yes nor no: {room}").into()),
        };
        self.get(id)?.node.close(reason);
        Ok(())
    }

    fn lost(&mut self, args: &mut Args) -> Told {
        let gone = args.id()?;
        args.ids()?.into_iter().try_for_each(|id| {
            self.get(id)?.node.peer_lost(gone);
            Ok(())
        })
    }

    fn retime(&mut self, args: &mut Args) -> Told {
        let (id, ticks) = (args.id()?, args.word()?.parse()?);
        self.get(id)?.node.set_election_ticks(ticks);
        Ok(())
    }

    fn crash(&mut self, args: &mut Args) -> Told {
        for id in args.ids()? {
            let board = self.boards.remove(&id).ok_or("it is down")?;
            self.down.insert(id, board.disk);
        }
        Ok(())
    }

    fn restart(&mut self, args: &mut Args) -> Told {
        for id in args.ids()? {
            let up = self.boards.remove(&id).map(|board| board.disk);
            let disk = up.or_else(|| self.down.remove(&id)).ok_or("no such board")?;
            self.boot(id, disk)?;
        }
        Ok(())
    }

    fn finish_catch_up(&mut self, args: &mut Args) -> Told {
        let (from, to) = (args.id()?, args.id()?);
        let mut store = self.get(from)?.store.clone();
        store.history.truncate(args.number("at", u64::MAX)? as usize);
        let at = store.applied().index;
        self.get(from)?.node.keep_tail_for(to, at);
        self.get(to)?.finish_catch_up(store);
        self.get(from)?.node.catch_up_ended(to);
        Ok(())
    }

    fn send(&mut self, args: &mut Args) -> Told {
        let (from, to) = (args.id()?, args.id()?);
        let term = Term(args.word()?.parse()?);
        let message = match args.word()?.as_str() {
            "append" => {
                let prev = entry_id(&args.word()?)?;
                let entries = args.words.drain(..).map(|word| {
                    let id = entry_id(&word)?;
                    Ok(Entry { id, payload: Payload::Empty })
                });
                let entries = entries.collect::<Result<_, Box<dyn Error>>>()?;
                Message::Append { prev, entries, commit: Index(args.number("commit", 0)?) }
            }
            "heartbeat" => Message::Heartbeat { commit: Index(args.number("commit", 0)?), round: 1 },
            "heartbeat-ack" => Message::HeartbeatAck { round: args.number("round", 0)?, has_room: true },
            "accepted" => Message::AppendAccepted { matched: Index(args.word()?.parse()?) },
            "vote-request" => {
                Message::VoteRequest { pre: false, last: entry_id(&args.word()?)?, transfer: false }
            }
            "timeout-now" => Message::TimeoutNow,
            kind => return Err(format!("no message {kind}").into()),
        };
        self.network.push(Envelope { from, to, term, message });
        Ok(())
    }

    /// Takes what the boards want done, until none wants anything.
    fn poll(&mut self) -> Told {
        let ids: Vec<NodeId> = self.boards.keys().copied().collect();
        for id in ids {
            while self.get(id)?.node.has_ready() {
                self.take_ready(id)?;
            }
            self.tell_change(id)?;
        }
        Ok(())
    }

    fn take_ready(&mut self, id: NodeId) -> Told {
        let ready = self.get(id)?.ready();
        self.network.extend(ready.send);
        for read in ready.reads {
            self.say(format!("{id} reads {} at {}", read.id, read.index));
        }
        for refused in ready.refused {
            let doubt = if refused.is_certain { "" } else { ", perhaps taken elsewhere" };
            self.say(format!("{id} refused {}: {}{doubt}", refused.id, refused.error));
        }
        for peer in ready.catch_up {
            self.say(format!("{id} must catch up {peer}"));
        }
        if let Some(persist) = ready.persist
            && self.slow_disks.contains(&id)
        {
            self.say(format!("{id} writes {}", words::persist(&persist)));
        }
        if !self.slow_disks.contains(&id) {
            self.sync(id, usize::MAX)?;
        }
        if !self.slow_stores.contains(&id) {
            self.apply(id, usize::MAX)?;
        }
        Ok(())
    }

    fn tell_change(&mut self, id: NodeId) -> Told {
        let node = &self.get(id)?.node;
        let now = (node.term(), node.role(), node.leader());
        let first = (node.term(), Role::Follower, None);
        let before = self.seen.insert(id, now).unwrap_or(first);
        if before != now {
            let (term, role, leader) = now;
            let mut line = format!("{id} is {role:?} in term {term}");
            match leader {
                Some(leader) if leader != id => write!(line, " of {leader}")?,
                _ => {}
            }
            self.say(line);
        }
        Ok(())
    }
}

fn set_speed(args: &mut Args, slow: &mut BTreeSet<NodeId>) -> Told {
    let id = args.id()?;
    match args.word()?.as_str() {
        "slow" => drop(slow.insert(id)),
        "fast" => drop(slow.remove(&id)),
        speed => return Err(format!("neither slow nor fast: {speed}").into()),
    }
    Ok(())
}

fn bug(name: &str) -> Result<Bugs, Box<dyn Error>> {
    let bug = Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == name);
    Ok(Bugs::only(bug.ok_or("no such bug")?))
}

#[test]
fn scripts() {
    let mut paths: Vec<_> = std::fs::read_dir("tests/scripts/raft")
        .expect("the scripts are there")
        .map(|file| file.expect("a file of the directory").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no scripts");
    let failed: Vec<_> = paths
        .iter()
        .filter(|path| {
            let run = std::panic::AssertUnwindSafe(|| goldenscript::run(&mut Script::default(), path));
            let result = std::panic::catch_unwind(run);
            if let Ok(Err(error)) = &result {
                println!("{}: {error}", path.display());
            }
            !matches!(result, Ok(Ok(())))
        })
        .collect();
    assert!(failed.is_empty(), "scripts that came out differently: {failed:?}");
}
