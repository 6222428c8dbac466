//! A discovery service, as a board sees it that looks for others: etcd's v2 protocol, of which little is needed here.
//!
//! ```text
//!   GET /TOKEN/_config/size   how many boards begin together
//!   GET /TOKEN                who has registered, in the order in which the service took them
//!   PUT /TOKEN/ID             name=https://10.0.0.1:2380: registers this board, once
//! ```

use std::{cell::Cell, time::Duration};

use serde::Deserialize;

use super::turn::{Board, Registered};
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
    pub(super) fn new(hosts: &'a [Endpoint], token: &'a str) -> Service<'a> {
        Service { hosts, token, answers: Cell::new(0) }
    }

    pub(super) async fn registered(&self) -> Result<Registered, ServiceError> {
        let size = self.size().await?;
        let answer = self.ask("GET", "", "").await?;
        let node = self.read(&answer)?;
        Ok(Registered { size, boards: boards(node) })
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
                    ignorant.get_or_insert(answer);
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
    !matches!(answer.status, 200 | 201) && matches!(trouble(answer).code, 0 | KEY_NOT_FOUND)
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
    use super::*;

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
        let service = Service::new(&hosts, "T");
        let said = |status, body: &str| {
            let answer = PlainAnswer { status, body: body.into() };
            service.read(&answer).map(|_| ()).expect_err("no answer")
        };
        let ServiceError::Useless(unknown) = said(404, r#"{"errorCode":100,"message":"Key not found"}"#)
        else {
            panic!()
        };
        assert!(unknown.contains("does not know the token T"), "{unknown}");
        let ServiceError::Useless(other) = said(404, "404 page not found") else { panic!() };
        assert!(other.contains("is no discovery service"), "{other}");
    }
}
