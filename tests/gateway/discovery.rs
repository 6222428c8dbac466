//! Discovery: the rules that follow from what etcd's client does with the answers.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use solder::api::{self, DiscoveryOptions};

use crate::server::{Answer, Server};

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

/// Of a poll that is to end with nothing; the others are answered long before.
const SHORT: Duration = Duration::from_millis(300);

fn start() -> Server {
    with(DiscoveryOptions::default())
}

fn with(discovery: DiscoveryOptions) -> Server {
    Server::with(api::Options { discovery, ..api::Options::default() })
}

fn get(server: &Server, path: &str) -> Answer {
    server.send("GET", path, &[], b"")
}

/// `/<token>`, of a new one.
fn token(server: &Server, size: u8) -> String {
    let answer = get(server, &format!("/new?size={size}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().strip_prefix("http://localhost").expect("the Host that was asked").to_owned()
}

fn put(server: &Server, token: &str, id: &str) -> Answer {
    let value = format!("value=m{id}%3Dhttp%3A%2F%2F127.0.0.1%3A{id}");
    server.send("PUT", &format!("{token}/{id}?prevExist=false"), &[FORM], value.as_bytes())
}

fn index(answer: &Answer) -> &str {
    answer.header("x-etcd-index").expect("X-Etcd-Index")
}

fn json_of(answer: &Answer) -> Value {
    assert_eq!(answer.header("content-type"), Some("application/json"));
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

fn node(token: &str, id: &str, index: u64) -> Value {
    let value = format!("m{id}=http://127.0.0.1:{id}");
    json!({"key": format!("{token}/{id}"), "value": value, "modifiedIndex": index, "createdIndex": index})
}

/// Status, code and cause.
fn refusal(answer: &Answer) -> (u16, u64, String) {
    let body = json_of(answer);
    assert!(body["message"].is_string() && body["index"].is_u64(), "{body}");
    (answer.status, body["errorCode"].as_u64().unwrap(), body["cause"].as_str().unwrap().to_owned())
}

/// Every request of a member, in its order, with the bytes that etcd's client was seen to be content with.
#[test]
fn the_way_of_a_member() {
    let server = start();
    let token = token(&server, 2);
    assert!(
        token.len() == 33 && token[1..].bytes().all(|byte| b"0123456789abcdef".contains(&byte)),
        "{token}"
    );
    let options = "quorum=false&recursive=false&sorted=false";

    let size = get(&server, &format!("{token}/_config/size?{options}"));
    assert_eq!((size.status, index(&size)), (200, "1"));
    let text = format!(
        r#"{{"action":"get","node":{{"key":"{token}/_config/size","value":"2","modifiedIndex":1,"createdIndex":1}}}}"#
    );
    assert_eq!(size.text().trim_end(), text);
    let empty = get(&server, &format!("{token}?{options}"));
    assert_eq!((empty.status, index(&empty)), (200, "1"));
    let text = format!(
        r#"{{"action":"get","node":{{"key":"{token}","dir":true,"modifiedIndex":1,"createdIndex":1}}}}"#
    );
    assert_eq!(empty.text().trim_end(), text);

    let created = put(&server, &token, "7001");
    assert_eq!((created.status, index(&created)), (201, "2"));
    let text = format!(
        r#"{{"action":"create","node":{{"key":"{token}/7001","value":"m7001=http://127.0.0.1:7001","modifiedIndex":2,"createdIndex":2}}}}"#
    );
    assert_eq!(created.text().trim_end(), text);
    // Its own creation is told at once, though it is past.
    let own = get(&server, &format!("{token}/7001?recursive=false&wait=true&waitIndex=2"));
    assert_eq!((own.status, own.text()), (200, &*format!("{text}\n")));

    assert_eq!(put(&server, &token, "7000").status, 201);
    for path in [token.clone(), format!("{token}/"), format!("{token}?{options}")] {
        let all = get(&server, &path);
        assert_eq!((all.status, index(&all)), (200, "3"));
        let nodes = json!([node(&token, "7001", 2), node(&token, "7000", 3)]);
        assert_eq!(json_of(&all)["node"]["nodes"], nodes, "in the order of their coming");
    }
    let next = get(&server, &format!("{token}?recursive=true&wait=true&waitIndex=3"));
    assert_eq!(json_of(&next), json!({"action": "create", "node": node(&token, "7000", 3)}));
    let one = get(&server, &format!("{token}/7000"));
    assert_eq!(json_of(&one), json!({"action": "get", "node": node(&token, "7000", 3)}));
    let head = server.send("HEAD", &token, &[], b"");
    assert_eq!((head.status, index(&head)), (200, "3"));
}

#[test]
fn sizes() {
    let server = start();
    let made = |query: &str| {
        let answer = get(&server, &format!("/new{query}"));
        let token = answer.text().strip_prefix("http://localhost").map(str::to_owned);
        (answer, token)
    };
    for (query, size) in [("", "3"), ("?size=", "3"), ("?size=1", "1"), ("?size=9", "9"), ("?size=09", "9")] {
        let (answer, token) = made(query);
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        let told = get(&server, &format!("{}/_config/size", token.expect(query)));
        assert_eq!(json_of(&told)["node"]["value"], size, "{query}");
    }
    for bad in ["0", "10", "-1", "x", "3.0", "%2B3", "99999999999999999999"] {
        let (answer, _) = made(&format!("?size={bad}"));
        let told = (answer.status, answer.text());
        assert_eq!(told, (400, "size is not a whole number from 1 to 9\n"), "{bad}");
    }
    let (misspelt, _) = made("?sise=5");
    assert_eq!(misspelt.status, 400, "{}", misspelt.text());
    let posted = server.send("POST", "/new", &[FORM], b"size=5");
    let token = posted.text().strip_prefix("http://localhost").expect("a URL");
    assert_eq!(json_of(&get(&server, &format!("{token}/_config/size")))["node"]["value"], "5");
    for method in ["HEAD", "PUT", "DELETE"] {
        let answer = server.send(method, "/new", &[], b"");
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, POST")), "{method}");
    }
    let page = server.send("GET", "/new", &["Sec-Fetch-Site: cross-site"], b"");
    assert_eq!(page.status, 403);
    assert_eq!(server.send("GET", "/new", &["Sec-Fetch-Site: none"], b"").status, 200);
}

#[test]
fn what_is_refused() {
    let server = start();
    let token = token(&server, 1);
    assert_eq!(put(&server, &token, "1").status, 201);
    let unknown = "/00000000000000000000000000000000";
    let cases = [
        ("GET", unknown.to_owned(), "", (404, 100), "/_config/size"),
        ("GET", format!("{unknown}/_config/size"), "", (404, 100), "/_config/size"),
        ("GET", format!("{unknown}?wait=true&waitIndex=2"), "", (404, 100), "/_config/size"),
        ("PUT", format!("{unknown}/1?prevExist=false"), "value=a%3Dhttp://b:1", (404, 100), "/_config/size"),
        ("GET", format!("{token}/2"), "", (404, 100), "/2"),
        ("GET", format!("{token}/_config"), "", (404, 100), "/_config"),
        ("GET", format!("{token}/a/b"), "", (404, 100), "/a/b"),
        ("PUT", format!("{token}/1?prevExist=false"), "value=a%3Dhttp://b:1", (412, 105), "/1"),
        ("PUT", format!("{token}/1"), "value=a%3Dhttp://b:1", (412, 105), "/1"),
        ("PUT", format!("{token}/1?prevExist=true"), "value=a%3Dhttp://b:1", (400, 209), "prevExist=false"),
        ("PUT", format!("{token}/2"), "", (400, 210), "one field"),
        ("PUT", format!("{token}/2"), "value=a%3Dhttp://b:1&ttl=5", (400, 210), "one field"),
        ("PUT", format!("{token}/2"), "value=%zz", (400, 210), "encoded"),
        ("PUT", format!("{token}/2"), "value=a", (400, 209), "NAME=URL"),
        ("PUT", format!("{token}/a%20b"), "value=a%3Dhttp://b:1", (400, 209), "letters"),
        ("PUT", token.clone(), "value=a%3Dhttp://b:1", (403, 107), "as it was made"),
        ("PUT", format!("{token}/_config/size"), "value=5", (403, 107), "as it was made"),
        ("DELETE", format!("{token}/1"), "", (403, 107), "never removed"),
        ("DELETE", token.clone(), "", (403, 107), "never removed"),
        ("POST", token.clone(), "", (405, 107), "GET and PUT"),
        ("GET", format!("{token}?wait=yes"), "", (400, 209), "\"wait\""),
        ("GET", format!("{token}?wait=true&waitIndex=-1"), "", (400, 203), "\"waitIndex\""),
    ];
    for (method, path, body, expected, cause) in cases {
        let answer = server.send(method, &path, &[FORM], body.as_bytes());
        let (status, code, why) = refusal(&answer);
        assert_eq!((status, code), expected, "{method} {path} {body}: {why}");
        assert!(why.contains(cause), "{method} {path} {body}: {why}");
    }
    let posted = server.send("POST", &token, &[FORM], b"");
    assert_eq!(posted.header("allow"), Some("GET, HEAD, PUT"));
    let long = server.send("PUT", &format!("{token}/2"), &[FORM], &vec![b'a'; 5000]);
    assert_eq!(refusal(&long).1, 210);
    assert_eq!(index(&get(&server, &token)), "2", "nothing has changed");
}

/// Who comes too late is told by its place; but a token has an end.
#[test]
fn a_token_takes_so_many_members() {
    let server = start();
    let token = token(&server, 2);
    for id in 1..=18 {
        assert_eq!(put(&server, &token, &id.to_string()).status, 201, "{id}");
    }
    let (status, code, cause) = refusal(&put(&server, &token, "19"));
    assert_eq!((status, code), (403, 107), "{cause}");
    assert_eq!(cause, "18 members have registered for a cluster of 2: make a new token");
    assert_eq!(index(&get(&server, &token)), "19");
}

#[test]
fn polls_are_answered_when_somebody_comes() {
    let server = start();
    let token = token(&server, 3);
    assert_eq!(put(&server, &token, "1").status, 201);
    let mut waiting: Vec<_> = [
        format!("{token}?recursive=true&wait=true&waitIndex=3"),
        format!("{token}?wait=true"),
        format!("{token}/2?recursive=false&wait=true&waitIndex=3"),
    ]
    .iter()
    .map(|path| {
        let mut client = server.connect();
        client.request("GET", path, &[], b"");
        client
    })
    .collect();
    for client in &mut waiting {
        assert!(client.is_quiet());
    }
    // What is put below the token by another door is nobody's coming.
    let name = token.trim_start_matches('/');
    for key in ["_config/note", "members/_config", "other"] {
        let path = format!("/kv//_etcd/registry/{name}/{key}");
        assert_eq!(server.send("PUT", &path, &[], b"x=http://x").status, 200);
    }
    for client in &mut waiting {
        assert!(client.is_quiet());
    }
    assert_eq!(put(&server, &token, "2").status, 201);
    for client in &mut waiting {
        let answer = client.receive();
        assert_eq!((answer.status, index(&answer)), (200, "3"));
        assert_eq!(json_of(&answer), json!({"action": "create", "node": node(&token, "2", 3)}));
    }
    // The connection goes on.
    waiting[0].request("GET", &token, &[], b"");
    assert_eq!(index(&waiting[0].receive()), "3");
}

#[test]
fn a_poll_ends_with_nothing() {
    let server = with(DiscoveryOptions { poll: SHORT, ..DiscoveryOptions::default() });
    let token = token(&server, 3);
    assert_eq!(put(&server, &token, "1").status, 201);
    for path in
        [format!("{token}?recursive=true&wait=true&waitIndex=3"), format!("{token}/1?wait=true&waitIndex=3")]
    {
        let begun = Instant::now();
        let answer = get(&server, &path);
        assert_eq!((answer.status, index(&answer), answer.text()), (200, "2", ""), "{path}");
        assert!(begun.elapsed() >= SHORT, "{path}: {:?}", begun.elapsed());
    }
}

/// Nobody who waits keeps a board from stopping, and who waits is told so in order.
#[test]
fn a_poll_ends_with_the_server() {
    let server = start();
    let token = token(&server, 3);
    let mut waiting = server.connect();
    waiting.request("GET", &format!("{token}?recursive=true&wait=true&waitIndex=2"), &[], b"");
    assert!(waiting.is_quiet());
    let stopping = thread::spawn(move || drop(server));
    let answer = waiting.receive();
    assert_eq!((answer.status, answer.text()), (200, ""));
    stopping.join().unwrap();
}

/// Nine at the same moment: nine places, and who reads or waits from the beginning sees each once, in the same order.
#[test]
fn nine_at_once() {
    let server = start();
    let token = token(&server, 9);
    let places: Vec<u64> = thread::scope(|scope| {
        let coming: Vec<_> = (1..=9)
            .map(|id| {
                let (server, token) = (server.connect(), &token);
                scope.spawn(move || {
                    let mut server = server;
                    let body = format!("value=m{id}%3Dhttp%3A%2F%2F127.0.0.1%3A{id}");
                    let path = format!("{token}/{id}?prevExist=false");
                    let answer = server.send("PUT", &path, &[FORM], body.as_bytes());
                    assert_eq!(answer.status, 201, "{}", answer.text());
                    json_of(&answer)["node"]["createdIndex"].as_u64().unwrap()
                })
            })
            .collect();
        coming.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let mut sorted = places.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (2..=10).collect::<Vec<_>>());
    let mut order: Vec<(u64, u64)> = places.iter().zip(1..).map(|(&place, id)| (place, id)).collect();
    order.sort_unstable();
    let expected: Vec<Value> =
        order.iter().map(|(place, id)| node(&token, &id.to_string(), *place)).collect();
    let all = get(&server, &token);
    assert_eq!(json_of(&all)["node"]["nodes"], json!(expected));
    for (place, expected) in (2..).zip(&expected) {
        let told = get(&server, &format!("{token}?recursive=true&wait=true&waitIndex={place}"));
        assert_eq!(json_of(&told)["node"], *expected);
    }
}

/// All keys of a token hang on one lease of a week; with it they go, and who waits is told so.
#[test]
fn a_token_ends() {
    let server = start();
    let token = token(&server, 3);
    assert_eq!(put(&server, &token, "1").status, 201);
    let (_, leases) = server.post("/v3/lease/leases", "{}");
    let [lease] = &leases["leases"].as_array().unwrap()[..] else { panic!("{leases}") };
    let id = lease["ID"].as_str().unwrap();
    let (_, left) = server.post("/v3/lease/timetolive", &json!({"ID": id, "keys": true}).to_string());
    assert_eq!(left["grantedTTL"], "604800");
    assert_eq!(left["keys"].as_array().unwrap().len(), 3, "{left}");
    let mut waiting = server.connect();
    waiting.request("GET", &format!("{token}?recursive=true&wait=true&waitIndex=3"), &[], b"");
    assert!(waiting.is_quiet());
    assert_eq!(server.post("/v3/lease/revoke", &json!({"ID": id}).to_string()).0, 200);
    assert_eq!(refusal(&waiting.receive()), (404, 100, format!("{token}/_config/size")));
    assert_eq!(refusal(&get(&server, &token)).1, 100);
    assert_eq!(refusal(&put(&server, &token, "2")).1, 100);
    let (_, rest) = server.post("/v3/kv/range", r#"{"key":"AA==","range_end":"AA=="}"#);
    assert_eq!(rest.get("kvs"), None, "{rest}");
}

#[test]
fn there_are_so_many_tokens() {
    let server = with(DiscoveryOptions { tokens_max: 2, ..DiscoveryOptions::default() });
    let first = token(&server, 3);
    // Members do not count.
    assert_eq!(put(&server, &first, "1").status, 201);
    token(&server, 3);
    let refused = get(&server, "/new");
    let text = "there are 2 discovery tokens, which is the most: each ends 7 days after it was made\n";
    assert_eq!((refused.status, refused.text()), (503, text));
    let (_, leases) = server.post("/v3/lease/leases", "{}");
    assert_eq!(leases["leases"].as_array().unwrap().len(), 2, "nothing is left of what was refused");
    let id = &leases["leases"][0]["ID"];
    assert_eq!(server.post("/v3/lease/revoke", &json!({"ID": id}).to_string()).0, 200);
    token(&server, 3);
}

/// A service that is nothing else gives strangers no store.
#[test]
fn alone() {
    let server = with(DiscoveryOptions { alone: true, ..DiscoveryOptions::default() });
    let token = token(&server, 3);
    assert_eq!(put(&server, &token, "1").status, 201);
    for path in ["/health", "/version", "/metrics", "/readyz", &token] {
        assert_eq!(get(&server, path).status, 200, "{path}");
    }
    for (method, path) in [
        ("POST", "/v3/kv/range"),
        ("POST", "/v3/kv/put"),
        ("POST", "/v3/watch"),
        ("POST", "/v3/maintenance/snapshot"),
        ("POST", "/v3beta/kv/range"),
        ("GET", "/kv/a"),
        ("PUT", "/kv/a"),
        ("GET", "/v3/"),
        ("GET", "/v3/kv/../kv/range"),
    ] {
        assert_eq!(server.send(method, path, &[], b"{}").status, 404, "{method} {path}");
    }
}
