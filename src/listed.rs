//! A macro for the values of lists: a borrowed type for reading, and an owned copy.

/// Defines the owned copy of a borrowed type. A row `name: Type = expression` makes a public field
/// of the copy and a method of the borrowed type. A row of the last part makes only a field, and
/// the borrowed type has its own method.
macro_rules! listed {
    (
        $(#[$doc:meta])* $info:ident of $view:ident as $read:ident {
            $($(#[$field_doc:meta])* $field:ident: $type:ty = $reading:expr,)+
        }
        copies $copied:ident {
            $($(#[$copy_doc:meta])* $copy:ident: $copy_type:ty = $copying:expr,)+
        }
    ) => {
        $(#[$doc])*
        pub struct $info {
            $($(#[$copy_doc])* pub $copy: $copy_type,)+
            $($(#[$field_doc])* pub $field: $type,)+
        }

        impl $view<'_> {
            $($(#[$field_doc])*
            #[inline]
            pub fn $field(&self) -> $type {
                let $read = self;
                $reading
            })+
        }

        impl From<$view<'_>> for $info {
            fn from($copied: $view<'_>) -> Self {
                Self { $($copy: $copying,)+ $($field: $copied.$field(),)+ }
            }
        }
    };
}
pub(crate) use listed;
