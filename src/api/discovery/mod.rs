//! Discovery: where boards that know nothing but a URL find each other before there is a cluster. It is etcd's v2 protocol
//! (`etcd --discovery URL`, up to 3.6), word for word as these members need it.
//!
//! ```text
//!   POST /new?size=3                   tokens     a URL, http://HOST/<token>
//!   GET  /<token>/_config/size                    3                             \
//!   GET  /<token>                      registry   who is there, in order         > what the store holds of a token
//!   PUT  /<token>/<id>                            one more                      /
//!   GET  /<token>?wait=true&waitIndex  poll       who comes next
//! ```
//!
//! A token is a few ordinary keys, named as in etcd's v3 discovery, under one lease: all end together. It counts by itself: the
//! size has index 1, the n-th member by its creation 1 + n, and `X-Etcd-Index` is that of the newest.
//! - Members of a token are neither changed nor removed. So an index means the same for ever, and who waits for an old one is
//!   answered at once.
//! - Whoever waits is told of new members, each once, and of nothing else: etcd counts every event as one more member.
//! - The first member has index 2, and a directory always tells its index: with 0 or none etcd would wait "from now on".
//!
//! Here you will not find: who is in a cluster and who came too late. Boards see that by their place.

mod document;
mod makers;
mod place;
mod poll;
mod register;
mod registry;
mod tokens;
mod trouble;

use std::time::Duration;

use self::{
    document::Action,
    poll::Wanted,
    register::register,
    trouble::{Fault, Kind, Trouble},
};
use super::{
    Api,
    errors::{Refusal, status},
    query::{self, Query},
};
use crate::{
    http::{BodyError, Closed, Exchange, Head, decode_query},
    types::{Error, limits},
};

pub(super) use self::{
    makers::Makers,
    place::{Place, find},
};
pub use self::{
    place::Token,
    registry::{Gathering, Node, Registry},
};

/// Who waits is answered with nothing after this time, as by the public service, and asks again.
const POLL: Duration = Duration::from_secs(60);

/// What a form may take: each byte of its value may be escaped.
const FORM_BYTES_MAX: usize = 4 * limits::DISCOVERY_VALUE_BYTES_MAX;

#[derive(Clone, Debug)]
pub struct Options {
    /// Tokens are made for others than this board itself, too.
    pub public: bool,
    /// Nothing else is served but what tells how the board is.
    pub alone: bool,
    /// What URLs begin with if a request does not say how it called us.
    pub url: String,
    /// At one time.
    pub tokens_max: u64,
    /// How long who waits is kept waiting.
    pub poll: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            public: false,
            alone: false,
            url: "http://localhost:2379".to_owned(),
            tokens_max: limits::DISCOVERY_TOKENS_MAX,
            poll: POLL,
        }
    }
}

pub(super) async fn handle(api: &Api, place: Place, exchange: &mut Exchange<'_>) -> Result<(), Closed> {
    let Place::Below(token, name) = place else {
        return tokens::handle(api, exchange).await;
    };
    let done = match exchange.method() {
        _ if api.member.only_listens() => Err(Refusal::from(Error::IsLearner).into()),
        "GET" | "HEAD" => get(api, &token, &name, exchange).await,
        "PUT" => put(api, &token, &name, exchange).await,
        "DELETE" => {
            Err(Kind::ReadOnly.because("members of a token are never removed: make a new token").into())
        }
        _ => Err(Kind::Method.because("there are GET and PUT").into()),
    };
    match done {
        Err(Fault::Refused(trouble)) => trouble.reply(exchange).await,
        Err(Fault::Closed) => Err(Closed),
        Ok(()) => Ok(()),
    }
}

async fn get(api: &Api, token: &Token, name: &str, exchange: &mut Exchange<'_>) -> Result<(), Fault> {
    let query = query::lenient(exchange.query());
    if is_set(&query, "wait")? {
        let wanted = Wanted { name, since: wait_index(&query)? };
        return poll::wait(api, token, wanted, exchange).await;
    }
    let registry = Registry::read(api, token).await?;
    let index = registry.index();
    let body = match name {
        "" => document::directory(token, &registry),
        name => {
            let node = registry.node(name).ok_or_else(|| Trouble::no_key(token, name, index))?;
            document::event(Action::Get, token, &node)
        }
    };
    Ok(reply(exchange, status::OK, index, &body).await?)
}

async fn put(api: &Api, token: &Token, id: &str, exchange: &mut Exchange<'_>) -> Result<(), Fault> {
    let query = query::lenient(exchange.query());
    if query.first("prevExist").is_some_and(|value| value != "false") {
        let cause = "a member is registered once, and stays as it is: prevExist=false";
        return Err(Kind::Field.because(cause).into());
    }
    let form = form(exchange).await?;
    let value = match &form[..] {
        [(name, value)] if name == "value" => value,
        _ => return Err(Kind::Form.because("one field is expected: value=NAME=URL").into()),
    };
    let node = register(api, token, id, value).await?;
    let body = document::event(Action::Create, token, &node);
    Ok(reply(exchange, status::CREATED, node.index, &body).await?)
}

/// The body, as browsers and etcd send forms.
async fn form(exchange: &mut Exchange<'_>) -> Result<Vec<(String, String)>, Fault> {
    let body = match exchange.body(FORM_BYTES_MAX).await {
        Ok(body) => body,
        Err(BodyError::Closed) => return Err(Fault::Closed),
        Err(BodyError::Busy) => return Err(Refusal::BUSY.into()),
        Err(error) => return Err(Kind::Form.because(error.to_string()).into()),
    };
    let pairs = std::str::from_utf8(&body).ok().and_then(|text| decode_query(text).ok());
    pairs.ok_or_else(|| Kind::Form.because("the form is not well encoded").into())
}

/// Answers; `index` is the token's.
async fn reply(exchange: &mut Exchange<'_>, status: u16, index: u64, body: &[u8]) -> Result<(), Closed> {
    let headers = &[("X-Etcd-Index", &*index.to_string())];
    exchange.reply(Head { status, content_type: "application/json", headers }, body).await
}

fn is_set(query: &Query, name: &str) -> Result<bool, Trouble> {
    match query.first(name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Kind::Field.because(format!("invalid value for {name:?}"))),
    }
}

/// 0: from now on.
fn wait_index(query: &Query) -> Result<u64, Trouble> {
    match query.first("waitIndex") {
        None | Some("") => Ok(0),
        Some(text) => text.parse().map_err(|_| Kind::NotIndex.because("invalid value for \"waitIndex\"")),
    }
}
