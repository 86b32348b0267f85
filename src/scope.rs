//! The scope of addresses and routes.

use std::fmt;

/// The reach of an address, or the distance of a route's destination (`RT_SCOPE_*`).
///
/// ```
/// use netloom::Scope;
///
/// assert_eq!(Scope::from(253), Scope::Link);
/// assert_eq!(Scope::Host.to_string(), "host");
/// assert_eq!(u8::from(Scope::Other(17)), 17);
/// ```
///
/// Source: `include/uapi/linux/rtnetlink.h`, `/etc/iproute2/rt_scopes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias = "RT_SCOPE_LINK")]
pub enum Scope {
    /// Anywhere.
    Global,
    /// The site: deprecated site-local IPv6 addresses.
    Site,
    /// The networks of one link.
    Link,
    /// This host.
    Host,
    /// Nowhere: the destination doesn't exist.
    Nowhere,
    /// A scope of the administrator, by number.
    Other(u8),
}

impl From<u8> for Scope {
    fn from(number: u8) -> Self {
        match number {
            0 => Self::Global,
            200 => Self::Site,
            253 => Self::Link,
            254 => Self::Host,
            255 => Self::Nowhere,
            other => Self::Other(other),
        }
    }
}

impl From<Scope> for u8 {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Global => 0,
            Scope::Site => 200,
            Scope::Link => 253,
            Scope::Host => 254,
            Scope::Nowhere => 255,
            Scope::Other(number) => number,
        }
    }
}

/// The word `ip` prints; a number for a scope without a name.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Global => "global",
            Self::Site => "site",
            Self::Link => "link",
            Self::Host => "host",
            Self::Nowhere => "nowhere",
            Self::Other(number) => return write!(f, "{number}"),
        })
    }
}

/// Compares with a number (`RT_SCOPE_*`).
impl PartialEq<u8> for Scope {
    fn eq(&self, number: &u8) -> bool {
        u8::from(*self) == *number
    }
}
