//! Boards that are given one discovery URL before there is a cluster.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    house::{House, name},
    invited::first_board,
    judge::{Book, is_one_cluster, voters_of},
    runner::{Scene, scenes},
    seeds,
    support::net::loudly,
};

pub(crate) const SCENES: &[Scene] =
    scenes![few_boards_with_one_url, many_boards_with_one_url, boards_that_are_invited];

/// A put that is answered at all is answered within this time; one that waits for boards is not waited for.
const HASTE: Duration = Duration::from_millis(150);

/// As many vote as boards settle by themselves.
pub(crate) const VOTERS_MAX: usize = 5;

/// One cluster that boards come to under faults.
struct Beginning {
    house: House,
    rng: fastrand::Rng,
    url: String,
    size: usize,
    /// When each board is switched on first; with those that have been taken out.
    due: Vec<(Instant, usize)>,
    /// These boards have been switched on once, whether they run or not.
    begun: Vec<usize>,
    book: Book,
    /// Writes that were tried. What was not answered may come to be later: no key is written twice.
    tried: usize,
}

#[derive(Clone, Copy, Debug)]
enum Trouble {
    Kill,
    Restart,
    Cut,
    CutOneWay,
    Unplug,
    Mend,
    KillService,
    RestartService,
}

const TROUBLES: [Trouble; 8] = [
    Trouble::Kill,
    Trouble::Restart,
    Trouble::Cut,
    Trouble::CutOneWay,
    Trouble::Unplug,
    Trouble::Mend,
    Trouble::KillService,
    Trouble::RestartService,
];

impl Beginning {
    /// They begin together. `None`: there cannot be namespaces here.
    fn together(boards: usize, size: usize, seed: u64) -> Option<Beginning> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut house = built(boards, &mut rng)?;
        house.start_service();
        let url = house.new_token(size);
        let order = house.all();
        Some(Beginning::new(house, rng, url, size, order))
    }

    /// The first has run alone, and has a URL for the others.
    fn invited(boards: usize, seed: u64) -> Option<Beginning> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut house = built(boards, &mut rng)?;
        house.start_service();
        let mut book = Book::new();
        let url = first_board(&mut house, &[], &mut book);
        let others = house.all_but(0);
        Some(Beginning { begun: vec![0], book, ..Beginning::new(house, rng, url, 1, others) })
    }

    fn new(
        house: House,
        mut rng: fastrand::Rng,
        url: String,
        size: usize,
        mut order: Vec<usize>,
    ) -> Beginning {
        rng.shuffle(&mut order);
        let pause = Duration::from_millis([0, 100, 1000][rng.usize(..3)]);
        let mut at = Instant::now();
        let mut due: Vec<(Instant, usize)> = Vec::new();
        for place in order {
            due.push((at, place));
            at += pause.mul_f64(rng.f64() * 2.0);
        }
        Beginning { house, rng, url, size, due, begun: Vec::new(), book: Book::new(), tried: 0 }
    }

    fn run(mut self, is_troubled: bool) {
        let began = Instant::now();
        let last = self.due.iter().map(|(at, _)| *at).max().unwrap_or(began);
        let until = if is_troubled { last + Duration::from_millis(self.rng.u64(..4000)) } else { last };
        while !self.due.is_empty() || Instant::now() < until {
            self.switch_on();
            if is_troubled {
                let trouble = TROUBLES[self.rng.usize(..TROUBLES.len())];
                self.inflict(trouble);
            }
            self.write();
            self.assert_nobody_ended();
            thread::sleep(Duration::from_millis(self.rng.u64(..300)));
        }
        self.heal();
        let all = self.house.all();
        is_one_cluster(&self.house, &all, voters_of(all.len(), VOTERS_MAX), &self.book);
        loudly(&format!(
            "{} boards with a token of {}, {}: one cluster after {:?}, {} writes meanwhile",
            all.len(),
            self.size,
            if is_troubled { "through faults" } else { "undisturbed" },
            began.elapsed(),
            self.book.len()
        ));
    }

    fn switch_on(&mut self) {
        let now = Instant::now();
        let (due, later) = self.due.drain(..).partition(|(at, _)| *at <= now);
        self.due = later;
        let due: Vec<(Instant, usize)> = due;
        for (_, place) in due {
            self.house.serve(place, &["--discovery", &self.url]);
            self.begun.push(place);
        }
    }

    fn any(&mut self) -> usize {
        self.rng.usize(..self.house.boards.len())
    }

    /// Who is there: a board, or the service.
    fn anybody(&mut self) -> usize {
        self.rng.usize(..=self.house.boards.len())
    }

    fn inflict(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Kill => {
                let place = self.any();
                self.house.boards[place].kill();
            }
            Trouble::Restart => {
                let down = self.begun.iter().copied().filter(|place| !self.house.boards[*place].runs());
                if let Some(place) = self.rng.choice(down.collect::<Vec<_>>()) {
                    self.house.boards[place].launch();
                }
            }
            Trouble::Cut | Trouble::CutOneWay => {
                let (from, to) = (self.anybody(), self.anybody());
                if from != to {
                    self.house.net.cut(from, to);
                    if matches!(trouble, Trouble::Cut) {
                        self.house.net.cut(to, from);
                    }
                }
            }
            Trouble::Unplug => {
                let place = self.anybody();
                self.house.net.unplug(place);
            }
            Trouble::Mend => self.house.net.mend_all(),
            Trouble::KillService => self.house.kill_service(),
            Trouble::RestartService if !self.house.service_runs() => self.house.start_service(),
            Trouble::RestartService => {}
        }
    }

    /// Whoever takes a write has as many members as the token is for.
    fn write(&mut self) {
        let place = self.any();
        if !self.house.boards[place].runs() {
            return;
        }
        self.tried += 1;
        let (key, value) = (format!("book/{:06}", self.tried), self.rng.u64(..).to_string());
        let put = self.house.client(place, HASTE, |client| client.put(key.as_bytes(), value.as_bytes()));
        if put.is_ok() {
            let members = self.house.members(place);
            assert!(
                members.len() >= self.size,
                "{} has taken a write with {} members of {}: {members:?}\n{}",
                name(place),
                members.len(),
                self.size,
                self.house.last_words()
            );
            self.book.insert(key, value);
        }
    }

    fn assert_nobody_ended(&mut self) {
        for place in self.begun.clone() {
            let ended = if self.house.boards[place].runs() { self.house.boards[place].ended() } else { None };
            assert!(
                ended.is_none(),
                "{} ended by itself: {ended:?}\n{}",
                name(place),
                self.house.last_words()
            );
        }
    }

    fn heal(&mut self) {
        self.house.net.mend_all();
        if !self.house.service_runs() {
            self.house.start_service();
        }
        for board in self.house.boards.iter_mut().filter(|board| !board.runs()) {
            board.launch();
        }
    }
}

fn built(boards: usize, rng: &mut fastrand::Rng) -> Option<House> {
    let house = House::build(boards)?;
    if rng.bool() {
        (0..=boards).for_each(|place| house.net.route_by_default(place));
    }
    Some(house)
}

fn sometimes_smaller(boards: usize, rng: &mut fastrand::Rng) -> usize {
    if rng.u8(..3) == 0 { rng.usize(1..=boards) } else { boards }
}

/// All of these at one time: they mostly wait.
fn by_chance(test: &str, sizes: &[usize]) {
    for seed in seeds(test, 3) {
        thread::scope(|scope| {
            for boards in sizes {
                scope.spawn(move || begin_together(*boards, seed));
            }
        });
    }
}

fn begin_together(boards: usize, seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed ^ (boards as u64) << 32);
    let size = sometimes_smaller(boards, &mut rng);
    let is_troubled = rng.u8(..4) > 0;
    if let Some(beginning) = Beginning::together(boards, size, rng.u64(..)) {
        beginning.run(is_troubled);
    }
}

fn few_boards_with_one_url() {
    by_chance("few_boards_with_one_url", &[1, 2, 3, 4]);
}

fn many_boards_with_one_url() {
    by_chance("many_boards_with_one_url", &[5, 6, 9]);
}

fn boards_that_are_invited() {
    for seed in seeds("boards_that_are_invited", 1) {
        thread::scope(|scope| {
            for boards in [2, 3, 5] {
                scope.spawn(move || {
                    if let Some(beginning) = Beginning::invited(boards, seed ^ (boards as u64) << 32) {
                        beginning.run(true);
                    }
                });
            }
        });
    }
}
