//! Answers: from the store thread to a task of the main thread, and from the engine to one.

use std::{
    cell::RefCell,
    future::poll_fn,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use crate::{store::ReadError, types::Error};

use super::store_thread::Keeper;

/// Work for the store thread. The answer lies in a `Reply`.
pub(super) trait Query: Send {
    /// Done; who asked is to be woken. `None`: nobody waits any more, or it failed for good.
    fn run(self: Box<Self>, keeper: &mut Keeper) -> Option<Arc<dyn Answered>>;

    /// It will not be done. Called on the main thread.
    fn refuse(self: Box<Self>, error: Error);
}

/// An answer that is there.
pub(super) trait Answered: Send + Sync {
    /// Called on the main thread: tasks are woken there.
    fn wake(&self);
}

/// Where an answer will lie that comes from the store thread.
pub(super) struct Reply<T>(Mutex<State<T>>);

struct State<T> {
    value: Option<Result<T, Error>>,
    waker: Option<Waker>,
}

impl<T> Reply<T> {
    fn new() -> Reply<T> {
        Reply(Mutex::new(State { value: None, waker: None }))
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, value: Result<T, Error>) {
        self.lock().value = Some(value);
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Result<T, Error>> {
        let mut state = self.lock();
        match state.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    pub(super) async fn get(self: Arc<Reply<T>>) -> Result<T, Error> {
        poll_fn(|context| self.poll(context)).await
    }
}

impl<T: Send> Answered for Reply<T> {
    fn wake(&self) {
        let waker = self.lock().waker.take();
        waker.into_iter().for_each(Waker::wake);
    }
}

/// An answer that somebody owes.
pub(super) struct Promise<T>(Arc<Reply<T>>);

impl<T: Send + 'static> Promise<T> {
    pub(super) fn keep(self, value: T) -> Arc<dyn Answered> {
        self.0.put(Ok(value));
        self.0
    }
}

/// For what is done step by step.
pub(super) fn promise<T>() -> (Promise<T>, Arc<Reply<T>>) {
    let reply = Arc::new(Reply::new());
    (Promise(reply.clone()), reply)
}

struct Asked<T, F> {
    work: F,
    reply: Arc<Reply<T>>,
}

/// Work for the store, and where its answer will lie.
pub(super) fn query<T, F>(work: F) -> (Box<dyn Query>, Arc<Reply<T>>)
where
    T: Send + 'static,
    F: FnOnce(&mut Keeper) -> Result<T, ReadError> + Send + 'static,
{
    let reply = Arc::new(Reply::new());
    (Box::new(Asked { work, reply: reply.clone() }), reply)
}

impl<T, F> Query for Asked<T, F>
where
    T: Send + 'static,
    F: FnOnce(&mut Keeper) -> Result<T, ReadError> + Send,
{
    fn run(self: Box<Self>, keeper: &mut Keeper) -> Option<Arc<dyn Answered>> {
        let Asked { work, reply } = *self;
        if Arc::strong_count(&reply) == 1 {
            return None;
        }
        let value = if keeper.store().receive_mark().is_some() {
            Err(Error::NotReady)
        } else {
            match work(keeper) {
                Ok(value) => Ok(value),
                Err(ReadError::Refused(error)) => Err(error),
                Err(ReadError::Store(error)) => {
                    keeper.fail(&error);
                    return None;
                }
            }
        };
        reply.put(value);
        Some(reply)
    }

    fn refuse(self: Box<Self>, error: Error) {
        self.reply.put(Err(error));
        self.reply.wake();
    }
}

/// Where an answer will lie that comes from the engine, on the same thread.
pub(super) struct Slot<T>(RefCell<(Option<T>, Option<Waker>)>);

impl<T> Slot<T> {
    pub(super) fn new() -> Rc<Slot<T>> {
        Rc::new(Slot(RefCell::new((None, None))))
    }

    pub(super) fn put(&self, value: T) {
        let waker = {
            let mut inner = self.0.borrow_mut();
            inner.0 = Some(value);
            inner.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    pub(super) async fn get(self: Rc<Slot<T>>) -> T {
        poll_fn(|context| {
            let mut inner = self.0.borrow_mut();
            match inner.0.take() {
                Some(value) => Poll::Ready(value),
                None => {
                    inner.1 = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}
