//! The bridge: created if it is missing, and given the gateway's addresses.

use std::net::IpAddr;

use ipnet::IpNet;
use netloom::{
    Address, AddressHandle, Bridge, Forwarding, ForwardingHandle, Handle, Link, LinkInfo, LinkKind,
    Netns, Owned, Sysctl, Veth,
};

use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::host::Host;
use crate::vlan::Filtering;

/// A bridge that is ready for ports. Dropping it deletes everything that was created for it, unless
/// `keep` was called.
#[derive(Debug)]
pub(crate) struct ReadyBridge {
    pub(crate) link: Link,
    pub(crate) info: LinkInfo,
    addresses: Vec<Owned<AddressHandle>>,
    forwarding: Vec<Owned<ForwardingHandle>>,
    /// Dropped after the new addresses are deleted: puts the replaced addresses back.
    replaced: Replaced,
    /// The cable to the gateway's own link, if this ADD created the cable.
    pub(crate) gateway: Option<Owned<Veth>>,
    /// The VLAN filtering of the bridge, if ports are in VLANs.
    pub(crate) filtering: Option<Filtering>,
    /// The bridge, if this ADD created it. The last field, so it is dropped last.
    made: Option<Owned<Link>>,
}

impl ReadyBridge {
    pub(crate) fn new(host: &mut Host, config: &Config) -> Result<Self, Failure> {
        let mut made = None;
        let mut found = find(&host.netns, &config.bridge)?;
        if found.is_none() && host.alone()? {
            found = find(&host.netns, &config.bridge)?;
        }
        let link = match found {
            Some(link) => link,
            None => (**made.insert(make(host, config)?)).clone(),
        };
        let info = link.info()?;
        if info.kind != Some(LinkKind::Bridge) {
            let kind = info.kind.as_ref().map_or("a link of no kind", LinkKind::name);
            let problem = format!("bridge: `{}` is not a bridge but {kind}", config.bridge);
            return Err(Failure::new(Code::InvalidConfig, problem));
        }
        if !info.is_up() {
            // A bridge that is down is new, or a killed plugin left it unfinished.
            refuse_advertisements(host, &link)?;
            link.set_up()?;
        }
        if config.promiscuous && !info.flags.contains(netloom::LinkFlags::PROMISC) {
            link.set_promiscuous(true)?;
        }
        let filters = config.vlans.are_any();
        let filtering = filters.then(|| Filtering::on(host, &link)).transpose()?;
        let (addresses, forwarding, replaced) = (Vec::new(), Vec::new(), Replaced::default());
        Ok(Self { link, info, addresses, forwarding, replaced, gateway: None, filtering, made })
    }

    /// Gives the host these addresses and turns forwarding on.
    pub(crate) fn be_gateway(
        &mut self,
        host: &mut Host,
        at: &Link,
        gateways: &[IpNet],
        config: &Config,
    ) -> Result<(), Failure> {
        if lacking(at, gateways, config)?.is_some_and(|lacking| !lacking.missing.is_empty()) {
            host.alone()?;
        }
        if let Some(Lacking { missing, in_the_way }) = lacking(at, gateways, config)? {
            for address in in_the_way {
                Owned::adopt(at.address(address)?).delete().map_err(netloom::Error::from)?;
                self.replaced.0.push((at.clone(), address));
            }
            for gateway in missing {
                let address = Address::new(gateway).broadcast_auto();
                self.addresses.push(address.create(at)?);
            }
        }
        for (is_ipv6, forwarding) in [(false, Forwarding::ipv4()), (true, Forwarding::ipv6())] {
            if gateways.iter().any(|gateway| gateway.addr().is_ipv6() == is_ipv6)
                && !forwards(host, is_ipv6)?
            {
                host.alone()?;
                self.forwarding.push(forwarding.create(&host.netns)?);
            }
        }
        Ok(())
    }

    /// Keeps the bridge and its addresses, which other attachments share.
    pub(crate) fn keep(mut self) {
        self.replaced.0.clear();
        keep_all(self.addresses);
        keep_all(self.forwarding);
        keep_all(self.gateway);
        if let Some(filtering) = self.filtering {
            filtering.keep();
        }
        keep_all(self.made);
    }
}

/// The addresses that `forceAddress` removed, in their original order. Dropping this value puts
/// them back.
#[derive(Debug, Default)]
struct Replaced(Vec<(Link, IpNet)>);

impl Drop for Replaced {
    fn drop(&mut self) {
        for (link, address) in self.0.drain(..) {
            match Address::new(address).broadcast_auto().create(&link) {
                Ok(owned) => drop(owned.keep()),
                Err(error) => eprintln!("netloom-cni: restore address {address}: {error}"),
            }
        }
    }
}

pub(crate) fn keep_all<H: Handle>(owners: impl IntoIterator<Item = Owned<H>>) {
    for owned in owners {
        owned.keep();
    }
}

/// Looks up a link of the host. Refuses an alternative name: the settings of a link in /proc/sys,
/// and names such as `cni0.100`, derive from its own name.
pub(crate) fn find(host: &Netns, name: &str) -> Result<Option<Link>, Failure> {
    match host.link(name) {
        Err(error) if error.is_not_found() => Ok(None),
        Ok(link) if link.name() != name => {
            let problem = format!("bridge: `{name}` is an alternative name of `{}`", link.name());
            Err(Failure::new(Code::InvalidConfig, problem))
        }
        found => Ok(found.map(Some)?),
    }
}

fn make(host: &Host, config: &Config) -> Result<Owned<Link>, Failure> {
    // The bridge outlives the plugin. With an owner tag as its group, `reap` would delete the
    // bridge.
    let mut bridge = Bridge::new(&config.bridge).group(0);
    if config.vlans.are_any() {
        bridge = bridge.vlan_filtering(true);
    }
    let bridge = bridge.create(&host.netns)?;
    if let Some(mtu) = config.mtu {
        // Until its MTU is set, a bridge takes the smallest MTU of its ports
        // (net/bridge/br_device.c).
        bridge.set_mtu(mtu)?;
    }
    Ok(bridge)
}

/// Turns `accept_ra` off, so that a container's router advertisements give the host no routes.
pub(crate) fn refuse_advertisements(host: &Host, link: &Link) -> Result<(), Failure> {
    let sysctl = |name: &str| format!("net/ipv6/conf/{}/{name}", link.name());
    let set = Sysctl::new(sysctl("accept_ra"), 0).create(&host.netns);
    match set.map(|set| drop(set.keep())) {
        // No IPv6 in this kernel.
        Err(error) if error.is_not_found() => Ok(()),
        // A router ignores advertisements with the default setting (ip-sysctl.rst, accept_ra).
        Err(error) if is_read_only(&error) && host.netns.sysctl(&sysctl("forwarding"))? == "1" => {
            Ok(())
        }
        set => Ok(set?),
    }
}

fn is_read_only(error: &netloom::Error) -> bool {
    error.raw_os_error() == Some(nix::errno::Errno::EROFS as i32)
}

/// Ignores the failure to change a setting that is optional, if /proc/sys is read-only.
pub(crate) fn unless_read_only(set: Result<(), netloom::Error>) -> Result<(), Failure> {
    match set {
        Err(error) if is_read_only(&error) => Ok(()),
        set => Ok(set?),
    }
}

/// The settings that a link still needs to be the gateway.
struct Lacking {
    missing: Vec<IpNet>,
    in_the_way: Vec<IpNet>,
}

fn lacking(at: &Link, gateways: &[IpNet], config: &Config) -> Result<Option<Lacking>, Failure> {
    let has: Vec<IpNet> = at.addresses()?.into_iter().map(|info| info.prefix).collect();
    let missing: Vec<_> = gateways.iter().filter(|one| !has.contains(one)).copied().collect();
    if missing.is_empty() {
        return Ok(None);
    }
    // At most one IPv4 address is allowed, and IPv6 addresses only of networks that do not overlap.
    let is_in_the_way = |one: &&IpNet| {
        !gateways.contains(one)
            && missing.iter().any(|gateway| match (one, gateway) {
                (IpNet::V4(_), IpNet::V4(_)) => true,
                _ => one.contains(&gateway.addr()) || gateway.contains(&one.addr()),
            })
    };
    let in_the_way: Vec<_> = has.iter().filter(is_in_the_way).copied().collect();
    match in_the_way.first() {
        Some(other) if !config.force_address => {
            let problem = format!(
                "`{}` has the address {other} already, and forceAddress is not set: {} can't be its \
                 gateway",
                at.name(),
                list(&missing)
            );
            Err(Failure::new(Code::InvalidConfig, problem))
        }
        _ => Ok(Some(Lacking { missing, in_the_way })),
    }
}

fn list(addresses: &[IpNet]) -> String {
    addresses.iter().map(IpNet::to_string).collect::<Vec<_>>().join(", ")
}

pub(crate) fn forwards(host: &Host, is_ipv6: bool) -> Result<bool, Failure> {
    let name = if is_ipv6 { "net.ipv6.conf.all.forwarding" } else { "net.ipv4.ip_forward" };
    Ok(host.netns.sysctl(name)? == "1")
}

/// Returns the first address of a network: the default gateway.
pub(crate) fn first_address(network: IpNet) -> Option<IpAddr> {
    match network {
        IpNet::V4(net) => Some(IpAddr::V4((net.network().to_bits().checked_add(1)?).into())),
        IpNet::V6(net) => Some(IpAddr::V6((net.network().to_bits().checked_add(1)?).into())),
    }
}
