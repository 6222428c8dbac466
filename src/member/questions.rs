//! What only the leader knows, asked from any member: how long leases have left. And what it asks of who is about to vote
//! (`authority`).
//!
//! ```text
//!   door at a follower -- Question --> leader's desk -- clerk: a task for each, as the leader's own doors would do it
//!                      <-- Reply -----
//! ```
//!
//! Asking twice does no harm, so who hears nothing, or is told that nobody leads there, asks whoever leads next.
//!
//! Here you will not find: what is written to the log. That goes through Raft from any member.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    future::poll_fn,
    mem,
    rc::Rc,
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use async_io::Timer;
use futures_lite::future::or;
use smol::LocalExecutor;

use crate::{
    peer::PeerEvent,
    replica::{PeerMessage, Question, Reply},
    types::{Error, NodeId},
};

use super::{
    Member,
    engine::{Ask, Engine, within},
    reply::Slot,
};

/// Questions of other members that are worked on at one time: as many as their clients may have, about 1 KB each. Who asked one
/// more asks again.
const DESK_MAX: usize = 4096;

/// A reply that has not come by now may be lost.
const AGAIN_AFTER: Duration = Duration::from_millis(1000);

/// Between two attempts, where the first was told that nobody leads there.
const PAUSE: Duration = Duration::from_millis(50);

/// What other members ask, until it is taken up; what was asked of them, until it is answered.
#[derive(Default)]
pub(super) struct Desk {
    coming: VecDeque<(NodeId, u64, Question)>,
    at_work: usize,
    waker: Option<Waker>,
    asked: HashMap<u64, Rc<Slot<Reply>>>,
    next: Option<u64>,
}

impl Desk {
    /// Is it about questions? Then it is taken care of.
    pub(super) fn takes(&mut self, event: &mut PeerEvent) -> bool {
        match event {
            PeerEvent::Received(PeerMessage::Question { from, number, question, .. }) => {
                self.question(*from, *number, question.clone());
            }
            PeerEvent::Received(PeerMessage::Reply { number, reply, .. }) => {
                self.reply(*number, mem::replace(reply, Reply::NotLeading));
            }
            _ => return false,
        }
        true
    }

    fn question(&mut self, from: NodeId, number: u64, question: Question) {
        if self.coming.len() + self.at_work < DESK_MAX {
            self.coming.push_back((from, number, question));
            self.waker.take().into_iter().for_each(Waker::wake);
        }
    }

    /// The number of a question whose reply is to lie there.
    fn expect_reply(&mut self, slot: Rc<Slot<Reply>>) -> u64 {
        // From anywhere: what was asked before a restart may yet be answered.
        let number = *self.next.get_or_insert_with(|| fastrand::u64(..));
        self.next = Some(number.wrapping_add(1));
        self.asked.insert(number, slot);
        number
    }

    fn reply(&mut self, number: u64, reply: Reply) {
        if let Some(slot) = self.asked.remove(&number) {
            slot.put(reply);
        }
    }
}

/// Takes itself off the desk when nobody waits for it any more.
struct Asked<'a> {
    desk: &'a RefCell<Desk>,
    number: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.desk.borrow_mut().asked.remove(&self.number);
    }
}

impl Engine {
    /// Who leads, once somebody does.
    async fn leader(&self) -> NodeId {
        let mut leader = None;
        self.until(|core| {
            leader = core.replica.node().leader();
            leader.is_some()
        })
        .await;
        leader.expect("waited for")
    }

    pub(super) async fn ask_of(&self, to: NodeId, question: Question) -> Option<Reply> {
        let slot = Slot::new();
        let number = self.desk.borrow_mut().expect_reply(slot.clone());
        let _asked = Asked { desk: &self.desk, number };
        let from = self.identity.member;
        self.ask(Ask::Say(PeerMessage::Question { from, to, number, question }));
        let reply = async { Some(slot.get().await) };
        let late = async {
            Timer::after(AGAIN_AFTER).await;
            None
        };
        let leader = self.look(|core| core.replica.node().leader());
        let changed = async {
            self.until(|core| core.replica.node().leader() != leader).await;
            None
        };
        or(reply, or(changed, late)).await.filter(|reply| *reply != Reply::NotLeading)
    }
}

impl Member {
    /// The leader's reply; this member's own, by `here`, if it leads. `Error::Timeout`: nobody was heard.
    pub(super) async fn ask_leader<F>(
        &self,
        question: Question,
        here: impl Fn(Member, Question) -> F,
    ) -> Result<Reply, Error>
    where
        F: Future<Output = Result<Reply, Error>>,
    {
        if self.engine.is_stopping() {
            return Err(Error::NoLeader);
        }
        let mut result = Err(Error::Timeout);
        let asking = async {
            loop {
                let leader = self.engine.leader().await;
                let reply = match leader == self.engine.identity.member {
                    true => here(self.clone(), question.clone()).await,
                    false => self.engine.ask_of(leader, question.clone()).await.ok_or(Error::NotLeader),
                };
                if !is_worth_another(&reply) {
                    result = reply;
                    return;
                }
                Timer::after(PAUSE).await;
            }
        };
        within(self.engine.request_timeout(), asking).await;
        result
    }
}

fn is_worth_another(reply: &Result<Reply, Error>) -> bool {
    matches!(
        reply,
        Ok(Reply::NotLeading)
            | Err(Error::NotLeader | Error::NoLeader | Error::LeaderChanged | Error::Timeout)
    )
}

/// Works on what other members ask. Never ends.
pub(super) async fn clerk<T>(member: Member) -> T {
    let executor = LocalExecutor::new();
    let taking = async {
        loop {
            let (from, number, question) = next(&member.engine).await;
            member.engine.desk.borrow_mut().at_work += 1;
            executor.spawn(answer(member.clone(), from, number, question)).detach();
        }
    };
    executor.run(taking).await
}

async fn next(engine: &Engine) -> (NodeId, u64, Question) {
    poll_fn(|context| {
        let mut desk = engine.desk.borrow_mut();
        match desk.coming.pop_front() {
            Some(question) => Poll::Ready(question),
            None => {
                desk.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    })
    .await
}

async fn answer(member: Member, to: NodeId, number: u64, question: Question) {
    let begun = Instant::now();
    let reply = match question {
        Question::Authority => Reply::Authority(member.takes_authority_key(to).await),
        question => member.answer_as_leader(question).await.unwrap_or(Reply::NotLeading),
    };
    member.engine.desk.borrow_mut().at_work -= 1;
    if begun.elapsed() < member.engine.request_timeout() {
        let from = member.engine.identity.member;
        member.engine.ask(Ask::Say(PeerMessage::Reply { from, to, number, reply }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_from_before_a_restart_is_for_nobody() {
        let (mut before, mut after) = (Desk::default(), Desk::default());
        for _ in 0..100 {
            let late = before.expect_reply(Slot::new());
            let number = after.expect_reply(Slot::new());
            let mut reply = |number| {
                let (from, to) = (NodeId(1), NodeId(2));
                let message = PeerMessage::Reply { from, to, number, reply: Reply::KeptAlive(None) };
                assert!(after.takes(&mut PeerEvent::Received(message)));
                after.asked.len()
            };
            assert_eq!(reply(late), 1, "{late} was asked before");
            assert_eq!(reply(number), 0);
        }
    }
}
