//! How an answer tells that it is none.

use serde::de::MapAccess;

use super::{
    Value,
    message::{Field, Message, MessageVisitor, Seen},
};

message! {
    /// The body of a refused call. etcd's gateway of today has `code` and `message`; the one before it had `error` too,
    /// and clients still look for it.
    pub struct Failure {
        error: String,
        /// The gRPC code.
        code: i32,
        message: String,
    }
}

/// One line of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamMessage<M> {
    pub result: Option<M>,
    /// The last one: the stream failed.
    pub error: Option<Failure>,
}

impl<M: Message + Value> Message for StreamMessage<M> {
    fn read_member<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        seen: &mut Seen,
        map: &mut A,
    ) -> Result<bool, A::Error> {
        Ok(self.result.read_named("result", name, seen, map)?
            || self.error.read_named("error", name, seen, map)?)
    }

    fn write_members(&self, out: &mut Vec<u8>) {
        self.result.write_named("\"result\":", out);
        self.error.write_named("\"error\":", out);
    }
}

impl<M: Message + Value> Value for StreamMessage<M> {
    fn read<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        deserializer.deserialize_any(MessageVisitor::new())
    }

    fn is_absent(&self) -> bool {
        false
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        self.write_members(out);
        out.push(b'}');
    }
}
