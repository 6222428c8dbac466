//! How a body is cut: by Content-Length, in chunks, or by the connection's end. Bytes in, places out.
//!
//! Here you will not find: sockets.

/// The framing of one body, and how far it has come.
#[derive(Debug)]
pub(super) enum Framing {
    /// So many bytes are to come.
    Length(u64),
    /// A chunk's size line is next.
    ChunkSize,
    /// So many bytes of a chunk are to come, then its line end.
    Chunk(u64),
    ChunkEnd,
    /// Trailers up to an empty line.
    Trailers,
    UntilClosed,
    Done,
}

/// What the first bytes of an input are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// So many bytes belong to the framing.
    Skip(usize),
    /// So many bytes belong to the body.
    Data(usize),
    /// Cannot be told before more has come.
    More,
    /// The body is complete.
    End,
}

/// A line of framing is never longer.
const LINE_BYTES_MAX: usize = 16 * 1024;

impl Framing {
    /// Looks at what has come. What is skipped or taken must not be shown again.
    pub(super) fn next(&mut self, input: &[u8]) -> Result<Piece, &'static str> {
        match self {
            Framing::Done | Framing::Length(0) => Ok(Piece::End),
            _ if input.is_empty() => Ok(Piece::More),
            Framing::Length(left) => Ok(Piece::Data(take(left, input))),
            Framing::UntilClosed => Ok(Piece::Data(input.len())),
            Framing::ChunkSize => self.chunk_size(input),
            Framing::Chunk(left) => {
                let taken = take(left, input);
                if *left == 0 {
                    *self = Framing::ChunkEnd;
                }
                Ok(Piece::Data(taken))
            }
            Framing::ChunkEnd => self.chunk_end(input),
            Framing::Trailers => self.trailer(input),
        }
    }

    /// May the connection end here?
    pub(super) fn may_end(&self) -> bool {
        matches!(self, Framing::UntilClosed | Framing::Done | Framing::Length(0))
    }

    fn chunk_size(&mut self, input: &[u8]) -> Result<Piece, &'static str> {
        match httparse::parse_chunk_size(input) {
            Ok(httparse::Status::Complete((skip, size))) => {
                *self = if size == 0 { Framing::Trailers } else { Framing::Chunk(size) };
                Ok(Piece::Skip(skip))
            }
            Ok(httparse::Status::Partial) if input.len() < LINE_BYTES_MAX => Ok(Piece::More),
            _ => Err("a chunk without a size"),
        }
    }

    fn chunk_end(&mut self, input: &[u8]) -> Result<Piece, &'static str> {
        match input {
            [b'\r', b'\n', ..] => {
                *self = Framing::ChunkSize;
                Ok(Piece::Skip(2))
            }
            [b'\r'] => Ok(Piece::More),
            _ => Err("a chunk is longer than its size"),
        }
    }

    fn trailer(&mut self, input: &[u8]) -> Result<Piece, &'static str> {
        match input.windows(2).position(|pair| pair == b"\r\n") {
            Some(0) => {
                *self = Framing::Done;
                Ok(Piece::Skip(2))
            }
            Some(line) => Ok(Piece::Skip(line + 2)),
            None if input.len() < LINE_BYTES_MAX => Ok(Piece::More),
            None => Err("a trailer without an end"),
        }
    }
}

fn take(left: &mut u64, input: &[u8]) -> usize {
    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    *left -= taken as u64;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body of an input that arrives `step` bytes at a time, and what is left behind its end.
    fn decode(mut framing: Framing, bytes: &[u8], step: usize) -> Result<(Vec<u8>, usize), &'static str> {
        let (mut body, mut at, mut come) = (Vec::new(), 0, 0);
        loop {
            match framing.next(&bytes[at..come])? {
                Piece::Skip(skip) => at += skip,
                Piece::Data(data) => {
                    body.extend_from_slice(&bytes[at..at + data]);
                    at += data;
                }
                Piece::End => return Ok((body, bytes.len() - at)),
                Piece::More if come == bytes.len() && framing.may_end() => return Ok((body, 0)),
                Piece::More if come == bytes.len() => return Err("cut off"),
                Piece::More => come = bytes.len().min(come + step),
            }
        }
    }

    #[test]
    fn borders_do_not_matter() {
        let chunked = b"3;x=y\r\nabc\r\n0A\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\nnext";
        for step in 1..chunked.len() {
            assert_eq!(
                decode(Framing::ChunkSize, chunked, step),
                Ok((b"abc0123456789".to_vec(), 4)),
                "{step}"
            );
            assert_eq!(
                decode(Framing::Length(5), b"hello, next", step),
                Ok((b"hello".to_vec(), 6)),
                "{step}"
            );
            assert_eq!(decode(Framing::UntilClosed, b"hello", step), Ok((b"hello".to_vec(), 0)), "{step}");
        }
        assert_eq!(decode(Framing::Length(0), b"x", 1), Ok((vec![], 1)));
    }

    #[test]
    fn what_is_wrong_is_told() {
        assert_eq!(decode(Framing::Length(6), b"hello", 9), Err("cut off"));
        assert_eq!(decode(Framing::ChunkSize, b"3\r\nabc", 9), Err("cut off"));
        assert_eq!(decode(Framing::ChunkSize, b"3\r\nabcd\r\n", 99), Err("a chunk is longer than its size"));
        assert_eq!(decode(Framing::ChunkSize, b"x\r\n", 9), Err("a chunk without a size"));
        assert_eq!(decode(Framing::ChunkSize, b"fffffffffffffffff\r\n", 99), Err("a chunk without a size"));
        let endless = [b"0\r\n".to_vec(), vec![b'a'; LINE_BYTES_MAX]].concat();
        assert_eq!(decode(Framing::ChunkSize, &endless, endless.len()), Err("a trailer without an end"));
    }
}
