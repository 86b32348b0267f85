//! The scope of addresses and routes.

use crate::numbered::numbered;

numbered! {
    /// The reach of an address, or the distance of a route's destination (`RT_SCOPE_*`). Prints the
    /// word of `ip`.
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
    #[doc(alias = "RT_SCOPE_LINK")]
    Scope: u8 {
        /// Anywhere.
        Global = 0 "global",
        /// The site: deprecated site-local IPv6 addresses.
        Site = 200 "site",
        /// The networks of one link.
        Link = 253 "link",
        /// This host.
        Host = 254 "host",
        /// Nowhere: the destination doesn't exist.
        Nowhere = 255 "nowhere",
    }
}

/// Compares with a number (`RT_SCOPE_*`).
impl PartialEq<u8> for Scope {
    fn eq(&self, number: &u8) -> bool {
        u8::from(*self) == *number
    }
}
