//! The settings that a link gets after its creation: one datagram in its own namespace.

use nix::errno::Errno;

use super::handle::Link;
use super::master::explain_master;
use super::message::LinkRequest;
use super::settings::Settings;
use crate::error::Error;
use crate::netlink::Requests;
use crate::netns::Quoted;
use crate::route::Route;
use crate::wire::message::{NLM_F_CREATE, NLM_F_EXCL};

/// The settings that the create request could not carry, beside those of every link.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Remaining<'a> {
    /// The index of the master.
    pub(super) master: Option<u32>,
    pub(super) up: bool,
    pub(super) routes: &'a [Route],
    pub(super) loopback_up: bool,
}

/// The index of the loopback link in every namespace (`net/core/dev.c` registers it first).
const LOOPBACK: u32 = 1;

/// Sends the settings of a link that was just created, in the order that works: IPv6 address generation
/// before up, addresses before up, routes after it.
pub(super) fn configure(
    link: &Link,
    settings: &Settings,
    remaining: Remaining<'_>,
) -> Result<(), Error> {
    let place = link.place();
    let object = Quoted(&place.id.name);
    let loopback = Quoted("lo");
    let at = || LinkRequest::at(place.id.index);
    let explain_enslaved = |error| match (&settings.master, remaining.master) {
        (Some(master), Some(index)) => explain_master(error, &place.netns, master, index),
        _ => error,
    };
    let explain_address = |error| crate::address::explain(error, &place.id.name);
    let mut requests = Requests::new();
    if let Some(mac) = settings.mac.filter(|mac| place.id.mac != Some(*mac)) {
        requests.push("set MAC address of", &object, &at().mac(mac).change(), 0);
    }
    if settings.no_ipv6_address {
        requests.push("set address generation of", &object, &at().no_ipv6_address().change(), 0);
        // A kernel without IPv6 generates no address either.
        requests.tolerate(Errno::EAFNOSUPPORT);
    }
    if let Some(master) = remaining.master {
        requests.push("enslave", &object, &at().master(master).change(), 0);
        requests.explain(&explain_enslaved);
    }
    for address in &settings.addresses {
        if let Some(message) = address.add(place.id.index) {
            requests.push("add address", address, &message, NLM_F_CREATE | NLM_F_EXCL);
            requests.explain(&explain_address);
        }
    }
    if remaining.loopback_up {
        requests.push("set up", &loopback, &LinkRequest::at(LOOPBACK).up(true).change(), 0);
    }
    if remaining.up {
        requests.push("set up", &object, &at().up(true).change(), 0);
    }
    for route in remaining.routes {
        route.push_to(&mut requests, "add route", Some(place.id.index));
        requests.explain(&crate::route::explain);
    }
    if requests.is_empty() {
        return Ok(());
    }
    place.netns.send(requests, |_, _| ())?;
    if let Some(mac) = settings.mac {
        link.renew(|place| place.id.mac = Some(mac));
    }
    Ok(())
}
