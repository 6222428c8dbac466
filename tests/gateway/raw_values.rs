//! `/kv/`, as curl sees it.

use crate::server::Server;

#[test]
fn a_value_comes_back_as_it_was() {
    let server = Server::start();
    let mut client = server.connect();
    let put = client.send("PUT", "/kv//boards/a%20b", &[], b"\0\xffon\n");
    assert_eq!((put.status, put.header("etag"), &*put.body), (200, Some("\"2\""), &b""[..]));
    let get = client.send("GET", "/kv//boards/a%20b", &[], b"");
    assert_eq!((get.status, get.header("etag"), &*get.body), (200, Some("\"2\""), &b"\0\xffon\n"[..]));
    assert_eq!(get.header("content-type"), Some("application/octet-stream"));
    assert_eq!(client.send("HEAD", "/kv//boards/a%20b", &[], b"").header("content-length"), Some("5"));
    // The key is not cleaned.
    assert_eq!(client.send("GET", "/kv/boards/a%20b", &[], b"").status, 404);
    let (_, range) = server.post("/v3/kv/range", r#"{"key":"L2JvYXJkcy9hIGI="}"#);
    assert_eq!(range["kvs"][0]["value"], "AP9vbgo=");
    let gone = client.send("DELETE", "/kv//boards/a%20b", &[], b"");
    assert_eq!(gone.status, 200);
    let again = client.send("DELETE", "/kv//boards/a%20b", &[], b"");
    assert_eq!((again.status, again.text()), (404, "key not found\n"));
}

#[test]
fn conditions() {
    let server = Server::start();
    let mut client = server.connect();
    let mut put = |header: &str, value: &[u8]| client.send("PUT", "/kv/a", &[header], value).status;
    assert_eq!(put("If-Match: *", b"0"), 412);
    assert_eq!(put("If-None-Match: *", b"1"), 200);
    assert_eq!(put("If-None-Match: *", b"2"), 412);
    assert_eq!(put("If-Match: \"2\"", b"3"), 200);
    assert_eq!(put("If-Match: \"2\"", b"4"), 412);
    assert_eq!(put("If-Match: *", b"5"), 200);
    assert_eq!(put("If-Match: x", b"6"), 400);
    assert_eq!(client.send("GET", "/kv/a", &[], b"").body, b"5");
    let fresh = client.send("GET", "/kv/a", &["If-None-Match: \"4\""], b"");
    assert_eq!((fresh.status, fresh.header("etag")), (304, Some("\"4\"")));
    assert_eq!(client.send("GET", "/kv/a", &["If-None-Match: \"3\""], b"").status, 200);
    assert_eq!(client.send("DELETE", "/kv/a", &["If-Match: \"3\""], b"").status, 412);
    assert_eq!(client.send("DELETE", "/kv/a", &["If-Match: \"4\""], b"").status, 200);
}

#[test]
fn a_prefix_is_a_list_of_lines() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("PUT", "/kv/p/b", &[], b"2");
    client.send("PUT", "/kv/p/a", &[], b"1");
    client.send("PUT", "/kv/p/%FF", &[], b"\x80");
    client.send("PUT", "/kv/q", &[], b"3");
    let list = client.send("GET", "/kv/p/?prefix", &[], b"");
    let wanted = concat!(
        "{\"key\":\"p/a\",\"value\":\"1\",\"rev\":3}\n",
        "{\"key\":\"p/b\",\"value\":\"2\",\"rev\":2}\n",
        "{\"key_b64\":\"cC//\",\"value_b64\":\"gA==\",\"rev\":4}\n",
    );
    assert_eq!(list.text(), wanted);
    assert_eq!(client.send("GET", "/kv/?prefix", &[], b"").text().lines().count(), 4);
    assert_eq!(client.send("GET", "/kv/none?prefix", &[], b"").text(), "");
    assert_eq!(client.send("DELETE", "/kv/p/?prefix", &[], b"").text(), "{\"deleted\":3}\n");
    assert_eq!(client.send("GET", "/kv/?prefix", &[], b"").text().lines().count(), 1);
}

#[test]
fn what_is_refused_is_one_line_of_text() {
    let server = Server::start();
    let mut client = server.connect();
    let cases = [
        ("GET", "/kv/", 400, "etcdserver: key is not provided\n"),
        ("PUT", "/kv/", 400, "etcdserver: key is not provided\n"),
        ("GET", "/kv/%zz", 400, "the path has a % without two hex digits\n"),
        ("PUT", "/kv/a?tll=1s", 400, "unknown parameter \"tll\": there are ttl\n"),
        ("PUT", "/kv/a?ttl=soon", 400, "ttl is not a number of seconds such as 10s, 5m or 1h\n"),
        ("GET", "/kv/a", 404, "key not found\n"),
        ("POST", "/kv/a", 405, "Method Not Allowed\n"),
    ];
    for (method, path, status, text) in cases {
        let answer = client.send(method, path, &[], b"");
        assert_eq!((answer.status, answer.text()), (status, text), "{method} {path}");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    }
    let large = server.send("PUT", "/kv/a", &[], &vec![0; 1_600_000]);
    assert_eq!((large.status, large.text()), (400, "etcdserver: request is too large\n"));
}

#[test]
fn a_value_for_a_while() {
    let server = Server::start();
    let put = server.send("PUT", "/kv/a?ttl=1h", &[], b"1");
    assert_eq!(put.status, 200);
    let (_, range) = server.post("/v3/kv/range", r#"{"key":"YQ=="}"#);
    let lease = range["kvs"][0]["lease"].as_str().unwrap();
    let (_, ttl) = server.post("/v3/lease/timetolive", &format!(r#"{{"ID":"{lease}"}}"#));
    assert_eq!(ttl["grantedTTL"], "3600");
    // A put that is not made leaves no lease behind.
    let refused = server.send("PUT", "/kv/a?ttl=1h", &["If-None-Match: *"], b"2");
    assert_eq!(refused.status, 412);
    assert_eq!(server.post("/v3/lease/leases", "{}").1["leases"].as_array().unwrap().len(), 1);
}
