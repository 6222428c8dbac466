//! The API: etcd's v3 gateway, raw values below `/kv/`, discovery, the pages that tools look at.
//!
//! ```text
//!   http --Exchange--> routes --+-- unary: decode -> Member -> Answer     one JSON object, in slices if it is large
//!                               +-- streams: decode -> Member -> Lines    one line a message, or one WebSocket frame
//!                               +-- keys, events: /kv/...
//!                               +-- discovery: /new, /<token>/...
//!                               +-- pages, metrics
//! ```
//!
//! - `errors` is the only file that knows a status code; `routes` is the only one that knows a path.
//! - What is hopeless is refused before it is proposed, in the order in which etcd checks.
//! - No answer is built whole if it can be as large as the store. One that has begun and cannot be finished is cut off,
//!   never made to look complete.
//!
//! Here you will not find: sockets, JSON's details, files, decisions about data.

mod answer;
mod cluster;
mod convert;
pub mod discovery;
mod errors;
mod events;
mod invite;
mod keys;
mod kv;
mod lease;
mod line;
mod lines;
mod maintenance;
mod metrics;
mod monitor;
mod pages;
mod process;
mod query;
mod routes;
mod size;
mod waiting;
mod watch;

use std::time::Duration;

pub use self::{discovery::Options as DiscoveryOptions, monitor::Monitor, waiting::Waiting};

use self::{
    answer::{Answer, refuse},
    discovery::Makers,
    errors::{Code, Fault, Refusal},
    lines::{Lines, as_text},
    maintenance::Hashes,
    metrics::Counters,
    routes::{Call, Route, Row, Stream, Unary},
};
use crate::{
    http::{BodyError, Closed, Exchange, Handler, Head},
    member::{self, Applied, Member},
    rpc::{self, Message, Value},
    store,
    types::{Command, Error, Revision, limits},
};

/// The version of etcd whose API this is.
const SERVER_VERSION: &str = "3.5.30";

/// What etcd calls a cluster all of whose members are of that version.
const CLUSTER_VERSION: &str = "3.5.0";

/// What etcd's gRPC server takes beside the request itself.
const GRPC_OVERHEAD_BYTES: usize = 512 << 10;

/// What names, numbers and white space of a document may take beside its base64.
const JSON_OVERHEAD_BYTES: usize = 64 << 10;

/// A watch says where it is when nothing came for so long, etcd's `--experimental-watch-progress-notify-interval`.
const WATCH_PROGRESS_INTERVAL: Duration = Duration::from_secs(600);

#[derive(Clone, Debug)]
pub struct Options {
    /// etcd's `--max-request-bytes`.
    pub request_bytes_max: usize,
    /// etcd's `--max-txn-ops`. The store takes no more than 128 whatever it is.
    pub txn_ops_max: usize,
    pub watch_progress_interval: Duration,
    pub discovery: DiscoveryOptions,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            request_bytes_max: limits::COMMAND_BYTES_MAX,
            txn_ops_max: limits::TXN_OPS_MAX,
            watch_progress_interval: WATCH_PROGRESS_INTERVAL,
            discovery: DiscoveryOptions::default(),
        }
    }
}

impl Options {
    /// The largest gRPC message that etcd would take.
    fn message_bytes_max(&self) -> usize {
        self.request_bytes_max + GRPC_OVERHEAD_BYTES
    }

    /// The largest document: that message, all of it in base64.
    fn body_bytes_max(&self) -> usize {
        self.message_bytes_max().div_ceil(3) * 4 + JSON_OVERHEAD_BYTES
    }
}

/// Answers all requests of clients.
pub struct Api {
    member: Member,
    options: Options,
    counters: Counters,
    hashes: Hashes,
    makers: Makers,
}

impl Handler for Api {
    /// Everything is boxed: a connection that waits for its next request does not carry the largest handler's state.
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), Closed> {
        match self.route(exchange.path()) {
            Route::Call(row) if exchange.wants_websocket() => {
                Box::pin(self.call_by_socket(row, exchange)).await
            }
            Route::Call(_) if exchange.method() != "POST" => refuse(exchange, &Refusal::METHOD).await,
            Route::Call(row) if wants_leader(exchange) && !self.member.has_leader() => {
                self.counters.handled(row, Code::Unavailable);
                match row.call {
                    Call::Unary(_) => refuse(exchange, &Error::NoLeader.into()).await,
                    Call::Stream(_) => Lines::http(exchange).fail(&Error::NoLeader.into()).await,
                }
            }
            Route::Call(row) => match row.call {
                Call::Unary(call) => Box::pin(self.unary(row, call, exchange)).await,
                Call::Stream(call) => Box::pin(self.stream(row, call, exchange)).await,
            },
            Route::NoCall => refuse(exchange, &Refusal::PATH).await,
            Route::Key(key) => Box::pin(keys::handle(self, &key, exchange)).await,
            Route::Page(page) => Box::pin(pages::handle(self, page, exchange)).await,
            Route::Discovery(place) => Box::pin(discovery::handle(self, place, exchange)).await,
            Route::Metrics => Box::pin(metrics::handle(self, exchange)).await,
            Route::Moved(to) => pages::moved(exchange, to).await,
            Route::Nothing => pages::not_found(exchange).await,
        }
    }
}

impl Api {
    pub fn new(member: Member, options: Options) -> Api {
        let (counters, hashes, makers) = Default::default();
        Api { member, options, counters, hashes, makers }
    }

    fn route(&self, path: &str) -> Route {
        match routes::find(path) {
            route if self.options.discovery.alone && !route.is_for_strangers() => Route::Nothing,
            route => route,
        }
    }

    fn header(&self) -> rpc::ResponseHeader {
        convert::header(self.member.header())
    }

    fn header_at(&self, revision: Revision) -> rpc::ResponseHeader {
        convert::header(member::Header { revision, ..self.member.header() })
    }

    async fn unary(&self, row: &'static Row, call: Unary, exchange: &mut Exchange<'_>) -> Result<(), Closed> {
        let body = match self.body(exchange).await? {
            Ok(body) => body,
            Err(refusal) => {
                self.counters.handled(row, refusal.code);
                return refuse(exchange, &refusal).await;
            }
        };
        let mut answer = Answer::new(Some(exchange));
        let result = self.dispatch(call, body, &mut answer).await;
        self.counters.handled(row, code_of(&result));
        answer.conclude(result).await
    }

    async fn stream(
        &self,
        row: &'static Row,
        call: Stream,
        exchange: &mut Exchange<'_>,
    ) -> Result<(), Closed> {
        let body = match self.body(exchange).await? {
            Ok(body) => body,
            Err(refusal) => {
                self.counters.handled(row, refusal.code);
                return Lines::http(exchange).fail(&refusal).await;
            }
        };
        let wants_leader = wants_leader(exchange);
        let result = self.run(call, body, Lines::http(exchange), wants_leader).await;
        self.counters.handled(row, if result.is_ok() { Code::Ok } else { Code::Canceled });
        result
    }

    /// The first message is what the body would be.
    async fn call_by_socket(&self, row: &'static Row, exchange: &mut Exchange<'_>) -> Result<(), Closed> {
        let wants_leader = wants_leader(exchange);
        let mut socket = exchange.websocket(self.options.body_bytes_max()).await?;
        let Some(body) = socket.receive().await? else { return socket.close().await };
        match row.call {
            Call::Stream(call) => {
                let result = self.run(call, body, Lines::socket(socket), wants_leader).await;
                self.counters.handled(row, if result.is_ok() { Code::Ok } else { Code::Canceled });
                result
            }
            Call::Unary(call) => {
                let mut answer = Answer::new(None);
                let result = self.dispatch(call, body, &mut answer).await;
                self.counters.handled(row, code_of(&result));
                match result {
                    Ok(()) => socket.send(as_text(&answer.out)).await?,
                    Err(Fault::Refused(refusal)) => socket.send(as_text(&refusal.body())).await?,
                    Err(Fault::Closed) => return Err(Closed),
                }
                socket.close().await
            }
        }
    }

    async fn run(
        &self,
        call: Stream,
        first: Vec<u8>,
        lines: Lines<'_, '_>,
        wants_leader: bool,
    ) -> Result<(), Closed> {
        if call != Stream::Snapshot && self.member.only_listens() {
            return lines.fail(&Error::IsLearner.into()).await;
        }
        match call {
            Stream::Watch => watch::watch(self, first, lines, wants_leader).await,
            Stream::LeaseKeepAlive => Box::pin(lease::keep_alive(self, first, lines)).await,
            Stream::Snapshot => Box::pin(maintenance::snapshot(self, first, lines)).await,
        }
    }

    /// In boxes of their own, so that none pays for what another needs, and each fits in what the allocator keeps at hand: 1 KiB.
    async fn dispatch(&self, call: Unary, body: Vec<u8>, answer: &mut Answer<'_, '_>) -> Result<(), Fault> {
        let is_learner = self.member.only_listens();
        match call {
            Unary::Range => {
                let request: rpc::RangeRequest = take(body)?;
                let serializable = request.serializable;
                if is_learner && !serializable {
                    return Err(Error::IsLearner.into());
                }
                Box::pin(kv::range(self, convert::range(request), serializable, answer)).await
            }
            // What it has may be old, and nobody is to depend on it.
            call if is_learner && call != Unary::Status => Err(Error::IsLearner.into()),
            Unary::Put => {
                answer.message(&kv::put(self, take(body)?).await?);
                Ok(())
            }
            call => Box::pin(self.dispatch_other(call, body, answer)).await,
        }
    }

    async fn dispatch_other(
        &self,
        call: Unary,
        body: Vec<u8>,
        answer: &mut Answer<'_, '_>,
    ) -> Result<(), Fault> {
        match call {
            Unary::Range | Unary::Put => unreachable!("{call:?} has been dispatched"),
            Unary::DeleteRange => return kv::delete_range(self, take(body)?, answer).await,
            Unary::Txn => return kv::txn(self, take(body)?, answer).await,
            Unary::Compact => answer.message(&kv::compact(self, take(body)?).await?),
            Unary::LeaseGrant => answer.message(&lease::grant(self, take(body)?).await?),
            Unary::LeaseRevoke => answer.message(&lease::revoke(self, take(body)?).await?),
            Unary::LeaseTimeToLive => answer.message(&lease::time_to_live(self, take(body)?).await?),
            Unary::LeaseLeases => answer.message(&lease::leases(self, take(body)?).await?),
            Unary::MemberAdd => answer.message(&cluster::add(self, take(body)?).await?),
            Unary::MemberRemove => answer.message(&cluster::remove(self, take(body)?).await?),
            Unary::MemberUpdate => answer.message(&cluster::update(self, take(body)?).await?),
            Unary::MemberPromote => answer.message(&cluster::promote(self, take(body)?).await?),
            Unary::MemberList => answer.message(&cluster::list(self, take(body)?).await?),
            Unary::MemberRenewKey => answer.message(&cluster::renew_key(self, take(body)?).await?),
            Unary::ClusterSettings => answer.message(&cluster::settings(self, take(body)?).await?),
            Unary::ClusterSet => answer.message(&cluster::set_settings(self, take(body)?).await?),
            Unary::Invite => answer.message(&invite::invite(self, take(body)?).await?),
            Unary::InviteList => answer.message(&invite::list(self, take(body)?).await?),
            Unary::InviteRevoke => answer.message(&invite::revoke(self, take(body)?).await?),
            Unary::ClusterRoles => answer.message(&cluster::roles(self, take(body)?).await?),
            Unary::Alarm => answer.message(&maintenance::alarm(self, take(body)?).await?),
            Unary::Status => answer.message(&maintenance::status(self, take(body)?).await?),
            Unary::Defragment => answer.message(&maintenance::defragment(self, take(body)?).await?),
            Unary::Hash => answer.message(&maintenance::hash(self, take(body)?).await?),
            Unary::HashKv => answer.message(&maintenance::hash_kv(self, take(body)?).await?),
            Unary::MoveLeader => answer.message(&maintenance::move_leader(self, take(body)?).await?),
            Unary::Downgrade => answer.message(&maintenance::downgrade(self, take(body)?).await?),
            Unary::AuthStatus => answer.message(&self.auth_status(take(body)?)),
            Unary::UserGet => {
                let _: rpc::AuthUserGetRequest = take(body)?;
                return Err(Refusal::ABSENT.into());
            }
            Unary::Absent => return Err(Refusal::ABSENT.into()),
        }
        Ok(())
    }

    /// Nobody has switched authentication on, because nobody can.
    fn auth_status(&self, _: rpc::AuthStatusRequest) -> rpc::AuthStatusResponse {
        rpc::AuthStatusResponse { header: Some(self.header()), enabled: false, auth_revision: 1 }
    }

    /// Proposes what is worth it.
    async fn propose(&self, command: Command) -> Result<Applied, Refusal> {
        store::check(&command)?;
        size::check(&command, self.options.request_bytes_max)?;
        self.member.propose(command).await.map_err(Refusal::of_write)
    }

    async fn body(&self, exchange: &mut Exchange<'_>) -> Result<Result<Vec<u8>, Refusal>, Closed> {
        match exchange.body(self.options.body_bytes_max()).await {
            Ok(body) => Ok(Ok(body)),
            Err(BodyError::Closed) => Err(Closed),
            Err(BodyError::TooLarge { bytes_max }) => {
                let length =
                    exchange.header("content-length").and_then(|text| std::str::from_utf8(text).ok());
                let bytes = length.and_then(|text| text.parse().ok()).unwrap_or(bytes_max.saturating_add(1));
                Ok(Err(Refusal::too_large(bytes / 4 * 3, self.options.message_bytes_max())))
            }
            Err(BodyError::Malformed) => Ok(Err(Refusal::MALFORMED_BODY)),
            Err(BodyError::Busy) => Ok(Err(Refusal::BUSY)),
        }
    }
}

/// etcd's metadata of clients that would rather ask another member than one that knows no leader.
fn wants_leader(exchange: &Exchange<'_>) -> bool {
    exchange.header("grpc-metadata-hasleader") == Some(b"true")
}

/// The request, without the document that it was read from: it may have to wait.
fn take<M: Message + Value>(body: Vec<u8>) -> Result<M, Fault> {
    Ok(rpc::decode(&body)?)
}

fn code_of(result: &Result<(), Fault>) -> Code {
    match result {
        Ok(()) => Code::Ok,
        Err(Fault::Refused(refusal)) => refusal.code,
        Err(Fault::Closed) => Code::Canceled,
    }
}

/// The head of a page of text.
fn text_head(status: u16) -> Head<'static> {
    Head {
        status,
        content_type: "text/plain; charset=utf-8",
        headers: &[("X-Content-Type-Options", "nosniff")],
    }
}
