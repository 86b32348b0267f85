//! Published ports. They carry the attachment's tag, so they are found even without a record.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

use ipnet::IpNet;
use netloom::nft::ElementHandle;
use netloom::{Link, Netns, Owned, PortForward, PortForwardHandle, Setting, Together};

use crate::attachment::Attachment;
use crate::bridge::keep_all;
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::waiting::{self, Mapping};
use crate::{ipam, store};

/// The name of the tables in which netloom keeps persistent published ports.
const TABLES: &str = "netloom-ports";

/// Returns the port mappings to publish, without duplicates. Each leads to the container's first
/// address of a family.
fn wanted(config: &Config, addresses: &[IpNet]) -> Vec<Mapping> {
    let first = |is_ipv4: bool| {
        let mut all = addresses.iter().map(IpNet::addr);
        all.find(|address| address.is_ipv4() == is_ipv4)
    };
    let to = |address| config.ports.iter().filter_map(move |port| port.to(address));
    let mut known = HashSet::new();
    let all = [true, false].into_iter().filter_map(first).flat_map(to);
    all.filter(|mapping| known.insert(*mapping)).collect()
}

/// The ports published for one attachment. Dropping this value withdraws them, unless kept.
#[derive(Debug, Default)]
pub(crate) struct Published {
    ports: Vec<Owned<PortForwardHandle>>,
    waiting: Vec<Owned<ElementHandle>>,
}

impl Published {
    pub(crate) fn keep(self) {
        keep_all(self.ports);
        keep_all(self.waiting);
    }
}

/// Publishes all mappings or none. An engine hands the same mappings to each network of a
/// container: if another of these networks has published a port, the mapping waits for that port.
pub(crate) fn publish(
    host: &Netns,
    config: &Config,
    attachment: &Attachment,
    addresses: &[IpNet],
    (by, container): (&Link, &Netns),
) -> Result<Published, Failure> {
    let tag = attachment.tag();
    let create = |mappings: &[Mapping]| {
        let forwards = mappings.iter().map(|mapping| mapping.forward(&tag).link(by));
        PortForward::create_all(&forwards.collect::<Vec<_>>(), host)
    };
    let mut mappings = wanted(config, addresses);
    let refused = match create(&mappings) {
        Ok(ports) => return Ok(Published { ports, waiting: Vec::new() }),
        Err(error) if !error.is_already_exists() => return Err(error.into()),
        Err(error) => error,
    };
    let own = of_container(host, container)?;
    let is_taken = |mapping: &Mapping| own.iter().any(|port| mapping.collides_with(port));
    let waiting: Vec<_> = mappings.iter().filter(|mapping| is_taken(mapping)).copied().collect();
    if waiting.is_empty() {
        return Err(taken(host, config, &mappings)?.unwrap_or_else(|| refused.into()));
    }
    mappings.retain(|mapping| !is_taken(mapping));
    Ok(Published { ports: create(&mappings)?, waiting: waiting::add(host, &tag, &waiting)? })
}

/// Names the container that has published a port of these mappings, if a record names it.
fn taken(host: &Netns, config: &Config, mappings: &[Mapping]) -> Result<Option<Failure>, Failure> {
    for port in host.port_forwards()? {
        let Some(mapping) = mappings.iter().find(|mapping| mapping.collides_with(&port)) else {
            continue;
        };
        let directories =
            [config.data.as_path()].into_iter().chain(ipam::DIRECTORIES.map(Path::new));
        let holder = port.tag().and_then(|tag| store::holder_of_tag(directories, tag));
        return Ok(holder.map(|holder| {
            let (number, protocol) = (mapping.host_port, mapping.protocol);
            let problem = format!("{holder} has the port {number}/{protocol} of the host");
            Failure::new(Code::Kernel, problem).details(port.to_string())
        }));
    }
    Ok(None)
}

/// Returns the ports that other networks of a container have published.
fn of_container(host: &Netns, container: &Netns) -> Result<Vec<PortForwardHandle>, Failure> {
    let Some(id) = host.peer_id(container)? else { return Ok(Vec::new()) };
    let mut tags = HashMap::new();
    let mut ports = host.port_forwards()?;
    ports.retain(|port| {
        let Some(tag) = port.tag() else { return false };
        let leads_there = |tag: &str| {
            let link = Attachment::link_of(tag).and_then(|name| host.link(&name).ok());
            let info = link.and_then(|link| link.info().ok());
            info.is_some_and(|info| {
                info.link_namespace.is_some_and(|peer| peer.cast_unsigned() == id)
            })
        };
        *tags.entry(tag.to_owned()).or_insert_with(|| leads_there(tag))
    });
    Ok(ports)
}

/// Withdraws the published ports of an attachment.
pub(crate) fn unpublish(host: &Netns, tag: &str) -> Result<(), Failure> {
    withdraw(host, &host.port_forwards_with_tag(tag)?, |one| one == tag)
}

/// Withdraws the ports of all attachments with unwanted tags, and adds these tags to `tags`.
pub(crate) fn unpublish_all(
    host: &Netns,
    is_unwanted: impl Fn(&str) -> bool,
    tags: &mut BTreeSet<String>,
) -> Result<(), Failure> {
    let mut ports = host.port_forwards()?;
    ports.retain(|port| port.tag().is_some_and(&is_unwanted));
    tags.extend(ports.iter().filter_map(|port| port.tag()).map(str::to_owned));
    withdraw(host, &ports, is_unwanted)
}

/// Deletes published ports, and gives them to attachments that wait for them.
fn withdraw(
    host: &Netns,
    ports: &[PortForwardHandle],
    is_gone: impl Fn(&str) -> bool,
) -> Result<(), Failure> {
    let owned = ports.iter().cloned().map(Owned::adopt);
    let mut failures = match owned.collect::<Together<Vec<Owned<PortForwardHandle>>>>().delete() {
        Ok(()) => Vec::new(),
        Err(failed) => failed.into_errors().into_iter().map(Failure::from).collect(),
    };
    failures.extend(waiting::hand_over(host, is_gone, ports).err());
    Failure::join(failures)
}

/// Checks that all ports are published. The failure names the first one that is missing.
pub(crate) fn check(
    host: &Netns,
    config: &Config,
    attachment: &Attachment,
    addresses: &[IpNet],
    by: &Link,
) -> Result<(), Failure> {
    let mut wanted = wanted(config, addresses);
    if wanted.is_empty() {
        return Ok(());
    }
    let tag = attachment.tag();
    // Checked first, because listing the ports would restore a missing guard table.
    if !host.has_loopback_guard()? {
        let problem =
            "the table `netloom-loopback`, which keeps links from 127.0.0.0/8, is damaged";
        return Err(Failure::new(Code::Missing, problem));
    }
    let there = host.port_forwards_with_tag(&tag)?;
    if there.len() < wanted.len() {
        let waiting = waiting::of_tag(host, &tag)?;
        wanted.retain(|mapping| !waiting.contains(mapping));
    }
    let by_name: HashMap<String, &PortForwardHandle> =
        there.iter().map(|port| (port.to_string(), port)).collect();
    let mut handles = Vec::with_capacity(wanted.len());
    for wanted in wanted.iter().map(|mapping| mapping.forward(&tag).to_string()) {
        let Some(handle) = by_name.get(&wanted) else {
            let problem = format!("the published port {wanted} is missing");
            return Err(Failure::new(Code::Missing, problem));
        };
        handles.push(*handle);
    }
    let are_in_force = PortForwardHandle::are_in_force(&handles)?;
    match handles.iter().zip(are_in_force).find(|(_, is_in_force)| !is_in_force) {
        Some((handle, _)) => {
            let lack = lack(handle, by)?;
            let problem = format!("the published port {handle} is not in force: {lack}");
            Err(Failure::new(Code::Missing, problem))
        }
        None => Ok(()),
    }
}

fn lack(handle: &PortForwardHandle, by: &Link) -> Result<String, Failure> {
    let is_local = handle.host_address().is_none_or(|address| address.is_loopback());
    if handle.target().is_ipv4()
        && is_local
        && !Setting::route_localnet(by).read(&by.namespace())?
    {
        return Ok(format!("route_localnet of `{}` is off", by.name()));
    }
    Ok(format!("its element or a rule is missing in the tables `{TABLES}`, or a table is dormant"))
}
