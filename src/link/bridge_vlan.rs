//! The VLANs that bridge ports are in, as `bridge vlan`.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

use nix::errno::Errno;

use super::handle::Link;
use crate::error::Error;
use crate::input::FirstRejected;
use crate::netlink::{Batch, RequestType};
use crate::netns::Quoted;
use crate::owned::Owned;
use crate::owned::sealed::Remove;
use crate::wire::attribute::Writer;
use crate::wire::link::IFLA_AF_SPEC;
use crate::wire::message::NLM_F_DUMP;
use crate::wire::vlan::{self, PVID, RANGE_BEGIN, RANGE_END, UNTAGGED, VlanRange};

/// No VLAN has a higher number.
const LAST: u16 = 4094;
const IFLA_BRIDGE_VLAN_INFO: u16 = 2;

/// A VLAN that a bridge or one of its ports is in, a line of `bridge vlan show`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BridgeVlanInfo {
    /// Its number.
    pub id: u16,
    /// Whether frames that come in without a tag are of it.
    pub pvid: bool,
    /// Whether its frames go out without a tag.
    pub untagged: bool,
}

impl BridgeVlanInfo {
    /// The kernel lists each number once, in their order: so a list is never longer than there are numbers.
    fn push(range: VlanRange, all: &mut Vec<Self>) {
        let VlanRange { ids, flags } = range;
        let [pvid, untagged] = [PVID, UNTAGGED].map(|flag| flags & flag != 0);
        let first = all.last().map_or(0, |last: &Self| last.id + 1).max(*ids.start());
        let ids = first..=LAST.min(*ids.end());
        all.extend(ids.map(|id| Self { id, pvid, untagged }));
    }
}

/// In the words of `bridge vlan`.
impl fmt::Display for BridgeVlanInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pvid = if self.pvid { " PVID" } else { "" };
        let untagged = if self.untagged { " Egress Untagged" } else { "" };
        write!(f, "{}{pvid}{untagged}", self.id)
    }
}

impl Link {
    /// The VLANs that this bridge or bridge port is in, by number, as `bridge vlan show dev NAME`. They say
    /// where its frames go once the bridge [filters](super::BridgeInfo::vlan_filtering); until then, nothing.
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
    /// [`is_unsupported`](Error::is_unsupported) in a kernel without `CONFIG_BRIDGE_VLAN_FILTERING`; where it
    /// is neither a bridge nor a bridge's port, or is gone.
    #[doc(alias("bridge vlan show", "RTM_GETVLAN"))]
    pub fn vlans(&self) -> Result<Vec<BridgeVlanInfo>, Error> {
        let mut batch = Batch::default();
        batch.request(vlan::RTM_GETVLAN, NLM_F_DUMP, |out| {
            out.extend_from_slice(&vlan::of_link(self.index));
        });
        let listed = self.netns.route(|socket| {
            socket.fold(&mut batch, Vec::new, |all, message| {
                vlan::ranges(message).for_each(|range| BridgeVlanInfo::push(range, all));
            })
        });
        listed.map_err(|cause| {
            let error = cause.doing("list VLANs of", Quoted(&self.name)).in_namespace(&self.netns);
            error
                .hint_on(Errno::EOPNOTSUPP, || NO_VLANS.into())
                .hint_on(Errno::EINVAL, || "it is neither a bridge nor a bridge's port".into())
        })
    }

    /// Takes this bridge port out of a VLAN, as `bridge vlan del dev PORT vid ID`: out of 1, say, which
    /// ports are in by default. Not to be in it is no error.
    ///
    /// # Errors
    ///
    /// A number that no VLAN has is refused before any system call.
    /// [`is_unsupported`](Error::is_unsupported) in a kernel without `CONFIG_BRIDGE_VLAN_FILTERING`.
    #[doc(alias = "bridge vlan del")]
    pub fn leave_vlan(&self, id: u16) -> Result<(), Error> {
        self.change_vlan("leave VLAN", &BridgeVlan::new(id), RequestType::DelLink)
    }

    fn change_vlan(
        &self,
        action: &'static str,
        vlan: &BridgeVlan,
        kind: RequestType,
    ) -> Result<(), Error> {
        vlan.rejected.check(action, vlan)?;
        let request = self.of_bridge(kind, IFLA_AF_SPEC, |port| vlan.write_entries(port));
        self.ask(action, &request).map_err(|error| {
            error.hint_on(Errno::EOPNOTSUPP, || format!("it is no bridge's port, or {NO_VLANS}"))
        })
    }
}

const NO_VLANS: &str = "this kernel's bridges do not know VLANs (CONFIG_BRIDGE_VLAN_FILTERING)";

/// A VLAN for a bridge port to be in, or several in a row, of a bridge that
/// [filters](super::Bridge::vlan_filtering).
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
    /// The VLAN of this number, from 1 to 4094.
    pub fn new(id: u16) -> Self {
        Self::of("new", id..=id)
    }

    /// The VLANs of these numbers, from 1 to 4094, as `vid FIRST-LAST`: for a trunk.
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

    /// Frames that come in without a tag are of it, as `pvid`. Of one VLAN at most.
    pub fn pvid(mut self) -> Self {
        if self.ids.start() < self.ids.end() {
            let reason = "frames without a tag can be of one VLAN only";
            self.rejected.reject("pvid", self.to_string(), reason);
        }
        self.pvid = true;
        self
    }

    /// Its frames go out without a tag, as `untagged`. Default: tagged.
    pub fn untagged(mut self) -> Self {
        self.untagged = true;
        self
    }

    /// Puts the port in it. Where the port is in one already, that gets these flags, and stays when the owner
    /// goes. A [`pvid`](Self::pvid) that was another VLAN's is not given back to that.
    ///
    /// # Errors
    ///
    /// A number that no VLAN has is refused before any system call.
    /// [`is_unsupported`](Error::is_unsupported) where the link is no bridge's port, or in a kernel
    /// without `CONFIG_BRIDGE_VLAN_FILTERING`.
    #[doc(alias("bridge vlan add", "IFLA_BRIDGE_VLAN_INFO"))]
    pub fn create(&self, port: &Link) -> Result<Owned<BridgeVlanHandle>, Error> {
        const ACTION: &str = "join VLAN";
        self.rejected.check(ACTION, self)?;
        let before = match port.vlans() {
            Ok(vlans) => vlans,
            // The join says so as well, and why.
            Err(error) if matches!(error.errno(), Some(Errno::EOPNOTSUPP | Errno::EINVAL)) => {
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let before = before.iter().map(|vlan| vlan.id).filter(|id| self.ids.contains(id)).collect();
        let handle = BridgeVlanHandle { port: port.clone(), ids: self.ids.clone(), before };
        port.change_vlan(ACTION, self, RequestType::SetLink).inspect_err(|error| {
            // Of several the kernel keeps those before the one that it refused.
            let may_be_in = error.is_outcome_unknown() || self.ids.start() < self.ids.end();
            if may_be_in && !error.is_invalid_input() {
                handle.remove().ok();
            }
        })?;
        Ok(Owned::new(handle))
    }

    /// What a request says of it.
    fn write_entries(&self, out: &mut Writer<'_>) {
        let flag = |on: bool, flag: u16| if on { flag } else { 0 };
        let flags = flag(self.pvid, PVID) | flag(self.untagged, UNTAGGED);
        let mut entry = |flags: u16, id: u16| {
            let entry = [flags, id].map(u16::to_ne_bytes);
            out.bytes(IFLA_BRIDGE_VLAN_INFO, entry.as_flattened());
        };
        let (first, last) = (*self.ids.start(), *self.ids.end());
        if first < last {
            entry(flags | RANGE_BEGIN, first);
            entry(flags | RANGE_END, last);
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

/// A VLAN that a port is in, or several in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeVlanHandle {
    port: Link,
    ids: RangeInclusive<u16>,
    /// Those of them that it was in without us.
    before: BTreeSet<u16>,
}

impl BridgeVlanHandle {
    /// The bridge port.
    pub fn port(&self) -> &Link {
        &self.port
    }

    /// The VLANs' numbers: one, unless it was made of a range.
    pub fn ids(&self) -> RangeInclusive<u16> {
        self.ids.clone()
    }
}

/// As `bridge vlan del`, for each row of numbers between those that it was in before.
impl Remove for BridgeVlanHandle {
    fn remove(&self) -> Result<(), Error> {
        let mut first = *self.ids.start();
        for &there in self.before.iter().chain([&(*self.ids.end() + 1)]) {
            if first < there {
                let row = BridgeVlan::range(first..=there - 1);
                self.port.change_vlan("leave VLAN", &row, RequestType::DelLink)?;
            }
            first = there + 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_core::{NlasIterator, Parseable};
    use netlink_packet_route::link::{AfSpecBridge, BridgeVlanInfoFlags};

    #[test]
    fn a_list_is_not_longer_than_there_are_numbers() {
        let mut all = Vec::new();
        for ids in [1..=1, 20..=29, 25..=31, 5..=5, 0..=u16::MAX, 0..=u16::MAX] {
            BridgeVlanInfo::push(VlanRange { ids, flags: PVID }, &mut all);
        }
        let ids: Vec<_> = all.iter().map(|vlan| vlan.id).collect();
        let expected: Vec<_> = std::iter::once(1).chain(20..=LAST).collect();
        assert_eq!(ids, expected);
        assert!(all.iter().all(|vlan| vlan.pvid && !vlan.untagged));
    }

    proptest::proptest! {
        /// Another implementation reads what is sent.
        #[test]
        fn entries_are_as_netlink_packet_route_reads_them(
            ids in proptest::array::uniform2(1..=LAST),
            one: bool,
            pvid: bool,
            untagged: bool,
        ) {
            let (first, last) = (ids[0].min(ids[1]), if one { ids[0].min(ids[1]) } else { ids[0].max(ids[1]) });
            let mut vlan = BridgeVlan::range(first..=last);
            let mut flags = BridgeVlanInfoFlags::empty();
            if pvid && first == last {
                vlan = vlan.pvid();
                flags |= BridgeVlanInfoFlags::Pvid;
            }
            if untagged {
                vlan = vlan.untagged();
                flags |= BridgeVlanInfoFlags::Untagged;
            }
            let mut bytes = Vec::new();
            vlan.write_entries(&mut Writer::new(&mut bytes));
            let entries = NlasIterator::new(&bytes[..]).map(|entry| AfSpecBridge::parse(&entry.unwrap()).unwrap());
            let entry = |more, vid| AfSpecBridge::VlanInfo(netlink_packet_route::link::BridgeVlanInfo { flags: flags | more, vid });
            let expected = if first == last {
                vec![entry(BridgeVlanInfoFlags::empty(), first)]
            } else {
                vec![entry(BridgeVlanInfoFlags::RangeBegin, first), entry(BridgeVlanInfoFlags::RangeEnd, last)]
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
