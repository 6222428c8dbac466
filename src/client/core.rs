//! The client: which endpoint is asked, how long, how often.

use std::{cell::RefCell, future::Future, time::Duration};

use async_io::Timer;
use futures_lite::FutureExt as _;

use super::{
    ClientError, Endpoint, Keepalive, Stream,
    connection::{Connection, JSON, Request},
};
use crate::rpc::{self, Failure, Message, Value};

#[derive(Clone, Debug)]
pub struct Options {
    /// At least one.
    pub endpoints: Vec<Endpoint>,
    /// For a connection to one endpoint.
    pub dial_timeout: Duration,
    /// For a whole answer, once connected. A stream has none.
    pub command_timeout: Duration,
    pub keepalive: Keepalive,
    /// A whole answer, or one line of a stream, is not larger.
    pub answer_bytes_max: usize,
}

impl Options {
    /// etcdctl's timeouts. The largest answer fits what is left of a small board's memory, decoded and all.
    pub fn new(endpoints: Vec<Endpoint>) -> Options {
        Options {
            endpoints,
            dial_timeout: Duration::from_secs(2),
            command_timeout: Duration::from_secs(5),
            keepalive: Keepalive { time: Duration::from_secs(2), timeout: Duration::from_secs(6) },
            answer_bytes_max: 128 * 1024 * 1024,
        }
    }
}

/// Does asking twice do no harm?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    None,
    Write,
}

/// A client of one cluster, for one thread. Calls may overlap; each then has its own connection.
pub struct Client {
    options: Options,
    state: RefCell<State>,
}

struct State {
    /// The endpoint to begin with: the one that answered last.
    current: usize,
    /// Kept alive between calls.
    idle: Option<Connection>,
}

impl Client {
    pub fn new(options: Options) -> Client {
        assert!(!options.endpoints.is_empty(), "a client without endpoints");
        Client { options, state: RefCell::new(State { current: 0, idle: None }) }
    }

    /// A client of that endpoint alone, with the same options.
    pub fn of(&self, endpoint: &Endpoint) -> Client {
        Client::new(Options { endpoints: vec![endpoint.clone()], ..self.options.clone() })
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Asks the next endpoint next time.
    pub(super) fn move_on(&self) {
        let mut state = self.state.borrow_mut();
        state.current = (state.current + 1) % self.options.endpoints.len();
        state.idle = None;
    }

    /// One message out, one message back.
    pub(super) async fn call<A: Message + Value>(
        &self,
        path: &str,
        message: &impl Value,
        effect: Effect,
    ) -> Result<A, ClientError> {
        let body = rpc::encode(message);
        let mut turns = self.options.endpoints.len();
        loop {
            let mut connection = self.connect().await?;
            let request = Request { method: "POST", path, headers: &[], content_type: JSON, body: &body };
            let exchange = self.exchange(&mut connection, &request, effect);
            match within(self.options.command_timeout, exchange).await {
                Ok(answer) => return self.understand(connection, &answer),
                Err(error) if effect == Effect::None && error.is_transient() && turns > 1 => turns -= 1,
                Err(error) => return Err(error),
            }
            self.move_on();
        }
    }

    /// A page, at the first endpoint that can be reached. Asked once: it may do something there.
    pub async fn page(&self, method: &str, path: &str) -> Result<String, ClientError> {
        let mut connection = self.connect().await?;
        let request = Request { method, path, headers: &[], content_type: JSON, body: b"" };
        let exchange = self.exchange(&mut connection, &request, Effect::Write);
        let page = within(self.options.command_timeout, exchange).await?;
        Ok(String::from_utf8_lossy(&page).into_owned())
    }

    /// Opens a stream at the first endpoint that answers.
    pub async fn stream(&self, path: &str, body: &[u8]) -> Result<Stream, ClientError> {
        self.stream_with(path, &[], body).await
    }

    /// A stream that ends when its member has lost its leader, so that it can be gone on with elsewhere.
    pub async fn led_stream(&self, path: &str, body: &[u8]) -> Result<Stream, ClientError> {
        self.stream_with(path, &[("Grpc-Metadata-hasleader", "true")], body).await
    }

    async fn stream_with(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Stream, ClientError> {
        let mut connection = self.connect().await?;
        let request = Request { method: "POST", path, headers, content_type: JSON, body };
        // etcd sends the head of an answer with its first message, which may be long in coming.
        let status =
            connection.ask(&request).await.map_err(|error| broken(&connection, &error, Effect::None))?;
        if status == 200 {
            return Ok(Stream::new(connection, self.options.answer_bytes_max));
        }
        let mut body = Vec::new();
        let bytes_max = self.options.answer_bytes_max;
        let read = read_body(&mut connection, &mut body, bytes_max, Effect::None);
        within(self.options.command_timeout, read).await?;
        Err(refusal(status, &body))
    }

    async fn exchange(
        &self,
        connection: &mut Connection,
        request: &Request<'_>,
        effect: Effect,
    ) -> Result<Vec<u8>, ClientError> {
        let status = connection.ask(request).await.map_err(|error| broken(connection, &error, effect))?;
        let mut answer = Vec::new();
        read_body(connection, &mut answer, self.options.answer_bytes_max, effect).await?;
        match status {
            200 => Ok(answer),
            _ => Err(refusal(status, &answer)),
        }
    }

    fn understand<A: Message + Value>(
        &self,
        connection: Connection,
        answer: &[u8],
    ) -> Result<A, ClientError> {
        let decoded = rpc::decode(answer).map_err(|error| not_understood(&connection, &error));
        self.state.borrow_mut().idle = Some(connection);
        decoded
    }

    /// The idle connection if it is still of use, or a new one to the first endpoint that takes it.
    async fn connect(&self) -> Result<Connection, ClientError> {
        let idle = self.state.borrow_mut().idle.take();
        if let Some(connection) = idle.filter(Connection::is_fresh) {
            return Ok(connection);
        }
        let first = self.state.borrow().current;
        let mut tried = Vec::new();
        for turn in 0..self.options.endpoints.len() {
            let place = (first + turn) % self.options.endpoints.len();
            let endpoint = &self.options.endpoints[place];
            match Connection::open(endpoint, self.options.dial_timeout, self.options.keepalive).await {
                Ok(connection) => {
                    self.state.borrow_mut().current = place;
                    return Ok(connection);
                }
                Err(error) => tried.push((endpoint.to_string(), reason(&error))),
            }
        }
        Err(ClientError::Unreachable(tried))
    }
}

/// Without Rust's `(os error 111)`.
pub(super) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

async fn read_body(
    connection: &mut Connection,
    out: &mut Vec<u8>,
    bytes_max: usize,
    effect: Effect,
) -> Result<(), ClientError> {
    while connection.body(out).await.map_err(|error| broken(connection, &error, effect))? {
        if out.len() > bytes_max {
            return Err(ClientError::TooLarge { bytes_max });
        }
    }
    Ok(())
}

pub(super) async fn within<T>(
    time: Duration,
    work: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    let late = async {
        Timer::after(time).await;
        Err(ClientError::DeadlineExceeded)
    };
    work.or(late).await
}

fn broken(connection: &Connection, error: &std::io::Error, effect: Effect) -> ClientError {
    let endpoint = connection.endpoint.to_string();
    ClientError::Broken { endpoint, what: reason(error), unknown: effect == Effect::Write }
}

fn not_understood(connection: &Connection, error: &rpc::ParseError) -> ClientError {
    let what = format!("its answer is not understood: {error}");
    ClientError::Broken { endpoint: connection.endpoint.to_string(), what, unknown: false }
}

/// The server's error, in its own words where it has some.
fn refusal(status: u16, body: &[u8]) -> ClientError {
    let failure = match rpc::decode::<rpc::StreamMessage<Failure>>(body) {
        Ok(rpc::StreamMessage { error: Some(failure), .. }) => failure,
        _ => rpc::decode(body).unwrap_or_default(),
    };
    if failure.message.is_empty() {
        let text = String::from_utf8_lossy(&body[..body.len().min(200)]);
        let message = format!("the server answered {status}: {}", text.trim());
        return ClientError::Refused { code: 2, message };
    }
    failed(failure)
}

pub(super) fn failed(failure: Failure) -> ClientError {
    ClientError::Refused { code: failure.code.unsigned_abs(), message: failure.message }
}
