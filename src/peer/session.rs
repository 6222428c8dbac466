//! A connection at work, from the greetings to its end: frames in, frames out, at the same time.
//!
//! ```text
//!   lane's queue --gather--> one write of many frames --> stream
//!   pings, pongs, bye --^
//!   stream --> input --> frames --> inbox, pongs, the peer's bye
//! ```
//!
//! Who ends a connection says why, closes its side, and waits a moment for the other to do the same, so that what it said
//! is not lost in a reset.

use std::{io, rc::Rc, time::Instant};

use async_io::Timer;
use futures_lite::{
    future::{self, or, yield_now},
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split},
};

use crate::replica::PeerMessage;

use super::{
    BadFrame, Frame, Greeting, PeerEvent, Purpose, Refusal,
    connection::Connection,
    frame::Bye,
    lane::Lane,
    limits::{BYE_TIMEOUT, READ_BYTES, READ_BYTES_KEPT, WRITE_BYTES},
    peer::Peer,
    shared::Shared,
    stream::Stream,
};

/// How it came to an end.
#[derive(Debug)]
enum End {
    /// This board wanted it.
    Ours,
    /// The other side closed it: its process ended, or wanted to.
    Closed,
    Said(Bye),
    Malformed(BadFrame),
    /// Somebody else's message.
    Foreign,
    /// The link.
    Broken(io::Error),
}

struct Session<'a> {
    shared: &'a Shared,
    peer: &'a Rc<Peer>,
    lane: &'a Lane,
    connection: &'a Rc<Connection>,
}

/// Serves a connection to its end.
pub(super) async fn run(
    shared: Rc<Shared>,
    peer: Rc<Peer>,
    stream: Stream,
    is_dialled: bool,
    theirs: Greeting,
) {
    let connection = shared.connection(is_dialled, &theirs, stream.shown().cloned());
    let lane = peer.lane(theirs.purpose);
    let session = Session { shared: &shared, peer: &peer, lane, connection: &connection };
    session.begin(&theirs);
    let (reader, writer) = split(stream);
    let end = or(session.read(reader), or(session.write(writer), session.give_up())).await;
    session.end(end);
}

impl Session<'_> {
    fn begin(&self, theirs: &Greeting) {
        if !self.peer.is_incarnation(theirs.incarnation) {
            self.connection.end(Bye::NotMember);
        }
        let was_connected = self.lane.is_connected();
        self.lane.add(self.connection.clone());
        self.peer.count_connection(self.lane.purpose);
        self.shared.welcomed_by(self.peer.id);
        if self.lane.purpose == Purpose::Urgent {
            self.peer.is_lost.set(false);
            self.connection.ping();
            if !was_connected {
                self.peer.active_since.set(Some(Instant::now()));
                log::info!("connected with member {}", self.peer.id);
            }
        }
        if let Some(why) = self.is_too_late() {
            self.connection.end(why);
        }
        let is_good = self.connection.bye().is_none();
        if self.lane.purpose == Purpose::Urgent && !was_connected && is_good {
            self.shared.inbox.push(PeerEvent::Met(self.peer.id), 0);
        }
    }

    /// The list of members may have changed, or the end begun, since it was judged.
    fn is_too_late(&self) -> Option<Bye> {
        let is_known = self.shared.peer(self.peer.id).is_some_and(|known| Rc::ptr_eq(&known, self.peer));
        match () {
            () if self.shared.is_stopping.get() => Some(Bye::Stopping),
            () if self.shared.removed.borrow().contains(&self.peer.id) => Some(Bye::Removed),
            () if !is_known => Some(Bye::NotMember),
            () if !self.peer.is_key(self.connection.shown.as_ref()) => Some(Bye::WrongKey),
            () => None,
        }
    }

    fn end(&self, end: End) {
        let is_last = self.lane.remove(self.connection);
        if self.lane.purpose == Purpose::Bulk {
            self.peer.bulk_lost();
        }
        let end =
            if self.connection.bye().is_some_and(|bye| bye != Bye::Malformed) { End::Ours } else { end };
        self.tell(&end, is_last);
        self.shared.forget(self.peer);
    }

    fn tell(&self, end: &End, is_last: bool) {
        let (id, purpose) = (self.peer.id, self.lane.purpose);
        match end {
            End::Said(Bye::Removed) => self.shared.refused_by(id, Refusal::Removed),
            End::Said(Bye::NotMember) => self.shared.refused_by(id, Refusal::NotMember),
            End::Broken(error) => log::debug!("{purpose} connection with member {id}: {error}"),
            End::Said(Bye::Replaced) => self.shared.warn(&format!(
                "member {id} has a newer {purpose} connection from member {}: is there another board with this id?",
                self.shared.me
            )),
            End::Said(why) => log::debug!("{purpose} connection with member {id}: it says {why:?}"),
            End::Closed | End::Ours | End::Malformed(_) | End::Foreign => {}
        }
        if purpose == Purpose::Urgent && is_last {
            self.peer.active_since.set(None);
        }
        if purpose == Purpose::Urgent && is_last && !matches!(end, End::Ours) {
            log::info!("connection with member {id} lost");
        }
        let has_gone = matches!(end, End::Closed | End::Said(Bye::Stopping));
        if purpose == Purpose::Urgent && is_last && has_gone && !self.peer.is_lost.replace(true) {
            self.shared.inbox.push(PeerEvent::Lost(id), 0);
        }
    }

    /// What cannot say goodbye in time ends without.
    async fn give_up(&self) -> End {
        self.connection.ending.raised().await;
        Timer::after(BYE_TIMEOUT).await;
        End::Ours
    }

    async fn write(&self, mut writer: WriteHalf<Stream>) -> End {
        let mut out = Vec::new();
        loop {
            let messages = self.gather(&mut out);
            if out.is_empty() {
                // What waits holds no buffer.
                out = Vec::new();
                self.connection.work.raised().await;
                continue;
            }
            if let Err(error) = write_out(&mut writer, &out).await {
                return ended(error);
            }
            self.written(out.len(), messages);
            out.clear();
            if self.connection.bye().is_some() {
                return self.close(writer).await;
            }
        }
    }

    /// The reader sees the other side's end, or `give_up` has enough.
    async fn close(&self, mut writer: WriteHalf<Stream>) -> End {
        match writer.close().await {
            Ok(()) => future::pending().await,
            Err(error) => ended(error),
        }
    }

    /// What is to be written next, and how many messages are in it.
    fn gather(&self, out: &mut Vec<u8>) -> u64 {
        if let Some(why) = self.connection.bye() {
            self.put(&Frame::Bye(why), out);
            return 0;
        }
        if let Some(number) = self.connection.take_pong() {
            self.put(&Frame::Pong { number }, out);
        }
        let mut messages = 0;
        if self.lane.sends_on(self.connection.number) {
            messages = self.gather_messages(out);
        }
        if let Some(number) = self.connection.take_ping() {
            self.put(&Frame::Ping { number }, out);
        }
        messages
    }

    fn gather_messages(&self, out: &mut Vec<u8>) -> u64 {
        let mut queue = self.lane.queue.borrow_mut();
        let mut messages = 0;
        while out.len() < WRITE_BYTES {
            let Some(message) = queue.pop() else { break };
            messages += u64::from(self.put(&Frame::Message(message), out));
        }
        if messages > 0 && queue.is_empty() && self.lane.purpose == Purpose::Bulk {
            self.peer.bulk_written(self.connection);
        }
        messages
    }

    fn put(&self, frame: &Frame, out: &mut Vec<u8>) -> bool {
        match frame.encode(out, self.connection.frame_bytes_max) {
            Ok(()) => true,
            Err(error) => {
                self.peer.counts.too_large.add(1);
                log::error!("a message to member {} was not sent: {error}", self.peer.id);
                false
            }
        }
    }

    fn written(&self, bytes: usize, messages: u64) {
        let counts = &self.peer.counts;
        counts.bytes_sent.add(bytes as u64);
        counts.writes.add(1);
        counts.messages_sent.add(messages);
        if messages > 0 {
            self.connection.moved();
        }
    }

    async fn read(&self, mut reader: ReadHalf<Stream>) -> End {
        let mut input = Input::new();
        let end = self.read_on(&mut reader, &mut input).await;
        let what = match &end {
            End::Malformed(error) => error.to_string(),
            End::Foreign => "a message of somebody else, or for somebody else".to_owned(),
            _ => return end,
        };
        self.peer.counts.malformed.add(1);
        let (id, purpose) = (self.peer.id, self.lane.purpose);
        self.shared.warn(&format!("member {id} sent {what}: its {purpose} connection is closed"));
        self.connection.end(Bye::Malformed);
        drop(input);
        // What else comes is of no use; its end is awaited so that the goodbye arrives.
        let mut rest = [0; 1024];
        while reader.read(&mut rest).await.is_ok_and(|bytes| bytes > 0) {
            yield_now().await;
        }
        end
    }

    async fn read_on(&self, reader: &mut ReadHalf<Stream>, input: &mut Input) -> End {
        let bytes_max = self.shared.limits.frame_bytes_max;
        loop {
            match self.take_frames(input, bytes_max).await {
                Ok(()) => {}
                Err(end) => return end,
            }
            if let Err(error) = input.make_room(bytes_max) {
                return End::Malformed(error);
            }
            match reader.read(input.room()).await {
                Ok(0) => return End::Closed,
                Ok(bytes) => {
                    input.filled += bytes;
                    self.peer.counts.bytes_received.add(bytes as u64);
                }
                Err(error) => return ended(error),
            }
        }
    }

    async fn take_frames(&self, input: &mut Input, bytes_max: u32) -> Result<(), End> {
        let mut has_message = false;
        while let Some((frame, length)) = Frame::decode(input.unread(), bytes_max).map_err(End::Malformed)? {
            input.taken += length;
            if let Frame::Message(message) = frame {
                has_message = true;
                self.received(message, length as u64)?;
                self.shared.inbox.room().await;
            } else {
                self.answer(frame)?;
            }
        }
        // Others have their turn, however fast this peer sends.
        if has_message {
            yield_now().await;
        }
        Ok(())
    }

    fn received(&self, message: PeerMessage, bytes: u64) -> Result<(), End> {
        if message.ends() != (self.peer.id, self.shared.me) {
            return Err(End::Foreign);
        }
        // Who is told to go has nothing more to say.
        if self.connection.bye().is_none() {
            self.peer.counts.messages_received.add(1);
            self.connection.moved();
            self.shared.inbox.push(PeerEvent::Received(message), bytes);
        }
        Ok(())
    }

    fn answer(&self, frame: Frame) -> Result<(), End> {
        match frame {
            Frame::Ping { number } => self.connection.answer(number),
            Frame::Pong { number } => {
                let took = self.connection.answered(number);
                match self.lane.purpose {
                    Purpose::Urgent => {
                        took.into_iter().for_each(|took| self.peer.ping_answered(took));
                    }
                    // All others have no lane.
                    _ => self.peer.bulk_arrived(number),
                }
            }
            Frame::Bye(why) => return Err(End::Said(why)),
            // Nobody has asked.
            Frame::RollCall(_)
            | Frame::Join(_)
            | Frame::AuthorityKey(_)
            | Frame::Certify(_)
            | Frame::Certificate(_) => return Err(End::Foreign),
            Frame::Message(_) => unreachable!("taken by `received`"),
        }
        Ok(())
    }
}

async fn write_out(writer: &mut WriteHalf<Stream>, bytes: &[u8]) -> io::Result<()> {
    writer.write_all(bytes).await?;
    writer.flush().await
}

/// A process that dies resets its connections, or closes them without TLS's goodbye. All else is the link.
fn ended(error: io::Error) -> End {
    match error.kind() {
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => End::Closed,
        _ => End::Broken(error),
    }
}

/// What was read and is not taken. It grows with what comes, not with what a header promises.
struct Input {
    bytes: Vec<u8>,
    taken: usize,
    filled: usize,
}

impl Input {
    fn new() -> Input {
        Input { bytes: vec![0; READ_BYTES], taken: 0, filled: 0 }
    }

    fn unread(&self) -> &[u8] {
        &self.bytes[self.taken..self.filled]
    }

    /// Never empty after `make_room`.
    fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.filled..]
    }

    fn make_room(&mut self, bytes_max: u32) -> Result<(), BadFrame> {
        self.bytes.copy_within(self.taken..self.filled, 0);
        self.filled -= self.taken;
        self.taken = 0;
        let wanted = Frame::length(self.unread(), bytes_max)?.unwrap_or(READ_BYTES).max(READ_BYTES);
        if self.bytes.len() > READ_BYTES_KEPT && wanted <= READ_BYTES_KEPT && self.filled <= READ_BYTES {
            self.bytes.truncate(READ_BYTES);
            self.bytes.shrink_to_fit();
        }
        if self.filled == self.bytes.len() {
            let bytes = wanted.min(2 * self.bytes.len());
            assert!(bytes > self.filled, "{} bytes hold a frame of {wanted}", self.filled);
            self.bytes.resize(bytes, 0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use async_io::Async;
    use smol::LocalExecutor;

    use super::*;
    use crate::{
        peer::{Limits, dial},
        types::{ClusterId, NodeId},
    };

    /// Most of what a connection that waits costs beside its buffer, TLS, and the system's own share.
    #[test]
    fn a_connection_that_waits_is_small() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let socket = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
        let stream = Stream::Plain(Async::new(socket).expect("a socket"));
        let rng = fastrand::Rng::with_seed(1);
        let ids = (ClusterId(1), NodeId(1), 1);
        let shared = Rc::new(Shared::new(ids, Limits::default(), None, Rc::new(LocalExecutor::new()), rng));
        let peer = shared.welcome(NodeId(2));
        let theirs = shared.greeting(NodeId(1), Purpose::Urgent, None);
        let dialling = size_of_val(&dial::keep(shared.clone(), peer.clone(), Purpose::Urgent));
        let session = size_of_val(&run(shared, peer, stream, true, theirs));
        println!("a session {session} bytes, dialling {dialling}, a peer {}", size_of::<Peer>());
        assert!(session <= 4096 && dialling <= 4096, "a session {session} bytes, dialling {dialling}");
    }

    #[test]
    fn input_grows_with_what_comes_and_shrinks_again() {
        const MAX: u32 = 4 << 20;
        let mut input = Input::new();
        input.bytes[..4].copy_from_slice(&MAX.to_le_bytes());
        input.filled = 4;
        input.make_room(MAX).expect("allowed");
        assert_eq!(input.bytes.len(), READ_BYTES, "a promise costs nothing");
        while input.filled < MAX as usize + 8 {
            input.make_room(MAX).expect("allowed");
            input.filled += input.room().len();
            assert!(input.bytes.len() <= 2 * input.filled);
        }
        assert_eq!(input.bytes.len(), MAX as usize + 8, "the frame and not a byte more");
        input.taken = input.filled;
        input.make_room(MAX).expect("allowed");
        assert_eq!((input.bytes.len(), input.bytes.capacity()), (READ_BYTES, READ_BYTES));
    }
}
