//! A mapping: what is forwarded, and by which link.

use std::collections::HashMap;
use std::net::IpAddr;

use nix::errno::Errno;

use super::builder::{ACTION, PortForward};
use super::loopback::link_to;
use super::ruleset::SIZE;
use crate::error::{Cause, Error};
use crate::netns::Netns;
use crate::protocol::Protocol;

/// A port by all that makes it one: the protocol, the address (none for all of them), the number.
pub(super) type Port = (Protocol, Option<IpAddr>, u16);

#[derive(Debug, Clone)]
pub(super) struct Mapping {
    pub(super) forward: PortForward,
    pub(super) target: IpAddr,
    /// The link that leads to the container.
    pub(super) link: u32,
}

impl Mapping {
    pub(super) fn ports(&self) -> impl Iterator<Item = (Port, (IpAddr, u16))> {
        let PortForward { protocol, host_address, .. } = self.forward;
        self.forward
            .ports()
            .map(move |(port, to)| ((protocol, host_address, port), (self.target, to)))
    }
}

/// Checks all of them, and finds their links.
pub(super) fn resolve(netns: &Netns, forwards: &[PortForward]) -> Result<Vec<Mapping>, Error> {
    let targets = forwards.iter().map(PortForward::check).collect::<Result<Vec<_>, _>>()?;
    let mut links = HashMap::new();
    let mut mappings = Vec::with_capacity(forwards.len());
    for (forward, target) in forwards.iter().zip(targets) {
        let link = match (links.get(&target), &forward.link) {
            (Some(link), None) => *link,
            (_, given) => {
                let link = link_to(netns, forward, target)?;
                if given.is_none() {
                    links.insert(target, link);
                }
                link
            }
        };
        mappings.push(Mapping { forward: forward.clone(), target, link });
    }
    Ok(mappings)
}

pub(super) fn taken(forward: &PortForward, holder: Option<String>) -> Error {
    let error = Cause::from(Errno::EEXIST).doing(ACTION, forward);
    match holder {
        Some(holder) => error.hint(format!("{holder} has the port")),
        None => error,
    }
}

pub(super) fn explain(error: Error) -> Error {
    error
        .hint_on(Errno::ENFILE, || format!("{SIZE} ports are forwarded, as many as a map takes"))
        .hint_on(Errno::ENOENT, || {
            "this kernel lacks a part for it (CONFIG_NFT_NAT, CONFIG_NFT_MASQ, CONFIG_NFT_FIB_IPV4, \
             CONFIG_NFT_FIB_IPV6, CONFIG_NFT_CT)"
                .into()
        })
}
