//! What makes a struct a message: its fields by name, each with a type that knows its own JSON form.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::write;

/// An object of named fields.
pub trait Message: Default {
    /// Reads the value of the field `name`. False: there is no such field, and nothing was read.
    fn read_member<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        seen: &mut Seen,
        map: &mut A,
    ) -> Result<bool, A::Error>;

    /// Writes the fields that are not zero, without braces.
    fn write_members(&self, out: &mut Vec<u8>);
}

/// What can stand behind a field's name.
pub trait Value: Sized {
    /// `None`: it is null.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error>;

    /// Is it what an absent field means?
    fn is_absent(&self) -> bool;

    fn write(&self, out: &mut Vec<u8>);
}

/// One field of a struct, or several that exclude each other.
pub(super) trait Field {
    fn read_named<'de, A: MapAccess<'de>>(
        &mut self,
        proto: &str,
        name: &str,
        seen: &mut Seen,
        map: &mut A,
    ) -> Result<bool, A::Error>;

    /// `key` is the name with quotes and colon.
    fn write_named(&self, key: &str, out: &mut Vec<u8>);
}

/// The fields of one object that were given already. Fields are asked in the same order for every name, so that counting
/// gives each its bit.
#[derive(Default)]
pub struct Seen {
    given: u64,
    asked: u32,
}

impl Seen {
    /// Is `name` the field that the proto file calls `proto`? Either spelling is.
    pub(super) fn is(&mut self, name: &str, proto: &str) -> bool {
        self.asked += 1;
        assert!(self.asked < u64::BITS, "a message with more fields than bits: {proto}");
        same_name(name, proto)
    }

    /// Takes the field that `is` was asked about last.
    pub(super) fn take<E: Error>(&mut self, name: &str) -> Result<(), E> {
        let bit = 1 << self.asked;
        if self.given & bit != 0 {
            return Err(E::custom(format_args!("duplicate field {name:?}")));
        }
        self.given |= bit;
        Ok(())
    }
}

/// `range_end` is also called `rangeEnd`.
fn same_name(name: &str, proto: &str) -> bool {
    name == proto || name.len() < proto.len() && name.bytes().eq(lower_camel_case(proto))
}

fn lower_camel_case(proto: &str) -> impl Iterator<Item = u8> {
    let mut up = false;
    proto.bytes().filter_map(move |byte| match byte {
        b'_' => {
            up = true;
            None
        }
        _ if std::mem::take(&mut up) => Some(byte.to_ascii_uppercase()),
        _ => Some(byte),
    })
}

impl<T: Value> Field for T {
    fn read_named<'de, A: MapAccess<'de>>(
        &mut self,
        proto: &str,
        name: &str,
        seen: &mut Seen,
        map: &mut A,
    ) -> Result<bool, A::Error> {
        if !seen.is(name, proto) {
            return Ok(false);
        }
        seen.take(name)?;
        if let Some(value) = map.next_value_seed(Slot::<T>::new())? {
            *self = value;
        }
        Ok(true)
    }

    fn write_named(&self, key: &str, out: &mut Vec<u8>) {
        if !self.is_absent() {
            write::key(out, key);
            self.write(out);
        }
    }
}

/// Reads a `Value` where serde wants a seed.
pub(super) struct Slot<T>(PhantomData<T>);

impl<T> Slot<T> {
    pub(super) fn new() -> Slot<T> {
        Slot(PhantomData)
    }
}

impl<'de, T: Value> DeserializeSeed<'de> for Slot<T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        T::read(deserializer)
    }
}

/// A message that may be missing. Written even if it is empty.
impl<M: Message + Value> Value for Option<M> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        Ok(M::read(deserializer)?.map(Some))
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }

    fn write(&self, out: &mut Vec<u8>) {
        if let Some(message) = self {
            message.write(out);
        }
    }
}

impl<T: Value> Value for Vec<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }

    fn is_absent(&self) -> bool {
        self.is_empty()
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (index, item) in self.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            item.write(out);
        }
        out.push(b']');
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Value> Visitor<'de> for ListVisitor<T> {
    type Value = Option<Vec<T>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(Slot::<T>::new())? {
            items.push(item.ok_or_else(|| A::Error::custom("unexpected token null"))?);
        }
        Ok(Some(items))
    }
}

/// Reads an object, or null.
pub(super) struct MessageVisitor<M>(PhantomData<M>);

impl<M> MessageVisitor<M> {
    pub(super) fn new() -> MessageVisitor<M> {
        MessageVisitor(PhantomData)
    }
}

impl<'de, M: Message> Visitor<'de> for MessageVisitor<M> {
    type Value = Option<M>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut message, mut seen) = (M::default(), Seen::default());
        while let Some(Name(name)) = map.next_key()? {
            seen.asked = 0;
            if !message.read_member(&name, &mut seen, &mut map)? {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Some(message))
    }
}

/// A field's name, copied only if it has escapes.
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name<'de>, D::Error> {
        struct NameVisitor;

        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }

        deserializer.deserialize_str(NameVisitor)
    }
}

/// Makes a type that is a `Message` also a `Value`.
macro_rules! message_value {
    ($Name:ty) => {
        impl $crate::rpc::message::Value for $Name {
            fn read<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
                deserializer.deserialize_any($crate::rpc::message::MessageVisitor::new())
            }

            fn is_absent(&self) -> bool {
                false
            }

            fn write(&self, out: &mut Vec<u8>) {
                out.push(b'{');
                $crate::rpc::message::Message::write_members(self, out);
                out.push(b'}');
            }
        }
    };
}

/// The name in the proto file: the field's, unless another is given.
macro_rules! proto {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $proto:literal) => {
        $proto
    };
}

/// A struct that is a message. `= "ID"` gives a field the proto name that Rust would not like.
macro_rules! message {
    (
        $(#[$doc:meta])*
        pub struct $Name:ident { $($(#[$about:meta])* $field:ident: $Type:ty $(= $proto:literal)?,)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $Name { $($(#[$about])* pub $field: $Type,)* }

        impl $crate::rpc::message::Message for $Name {
            #[allow(unused_variables)]
            fn read_member<'de, A: serde::de::MapAccess<'de>>(
                &mut self,
                name: &str,
                seen: &mut $crate::rpc::message::Seen,
                map: &mut A,
            ) -> Result<bool, A::Error> {
                Ok(false $(|| $crate::rpc::message::Field::read_named(
                    &mut self.$field, proto!($field $($proto)?), name, seen, map,
                )?)*)
            }

            #[allow(unused_variables)]
            fn write_members(&self, out: &mut Vec<u8>) {
                $($crate::rpc::message::Field::write_named(
                    &self.$field, concat!("\"", proto!($field $($proto)?), "\":"), out,
                );)*
            }
        }

        message_value!($Name);
    };
}

/// Fields that exclude each other, as an enum. Its members are fields of the object around it: of a message that has
/// nothing else (`message`), or of one that names it among its fields (`part`).
macro_rules! oneof {
    (
        $(#[$doc:meta])*
        $kind:ident enum $Name:ident { $($Variant:ident($Type:ty) = $proto:literal,)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub enum $Name {
            #[default]
            None,
            $($Variant($Type),)*
        }

        impl $crate::rpc::message::Message for $Name {
            fn read_member<'de, A: serde::de::MapAccess<'de>>(
                &mut self,
                name: &str,
                seen: &mut $crate::rpc::message::Seen,
                map: &mut A,
            ) -> Result<bool, A::Error> {
                use serde::de::Error;
                $(
                    if seen.is(name, $proto) {
                        seen.take(name)?;
                        let value: Option<$Type> = map.next_value_seed($crate::rpc::message::Slot::new())?;
                        if let Some(value) = value {
                            if *self != $Name::None {
                                let text = format_args!("error parsing {name:?}, its oneof is already set");
                                return Err(A::Error::custom(text));
                            }
                            *self = $Name::$Variant(value);
                        }
                        return Ok(true);
                    }
                )*
                Ok(false)
            }

            fn write_members(&self, out: &mut Vec<u8>) {
                use $crate::rpc::message::Value;
                match self {
                    $Name::None => {}
                    $($Name::$Variant(value) => {
                        $crate::rpc::write::key(out, concat!("\"", $proto, "\":"));
                        value.write(out);
                    })*
                }
            }
        }

        oneof!(@$kind $Name);
    };
    (@message $Name:ident) => {
        message_value!($Name);
    };
    (@part $Name:ident) => {
        impl $crate::rpc::message::Field for $Name {
            fn read_named<'de, A: serde::de::MapAccess<'de>>(
                &mut self,
                _: &str,
                name: &str,
                seen: &mut $crate::rpc::message::Seen,
                map: &mut A,
            ) -> Result<bool, A::Error> {
                $crate::rpc::message::Message::read_member(self, name, seen, map)
            }

            fn write_named(&self, _: &str, out: &mut Vec<u8>) {
                $crate::rpc::message::Message::write_members(self, out);
            }
        }
    };
}
