//! A macro for enums of the kernel's numbers.

/// Defines an enum for numbers of the kernel, from rows `Variant = number "word",`. `Other` holds
/// every number that has no row, such as those that later kernels add. `Display` prints the word or
/// the number.
macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident: $number:ty {
        $($(#[$variant_doc:meta])* $variant:ident = $value:literal $word:literal,)+
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
            /// A number without a variant.
            Other($number),
        }

        impl From<$number> for $name {
            #[inline]
            fn from(number: $number) -> Self {
                match number {
                    $($value => Self::$variant,)+
                    other => Self::Other(other),
                }
            }
        }

        impl From<$name> for $number {
            fn from(this: $name) -> Self {
                match this {
                    $($name::$variant => $value,)+
                    $name::Other(number) => number,
                }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                match self {
                    $(Self::$variant => f.pad($word),)+
                    Self::Other(number) => ::std::fmt::Display::fmt(number, f),
                }
            }
        }
    };
}
pub(crate) use numbered;
