//! The hook of a base chain or a flowtable.
//!
//! ```text
//! NFTA_HOOK_HOOKNUM   1  be32   numbered per family, see below
//! NFTA_HOOK_PRIORITY  2  be32   signed; lower comes first
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
//! Source: `nft_hook_attributes`; `NF_INET_*`, `NF_ARP_*`, `NF_NETDEV_*` in include/uapi/linux/netfilter*.h.

use super::codec::{EitherField, Field, attribute_table};
use super::message::Family;
use crate::wire::attribute::{Attribute, Writer};

const NFTA_DEVICE_NAME: u16 = 1;

/// A hook: a stage of packet processing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum HookPoint {
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
    Ingress,
    Egress,
}

impl HookPoint {
    const ALL: [Self; 7] = [
        Self::Prerouting,
        Self::Input,
        Self::Forward,
        Self::Output,
        Self::Postrouting,
        Self::Ingress,
        Self::Egress,
    ];

    /// The number in the family; `None` if the family lacks the hook.
    pub(crate) fn number(self, family: Family) -> Option<u32> {
        match (family, self) {
            (Family::Arp, Self::Input) | (Family::Netdev, Self::Ingress) => Some(0),
            (Family::Arp, Self::Output) | (Family::Netdev, Self::Egress) => Some(1),
            (Family::Inet, Self::Ingress) => Some(5),
            (Family::Ip | Family::Ip6 | Family::Inet | Family::Bridge, point) => match point {
                Self::Prerouting => Some(0),
                Self::Input => Some(1),
                Self::Forward => Some(2),
                Self::Output => Some(3),
                Self::Postrouting => Some(4),
                Self::Ingress | Self::Egress => None,
            },
            _ => None,
        }
    }

    pub(crate) fn from_number(family: Family, number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|point| point.number(family) == Some(number))
    }
}

/// The order of chains at a hook, lowest first. Constants have the names of `nft`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[doc(alias = "nf_ip_hook_priorities")]
pub(crate) struct Priority(pub(crate) i32);

impl Priority {
    pub(crate) const RAW: Self = Self(-300);
    pub(crate) const MANGLE: Self = Self(-150);
    pub(crate) const DESTINATION_NAT: Self = Self(-100);
    pub(crate) const FILTER: Self = Self(0);
    pub(crate) const SECURITY: Self = Self(50);
    pub(crate) const SOURCE_NAT: Self = Self(100);
    pub(crate) const BRIDGE_DESTINATION_NAT: Self = Self(-300);
    pub(crate) const BRIDGE_FILTER: Self = Self(-200);
    pub(crate) const BRIDGE_OUT: Self = Self(100);
    pub(crate) const BRIDGE_SOURCE_NAT: Self = Self(300);
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
    /// A hook of a base chain.
    #[derive(Default)]
    lenient struct Hook {
        /// The family's own number: [`HookPoint::number`].
        number: Option<u32> = 1,
        priority: Option<Priority> = 2,
        devices: Devices = 3 or 4,
    }
}

impl Hook {
    /// The number in the family; `None` if the family lacks the hook.
    pub(crate) fn new(family: Family, point: HookPoint, priority: Priority) -> Option<Self> {
        let number = Some(point.number(family)?);
        Some(Self { number, priority: Some(priority), devices: Devices::default() })
    }
}

/// Names of network devices. Names that are not UTF-8 are skipped.
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
        let nat = Hook::new(Family::Ip, HookPoint::Postrouting, Priority::SOURCE_NAT).unwrap();
        object(&nat, "08000100 00000004 08000200 00000064");
        // tools/nft-bytes 'add table netdev t' \
        //   'add chain netdev t c { type filter hook ingress device lo priority 0; }'
        let mut ingress = Hook::new(Family::Netdev, HookPoint::Ingress, Priority::FILTER).unwrap();
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
        assert_eq!(HookPoint::Ingress.number(Family::Inet), Some(5));
        assert_eq!(HookPoint::Ingress.number(Family::Ip), None);
        assert_eq!(HookPoint::Forward.number(Family::Arp), None);
        assert_eq!(HookPoint::Prerouting.number(Family::Netdev), None);
        for &family in Family::ALL {
            for point in HookPoint::ALL {
                if let Some(number) = point.number(family) {
                    assert_eq!(HookPoint::from_number(family, number), Some(point));
                }
            }
        }
    }
}
