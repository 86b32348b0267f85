//! The types and preferences of routes.

use crate::numbered::numbered;

numbered! {
    /// The type of a route: how the kernel treats its packets. `ip route` prints it first, except
    /// `unicast`.
    #[doc(alias = "RTN_UNICAST")]
    RouteType: u8 {
        /// Packets are forwarded.
        Unicast = 1 "unicast",
        /// Packets are delivered to this host.
        Local = 2 "local",
        /// Packets are delivered to this host, or sent as link-layer broadcasts.
        Broadcast = 3 "broadcast",
        /// Packets are delivered to this host, which shares the address with other hosts.
        Anycast = 4 "anycast",
        /// Packets are sent to a multicast group.
        Multicast = 5 "multicast",
        /// Packets are dropped silently.
        Blackhole = 6 "blackhole",
        /// Packets are rejected: the sender gets an ICMP "unreachable" message.
        Unreachable = 7 "unreachable",
        /// Packets are rejected: the sender gets an ICMP "prohibited" message.
        Prohibit = 8 "prohibit",
        /// The lookup ends in this table and continues with the next routing rule.
        Throw = 9 "throw",
    }
}

numbered! {
    /// The preference of an IPv6 route among those with its metric (RFC 4191), as `pref WORD`.
    #[doc(alias = "RTA_PREF")]
    RoutePreference: u8 {
        /// The usual preference.
        Medium = 0 "medium",
        /// Preferred to the others.
        High = 1 "high",
        /// Taken if there is no other.
        Low = 3 "low",
    }
}
