//! The family, kind, hook and priority of chains.

use std::fmt;

use crate::wire::nft::chain as wire_chain;
use crate::wire::nft::hook as wire_hook;
use crate::wire::nft::message as wire;

macro_rules! words {
    (
        $(#[$meta:meta])*
        $name:ident as $wire:path {
            $($(#[$variant_meta:meta])* $variant:ident = $word:literal as $wire_variant:path),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_meta])* $variant),* }

        impl $name {
            #[allow(dead_code)] // not each is read back
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub(crate) fn wire(self) -> $wire {
                match self { $(Self::$variant => $wire_variant),* }
            }

            #[allow(dead_code)] // not each is read back
            pub(crate) fn from_wire(wire: $wire) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.wire() == wire)
            }
        }

        /// Formats the value as `nft` does.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),* })
            }
        }
    };
}

words! {
    /// The family of a table: the packets that its chains see.
    #[doc(alias = "NFPROTO_INET")]
    Family as wire::Family {
        /// IPv4.
        Ip = "ip" as wire::Family::Ip,
        /// IPv6.
        Ip6 = "ip6" as wire::Family::Ip6,
        /// IPv4 and IPv6.
        Inet = "inet" as wire::Family::Inet,
        /// ARP to and from this machine.
        Arp = "arp" as wire::Family::Arp,
        /// Frames that cross a bridge.
        Bridge = "bridge" as wire::Family::Bridge,
        /// Frames at the ingress or egress of a link.
        Netdev = "netdev" as wire::Family::Netdev,
    }
}

words! {
    /// A point in the path of a packet through the machine.
    #[doc(alias = "NF_INET_FORWARD")]
    Hook as wire_hook::HookPoint {
        /// Incoming packets, before routing.
        Prerouting = "prerouting" as wire_hook::HookPoint::Prerouting,
        /// Packets to this machine.
        Input = "input" as wire_hook::HookPoint::Input,
        /// Forwarded packets.
        Forward = "forward" as wire_hook::HookPoint::Forward,
        /// Packets that this machine sends.
        Output = "output" as wire_hook::HookPoint::Output,
        /// Outgoing packets, after routing.
        Postrouting = "postrouting" as wire_hook::HookPoint::Postrouting,
        /// Incoming frames of a link; in `netdev` and `inet`.
        Ingress = "ingress" as wire_hook::HookPoint::Ingress,
        /// Outgoing frames of a link; in `netdev`.
        Egress = "egress" as wire_hook::HookPoint::Egress,
    }
}

words! {
    /// The kind of a base chain.
    ChainKind as wire_chain::ChainType {
        /// Accepts and drops packets.
        Filter = "filter" as wire_chain::ChainType::Filter,
        /// Translates addresses; sees the first packet of a connection.
        Nat = "nat" as wire_chain::ChainType::Nat,
        /// Routes a packet again if a rule changed what its route depends on.
        Route = "route" as wire_chain::ChainType::Route,
    }
}

words! {
    /// The verdict on packets that no rule of a base chain decides about.
    Policy as wire_chain::Policy {
        /// The packet continues.
        Accept = "accept" as wire_chain::Policy::Accept,
        /// The packet is dropped.
        Drop = "drop" as wire_chain::Policy::Drop,
    }
}

/// The place of a base chain among those of its hook: lower numbers come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[doc(alias = "nf_ip_hook_priorities")]
pub struct Priority(pub i32);

impl Priority {
    /// `raw`: before connection tracking.
    pub const RAW: Self = Self(-300);
    /// `mangle`.
    pub const MANGLE: Self = Self(-150);
    /// `dstnat`: DNAT, in prerouting and output.
    pub const DESTINATION_NAT: Self = Self(-100);
    /// `filter`.
    pub const FILTER: Self = Self(0);
    /// `security`.
    pub const SECURITY: Self = Self(50);
    /// `srcnat`: SNAT, in postrouting and input.
    pub const SOURCE_NAT: Self = Self(100);
    /// `dstnat` of the family `bridge`.
    pub const BRIDGE_DESTINATION_NAT: Self = Self(-300);
    /// `filter` of the family `bridge`.
    pub const BRIDGE_FILTER: Self = Self(-200);
    /// `out` of the family `bridge`.
    pub const BRIDGE_OUT: Self = Self(100);
    /// `srcnat` of the family `bridge`.
    pub const BRIDGE_SOURCE_NAT: Self = Self(300);

    pub(crate) fn wire(self) -> wire_hook::Priority {
        wire_hook::Priority(self.0)
    }
}

impl From<i32> for Priority {
    fn from(number: i32) -> Self {
        Self(number)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The priority of connection tracking. Address translation must come later.
const CONNTRACK: Priority = Priority(-200);

/// Explains a combination that the kernel would refuse with a bare `EOPNOTSUPP`.
pub(crate) fn check(
    family: Family,
    kind: ChainKind,
    hook: Hook,
    priority: Priority,
    devices: usize,
) -> Result<(), String> {
    if hook.wire().number(family.wire()).is_none() {
        return Err(format!("the family {family} has no hook {hook}"));
    }
    let is_ip = matches!(family, Family::Ip | Family::Ip6 | Family::Inet);
    match kind {
        ChainKind::Nat if !is_ip => return Err(format!("the family {family} has no nat chains")),
        ChainKind::Nat
            if !matches!(
                hook,
                Hook::Prerouting | Hook::Input | Hook::Output | Hook::Postrouting
            ) =>
        {
            return Err(format!("there are no nat chains at the hook {hook}"));
        }
        ChainKind::Nat if priority <= CONNTRACK => {
            return Err(format!(
                "a nat chain's priority is over {CONNTRACK}, where connections are tracked"
            ));
        }
        ChainKind::Route if !is_ip || hook != Hook::Output => {
            return Err("route chains are for the hook output of ip, ip6 and inet".into());
        }
        ChainKind::Filter | ChainKind::Nat | ChainKind::Route => {}
    }
    let is_of_a_link = matches!(hook, Hook::Ingress | Hook::Egress);
    match (is_of_a_link, devices) {
        (true, 0) => Err(format!("a chain at {hook} is one of a link: name it with dev()")),
        (false, 1..) => Err(format!("a chain at {hook} has no links of its own")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_kernel_takes_is_refused() {
        let nat = |family, hook, priority| {
            check(family, ChainKind::Nat, hook, Priority(priority), 0).is_ok()
        };
        assert!(nat(Family::Inet, Hook::Postrouting, 100));
        assert!(!nat(Family::Arp, Hook::Input, 0));
        assert!(!nat(Family::Bridge, Hook::Prerouting, 0));
        assert!(!nat(Family::Ip, Hook::Forward, 0));
        assert!(!nat(Family::Ip, Hook::Prerouting, -200));
        let filter = |family, hook, devices| {
            check(family, ChainKind::Filter, hook, Priority::FILTER, devices).is_ok()
        };
        assert!(filter(Family::Netdev, Hook::Ingress, 1));
        assert!(!filter(Family::Netdev, Hook::Ingress, 0));
        assert!(!filter(Family::Netdev, Hook::Forward, 0));
        assert!(!filter(Family::Ip, Hook::Ingress, 1));
        assert!(!filter(Family::Inet, Hook::Forward, 1));
        assert!(!filter(Family::Arp, Hook::Forward, 0));
        assert!(filter(Family::Arp, Hook::Output, 0));
    }
}
