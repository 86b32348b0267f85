//! What every object and expression is made of: fields that read and write themselves, big-endian.

use std::time::Duration;

use crate::wire::attribute::{Attribute, Attributes, Writer};

/// An object or expression: a set of attributes.
pub(crate) trait Codec: Sized {
    fn encode(&self, out: &mut Writer<'_>);
    fn decode(attributes: Attributes<'_>) -> Option<Self>;
}

/// The value of one attribute. What it reads, it writes back as it was; anything else is `None`.
pub(crate) trait Field: Sized {
    fn read(attribute: Attribute<'_>) -> Option<Self>;
    fn write(&self, out: &mut Writer<'_>, kind: u16);
}

impl Writer<'_> {
    pub(crate) fn field(&mut self, kind: u16, value: &impl Field) {
        value.write(self, kind);
    }

    pub(crate) fn optional(&mut self, kind: u16, value: Option<&impl Field>) {
        if let Some(value) = value {
            value.write(self, kind);
        }
    }
}

impl Attributes<'_> {
    /// The field of this type, if it is there and can be read.
    pub(crate) fn field<T: Field>(self, kind: u16) -> Option<T> {
        self.get(kind).and_then(T::read)
    }
}

/// The attributes of something that is either understood wholly or not at all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a>(Attributes<'a>);

impl<'a> Fields<'a> {
    /// Attributes of which those up to `last` are known. `None` when something would be lost: another
    /// attribute, one that comes twice and is no padding, or bytes that are no attribute.
    pub(crate) fn up_to(attributes: Attributes<'a>, last: u16) -> Option<Self> {
        let mut seen = 0_u64;
        for attribute in attributes.iter() {
            let bit = 1_u64.checked_shl(attribute.kind.into())?;
            let is_again = seen & bit != 0 && !attribute.value.is_empty();
            if is_again || !(1..=last).contains(&attribute.kind) {
                return None;
            }
            seen |= bit;
        }
        attributes.is_whole().then_some(Self(attributes))
    }

    pub(crate) fn required<T: Field>(self, kind: u16) -> Option<T> {
        T::read(self.0.get(kind)?)
    }

    /// `None` when it is there but can't be read.
    #[allow(clippy::option_option)] // absent and unreadable differ: only the latter fails the whole
    pub(crate) fn optional<T: Field>(self, kind: u16) -> Option<Option<T>> {
        match self.0.get(kind) {
            Some(attribute) => T::read(attribute).map(Some),
            None => Some(None),
        }
    }

    pub(crate) fn or_default<T: Field + Default>(self, kind: u16) -> Option<T> {
        self.optional(kind).map(Option::unwrap_or_default)
    }
}

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

/// As `nf_tables` has its timeouts: 64 bits of milliseconds.
impl Field for Duration {
    fn read(attribute: Attribute<'_>) -> Option<Self> {
        u64::read(attribute).map(Self::from_millis)
    }

    fn write(&self, out: &mut Writer<'_>, kind: u16) {
        u64::try_from(self.as_millis()).unwrap_or(u64::MAX).write(out, kind);
    }
}

/// With or without a terminating NUL. Only text that reads back the same is a name.
pub(crate) fn name(attribute: Attribute<'_>) -> Option<&str> {
    let name = attribute.value.strip_suffix(&[0]).unwrap_or(attribute.value);
    str::from_utf8(name).ok().filter(|name| !name.contains('\0'))
}

/// A name, with its terminating NUL on the wire.
impl Field for String {
    fn read(attribute: Attribute<'_>) -> Option<Self> {
        name(attribute).map(str::to_owned)
    }

    fn write(&self, out: &mut Writer<'_>, kind: u16) {
        out.string(kind, self);
    }
}

/// An enum whose numbers are those on the wire; a number that is not listed does not read.
macro_rules! wire_enum {
    (
        $(#[$meta:meta])*
        $name:ident: $wire:ty { $($(#[$variant_meta:meta])* $variant:ident = $number:expr),* $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum $name { $($(#[$variant_meta])* $variant),* }

        impl $name {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub(crate) const fn number(self) -> $wire {
                match self { $(Self::$variant => $number),* }
            }

            pub(crate) fn from_number(number: $wire) -> Option<Self> {
                Self::ALL.iter().copied().find(|variant| variant.number() == number)
            }
        }

        impl $crate::wire::nft::codec::Field for $name {
            fn read(attribute: $crate::wire::attribute::Attribute<'_>) -> Option<Self> {
                <$wire>::read(attribute).and_then(Self::from_number)
            }

            fn write(&self, out: &mut $crate::wire::attribute::Writer<'_>, kind: u16) {
                self.number().write(out, kind);
            }
        }
    };
}
pub(crate) use wire_enum;

/// Flags as a big-endian field. With a bit that has no name they do not read.
macro_rules! flags_field {
    ($name:ident: $wire:ty) => {
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
pub(crate) use flags_field;

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(bytes: &[u8]) -> Option<Fields<'_>> {
        Fields::up_to(Attributes::new(bytes), 2)
    }

    #[test]
    fn fields_are_all_or_nothing() {
        let one = [8, 0, 1, 0, 0, 0, 0, 7];
        let read = fields(&one).unwrap();
        assert_eq!(read.required::<u32>(1), Some(7));
        assert_eq!(read.optional::<u32>(2), Some(None));
        assert_eq!(read.optional::<u16>(1), None, "there, but not two bytes long");

        let unknown = [8, 0, 3, 0, 0, 0, 0, 7];
        assert!(fields(&unknown).is_none());
        assert!(fields(&[one, one].concat()).is_none(), "twice");
        assert!(fields(&[&one[..], &[1]].concat()).is_none(), "a byte too many");
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
