//! One seed: boards, the service and what lies between, in any order.

use fastrand::Rng;

use solder::join::{Registered, Turn, turn};

use super::{
    board::{Board, Founds, LetIn, Life},
    service::{Service, Taken, Underway},
};

/// Of the half in which things go wrong.
const STEPS: u32 = 600;

/// In which all must have come in after that: each step is something that can happen.
const CALM_STEPS: u32 = 4000;

/// A bent board asks so often before it loses patience.
const PATIENCE: u32 = 2;

/// None of a board's.
const NO_LIFE: u32 = u32::MAX;

/// What would make two clusters of one token, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bend {
    /// Who waits in vain for the founder founds the cluster itself.
    Impatient,
    /// Who is first is settled by the ids, and not by the order in which they came.
    FirstById,
    /// Whoever has registered is believed to be a board of the cluster.
    Credulous,
}

/// What happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Report {
    pub(crate) founded: u32,
    pub(crate) joined: u32,
    pub(crate) blocked: u32,
    pub(crate) crashes: u32,
    pub(crate) wiped: u32,
    pub(crate) lost_data: u32,
    pub(crate) lost: u32,
    pub(crate) doubled: u32,
    pub(crate) outrun: u32,
    pub(crate) late: u32,
    pub(crate) ended: u32,
    pub(crate) restarts: u32,
    pub(crate) strangers: u32,
}

impl Report {
    pub(crate) fn add(&mut self, other: &Report) {
        let Report { founded, joined, blocked, crashes, wiped, lost_data, .. } = *other;
        let Report { lost, doubled, outrun, late, ended, restarts, strangers, .. } = *other;
        self.founded += founded;
        self.joined += joined;
        self.blocked += blocked;
        self.crashes += crashes;
        self.wiped += wiped;
        self.lost_data += lost_data;
        self.lost += lost;
        self.doubled += doubled;
        self.outrun += outrun;
        self.late += late;
        self.ended += ended;
        self.restarts += restarts;
        self.strangers += strangers;
    }
}

/// Which life of which board.
type Whose = (usize, u32);

/// What is on its way. A life of a board hears only what was told to it.
#[derive(Clone, Debug)]
enum Message {
    Look { from: Whose },
    Register { from: Whose, id: String },
    Registered { to: Whose, told: Option<Registered> },
    Taken { to: Whose },
    LetMeIn { from: Whose, at: String },
    Welcome { to: Whose, cluster: u32 },
}

pub(crate) struct World {
    rng: Rng,
    bend: Option<Bend>,
    size: u32,
    /// How much goes wrong, of 200.
    harm: u32,
    /// The token may end.
    ends: bool,
    service: Service,
    boards: Vec<Board>,
    wires: Vec<Message>,
    /// Everyone who has made a cluster, by the key that its id is made of.
    founders: Vec<u32>,
    keys: u32,
    has_ended: bool,
    report: Report,
}

impl World {
    pub(crate) fn new(seed: u64, bend: Option<Bend>) -> World {
        let mut rng = Rng::with_seed(seed);
        let size = rng.u32(1..=9);
        let boards = size + if rng.bool() { rng.u32(0..3) } else { 0 };
        let service = Service::new(size);
        World {
            bend,
            size,
            harm: rng.u32(..8),
            ends: rng.u32(..8) == 0,
            service,
            boards: (0..boards).map(|_| Board::new()).collect(),
            wires: Vec::new(),
            founders: Vec::new(),
            keys: 0,
            has_ended: false,
            report: Report::default(),
            rng,
        }
    }

    pub(crate) fn run(mut self) -> Result<Report, String> {
        for _ in 0..STEPS {
            match self.rng.u32(..200) {
                chance if chance < self.harm => self.something_goes_wrong(),
                chance if chance < 50 => self.switch_on_somebody(),
                _ => self.go_on(true)?,
            }
        }
        for _ in 0..CALM_STEPS {
            self.boards.iter_mut().filter(|board| !board.is_on()).for_each(Board::switch_on);
            if self.is_done() {
                break;
            }
            self.go_on(false)?;
        }
        self.judge()?;
        Ok(self.report)
    }

    fn something_goes_wrong(&mut self) {
        let place = self.rng.usize(..self.boards.len());
        match self.rng.u32(..24) {
            0..11 => self.crash(place),
            11 => {
                self.crash(place);
                self.boards[place].card = Default::default();
                self.report.wiped += 1;
            }
            12 => {
                self.crash(place);
                self.boards[place].card.data = None;
                self.report.lost_data += 1;
            }
            13..19 => {
                // What it has begun it has forgotten.
                self.service.underway.clear();
                self.report.restarts += 1;
            }
            19 if !self.ends => {}
            19 => {
                self.service.end();
                self.has_ended = true;
                self.report.ended += 1;
            }
            _ => self.stranger_registers(),
        }
    }

    /// Who has seen the token and not the secret; or a real etcd member. Nobody waits for the answer.
    fn stranger_registers(&mut self) {
        let digits = if self.rng.bool() { 16 } else { 48 };
        let id: String = (0..digits).map(|_| char::from(b"0123456789abcdef"[self.rng.usize(..16)])).collect();
        self.service.begin(&id, (0, NO_LIFE));
        self.report.strangers += 1;
    }

    fn crash(&mut self, place: usize) {
        self.report.crashes += u32::from(self.boards[place].is_on());
        self.boards[place].switch_off();
    }

    fn switch_on_somebody(&mut self) {
        let place = self.rng.usize(..self.boards.len());
        if matches!(self.boards[place].life, Life::Off | Life::GivenUp) {
            self.boards[place].switch_on();
        }
    }

    /// A board, a message or the service does the next thing. `is_stormy`: messages get lost, doubled and late.
    fn go_on(&mut self, is_stormy: bool) -> Result<(), String> {
        match self.rng.u32(..3) {
            0 if !self.wires.is_empty() => {
                let at = self.rng.usize(..self.wires.len());
                let message = match self.rng.u32(..10) {
                    0 if is_stormy => {
                        self.report.lost += 1;
                        self.wires.swap_remove(at);
                        return Ok(());
                    }
                    1 if is_stormy => {
                        self.report.doubled += 1;
                        self.wires[at].clone()
                    }
                    _ => self.wires.swap_remove(at),
                };
                self.deliver(message);
                Ok(())
            }
            1 if !self.service.underway.is_empty() => {
                let at = self.rng.usize(..self.service.underway.len());
                let underway = self.service.underway.swap_remove(at);
                self.serve(underway);
                Ok(())
            }
            _ => {
                let place = self.rng.usize(..self.boards.len());
                self.step(place)
            }
        }
    }

    fn step(&mut self, place: usize) -> Result<(), String> {
        let board = &mut self.boards[place];
        let whose = (place, board.lives);
        match board.life {
            Life::Begins => {
                // As often as a card is new: a key is never drawn twice.
                self.keys += 1;
                board.begin(self.keys.wrapping_mul(0x9E37_79B1));
            }
            Life::Looks => {
                board.life = Life::Waits;
                self.wires.push(Message::Look { from: whose });
            }
            // Nothing came back for so long.
            Life::Waits if self.rng.u32(..4) == 0 => board.life = Life::Looks,
            Life::Founds(at) => {
                if let Some(cluster) = board.found(at) {
                    self.is_founded(cluster)?;
                }
            }
            Life::IsLetIn(cluster, at) => {
                board.come_in(cluster, at);
                self.report.joined += u32::from(at == LetIn::MakesStore);
            }
            // The cluster knows by now what the founder had to keep.
            Life::Member => board.card.formation = false,
            Life::Off | Life::Waits | Life::GivenUp => {}
        }
        Ok(())
    }

    /// The one thing that must never be.
    fn is_founded(&mut self, cluster: u32) -> Result<(), String> {
        if !self.founders.contains(&cluster) {
            self.founders.push(cluster);
            self.report.founded += 1;
        }
        match self.founders[..] {
            [_] => Ok(()),
            ref founders => Err(format!("{founders:x?} have founded clusters of one token")),
        }
    }

    fn deliver(&mut self, message: Message) {
        match message {
            Message::Look { from } => {
                let told = self.service.registered();
                self.wires.push(Message::Registered { to: from, told });
            }
            Message::Register { from, id } => {
                if self.service.begin(&id, from).is_some() {
                    self.wires.push(Message::Taken { to: from });
                }
            }
            Message::LetMeIn { from, at } => {
                let door = self.boards.iter().find(|board| board.id().as_ref() == Some(&at));
                let cluster = door.and_then(Board::lets_in);
                self.wires.extend(cluster.map(|cluster| Message::Welcome { to: from, cluster }));
            }
            Message::Registered { to, told } => self.hears(to, told),
            Message::Taken { to } => {
                if let Some(board) = self.waiting(to) {
                    board.life = Life::Looks;
                }
            }
            Message::Welcome { to, cluster } => {
                if let Some(board) = self.waiting(to) {
                    board.life = Life::IsLetIn(cluster, LetIn::KeepsCertificate);
                }
            }
        }
    }

    fn waiting(&mut self, (place, life): Whose) -> Option<&mut Board> {
        let board = &mut self.boards[place];
        (board.lives == life && board.life == Life::Waits).then_some(board)
    }

    fn hears(&mut self, to: Whose, told: Option<Registered>) {
        let bend = self.bend;
        let Some(board) = self.waiting(to) else { return };
        let Some(mut told) = told else {
            board.life = Life::GivenUp;
            return;
        };
        let (id, has_certificate) =
            (board.id().expect("a board that looks has a key"), board.card.certificate);
        if bend == Some(Bend::Credulous) {
            told.boards.splice(0..0, told.strangers.drain(..));
        }
        if bend == Some(Bend::FirstById) {
            told.boards.sort_by(|a, b| a.id.cmp(&b.id));
        }
        if bend == Some(Bend::Impatient) && board.in_vain > PATIENCE {
            board.life = Life::Founds(Founds::KeepsFormation);
            return;
        }
        match turn(&told, &id, has_certificate) {
            Turn::Register => self.wires.push(Message::Register { from: to, id }),
            Turn::Found(_) => board.life = Life::Founds(Founds::KeepsFormation),
            Turn::HasFounded => board.life = Life::GivenUp,
            // It looks again.
            Turn::Doubt => {}
            Turn::Ask(others) => {
                board.in_vain += 1;
                let is_late = others.len() as u32 >= told.size;
                let asks = others.iter().map(|other| Message::LetMeIn { from: to, at: other.id.clone() });
                self.wires.extend(asks);
                self.report.late += u32::from(is_late);
            }
        }
    }

    fn serve(&mut self, underway: Underway) {
        match self.service.finish(&underway) {
            Taken::Registered => self.wires.push(Message::Taken { to: underway.reply_to }),
            Taken::Outrun => {
                self.report.outrun += 1;
                if self.service.begin(&underway.id, underway.reply_to).is_some() {
                    self.wires.push(Message::Taken { to: underway.reply_to });
                }
            }
        }
    }

    fn is_done(&self) -> bool {
        self.boards.iter().all(|board| matches!(board.life, Life::Member | Life::GivenUp))
    }

    /// All is calm, and all have power.
    fn judge(&mut self) -> Result<(), String> {
        if let Some(stray) =
            self.boards.iter().filter_map(|board| board.card.data).find(|data| !self.founders.contains(data))
        {
            return Err(format!("a board holds data of {stray:x}, which nobody has founded"));
        }
        let Some(told) = self.service.registered().filter(|_| !self.has_ended) else { return Ok(()) };
        let first = told.boards.first().ok_or("nobody has registered")?;
        let founder = self.boards.iter().find(|board| board.id().as_ref() == Some(&first.id));
        let leads = founder.is_some_and(|founder| founder.card.data == founder.card.key);
        // Of strangers and one board nobody can say who is right.
        let is_in_doubt = self.size == 1 && !told.strangers.is_empty();
        match founder.filter(|founder| founder.life != Life::GivenUp) {
            Some(founder) if !leads && !is_in_doubt => {
                return Err(format!("{} is the first, and founds nothing: {founder:?}", first.id));
            }
            _ if !leads => {
                self.report.blocked += 1;
                return Ok(());
            }
            _ => {}
        }
        match self.boards.iter().position(|board| board.life != Life::Member) {
            None => Ok(()),
            Some(place) => Err(format!(
                "board {place} of {} is not in the cluster of {}, of {}: {:?}",
                self.boards.len(),
                first.id,
                self.size,
                self.boards[place]
            )),
        }
    }
}
