//! What all connections of a server have in common.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use super::{
    guard::Guard,
    limits::{Limits, Options},
    link::{Link, Phase},
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

/// How often the sweeper looks while a connection is in this phase, so that none gets more than half again its time.
pub(super) fn sweep_step_ms(phase: Phase, limits: &Limits) -> u64 {
    let timeout = phase.timeout(limits).map(|timeout| timeout.as_millis() / 4);
    timeout.map_or(u64::MAX, |step| u64::try_from(step).unwrap_or(u64::MAX - 1).max(1))
}
