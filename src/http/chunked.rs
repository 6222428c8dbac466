//! A chunked body (RFC 9112 section 7.1), piece by piece. Pure.
//!
//! ```text
//!   4;name=value\r\n      size in hex, extensions that mean nothing here
//!   Wiki\r\n              so many bytes
//!   0\r\n                 the last chunk
//!   Trailer: x\r\n        dropped
//!   \r\n
//! ```
//!
//! Line ends are CR LF and nothing else. What is not data is bounded, so that a body of one-byte chunks with long
//! extensions costs its sender more than the board.

use std::ops::Range;

/// Hex digits of a size: far more than any body has, far from overflow.
const SIZE_DIGITS_MAX: u8 = 15;

/// Extensions and trailers of a whole body.
const IGNORED_BYTES_MAX: u32 = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Hex digits so far.
    Size(u8),
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    LastLf,
    Ended,
}

/// Reads a chunked body.
#[derive(Clone, Debug)]
pub struct Chunked {
    state: State,
    /// Of the chunk under way: its size as far as read, then what is left of it.
    left: u64,
    ignored: u32,
}

/// The bytes are no chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadChunk;

/// What was found in a piece of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Bytes of the input that are done with, the data among them.
    pub consumed: usize,
    /// Where in the input the data is.
    pub data: Range<usize>,
    /// The body is complete. What follows belongs to the next request.
    pub ended: bool,
}

impl Default for Chunked {
    fn default() -> Chunked {
        Chunked { state: State::Size(0), left: 0, ignored: 0 }
    }
}

impl Chunked {
    /// Takes from the input up to the end of the first data in it, of the body, or of the input.
    pub fn decode(&mut self, input: &[u8]) -> Result<Piece, BadChunk> {
        let mut at = 0;
        while self.state != State::Ended {
            if self.state == State::Data {
                let end = at + usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len() - at);
                if end > at {
                    self.take((end - at) as u64);
                    return Ok(Piece { consumed: end, data: at..end, ended: false });
                }
            }
            let Some(&byte) = input.get(at) else { break };
            self.state = self.step(byte)?;
            at += 1;
        }
        Ok(Piece { consumed: at, data: at..at, ended: self.state == State::Ended })
    }

    /// Bytes that are nothing but data from here on. They may be read past the decoder, with [`Chunked::take`].
    pub fn data_ahead(&self) -> u64 {
        if self.state == State::Data { self.left } else { 0 }
    }

    /// So many bytes of data were read.
    pub fn take(&mut self, bytes: u64) {
        assert!(self.state == State::Data && bytes <= self.left, "took {bytes} bytes of data: {self:?}");
        self.left -= bytes;
        if self.left == 0 {
            self.state = State::DataCr;
        }
    }

    fn step(&mut self, byte: u8) -> Result<State, BadChunk> {
        match (self.state, byte) {
            (State::Size(digits), _) => self.size(digits, byte),
            (State::Extension, b'\r') => Ok(State::SizeLf),
            (State::SizeLf, b'\n') if self.left == 0 => Ok(State::TrailerStart),
            (State::SizeLf, b'\n') => Ok(State::Data),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size(0)),
            (State::TrailerStart, b'\r') => Ok(State::LastLf),
            (State::TrailerStart, b' ' | b'\t' | b':') => Err(BadChunk),
            (State::Trailer, b'\r') => Ok(State::TrailerLf),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            (State::LastLf, b'\n') => Ok(State::Ended),
            (State::Extension, _) => self.ignore(byte, State::Extension),
            (State::TrailerStart | State::Trailer, _) => self.ignore(byte, State::Trailer),
            _ => Err(BadChunk),
        }
    }

    fn size(&mut self, digits: u8, byte: u8) -> Result<State, BadChunk> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b';' if digits > 0 => return Ok(State::Extension),
            b'\r' if digits > 0 => return Ok(State::SizeLf),
            _ => return Err(BadChunk),
        };
        if digits == SIZE_DIGITS_MAX {
            return Err(BadChunk);
        }
        // A chunk begins with `left` at 0: the one before was taken whole.
        self.left = self.left * 16 + u64::from(digit);
        Ok(State::Size(digits + 1))
    }

    /// Text that means nothing here.
    fn ignore(&mut self, byte: u8, state: State) -> Result<State, BadChunk> {
        self.ignored += 1;
        let is_text = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        if is_text && self.ignored <= IGNORED_BYTES_MAX { Ok(state) } else { Err(BadChunk) }
    }
}
