//! etcd's calls, over a connection that is kept.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::http::{Answer, Connection, PATIENCE, Request};

/// One client. It connects when it needs to, and again after a failure.
pub struct Client {
    address: SocketAddr,
    connection: Option<Connection>,
    patience: Duration,
}

/// Why there is no good answer.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// The server said no: nothing happened.
    Refused { status: u16, code: i64, message: String },
    /// The call may take effect, now or later, or never.
    Unknown(String),
    /// It never left this client.
    Unsent(String),
}

/// A key as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    pub created: i64,
    pub modified: i64,
    pub version: i64,
}

/// A range as it was read.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The store's, when it was read.
    pub revision: i64,
    pub rows: Vec<Row>,
    pub more: bool,
    pub count: i64,
}

/// What came of a compare-and-put.
#[derive(Clone, Debug)]
pub enum Cas {
    Done { revision: i64 },
    Else { revision: i64, row: Option<Row> },
}

impl Client {
    pub fn new(address: SocketAddr) -> Client {
        Client { address, connection: None, patience: PATIENCE }
    }

    /// How long it waits for an answer before it gives the call up as unknown.
    pub fn patient_for(mut self, patience: Duration) -> Client {
        self.patience = patience;
        self
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Any call: the JSON of a good answer.
    pub fn call(&mut self, path: &str, body: &Value) -> Result<Value, Trouble> {
        let answer = self.send(path, body.to_string().as_bytes())?;
        let value: Value = serde_json::from_slice(&answer.body)
            .map_err(|error| Trouble::Unknown(format!("{path}: {error}: {:?}", answer.text())))?;
        if answer.status == 200 {
            return Ok(value);
        }
        let code = value["code"].as_i64().unwrap_or(-1);
        let message = value["message"].as_str().unwrap_or_default().to_owned();
        // 4: deadline exceeded, 14: unavailable. Everything else was refused before it was proposed or when applied.
        match code {
            4 | 14 => Err(Trouble::Unknown(format!("{path}: {} {message}", answer.status))),
            _ => Err(Trouble::Refused { status: answer.status, code, message }),
        }
    }

    fn send(&mut self, path: &str, body: &[u8]) -> Result<Answer, Trouble> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let opened = Connection::open_within(self.address, self.patience);
                opened.map_err(|error| Trouble::Unsent(format!("{path}: {error}")))?
            }
        };
        let answer = connection
            .call(&Request::post(path, body))
            .map_err(|error| Trouble::Unknown(format!("{path}: {error}")))?;
        let closes = answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        self.connection = (!closes).then_some(connection);
        Ok(answer)
    }

    /// The revision of the write.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<i64, Trouble> {
        let answer = self.call("/v3/kv/put", &json!({"key": b64(key), "value": b64(value)}))?;
        revision(&answer)
    }

    /// The revision and how many keys were deleted.
    pub fn delete(&mut self, key: &[u8]) -> Result<(i64, i64), Trouble> {
        let answer = self.call("/v3/kv/deleterange", &json!({"key": b64(key)}))?;
        Ok((revision(&answer)?, number(&answer["deleted"])?))
    }

    /// The newest of one key.
    pub fn get(&mut self, key: &[u8]) -> Result<Rows, Trouble> {
        self.range(&json!({"key": b64(key)}))
    }

    /// All keys that begin with `prefix`, in pages that any server gives away whole.
    pub fn prefix(&mut self, prefix: &[u8]) -> Result<Rows, Trouble> {
        let end = b64(&prefix_end(prefix));
        let mut all = self.range(&json!({"key": b64(prefix), "range_end": end, "limit": PAGE}))?;
        while all.more {
            let mut next = all.rows.last().expect("more of nothing").key.clone();
            next.push(0);
            let at = all.revision;
            let page = self.range(
                &json!({"key": b64(&next), "range_end": end, "limit": PAGE, "revision": at.to_string()}),
            )?;
            all.rows.extend(page.rows);
            all.more = page.more;
        }
        Ok(all)
    }

    pub fn range(&mut self, request: &Value) -> Result<Rows, Trouble> {
        let answer = self.call("/v3/kv/range", request)?;
        let more = answer["more"].as_bool().unwrap_or(false);
        Ok(Rows {
            revision: revision(&answer)?,
            rows: rows(&answer["kvs"])?,
            more,
            count: number(&answer["count"])?,
        })
    }

    /// If the key's mod revision is `expect` (0: there is no such key), puts; else gets what is there.
    pub fn compare_and_put(&mut self, key: &[u8], expect: i64, value: &[u8]) -> Result<Cas, Trouble> {
        let key = b64(key);
        let answer = self.call(
            "/v3/kv/txn",
            &json!({
                "compare": [{"key": key, "target": "MOD", "mod_revision": expect.to_string()}],
                "success": [{"request_put": {"key": key, "value": b64(value)}}],
                "failure": [{"request_range": {"key": key}}],
            }),
        )?;
        let revision = revision(&answer)?;
        if answer["succeeded"] == Value::Bool(true) {
            return Ok(Cas::Done { revision });
        }
        let found = rows(&answer["responses"][0]["response_range"]["kvs"])?;
        Ok(Cas::Else { revision, row: found.into_iter().next() })
    }

    /// Asks again for `patience` until there is a good answer.
    pub fn until<T>(
        &mut self,
        patience: Duration,
        mut ask: impl FnMut(&mut Client) -> Result<T, Trouble>,
    ) -> T {
        let deadline = Instant::now() + patience;
        loop {
            match ask(self) {
                Ok(answer) => return answer,
                Err(trouble) => assert!(Instant::now() < deadline, "still after {patience:?}: {trouble:?}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

const PAGE: i64 = 2000;

pub fn b64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub fn unb64(value: &Value) -> Result<Vec<u8>, Trouble> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => STANDARD.decode(text).map_err(|error| odd(format!("{error}: {text:?}"))),
        other => Err(odd(format!("not bytes: {other}"))),
    }
}

/// A 64-bit number is a string, and absent if it is zero.
pub fn number(value: &Value) -> Result<i64, Trouble> {
    match value {
        Value::Null => Ok(0),
        Value::String(text) => text.parse().map_err(|_| odd(format!("not a number: {text:?}"))),
        other => Err(odd(format!("not a number in a string: {other}"))),
    }
}

/// The one in an answer's header.
pub fn revision(answer: &Value) -> Result<i64, Trouble> {
    number(&answer["header"]["revision"])
}

pub fn rows(kvs: &Value) -> Result<Vec<Row>, Trouble> {
    kvs.as_array().into_iter().flatten().map(row).collect()
}

pub fn row(kv: &Value) -> Result<Row, Trouble> {
    Ok(Row {
        key: unb64(&kv["key"])?,
        value: unb64(&kv["value"])?,
        created: number(&kv["create_revision"])?,
        modified: number(&kv["mod_revision"])?,
        version: number(&kv["version"])?,
    })
}

/// The first key behind all that begin with `prefix`.
pub fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while end.last() == Some(&0xff) {
        end.pop();
    }
    match end.last_mut() {
        Some(last) => *last += 1,
        None => end.push(0),
    }
    end
}

/// An answer that no server should give: the call may have taken effect all the same.
fn odd(what: String) -> Trouble {
    Trouble::Unknown(what)
}
