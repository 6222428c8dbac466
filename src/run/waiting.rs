//! While this board waits to be let in: clients are told so, and the service manager is asked for patience, again and again.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use smol::LocalExecutor;

use super::{Doors, START_TIMEOUT, notify, options, signals::Stop};
use crate::{
    api,
    config::Settings,
    http::{self, Listener},
};

/// What is waited for may be told anew with each attempt; a manager need not hear it each time.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// For answers that are under way when the wait is over.
const STOP_MAX: Duration = Duration::from_secs(1);

pub(super) struct Waiting<'a> {
    doors: &'a Doors,
    settings: &'a Settings,
    page: Rc<api::Waiting>,
    told_at: Cell<Option<Instant>>,
}

impl<'a> Waiting<'a> {
    pub(super) fn at(doors: &'a Doors, settings: &'a Settings) -> Waiting<'a> {
        Waiting { doors, settings, page: Rc::default(), told_at: Cell::default() }
    }

    /// Does what may wait, and answers clients meanwhile. Blocks. Then the doors are as before.
    pub(super) fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let executor = Rc::new(LocalExecutor::new());
        let stop = Rc::new(Stop::default());
        let serving = self.serve(&executor, &stop);
        let done = async_io::block_on(executor.run(async {
            let done = work.await;
            stop.ask();
            serving.await;
            done
        }));
        // What has been cancelled is gone when it has had its turn: it holds sockets, and the executor itself.
        while executor.try_tick() {}
        done
    }

    fn serve(&self, executor: &Rc<LocalExecutor<'static>>, stop: &Rc<Stop>) -> smol::Task<()> {
        let doors = self.doors.clients.iter().chain(&self.doors.metrics);
        let doors = doors.map(Listener::again).collect::<Result<Vec<_>, _>>().unwrap_or_else(|error| {
            log::warn!("clients are not told that this board waits: {error}");
            Vec::new()
        });
        let mut open = options::http(self.settings);
        open.limits.stop_timeout = STOP_MAX;
        let (page, executor, stop) = (self.page.clone(), executor.clone(), stop.clone());
        let serving = http::serve(doors, open, page, executor.clone(), async move { stop.asked().await });
        executor.spawn(serving)
    }

    pub(super) fn say(&self, why: &str) {
        self.page.say(why);
        if self.told_at.get().is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            self.told_at.set(Some(Instant::now()));
            notify::waiting(&format!("waiting to be let into the cluster: {why}"), START_TIMEOUT);
        }
    }
}
