//! Both directions, as recorded from etcd 3.5.30's gateway.

use super::*;
use crate::types::Bytes;

fn range(body: &str) -> Result<RangeRequest, ParseError> {
    decode(body.as_bytes())
}

fn text(message: &impl Value) -> String {
    String::from_utf8(encode(message)).unwrap()
}

fn header() -> Option<ResponseHeader> {
    let header =
        ResponseHeader { cluster_id: 10144879847569953045, member_id: u64::MAX, revision: 2, raft_term: 2 };
    Some(header)
}

#[test]
fn one_message_of_each_kind_is_written_as_etcd_does() {
    let kv = KeyValue {
        key: b"q".into(),
        create_revision: 2,
        mod_revision: 3,
        version: 2,
        value: b"v\0".into(),
        lease: -7,
    };
    let cases = [
        (text(&RangeResponse::default()), "{}"),
        (
            text(&RangeResponse {
                header: header(),
                kvs: vec![kv.clone(), KeyValue::default()],
                more: true,
                count: 2,
            }),
            concat!(
                r#"{"header":{"cluster_id":"10144879847569953045","member_id":"18446744073709551615","revision":"2","#,
                r#""raft_term":"2"},"kvs":[{"key":"cQ==","create_revision":"2","mod_revision":"3","version":"2","#,
                r#""value":"dgA=","lease":"-7"},{}],"more":true,"count":"2"}"#
            ),
        ),
        (
            text(&TxnResponse {
                header: Some(ResponseHeader::default()),
                succeeded: false,
                responses: vec![
                    ResponseOp::Txn(TxnResponse {
                        header: Some(ResponseHeader::default()),
                        ..Default::default()
                    }),
                    ResponseOp::Put(PutResponse::default()),
                    ResponseOp::None,
                ],
            }),
            r#"{"header":{},"responses":[{"response_txn":{"header":{}}},{"response_put":{}},{}]}"#,
        ),
        (
            text(&Compare {
                target: CompareTarget::Mod,
                result: CompareResult::Unknown(-9),
                key: b"k".into(),
                operand: CompareOperand::ModRevision(0),
                range_end: b"\0".into(),
            }),
            r#"{"result":-9,"target":"MOD","key":"aw==","mod_revision":"0","range_end":"AA=="}"#,
        ),
        (
            text(&Event { kind: EventType::Delete, kv: Some(kv), prev_kv: None }),
            concat!(
                r#"{"type":"DELETE","kv":{"key":"cQ==","create_revision":"2","mod_revision":"3","version":"2","#,
                r#""value":"dgA=","lease":"-7"}}"#
            ),
        ),
        (text(&LeaseTimeToLiveResponse { id: 7, ttl: -1, ..Default::default() }), r#"{"ID":"7","TTL":"-1"}"#),
        (
            text(&HashKVResponse { hash: u32::MAX, compact_revision: -1, ..Default::default() }),
            r#"{"hash":4294967295,"compact_revision":"-1"}"#,
        ),
        (
            text(&StatusResponse { errors: vec!["a\"b\n".into()], ..Default::default() }),
            r#"{"errors":["a\"b\n"]}"#,
        ),
        (
            text(&StreamMessage {
                result: Some(WatchResponse { created: true, ..Default::default() }),
                error: None,
            }),
            r#"{"result":{"created":true}}"#,
        ),
        (
            text(&MemberAddRequest { peer_urls: vec!["http://x:1".into()], is_learner: true }),
            r#"{"peerURLs":["http://x:1"],"isLearner":true}"#,
        ),
    ];
    for (written, wanted) in cases {
        assert_eq!(written, wanted);
    }
}

#[test]
fn what_is_written_is_read_back() {
    let request = TxnRequest {
        compare: vec![Compare {
            target: CompareTarget::Value,
            result: CompareResult::NotEqual,
            operand: CompareOperand::Value(Bytes::new()),
            ..Default::default()
        }],
        success: vec![
            RequestOp::Put(PutRequest {
                key: b"\xff".into(),
                lease: i64::MIN,
                ignore_value: true,
                ..Default::default()
            }),
            RequestOp::Txn(TxnRequest {
                failure: vec![RequestOp::DeleteRange(DeleteRangeRequest::default())],
                ..Default::default()
            }),
        ],
        failure: vec![
            RequestOp::Range(RangeRequest {
                sort_order: SortOrder::Unknown(7),
                max_mod_revision: 9,
                ..Default::default()
            }),
            RequestOp::None,
        ],
    };
    assert_eq!(decode(&encode(&request)), Ok(request));
    let watch = WatchRequest::Create(WatchCreateRequest {
        filters: vec![FilterType::NoDelete, FilterType::NoPut],
        watch_id: -1,
        ..Default::default()
    });
    // The zero of an enum is written where a list must have something.
    assert_eq!(text(&watch), r#"{"create_request":{"filters":["NODELETE","NOPUT"],"watch_id":"-1"}}"#);
    assert_eq!(decode(&encode(&watch)), Ok(watch));
}

#[test]
fn liberties_that_are_taken_with_requests() {
    let plain = RangeRequest { key: b"q".into(), ..Default::default() };
    let limited = RangeRequest { limit: 10, ..plain.clone() };
    let descending = RangeRequest { sort_order: SortOrder::Descend, ..plain.clone() };
    let cases = [
        ("", RangeRequest::default()),
        (" \r\n\t", RangeRequest::default()),
        ("{}", RangeRequest::default()),
        ("   \n {\"key\":\"cQ==\"}  \n", plain.clone()),
        (r#"{"key":"cQ=="} junk"#, plain.clone()),
        (r#"{"key":"cQ=="}{"key":"!"}"#, plain.clone()),
        (r#"{"\u006bey":"cQ=="}"#, plain.clone()),
        (r#"{"key":"cQ==","KEY":1,"1":"x","bogus":{"a":[null,1.5e3]}}"#, plain.clone()),
        (r#"{"key":"cQ==","limit":null,"serializable":null,"sort_order":null}"#, plain.clone()),
        (r#"{"key":"cQ==","limit":-0}"#, plain.clone()),
        (r#"{"key":"cQ==","limit":"10"}"#, limited.clone()),
        (r#"{"key":"cQ==","limit":10}"#, limited.clone()),
        (r#"{"key":"cQ==","limit":1e1}"#, limited.clone()),
        (r#"{"key":"cQ==","limit":"1e1"}"#, limited.clone()),
        (r#"{"key":"cQ==","limit":10.0}"#, limited),
        (r#"{"key":"cQ==","sort_order":"DESCEND"}"#, descending.clone()),
        (r#"{"key":"cQ==","sortOrder":2}"#, descending.clone()),
        (r#"{"key":"cQ==","sort_order":2.0}"#, descending),
        (r#"{"key":"cQ==","sort_order":"descend"}"#, plain.clone()),
        (r#"{"key":"cQ==","sort_order":"2"}"#, plain.clone()),
        (
            r#"{"key":"cQ==","sort_order":7}"#,
            RangeRequest { sort_order: SortOrder::Unknown(7), ..plain.clone() },
        ),
        (r#"{"key":"cQ==","maxCreateRevision":"3"}"#, RangeRequest { max_create_revision: 3, ..plain }),
    ];
    for (body, wanted) in cases {
        assert_eq!(range(body), Ok(wanted), "{body}");
    }
}

#[test]
fn what_is_refused() {
    let bodies = [
        "null",
        "[]",
        "\"x\"",
        "123",
        "junk",
        "\u{feff}{}",
        r#"{"key":"cQ==""#,
        r#"{"key":"cQ==",}"#,
        "{'key':'cQ=='}",
        r#"{"key":"cQ==" /* c */}"#,
        r#"{"x":tru}"#,
        r#"{"key":"cQ==","key":"cQ=="}"#,
        r#"{"key":null,"key":"cQ=="}"#,
        r#"{"range_end":"cQ==","rangeEnd":"cQ=="}"#,
        r#"{"key":"+_8="}"#,
        r#"{"key":123}"#,
        r#"{"key":[]}"#,
        r#"{"key":{}}"#,
        r#"{"limit":1.5}"#,
        r#"{"limit":"1.5"}"#,
        r#"{"limit":""}"#,
        r#"{"limit":true}"#,
        r#"{"limit":01}"#,
        r#"{"limit":+1}"#,
        r#"{"limit":1e400}"#,
        r#"{"limit":9223372036854775808}"#,
        r#"{"limit":"9223372036854775808"}"#,
        r#"{"serializable":"true"}"#,
        r#"{"serializable":1}"#,
        r#"{"sort_order":true}"#,
    ];
    for body in bodies {
        assert!(range(body).is_err(), "{body}");
    }
    assert!(decode::<MemberAddRequest>(br#"{"peerURLs":"http://x:1"}"#).is_err());
    assert!(decode::<MemberAddRequest>(br#"{"peerURLs":["\ud800"]}"#).is_err());
    assert!(decode::<MemberAddRequest>(b"{\"peerURLs\":[\"\xff\"]}").is_err());
    assert!(decode::<TxnRequest>(br#"{"success":{}}"#).is_err());
    assert!(decode::<TxnRequest>(br#"{"success":[null]}"#).is_err());
}

#[test]
fn members_of_a_oneof_exclude_each_other() {
    let one = r#"{"success":[{"requestPut":{"key":"cQ=="},"request_range":null}]}"#;
    let put = RequestOp::Put(PutRequest { key: b"q".into(), ..Default::default() });
    assert_eq!(decode(one.as_bytes()), Ok(TxnRequest { success: vec![put], ..Default::default() }));
    let none = r#"{"success":[{"request_put":null}]}"#;
    assert_eq!(
        decode(none.as_bytes()),
        Ok(TxnRequest { success: vec![RequestOp::None], ..Default::default() })
    );
    for two in [
        r#"{"success":[{"request_put":{},"request_range":{}}]}"#,
        r#"{"compare":[{"version":1,"value":"eA=="}]}"#,
        r#"{"compare":[{"version":1,"version":1}]}"#,
    ] {
        assert!(decode::<TxnRequest>(two.as_bytes()).is_err(), "{two}");
    }
}

#[test]
fn refusals_say_what_and_where() {
    let cases = [
        ("null", "proto: syntax error (line 1:1): unexpected token null"),
        ("[]", "proto: syntax error (line 1:1): unexpected token ["),
        ("\"x\" ", "proto: syntax error (line 1:1): unexpected token \"x\""),
        (r#"{"key":"#, "unexpected EOF"),
        (r#"{"limit":"abc"}"#, "proto: (line 1:14): invalid value for int64 field: \"abc\""),
        (r#"{"key":"YQ==","key":"YQ=="}"#, "proto: (line 1:19): duplicate field \"key\""),
    ];
    for (body, wanted) in cases {
        assert_eq!(range(body).map_err(|error| error.to_string()), Err(wanted.to_owned()), "{body}");
    }
}

#[test]
fn documents_follow_each_other() {
    let body = br#" {"ID":1}{"ID":"2"}
        {} {"ID":true} {"ID":5}"#;
    let read: Vec<_> = Documents::<LeaseKeepAliveRequest>::new(body).collect();
    assert_eq!(read.len(), 4);
    assert_eq!(read[..2], [Ok(LeaseKeepAliveRequest { id: 1 }), Ok(LeaseKeepAliveRequest { id: 2 })]);
    assert_eq!(read[2], Ok(LeaseKeepAliveRequest::default()));
    assert!(read[3].is_err());
}

#[test]
fn depth_is_bounded() {
    let nested = |levels: usize, open: &str, close: &str| {
        format!("{{{}{}}}", open.repeat(levels), close.repeat(levels))
    };
    // Of fields that nobody knows, any depth is skipped without recursion.
    let deep = format!(r#"{{"key":"cQ==","x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(range(&deep).is_ok());
    assert!(range(&format!(r#"{{"x":{}"#, "[{\"a\":".repeat(100_000))).is_err());
    let txn =
        |levels| decode::<TxnRequest>(nested(levels, r#""success":[{"request_txn":{"#, "}}]").as_bytes());
    assert!(txn(30).is_ok());
    assert!(txn(100_000).is_err());
}

#[test]
fn a_key_value_is_written_the_same_wherever_its_bytes_lie() {
    for numbers in [[0; 4], [1, 2, 3, 4], [i64::MAX, i64::MIN, -1, 7]] {
        for (key, value) in [(&b"key"[..], &b"value"[..]), (b"\0", b""), (b"", b"")] {
            let [create_revision, mod_revision, version, lease] = numbers;
            let at = KeyValueAt { key, create_revision, mod_revision, version, value, lease };
            let owned = KeyValue {
                key: key.into(),
                create_revision,
                mod_revision,
                version,
                value: value.into(),
                lease,
            };
            let mut out = Vec::new();
            at.write(&mut out);
            assert_eq!(out, encode(&owned));
        }
    }
}
