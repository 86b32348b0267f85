//! The link by which the host is in the network: the bridge, or one of its own where containers are
//! in a VLAN.

use netloom::{Link, VethEnd, VethPair};

use crate::bridge::{ReadyBridge, find, refuse_advertisements};
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::host::Host;
use crate::vlan::Vlans;

/// The name of the gateway's link.
pub(crate) fn name(config: &Config) -> String {
    match config.vlans.access {
        Some(id) => format!("{}.{id}", config.bridge),
        None => config.bridge.clone(),
    }
}

/// Refuses a name that no link can have.
pub(crate) fn check_name(config: &Config) -> Result<(), Failure> {
    let name = name(config);
    if !config.routes() || name.len() <= 15 {
        return Ok(());
    }
    let problem = format!("bridge: with its VLAN, `{name}` is too long a name for a link");
    Err(Failure::new(Code::InvalidConfig, problem))
}

/// The link that has the gateway's addresses: the bridge, or for a VLAN a link named after both, as
/// `cni0.100`, by which the host is in it.
pub(crate) fn ready(
    host: &mut Host,
    bridge: &mut ReadyBridge,
    config: &Config,
) -> Result<Link, Failure> {
    let (Some(id), Some(filtering)) = (config.vlans.access, &bridge.filtering) else {
        return Ok(bridge.link.clone());
    };
    let name = name(config);
    if let Some(link) = find(&host.netns, &name)? {
        return Ok(link);
    }
    host.alone()?;
    if let Some(link) = find(&host.netns, &name)? {
        return Ok(link);
    }
    let port = VethEnd::new(port_name(config, id)).group(0).no_ipv6_address().up();
    let gateway = VethEnd::new(&name).group(0).mtu(bridge.info.mtu).up();
    let port = port.mtu(bridge.info.mtu).master(&bridge.link);
    let veth = VethPair::new(port, gateway).create(&host.netns)?;
    refuse_advertisements(host, veth.peer())?;
    Vlans::of_gateway(id).join(veth.near(), &filtering.bridge)?;
    Ok(bridge.gateway.insert(veth).peer().clone())
}

/// The bridge's end of the cable to that link, as `cni0-100`.
pub(crate) fn port_name(config: &Config, id: u16) -> String {
    format!("{}-{id}", config.bridge)
}

/// Returns whether a port of the bridge leads to a gateway's link and not to a container.
pub(crate) fn is_port(config: &Config, name: &str) -> bool {
    let id = name.strip_prefix(&config.bridge).and_then(|rest| rest.strip_prefix('-'));
    id.is_some_and(|id| id.parse::<u16>().is_ok())
}
