//! The link that has the gateway's addresses: the bridge, or, if the containers are in a VLAN, a
//! veth end in that VLAN.

use netloom::{Link, VethEnd, VethPair};

use crate::bridge::{ReadyBridge, find, refuse_advertisements};
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::host::Host;
use crate::vlan::Vlans;

/// Returns the name of the gateway's link.
pub(crate) fn name(config: &Config) -> String {
    match config.vlans.access {
        Some(id) => format!("{}.{id}", config.bridge),
        None => config.bridge.clone(),
    }
}

/// Refuses a name that is too long for a link.
pub(crate) fn check_name(config: &Config) -> Result<(), Failure> {
    let name = name(config);
    if !config.routes() || name.len() <= 15 {
        return Ok(());
    }
    let problem = format!("bridge: with its VLAN, the link name `{name}` is too long");
    Err(Failure::new(Code::InvalidConfig, problem))
}

/// Creates the link that has the gateway's addresses, if it is missing. Without a VLAN, that is the
/// bridge. With a VLAN, it is a link named after both, such as `cni0.100`.
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

/// Returns the name of the bridge port that leads to the gateway's link, such as `cni0-100`.
pub(crate) fn port_name(config: &Config, id: u16) -> String {
    format!("{}-{id}", config.bridge)
}

/// Returns whether a bridge port leads to a gateway's link, not to a container.
pub(crate) fn is_port(config: &Config, name: &str) -> bool {
    let id = name.strip_prefix(&config.bridge).and_then(|rest| rest.strip_prefix('-'));
    id.is_some_and(|id| id.parse::<u16>().is_ok())
}
