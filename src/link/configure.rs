//! What a link gets after it was made: one datagram in its own namespace.

use std::net::IpAddr;

use nix::errno::Errno;

use super::handle::Link;
use super::message::LinkRequest;
use super::settings::Settings;
use crate::error::Error;
use crate::netlink::Requests;
use crate::netns::Quoted;
use crate::route::Route;
use crate::wire::message::{NLM_F_CREATE, NLM_F_EXCL};

/// What is left to do for a link that was just made.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Remaining<'a> {
    /// The index of its master, where the create message could not carry it.
    pub(super) master: Option<u32>,
    /// To be set up now.
    pub(super) up: bool,
    pub(super) gateways: &'a [IpAddr],
    pub(super) loopback_up: bool,
}

/// The loopback link's index, the same in every namespace (net/core/dev.c: it is registered first).
const LOOPBACK: u32 = 1;

/// Sets addresses and all that remains, in the order that works: no IPv6 address before up, addresses
/// before up, routes after it.
pub(super) fn configure(
    link: &Link,
    settings: &Settings,
    remaining: Remaining<'_>,
) -> Result<(), Error> {
    let object = Quoted(&link.name);
    let loopback = Quoted("lo");
    let at = || LinkRequest::at(link.index);
    let routes: Vec<_> = remaining.gateways.iter().map(|via| Route::default_via(*via)).collect();
    let mut requests = Requests::new();
    if settings.no_ipv6_address {
        requests.push("set address generation of", &object, &at().no_ipv6_address().change(), 0);
        // No IPv6 in this kernel: no such address either.
        requests.tolerate(Errno::EAFNOSUPPORT);
    }
    if let Some(master) = remaining.master {
        requests.push("enslave", &object, &at().master(master).change(), 0);
    }
    for address in &settings.addresses {
        if let Some(message) = address.add(link.index) {
            requests.push("add address", address, &message, NLM_F_CREATE | NLM_F_EXCL);
        }
    }
    if remaining.loopback_up {
        requests.push("set up", &loopback, &LinkRequest::at(LOOPBACK).up(true).change(), 0);
    }
    if remaining.up {
        requests.push("set up", &object, &at().up(true).change(), 0);
    }
    for route in &routes {
        route.push_to(&mut requests, "add route", Some(link.index));
    }
    if requests.is_empty() {
        return Ok(());
    }
    link.netns.send(requests, |_, _| ()).map_err(|error| match error.action() {
        "add address" => crate::address::explain(error, &link.name),
        "add route" => crate::route::explain(error),
        _ => error,
    })
}
