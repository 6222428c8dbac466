//! Puts the machine together: settings in, a running board out.
//!
//! ```text
//!   Settings --> listeners (bound first: a port in use touches no data)
//!            --> beginning (without data: the others are asked, or let this board in)
//!            --> member    (the directory is locked, log and database are read)
//!            --> doors     (on the executor of the main thread, beside the member's engine)
//!   SIGTERM  --> doors close and answer what is under way --> the member flushes --> out
//! ```
//!
//! Here you will not find: decisions. What is decided stands in `config`, `member` and `api`.

mod beginning;
mod bootstrap;
mod memory;
pub mod notify;
mod options;
mod signals;
mod waiting;
mod watchdog;

use std::{
    path::PathBuf,
    rc::Rc,
    time::{Duration, Instant},
};

use async_io::Timer;
use futures_lite::future;
use smol::LocalExecutor;

use crate::{
    api::{Api, Monitor},
    config::Settings,
    http::{self, Handler, Listener},
    join::{Founding, JoinUrl, Way},
    logging, mdns,
    member::{self, Member, Reach, address_of_neighbour},
    peer::{PeerListener, Peers},
};

use self::{beginning::Beginning, waiting::Waiting};

pub use self::options::member as member_options;

/// How long reading log and database may take before the service manager is to lose patience.
const START_TIMEOUT: Duration = Duration::from_secs(600);

/// Between two looks whether the member can serve.
const NOT_READY_PAUSE: Duration = Duration::from_millis(20);

/// Serves until it is told to stop. Errors: one line that says what happened, to what, and what to do.
pub fn serve(settings: &Settings) -> Result<(), String> {
    let begun = Instant::now();
    logging::start(settings.log);
    memory::give_back();
    settings.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    options::raise_descriptors(settings.budget.connections_max);
    let doors = Doors::bind(settings)?;
    notify::starting(START_TIMEOUT);
    // Before peers are let in: who asks this board meanwhile is told that nobody listens, and need not wait.
    let is_first_start = !member::has_data(&settings.data_dir);
    let waiting = Waiting::at(&doors, settings);
    let Beginning { claim, options, trust, tls, listen, founding } = beginning::of(settings, &waiting)?;
    let listeners = listen.iter().map(PeerListener::bind).collect::<Result<Vec<_>, _>>()?;
    let tls_dir = claim.tls_dir();
    let opened = claim.open(options).map_err(|error| error.to_string())?.with_trust(trust);
    let executor = Rc::new(LocalExecutor::new());
    let peers =
        Peers::start(options::peers(tls, opened.ids()), listeners, executor.clone(), fastrand::Rng::new())?;
    let (member, engine) = opened.start(Some(peers));
    let founding = founding.map(|founding| executor.spawn(form(member.clone(), founding, tls_dir)));
    let speaking = executor.spawn(speak(member.clone(), settings.clone(), is_first_start));
    let serving = executor.spawn(doors.serve(member, settings.clone(), executor.clone(), begun));
    let ended = async_io::block_on(executor.run(engine));
    drop((serving, speaking, founding));
    ended.map_err(|failure| failure.to_string())
}

/// The founder of a cluster lets the others in, once.
async fn form(member: Member, founding: Founding, tls_dir: PathBuf) {
    member.begin_forming(&founding.formation, founding.secret).await;
    smol::unblock(move || Founding::forget(&tls_dir)).await;
}

/// Where clients come in.
struct Doors {
    clients: Vec<Listener>,
    metrics: Vec<Listener>,
}

impl Doors {
    fn bind(settings: &Settings) -> Result<Doors, String> {
        let bind = |addresses: &[std::net::SocketAddr]| {
            addresses
                .iter()
                .map(|address| Listener::bind(&address.to_string()))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Doors { clients: bind(&settings.listen_client)?, metrics: bind(&settings.listen_metrics)? })
    }

    async fn serve(
        self,
        member: Member,
        settings: Settings,
        executor: Rc<LocalExecutor<'static>>,
        begun: Instant,
    ) {
        let at: Vec<String> = self.clients.iter().map(|door| format!("http://{}", door.address())).collect();
        let api = Rc::new(Api::new(member.clone(), options::api(&settings)));
        let monitor = Rc::new(Monitor(api.clone()));
        let stop = Rc::new(signals::Stop::default());
        let open = options::http(&settings);
        let doors = [
            executor.spawn(open_when_ready(
                member.clone(),
                open_door(self.clients, open.clone(), api, executor.clone(), stop.clone()),
                stop.clone(),
            )),
            executor.spawn(open_door(self.metrics, open, monitor, executor.clone(), stop.clone())),
        ];
        let watchdog = executor.spawn(watchdog::watch(member.clone()));
        let announcing = executor.spawn(announce(member.clone(), settings, at, begun));
        signals::wait().await;
        notify::stopping();
        log::info!("stopping: answering what is under way");
        drop((watchdog, announcing));
        stop.ask();
        for door in doors {
            door.await;
        }
        member.stop().await;
    }
}

async fn open_door<H: Handler>(
    listeners: Vec<Listener>,
    options: http::Options,
    handler: Rc<H>,
    executor: Rc<LocalExecutor<'static>>,
    stop: Rc<signals::Stop>,
) {
    http::serve(listeners, options, handler, executor, async move { stop.asked().await }).await;
}

/// A board alone that has just started has yet to learn how much of its log is committed. Who asked it before that would see
/// revisions go back. Clients wait at the door, which is bound already. One of several may be cut off, and has to serve what
/// may be stale all the same: its door opens at once.
async fn open_when_ready(member: Member, door: impl Future<Output = ()>, stop: Rc<signals::Stop>) {
    future::or(until_ready(&member), stop.asked()).await;
    door.await;
}

async fn until_ready(member: &Member) {
    while member.is_alone()
        && let Err(error) = member.read_barrier().await
    {
        log::debug!("not ready yet: {error}");
        Timer::after(NOT_READY_PAUSE).await;
    }
}

/// Tells the local network that there is a member here, if it asks, and if it is to be told.
async fn speak(member: Member, settings: Settings, is_first_start: bool) {
    let Some(url) = settings.discovery.as_ref().filter(|url| JoinUrl::is_for_neighbours(url)) else { return };
    if is_first_start && url.way == Way::Here {
        tell_of_others().await;
    }
    let port = settings.reach.as_ref().map_or(0, Reach::port);
    mdns::announce(&member.name(), port, address_of_neighbour).await
}

/// Who begins a cluster beside another may have wanted to join that one.
async fn tell_of_others() {
    let Some(from) = address_of_neighbour() else { return };
    let found = mdns::browse(from).await.unwrap_or_default();
    let others: Vec<String> = found.iter().map(ToString::to_string).collect();
    if !others.is_empty() {
        log::warn!(
            "this board begins alone; members of a cluster are in this network, at {}: to join them clear its whole data directory and \
             start it with --discovery and the URL mdns:///join/.. that `solder invite` prints there",
            others.join(", ")
        );
    }
}

/// Says that clients are served, once they are.
async fn announce(member: Member, settings: Settings, at: Vec<String>, begun: Instant) {
    until_ready(&member).await;
    let whom = if settings.discovery_alone { "discovery" } else { "clients" };
    let ready = format!("serving {whom} at {}", at.join(", "));
    let (dir, took_ms) = (settings.data_dir.display(), begun.elapsed().as_millis());
    log::info!("{ready}; data in {dir}; {took_ms} ms after the start");
    notify::ready(&ready);
}
