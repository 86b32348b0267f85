//! The VLANs of bridge ports, as `bridge vlan`.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

use netlink_packet_route::link::{
    AfSpecBridge, BridgeVlanInfo as WireVlan, BridgeVlanInfoFlags as Flags,
};
use nix::errno::Errno;

use super::handle::Link;
use crate::error::Error;
use crate::input::FirstRejected;
use crate::netlink::{Batch, RequestType};
use crate::owned::Owned;
use crate::owned::sealed::{Remove, Removed};
use crate::wire::attribute::Writer;
use crate::wire::link::{AF_BRIDGE, IFLA_AF_SPEC, header};
use crate::wire::message::NLM_F_DUMP;
use crate::wire::vlan::{self, VlanRange};

/// The highest VLAN ID.
const LAST: u16 = 4094;

/// A VLAN of a bridge or of a bridge port: a line of `bridge vlan show`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct BridgeVlanInfo {
    /// The VLAN ID.
    pub id: u16,
    /// True if the bridge puts untagged frames that it receives into this VLAN.
    pub pvid: bool,
    /// True if the bridge sends frames of this VLAN without a tag.
    pub untagged: bool,
}

impl BridgeVlanInfo {
    /// Appends the VLANs of a range. The kernel lists VLAN IDs in ascending order, each at most
    /// once. Other entries are skipped, so a malformed answer cannot make the list longer than all
    /// VLAN IDs.
    fn push(range: VlanRange, all: &mut Vec<Self>) {
        let VlanRange { ids, flags } = range;
        let [pvid, untagged] = [Flags::Pvid, Flags::Untagged].map(|flag| flags.contains(flag));
        let first = all.last().map_or(0, |last: &Self| last.id + 1).max(*ids.start());
        let ids = first..=LAST.min(*ids.end());
        all.extend(ids.map(|id| Self { id, pvid, untagged }));
    }
}

/// Writes a line in the words of `bridge vlan`.
impl fmt::Display for BridgeVlanInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pvid = if self.pvid { " PVID" } else { "" };
        let untagged = if self.untagged { " Egress Untagged" } else { "" };
        write!(f, "{}{pvid}{untagged}", self.id)
    }
}

impl Link {
    /// Lists the VLANs of this bridge or bridge port by ID, as `bridge vlan show dev NAME`. The
    /// VLANs matter only if the bridge [filters](super::BridgeInfo::vlan_filtering).
    ///
    /// ```no_run
    /// use netloom::{Bridge, BridgeVlan, Namespace, VethEnd, VethPair};
    /// # netloom::sandbox::enter()?;
    ///
    /// let host = Namespace::anonymous().create()?;
    /// let bridge = Bridge::new("br0").vlan_filtering(true).create(&host)?;
    /// let cable = VethPair::new(VethEnd::new("port1").master(&bridge), "eth0").create(&host)?;
    /// let _access = BridgeVlan::new(100).pvid().untagged().create(cable.near())?;
    /// let vlans = cable.near().vlans()?;
    /// assert_eq!(vlans[0].to_string(), "1 Egress Untagged");
    /// assert_eq!(vlans[1].to_string(), "100 PVID Egress Untagged");
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `is_unsupported()` in a kernel without `CONFIG_BRIDGE_VLAN_FILTERING`.
    /// - `is_not_found()` if the link is gone.
    /// - The link is neither a bridge nor a bridge port.
    #[doc(alias("bridge vlan show", "RTM_GETVLAN"))]
    pub fn vlans(&self) -> Result<Vec<BridgeVlanInfo>, Error> {
        let snapshot = self.snapshot();
        let mut batch = Batch::default();
        batch.request(vlan::RTM_GETVLAN, NLM_F_DUMP, |out| {
            out.extend_from_slice(&vlan::of_link(snapshot.id.index));
        });
        let listed = snapshot.netns.rtnetlink(|socket| {
            socket.fold(&mut batch, Vec::new, |all, message| {
                vlan::ranges(message).for_each(|range| BridgeVlanInfo::push(range, all));
            })
        });
        listed.map_err(|cause| {
            let error = snapshot.failure("list VLANs of", cause);
            error
                .hint_on(Errno::EOPNOTSUPP, || NO_VLANS.into())
                .hint_on(Errno::EINVAL, || "the link is neither a bridge nor a bridge port".into())
        })
    }

    /// Takes this bridge port out of a VLAN, as `bridge vlan del dev PORT vid ID`. New ports are in
    /// VLAN 1 by default. Succeeds if the port is not in the VLAN.
    ///
    /// # Errors
    ///
    /// - `is_invalid_input()` for an ID above 4094 or 0, before any system call.
    /// - `is_unsupported()` in a kernel without `CONFIG_BRIDGE_VLAN_FILTERING`.
    /// - The link is neither a bridge nor a bridge port.
    #[doc(alias = "bridge vlan del")]
    pub fn leave_vlan(&self, id: u16) -> Result<(), Error> {
        const ACTION: &str = "leave VLAN";
        let vlan = BridgeVlan::new(id);
        vlan.rejected.check(ACTION, &vlan)?;
        // A kernel without CONFIG_BRIDGE_VLAN_FILTERING answers a deletion with success.
        if self.vlans()?.iter().any(|listed| listed.id == id) {
            self.change_vlan(ACTION, &vlan, RequestType::DelLink)?;
        }
        Ok(())
    }

    fn change_vlan(
        &self,
        action: &'static str,
        vlan: &BridgeVlan,
        kind: RequestType,
    ) -> Result<(), Error> {
        vlan.rejected.check(action, vlan)?;
        let request = |batch: &mut Batch, index| {
            batch.push(kind, 0, &header(AF_BRIDGE, index), |out| {
                out.nested(IFLA_AF_SPEC, |port| vlan.write_entries(port));
            })
        };
        self.request(action, request).map_err(|error| {
            let reason = || format!("the link is not a bridge port, or {NO_VLANS}");
            error.hint_on(Errno::EOPNOTSUPP, reason)
        })
    }
}

const NO_VLANS: &str = "this kernel's bridges do not know VLANs (CONFIG_BRIDGE_VLAN_FILTERING)";

/// A VLAN for a bridge port to join, or a range of VLANs. The VLANs have an effect only if the
/// bridge [filters by VLAN](crate::Bridge::vlan_filtering).
///
/// Replaces `bridge vlan add dev PORT vid ID`.
///
/// ```no_run
/// use netloom::{Bridge, BridgeVlan, Namespace, VethPair};
/// # netloom::sandbox::enter()?;
///
/// let host = Namespace::anonymous().create()?;
/// let bridge = Bridge::new("br0").vlan_filtering(true).up().create(&host)?;
/// let cable = VethPair::new("port1", "eth0").create(&host)?;
/// cable.near().set_master(&bridge)?;
/// let _access = BridgeVlan::new(100).pvid().untagged().create(cable.near())?;
/// let _trunk = BridgeVlan::range(200..=299).create(cable.near())?;
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// Source: bridge(8), `net/bridge/br_vlan.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct BridgeVlan {
    ids: RangeInclusive<u16>,
    pvid: bool,
    untagged: bool,
    rejected: FirstRejected,
}

impl BridgeVlan {
    /// Describes the VLAN with this ID, from 1 to 4094.
    pub fn new(id: u16) -> Self {
        Self::of("new", id..=id)
    }

    /// Describes the VLANs with these IDs, from 1 to 4094, as `vid FIRST-LAST`: for a trunk port.
    pub fn range(ids: RangeInclusive<u16>) -> Self {
        Self::of("range", ids)
    }

    fn of(setter: &'static str, ids: RangeInclusive<u16>) -> Self {
        let mut rejected = FirstRejected::default();
        if let Some(bad) = [ids.start(), ids.end()].into_iter().find(|id| !(1..=LAST).contains(*id))
        {
            rejected.reject(setter, bad, "a VLAN's number is from 1 to 4094");
        } else if ids.is_empty() {
            let range = format!("{}-{}", ids.start(), ids.end());
            rejected.reject(setter, range, "the first number is above the last");
        }
        Self { ids, pvid: false, untagged: false, rejected }
    }

    /// Puts untagged frames that the port receives into this VLAN, as `pvid`. Refused for a range.
    pub fn pvid(mut self) -> Self {
        if self.ids.start() < self.ids.end() {
            let reason = "frames without a tag belong to one VLAN only";
            self.rejected.reject("pvid", self.to_string(), reason);
        }
        self.pvid = true;
        self
    }

    /// Sends frames of these VLANs without a tag, as `untagged`. Default: with a tag.
    pub fn untagged(mut self) -> Self {
        self.untagged = true;
        self
    }

    /// Makes a bridge port join the VLANs.
    ///
    /// If the port is in a VLAN already, the VLAN gets the new flags, and dropping the owner leaves
    /// the port in the VLAN. If another VLAN had the [`pvid`](Self::pvid) before, dropping the
    /// owner does not restore it.
    ///
    /// # Errors
    ///
    /// - `is_invalid_input()` for an ID above 4094 or 0, before any system call.
    /// - `is_unsupported()` if the link is not a bridge port, or in a kernel without
    ///   `CONFIG_BRIDGE_VLAN_FILTERING`.
    #[doc(alias("bridge vlan add", "IFLA_BRIDGE_VLAN_INFO"))]
    pub fn create(&self, port: &Link) -> Result<Owned<BridgeVlanHandle>, Error> {
        const ACTION: &str = "join VLAN";
        self.rejected.check(ACTION, self)?;
        let before = match port.vlans() {
            Ok(vlans) => vlans,
            // The request to join, below, fails with the same errno and explains it.
            Err(error) if matches!(error.errno(), Some(Errno::EOPNOTSUPP | Errno::EINVAL)) => {
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let before = before.iter().map(|vlan| vlan.id).filter(|id| self.ids.contains(id)).collect();
        let handle = BridgeVlanHandle { port: port.clone(), ids: self.ids.clone(), before };
        port.change_vlan(ACTION, self, RequestType::SetLink).inspect_err(|error| {
            // If the kernel refuses one VLAN of a range, it keeps those that it added before.
            let may_be_in = error.is_outcome_unknown() || self.ids.start() < self.ids.end();
            if may_be_in && !error.is_invalid_input() {
                handle.remove().ok();
            }
        })?;
        Ok(Owned::new(handle))
    }

    /// Writes the attributes of a request.
    fn write_entries(&self, out: &mut Writer<'_>) {
        let flag = |on: bool, flag: Flags| if on { flag } else { Flags::empty() };
        let flags = flag(self.pvid, Flags::Pvid) | flag(self.untagged, Flags::Untagged);
        let mut entry = |flags, vid| out.emit(&AfSpecBridge::VlanInfo(WireVlan { flags, vid }));
        let (first, last) = (*self.ids.start(), *self.ids.end());
        if first < last {
            entry(flags | Flags::RangeBegin, first);
            entry(flags | Flags::RangeEnd, last);
        } else {
            entry(flags, first);
        }
    }
}

impl fmt::Display for BridgeVlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ids.start())?;
        if self.ids.start() < self.ids.end() {
            write!(f, "-{}", self.ids.end())?;
        }
        Ok(())
    }
}

/// A VLAN, or a range of VLANs, that a port has joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeVlanHandle {
    port: Link,
    ids: RangeInclusive<u16>,
    /// The VLANs of the range that the port was in before it joined the range.
    before: BTreeSet<u16>,
}

impl BridgeVlanHandle {
    /// Returns the bridge port.
    pub fn port(&self) -> &Link {
        &self.port
    }

    /// Returns the VLAN IDs.
    pub fn ids(&self) -> RangeInclusive<u16> {
        self.ids.clone()
    }
}

impl Remove for BridgeVlanHandle {
    /// Takes the port out of the range, except the VLANs that it was in before.
    fn remove(&self) -> Result<Removed, Error> {
        const ACTION: &str = "leave VLAN";
        let leave = || {
            let mut first = *self.ids.start();
            for &there in self.before.iter().chain([&(*self.ids.end() + 1)]) {
                if first < there {
                    let row = BridgeVlan::range(first..=there - 1);
                    self.port.change_vlan(ACTION, &row, RequestType::DelLink)?;
                }
                first = there + 1;
            }
            Ok(Removed::Deleted)
        };
        self.port.remove_part(ACTION, &self.port, leave)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_core::{NlasIterator, Parseable};

    #[test]
    fn a_list_is_not_longer_than_the_range_of_numbers() {
        let mut all = Vec::new();
        for ids in [1..=1, 20..=29, 25..=31, 5..=5, 0..=u16::MAX, 0..=u16::MAX] {
            BridgeVlanInfo::push(VlanRange { ids, flags: Flags::Pvid }, &mut all);
        }
        let ids: Vec<_> = all.iter().map(|vlan| vlan.id).collect();
        let expected: Vec<_> = std::iter::once(1).chain(20..=LAST).collect();
        assert_eq!(ids, expected);
        assert!(all.iter().all(|vlan| vlan.pvid && !vlan.untagged));
    }

    proptest::proptest! {
        #[test]
        fn entries_are_as_netlink_packet_route_reads_them(
            ids in proptest::array::uniform2(1..=LAST),
            one: bool,
            pvid: bool,
            untagged: bool,
        ) {
            let (first, last) = (ids[0].min(ids[1]), if one { ids[0].min(ids[1]) } else { ids[0].max(ids[1]) });
            let mut vlan = BridgeVlan::range(first..=last);
            let mut flags = Flags::empty();
            if pvid && first == last {
                vlan = vlan.pvid();
                flags |= Flags::Pvid;
            }
            if untagged {
                vlan = vlan.untagged();
                flags |= Flags::Untagged;
            }
            let mut bytes = Vec::new();
            vlan.write_entries(&mut Writer::new(&mut bytes));
            let entries = NlasIterator::new(&bytes[..]).map(|entry| AfSpecBridge::parse(&entry.unwrap()).unwrap());
            let entry = |more, vid| AfSpecBridge::VlanInfo(WireVlan { flags: flags | more, vid });
            let expected = if first == last {
                vec![entry(Flags::empty(), first)]
            } else {
                vec![entry(Flags::RangeBegin, first), entry(Flags::RangeEnd, last)]
            };
            assert_eq!(entries.collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn one_vlan_and_a_range_are_laid_out_as_the_kernel_wants_them() {
        let entries = |vlan: BridgeVlan| {
            let mut entries = Vec::new();
            vlan.write_entries(&mut Writer::new(&mut entries));
            entries
        };
        let ne = |numbers: [u16; 2]| numbers.map(u16::to_ne_bytes).concat();
        let one = [&[8, 0, 2, 0][..], &ne([6, 100])].concat();
        assert_eq!(entries(BridgeVlan::new(100).pvid().untagged()), one);
        let header = [8, 0, 2, 0];
        let range = [&header[..], &ne([8, 200]), &header, &ne([16, 299])].concat();
        assert_eq!(entries(BridgeVlan::range(200..=299)), range);
        assert_eq!(entries(BridgeVlan::range(7..=7)), entries(BridgeVlan::new(7)));
    }
}
