//! The options of a kind of link, as a builder stores them and as the kernel lists them.

use netlink_packet_core::Nla;

use crate::wire::attribute::Writer;

/// The options that a builder was given, sorted by attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options<A>(Vec<A>);

impl<A> Default for Options<A> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<A: Nla> Options<A> {
    /// Sets an option, in the place of an earlier value.
    pub(super) fn set(&mut self, option: A) {
        self.0.retain(|other| other.kind() != option.kind());
        self.0.push(option);
        self.0.sort_by_key(Nla::kind);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &A> {
        self.0.iter()
    }

    pub(super) fn write(&self, out: &mut Writer<'_>) {
        out.emit(&self.0.as_slice());
    }
}

/// Defines setters that store one option each, for a builder with a field `options`.
macro_rules! option_setters {
    ($($(#[$doc:meta])* $setter:ident($($argument:ident: $type:ty)?) => $option:expr;)+) => {$(
        $(#[$doc])*
        pub fn $setter(mut self $(, $argument: $type)?) -> Self {
            self.options.set($option);
            self
        }
    )+};
}
pub(super) use option_setters;

/// Defines the options of a kind as the kernel lists them, and the method of
/// [`Link`](super::Link) that reads them. Each field names the attributes that it is read from.
macro_rules! link_info {
    (
        $(#[$doc:meta])*
        $info:ident of $($kind:ident),+ by $(#[$method_doc:meta])* $method:ident, $attribute:ident {
            $($(#[$field_doc:meta])* $field:ident: $type:ty = $($pattern:pat => $value:expr),+;)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        #[non_exhaustive]
        #[allow(clippy::struct_excessive_bools)] // the kernel's own switches, each by its name
        #[cfg_attr(feature = "serde", derive(serde::Serialize))]
        pub struct $info {
            $($(#[$field_doc])* pub $field: $type,)+
            partial: bool,
        }

        impl $info {
            fn read(options: $crate::wire::attribute::Attributes<'_>) -> Self {
                let mut info = Self::default();
                for option in options.parse::<$attribute>() {
                    let Ok(option) = option else {
                        info.partial = true;
                        continue;
                    };
                    $(match &option {
                        $($pattern => info.$field = $value,)+
                        _ => {}
                    })+
                }
                info
            }

            /// Returns whether the kernel listed an option that netloom could not read. A field
            /// with its default may be wrong then.
            pub fn is_partial(&self) -> bool {
                self.partial
            }
        }

        impl $crate::link::Link {
            $(#[$method_doc])*
            ///
            /// # Errors
            ///
            /// - `is_not_found()` if the link is gone.
            #[doc(alias("ip -details link show", "IFLA_INFO_DATA"))]
            pub fn $method(&self) -> Result<Option<$info>, $crate::error::Error> {
                let kinds = [$($crate::link::LinkKind::$kind),+];
                self.snapshot().get("look at link", |view| {
                    let listed = kinds.iter().find_map(|kind| view.options(kind.name()));
                    Some(listed.map($info::read))
                })
            }
        }
    };
}
pub(super) use link_info;
