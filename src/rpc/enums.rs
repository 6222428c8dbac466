//! The enums: written by name, read by name or number.

use super::{
    scalar::{Number, Scalar, scalar_value},
    write,
};

/// A number that has no name is kept: what it means is for the reader of the message to say.
macro_rules! enumeration {
    ($(#[$doc:meta])* pub enum $Name:ident { $Zero:ident = $zero:literal, $($Variant:ident = $number:literal $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum $Name {
            #[default]
            $Zero,
            $($Variant,)*
            Unknown(i32),
        }

        impl $Name {
            /// Its name in etcd's API.
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $Name::$Zero => Some($zero),
                    $($Name::$Variant => Some($name),)*
                    $Name::Unknown(_) => None,
                }
            }
        }

        impl Scalar for $Name {
            const KIND: &'static str = "enum";

            /// A name that nobody knows is zero, as in etcd's gateway.
            fn from_text(text: &str) -> Option<$Name> {
                Some(match text {
                    $($name => $Name::$Variant,)*
                    _ => $Name::$Zero,
                })
            }

            fn from_number(number: Number) -> Option<$Name> {
                Some(match i32::from_number(number)? {
                    0 => $Name::$Zero,
                    $($number => $Name::$Variant,)*
                    number => $Name::Unknown(number),
                })
            }
        }

        scalar_value!($Name, |value| *value == $Name::$Zero, |value, out| match *value {
            $Name::Unknown(number) => write::integer(out, number < 0, number.unsigned_abs().into()),
            _ => write::text(out, value.name().unwrap_or_default()),
        });
    };
}

enumeration! {
    pub enum SortOrder { None = "NONE", Ascend = 1 "ASCEND", Descend = 2 "DESCEND", }
}

enumeration! {
    pub enum SortTarget {
        Key = "KEY",
        Version = 1 "VERSION",
        Create = 2 "CREATE",
        Mod = 3 "MOD",
        Value = 4 "VALUE",
    }
}

enumeration! {
    pub enum CompareResult { Equal = "EQUAL", Greater = 1 "GREATER", Less = 2 "LESS", NotEqual = 3 "NOT_EQUAL", }
}

enumeration! {
    pub enum CompareTarget {
        Version = "VERSION",
        Create = 1 "CREATE",
        Mod = 2 "MOD",
        Value = 3 "VALUE",
        Lease = 4 "LEASE",
    }
}

enumeration! {
    pub enum EventType { Put = "PUT", Delete = 1 "DELETE", }
}

enumeration! {
    pub enum FilterType { NoPut = "NOPUT", NoDelete = 1 "NODELETE", }
}

enumeration! {
    pub enum AlarmType { None = "NONE", NoSpace = 1 "NOSPACE", Corrupt = 2 "CORRUPT", }
}

enumeration! {
    pub enum AlarmAction { Get = "GET", Activate = 1 "ACTIVATE", Deactivate = 2 "DEACTIVATE", }
}

enumeration! {
    pub enum DowngradeAction { Validate = "VALIDATE", Enable = 1 "ENABLE", Cancel = 2 "CANCEL", }
}
