//! Heads and chunked bodies of arbitrary bytes: nothing panics, pieces make no difference, and what is taken has one
//! meaning only.

use fastrand::Rng;
use solder::http::*;

const CASES: u64 = 20_000;
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Words that heads are made of, and that break them.
const WORDS: &[&str] = &[
    "GET",
    "POST",
    "OPTIONS",
    " ",
    " ",
    "/",
    "*",
    "//a",
    "?b=c",
    "%41",
    "http://a",
    "HTTP/1.1",
    "HTTP/1.0",
    "\r\n",
    "\r\n",
    "\r\n",
    "\r\n\r\n",
    "\r",
    "\n",
    "\0",
    "\t",
    ":",
    ": ",
    "Host",
    "Host: a\r\n",
    "Content-Length: 1\r\n",
    "Content-Length",
    "Transfer-Encoding: chunked\r\n",
    "chunked",
    ",",
    "+5",
    "5",
    "18446744073709551616",
    "Connection: close\r\n",
    "Expect: 100-continue\r\n",
    "Origin: b\r\n",
    "\u{e4}",
    "x",
    "GET / HTTP/1.1\r\nHost: a\r\n",
];

const CHUNK_WORDS: &[&str] = &[
    "0",
    "1",
    "5",
    "a",
    "ff",
    "\r\n",
    "\r\n",
    "\r\n",
    "\r",
    "\n",
    ";",
    "x=y",
    "0\r\n\r\n",
    "3\r\nabc\r\n",
    "1;q\r\nx\r\n",
    "T: t\r\n",
    ":",
    " ",
    "\0",
    "hello",
    "10000000000000000",
];

fn mix(rng: &mut Rng, words: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..rng.usize(..20) {
        bytes.extend_from_slice(words[rng.usize(..words.len())].as_bytes());
        if rng.u8(..) < 4 {
            bytes.push(rng.u8(..));
        }
    }
    bytes
}

#[test]
fn heads_of_arbitrary_bytes() {
    let mut taken = 0;
    for seed in 0..CASES {
        let mut rng = Rng::with_seed(seed);
        let mut bytes = if rng.bool() { b"GET /a HTTP/1.1\r\nHost: a\r\n".to_vec() } else { Vec::new() };
        bytes.extend(mix(&mut rng, WORDS));
        let whole = parse_head(&bytes, HEAD_BYTES_MAX);
        if let Ok(Some(head)) = &whole {
            taken += 1;
            check_meaning(head, &bytes[..head.length()]);
        }
        // The first prefix that is more than the beginning of a head has the same answer.
        let early = (0..=bytes.len()).map(|end| parse_head(&bytes[..end], HEAD_BYTES_MAX));
        let early = early.into_iter().find(|parsed| *parsed != Ok(None)).unwrap_or(Ok(None));
        assert_eq!(early, whole, "seed {seed}: {:?}", String::from_utf8_lossy(&bytes));
    }
    assert!(taken > CASES / 100, "only {taken} heads were well-formed");
}

/// Read again by the simplest means.
fn check_meaning(head: &RequestHead, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    assert!(text.ends_with("\r\n\r\n") && !text.replace("\r\n", "").contains(['\r', '\n', '\0']), "{text:?}");
    let lines: Vec<String> = text.trim_start_matches("\r\n").split("\r\n").map(str::to_lowercase).collect();
    let count = |name: &str| lines[1..].iter().filter(|line| line.starts_with(&format!("{name}:"))).count();
    assert!(count("host") == 1 || head.is_http_1_0 && count("host") == 0, "{text:?}");
    assert!(count("content-length") + count("transfer-encoding") <= 1, "{text:?}");
    assert_eq!(head.framing == Framing::Chunked, count("transfer-encoding") == 1, "{text:?}");
    assert!(
        head.headers(bytes).count() == lines[1..].iter().filter(|line| !line.is_empty()).count(),
        "{text:?}"
    );
    assert!(head.path(bytes).starts_with('/') || head.path(bytes) == "*", "{text:?}");
    assert!(text.contains(head.method(bytes)) && head.query(bytes).is_none_or(|query| text.contains(query)));
    let _ = (decode_path(head.path(bytes)), head.query(bytes).map(decode_query));
}

#[test]
fn chunked_bodies_of_arbitrary_bytes() {
    let mut taken = 0;
    for seed in 0..CASES {
        let mut rng = Rng::with_seed(seed);
        let bytes = mix(&mut rng, CHUNK_WORDS);
        let whole = decode(&bytes, usize::MAX);
        taken += u64::from(whole.as_ref().is_ok_and(|(_, end)| end.is_some()));
        for piece in [1, 2, 3, 1 + rng.usize(..30)] {
            assert_eq!(decode(&bytes, piece), whole, "seed {seed}, pieces of {piece}: {bytes:?}");
        }
    }
    assert!(taken > CASES / 100, "only {taken} bodies were well-formed");
}

/// The data, and where the body ended if it did.
fn decode(bytes: &[u8], piece: usize) -> Result<(Vec<u8>, Option<usize>), BadChunk> {
    let mut chunked = Chunked::default();
    let (mut at, mut data) = (0, Vec::new());
    while at < bytes.len() {
        let input = &bytes[at..at.saturating_add(piece).min(bytes.len())];
        let found = chunked.decode(input)?;
        data.extend_from_slice(&input[found.data.clone()]);
        at += found.consumed;
        if found.ended {
            return Ok((data, Some(at)));
        }
        assert!(found.consumed > 0, "no way on at {at}: {chunked:?}");
    }
    Ok((data, None))
}

#[test]
fn what_is_encoded_is_decoded() {
    for seed in 0..500 {
        let mut rng = Rng::with_seed(seed);
        let bytes = rng.usize(..2000);
        let data: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(bytes).collect();
        let mut bytes = Vec::new();
        let mut rest = &data[..];
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(1 + rng.usize(..rest.len()));
            bytes.extend_from_slice(format!("{:X};e\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
            rest = after;
        }
        bytes.extend_from_slice(b"000\r\nA: b\r\n\r\n");
        let end = bytes.len();
        bytes.extend_from_slice(b"GET /");
        assert_eq!(decode(&bytes, 1 + rng.usize(..100)), Ok((data, Some(end))), "seed {seed}");
    }
}
