//! The side that lets in.

use std::{future::Future, io, net::SocketAddr, rc::Rc};

use async_io::Timer;
use futures_lite::future::or;

use crate::types::Bytes;

use super::{
    JoinAnswer, JoinFrame, JoinRequest, NoProof, Reception,
    proof::{self, EXPORTER_LABEL, Role},
};
use crate::peer::{
    Frame, Greeting, Purpose, Refusal, accept, judge,
    limits::{BYE_TIMEOUT, JOIN_BYTES_MAX, JOINERS_MAX, ROLL_BYTES_MAX},
    shared::{Shared, read_frame, write_frame, write_greeting},
    stream::Stream,
};

/// Why one was not let in, for this board's log.
struct Ended(String);

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Ended {
        Ended(error.to_string())
    }
}

/// Why this board does not prove itself; the joiner is told.
struct Unproven(NoProof, String);

/// One joiner, from its greeting on.
pub(in crate::peer) struct Joining<'a> {
    pub(in crate::peer) shared: &'a Shared,
    pub(in crate::peer) theirs: &'a Greeting,
    pub(in crate::peer) address: SocketAddr,
}

/// One of the few for those who have proven themselves.
struct Place<'a>(&'a Shared);

impl<'a> Place<'a> {
    fn take(shared: &'a Shared) -> Option<Place<'a>> {
        let taken = shared.joiners.get();
        (taken < JOINERS_MAX).then(|| {
            shared.joiners.set(taken + 1);
            Place(shared)
        })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.joiners.set(self.0.joiners.get() - 1);
    }
}

impl Joining<'_> {
    /// `proven` is called once it is no stranger any more.
    pub(in crate::peer) async fn run(&self, mut stream: Stream, proven: impl FnOnce()) {
        let whole = async {
            let served = self.serve(&mut stream, proven).await;
            or(accept::close(stream), async {
                Timer::after(BYE_TIMEOUT).await;
            })
            .await;
            served
        };
        let late = async {
            Timer::after(self.shared.limits.join_timeout).await;
            Err(Ended("it took too long".into()))
        };
        if let Err(Ended(why)) = or(whole, late).await {
            self.shared.counts.refused.add(1);
            self.shared.warn(&format!("a board at {} did not join: {why}", self.address));
        }
    }

    async fn serve(&self, stream: &mut Stream, proven: impl FnOnce()) -> Result<(), Ended> {
        self.greet(stream).await?;
        let JoinFrame::Proof { token, mac } = self.hear(stream).await? else {
            return Err(Ended("it did not begin with its proof".into()));
        };
        let (reception, mac, _place) = match self.check(stream, &token, &mac).await? {
            Ok(checked) => checked,
            Err(Unproven(reason, why)) => {
                self.say(stream, JoinFrame::Refused { reason, why: why.clone() }).await?;
                return Err(Ended(why));
            }
        };
        proven();
        self.say(stream, JoinFrame::Proof { token: token.clone(), mac }).await?;
        let JoinFrame::Request(request) = self.hear(stream).await? else {
            return Err(Ended("it did not say what it wants".into()));
        };
        let answer = self.admit(&*reception, &token, request).await;
        self.say(stream, JoinFrame::Answer(answer)).await
    }

    async fn greet(&self, stream: &mut Stream) -> Result<(), Ended> {
        let greeting = |verdict| self.shared.greeting(self.theirs.from, Purpose::Join, verdict);
        let verdict = match stream.is_tls() {
            true => judge::of_asking(&greeting(None), self.theirs),
            false => Some(Refusal::Plain),
        };
        let mine = greeting(verdict);
        write_greeting(stream, &mine).await?;
        match verdict {
            None => Ok(()),
            Some(reason) => Err(Ended(reason.explain(self.theirs, &mine))),
        }
    }

    /// The joiner's proof. What is needed for this board's own, if it is right.
    async fn check(
        &self,
        stream: &Stream,
        token: &str,
        mac: &[u8],
    ) -> Result<Result<(Rc<dyn Reception>, Bytes, Place<'_>), Unproven>, Ended> {
        let exporter = stream.exporter(EXPORTER_LABEL)?;
        let later = |why: &str| Ok(Err(Unproven(NoProof::Later, why.into())));
        let Some(reception) = self.shared.reception.borrow().clone() else {
            return later("this board cannot let others in yet: try again, or at another member");
        };
        let Some(secret) = self.in_time(reception.secret(token)).await else {
            return later("the cluster does not say in time whether the token is good: try again");
        };
        let secret = match secret {
            Ok(secret) => secret,
            Err(why) => return Ok(Err(Unproven(NoProof::Token, why))),
        };
        if !proof::is_proven(&secret, Role::Newcomer, token, &exporter, mac) {
            let why = "the secret of the URL is not the token's: copy the whole URL, with all behind the #";
            return Ok(Err(Unproven(NoProof::Secret, why.into())));
        }
        let Some(place) = Place::take(self.shared) else {
            return later("many boards join at this moment: try again");
        };
        let mac = proof::prove(&secret, Role::Member, token, &exporter);
        Ok(Ok((reception, mac, place)))
    }

    async fn admit(&self, reception: &dyn Reception, token: &str, request: JoinRequest) -> JoinAnswer {
        let name = request.name.clone();
        // The rest is for telling it.
        let patience = self.shared.limits.join_timeout.mul_f32(0.8);
        let late = async {
            Timer::after(patience).await;
            JoinAnswer::Later { why: "the cluster did not let it in in time: try again".into() }
        };
        let answer = or(reception.admit(token, request), late).await;
        match &answer {
            JoinAnswer::Welcome { member, name, .. } => {
                log::info!("{name} at {} joins with token {token} as member {member}", self.address);
            }
            JoinAnswer::Refused { why } | JoinAnswer::Later { why } => {
                log::info!("{name:?} at {} does not join now: {why}", self.address);
            }
            JoinAnswer::Elsewhere { .. } => log::debug!("{name:?} at {} is sent on", self.address),
        }
        answer
    }

    async fn hear(&self, stream: &mut Stream) -> Result<JoinFrame, Ended> {
        match self.in_time(read_frame(stream, JOIN_BYTES_MAX)).await {
            Some(Ok(Frame::Join(frame))) => Ok(*frame),
            Some(Ok(_)) => Err(Ended("what it says is not about joining".into())),
            Some(Err(error)) => Err(error.into()),
            None => Err(Ended("it said nothing in time".into())),
        }
    }

    async fn say(&self, stream: &mut Stream, frame: JoinFrame) -> Result<(), Ended> {
        let bytes_max = self.theirs.frame_bytes_max.min(ROLL_BYTES_MAX);
        Ok(write_frame(stream, &Frame::Join(Box::new(frame)), bytes_max).await?)
    }

    async fn in_time<T>(&self, what: impl Future<Output = T>) -> Option<T> {
        let late = async {
            Timer::after(self.shared.limits.greeting_timeout).await;
            None
        };
        or(async { Some(what.await) }, late).await
    }
}
