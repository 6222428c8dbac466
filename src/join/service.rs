//! A discovery service, as a board sees it that looks for others: etcd's v2 protocol, of which little is needed here.
//!
//! ```text
//!   GET /TOKEN/_config/size   how many boards begin together
//!   GET /TOKEN                who has registered, in the order in which the service took them
//!   PUT /TOKEN/ID             name=https://10.0.0.1:2380: registers this board, once; see `id`
//! ```

use std::{cell::Cell, time::Duration};

use serde::Deserialize;

use super::{
    turn::{Board, Registered},
    url::{JoinUrl, SECRET_BYTES},
};
use crate::client::{Endpoint, PlainAnswer, PlainRequest, ask_plain};

/// A service answers within this time, or another host is asked.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// What etcd's protocol allows, and Solder's service makes.
const SIZES: std::ops::RangeInclusive<u32> = 1..=9;

/// etcd's codes.
const KEY_NOT_FOUND: u32 = 100;
const NODE_EXISTS: u32 = 105;

/// One token of a service, asked at any of its hosts.
pub(super) struct Service<'a> {
    pub(super) hosts: &'a [Endpoint],
    token: &'a str,
    secret: &'a [u8; SECRET_BYTES],
    /// The place of the one that answered last: who is dead is waited for once.
    answers: Cell<usize>,
}

/// Why a service was of no help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ServiceError {
    /// Asking again may help.
    Unreachable(String),
    /// It will not: one line that says what to do.
    Useless(String),
}

#[derive(Deserialize)]
struct Answer {
    node: Node,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Node {
    key: String,
    value: String,
    nodes: Vec<Node>,
    #[serde(rename = "createdIndex")]
    created_index: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Trouble {
    #[serde(rename = "errorCode")]
    code: u32,
    message: String,
    cause: String,
}

impl<'a> Service<'a> {
    /// At these hosts, which `url` names.
    pub(super) fn new(hosts: &'a [Endpoint], url: &'a JoinUrl) -> Service<'a> {
        Service { hosts, token: &url.token, secret: &url.secret, answers: Cell::new(0) }
    }

    pub(super) async fn registered(&self) -> Result<Registered, ServiceError> {
        let size = self.size().await?;
        let answer = self.ask("GET", "", "").await?;
        let node = self.read(&answer)?;
        Ok(Registered::new(size, boards(node), self.secret, self.token))
    }

    async fn size(&self) -> Result<u32, ServiceError> {
        let answer = self.ask("GET", "/_config/size", "").await?;
        let text = self.read(&answer)?.value;
        text.parse().ok().filter(|size| SIZES.contains(size)).ok_or_else(|| {
            ServiceError::Useless(format!(
                "the discovery token {} is for a cluster of {text:?} boards, and {} to {} can begin together: make another with \
                 `solder discovery new --size N`",
                self.token,
                SIZES.start(),
                SIZES.end()
            ))
        })
    }

    /// Registers this board. False: there is one of this id already.
    pub(super) async fn register(&self, id: &str, name: &str, urls: &[String]) -> Result<bool, ServiceError> {
        let value: Vec<String> = urls.iter().map(|url| format!("{name}={url}")).collect();
        let body = format!("value={}", escaped(&value.join(",")));
        let answer = self.ask("PUT", &format!("/{id}?prevExist=false"), &body).await?;
        match self.read(&answer) {
            Ok(_) => Ok(true),
            Err(_) if trouble(&answer).code == NODE_EXISTS => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// At the first host that answers. One that does not know the token may be another service: others are asked, too.
    async fn ask(&self, method: &str, path: &str, body: &str) -> Result<PlainAnswer, ServiceError> {
        let path = format!("/{}{path}", self.token);
        let request =
            PlainRequest { method, path: &path, content_type: "application/x-www-form-urlencoded", body };
        let (mut troubles, mut ignorant) = (Vec::new(), None);
        let (first, count) = (self.answers.get(), self.hosts.len());
        for place in (first..first + count).map(|place| place % count) {
            let host = &self.hosts[place];
            match ask_plain(host, request, ANSWER_MAX).await {
                Ok(answer) if answer.status >= 500 => {
                    troubles.push(format!("{host} answered {}", answer.status));
                }
                Ok(answer) if is_ignorant(&answer) => {
                    // A service that has never heard of the token says more than who is none.
                    let says_more = trouble(&answer).code == KEY_NOT_FOUND;
                    ignorant = ignorant.filter(|_| !says_more).or(Some(answer));
                }
                Ok(answer) => {
                    self.answers.set(place);
                    return Ok(answer);
                }
                Err(trouble) => troubles.push(trouble),
            }
        }
        // Who cannot be reached may know it.
        ignorant.filter(|_| troubles.is_empty()).ok_or_else(|| ServiceError::Unreachable(troubles.join("; ")))
    }

    fn read(&self, answer: &PlainAnswer) -> Result<Node, ServiceError> {
        if let (200 | 201, Ok(found)) = (answer.status, serde_json::from_slice::<Answer>(&answer.body)) {
            return Ok(found.node);
        }
        let Trouble { code, message, cause } = trouble(answer);
        Err(ServiceError::Useless(match code {
            KEY_NOT_FOUND => format!(
                "the discovery service at {} does not know the token {}: it has ended, or the URL is of another service: make a new \
                 one with `solder discovery new`, or `solder invite` on a member of the cluster",
                self.host_names(),
                self.token
            ),
            0 => format!(
                "{} answered {} and is no discovery service: check the URL of --discovery",
                self.host_names(),
                answer.status
            ),
            code => {
                format!("the discovery service at {} refuses: {message} ({code}) {cause}", self.host_names())
            }
        }))
    }

    fn host_names(&self) -> String {
        self.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// Of this token, or of discovery.
fn is_ignorant(answer: &PlainAnswer) -> bool {
    match answer.status {
        200 | 201 => serde_json::from_slice::<Answer>(&answer.body).is_err(),
        _ => matches!(trouble(answer).code, 0 | KEY_NOT_FOUND),
    }
}

fn trouble(answer: &PlainAnswer) -> Trouble {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// In the order in which the service took them, whichever it lists them in: all boards must agree on the first.
fn boards(token: Node) -> Vec<Board> {
    let mut boards: Vec<(u64, Board)> = token.nodes.into_iter().filter_map(board).collect();
    boards.sort_by_key(|(index, _)| *index);
    boards.into_iter().map(|(_, board)| board).collect()
}

/// `None`: it is none.
fn board(node: Node) -> Option<(u64, Board)> {
    let id = node.key.rsplit('/').next().filter(|id| *id != "_config" && !id.is_empty())?.to_owned();
    Some((node.created_index, Board::of_value(id, &node.value)))
}

/// As forms are sent.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().fold(String::new(), |mut out, byte| {
        match plain(byte) {
            true => out.push(char::from(byte)),
            false => out += &format!("%{byte:02X}"),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        net::TcpListener,
        thread,
    };

    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    /// One that answers everybody so; or closes.
    fn host(answer: Option<(&'static str, &'static str)>) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let head = |(status, body): (&str, &str)| {
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
        };
        let text = answer.map(head).unwrap_or_default();
        thread::spawn(move || {
            for socket in listener.incoming() {
                let mut reader = BufReader::new(socket.expect("somebody calls"));
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
                    line.clear();
                }
                let _ = reader.get_mut().write_all(text.as_bytes());
            }
        });
        address.to_string().parse().expect("an endpoint")
    }

    /// Whichever stands first: one that knows the token is asked, and who does not know it has the last word only if nobody may.
    #[test]
    fn hosts_of_which_one_knows_the_token() {
        let knows = host(Some(("200 OK", r#"{"action":"get","node":{"key":"/T","value":"3"}}"#)));
        let unknown = host(Some(("404 Not Found", r#"{"errorCode":100,"message":"Key not found"}"#)));
        let page = host(Some(("200 OK", "hello")));
        let missing = host(Some(("404 Not Found", "hello")));
        let dead = host(None);
        let size = |hosts: &[Endpoint]| {
            let url = JoinUrl::parse(&format!("http://h/{TOKEN}")).expect("a URL");
            async_io::block_on(Service::new(hosts, &url).size())
        };
        for other in [&unknown, &page, &missing, &dead] {
            assert_eq!(size(&[other.clone(), knows.clone()]), Ok(3), "{other} first");
            assert_eq!(size(&[knows.clone(), other.clone()]), Ok(3), "{other} last");
        }
        let fails = |first: &Endpoint, second: &Endpoint| {
            size(&[first.clone(), second.clone()]).expect_err("nobody knows")
        };
        for (first, second) in [(&unknown, &page), (&page, &unknown), (&unknown, &missing)] {
            let error = fails(first, second);
            assert!(
                matches!(&error, ServiceError::Useless(why) if why.contains("does not know")),
                "{error:?}"
            );
        }
        let error = fails(&page, &missing);
        assert!(matches!(&error, ServiceError::Useless(why) if why.contains("is no discovery")), "{error:?}");
        for (first, second) in [(&unknown, &dead), (&dead, &page)] {
            let error = fails(first, second);
            assert!(matches!(error, ServiceError::Unreachable(_)), "who is not there may know: {error:?}");
        }
    }

    #[test]
    fn forms_are_escaped() {
        assert_eq!(escaped("b1=http://h:1"), "b1%3Dhttp%3A%2F%2Fh%3A1");
        assert_eq!(escaped("\u{fc} a"), "%C3%BC%20a");
    }

    #[test]
    fn boards_of_an_answer() {
        let text = br#"{"action":"get","node":{"key":"/T","dir":true,"nodes":[
            {"key":"/T/b","value":"b=https://h:2","createdIndex":3,"modifiedIndex":3},
            {"key":"/T/_config","dir":true,"createdIndex":1},
            {"key":"/T/a","value":"a=https://g:1,a=https://[::1]:1","createdIndex":2,"extra":[1]}]}}"#;
        let answer: Answer = serde_json::from_slice(text).expect("an answer");
        let boards = boards(answer.node);
        assert_eq!(boards.iter().map(|board| board.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((boards[0].urls.len(), &*boards[0].name), (2, "a"));
        assert!(boards[1].is_at_one_of(&["https://g:1".into(), "https://h:2".into()]));
        assert!(!boards[1].is_at_one_of(&["https://g:1".into()]));
    }

    #[test]
    fn what_answers_say() {
        let hosts = ["h:1".parse().expect("an endpoint")];
        let url = JoinUrl::parse(&format!("http://h/{TOKEN}")).expect("a URL");
        let service = Service::new(&hosts, &url);
        let said = |status, body: &str| {
            let answer = PlainAnswer { status, body: body.into() };
            service.read(&answer).map(|_| ()).expect_err("no answer")
        };
        let ServiceError::Useless(unknown) = said(404, r#"{"errorCode":100,"message":"Key not found"}"#)
        else {
            panic!()
        };
        assert!(unknown.contains(&format!("does not know the token {TOKEN}")), "{unknown}");
        let ServiceError::Useless(other) = said(404, "404 page not found") else { panic!() };
        assert!(other.contains("is no discovery service"), "{other}");
    }
}
