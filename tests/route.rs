//! Routes: packets use a route while its owner exists, and routes of other programs stay.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use netloom::{
    Address, Forwarding, Namespace, Netns, Owned, Route, RouteInfo, Scope, VethEnd, VethPair,
};

use support::{by_hand, does_not_reach, json, reaches, refused, unchanged};

fn netns() -> Owned<Netns> {
    Namespace::anonymous().create().unwrap()
}

// `client` has 10.0.0.2 and fd00::2. The `server` has .1 and ::1, and on its loopback link
// 10.9.0.1, 10.8.0.1, fd09::1 and fd08::1.
fn line() -> (Owned<Netns>, Owned<Netns>, impl Sized) {
    let (client, server) = (netns(), netns());
    let end = |addresses: [&str; 2]| {
        VethEnd::new("eth0").address(addresses[0]).address(addresses[1]).up().loopback_up()
    };
    let pair =
        VethPair::new(end(["10.0.0.2/24", "fd00::2/64"]), end(["10.0.0.1/24", "fd00::1/64"]));
    let cable = pair.create_between(&client, &server).unwrap();
    let lo = server.link("lo").unwrap();
    let more = ["10.9.0.1/32", "10.8.0.1/32", "fd09::1/128", "fd08::1/128"];
    let more = more.map(|address| Address::new(address).create(&lo).unwrap());
    (client, server, (cable, more))
}

/// Returns the routes of the main table, except those that the kernel creates.
fn routes(netns: &Netns) -> Vec<RouteInfo> {
    let mut list = netns.routes().unwrap();
    list.retain(|route| route.table == 254 && route.protocol != 2);
    list
}

#[test]
fn a_default_route_by_a_gateway_leads_everywhere_until_its_owner_goes() {
    support::isolated(|| {
        let (client, _server, _line) = line();
        for (gateway, targets) in
            [("10.0.0.1", ["10.9.0.1", "10.8.0.1"]), ("fd00::1", ["fd09::1", "fd08::1"])]
        {
            for target in targets {
                does_not_reach(&client, target);
            }
            let route = Route::default_via(gateway).create(&client).unwrap();
            for target in targets {
                reaches(&client, target);
            }
            let listed = routes(&client);
            assert!(listed.len() == 1 && listed[0].is_default());
            assert_eq!(listed[0].gateway(), Some(gateway.parse().unwrap()));
            assert_eq!(listed[0].protocol, 78);
            route.delete().unwrap();
            for target in targets {
                does_not_reach(&client, target);
            }
            assert_eq!(routes(&client), []);
            drop(Route::default_via(gateway).create(&client).unwrap());
            assert_eq!(routes(&client), []);
        }
    });
}

#[test]
fn a_prefix_route_leads_to_its_network_only() {
    support::isolated(|| {
        let (client, server, _line) = line();
        for (prefix, gateway, inside, outside) in [
            ("10.9.0.0/16", "10.0.0.1", "10.9.0.1", "10.8.0.1"),
            ("fd09::/16", "fd00::1", "fd09::1", "fd08::1"),
        ] {
            let route = Route::new(prefix).via(gateway).dev("eth0").create(&client).unwrap();
            reaches(&client, inside);
            does_not_reach(&client, outside);
            drop(route);
            // An address without a prefix is a route to that host.
            let _host = Route::new(inside).via(gateway).create(&client).unwrap();
            reaches(&client, inside);
        }
        assert!(server.routes().unwrap().iter().all(|route| route.protocol != 78));
    });
}

/// Without a gateway, the kernel asks on the link for the destination's hardware address.
#[test]
fn a_route_out_of_a_link_needs_no_gateway() {
    support::isolated(|| {
        let (client, _server, _line) = line();
        let eth0 = client.link("eth0").unwrap();
        let v4 = Route::new("10.9.0.0/16").dev(&eth0).create(&client).unwrap();
        reaches(&client, "10.9.0.1");
        let _v6 = Route::new("fd09::/16").dev(&eth0).create(&client).unwrap();
        assert_eq!(routes(&client).len(), 2);
        drop(v4);
        let _default = Route::new("default").dev("eth0").create(&client).unwrap();
        let _default6 = Route::new("::/0").dev("eth0").create(&client).unwrap();
        reaches(&client, "10.8.0.1");
        let hops: Vec<_> = routes(&client).iter().map(|route| route.next_hops[0].link).collect();
        assert_eq!(hops, [Some(eth0.index()); 3]);
    });
}

#[test]
fn the_list_is_what_ip_lists() {
    support::isolated(|| {
        let (client, _server, _line) = line();
        let _more = Address::new("10.0.0.3/24").create(&client.link("eth0").unwrap()).unwrap();
        let made = [
            Route::default_via("10.0.0.1"),
            Route::new("10.9.0.0/16").via("10.0.0.1").metric(50).source("10.0.0.3").mtu(1300),
            Route::new("10.9.0.0/16").dev("eth0").metric(60).table(77),
            Route::new("10.7.0.0/16").dev("eth0").table(1000),
            Route::new("192.0.2.1").dev("eth0"),
            Route::default_via("fd00::1").dev("eth0").metric(5).mtu(1290).advmss(1200),
            Route::new("198.18.0.0/15").dev("eth0").metric(70).advmss(1400).scope(Scope::Global),
        ];
        let owned: Vec<_> = made.iter().map(|route| route.create(&client).unwrap()).collect();
        let of_ours = |route: &RouteInfo| route.protocol == 78;
        let ours: Vec<_> = client.routes().unwrap().into_iter().filter(of_ours).collect();
        assert_eq!(ours.len(), made.len());
        assert!(owned.iter().all(|route| route.namespace() == &*client));
        let find =
            |table: u32, metric: u32| ours.iter().find(|r| (r.table, r.metric) == (table, metric));
        let full = find(254, 50).unwrap();
        assert_eq!((full.source, full.mtu), (Some("10.0.0.3".parse().unwrap()), Some(1300)));
        let (far, six) = (find(254, 70).unwrap(), find(254, 5).unwrap());
        assert_eq!((far.advmss, far.scope, far.mtu), (Some(1400), Scope::Global, None));
        assert_eq!((six.advmss, six.mtu), (Some(1200), Some(1290)));
        assert!(find(77, 60).is_some() && find(1000, 0).is_some() && find(254, 5).is_some());

        for (family, ipv6) in [("-4", false), ("-6", true)] {
            let command = format!("{family} route show table all proto 78");
            let Some(theirs) = json(&client, "ip", &command) else { continue };
            let ours = ours.iter().filter(|route| route.destination.addr().is_ipv6() == ipv6);
            assert_eq!(theirs.len(), ours.clone().count());
            for ours in ours {
                let destination = match (ours.is_default(), ours.destination.to_string()) {
                    (true, _) => "default".to_owned(),
                    (false, text) => text.trim_end_matches("/32").to_owned(),
                };
                let table = if ours.table == 254 { None } else { Some(ours.table.to_string()) };
                let same = theirs.iter().filter(|theirs| {
                    theirs["dst"] == destination
                        && theirs["table"].as_str().map(str::to_owned) == table
                        && theirs["gateway"].as_str().map(str::to_owned)
                            == ours.gateway().map(|g| g.to_string())
                        && theirs["metric"].as_u64().unwrap_or(0) == u64::from(ours.metric)
                        && theirs["prefsrc"].as_str().map(str::to_owned)
                            == ours.source.map(|s| s.to_string())
                        && theirs["metrics"][0]["mtu"].as_u64() == ours.mtu.map(u64::from)
                        && theirs["metrics"][0]["advmss"].as_u64() == ours.advmss.map(u64::from)
                        && theirs["dev"] == "eth0"
                });
                assert_eq!(same.count(), 1, "{ours:?} in {theirs:#?}");
            }
        }
        drop(owned);
        assert!(!client.routes().unwrap().iter().any(of_ours));
    });
}

#[test]
fn the_lowest_metric_counts() {
    support::isolated(|| {
        let (client, server, _line) = line();
        // 10.9.0.1 replies through the server's eth0. The route with the lower metric has a gateway
        // that does not exist.
        let good = Route::new("10.9.0.0/16").via("10.0.0.1").metric(100);
        let _good = good.create(&client).unwrap();
        reaches(&client, "10.9.0.1");
        let bad = Route::new("10.9.0.0/16").via("10.0.0.99").metric(10).create(&client).unwrap();
        does_not_reach(&client, "10.9.0.1");
        bad.delete().unwrap();
        reaches(&client, "10.9.0.1");
        drop(server);
    });
}

#[test]
fn a_gateway_off_the_links_networks_is_refused_or_taken_on_link() {
    support::isolated(|| {
        let (client, server, _line) = line();
        let route = Route::new("10.8.0.0/16").via("10.9.0.1").dev("eth0");
        let error =
            unchanged(&[&client], || refused(route.create(&client), &["10.9.0.1", "gateway"]));
        assert_eq!(error.raw_os_error(), Some(nix::libc::ENETUNREACH));
        assert!(error.remedy().unwrap().contains("on_link()"), "{error}");
        let _on_link = route.on_link().create(&client).unwrap();
        reaches(&client, "10.8.0.1");
        let route = Route::default_via("fd77::1");
        let error =
            unchanged(&[&client], || refused(route.create(&client), &["fd77::1", "gateway"]));
        assert_eq!(error.raw_os_error(), Some(nix::libc::EHOSTUNREACH));
        drop(server);
    });
}

#[test]
fn a_link_that_is_down_or_gone_takes_no_route() {
    support::isolated(|| {
        let (red, blue) = (netns(), netns());
        let cable = VethPair::new(VethEnd::new("eth0").address("10.0.0.2/24"), "eth0");
        let cable = cable.create_between(&red, &blue).unwrap();
        let route = Route::new("10.9.0.0/16").dev(cable.near());
        let error = unchanged(&[&red], || refused(route.create(&red), &["10.9.0.0/16", "is down"]));
        assert_eq!(error.raw_os_error(), Some(nix::libc::ENETDOWN));
        refused(Route::new("10.9.0.0/16").dev(cable.peer()).create(&red), &["another namespace"]);
        cable.delete().unwrap();
        assert!(refused(route.create(&red), &["add route 10.9.0.0/16"]).is_not_found());
        let route = Route::new("10.9.0.0/16").dev("nobody");
        assert!(refused(route.create(&red), &["`nobody`"]).is_not_found());
    });
}

#[test]
fn creating_twice_is_refused_and_deleting_twice_is_not() {
    support::isolated(|| {
        let (client, _server, _line) = line();
        for gateway in ["10.0.0.1", "fd00::1"] {
            let route = Route::default_via(gateway);
            let first = route.create(&client).unwrap();
            let error = unchanged(&[&client], || refused(route.create(&client), &["such a route"]));
            assert!(error.is_already_exists());
            let again = Owned::adopt(first.handle().clone());
            first.delete().unwrap();
            again.delete().unwrap();
            let kept = route.create(&client).unwrap().keep();
            assert_eq!(routes(&client).len(), 1);
            drop(Owned::adopt(kept));
        }
    });
}

#[test]
fn a_route_that_the_kernel_took_along_is_gone_without_complaint() {
    support::isolated(|| {
        let (client, _server, _line) = line();
        let route = Route::default_via("10.0.0.1").create(&client).unwrap();
        client.link("eth0").unwrap().set_down().unwrap();
        assert_eq!(routes(&client), []);
        route.delete().unwrap();
    });
}

#[test]
fn the_same_route_of_somebody_else_is_left_alone() {
    support::isolated(|| {
        let (client, _server, _line) = line();
        for (gateway, by_ip) in [
            ("10.0.0.1", "ip route add default via 10.0.0.1"),
            ("fd00::1", "ip -6 route add default via fd00::1"),
        ] {
            let ours = Route::default_via(gateway).create(&client).unwrap();
            Owned::adopt(ours.handle().clone()).delete().unwrap();
            if !by_hand(&client, by_ip) {
                return;
            }
            drop(ours);
            assert_eq!(routes(&client).len(), 1, "theirs is there");
            by_hand(&client, &by_ip.replace("add", "delete"));
        }
    });
}

/// In a request to delete a route, the kernel reads a metric of 0 as "any metric".
#[test]
fn a_route_without_a_metric_never_takes_one_with_a_metric_along() {
    support::isolated(|| {
        let (client, _server, _line) = line();
        for (gateway, target) in [("10.0.0.1", "10.9.0.1"), ("fd00::1", "fd09::1")] {
            let plain = Route::default_via(gateway);
            let first = plain.create(&client).unwrap();
            let second = plain.clone().metric(50).create(&client).unwrap();
            let third = plain.metric(5000).create(&client).unwrap();
            Owned::adopt(first.handle().clone()).delete().unwrap();
            assert_eq!(routes(&client).len(), 2);
            // The route is gone already, so this deletion must find nothing.
            first.delete().unwrap();
            assert_eq!(routes(&client).len(), 2);
            second.delete().unwrap();
            assert_eq!(routes(&client)[0].metric, 5000);
            reaches(&client, target);
            third.delete().unwrap();
        }
    });
}

#[test]
fn a_chain_of_two_routers_carries_packets_both_ways() {
    support::isolated(|| {
        let places = [netns(), netns(), netns(), netns()];
        let [a, b, c, d] = &places;
        let cable = |number: u8, from: &Netns, to: &Netns| {
            let end = |name: &str, host: u8| {
                let v4 = format!("10.0.{number}.{host}/24");
                VethEnd::new(name).address(v4).address(format!("fd00:{number}::{host}/64")).up()
            };
            VethPair::new(end("right", 1), end("left", 2)).create_between(from, to).unwrap()
        };
        let _cables = [cable(1, a, b), cable(2, b, c), cable(3, c, d)];
        let _on = [b, c].map(|n| {
            [Forwarding::ipv4().create(n).unwrap(), Forwarding::ipv6().create(n).unwrap()]
        });
        let route =
            |netns: &Netns, to: &str, via: &str| Route::new(to).via(via).create(netns).unwrap();
        let _routes = [
            route(a, "default", "10.0.1.2"),
            route(b, "10.0.3.0/24", "10.0.2.2"),
            route(c, "10.0.1.0/24", "10.0.2.1"),
            route(d, "default", "10.0.3.1"),
            route(a, "default", "fd00:1::2"),
            route(b, "fd00:3::/64", "fd00:2::2"),
            route(c, "fd00:1::/64", "fd00:2::1"),
            route(d, "default", "fd00:3::1"),
        ];
        for (from, to) in [(a, "10.0.3.2"), (d, "10.0.1.1"), (a, "fd00:3::2"), (d, "fd00:1::1")] {
            reaches(from, to);
        }
        support::tcp(a, d, "10.0.3.2:80").unwrap();
        support::udp(a, d, "[fd00:3::2]:53").unwrap();
    });
}

/// The kernel lowers an MTU above 65,520 and a segment size above 65,495. A deletion must give the
/// lowered values.
#[test]
fn a_route_whose_metrics_the_kernel_lowered_is_deleted() {
    support::isolated(|| {
        let (client, _server, _line) = line();
        for (to, via) in [("10.7.0.0/16", "10.0.0.1"), ("fd07::/64", "fd00::1")] {
            for mtu in [65_520, 65_521, 65_535, 1_000_000] {
                let route = Route::new(to).via(via).mtu(mtu).advmss(mtu);
                let owned = route.create(&client).unwrap();
                assert_eq!(routes(&client)[0].mtu, Some(65_520));
                owned.delete().unwrap();
                assert_eq!(routes(&client), [], "{to} mtu {mtu}");
                let many = Route::create_all(&[route], &client).unwrap();
                drop(many);
                assert_eq!(routes(&client), [], "{to} mtu {mtu}");
            }
        }
    });
}

/// Another program replaces route A. Route B differs from A in the metric alone.
#[test]
fn a_replaced_route_takes_no_other_along() {
    support::isolated(|| {
        let (client, _server, _line) = line();
        for (to, via, replace) in [
            ("10.8.0.0/16", "10.0.0.1", "ip route replace 10.8.0.0/16 via 10.0.0.7"),
            ("10.8.0.0/16", "10.0.0.1", "ip route replace 10.8.0.0/16 via 10.0.0.1 mtu 1300"),
            ("fd08::/64", "fd00::1", "ip -6 route replace fd08::/64 via fd00::7 metric 1024"),
        ] {
            let a = Route::new(to).via(via).create(&client).unwrap();
            let b = Route::new(to).via(via).metric(2000).create(&client).unwrap();
            if !by_hand(&client, replace) {
                return;
            }
            let there = routes(&client);
            assert_eq!(there.len(), 2);
            a.delete().unwrap();
            assert_eq!(routes(&client), there, "{replace}");
            b.delete().unwrap();
            assert_eq!(routes(&client).len(), 1);
            let family = if to.contains(':') { "-6" } else { "-4" };
            by_hand(&client, &format!("ip {family} route flush {to} proto boot"));
            assert_eq!(routes(&client), []);
        }
    });
}

/// Two networks of one container each have a default route.
#[test]
fn routes_beside_others_have_owners_of_their_own() {
    support::isolated(|| {
        let (client, _server, _line) = line();
        let end = VethEnd::new("eth1").address("10.1.0.2/24").address("fd01::2/64").up();
        let _second = VethPair::new(end, "near").create(&client).unwrap();
        client.link("near").unwrap().set_up().unwrap();
        let hops = || -> Vec<_> {
            let all = routes(&client).into_iter().filter(RouteInfo::is_default);
            all.flat_map(|route| route.next_hops).filter_map(|hop| hop.gateway).collect()
        };
        let gateways = |all: &[&str]| -> Vec<std::net::IpAddr> {
            all.iter().map(|gateway| gateway.parse().unwrap()).collect()
        };
        for [first, second, third] in
            [["10.0.0.1", "10.1.0.1", "10.1.0.3"], ["fd00::1", "fd01::1", "fd01::3"]]
        {
            let one = Route::default_via(first).create(&client).unwrap();
            assert!(Route::default_via(second).create(&client).unwrap_err().is_already_exists());
            let before = Route::default_via(second).prepend(&client).unwrap();
            let behind = Route::default_via(third).append(&client).unwrap();
            if first.starts_with("10.") {
                assert_eq!(hops(), gateways(&[second, first, third]));
            } else {
                assert_eq!(hops().len(), 3);
            }
            let again = Route::default_via(second).prepend(&client);
            assert!(again.unwrap_err().is_already_exists());
            before.delete().unwrap();
            assert_eq!(hops(), gateways(&[first, third]));
            one.delete().unwrap();
            assert_eq!(hops(), gateways(&[third]));
            drop(behind);
            assert!(hops().is_empty());
        }
    });
}

/// The kernel matches a request without a gateway, source or metrics to a route that has them.
#[test]
fn a_plain_route_takes_none_with_more_along() {
    support::isolated(|| {
        let (client, _server, _line) = line();
        for (to, plain, more) in [
            ("fd08::/64", "dev eth0", "via fd00::1 dev eth0"),
            ("fd08::/64", "dev eth0", "dev eth0 mtu 1300"),
            ("10.8.0.0/16", "dev eth0", "dev eth0 scope link src 10.0.0.2"),
            ("10.8.0.0/16", "dev eth0", "dev eth0 scope link mtu lock 1300"),
        ] {
            let ours = Route::new(to).dev("eth0").metric(7).create(&client).unwrap();
            let again = format!("ip route del {to} {plain} metric 7");
            if !by_hand(&client, &again) {
                return;
            }
            // The other route even has netloom's protocol number.
            by_hand(&client, &format!("ip route add {to} {more} metric 7 proto 78"));
            let there = routes(&client);
            assert_eq!(there.len(), 1, "{more}");
            ours.delete().unwrap();
            assert_eq!(routes(&client), there, "{more}");
            by_hand(&client, &format!("ip route del {to} {more} metric 7"));
        }
    });
}

/// A lookup by address finds neither a route that a more specific route covers, nor a route in a
/// table that no rule uses.
#[test]
fn a_covered_route_and_one_in_an_unused_table_are_deleted() {
    support::isolated(|| {
        let (client, _server, _line) = line();
        for (to, host, via) in [
            ("10.8.0.0/16", "10.8.0.0/32", "10.0.0.1"),
            ("fd08::/64", "fd08::/128", "fd00::1"),
            ("default", "192.0.2.1", "10.0.0.1"),
            ("default", "2001:db8::1", "fd00::1"),
        ] {
            let wide = Route::new(to).via(via).create(&client).unwrap();
            let _host = Route::new(host).via(via).create(&client).unwrap();
            let aside = Route::new(to).via(via).table(77).create(&client).unwrap();
            let ours = || client.routes().unwrap().iter().filter(|r| r.protocol == 78).count();
            assert_eq!(ours(), 3);
            wide.delete().unwrap();
            assert_eq!(ours(), 2, "{to}");
            aside.delete().unwrap();
            assert_eq!(ours(), 1, "{to}");
        }
    });
}

#[test]
fn a_line_says_all_that_ip_says() {
    support::isolated(|| {
        let (client, _server, _line) = line();
        let commands = [
            "ip route add blackhole 10.1.0.0/16",
            "ip route add unreachable 10.2.0.0/16 metric 9",
            "ip route add 10.3.0.0/16 via 10.99.0.1 dev eth0 onlink src 10.0.0.2 mtu 1300 metric 3",
            "ip route add 10.4.0.0/16 nexthop via 10.0.0.1 weight 2 nexthop via 10.0.0.9 weight 3",
            "ip route add 10.5.0.0/16 dev eth0 proto static table 77 advmss 1200",
            "ip -6 route add fd09::/64 from fd00::/64 via fd00::1 metric 5 proto ra",
        ];
        if !commands.iter().all(|command| by_hand(&client, command)) {
            return;
        }
        let names = client.link_names().unwrap();
        let all = client.routes().unwrap();
        let lines: Vec<_> = all.iter().map(|route| route.display(&names).to_string()).collect();
        for line in [
            "blackhole 10.1.0.0/16 proto boot",
            "unreachable 10.2.0.0/16 proto boot metric 9",
            "10.3.0.0/16 via 10.99.0.1 dev eth0 proto boot src 10.0.0.2 metric 3 mtu 1300 onlink",
            "10.4.0.0/16 proto boot nexthop via 10.0.0.1 dev eth0 weight 2 \
             nexthop via 10.0.0.9 dev eth0 weight 3",
            "10.5.0.0/16 dev eth0 table 77 proto static scope link advmss 1200",
            "fd09::/64 from fd00::/64 via fd00::1 dev eth0 proto ra metric 5",
        ] {
            assert!(lines.iter().any(|it| it == line), "{line} in {lines:#?}");
        }
        let eth0 = client.link("eth0").unwrap().index();
        let ninth = all.iter().find(|route| route.metric == 9).unwrap();
        assert_eq!(ninth.to_string(), "unreachable 10.2.0.0/16 proto boot metric 9");
        let fifth = all.iter().find(|route| route.metric == 5).unwrap();
        assert!(fifth.to_string().contains(&format!(" dev if{eth0} ")));
    });
}
