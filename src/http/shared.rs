//! What all connections of a server have in common.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::poll_fn,
    rc::Rc,
    task::{Poll, Waker},
};

use super::{
    guard::Guard,
    limits::{Limits, Options, REST_BYTES_FREE},
    link::{Held, Link, Phase},
    pool::Pool,
    signal::Signal,
};

pub(super) struct Shared {
    pub limits: Limits,
    pub guard: Guard,
    pub pool: Pool,
    /// All that are open, by the order in which they came.
    pub links: RefCell<BTreeMap<u64, Rc<Link>>>,
    next_link: Cell<u64>,
    /// Of bodies that are held.
    bodies_bytes: Cell<usize>,
    /// Of answers that their peers are too slow to take.
    rests_bytes: Cell<usize>,
    /// Counts those.
    next_held: Cell<u64>,
    /// Who waits until there are fewer.
    for_room: RefCell<Vec<Waker>>,
    stopping: Cell<bool>,
    /// The sweeper looks again after so long; `u64::MAX`: not before it is woken.
    pub sweep_after_ms: Cell<u64>,
    pub sweep_now: Signal,
    pub all_gone: Signal,
}

impl Shared {
    pub(super) fn new(options: Options) -> Shared {
        Shared {
            guard: Guard::new(&options.host_whitelist, &options.cors),
            limits: options.limits,
            pool: Pool::default(),
            links: RefCell::default(),
            next_link: Cell::new(0),
            bodies_bytes: Cell::new(0),
            rests_bytes: Cell::new(0),
            next_held: Cell::new(0),
            for_room: RefCell::default(),
            stopping: Cell::new(false),
            sweep_after_ms: Cell::new(u64::MAX),
            sweep_now: Signal::default(),
            all_gone: Signal::default(),
        }
    }

    pub(super) fn add(&self, link: &Rc<Link>) -> u64 {
        let id = self.next_link.get();
        self.next_link.set(id + 1);
        self.links.borrow_mut().insert(id, link.clone());
        id
    }

    pub(super) fn remove(&self, id: u64) {
        let mut links = self.links.borrow_mut();
        links.remove(&id);
        if links.is_empty() {
            self.all_gone.raise();
        }
    }

    /// Takes room for a body of which the connection has `held` bytes already.
    pub(super) fn hold(&self, bytes: usize, held: usize) -> bool {
        let all = self.bodies_bytes.get();
        let fits = all <= held || all + bytes <= self.limits.bodies_bytes_max;
        if fits {
            self.bodies_bytes.set(all + bytes);
        }
        fits
    }

    pub(super) fn release(&self, held: usize) {
        let all = self.bodies_bytes.get();
        assert!(all >= held, "released {held} bytes of {all}");
        self.bodies_bytes.set(all - held);
    }

    /// The rest of an answer is held from now on, because its peer is too slow, until the guard is dropped.
    pub(super) fn hold_rest(self: &Rc<Shared>, link: &Rc<Link>, bytes: usize) -> Rest {
        if bytes > REST_BYTES_FREE {
            let since = self.next_held.get();
            self.next_held.set(since + 1);
            link.held.set(Some(Held { bytes, since, is_cut: false }));
            self.rests_bytes.set(self.rests_bytes.get() + bytes);
            // Whether or not somebody waits: answers that were made before it was known that peers are slow count, too.
            if !self.has_room() {
                self.make_room();
            }
        }
        Rest { shared: self.clone(), link: link.clone() }
    }

    fn has_room(&self) -> bool {
        self.rests_bytes.get() <= self.limits.answers_bytes_max
    }

    /// Cuts those who have been too slow for longest, so that half of the room is free once they have let go.
    fn make_room(&self) {
        let links = self.links.borrow();
        let mut slow: Vec<_> = links.values().filter_map(|link| Some((link.held.get()?, link))).collect();
        slow.sort_unstable_by_key(|(held, _)| held.since);
        let mut rests_bytes = self.rests_bytes.get();
        for (held, link) in slow {
            if rests_bytes <= self.limits.answers_bytes_max / 2 {
                break;
            }
            rests_bytes -= held.bytes;
            if !held.is_cut {
                log::debug!("cut a connection whose peer does not take its answer: others need the memory");
                link.held.set(Some(Held { is_cut: true, ..held }));
                link.cut();
            }
        }
    }

    fn release_rest(&self, link: &Link) {
        let bytes = link.held.take().map_or(0, |held| held.bytes);
        self.rests_bytes.set(self.rests_bytes.get() - bytes);
        if self.has_room() {
            self.for_room.borrow_mut().drain(..).for_each(Waker::wake);
        }
    }

    /// The sweeper is woken if it would look too late.
    pub(super) fn enter(&self, link: &Link, phase: Phase) {
        link.enter(phase);
        if sweep_step_ms(phase, &self.limits) < self.sweep_after_ms.get() {
            self.sweep_now.raise();
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// Who waits for its peer is woken; who answers goes on.
    pub(super) fn stop(&self) {
        self.stopping.set(true);
        for link in self.links.borrow().values().filter(|link| link.phase().may_end()) {
            link.end_input();
        }
    }
}

/// The rest of an answer that its peer is too slow to take.
pub(super) struct Rest {
    shared: Rc<Shared>,
    link: Rc<Link>,
}

impl Drop for Rest {
    fn drop(&mut self) {
        self.shared.release_rest(&self.link);
    }
}

/// Tells whether there is memory for one more answer, while some peers do not take theirs. To be asked before something
/// large is made.
#[derive(Clone)]
pub struct Room(pub(super) Rc<Shared>);

impl Room {
    /// Returns once there is room; at once, unless peers are slow.
    pub async fn wait(&self) {
        let Room(shared) = self;
        poll_fn(|context| {
            if shared.has_room() {
                return Poll::Ready(());
            }
            shared.make_room();
            shared.for_room.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// How often the sweeper looks while a connection is in this phase, so that none gets more than half again its time.
pub(super) fn sweep_step_ms(phase: Phase, limits: &Limits) -> u64 {
    let timeout = phase.timeout(limits).map(|timeout| timeout.as_millis() / 4);
    timeout.map_or(u64::MAX, |step| u64::try_from(step).unwrap_or(u64::MAX - 1).max(1))
}
