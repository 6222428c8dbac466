//! Values that are one token: what they can be read from, and bool and text.

use std::{fmt, marker::PhantomData};

use serde::de::{Error, Visitor};

use super::write;

/// A number as it stood in the document.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Signed(i64),
    Unsigned(u64),
    Float(f64),
}

/// A value that is read from one token. What is not overridden is refused.
pub(super) trait Scalar: Sized {
    const KIND: &'static str;

    fn from_text(_: &str) -> Option<Self> {
        None
    }

    fn from_number(_: Number) -> Option<Self> {
        None
    }

    fn from_bool(_: bool) -> Option<Self> {
        None
    }
}

pub(super) struct ScalarVisitor<T>(PhantomData<T>);

impl<T: Scalar> ScalarVisitor<T> {
    pub(super) fn new() -> ScalarVisitor<T> {
        ScalarVisitor(PhantomData)
    }
}

fn given<T: Scalar, E: Error>(value: Option<T>, token: impl fmt::Debug) -> Result<Option<T>, E> {
    match value {
        Some(value) => Ok(Some(value)),
        None => Err(E::custom(format_args!("invalid value for {} field: {token:.60?}", T::KIND))),
    }
}

impl<T: Scalar> Visitor<'_> for ScalarVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::KIND)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        given(T::from_bool(value), value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        given(T::from_number(Number::Signed(value)), value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        given(T::from_number(Number::Unsigned(value)), value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        given(T::from_number(Number::Float(value)), value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        given(T::from_text(value), value)
    }
}

/// Makes a `Scalar` a `Value`.
macro_rules! scalar_value {
    ($Type:ty, |$value:ident| $absent:expr, |$this:ident, $out:ident| $write:expr) => {
        impl $crate::rpc::Value for $Type {
            fn read<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
                deserializer.deserialize_any($crate::rpc::scalar::ScalarVisitor::new())
            }

            fn is_absent(&self) -> bool {
                let $value = self;
                $absent
            }

            fn write(&self, $out: &mut Vec<u8>) {
                let $this = self;
                $write
            }
        }
    };
}

pub(super) use scalar_value;

impl Scalar for bool {
    const KIND: &'static str = "bool";

    fn from_bool(value: bool) -> Option<bool> {
        Some(value)
    }
}

scalar_value!(bool, |value| !value, |value, out| {
    out.extend_from_slice(if *value { b"true" } else { b"false" })
});

impl Scalar for String {
    const KIND: &'static str = "string";

    fn from_text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }
}

scalar_value!(String, |text| text.is_empty(), |text, out| write::text(out, text));
