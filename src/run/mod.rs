//! Puts the machine together: settings in, a running board out.
//!
//! ```text
//!   Settings --> listeners (bound first: a port in use touches no data)
//!            --> member    (the directory is locked, log and database are read)
//!            --> doors     (on the executor of the main thread, beside the member's engine)
//!   SIGTERM  --> doors close and answer what is under way --> the member flushes --> out
//! ```
//!
//! Here you will not find: decisions. What is decided stands in `config`, `member` and `api`.

pub mod notify;
mod options;
mod signals;
mod watchdog;

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use smol::LocalExecutor;

use crate::{
    api::Gateway,
    config::Settings,
    http::{self, Listener},
    logging,
    member::{self, Member},
};

/// How long reading log and database may take before the service manager is to lose patience.
const START_TIMEOUT: Duration = Duration::from_secs(600);

/// Serves until it is told to stop. Errors: one line that says what happened, to what, and what to do.
pub fn serve(settings: &Settings) -> Result<(), String> {
    let begun = Instant::now();
    logging::start(settings.log);
    settings.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    options::raise_descriptors(settings.budget.connections_max);
    let doors = Doors::bind(settings)?;
    notify::starting(START_TIMEOUT);
    let opened = member::open(options::member(settings)).map_err(|error| error.to_string())?;
    let (member, engine) = opened.start();
    let executor = Rc::new(LocalExecutor::new());
    let serving = executor.spawn(doors.serve(member, settings.clone(), executor.clone(), begun));
    let ended = async_io::block_on(executor.run(engine));
    drop(serving);
    ended.map_err(|failure| failure.to_string())
}

/// Where clients come in.
struct Doors {
    clients: Vec<Listener>,
    metrics: Vec<Listener>,
}

impl Doors {
    fn bind(settings: &Settings) -> Result<Doors, String> {
        let bind = |addresses: &[std::net::SocketAddr]| {
            addresses.iter().map(|address| Listener::bind(&address.to_string())).collect()
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
        let gateway = Rc::new(Gateway::new(member.clone(), options::api(&settings)));
        let stop = Rc::new(signals::Stop::default());
        let clients = self.clients.iter().map(Listener::address).collect::<Vec<_>>();
        let open = |listeners, pages_only| {
            let options = options::http(&settings);
            let (executor, stop) = (executor.clone(), stop.clone());
            let gateway = gateway.clone();
            async move {
                let stopped = async move { stop.asked().await };
                match pages_only {
                    true => {
                        http::serve(listeners, options, Rc::new(gateway.pages()), executor, stopped).await;
                    }
                    false => http::serve(listeners, options, gateway, executor, stopped).await,
                }
            }
        };
        let doors = [executor.spawn(open(self.clients, false)), executor.spawn(open(self.metrics, true))];
        let watchdog = executor.spawn(watchdog::watch(member.clone()));
        if member.wait_until_ready().await.is_ok() {
            announce(&settings, &clients, begun);
        }
        signals::wait().await;
        notify::stopping();
        log::info!("stopping: answering what is under way");
        stop.ask();
        for door in doors {
            door.await;
        }
        drop(watchdog);
        member.stop();
    }
}

fn announce(settings: &Settings, clients: &[std::net::SocketAddr], begun: Instant) {
    let at = clients.iter().map(|address| format!("http://{address}")).collect::<Vec<_>>().join(", ");
    let ready = format!("serving clients at {at}");
    log::info!(
        "{ready}, data in {}, {} ms after the start",
        settings.data_dir.display(),
        begun.elapsed().as_millis()
    );
    notify::ready(&ready);
}
