//! VLANs: the gateway's own link, where containers are in one.

use netloom::{BridgeVlan, Link, VethEnd, VethPair};

use crate::bridge::{ReadyBridge, find, refuse_advertisements};
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::host::Host;

/// The name of the link by which the host is in the network.
pub(crate) fn gateway_name(config: &Config) -> String {
    match &config.vlan {
        Some(vlan) => format!("{}.{}", config.bridge, vlan.id),
        None => config.bridge.clone(),
    }
}

/// The link that has the gateway's addresses: the bridge, or for a VLAN a link named after both, as
/// `cni0.100`, by which the host is in it.
pub(crate) fn gateway_link(
    host: &mut Host,
    bridge: &ReadyBridge,
    config: &Config,
) -> Result<Link, Failure> {
    let Some(vlan) = &config.vlan else { return Ok(bridge.link.clone()) };
    let name = gateway_name(config);
    if name.len() > 15 {
        let problem = format!("bridge: with its VLAN, `{name}` is too long a name for a link");
        return Err(Failure::new(Code::InvalidConfig, problem));
    }
    if let Some(link) = find(host, &name)? {
        return Ok(link);
    }
    host.alone()?;
    if let Some(link) = find(host, &name)? {
        return Ok(link);
    }
    let port = VethEnd::new(port_name(config, vlan.id)).group(0).no_ipv6_address().up();
    let gateway = VethEnd::new(&name).group(0).mtu(bridge.info.mtu).up();
    let port = port.mtu(bridge.info.mtu).master(&bridge.link);
    let veth = VethPair::new(port, gateway).create(&host.netns)?;
    refuse_advertisements(host, veth.peer())?;
    veth.near().leave_vlan(1)?;
    BridgeVlan::new(vlan.id).pvid().untagged().create(veth.near())?.keep();
    Ok(veth.keep().peer().clone())
}

/// The bridge's end of the cable to that link, as `cni0-100`.
fn port_name(config: &Config, id: u16) -> String {
    format!("{}-{id}", config.bridge)
}
