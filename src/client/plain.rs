//! One request that is none of the v3 API's, on a connection of its own: a discovery service speaks the language of etcd's v2.

use std::time::Duration;

use async_io::Timer;
use futures_lite::FutureExt as _;

use super::{
    Endpoint, Keepalive,
    connection::{Connection, Request},
    core::reason,
};

/// What is held of an answer at most.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct PlainRequest<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub content_type: &'a str,
    pub body: &'a str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainAnswer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Within `timeout`, the connection included. Errors: one line that says what and where.
pub async fn ask_plain(
    endpoint: &Endpoint,
    request: PlainRequest<'_>,
    timeout: Duration,
) -> Result<PlainAnswer, String> {
    let late = async {
        Timer::after(timeout).await;
        Err(format!("{endpoint}: no answer in {timeout:?}"))
    };
    let asked = async {
        let answered = exchange(endpoint, request, timeout).await;
        answered.map_err(|error| format!("{endpoint}: {}", reason(&error)))
    };
    asked.or(late).await
}

async fn exchange(
    endpoint: &Endpoint,
    request: PlainRequest<'_>,
    timeout: Duration,
) -> std::io::Result<PlainAnswer> {
    let keepalive = Keepalive { time: timeout, timeout };
    let mut connection = Connection::open(endpoint, timeout, keepalive).await?;
    let PlainRequest { method, path, content_type, body } = request;
    let asked = Request { method, path, headers: &[], content_type, body: body.as_bytes() };
    let status = connection.ask(&asked).await?;
    let mut body = Vec::new();
    while connection.body(&mut body).await? {
        if body.len() > ANSWER_BYTES_MAX {
            return Err(std::io::Error::other(format!("an answer of more than {ANSWER_BYTES_MAX} bytes")));
        }
    }
    Ok(PlainAnswer { status, body })
}
