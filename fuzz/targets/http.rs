//! Requests as they come from sockets.

use solder::http::{BadChunk, Chunked, Guard, decode_path, decode_query, parse_head};

const HEAD_BYTES_MAX: usize = 16 * 1024;

/// However the bytes are cut into pieces, a head is the same head, and what it says of itself can be had.
pub fn http_head(data: &[u8]) {
    let whole = parse_head(data, HEAD_BYTES_MAX);
    let Ok(Some(head)) = &whole else { return };
    let length = head.length();
    assert!(length <= data.len().min(HEAD_BYTES_MAX), "{length} bytes of {}", data.len());
    assert_eq!(parse_head(&data[..length], HEAD_BYTES_MAX), whole, "without what follows");
    let step = length / 64 + 1;
    for end in (0..length).step_by(step) {
        assert_eq!(parse_head(&data[..end], HEAD_BYTES_MAX), Ok(None), "the first {end} of {length} bytes");
    }
    assert!(!head.method(data).is_empty());
    let (host, origin) = (head.header(data, "Host"), head.header(data, "origin"));
    for (name, value) in head.headers(data) {
        assert!(!name.is_empty() && !value.contains(&b'\n'), "{name:?}: {value:?}");
    }
    for is_loopback in [false, true] {
        if let Err(refusal) = Guard::new(&["board".to_owned()], &[]).check(is_loopback, host, origin) {
            assert!(refusal.status() == 403 && !refusal.text().is_empty());
        }
    }
    if let Ok(path) = decode_path(head.path(data)) {
        assert!(path.len() <= head.path(data).len());
    }
    // Any answer will do that is one.
    let _ = head.query(data).map(decode_query);
}

/// However the bytes are cut into pieces, a body is the same body. The first byte tells how.
pub fn http_chunked(data: &[u8]) {
    let Some((&cut, body)) = data.split_first() else { return };
    let whole = read(&[body]);
    let pieces: Vec<&[u8]> = body.chunks(usize::from(cut) + 1).collect();
    assert_eq!(read(&pieces), whole, "in pieces of {}", usize::from(cut) + 1);
}

/// The data, how many bytes it took, and whether that was all of it.
fn read(pieces: &[&[u8]]) -> Result<(Vec<u8>, usize, bool), BadChunk> {
    let mut decoder = Chunked::default();
    let (mut data, mut consumed, mut ended) = (Vec::new(), 0, false);
    for piece in pieces {
        let mut rest = *piece;
        while !ended && !rest.is_empty() {
            let found = decoder.decode(rest)?;
            assert!(found.consumed > 0 || found.ended, "stands still at {rest:?}");
            assert!(decoder.data_ahead() == 0 || !found.ended, "{decoder:?} has ended");
            data.extend_from_slice(&rest[found.data]);
            consumed += found.consumed;
            ended = found.ended;
            rest = &rest[found.consumed..];
        }
    }
    Ok((data, consumed, ended))
}
