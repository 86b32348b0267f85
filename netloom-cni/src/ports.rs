//! Published ports: found again by the attachment's tag, whatever is remembered of it.

use std::collections::BTreeSet;

use ipnet::IpNet;
use netloom::{Link, Netns, Owned, PortForward, PortForwardHandle, Setting, Together};

use crate::attachment::Attachment;
use crate::config::Config;
use crate::failure::{Code, Failure};

/// The table of netloom's persistent published ports.
const TABLES: &str = "netloom-ports";

/// Returns the published ports of the configuration, to the container's first address of each
/// family.
fn wanted(config: &Config, attachment: &Attachment, addresses: &[IpNet]) -> Vec<PortForward> {
    let tag = attachment.tag();
    let first = |is_ipv4: bool| {
        let mut all = addresses.iter().map(IpNet::addr);
        all.find(|address| address.is_ipv4() == is_ipv4)
    };
    let to = |address| config.ports.iter().filter_map(move |port| port.to(address));
    let forwards = [true, false].into_iter().filter_map(first).flat_map(to);
    forwards.map(|forward| forward.persistent(&tag)).collect()
}

/// Publishes all of them, or none. They go again unless they are kept.
pub(crate) fn publish(
    host: &Netns,
    config: &Config,
    attachment: &Attachment,
    addresses: &[IpNet],
    by: &Link,
) -> Result<Vec<Owned<PortForwardHandle>>, Failure> {
    for port in &config.ports {
        port.check(addresses)?;
    }
    let wanted = wanted(config, attachment, addresses);
    let wanted: Vec<_> = wanted.into_iter().map(|forward| forward.link(by)).collect();
    Ok(PortForward::create_all(&wanted, host)?)
}

/// Takes away what an attachment has published.
pub(crate) fn unpublish(host: &Netns, tag: &str) -> Result<(), Failure> {
    let ports = host.port_forwards_with_tag(tag)?;
    let ports = ports.into_iter().map(|port| Owned::adopt(port.into()));
    match ports.collect::<Together<Vec<Owned<PortForwardHandle>>>>().delete() {
        Ok(()) => Ok(()),
        Err(failed) => Failure::join(failed.into_errors().into_iter().map(Failure::from).collect()),
    }
}

/// Fails with the name of the first missing port.
pub(crate) fn check(
    host: &Netns,
    config: &Config,
    attachment: &Attachment,
    addresses: &[IpNet],
    by: &Link,
) -> Result<(), Failure> {
    let wanted = wanted(config, attachment, addresses);
    if wanted.is_empty() {
        return Ok(());
    }
    let there = host.port_forwards_with_tag(&attachment.tag())?;
    for wanted in wanted.iter().map(ToString::to_string) {
        let Some(handle) = there.iter().find(|there| there.to_string() == wanted) else {
            let problem = format!("the published port {wanted} is missing");
            return Err(Failure::new(Code::Missing, problem));
        };
        if !handle.is_in_force()? {
            let problem =
                format!("the published port {wanted} is not in force: {}", lack(handle, by)?);
            return Err(Failure::new(Code::Missing, problem));
        }
    }
    Ok(())
}

/// Names the part that a published port lacks.
fn lack(handle: &PortForwardHandle, by: &Link) -> Result<String, Failure> {
    let is_local = handle.host_address().is_none_or(|address| address.is_loopback());
    if handle.target().is_ipv4()
        && is_local
        && !Setting::route_localnet(by).read(&by.namespace())?
    {
        return Ok(format!("route_localnet of `{}` is off", by.name()));
    }
    Ok(format!("its element or a rule is missing in the tables `{TABLES}`"))
}

/// The tags of a network that ports are published by. It looks at all there are.
pub(crate) fn tags(host: &Netns, of_network: &str) -> Result<BTreeSet<String>, Failure> {
    let tables = host.nft_ruleset()?;
    let ports = tables.iter().filter(|table| table.name == TABLES);
    let elements = ports.flat_map(|table| &table.sets).flat_map(|set| &set.elements);
    let comments = elements.filter_map(|element| element.comment_of());
    Ok(comments.filter(|tag| tag.starts_with(of_network)).map(str::to_owned).collect())
}
