//! ADD: connects a container. If ADD fails, it undoes all its changes.

use std::thread;

use ipnet::IpNet;
use netloom::nft::RuleHandle;
use netloom::{Netns, Owned};
use serde_json::Value;

use crate::accept;
use crate::attachment::Attachment;
use crate::bridge::{ReadyBridge, first_address, keep_all};
use crate::cable::{self, Plugged};
use crate::call::{Call, Command};
use crate::config::Config;
use crate::del;
use crate::failure::{Code, Failure};
use crate::filter::{Filter, Filtered};
use crate::frames::{self, Guarded};
use crate::gateway;
use crate::host::Host;
use crate::ipam::Ipam;
use crate::ports::{self, Published};
use crate::result::{Interface, NetworkResult, Route};
use crate::store::{Choice, Record, Store};

pub(crate) fn add(call: &Call, config: &Config) -> Result<Value, Failure> {
    let attachment = config.attachment(call);
    let path = call.netns.clone().unwrap_or_default();
    let container = cable::open(&path)?;
    refuse_taken(&container, &attachment)?;
    let lease = Lease::take(call, config, &attachment)?;
    let sandbox = path.display().to_string();
    match lease.settle(&container) {
        Ok((network, plugged, bridge)) => {
            let result = result(network, plugged, bridge, sandbox, config);
            Ok(result.after(config.previous.clone()).to_json(config.version))
        }
        Err(failure) => {
            // The caller reports the failure that led here. A failure to release the addresses is
            // ignored.
            lease.give_back();
            Err(failure)
        }
    }
}

/// Refuses IPv6 addresses on links whose MTU is too small: the kernel answers with a bare EINVAL.
fn refuse_small_mtu(
    config: &Config,
    bridge: &ReadyBridge,
    addresses: &[IpNet],
) -> Result<(), Failure> {
    /// `IPV6_MIN_MTU`, RFC 8200 section 5.
    const LEAST: u32 = 1280;
    let of_bridge = format!("the MTU of bridge `{}`", bridge.info.name);
    let mtu = config.mtu.map_or((bridge.info.mtu, of_bridge.as_str()), |mtu| (mtu, "mtu"));
    let gateway = (bridge.info.mtu, of_bridge.as_str());
    let links = [Some(mtu), config.routes().then_some(gateway)];
    let too_small = links.into_iter().flatten().find(|(mtu, _)| *mtu < LEAST);
    match (addresses.iter().find(|address| address.addr().is_ipv6()), too_small) {
        (Some(address), Some((mtu, what))) => {
            let problem = format!("{what}: {mtu} is too small for {address}: IPv6 needs {LEAST}");
            Err(Failure::new(Code::InvalidConfig, problem))
        }
        _ => Ok(()),
    }
}

/// Refuses an interface name that the container's namespace already has, before anything is
/// created.
fn refuse_taken(container: &Netns, attachment: &Attachment) -> Result<(), Failure> {
    if *container == Netns::current()? {
        let problem = "CNI_NETNS is the host's own network namespace";
        return Err(Failure::new(Code::InvalidEnvironment, problem));
    }
    match container.link(&attachment.ifname) {
        Ok(_) => {
            let problem = format!("CNI_IFNAME: `{}` is already in {container}", attachment.ifname);
            Err(Failure::new(Code::InvalidEnvironment, problem))
        }
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Refuses an attachment whose cable exists already. The runtime has to call DEL first.
fn refuse_attached(attachment: &Attachment) -> Result<(), Failure> {
    match Netns::current()?.link(&attachment.link_name()) {
        Ok(_) => {
            let problem = format!(
                "`{}` is attached to `{}` by `{}` already: call DEL first",
                attachment.container, attachment.network, attachment.ifname
            );
            Err(Failure::new(Code::Addresses, problem))
        }
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn result(
    mut network: NetworkResult,
    plugged: Plugged,
    bridge: ReadyBridge,
    sandbox: String,
    config: &Config,
) -> NetworkResult {
    const CONTAINER: usize = 2;
    let mac = |info: &netloom::LinkInfo| info.mac.map(|mac| mac.to_string());
    let (near, peer) = (&plugged.near, &plugged.peer);
    network.interfaces = vec![
        Interface::new(&bridge.info.name, mac(&bridge.info), bridge.info.mtu, None),
        Interface::new(&near.name, mac(near), near.mtu, None),
        Interface::new(&peer.name, mac(peer), peer.mtu, Some(sandbox)),
    ];
    for ip in &mut network.ips {
        ip.interface = Some(CONTAINER);
    }
    if config.dns.is_some() {
        network.dns.clone_from(&config.dns);
    }
    plugged.veth.keep();
    bridge.keep();
    network
}

/// Everything that this ADD created. Dropping it deletes everything, unless `keep` was called.
struct Connected {
    plugged: Plugged,
    ports: Published,
    filtered: Option<Filtered>,
    accepted: Vec<Owned<RuleHandle>>,
    guarded: Option<Guarded>,
}

/// The addresses that a container got, and what is needed to release them.
struct Lease<'a> {
    call: &'a Call,
    config: &'a Config,
    attachment: &'a Attachment,
    given: NetworkResult,
    store: Store,
    choices: Vec<Choice>,
}

impl<'a> Lease<'a> {
    fn take(
        call: &'a Call,
        config: &'a Config,
        attachment: &'a Attachment,
    ) -> Result<Self, Failure> {
        let open = || -> Result<Store, Failure> {
            let store = Store::open(&config.data, &config.network)?;
            if !store.remembers(attachment)? {
                return Ok(store);
            }
            drop(store);
            refuse_attached(attachment)?;
            // The record is from before a reboot, or its container ended without a DEL.
            del::del(call, config)?;
            Store::open(&config.data, &config.network)
        };
        let lease =
            |given, store, choices| Self { call, config, attachment, given, store, choices };
        match &config.ipam {
            Ipam::None => Ok(lease(NetworkResult::default(), open()?, Vec::new())),
            Ipam::BuiltIn(built_in) => {
                let store = open()?;
                let (given, choices) = built_in.choose(&store)?;
                Ok(lease(given, store, choices))
            }
            Ipam::Delegate(delegate) if delegate.needs_interface() => {
                Ok(lease(NetworkResult::default(), open()?, Vec::new()))
            }
            Ipam::Delegate(delegate) => {
                // Refuse an existing attachment first. Then release the store's lock, because the
                // delegated plugin may use the same lock file.
                drop(open()?);
                let given = delegate.add(call, &config.document);
                let open = || Store::open(&config.data, &config.network);
                let given = given.and_then(|given| Ok((given, open()?)));
                match given {
                    Ok((given, store)) => Ok(lease(given, store, Vec::new())),
                    Err(failure) => {
                        delegate.run(Command::Del, call, &config.document).ok();
                        Err(failure)
                    }
                }
            }
        }
    }

    /// Creates the network while another thread syncs the record to disk.
    fn settle(&self, container: &Netns) -> Result<(NetworkResult, Plugged, ReadyBridge), Failure> {
        let mut host = Host::share()?;
        let mut bridge = ReadyBridge::new(&mut host, self.config)?;
        let (given, plugged) = self.ask_over_interface(&host, &bridge, container)?;
        let network = complete(given, self.config)?;
        let addresses: Vec<IpNet> = network.ips.iter().map(|ip| ip.address).collect();
        refuse_small_mtu(self.config, &bridge, &addresses)?;
        let record = Record { addresses };
        let written = self.store.write(self.attachment, &record)?;
        let keep = || self.store.keep(self.attachment, &written, &self.choices);
        thread::scope(|scope| {
            // If no thread can be started, write the record first.
            let kept = thread::Builder::new().spawn_scoped(scope, keep).map_err(|_| keep());
            let places = (&mut host, &mut bridge, container);
            let connected = self.connect(places, plugged, &network, &record);
            let lost = || Failure::new(Code::Io, "the thread that writes the record failed");
            let kept = match kept {
                Ok(thread) => thread.join().unwrap_or_else(|_| Err(lost())),
                Err(done) => done,
            };
            let Connected { plugged, ports, filtered, accepted, guarded } = connected?;
            kept?;
            ports.keep();
            keep_all(accepted);
            if let Some(filtered) = filtered {
                filtered.keep();
            }
            if let Some(guarded) = guarded {
                guarded.keep();
            }
            Ok((network, plugged, bridge))
        })
    }

    /// Connects the container first if another plugin asks for its addresses over the interface.
    /// The locks are held meanwhile, so the next ADD of the network waits.
    fn ask_over_interface(
        &self,
        host: &Host,
        bridge: &ReadyBridge,
        container: &Netns,
    ) -> Result<(NetworkResult, Option<Plugged>), Failure> {
        let Self { call, config, attachment, .. } = self;
        match &config.ipam {
            Ipam::Delegate(delegate) if delegate.needs_interface() => {
                let none = NetworkResult::default();
                let plugged = cable::plug(host, bridge, container, attachment, config, &none)?;
                Ok((delegate.add(call, &config.document)?, Some(plugged)))
            }
            _ => Ok((self.given.clone(), None)),
        }
    }

    fn connect(
        &self,
        (host, bridge, container): (&mut Host, &mut ReadyBridge, &Netns),
        plugged: Option<Plugged>,
        network: &NetworkResult,
        record: &Record,
    ) -> Result<Connected, Failure> {
        let Self { config, attachment, .. } = self;
        let gateway = if config.routes() {
            let link = gateway::ready(host, bridge, config)?;
            bridge.be_gateway(host, &link, &gateways(network), config)?;
            Some(link)
        } else {
            None
        };
        let chains = accept::chains(&host.netns, config)?;
        let filtered = if Filter::is_needed(config) || !chains.is_empty() {
            let link = gateway.as_ref().or(config.vlans.access.is_none().then_some(&bridge.link));
            let link = link.map(netloom::Link::index);
            let is_closed = !chains.is_empty();
            Some(Filter::enter(host, attachment, (config, link, is_closed), &record.addresses)?)
        } else {
            None
        };
        let accepted = accept::ensure(&chains, config)?;
        if !config.masquerade && !record.addresses.is_empty() {
            Filter::vacate(&host.netns, &record.addresses, &attachment.tag())?;
        }
        // Like the reference plugin, a network without a gateway can publish ports.
        let by = gateway.as_ref().unwrap_or(&bridge.link);
        let addresses = &record.addresses;
        let ports = ports::publish(&host.netns, config, attachment, addresses, (by, container))?;
        let plugged = match plugged {
            Some(plugged) => {
                cable::configure(&plugged.veth, container, config, network)?;
                plugged
            }
            None => cable::plug(host, bridge, container, attachment, config, network)?,
        };
        let wanted = frames::Wanted::of(config, plugged.peer.mac);
        let guarded = frames::guard(host, attachment, wanted)?;
        Ok(Connected { plugged, ports, filtered, accepted, guarded })
    }

    fn give_back(self) {
        let Self { call, config, attachment, store, .. } = self;
        store.forget(attachment).ok();
        // Release the lock: the delegated plugin may use the same lock file.
        drop(store);
        if let Ipam::Delegate(delegate) = &config.ipam {
            delegate.run(Command::Del, call, &config.document).ok();
        }
    }
}

/// Returns the gateway addresses of the network, which the host gets.
fn gateways(network: &NetworkResult) -> Vec<IpNet> {
    let of = |ip: &crate::result::Ip| IpNet::new(ip.gateway?, ip.address.prefix_len()).ok();
    let mut gateways: Vec<_> = network.ips.iter().filter_map(of).collect();
    gateways.sort_unstable();
    gateways.dedup();
    gateways
}

/// Adds what the configuration implies: gateways and default routes.
pub(crate) fn complete(
    mut network: NetworkResult,
    config: &Config,
) -> Result<NetworkResult, Failure> {
    if network.ips.is_empty() && !matches!(config.ipam, Ipam::None) {
        return Err(Failure::new(Code::Addresses, "ipam assigned no address"));
    }
    let is_gateway = config.routes();
    for ip in &mut network.ips {
        if ip.gateway.is_none() && is_gateway {
            ip.gateway = first_address(ip.address);
        }
    }
    if config.is_default_gateway {
        for ip in &network.ips {
            let Some(gateway) = ip.gateway else { continue };
            let is_default = |route: &Route| {
                route.dst.prefix_len() == 0 && route.dst.addr().is_ipv4() == gateway.is_ipv4()
            };
            if !network.routes.iter().any(is_default) {
                network.routes.push(Route::default_by(gateway));
            }
        }
    }
    // A route without a gateway uses the network's gateway of the same family.
    for route in &mut network.routes {
        let of_family = |ip: &&crate::result::Ip| {
            ip.address.addr().is_ipv4() == route.dst.addr().is_ipv4() && ip.gateway.is_some()
        };
        if route.gw.is_none() && !route.is_near() {
            route.gw = network.ips.iter().find(of_family).and_then(|ip| ip.gateway);
        }
    }
    Ok(network)
}
