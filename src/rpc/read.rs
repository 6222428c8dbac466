//! Documents in.

use std::{fmt, marker::PhantomData};

use serde_json::{Deserializer, error::Category};

use super::{Message, Value, message::Slot};
use serde::de::DeserializeSeed;

/// Why a document is no message. The text is close to what protobuf-go says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError(String);

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseError {}

impl ParseError {
    fn of(error: &serde_json::Error) -> ParseError {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let text = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
        ParseError(match error.classify() {
            Category::Eof => "unexpected EOF".to_owned(),
            Category::Data => format!("proto: (line {line}:{column}): {text}"),
            Category::Syntax | Category::Io => format!("proto: syntax error (line {line}:{column}): {text}"),
        })
    }

    fn token(token: &[u8]) -> ParseError {
        let token: String = String::from_utf8_lossy(token).chars().take(40).collect();
        ParseError(format!("proto: syntax error (line 1:1): unexpected token {token}"))
    }
}

/// The one message of a body. An empty body is an empty message; what follows the first object is nobody's concern.
pub fn decode<M: Message + Value>(body: &[u8]) -> Result<M, ParseError> {
    Documents::new(body).next().unwrap_or_else(|| Ok(M::default()))
}

/// The messages of a body that holds several, with white space or nothing between them. Ends after an error.
pub struct Documents<'a, M> {
    rest: &'a [u8],
    message: PhantomData<M>,
}

impl<'a, M: Message + Value> Documents<'a, M> {
    pub fn new(body: &'a [u8]) -> Documents<'a, M> {
        Documents { rest: body, message: PhantomData }
    }

    fn read(&mut self) -> Result<M, ParseError> {
        if self.rest[0] != b'{' {
            return Err(ParseError::token(first_token(self.rest)));
        }
        let mut deserializer = Deserializer::from_slice(self.rest);
        let message =
            Slot::<M>::new().deserialize(&mut deserializer).map_err(|error| ParseError::of(&error))?;
        self.rest = &self.rest[deserializer.into_iter::<serde::de::IgnoredAny>().byte_offset()..];
        Ok(message.unwrap_or_default())
    }
}

impl<M: Message + Value> Iterator for Documents<'_, M> {
    type Item = Result<M, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rest = self.rest.trim_ascii_start();
        if self.rest.is_empty() {
            return None;
        }
        let message = self.read();
        if message.is_err() {
            self.rest = &[];
        }
        Some(message)
    }
}

fn first_token(bytes: &[u8]) -> &[u8] {
    let end = match bytes[0] {
        b'[' | b']' | b'}' | b',' | b':' => 1,
        b'"' => bytes[1..].iter().position(|&byte| byte == b'"').map_or(bytes.len(), |at| at + 2),
        _ => bytes.iter().position(|byte| byte.is_ascii_whitespace()).unwrap_or(bytes.len()),
    };
    &bytes[..end]
}
