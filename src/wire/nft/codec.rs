//! The codec of objects and expressions: a table of attributes for each, with big-endian fields.

use std::time::Duration;

use crate::wire::attribute::{Attribute, Attributes, Writer};

/// Encodes an object or expression as attributes, and decodes it.
pub(crate) trait Codec: Sized {
    /// The types of the attributes that `decode` reads: bit `n` for type `n`.
    const KNOWN: u64 = u64::MAX;

    fn encode(&self, out: &mut Writer<'_>);
    fn decode(attributes: Attributes<'_>) -> Option<Self>;

    /// Decodes attributes. Returns `None` if any attribute is unknown, so that no information is
    /// lost.
    fn decode_exactly(attributes: Attributes<'_>) -> Option<Self> {
        attributes.only(Self::KNOWN).and_then(Self::decode)
    }
}

pub(crate) const NFTA_LIST_ELEM: u16 = 1;

/// Reads and writes the value of one attribute. `write` restores exactly the bytes that `read`
/// accepted.
pub(crate) trait Field: Sized {
    fn read(attribute: Attribute<'_>) -> Option<Self>;
    fn write(&self, out: &mut Writer<'_>, kind: u16);

    /// Returns the value for an absent attribute. Returns `None` if the attribute is required.
    fn absent() -> Option<Self> {
        None
    }
}

impl<T: Field> Field for Option<T> {
    fn read(attribute: Attribute<'_>) -> Option<Self> {
        T::read(attribute).map(Some)
    }

    fn write(&self, out: &mut Writer<'_>, kind: u16) {
        if let Some(value) = self {
            value.write(out, kind);
        }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

/// Reads and writes a nest of attributes.
impl<T: Codec> Field for T {
    fn read(attribute: Attribute<'_>) -> Option<Self> {
        T::decode(attribute.nested())
    }

    fn write(&self, out: &mut Writer<'_>, kind: u16) {
        out.nested(kind, |nest| self.encode(nest));
    }
}

/// Reads and writes a list: a nest in which every element is an attribute.
impl<T: Field> Field for Vec<T> {
    fn read(attribute: Attribute<'_>) -> Option<Self> {
        attribute.nested().iter().map(T::read).collect()
    }

    fn write(&self, out: &mut Writer<'_>, kind: u16) {
        out.nested(kind, |list| self.iter().for_each(|one| one.write(list, NFTA_LIST_ELEM)));
    }
}

/// Reads and writes a value that has one of two attributes, depending on its form.
pub(crate) trait EitherField: Sized {
    /// Reads the value. Returns `None` if both attributes are present or one is unreadable.
    fn read(first: Option<Attribute<'_>>, second: Option<Attribute<'_>>) -> Option<Self>;
    fn write(&self, out: &mut Writer<'_>, first: u16, second: u16);
}

impl Attributes<'_> {
    /// Reads a field of an object. An unreadable attribute counts as absent.
    pub(crate) fn lenient<T: Field>(self, kind: u16) -> Option<T> {
        self.get(kind).and_then(T::read).or_else(T::absent)
    }

    /// Reads a field of an expression. Returns `None` if the attribute is unreadable, or if it is
    /// required and absent.
    pub(crate) fn strict<T: Field>(self, kind: u16) -> Option<T> {
        self.get(kind).map_or_else(T::absent, T::read)
    }

    /// Checks that all attributes have types in `known`, in which bit `n` stands for type `n`.
    ///
    /// Returns `None` for an unknown type, for a repeated attribute that is not padding, and for
    /// trailing bytes that are no attribute.
    pub(crate) fn only(self, known: u64) -> Option<Self> {
        let mut seen = 0_u64;
        for attribute in self.iter() {
            let bit = 1_u64.checked_shl(attribute.kind.into())?;
            let is_repeated = seen & bit != 0 && !attribute.value.is_empty();
            if is_repeated || known & bit == 0 {
                return None;
            }
            seen |= bit;
        }
        self.is_whole().then_some(self)
    }
}

/// Returns the attribute types from 1 to `last` as bits, for [`Attributes::only`].
pub(crate) const fn up_to(last: u16) -> u64 {
    (2 << last) - 2
}

/// Defines a struct, or an enum, and its [`Codec`] from a table of attributes:
///
/// ```text
/// FIELD: RUST_TYPE = ATTRIBUTE_TYPE,
/// ```
///
/// Attributes are encoded in the order of the lines. A field of type `Option` may be absent. An
/// option may follow the attribute type:
/// - `or_default`: if the attribute is absent, the field has its default value
/// - `unless_default`: like `or_default`, and a default value is not encoded
/// - `or N`: an [`EitherField`] with the attribute type or with type `N`
/// - `without_nul`: a name that is encoded without its NUL
///
/// `inline` instead of an attribute type inserts the lines of another table. `padding N` after the
/// table gives the type of the padding attribute.
///
/// A `lenient` table, for objects, skips unknown attributes. A `strict` table, for expressions,
/// fails to decode anything that it could not encode again without loss. The variants of an enum
/// are tried in order.
macro_rules! attribute_table {
    (
        $(#[$meta:meta])*
        $mode:ident struct $name:ident {
            $($(#[$field_meta:meta])*
              $field:ident: $type:ty = $kind:tt $($how:ident $($other:literal)?)?),* $(,)?
        } $(padding $padding:literal)?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) struct $name { $($(#[$field_meta])* pub(crate) $field: $type),* }

        #[allow(unused_variables)] // in a table without lines
        impl $crate::wire::nft::codec::Codec for $name {
            const KNOWN: u64 = $(1 << $padding |)?
                $(attribute_table!(@known $type, $kind $($how $($other)?)?) |)* 0;

            fn encode(&self, out: &mut $crate::wire::attribute::Writer<'_>) {
                $(attribute_table!(@write $type, &self.$field, out, $kind $($how $($other)?)?);)*
            }

            fn decode(attributes: $crate::wire::attribute::Attributes<'_>) -> Option<Self> {
                Some(Self { $(
                    $field: attribute_table!(
                        @read $mode, attributes, $type, $kind $($how $($other)?)?
                    )
                ),* })
            }
        }
    };
    (
        $(#[$meta:meta])*
        enum $name:ident {
            $($(#[$variant_meta:meta])* $variant:ident {
                $($field:ident: $type:ty = $kind:tt $($how:ident $($other:literal)?)?),* $(,)?
            }),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) enum $name { $($(#[$variant_meta])* $variant { $($field: $type),* }),* }

        impl $crate::wire::nft::codec::Codec for $name {
            fn encode(&self, out: &mut $crate::wire::attribute::Writer<'_>) {
                match self { $(
                    Self::$variant { $($field),* } => {
                        $(attribute_table!(@write $type, $field, out, $kind $($how $($other)?)?);)*
                    }
                )* }
            }

            fn decode(attributes: $crate::wire::attribute::Attributes<'_>) -> Option<Self> {
                $(
                    let known = $(attribute_table!(@known $type, $kind $($how $($other)?)?) |)* 0;
                    let read = attributes.only(known).and_then(|attributes| {
                        Some(Self::$variant { $(
                            $field: attribute_table!(
                                @read strict, attributes, $type, $kind $($how $($other)?)?
                            )
                        ),* })
                    });
                    if read.is_some() {
                        return read;
                    }
                )*
                None
            }
        }
    };

    (@known $type:ty, inline) => { <$type as $crate::wire::nft::codec::Codec>::KNOWN };
    (@known $type:ty, $kind:literal or $other:literal) => { 1 << $kind | 1 << $other };
    (@known $type:ty, $kind:literal $($how:ident)?) => { 1 << $kind };

    (@write $type:ty, $value:expr, $out:ident, inline) => { $value.encode($out) };
    (@write $type:ty, $value:expr, $out:ident, $kind:literal or $other:literal) => {
        $crate::wire::nft::codec::EitherField::write($value, $out, $kind, $other)
    };
    (@write $type:ty, $value:expr, $out:ident, $kind:literal without_nul) => {
        $out.bytes($kind, $value.as_bytes())
    };
    (@write $type:ty, $value:expr, $out:ident, $kind:literal unless_default) => {
        if *$value != <$type>::default() {
            $crate::wire::nft::codec::Field::write($value, $out, $kind);
        }
    };
    (@write $type:ty, $value:expr, $out:ident, $kind:literal $($how:ident)?) => {
        $crate::wire::nft::codec::Field::write($value, $out, $kind)
    };

    (@read $mode:ident, $attributes:ident, $type:ty, inline) => { <$type>::decode($attributes)? };
    (@read strict, $attributes:ident, $type:ty, $kind:literal or $other:literal) => {
        $crate::wire::nft::codec::EitherField::read($attributes.get($kind), $attributes.get($other))?
    };
    (@read lenient, $attributes:ident, $type:ty, $kind:literal or $other:literal) => {
        $crate::wire::nft::codec::EitherField::read($attributes.get($kind), $attributes.get($other))
            .unwrap_or_default()
    };
    (@read $mode:ident, $attributes:ident, $type:ty, $kind:literal $(without_nul)?) => {
        $attributes.$mode::<$type>($kind)?
    };
    (@read $mode:ident, $attributes:ident, $type:ty, $kind:literal $how:ident) => {
        $attributes.$mode::<Option<$type>>($kind)?.unwrap_or_default()
    };
}
pub(crate) use attribute_table;

/// Defines how a message identifies an object of a table: by name or by handle.
macro_rules! named_in_table {
    ($name:ident) => {
        impl $name {
            pub(crate) fn by_name(table: &str, name: &str) -> Self {
                Self { table: table.to_owned(), name: Some(name.to_owned()), ..Self::default() }
            }

            pub(crate) fn by_handle(table: &str, handle: u64) -> Self {
                Self { table: table.to_owned(), handle: Some(handle), ..Self::default() }
            }
        }
    };
}
pub(crate) use named_in_table;

macro_rules! integer_field {
    ($($integer:ty),*) => {$(
        impl Field for $integer {
            fn read(attribute: Attribute<'_>) -> Option<Self> {
                attribute.value.try_into().ok().map(Self::from_be_bytes)
            }

            fn write(&self, out: &mut Writer<'_>, kind: u16) {
                out.bytes(kind, &self.to_be_bytes());
            }
        }
    )*};
}

integer_field!(u8, u16, u32, u64, i32);

/// Reads and writes a 32-bit number that is 0 or 1: the only flag of an expression, or the choice
/// between two operations.
impl Field for bool {
    fn read(attribute: Attribute<'_>) -> Option<Self> {
        u32::read(attribute).filter(|&bits| bits < 2).map(|bits| bits == 1)
    }

    fn write(&self, out: &mut Writer<'_>, kind: u16) {
        u32::from(*self).write(out, kind);
    }
}

/// Reads and writes a timeout as 64 bits of milliseconds.
impl Field for Duration {
    fn read(attribute: Attribute<'_>) -> Option<Self> {
        u64::read(attribute).map(Self::from_millis)
    }

    fn write(&self, out: &mut Writer<'_>, kind: u16) {
        u64::try_from(self.as_millis()).unwrap_or(u64::MAX).write(out, kind);
    }
}

/// Reads a name, with or without a terminating NUL. Returns `None` if the text would be written
/// differently.
pub(crate) fn name(attribute: Attribute<'_>) -> Option<&str> {
    let name = attribute.value.strip_suffix(&[0]).unwrap_or(attribute.value);
    str::from_utf8(name).ok().filter(|name| !name.contains('\0'))
}

/// Reads and writes a name with a terminating NUL.
impl Field for String {
    fn read(attribute: Attribute<'_>) -> Option<Self> {
        name(attribute).map(str::to_owned)
    }

    fn write(&self, out: &mut Writer<'_>, kind: u16) {
        out.string(kind, self);
    }
}

/// Defines an enum by its numbers in messages. An unlisted number is unreadable.
///
/// A `pub` enum has `nft`'s word after each number. An enum without an integer type has only words.
macro_rules! wire_enum {
    (
        $(#[$meta:meta])*
        $name:ident: $wire:ident { $($(#[$variant_meta:meta])* $variant:ident = $number:expr),* $(,)? }
    ) => {
        wire_enum!(@enum pub(crate), #[repr($wire)] $(#[$meta])* $name {
            $($(#[$variant_meta])* $variant = $number,)*
        });
        wire_enum!(@numbers $name: $wire);
    };
    (
        $(#[$meta:meta])*
        pub $name:ident: $wire:ident {
            $($(#[$variant_meta:meta])* $variant:ident = $number:literal $word:literal),* $(,)?
        }
    ) => {
        wire_enum!(@enum pub, #[repr($wire)] $(#[$meta])* $name {
            $($(#[$variant_meta])* $variant = $number,)*
        });
        wire_enum!(@numbers $name: $wire);
        wire_enum!(@words $name { $($variant = $word,)* });
    };
    (
        $(#[$meta:meta])*
        pub $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal),* $(,)? }
    ) => {
        wire_enum!(@enum pub, $(#[$meta])* $name { $($(#[$variant_meta])* $variant,)* });
        wire_enum!(@words $name { $($variant = $word,)* });
    };
    (@enum $vis:vis, $(#[$meta:meta])* $name:ident {
        $($(#[$variant_meta:meta])* $variant:ident $(= $number:expr)?,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name { $($(#[$variant_meta])* $variant $(= $number)?),* }

        impl $name {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant),*];
        }
    };
    (@words $name:ident { $($variant:ident = $word:literal,)* }) => {
        /// Formats the value as `nft` does.
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),* })
            }
        }
    };
    (@numbers $name:ident: $wire:ident) => {
        impl $name {
            pub(crate) fn from_number(number: $wire) -> Option<Self> {
                Self::ALL.iter().copied().find(|variant| *variant as $wire == number)
            }
        }

        impl $crate::wire::nft::codec::Field for $name {
            fn read(attribute: $crate::wire::attribute::Attribute<'_>) -> Option<Self> {
                <$wire>::read(attribute).and_then(Self::from_number)
            }

            fn write(&self, out: &mut $crate::wire::attribute::Writer<'_>, kind: u16) {
                (*self as $wire).write(out, kind);
            }
        }
    };
}
pub(crate) use wire_enum;

/// Defines flags by their bits in messages. A value with any other bit is unreadable, except the
/// bits given after the integer type.
macro_rules! wire_flags {
    (
        $(#[$meta:meta])*
        $name:ident: $wire:ty $(, $unnamed:literal)? { $($(#[$($flag_meta:tt)*])* $flag:ident = $bit:expr),* $(,)? }
    ) => {
        bitflags::bitflags! {
            $(#[$meta])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
            pub(crate) struct $name: $wire {
                $($(#[$($flag_meta)*])* const $flag = $bit;)*
                $(const _ = $unnamed;)?
            }
        }

        impl $crate::wire::nft::codec::Field for $name {
            fn read(attribute: $crate::wire::attribute::Attribute<'_>) -> Option<Self> {
                <$wire>::read(attribute).and_then(Self::from_bits)
            }

            fn write(&self, out: &mut $crate::wire::attribute::Writer<'_>, kind: u16) {
                self.bits().write(out, kind);
            }
        }
    };
}
pub(crate) use wire_flags;

#[cfg(test)]
mod tests {
    use super::*;

    attribute_table! {
        strict struct Pair {
            number: u32 = 1,
            half: Option<u16> = 2,
        }
    }

    fn read(bytes: &[u8]) -> Option<Pair> {
        Pair::decode_exactly(Attributes::new(bytes))
    }

    #[test]
    fn fields_are_all_or_nothing() {
        let one = [8, 0, 1, 0, 0, 0, 0, 7];
        assert_eq!(read(&one), Some(Pair { number: 7, half: None }));
        let half = [6, 0, 2, 0, 0, 9, 0, 0];
        assert_eq!(read(&[one, half].concat()), Some(Pair { number: 7, half: Some(9) }));
        assert_eq!(read(&half), None, "the number is required");
        let too_long = [8, 0, 2, 0, 0, 0, 0, 9];
        assert_eq!(read(&[one, too_long].concat()), None, "present, but not two bytes long");

        let unknown = [8, 0, 3, 0, 0, 0, 0, 7];
        assert_eq!(read(&[one, unknown].concat()), None);
        assert_eq!(read(&[one, one].concat()), None, "twice");
        assert_eq!(read(&[&one[..], &[1]].concat()), None, "one trailing byte");
    }

    #[test]
    fn only_a_name_that_survives_is_a_name() {
        let read = |value| String::read(Attribute { kind: 1, value });
        assert_eq!(read(b"ab\0").as_deref(), Some("ab"));
        assert_eq!(read(b"ab").as_deref(), Some("ab"));
        assert_eq!(read(b"a\0b\0"), None);
        assert_eq!(read(b"\xff\0"), None);
    }
}
