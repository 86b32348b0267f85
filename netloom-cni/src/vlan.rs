//! The VLANs of bridge ports, and the VLAN filtering of the bridge.

use std::ops::RangeInclusive;

use netloom::{BridgeInfo, BridgeVlan, Link};

use crate::failure::{Code, Failure};
use crate::fields::Fields;
use crate::host::Host;

const NUMBERS: RangeInclusive<u32> = 1..=4094;

/// The VLANs of a container's port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Vlans {
    /// The VLAN whose frames have no tag at the port.
    pub(crate) access: Option<u16>,
    /// The VLANs whose frames stay tagged.
    trunk: Vec<RangeInclusive<u16>>,
    /// True if the port stays in the bridge's default VLAN.
    preserves_default: bool,
}

impl Vlans {
    pub(crate) fn read(fields: &Fields<'_>) -> Result<Self, Failure> {
        let access = number(fields, "vlan", 0..=4094)?.filter(|id| *id != 0);
        let mut trunk = Vec::new();
        for entry in fields.objects("vlanTrunk")? {
            trunk.extend(trunk_entry(&entry)?);
        }
        if let Some(id) = access
            && trunk.iter().any(|range| range.contains(&id))
        {
            let expected = format!("a list without {id}, the untagged VLAN of `vlan`");
            return Err(fields.refuse("vlanTrunk", expected));
        }
        let preserves_default = fields.flag("preserveDefaultVlan")?.unwrap_or(true);
        Ok(Self { access, trunk, preserves_default })
    }

    /// Returns the VLANs of the bridge port that leads to the gateway's veth end: only the
    /// containers' VLAN `id`, untagged.
    pub(crate) fn of_gateway(id: u16) -> Self {
        Self { access: Some(id), ..Self::default() }
    }

    pub(crate) fn are_any(&self) -> bool {
        self.access.is_some() || !self.trunk.is_empty()
    }

    /// Puts a new bridge port into the VLANs.
    pub(crate) fn join(&self, port: &Link, bridge: &BridgeInfo) -> Result<(), Failure> {
        if let Some(default) = self.unwanted(bridge) {
            port.leave_vlan(default)?;
        }
        // The kernel removes the VLANs with the port.
        if let Some(id) = self.access {
            BridgeVlan::new(id).pvid().untagged().create(port)?.keep();
        }
        for range in &self.trunk {
            BridgeVlan::range(range.clone()).create(port)?.keep();
        }
        Ok(())
    }

    /// Checks that the port is in the VLANs with the right flags.
    pub(crate) fn check(&self, port: &Link, bridge: &BridgeInfo) -> Result<(), Failure> {
        let missing = |problem: String| Err(Failure::new(Code::Missing, problem));
        let name = port.name();
        let vlans = port.vlans()?;
        if let Some(id) = self.access
            && !vlans.iter().any(|vlan| vlan.id == id && vlan.pvid && vlan.untagged)
        {
            return missing(format!("port `{name}` is not in VLAN {id} (untagged, pvid)"));
        }
        for id in self.trunk.iter().cloned().flatten() {
            if !vlans.iter().any(|vlan| vlan.id == id && !vlan.untagged) {
                return missing(format!("port `{name}` is not in VLAN {id} (tagged)"));
            }
        }
        match self.unwanted(bridge) {
            Some(id) if vlans.iter().any(|vlan| vlan.id == id) => {
                missing(format!("port `{name}` is in VLAN {id}, the bridge's default"))
            }
            _ => Ok(()),
        }
    }

    /// Returns the bridge's default VLAN if the port must leave it.
    fn unwanted(&self, bridge: &BridgeInfo) -> Option<u16> {
        let is_wanted = |id: &u16| {
            self.access == Some(*id) || self.trunk.iter().any(|range| range.contains(id))
        };
        bridge.default_vlan.filter(|id| !self.preserves_default && !is_wanted(id))
    }
}

/// Reads a trunk entry: `{ "id": 5 }`, `{ "minID": 10, "maxID": 19 }`, or both in one.
fn trunk_entry(entry: &Fields<'_>) -> Result<Vec<RangeInclusive<u16>>, Failure> {
    let number = |name| number(entry, name, NUMBERS);
    let mut ranges = Vec::new();
    match (number("minID")?, number("maxID")?) {
        (Some(first), Some(last)) if first > last => {
            return Err(entry.refuse("maxID", format!("a number from {first} on, as minID is")));
        }
        (Some(first), Some(last)) => ranges.push(first..=last),
        (Some(_), None) => return Err(entry.refuse("maxID", "the last number beside minID")),
        (None, Some(_)) => return Err(entry.refuse("minID", "the first number beside maxID")),
        (None, None) => {}
    }
    ranges.extend(number("id")?.map(|id| id..=id));
    if ranges.is_empty() {
        return Err(entry.refuse("id", "a VLAN's number, or minID and maxID,"));
    }
    Ok(ranges)
}

fn number(
    fields: &Fields<'_>,
    name: &str,
    bounds: RangeInclusive<u32>,
) -> Result<Option<u16>, Failure> {
    Ok(fields.number(name, bounds)?.and_then(|number| u16::try_from(number).ok()))
}

/// A bridge that filters by VLAN. If this ADD turned filtering on, dropping this value turns it off
/// again, unless `keep` was called.
#[derive(Debug)]
pub(crate) struct Filtering {
    pub(crate) bridge: BridgeInfo,
    switched: Option<Link>,
}

impl Filtering {
    pub(crate) fn on(host: &mut Host, bridge: &Link) -> Result<Self, Failure> {
        let mut info = look(bridge)?;
        if !info.vlan_filtering && host.alone()? {
            info = look(bridge)?;
        }
        let mut switched = None;
        if !info.vlan_filtering {
            bridge.set_vlan_filtering(true)?;
            switched = Some(bridge.clone());
        }
        Ok(Self { bridge: info, switched })
    }

    pub(crate) fn keep(mut self) {
        self.switched = None;
    }
}

impl Drop for Filtering {
    fn drop(&mut self) {
        if let Some(bridge) = self.switched.take()
            && let Err(error) = bridge.set_vlan_filtering(false)
        {
            eprintln!("netloom-cni: turn VLAN filtering of `{}` off again: {error}", bridge.name());
        }
    }
}

/// Refuses a bridge whose settings do not separate VLANs, and returns its settings.
pub(crate) fn check_filtering(bridge: &Link) -> Result<BridgeInfo, Failure> {
    let info = look(bridge)?;
    if info.vlan_filtering {
        return Ok(info);
    }
    let problem = format!("bridge `{}` does not filter by VLAN", bridge.name());
    Err(Failure::new(Code::Missing, problem))
}

fn look(bridge: &Link) -> Result<BridgeInfo, Failure> {
    bridge.bridge_info()?.ok_or_else(|| {
        let problem = format!("bridge: `{}` is not a bridge any more", bridge.name());
        Failure::new(Code::InvalidConfig, problem)
    })
}
