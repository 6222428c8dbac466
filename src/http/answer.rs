//! The head of an answer, as bytes. Pure.

use std::io::Write;

use super::{Head, status::reason};

/// Stands in every answer, as it does in etcd's. Who may really come from another page is decided by `guard`.
const STANDING: &[u8] = b"Access-Control-Allow-Headers: accept, content-type, authorization\r\n\
Access-Control-Allow-Methods: POST, GET, OPTIONS, PUT, DELETE\r\n\
Access-Control-Allow-Origin: *\r\n";

pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How the peer learns where the answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    Length(usize),
    Chunked,
    /// There is none, or the end of the connection is its end.
    Untold,
}

/// What is told of the connection: nothing where it is as the protocol's version says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Afterwards {
    Untold,
    Close,
    KeepAlive,
    Upgrade,
}

pub(super) fn write_head(out: &mut Vec<u8>, head: &Head<'_>, extent: Extent, afterwards: Afterwards) {
    match head.status {
        200 => out.extend_from_slice(b"HTTP/1.1 200 OK\r\n"),
        status => line(out, format_args!("HTTP/1.1 {status} {}\r\n", reason(status))),
    }
    out.extend_from_slice(STANDING);
    if !head.content_type.is_empty() {
        header(out, "Content-Type", head.content_type);
    }
    for (name, value) in head.headers {
        header(out, name, value);
    }
    match extent {
        Extent::Length(bytes) => line(out, format_args!("Content-Length: {bytes}\r\n")),
        Extent::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Extent::Untold => {}
    }
    out.extend_from_slice(match afterwards {
        Afterwards::Untold => b"\r\n",
        Afterwards::Close => b"Connection: close\r\n\r\n",
        Afterwards::KeepAlive => b"Connection: keep-alive\r\n\r\n",
        Afterwards::Upgrade => b"Connection: Upgrade\r\n\r\n",
    });
}

pub(super) fn write_chunk_size(out: &mut Vec<u8>, bytes: usize) {
    line(out, format_args!("{bytes:x}\r\n"));
}

fn line(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("memory takes all that is written");
}

/// What comes from outside must not end the line: another answer could be hidden behind it.
fn header(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend(value.bytes().map(|byte| if byte.is_ascii_control() && byte != b'\t' { b' ' } else { byte }));
    out.extend_from_slice(b"\r\n");
}
