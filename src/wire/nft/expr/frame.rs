//! The frame of an expression: its name, then a nest with its attributes.
//!
//! ```text
//! NFTA_LIST_ELEM 1, for each
//!   NFTA_EXPR_NAME  1  string
//!   NFTA_EXPR_DATA  2  nest     the attributes of this expression; `notrack` has none
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_expr_attributes`.

use crate::wire::attribute::{Attribute, Attributes, Writer};
use crate::wire::nft::codec::{self, up_to};

const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;

/// The only expression without attributes.
const WITHOUT_DATA: &str = "notrack";

/// An expression that could not be decoded. It keeps its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// The name, if it is readable.
    pub(crate) name: String,
    /// The content of the list element, including the name.
    pub(crate) bytes: Vec<u8>,
}

impl Unknown {
    pub(super) fn read(element: Attribute<'_>) -> Self {
        let name = element.nested().get(NFTA_EXPR_NAME);
        let name = name.map(Attribute::string).unwrap_or_default();
        Self { name, bytes: element.value.to_vec() }
    }
}

/// Returns the name and the attributes of an expression. Returns `None` if the frame has other
/// attributes.
pub(super) fn read(element: Attribute<'_>) -> Option<(&str, Attributes<'_>)> {
    let frame = element.nested().only(up_to(NFTA_EXPR_DATA))?;
    let data = frame.get(NFTA_EXPR_DATA).map(Attribute::nested).unwrap_or_default();
    Some((codec::name(frame.get(NFTA_EXPR_NAME)?)?, data))
}

/// Writes an expression as an attribute of type `kind`.
pub(super) fn write(
    out: &mut Writer<'_>,
    kind: u16,
    name: &str,
    data: impl FnOnce(&mut Writer<'_>),
) {
    out.nested(kind, |frame| {
        frame.string(NFTA_EXPR_NAME, name);
        if name != WITHOUT_DATA {
            frame.nested(NFTA_EXPR_DATA, data);
        }
    });
}

/// Defines an enum of expressions from the kernel's names. Any other expression is `Unknown`.
///
/// With `mod` before the enum, the names are also the files of the expressions. With
/// `unless_default` after an expression, attributes are left out if the expression has its default
/// value.
macro_rules! expressions {
    (
        $(#[$meta:meta])*
        mod $enum:ident { $($name:ident: $variant:ident $($how:ident)?),* $(,)? }
    ) => {
        $(pub(crate) mod $name; use self::$name::$variant;)*
        expressions! { $(#[$meta])* $enum { $($name: $variant $($how)?),* } }
    };
    (
        $(#[$meta:meta])*
        $enum:ident { $($name:ident: $variant:ident $($how:ident)?),* $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) enum $enum {
            $($variant($variant),)*
            Unknown($crate::wire::nft::expr::frame::Unknown),
        }

        $(impl From<$variant> for $enum {
            fn from(expr: $variant) -> Self {
                Self::$variant(expr)
            }
        })*

        impl $enum {
            /// Returns the kernel's name of the expression.
            pub(crate) fn name(&self) -> &str {
                match self {
                    $(Self::$variant(_) => stringify!($name),)*
                    Self::Unknown(unknown) => &unknown.name,
                }
            }
        }

        impl $crate::wire::nft::codec::Field for $enum {
            fn read(element: $crate::wire::attribute::Attribute<'_>) -> Option<Self> {
                use $crate::wire::nft::codec::Codec;
                use $crate::wire::nft::expr::frame::{Unknown, read};
                let known = read(element).and_then(|(name, data)| match name {
                    $(stringify!($name) => $variant::decode_exactly(data).map(Self::$variant),)*
                    _ => None,
                });
                known.or_else(|| Some(Self::Unknown(Unknown::read(element))))
            }

            fn write(&self, out: &mut $crate::wire::attribute::Writer<'_>, kind: u16) {
                use $crate::wire::nft::codec::Codec;
                if let Self::Unknown(unknown) = self {
                    return out.nested(kind, |frame| frame.raw(&unknown.bytes));
                }
                $crate::wire::nft::expr::frame::write(out, kind, self.name(), |data| match self {
                    $(Self::$variant(expr) => expressions!(@encode expr, data $($how)?),)*
                    Self::Unknown(_) => {}
                });
            }
        }
    };
    (@encode $expr:ident, $out:ident) => { $expr.encode($out) };
    (@encode $expr:ident, $out:ident unless_default) => {
        if *$expr != Default::default() { $expr.encode($out) }
    };
}
pub(super) use expressions;
