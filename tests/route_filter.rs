//! Existing routes: found, filtered, flushed, changed, adopted, and looked up by address.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use netloom::{
    Error, Forwarding, Namespace, Netns, NextHop, Owned, PolicyRule, Route, RouteFilter,
    RouteHandle, RouteQuery, RouteType, Veth, VethEnd, VethPair,
};

use support::{by_hand, json, refused, unchanged};

fn place() -> (Owned<Netns>, Owned<Veth>) {
    let netns = Namespace::anonymous().create().unwrap();
    let near = VethEnd::new("eth0").address("10.0.0.2/24").address("fd00::2/64").up();
    let far = VethEnd::new("eth1").address("10.1.0.2/24").address("fd01::2/64").up();
    let cable = VethPair::new(near.loopback_up(), far).create(&netns).unwrap();
    (netns, cable)
}

/// Returns the routes, except those that the kernel creates, some of them a moment late.
fn not_of_kernel(netns: &Netns) -> Vec<netloom::RouteInfo> {
    let mut list = netns.routes().unwrap();
    list.retain(|route| route.protocol != 2);
    list
}

/// Creates routes of several tables, types, links and protocols.
fn filled(netns: &Netns) -> Owned<RouteHandle> {
    let routes = [
        Route::new("10.8.0.0/16").via("10.0.0.1"),
        Route::new("10.8.1.0/24").via("10.1.0.1").metric(7),
        Route::new("10.8.2.0/24").dev("eth1").table(77).protocol(99),
        Route::new("10.7.0.0/16")
            .next_hop(NextHop::new().via("10.0.0.1"))
            .next_hop(NextHop::new().via("10.1.0.1")),
        Route::blackhole("10.6.0.0/16").table(77),
        Route::new("fd08::/64").via("fd00::1"),
        Route::new("fd08::/48").via("fd01::1").table(77),
        Route::prohibit("fd06::/64"),
        Route::default_via("10.0.0.1"),
        Route::default_via("fd00::1"),
    ];
    Route::create_all(&routes, netns).unwrap()
}

type Holds<'a> = Box<dyn Fn(&netloom::RouteInfo) -> bool + 'a>;

#[test]
fn a_filter_lists_what_the_whole_list_has_of_it() {
    support::isolated(|| {
        let (netns, _cable) = place();
        let _routes = filled(&netns);
        let all = not_of_kernel(&netns);
        let new = RouteFilter::new;
        let eth1 = netns.link("eth1").unwrap();
        let out = |route: &netloom::RouteInfo| {
            route.next_hops.iter().any(|hop| hop.link == Some(eth1.index()))
        };
        let to = |route: &netloom::RouteInfo| route.destination.to_string();
        let cases: [(RouteFilter, Holds<'_>); 14] = [
            (new(), Box::new(|_| true)),
            (new().ipv4(), Box::new(|route| route.destination.addr().is_ipv4())),
            (new().ipv6().table(77), Box::new(|r| r.destination.addr().is_ipv6() && r.table == 77)),
            (new().table(77), Box::new(|route| route.table == 77)),
            (new().table(4_000_000_000), Box::new(|_| false)),
            (new().ipv4().table(4_000_000_000), Box::new(|_| false)),
            (new().dev("eth1"), Box::new(out)),
            (new().dev(&eth1).protocol(78), Box::new(|r| out(r) && r.protocol == 78)),
            (new().kind(RouteType::Blackhole), Box::new(|r| r.kind == RouteType::Blackhole)),
            (new().protocol(99), Box::new(|route| route.protocol == 99)),
            (new().destination("default"), Box::new(netloom::RouteInfo::is_default)),
            (new().within("10.8.0.0/16"), Box::new(|route| to(route).starts_with("10.8."))),
            (
                new().via("10.1.0.1"),
                Box::new(|r| {
                    r.next_hops.iter().any(|hop| hop.gateway == Some("10.1.0.1".parse().unwrap()))
                }),
            ),
            (new().metric(7), Box::new(|route| route.metric == 7)),
        ];
        for (filter, holds) in cases {
            let expected: Vec<_> = all.iter().filter(|route| holds(route)).cloned().collect();
            let mut listed = filter.list(&netns).unwrap();
            listed.retain(|route| route.protocol != 2);
            assert_eq!(listed, expected, "{filter}");
            let count = |count: &mut usize, route: netloom::RouteView<'_>| {
                *count += usize::from(route.protocol() != 2);
            };
            let count = filter.fold(&netns, || 0, count).unwrap();
            assert_eq!(count, expected.len());
        }
        let error = refused(new().dev("nobody").list(&netns), &["list routes", "`nobody`"]);
        assert!(error.is_not_found());
    });
}

#[test]
fn a_flush_deletes_what_matches_and_nothing_of_the_kernel() {
    support::isolated(|| {
        let (netns, _cable) = place();
        let kernels = RouteFilter::new().protocol(2);
        support::eventually("the kernel's routes are there", || {
            let lasting = kernels.list(&netns).unwrap();
            lasting.iter().filter(|route| route.destination.prefix_len() == 128).count() >= 3
        });
        let before = kernels.list(&netns).unwrap();
        let routes = filled(&netns);
        let count = || not_of_kernel(&netns).len();
        assert_eq!((routes.len(), count()), (10, 10));
        assert_eq!(RouteFilter::new().table(77).flush(&netns).unwrap(), 3);
        assert_eq!(RouteFilter::new().within("10.8.0.0/16").flush(&netns).unwrap(), 2);
        assert_eq!(RouteFilter::new().dev("eth1").flush(&netns).unwrap(), 1, "the multipath one");
        assert_eq!(RouteFilter::new().ipv6().flush(&netns).unwrap(), 3);
        assert_eq!(RouteFilter::new().ipv4().flush(&netns).unwrap(), 1);
        assert_eq!(not_of_kernel(&netns), []);
        assert!(before.iter().all(|route| kernels.list(&netns).unwrap().contains(route)));
        // The flush deleted the routes, so their deletion is no failure.
        routes.delete().unwrap();
    });
}

#[test]
fn many_are_flushed() {
    support::isolated(|| {
        let (netns, _cable) = place();
        let many = |family: u8| {
            let to = move |n: u32| match family {
                4 => format!("20.{}.{}.0/24", n / 256, n % 256),
                _ => format!("fd20:{n:x}::/64"),
            };
            let via = if family == 4 { "10.0.0.1" } else { "fd00::1" };
            (0..1_050).map(move |n| Route::new(to(n)).via(via).table(99)).collect::<Vec<_>>()
        };
        let routes: Vec<_> = many(4).into_iter().chain(many(6)).collect();
        Route::create_all(&routes, &netns).unwrap().keep();
        assert_eq!(RouteFilter::new().table(99).flush(&netns).unwrap(), 2_100);
        assert_eq!(not_of_kernel(&netns), []);
    });
}

#[test]
fn an_empty_flush_and_one_of_the_kernels_routes_are_refused() {
    support::isolated(|| {
        let (netns, _cable) = place();
        unchanged(&[&netns], || {
            for (filter, words) in [
                (RouteFilter::new(), "empty filter"),
                (RouteFilter::new().protocol(2), "the kernel made"),
                (RouteFilter::new().protocol(9).table(254), "the kernel made"),
                (RouteFilter::new().within("default"), "within(\"default\")"),
                (RouteFilter::new().table(0), "table(0)"),
                (RouteFilter::new().destination("10.0.0.1/8"), "host bits"),
            ] {
                assert!(refused(filter.flush(&netns), &[words, "flush routes"]).is_invalid_input());
            }
        });
    });
}

#[test]
fn a_found_route_is_changed_adopted_and_deleted_whoever_made_it() {
    support::isolated(|| {
        let (netns, _cable) = place();
        for (to, via, other, by_ip) in [
            (
                "10.9.0.0/16",
                "10.0.0.1",
                "10.1.0.1",
                "ip route add 10.9.0.0/16 via 10.0.0.1 metric 9 proto static mtu 1300",
            ),
            (
                "fd09::/64",
                "fd00::1",
                "fd01::1",
                "ip route add fd09::/64 via fd00::1 metric 9 proto static mtu 1300",
            ),
        ] {
            let error = refused(netns.route(to), &["find routes to", to, "table 254"]);
            assert!(error.is_not_found(), "{error}");
            if !by_hand(&netns, by_ip) {
                return;
            }
            let _later = Route::new(to).via(via).metric(5000).create(&netns).unwrap();
            let found = netns.route(to).unwrap();
            let copy = found.clone();
            let info = found.info().unwrap();
            assert_eq!((info.metric, info.protocol, info.mtu), (9, 4, Some(1300)));
            found.change(|route| route.via(other).dev("eth1").advmss(1000)).unwrap();
            let info = copy.info().unwrap();
            assert_eq!((info.protocol, info.mtu, info.advmss), (4, Some(1300), Some(1000)));
            assert_eq!(info.gateway(), Some(other.parse().unwrap()));
            refused(found.change(|route| route.metric(10)), &["change route", "can't change"]);
            Owned::adopt(copy).delete().unwrap();
            assert!(refused(found.info(), &["read a route"]).is_not_found());
            assert!(refused(found.change(|route| route), &["change a route"]).is_not_found());
            assert_eq!(netns.route(to).unwrap().info().unwrap().metric, 5000);
        }
    });
}

/// An owner deletes its route also after the route was changed.
#[test]
fn an_owner_follows_a_change() {
    support::isolated(|| {
        let (netns, _cable) = place();
        unchanged(&[&netns], || {
            let owned = Route::new("10.9.0.0/16").via("10.0.0.1").create(&netns).unwrap();
            owned.change(|route| route.via("10.1.0.1").dev("eth1").mtu(1400)).unwrap();
            drop(owned);
        });
    });
}

#[test]
fn a_change_that_the_kernel_would_make_to_another_route_is_refused() {
    support::isolated(|| {
        let (netns, _cable) = place();
        for (to, first, second) in
            [("10.9.0.0/16", "10.0.0.1", "10.1.0.1"), ("fd09::/64", "fd00::1", "fd01::1")]
        {
            let one = Route::new(to).via(first).create(&netns).unwrap();
            let two = Route::new(to).via(second).append(&netns).unwrap();
            unchanged(&[&netns], || {
                refused(two.change(|route| route.mtu(1400)), &["another route has"]);
            });
            drop(one);
            two.change(|route| route.mtu(1400)).unwrap();
            two.delete().unwrap();
            assert!(netns.route(to).unwrap_err().is_not_found());
        }
        let many = Route::create_all(
            &[Route::blackhole("10.6.0.0/16"), Route::blackhole("10.7.0.0/16")],
            &netns,
        );
        refused(many.unwrap().change(|route| route), &["several routes"]);
    });
}

fn has_user(uid: u64) -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    let count = map.split_whitespace().nth(2).unwrap();
    count.parse::<u64>().unwrap() > uid
}

#[test]
fn the_kernel_says_which_route_packets_take() {
    support::isolated(|| {
        let (netns, cable) = place();
        let _routes = filled(&netns);
        let taken = netns.route_to("10.8.1.9").unwrap();
        assert_eq!((taken.route.metric, taken.route.table), (7, 254));
        assert_eq!(taken.gateway, Some("10.1.0.1".parse().unwrap()));
        assert_eq!(taken.link, Some(cable.peer().index()));
        assert_eq!(taken.source, Some("10.1.0.2".parse().unwrap()));
        let own = netns.route_to("10.0.0.2").unwrap();
        assert_eq!(own.route.kind, RouteType::Local);
        let six = netns.route_to("fd08::9").unwrap();
        assert_eq!(six.route.destination.to_string(), "fd08::/64");
        assert_eq!(six.gateway, Some("fd00::1".parse().unwrap()));
        // For a multipath route, the answer has the chosen next hop and the whole route.
        let spread = netns.route_to("10.7.0.1").unwrap();
        assert_eq!(spread.route.next_hops.len(), 2);
        assert!(spread.route.next_hops.iter().any(|hop| hop.gateway == spread.gateway));

        // Lookups for a packet mark, a sending user, links and a source address.
        let away = Route::blackhole("10.8.0.0/16").table(99).create(&netns).unwrap();
        let _by_mark = PolicyRule::ipv4().mark(5).table(99).create(&netns).unwrap();
        let by_user = PolicyRule::ipv4().uids(1000..=1000).table(99).create(&netns);
        let query = || RouteQuery::new("10.8.1.9");
        assert_eq!(query().mark(4).send(&netns).unwrap(), taken);
        let mut caught = vec![query().mark(5)];
        // The user namespace of an ordinary user has no user 1000.
        if has_user(1000) {
            assert_eq!(query().uid(999).send(&netns).unwrap(), taken);
            caught.push(query().uid(1000));
        } else {
            assert!(by_user.is_err());
        }
        for asked in caught {
            let error = refused(asked.send(&netns), &["find the route to 10.8.1.9", "`blackhole`"]);
            assert_eq!(error.raw_os_error(), Some(nix::libc::EINVAL));
        }
        drop(away);
        assert_eq!(query().mark(5).send(&netns).unwrap(), taken);
        let by_link = query().oif("eth0").send(&netns).unwrap();
        assert_eq!(by_link.gateway, Some("10.0.0.1".parse().unwrap()));
        assert_eq!(query().source("10.0.0.2").send(&netns).unwrap().gateway, taken.gateway);
        let _on = Forwarding::ipv4().create(&netns).unwrap();
        let forwarded = query().source("10.0.0.77").iif("eth0").send(&netns).unwrap();
        assert_eq!((forwarded.gateway, forwarded.route), (taken.gateway, taken.route));
    });
}

#[test]
fn a_question_without_an_answer_says_why() {
    support::isolated(|| {
        let (netns, _cable) = place();
        let errno = |error: Error| error.raw_os_error();
        for to in ["10.99.0.1", "fd99::1"] {
            let error = refused(netns.route_to(to), &["no route leads"]);
            assert_eq!(errno(error), Some(nix::libc::ENETUNREACH));
        }
        let _routes = [Route::prohibit("10.66.0.0/16"), Route::prohibit("fd66::/64")]
            .map(|route| route.create(&netns).unwrap());
        for to in ["10.66.0.1", "fd66::1"] {
            let error = refused(netns.route_to(to), &["`prohibit`"]);
            assert_eq!(errno(error), Some(nix::libc::EACCES));
        }
        unchanged(&[&netns], || {
            for (query, words) in [
                (RouteQuery::new("0.0.0.0"), "destination(\"0.0.0.0\")"),
                (RouteQuery::new("10.0.0"), "destination(\"10.0.0\")"),
                (RouteQuery::new("10.0.0.1").source("fd00::1"), "another family"),
            ] {
                assert!(refused(query.send(&netns), &[words]).is_invalid_input());
            }
            let nobody = RouteQuery::new("10.0.0.1").oif("nobody");
            assert!(refused(nobody.send(&netns), &["`nobody`"]).is_not_found());
        });
        if let Some(theirs) = json(&netns, "ip", "route get 10.0.0.7") {
            let ours = netns.route_to("10.0.0.7").unwrap();
            assert_eq!(theirs[0]["prefsrc"], ours.source.unwrap().to_string());
        }
    });
}
