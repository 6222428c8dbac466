//! The threads of a member, and how each is told. They end when this is dropped.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
};

use crate::store::{Backend, Store};

use super::{
    flush_thread::{self, Flush},
    inbox::{Inbox, Report},
    log_thread::{Log, LogJob},
    mailbox::Mailbox,
    pulse::Beats,
    store_thread::{self, Keeper, StoreJob},
};

/// Deep enough for a transaction nested as deep as may be; a board's memory is touched only where it is used.
const STACK_BYTES: usize = 1 << 20;

pub(super) struct Threads {
    pub(super) log: Arc<Mailbox<LogJob>>,
    pub(super) store: Arc<Mailbox<StoreJob>>,
    flush: Arc<Mailbox<Flush>>,
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    pub(super) fn start(
        options: store_thread::Options,
        store: Store,
        backend: Arc<dyn Backend>,
        log: Box<dyn Log>,
        inbox: &Arc<Inbox>,
        beats: &Beats,
    ) -> Threads {
        let log_box = Arc::new(Mailbox::new());
        let store_box = Arc::new(Mailbox::new());
        let flush_box = Arc::new(Mailbox::new());
        let keeper = Keeper::new(
            store,
            options,
            store_box.clone(),
            flush_box.clone(),
            inbox.clone(),
            beats.store.clone(),
        );
        let (log_mail, log_inbox, log_beat) = (log_box.clone(), inbox.clone(), beats.log.clone());
        let (flush_mail, flush_store) = (flush_box.clone(), store_box.clone());
        let handles = vec![
            spawn("wal", inbox, move || log.run(log_mail, log_inbox, log_beat)),
            spawn("store", inbox, move || keeper.run()),
            spawn("flush", inbox, move || flush_thread::run(&*backend, &flush_mail, &flush_store)),
        ];
        Threads { log: log_box, store: store_box, flush: flush_box, handles }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.log.close();
        self.store.close();
        self.flush.close();
        for handle in self.handles.drain(..) {
            // A thread that panicked has said so.
            let _ = handle.join();
        }
    }
}

fn spawn(name: &'static str, inbox: &Arc<Inbox>, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let last_words = LastWords { name, inbox: inbox.clone() };
    thread::Builder::new()
        .name(name.into())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let _last_words = last_words;
            work();
        })
        .unwrap_or_else(|error| panic!("no thread for the {name} can be had: {error}"))
}

/// A thread that panics takes the member with it, where a panic does not end the process anyway.
struct LastWords {
    name: &'static str,
    inbox: Arc<Inbox>,
}

impl Drop for LastWords {
    fn drop(&mut self) {
        if thread::panicking() {
            self.inbox.send(Report::Failed(format!("the {} thread has panicked: this is a bug", self.name)));
        }
    }
}
