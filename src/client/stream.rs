//! An answer that goes on: one JSON document a line.

use std::io;

use super::{ClientError, connection::Connection, core::failed};
use crate::rpc::{self, Message, StreamMessage, Value};

/// Dropping it ends the call.
pub struct Stream {
    connection: Connection,
    /// What has come behind the last line.
    rest: Vec<u8>,
    /// So much of `rest` has no line end.
    looked: usize,
    ended: bool,
    line_bytes_max: usize,
}

impl Stream {
    pub(super) fn new(connection: Connection, line_bytes_max: usize) -> Stream {
        Stream { connection, rest: Vec::new(), looked: 0, ended: false, line_bytes_max }
    }

    /// The next message; `None` at the end. Cancel-safe.
    pub async fn next<M: Message + Value>(&mut self) -> Result<Option<M>, ClientError> {
        let Some(line) = self.line().await? else { return Ok(None) };
        let message: StreamMessage<M> =
            rpc::decode(&line).map_err(|error| self.broken(&error.to_string()))?;
        match message {
            StreamMessage { error: Some(failure), .. } => Err(failed(failure)),
            StreamMessage { result, .. } => Ok(Some(result.unwrap_or_default())),
        }
    }

    /// Where it comes from.
    pub fn endpoint(&self) -> &super::Endpoint {
        &self.connection.endpoint
    }

    /// The next line that is not empty. The last one may lack its end.
    async fn line(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        loop {
            if let Some(line) = self.take_line() {
                if !line.trim_ascii().is_empty() {
                    return Ok(Some(line));
                }
                continue;
            }
            if self.ended {
                return Ok(None);
            }
            if self.rest.len() > self.line_bytes_max {
                return Err(ClientError::TooLarge { bytes_max: self.line_bytes_max });
            }
            let read = self.connection.body(&mut self.rest).await;
            self.ended = !read.map_err(|error: io::Error| self.broken(&error.to_string()))?;
        }
    }

    fn take_line(&mut self) -> Option<Vec<u8>> {
        let end = self.rest[self.looked..].iter().position(|byte| *byte == b'\n');
        let end = match end {
            Some(end) => self.looked + end + 1,
            None if self.ended && !self.rest.is_empty() => self.rest.len(),
            None => {
                self.looked = self.rest.len();
                return None;
            }
        };
        let rest = self.rest.split_off(end);
        self.looked = 0;
        Some(std::mem::replace(&mut self.rest, rest))
    }

    fn broken(&self, what: &str) -> ClientError {
        ClientError::Broken {
            endpoint: self.connection.endpoint.to_string(),
            what: what.to_string(),
            unknown: false,
        }
    }
}
