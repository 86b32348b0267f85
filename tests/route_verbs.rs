//! Routes that are appended, replaced and changed: the routes that packets use, and the routes that
//! each owner deletes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use netloom::{Namespace, Netns, Owned, Route, RouteInfo, Veth, VethEnd, VethPair};

use support::{by_hand, does_not_reach, reaches, refused};

/// A `client` with an address on each of two cables, and the two routers at the other ends. Only
/// the second router has 10.9.0.1 and `fd09::1`.
struct Fork {
    client: Owned<Netns>,
    _routers: [Owned<Netns>; 2],
    cables: [Owned<Veth>; 2],
}

fn fork() -> Fork {
    let netns = || Namespace::anonymous().create().unwrap();
    let (client, routers) = (netns(), [netns(), netns()]);
    let cable = |at: usize| {
        let near = VethEnd::new(format!("eth{at}"))
            .address(format!("10.0.{at}.2/24"))
            .address(format!("fd00:{at}::2/64"));
        let far = VethEnd::new("eth0")
            .address(format!("10.0.{at}.1/24"))
            .address(format!("fd00:{at}::1/64"))
            .loopback_up();
        VethPair::new(near.up(), far.up()).create_between(&client, &routers[at]).unwrap()
    };
    let cables = [cable(0), cable(1)];
    for address in ["10.9.0.1/32", "fd09::1/128"] {
        let lo = routers[1].link("lo").unwrap();
        netloom::Address::new(address).create(&lo).unwrap().keep();
    }
    for (to, via) in [("10.0.0.0/16", "10.0.1.2"), ("fd00::/16", "fd00:1::2")] {
        Route::new(to).via(via).create(&routers[1]).unwrap().keep();
    }
    Fork { client, _routers: routers, cables }
}

/// Returns the routes of the main table, except those that the kernel creates.
fn routes(netns: &Netns) -> Vec<RouteInfo> {
    let mut list = netns.routes().unwrap();
    list.retain(|route| route.table == 254 && route.protocol != 2);
    list
}

fn gateways(netns: &Netns) -> Vec<String> {
    let gateways = |route: RouteInfo| {
        let gateways = route.next_hops.iter().filter_map(|hop| hop.gateway);
        gateways.map(|gateway| gateway.to_string()).collect::<Vec<_>>().join(" ")
    };
    routes(netns).into_iter().map(gateways).collect()
}

#[test]
fn an_appended_route_counts_when_the_first_is_gone_and_each_owner_deletes_its_own() {
    support::isolated(|| {
        let net = fork();
        let route = |via: &str| Route::new("10.9.0.0/16").via(via);
        let first = route("10.0.0.1").create(&net.client).unwrap();
        let second = route("10.0.1.1").append(&net.client).unwrap();
        assert_eq!(gateways(&net.client), ["10.0.0.1", "10.0.1.1"]);
        does_not_reach(&net.client, "10.9.0.1");
        let error = refused(route("10.0.1.1").append(&net.client), &["append route 10.9.0.0/16"]);
        assert!(error.is_already_exists());
        first.delete().unwrap();
        reaches(&net.client, "10.9.0.1");
        let third = route("10.0.0.1").append(&net.client).unwrap();
        second.delete().unwrap();
        assert_eq!(gateways(&net.client), ["10.0.0.1"]);
        drop(third);
        assert_eq!(routes(&net.client), []);
    });
}

/// The kernel lists the next hops of both owners as one multipath route.
#[test]
fn owners_of_appended_ipv6_routes_delete_their_own_next_hop() {
    support::isolated(|| {
        let net = fork();
        let route = |via: &str| Route::new("fd09::/64").via(via);
        for first_goes_first in [true, false] {
            let first = route("fd00:0::1").create(&net.client).unwrap();
            let second = route("fd00:1::1").mtu(1400).append(&net.client).unwrap();
            assert_eq!(gateways(&net.client), ["fd00::1 fd00:1::1"]);
            let (goes, stays, left) = if first_goes_first {
                (first, second, "fd00:1::1")
            } else {
                (second, first, "fd00::1")
            };
            let again = Owned::adopt(goes.handle().clone());
            goes.delete().unwrap();
            assert_eq!(gateways(&net.client), [left]);
            again.delete().unwrap();
            stays.delete().unwrap();
            assert_eq!(routes(&net.client), []);
        }
    });
}

#[test]
fn an_ipv6_route_appended_to_another_programs_leaves_that_one() {
    support::isolated(|| {
        let net = fork();
        if !by_hand(&net.client, "ip route add fd09::/64 via fd00::1 metric 9") {
            return;
        }
        let ours = Route::new("fd09::/64").via("fd00:1::1").metric(9).append(&net.client).unwrap();
        assert_eq!(gateways(&net.client), ["fd00::1 fd00:1::1"]);
        ours.delete().unwrap();
        assert_eq!(gateways(&net.client), ["fd00::1"]);
        // Another program appends a next hop, so ours is first and gives the route its protocol.
        by_hand(&net.client, "ip route del fd09::/64 via fd00::1 metric 9");
        let ours = Route::new("fd09::/64").via("fd00:1::1").metric(9).create(&net.client).unwrap();
        by_hand(&net.client, "ip route append fd09::/64 via fd00::1 metric 9");
        ours.delete().unwrap();
        assert_eq!(gateways(&net.client), ["fd00::1"]);
        by_hand(&net.client, "ip route del fd09::/64 via fd00::1 metric 9");
    });
}

#[test]
fn replace_puts_a_route_in_the_place_of_another_or_adds_it() {
    support::isolated(|| {
        let net = fork();
        for (to, host, from, by) in [
            ("10.9.0.0/16", "10.9.0.1", "10.0.0.1", "10.0.1.1"),
            ("fd09::/64", "fd09::1", "fd00::1", "fd00:1::1"),
        ] {
            let first = Route::new(to).via(from).replace(&net.client).unwrap();
            does_not_reach(&net.client, host);
            let aside = Route::new(to).via(from).metric(5000).create(&net.client).unwrap();
            let second = Route::new(to).via(by).replace(&net.client).unwrap();
            assert_eq!(gateways(&net.client), [by, from]);
            reaches(&net.client, host);
            let same = Route::new(to).via(by).replace(&net.client).unwrap();
            assert_eq!(gateways(&net.client), [by, from]);
            first.delete().unwrap();
            assert_eq!(gateways(&net.client), [by, from], "what was replaced is gone");
            second.delete().unwrap();
            same.delete().unwrap();
            drop(aside);
            assert_eq!(routes(&net.client), []);
        }
    });
}

#[test]
fn change_needs_a_route_and_takes_no_duty() {
    support::isolated(|| {
        let net = fork();
        for (to, host, from, by) in [
            ("10.9.0.0/16", "10.9.0.1", "10.0.0.1", "10.0.1.1"),
            ("fd09::/64", "fd09::1", "fd00::1", "fd00:1::1"),
        ] {
            let route = |via: &str| Route::new(to).via(via).metric(7);
            let error = refused(route(by).change(&net.client), &["change route", to]);
            assert!(error.is_not_found(), "{error}");
            assert_eq!(routes(&net.client), []);
            let first = route(from).create(&net.client).unwrap();
            let changed = route(by).mtu(1400).change(&net.client).unwrap();
            reaches(&net.client, host);
            assert_eq!(routes(&net.client)[0].mtu, Some(1400));
            drop(first);
            assert_eq!(gateways(&net.client), [by]);
            drop(Owned::adopt(changed));
            assert_eq!(routes(&net.client), []);
        }
    });
}

#[test]
fn a_route_that_goes_with_its_link_is_no_failure() {
    support::isolated(|| {
        let Fork { client, cables: [first, second], .. } = fork();
        let owners = ["fd00::1", "fd00:1::1"]
            .map(|via| Route::new("fd09::/64").via(via).append(&client).unwrap());
        first.delete().unwrap();
        assert_eq!(gateways(&client), ["fd00:1::1"]);
        let [gone, there] = owners;
        gone.delete().unwrap();
        there.delete().unwrap();
        assert_eq!(routes(&client), []);
        drop(second);
    });
}
