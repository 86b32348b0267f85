//! The settings that a link gets after its creation, sent in one datagram.

use nix::errno::Errno;

use super::handle::Link;
use super::master::explain_master;
use super::message::{change, change_flag, no_ipv6_address};
use super::settings::Settings;
use crate::error::Error;
use crate::netlink::Requests;
use crate::netns::Quoted;
use crate::wire::link::{IFF_UP, IFLA_ADDRESS, IFLA_MASTER, IFLA_TXQLEN};

/// The index of the loopback link in every namespace (`net/core/dev.c` registers it first).
const LOOPBACK: u32 = 1;

/// The settings that the create request could not carry.
pub(super) struct Pending {
    pub(super) up: bool,
    /// The index of the master.
    pub(super) master: Option<u32>,
    /// The length of the transmit queue, in the place of the one that identified the new link.
    pub(super) queue_length: Option<u32>,
}

/// Sends the settings of a link that was just created, in the order that works: IPv6 address
/// generation before up, addresses before up, routes after it.
pub(super) fn configure(link: &Link, settings: &Settings, pending: &Pending) -> Result<(), Error> {
    let master = pending.master;
    let snapshot = link.snapshot();
    let index = snapshot.id.index;
    let object = Quoted(&snapshot.id.name);
    let loopback = Quoted("lo");
    let explain_enslaved = |error| match (&settings.master, master) {
        (Some(master), Some(index)) => explain_master(error, &snapshot.netns, master, index),
        _ => error,
    };
    let explain_address = |error| crate::address::explain(error, &snapshot.id.name);
    let mut requests = Requests::default();
    if let Some(length) = pending.queue_length {
        let request = change(index, |link| link.u32(IFLA_TXQLEN, length));
        requests.push("set queue length of", &object, request);
    }
    if let Some(mac) = settings.mac.filter(|mac| snapshot.id.mac != Some(*mac)) {
        let request = change(index, |link| link.bytes(IFLA_ADDRESS, &mac.octets()));
        requests.push("set MAC address of", &object, request);
    }
    if settings.no_ipv6_address {
        requests.push("set address generation of", &object, change(index, no_ipv6_address));
        // A kernel without IPv6 generates no address either.
        requests.tolerate(Errno::EAFNOSUPPORT);
    }
    if let Some(master) = master {
        requests.push("enslave", &object, change(index, |link| link.u32(IFLA_MASTER, master)));
        requests.explain(&explain_enslaved);
    }
    for address in &settings.addresses {
        requests.push("add address", address, |batch| address.add(index, batch));
        requests.explain(&explain_address);
    }
    if settings.loopback_up {
        requests.push("set up", &loopback, change_flag(LOOPBACK, IFF_UP, true));
    }
    if pending.up {
        requests.push("set up", &object, change_flag(index, IFF_UP, true));
    }
    for route in &settings.routes {
        requests.push("add route", route, |batch| route.add(index, batch));
        requests.explain(&crate::route::explain);
    }
    if requests.is_empty() {
        return Ok(());
    }
    snapshot.netns.send(requests)?;
    if let Some(mac) = settings.mac {
        link.renew(|snapshot| snapshot.id.mac = Some(mac));
    }
    Ok(())
}
