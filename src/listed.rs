//! Values of lists: borrowed while a list is read, or copied.

/// Defines a value that is copied from a borrowed one. A row with a reading is a public field of
/// the copy and a method of the borrowed value. A row that only the copy has is copied from the
/// method of another type.
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
