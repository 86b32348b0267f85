//! The scope of addresses and routes.

use crate::numbered::numbered;

numbered! {
    /// The scope of an address, or of a route's destination (`RT_SCOPE_*`): where it is valid.
    /// Prints the word that `ip` uses.
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
        /// Valid everywhere.
        Global = 0 "global",
        /// Valid in the site, which only deprecated site-local IPv6 addresses are.
        Site = 200 "site",
        /// Valid on one link.
        Link = 253 "link",
        /// Valid on this host.
        Host = 254 "host",
        /// Valid nowhere: the destination does not exist.
        Nowhere = 255 "nowhere",
    }
}

/// Compares the scope with a number (`RT_SCOPE_*`).
impl PartialEq<u8> for Scope {
    fn eq(&self, number: &u8) -> bool {
        u8::from(*self) == *number
    }
}
