//! Refusals in the words and numbers of etcd's v2 API. A body that is no JSON is "bad discovery endpoint" to etcd.

use std::borrow::Cow;

use super::{Token, document};
use crate::{
    api::errors::{Refusal, status},
    http::{Closed, Exchange, Head},
    types::Error,
};

/// etcd's v2 errors, those that can happen here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    KeyNotFound,
    Exists,
    ReadOnly,
    Method,
    NotIndex,
    Field,
    Form,
    /// To be tried again: etcd does so where it reads.
    Internal,
}

#[derive(Debug)]
pub(super) struct Trouble {
    kind: Kind,
    cause: Cow<'static, str>,
    /// The token's, as far as it is known.
    index: u64,
}

/// Why a handler did not come to its end.
pub(super) enum Fault {
    Refused(Trouble),
    Closed,
}

impl Kind {
    pub(super) fn because(self, cause: impl Into<Cow<'static, str>>) -> Trouble {
        Trouble { kind: self, cause: cause.into(), index: 0 }
    }

    fn status(self) -> u16 {
        match self {
            Kind::KeyNotFound => status::NOT_FOUND,
            Kind::Exists => status::PRECONDITION_FAILED,
            Kind::ReadOnly => status::FORBIDDEN,
            Kind::Method => status::METHOD_NOT_ALLOWED,
            Kind::NotIndex | Kind::Field | Kind::Form => status::BAD_REQUEST,
            Kind::Internal => status::UNAVAILABLE,
        }
    }

    fn code(self) -> (u64, &'static str) {
        match self {
            Kind::KeyNotFound => (100, "Key not found"),
            Kind::Exists => (105, "Key already exists"),
            Kind::ReadOnly => (107, "Root is read only"),
            Kind::Method => (107, "Method Not Allowed"),
            Kind::NotIndex => (203, "The given index in POST form is not a number"),
            Kind::Field => (209, "Invalid field"),
            Kind::Form => (210, "Invalid POST form"),
            Kind::Internal => (300, "Raft Internal Error"),
        }
    }
}

impl Trouble {
    pub(super) fn no_key(token: &Token, name: &str, index: u64) -> Trouble {
        Kind::KeyNotFound.because(format!("/{token}/{name}")).at(index)
    }

    pub(super) fn at(self, index: u64) -> Trouble {
        Trouble { index, ..self }
    }

    pub(super) async fn reply(&self, exchange: &mut Exchange<'_>) -> Result<(), Closed> {
        let (code, message) = self.kind.code();
        let body = document::failure(code, message, &self.cause, self.index);
        let (index, status) = (self.index.to_string(), self.kind.status());
        let headers = [("X-Etcd-Index", &*index), ("Allow", "GET, HEAD, PUT")];
        let told = if self.kind == Kind::Method { 2 } else { 1 };
        exchange
            .reply(Head { status, content_type: "application/json", headers: &headers[..told] }, &body)
            .await
    }
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Fault {
        Fault::Refused(trouble)
    }
}

/// What the store or the log could not do. All of it may pass, and only 5xx lets etcd try again.
impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Kind::Internal.because(refusal.message).into()
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Refusal::from(error).into()
    }
}

impl From<Closed> for Fault {
    fn from(_: Closed) -> Fault {
        Fault::Closed
    }
}
