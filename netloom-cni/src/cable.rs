//! The cable between the bridge and the container: a veth pair whose ends are created in their
//! final namespaces.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use netloom::{
    Address, Link, LinkInfo, Netns, OperationalState, Owned, Route, Sysctl, SysctlHandle, Veth,
    VethEnd, VethPair,
};

use crate::attachment::Attachment;
use crate::bridge::{ReadyBridge, keep_all, unless_read_only};
use crate::config::{Config, Isolation};
use crate::failure::{Code, Failure};
use crate::host::Host;
use crate::result;

/// The time limit for a port to start forwarding. That usually takes microseconds, but up to a
/// second if both ends have the same index.
const PATIENCE: Duration = Duration::from_secs(2);

/// Opens the container's namespace.
pub(crate) fn open(path: &Path) -> Result<Netns, Failure> {
    Netns::from_path(path).map_err(|error| {
        let is_gone = error.is_not_found();
        let code = if is_gone { Code::UnknownContainer } else { Code::InvalidEnvironment };
        Failure::new(code, format!("CNI_NETNS {}: {error}", path.display()))
    })
}

/// A cable with its bridge port set up.
#[derive(Debug)]
pub(crate) struct Plugged {
    pub(crate) veth: Owned<Veth>,
    pub(crate) near: LinkInfo,
    pub(crate) peer: LinkInfo,
}

pub(crate) fn plug(
    host: &Host,
    bridge: &ReadyBridge,
    container: &Netns,
    attachment: &Attachment,
    config: &Config,
    network: &result::NetworkResult,
) -> Result<Plugged, Failure> {
    let mtu = config.mtu.unwrap_or(bridge.info.mtu);
    // The cable outlives the plugin. With an owner tag as its group, `reap` would delete the cable.
    let near = VethEnd::new(attachment.link_name()).group(0).mtu(mtu).no_ipv6_address();
    let near = near.master(&bridge.link).up();
    let mut end = VethEnd::new(&attachment.ifname).group(0).mtu(mtu);
    if let Some(mac) = config.mac {
        end = end.mac(mac);
    }
    for ip in &network.ips {
        end = end.address(address(ip, config));
    }
    // If the network has no IPv6, turn off the link's own IPv6 messages: the bridge would flood
    // them to all ports.
    if !network.ips.is_empty() && network.ips.iter().all(|ip| ip.address.addr().is_ipv4()) {
        end = end.no_ipv6_address();
    }
    if !config.disable_container_interface {
        end = end.up();
    }
    let ipv6 = if network.ips.iter().any(|ip| ip.address.addr().is_ipv6()) {
        Ipv6::turn_on(container)?
    } else {
        Ipv6::default()
    };
    let veth = VethPair::new(near, end).create_between(&host.netns, container)?;
    configure_port(&veth, bridge, config)?;
    if network.ips.iter().any(|ip| ip.address.addr().is_ipv6()) {
        keep_addresses(container, attachment)?;
    }
    add_routes(&veth, container, network)?;
    ipv6.keep();
    let near = if config.disable_container_interface {
        veth.near().info()?
    } else {
        let near = wait_until_up(&veth)?;
        // The settings are optional: without them, neighbours notice a moved address later.
        unless_read_only(veth.peer().announce())?;
        near
    };
    if config.detect_duplicates && !config.disable_container_interface {
        detect_duplicates(veth.peer(), network)?;
    }
    let peer = veth.peer().info()?;
    Ok(Plugged { veth, near, peer })
}

/// Turns IPv6 on for new interfaces, in a namespace whose engine has turned it off, as Docker does.
/// Dropping this value restores all settings; `keep` restores only the one for new interfaces.
#[derive(Debug, Default)]
struct Ipv6 {
    of_new: Option<Owned<SysctlHandle>>,
    of_lo: Option<Owned<SysctlHandle>>,
}

impl Ipv6 {
    fn turn_on(container: &Netns) -> Result<Self, Failure> {
        const NEW: &str = "net.ipv6.conf.default.disable_ipv6";
        match container.sysctl(NEW) {
            // The kernel has no IPv6. Adding the address fails with that message.
            Err(error) if error.is_not_found() => Ok(Self::default()),
            Ok(value) if value == "1" => {
                let on = |name: &str| Sysctl::new(name, 0).create(container);
                let of_lo = Some(on("net.ipv6.conf.lo.disable_ipv6")?);
                Ok(Self { of_new: Some(on(NEW)?), of_lo })
            }
            other => Ok(other.map(|_| Self::default())?),
        }
    }

    fn keep(self) {
        keep_all(self.of_lo);
        drop(self.of_new);
    }
}

/// Makes the kernel keep the IPv6 addresses of the interface while it is down. By default, the
/// kernel keeps only IPv4 addresses.
fn keep_addresses(container: &Netns, attachment: &Attachment) -> Result<(), Failure> {
    let name = format!("net/ipv6/conf/{}/keep_addr_on_down", attachment.ifname);
    let set = Sysctl::new(name, 1).create(container).map(|set| drop(set.keep()));
    unless_read_only(set)
}

fn address(ip: &result::Ip, config: &Config) -> Address {
    let address = Address::new(ip.address).broadcast_auto();
    let duplicates = config.detect_duplicates && ip.address.addr().is_ipv6();
    if duplicates { address.detect_duplicates() } else { address }
}

fn add_routes(
    veth: &Veth,
    container: &Netns,
    network: &result::NetworkResult,
) -> Result<(), Failure> {
    for route in &network.routes {
        // The kernel deletes the routes with the cable. Another network of the container may have the
        // same route.
        self::route(route, veth).prepend(container)?.keep();
    }
    Ok(())
}

/// Gives a connected cable the addresses and routes that a plugin requested over it.
pub(crate) fn configure(
    veth: &Veth,
    container: &Netns,
    config: &Config,
    network: &result::NetworkResult,
) -> Result<(), Failure> {
    for ip in &network.ips {
        // The kernel deletes the address with the cable.
        address(ip, config).create(veth.peer())?.keep();
    }
    add_routes(veth, container, network)?;
    unless_read_only(veth.peer().announce())
}

fn configure_port(veth: &Veth, bridge: &ReadyBridge, config: &Config) -> Result<(), Failure> {
    let port = veth.near();
    if config.hairpin {
        port.set_hairpin(true)?;
    }
    if config.isolation == Isolation::Port {
        port.set_isolated(true)?;
    }
    if let Some(filtering) = &bridge.filtering {
        config.vlans.join(port, &filtering.bridge)?;
    }
    Ok(())
}

fn route(route: &result::Route, veth: &Veth) -> Route {
    let mut asked = Route::new(route.dst).dev(veth.peer());
    if let Some(gw) = route.gw {
        asked = asked.via(gw);
    }
    if let Some(mtu) = route.mtu {
        asked = asked.mtu(mtu);
    }
    if let Some(priority) = route.priority {
        asked = asked.metric(priority);
    }
    if let Some(advmss) = route.advmss {
        asked = asked.advmss(advmss);
    }
    if let Some(scope) = route.scope {
        asked = asked.scope(scope);
    }
    if let Some(table) = route.table {
        asked = asked.table(table);
    }
    asked
}

/// Waits until the kernel has found no duplicate of the container's addresses, which are unusable
/// before that.
fn detect_duplicates(link: &Link, network: &result::NetworkResult) -> Result<(), Failure> {
    /// The kernel takes up to two seconds with its defaults, and more if `dad_transmits` is higher.
    const PATIENCE: Duration = Duration::from_secs(10);
    let patience = Instant::now() + PATIENCE;
    loop {
        let mut addresses = link.addresses()?;
        addresses.retain(|info| network.ips.iter().any(|ip| ip.address == info.prefix));
        if let Some(duplicate) = addresses.iter().find(|info| info.dad_failed) {
            let address = duplicate.prefix;
            let problem = format!("enabledad: another station of the network has {address}");
            return Err(Failure::new(Code::Addresses, problem));
        }
        let Some(tentative) = addresses.iter().find(|info| info.tentative) else { return Ok(()) };
        if Instant::now() > patience {
            let (address, seconds) = (tentative.prefix, PATIENCE.as_secs());
            let problem = format!("enabledad: {address} is not usable after {seconds} s");
            return Err(Failure::new(Code::TryAgain, problem));
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until the bridge port forwards. The bridge would drop an announcement sent before that.
fn wait_until_up(veth: &Veth) -> Result<LinkInfo, Failure> {
    let patience = Instant::now() + PATIENCE;
    let mut pause = Duration::from_micros(50);
    loop {
        let near = veth.near().info()?;
        if near.state == OperationalState::Up || Instant::now() > patience {
            return Ok(near);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(5));
    }
}
