//! WebSockets: every call, and watches that are spoken with.

use serde_json::{Value, json};

use crate::server::{Client, Server};

/// A client's side of RFC 6455, as far as it is needed here.
pub(crate) struct Socket(Client);

impl Socket {
    pub(crate) fn open(server: &Server, path: &str) -> Socket {
        let mut client = server.connect();
        let headers = [
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ];
        client.request("GET", path, &headers, b"");
        let (status, headers) = client.head();
        assert_eq!(status, 101, "{headers:?}");
        let accept = headers.iter().find(|(name, _)| name == "sec-websocket-accept");
        // The example of RFC 6455 section 1.3.
        assert_eq!(accept.map(|(_, value)| &**value), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        Socket(client)
    }

    pub(crate) fn say(&mut self, document: Value) {
        let text = document.to_string();
        let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).ok().filter(|&len| len < 126).unwrap()];
        let mask = [1, 2, 3, 4];
        frame.extend(mask);
        frame.extend(text.bytes().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.0.write(&frame);
    }

    /// The opcode and what it carries.
    fn frame(&mut self) -> (u8, Vec<u8>) {
        let (is_last, opcode, body) = self.part();
        assert!(is_last, "frames are whole");
        (opcode, body)
    }

    /// Whether it is the last of its message, the opcode, and what it carries.
    pub(crate) fn part(&mut self) -> (bool, u8, Vec<u8>) {
        let mut head = [0; 2];
        self.0.read_exact(&mut head);
        let len = match head[1] {
            126 => {
                let mut len = [0; 2];
                self.0.read_exact(&mut len);
                u16::from_be_bytes(len).into()
            }
            127 => {
                let mut len = [0; 8];
                self.0.read_exact(&mut len);
                usize::try_from(u64::from_be_bytes(len)).unwrap()
            }
            len => usize::from(len),
        };
        let mut body = vec![0; len];
        self.0.read_exact(&mut body);
        (head[0] & 0x80 != 0, head[0] & 0xf, body)
    }

    pub(crate) fn hear(&mut self) -> Value {
        let (opcode, body) = self.frame();
        assert_eq!((opcode, body.last()), (1, Some(&b'}')), "a text frame without the line's end");
        serde_json::from_slice(&body).unwrap()
    }

    fn hear_close(&mut self) {
        assert_eq!(self.frame().0, 8);
    }
}

#[test]
fn a_unary_call_is_one_frame_each_way() {
    let server = Server::start();
    let mut socket = Socket::open(&server, "/v3/kv/put");
    socket.say(json!({"key": "YQ==", "value": "MQ=="}));
    assert_eq!(socket.hear()["header"]["revision"], "2");
    socket.hear_close();
    let mut socket = Socket::open(&server, "/v3/kv/put");
    socket.say(json!({}));
    assert_eq!(socket.hear()["message"], "etcdserver: key is not provided");
    socket.hear_close();
}

#[test]
fn a_watch_can_be_changed_while_it_runs() {
    let server = Server::start();
    let mut socket = Socket::open(&server, "/v3/watch");
    socket.say(json!({"create_request": {"key": "YQ=="}}));
    assert_eq!(socket.hear()["result"]["created"], true);
    server.post("/v3/kv/put", r#"{"key":"YQ==","value":"MQ=="}"#);
    assert_eq!(socket.hear()["result"]["events"][0]["kv"]["value"], "MQ==");
    socket.say(json!({"create_request": {"key": "Yg==", "watch_id": 7}}));
    assert_eq!(socket.hear()["result"]["watch_id"], "7");
    socket.say(json!({"cancel_request": {}}));
    assert_eq!(socket.hear()["result"]["canceled"], true);
    server.post("/v3/kv/put", r#"{"key":"YQ==","value":"Mg=="}"#);
    server.post("/v3/kv/put", r#"{"key":"Yg==","value":"Mw=="}"#);
    let message = socket.hear();
    assert_eq!(
        (&message["result"]["watch_id"], &message["result"]["events"][0]["kv"]["value"]),
        (&json!("7"), &json!("Mw=="))
    );
    socket.say(json!({"progress_request": {}}));
    let progress = socket.hear();
    assert_eq!(
        (&progress["result"]["watch_id"], &progress["result"]["header"]["revision"]),
        (&json!("-1"), &json!("4"))
    );
}

#[test]
fn a_lease_is_kept_alive_as_often_as_is_asked() {
    let server = Server::start();
    let (_, granted) = server.post("/v3/lease/grant", r#"{"TTL":60}"#);
    let mut socket = Socket::open(&server, "/v3/lease/keepalive");
    for _ in 0..3 {
        socket.say(json!({"ID": granted["ID"]}));
        assert_eq!(socket.hear()["result"]["TTL"], "60");
    }
}
