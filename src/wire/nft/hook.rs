//! The hook of a base chain or a flowtable.
//!
//! ```text
//! NFTA_HOOK_HOOKNUM   1  be32   numbered per family, see below
//! NFTA_HOOK_PRIORITY  2  be32   signed; lower runs first
//! NFTA_HOOK_DEV       3  string           one device
//! NFTA_HOOK_DEVS      4  list of NFTA_DEVICE_NAME 1 string; NFTA_DEVICE_PREFIX 2 is not read
//!
//!             prerouting input forward output postrouting ingress egress
//! ip, ip6         0        1      2      3        4
//! inet            0        1      2      3        4          5
//! bridge          0        1      2      3        4
//! arp                      0             1
//! netdev                                                     0       1
//! ```
//!
//! Source: `nft_hook_attributes`; `NF_INET_*`, `NF_ARP_*`, `NF_NETDEV_*` in
//! include/uapi/linux/netfilter*.h.

use std::fmt;

use super::codec::{EitherField, Field, attribute_table, wire_enum};
use super::message::Family;
use crate::wire::attribute::{Attribute, Writer};

const NFTA_DEVICE_NAME: u16 = 1;

wire_enum! {
    /// A hook: a point in a packet's path through the machine.
    #[doc(alias = "NF_INET_FORWARD")]
    pub Hook {
        /// Incoming packets, before routing.
        Prerouting = "prerouting",
        /// Packets to this machine.
        Input = "input",
        /// Forwarded packets.
        Forward = "forward",
        /// Packets that this machine sends.
        Output = "output",
        /// Outgoing packets, after routing.
        Postrouting = "postrouting",
        /// Incoming frames of a link. In the families `netdev` and `inet`.
        Ingress = "ingress",
        /// Outgoing frames of a link. In the family `netdev`.
        Egress = "egress",
    }
}

impl Hook {
    /// Returns the hooks of a family, in the order of their numbers from 0 on.
    fn of(family: Family) -> &'static [Self] {
        match family {
            Family::Ip | Family::Ip6 | Family::Bridge => &Self::ALL[..5],
            Family::Inet => &Self::ALL[..6],
            Family::Arp => &[Self::Input, Self::Output],
            Family::Netdev => &[Self::Ingress, Self::Egress],
        }
    }

    /// Returns the hook's number in a family. Returns `None` if the family lacks the hook.
    pub(crate) fn number(self, family: Family) -> Option<u32> {
        (0..).zip(Self::of(family)).find_map(|(number, hook)| (*hook == self).then_some(number))
    }

    pub(crate) fn from_number(family: Family, number: u32) -> Option<Self> {
        Self::of(family).get(usize::try_from(number).ok()?).copied()
    }
}

/// The priority of a base chain at its hook. Chains with lower numbers run first.
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

impl Field for Priority {
    fn read(attribute: Attribute<'_>) -> Option<Self> {
        i32::read(attribute).map(Self)
    }

    fn write(&self, out: &mut Writer<'_>, kind: u16) {
        self.0.write(out, kind);
    }
}

attribute_table! {
    /// The hook of a base chain.
    #[derive(Default)]
    lenient struct ChainHook {
        /// The number of the hook in the family: [`Hook::number`].
        number: Option<u32> = 1,
        priority: Option<Priority> = 2,
        devices: Devices = 3 or 4,
    }
}

impl ChainHook {
    /// Creates the hook of a base chain. Returns `None` if the family lacks the hook.
    pub(crate) fn new(family: Family, hook: Hook, priority: Priority) -> Option<Self> {
        let number = Some(hook.number(family)?);
        Some(Self { number, priority: Some(priority), devices: Devices::default() })
    }
}

/// The names of network devices. Names that are not UTF-8 are skipped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Devices(pub(crate) Vec<String>);

impl Field for Devices {
    fn read(attribute: Attribute<'_>) -> Option<Self> {
        let devices = attribute.nested().iter().filter(|device| device.kind == NFTA_DEVICE_NAME);
        Some(Self(devices.filter_map(String::read).collect()))
    }

    fn write(&self, out: &mut Writer<'_>, kind: u16) {
        out.nested(kind, |devices| {
            for device in &self.0 {
                device.write(devices, NFTA_DEVICE_NAME);
            }
        });
    }
}

impl EitherField for Devices {
    fn read(one: Option<Attribute<'_>>, several: Option<Attribute<'_>>) -> Option<Self> {
        let one = || one.and_then(String::read).map(|device| Self(vec![device]));
        several.and_then(Field::read).or_else(one)
    }

    fn write(&self, out: &mut Writer<'_>, one: u16, several: u16) {
        match self.0.as_slice() {
            [] => {}
            [device] => device.write(out, one),
            _ => Field::write(self, out, several),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::testing::object;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' \
        //   'add chain ip t c { type nat hook postrouting priority srcnat; }'
        let nat = ChainHook::new(Family::Ip, Hook::Postrouting, Priority::SOURCE_NAT).unwrap();
        object(&nat, "08000100 00000004 08000200 00000064");
        // tools/nft-bytes 'add table netdev t' \
        //   'add chain netdev t c { type filter hook ingress device lo priority 0; }'
        let mut ingress = ChainHook::new(Family::Netdev, Hook::Ingress, Priority::FILTER).unwrap();
        ingress.devices = Devices(vec!["lo".to_owned()]);
        object(&ingress, "08000100 00000000 08000200 00000000 07000300 6c6f0000");
        // The same with: devices = { lo, eth0 }
        ingress.devices = Devices(vec!["eth0".to_owned(), "lo".to_owned()]);
        object(
            &ingress,
            "08000100 00000000 08000200 00000000
             18000480 09000100 65746830 00000000 07000100 6c6f0000",
        );
    }

    #[test]
    fn a_hook_has_a_number_only_in_its_families() {
        assert_eq!(Hook::Ingress.number(Family::Inet), Some(5));
        assert_eq!(Hook::Ingress.number(Family::Ip), None);
        assert_eq!(Hook::Forward.number(Family::Arp), None);
        assert_eq!(Hook::Prerouting.number(Family::Netdev), None);
        for &family in Family::ALL {
            for &point in Hook::ALL {
                if let Some(number) = point.number(family) {
                    assert_eq!(Hook::from_number(family, number), Some(point));
                }
            }
        }
    }
}
