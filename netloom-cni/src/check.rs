//! CHECK: compares the system with the result of ADD, and names the missing parts.

use ipnet::IpNet;
use netloom::{Link, LinkFlags, LinkInfo, Netns, NextHopInfo, Setting};

use crate::accept;
use crate::add::complete;
use crate::attachment::Attachment;
use crate::bridge::forwards;
use crate::cable;
use crate::call::{Call, Command};
use crate::config::{Config, Isolation};
use crate::failure::{Code, Failure};
use crate::filter::Filter;
use crate::frames;
use crate::gateway;
use crate::host::Host;
use crate::ipam::Ipam;
use crate::ports;
use crate::result::NetworkResult;
use crate::store::Store;
use crate::version::Version;
use crate::vlan::{Vlans, check_filtering};

pub(crate) fn check(call: &Call, config: &Config) -> Result<(), Failure> {
    let Some(previous) = &config.previous else {
        return Err(Failure::new(
            Code::InvalidConfig,
            "prevResult: CHECK needs one, and there is none",
        ));
    };
    let attachment = config.attachment(call);
    let path = call.netns.clone().unwrap_or_default();
    let container = cable::open(&path)?;
    let host = Host::share()?;
    let own = Own::of(previous, config, &attachment)?;
    let (bridge, gateway) = check_bridge(&host, config, &own)?;
    check_port(&host, config, &attachment, &bridge)?;
    check_forwarding(&host, &own, &gateway)?;
    check_container(&container, config, &attachment, &own)?;
    check_filter(&host, (config, &gateway), &attachment, &own)?;
    ports::check(&host.netns, config, &attachment, &own.addresses, &gateway)?;
    let wanted = frames::Wanted { isolation: false, ..frames::Wanted::of(config, own.mac()) };
    frames::check(&host.netns, &attachment, wanted)?;
    // Release the host's lock before waiting for the store's lock.
    drop(host);
    check_addresses(call, config, &attachment, &own)
}

fn missing(problem: String) -> Failure {
    Failure::new(Code::Missing, problem)
}

/// The parts of a result that this plugin wrote. Later plugins of the chain may have added other
/// parts.
struct Own {
    mac: Option<String>,
    mtu: Option<u32>,
    addresses: Vec<IpNet>,
    gateways: Vec<IpNet>,
    routes: Vec<crate::result::Route>,
}

impl Own {
    fn mac(&self) -> Option<netloom::MacAddr> {
        self.mac.as_ref()?.parse().ok()
    }

    fn of(
        previous: &NetworkResult,
        config: &Config,
        attachment: &Attachment,
    ) -> Result<Self, Failure> {
        let is_it =
            |one: &crate::result::Interface| one.name == attachment.ifname && one.sandbox.is_some();
        let Some(at) = previous.interfaces.iter().position(is_it) else {
            let problem = format!("prevResult: interface `{}` is not in it", attachment.ifname);
            return Err(Failure::new(Code::InvalidConfig, problem));
        };
        let ips: Vec<_> = previous.ips.iter().filter(|ip| ip.interface == Some(at)).collect();
        let is_gateway = config.routes();
        let gateway = |ip: &&crate::result::Ip| {
            IpNet::new(ip.gateway?, ip.address.prefix_len()).ok().filter(|_| is_gateway)
        };
        let mtu = previous.interfaces.get(at).and_then(|interface| interface.mtu);
        Ok(Self {
            // Later plugins may have changed the MTU. Before version 1.1.0 a result has no MTU.
            mtu,
            mac: previous.interfaces.get(at).and_then(|interface| interface.mac.clone()),
            addresses: ips.iter().map(|ip| ip.address).collect(),
            gateways: ips.iter().filter_map(gateway).collect(),
            routes: Self::routes(previous, config, &ips)?,
        })
    }

    fn routes(
        previous: &NetworkResult,
        config: &Config,
        ips: &[&crate::result::Ip],
    ) -> Result<Vec<crate::result::Route>, Failure> {
        if let Ipam::BuiltIn(built_in) = &config.ipam {
            let ips = ips.iter().copied().cloned().collect();
            let routes = built_in.routes().to_vec();
            let given = NetworkResult { ips, routes, ..NetworkResult::default() };
            // A later plugin may have removed routes.
            let is_left = |route: &crate::result::Route| {
                previous.routes.iter().any(|one| (one.dst, one.gw) == (route.dst, route.gw))
            };
            return Ok(complete(given, config)?.routes.into_iter().filter(is_left).collect());
        }
        // The addresses of a delegated plugin are known only from the result. Routes of later
        // plugins are not checked here. A route is this plugin's if its gateway is in one of its
        // networks. A route without a gateway is this plugin's if the container has no other
        // interface.
        let is_only = previous.interfaces.iter().filter(|one| one.sandbox.is_some()).count() == 1;
        let is_own = |route: &&crate::result::Route| match route.gw {
            Some(gw) => ips.iter().any(|ip| ip.address.contains(&gw)),
            None => is_only,
        };
        Ok(previous.routes.iter().filter(is_own).cloned().collect())
    }
}

fn find(netns: &Netns, name: &str, what: &str) -> Result<Link, Failure> {
    netns.link(name).map_err(|error| {
        if error.is_not_found() {
            missing(format!("{what} `{name}` is missing in {netns}"))
        } else {
            error.into()
        }
    })
}

/// Checks the bridge, and returns it with the link that has the gateway's addresses.
fn check_bridge(host: &Host, config: &Config, own: &Own) -> Result<(Link, Link), Failure> {
    let bridge = find(&host.netns, &config.bridge, "bridge")?;
    let info = bridge.info()?;
    if info.kind != Some(netloom::LinkKind::Bridge) {
        return Err(missing(format!("`{}` is not a bridge", config.bridge)));
    }
    if !info.is_up() {
        return Err(missing(format!("bridge `{}` is down", config.bridge)));
    }
    if config.promiscuous && !info.flags.contains(LinkFlags::PROMISC) {
        return Err(missing(format!("promiscuous mode of bridge `{}` is off", config.bridge)));
    }
    let gateway = match config.vlans.access {
        Some(id) if config.routes() => {
            let port = find(&host.netns, &gateway::port_name(config, id), "gateway port")?;
            Vlans::of_gateway(id).check(&port, &check_filtering(&bridge)?)?;
            find(&host.netns, &gateway::name(config), "gateway link")?
        }
        _ => bridge.clone(),
    };
    has_addresses(&gateway, &own.gateways, "gateway address")?;
    Ok((bridge, gateway))
}

fn check_forwarding(host: &Host, own: &Own, gateway: &Link) -> Result<(), Failure> {
    let has = |is_ipv6| own.gateways.iter().any(|gateway| gateway.addr().is_ipv6() == is_ipv6);
    for (is_ipv6, family) in [(false, "IPv4"), (true, "IPv6")] {
        if has(is_ipv6) && !forwards(host, is_ipv6)? {
            return Err(missing(format!("forwarding of {family} is off in {}", host.netns)));
        }
    }
    // The kernel forwards IPv6 by the setting for all links alone (net/ipv6/ip6_output.c).
    if has(false) && !Setting::ipv4_forwarding(gateway).read(&host.netns)? {
        return Err(missing(format!("forwarding of IPv4 is off on {gateway}")));
    }
    Ok(())
}

fn has_addresses(link: &Link, wanted: &[IpNet], what: &str) -> Result<(), Failure> {
    if wanted.is_empty() {
        return Ok(());
    }
    let has = link.addresses()?;
    for address in wanted {
        let problem = match has.iter().find(|info| info.prefix == *address) {
            Some(info) if info.dad_failed => "is a duplicate of another station's, and unusable",
            Some(_) => continue,
            None => "is missing",
        };
        return Err(missing(format!("{what} {address} of {link} {problem}")));
    }
    Ok(())
}

fn has_mtu(info: &LinkInfo, wanted: Option<u32>) -> Result<(), Failure> {
    match wanted {
        Some(wanted) if wanted != info.mtu => {
            let problem =
                format!("interface `{}` has the MTU {}, not {wanted}", info.name, info.mtu);
            Err(missing(problem))
        }
        _ => Ok(()),
    }
}

fn check_port(
    host: &Host,
    config: &Config,
    attachment: &Attachment,
    bridge: &Link,
) -> Result<(), Failure> {
    let link = find(&host.netns, &attachment.link_name(), "interface")?;
    let name = link.name();
    let info = link.info()?;
    if !info.is_up() {
        return Err(missing(format!("interface `{name}` is down")));
    }
    has_mtu(&info, config.mtu)?;
    let port = link.port()?.filter(|port| port.master == bridge.index());
    let Some(port) = port else {
        return Err(missing(format!("`{name}` is not a port of bridge `{}`", config.bridge)));
    };
    let is_isolated = port.isolated || frames::isolates(&host.netns, &name)?;
    let isolation = config.isolation != Isolation::None;
    for (is, wanted, what) in
        [(port.hairpin, config.hairpin, "hairpin mode"), (is_isolated, isolation, "isolation")]
    {
        if is != wanted {
            let state = if is { "on" } else { "off" };
            return Err(missing(format!("{what} of port `{name}` is {state}")));
        }
    }
    if config.vlans.are_any() {
        config.vlans.check(&link, &check_filtering(bridge)?)?;
    }
    Ok(())
}

fn check_container(
    container: &Netns,
    config: &Config,
    attachment: &Attachment,
    own: &Own,
) -> Result<(), Failure> {
    let link = find(container, &attachment.ifname, "interface")?;
    let info = link.info()?;
    if config.disable_container_interface {
        return Ok(());
    }
    if !info.is_up() {
        return Err(missing(format!("interface {link} is down")));
    }
    let mac = info.mac.map(|mac| mac.to_string()).unwrap_or_default();
    if let Some(expected) = own.mac.as_ref().filter(|one| !one.eq_ignore_ascii_case(&mac)) {
        return Err(missing(format!("interface {link} has the MAC address {mac}, not {expected}")));
    }
    has_mtu(&info, own.mtu)?;
    has_addresses(&link, &own.addresses, "address")?;
    let routes = container.routes()?;
    // Before 1.1.0, a result has no table of a route, so a delegated plugin's table is unknown.
    let has_tables = config.version >= Version::V1_1_0 || matches!(config.ipam, Ipam::BuiltIn(_));
    let is_table = |table, wanted: Option<u32>| {
        wanted.map_or(table == 254 || !has_tables, |wanted| table == wanted)
    };
    // The kernel clamps larger values (net/ipv4/metrics.c).
    let is_metric = |has: Option<u32>, wanted: Option<u32>, most: u32| {
        wanted.is_none_or(|wanted| has == Some(wanted.min(most)))
    };
    for wanted in &own.routes {
        let is_it = |route: &netloom::RouteInfo| {
            let is_way =
                |hop: &NextHopInfo| hop.gateway == wanted.gw && hop.link == Some(link.index());
            route.destination == wanted.dst
                && route.next_hops.iter().any(is_way)
                && is_table(route.table, wanted.table)
                && wanted.priority.is_none_or(|priority| route.metric == priority)
                && is_metric(route.mtu, wanted.mtu, 65_520)
                && is_metric(route.advmss, wanted.advmss, 65_495)
                && (wanted.dst.addr().is_ipv6()
                    || wanted.scope.is_none_or(|scope| route.scope == scope))
        };
        if !routes.iter().any(is_it) {
            let by = wanted.gw.map(|gw| format!(" via {gw}")).unwrap_or_default();
            return Err(missing(format!("route {}{by} is missing in {container}", wanted.dst)));
        }
    }
    Ok(())
}

fn check_filter(
    host: &Host,
    (config, gateway): (&Config, &Link),
    attachment: &Attachment,
    own: &Own,
) -> Result<(), Failure> {
    let accepting = accept::chains(&host.netns, config)?;
    accept::check(&accepting, config)?;
    if !Filter::is_needed(config) && accepting.is_empty() {
        return Ok(());
    }
    match Filter::find(&host.netns)? {
        Some(filter) => {
            let has_link = config.routes() || config.vlans.access.is_none();
            let link = has_link.then(|| gateway.index());
            filter.check(attachment, (config, link, !accepting.is_empty()), &own.addresses)
        }
        None => Err(missing("the table `netloom-cni` of the packet filter is missing".into())),
    }
}

fn check_addresses(
    call: &Call,
    config: &Config,
    attachment: &Attachment,
    own: &Own,
) -> Result<(), Failure> {
    let store = Store::existing(&config.data, &config.network)?;
    let directory = config.data.join(&config.network);
    let Some(store) = store.filter(|store| store.record(attachment).is_some()) else {
        let problem = format!(
            "the record of {attachment} is missing or unreadable in {}",
            directory.display()
        );
        return Err(missing(problem));
    };
    match &config.ipam {
        Ipam::None => Ok(()),
        Ipam::Delegate(delegate) => {
            // The lock of that plugin may be the same file.
            drop(store);
            delegate.run(Command::Check, call, &config.document).map(drop)
        }
        Ipam::BuiltIn(_) => {
            let is_reserved = |address: &&IpNet| store.has(attachment, address.addr());
            match own.addresses.iter().find(|address| !is_reserved(address)) {
                Some(address) => {
                    let holder = store.holder(address.addr());
                    let by = holder.map(|holder| format!(": {holder} has it")).unwrap_or_default();
                    let place = directory.display();
                    Err(missing(format!("address {address} is not reserved in {place}{by}")))
                }
                None => Ok(()),
            }
        }
    }
}
