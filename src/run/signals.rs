//! When to stop.

use std::cell::{Cell, RefCell};
use std::{
    future::poll_fn,
    task::{Poll, Waker},
};

use async_signal::{Signal, Signals};
use futures_lite::StreamExt as _;

/// Returns when the process is asked to end: SIGTERM, or SIGINT from a terminal.
pub(super) async fn wait() {
    let signal = match Signals::new([Signal::Term, Signal::Int]) {
        Ok(mut signals) => signals.next().await,
        Err(error) => {
            log::warn!("cannot listen to signals: {error}; SIGTERM ends the process without a clean stop");
            std::future::pending().await
        }
    };
    if let Some(Ok(signal)) = signal {
        log::debug!("signal {signal:?}");
    }
}

/// Told once, heard by many.
#[derive(Default)]
pub(super) struct Stop {
    asked: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Stop {
    pub(super) fn ask(&self) {
        self.asked.set(true);
        self.waiting.borrow_mut().drain(..).for_each(Waker::wake);
    }

    pub(super) async fn asked(&self) {
        poll_fn(|cx| {
            if self.asked.get() {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
