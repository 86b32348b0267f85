//! Lists that are folded without being stored.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};

use netloom::{Bridge, Error, LinkInfo, Namespace, Route, RouteInfo, RouteView, VethEnd, VethPair};

#[test]
fn what_is_lent_says_what_the_list_says() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create()?;
        let bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&netns)?;
        let near = VethEnd::new("v1").master(&bridge).group(7).mtu(1400).up();
        let _cable =
            VethPair::new(near, VethEnd::new("v2").address("fd00::1/64").up()).create(&netns)?;
        let _route =
            Route::new("10.9.0.0/16").via("10.0.0.9").metric(5).mtu(1300).create(&netns)?;
        support::eventually("addresses settle", || {
            let (before, after) = (netns.routes(), netns.routes());
            let links =
                netns.fold_links(Vec::new, |list, link| list.push(LinkInfo::from(link))).unwrap();
            let mut sorted = links.clone();
            sorted.sort_by_key(|link| link.index);
            let routes = netns
                .fold_routes(Vec::new, |list, route| list.push(RouteInfo::from(route)))
                .unwrap();
            sorted == netns.links().unwrap()
                && routes == after.unwrap()
                && routes == before.unwrap()
        });
        let found = netns.fold_links(
            || None,
            |found, link| {
                if link.name() == "v1" {
                    let up = link.flags().contains(netloom::LinkFlags::UP);
                    let kind = link.kind();
                    *found =
                        Some((link.index(), link.master(), link.group(), link.mtu(), up, kind));
                }
            },
        )?;
        let index = netns.link("v1")?.index();
        let veth = Some(netloom::LinkKind::Veth);
        assert_eq!(found, Some((index, Some(bridge.index()), 7, 1400, true, veth)));
        Ok::<(), Error>(())
    });
}

/// If a list changes while it is read, the fold starts again, so no object counts twice.
#[test]
fn a_list_that_changes_is_folded_from_the_start() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create()?;
        let _cable =
            VethPair::new(VethEnd::new("v1").address("10.0.0.1/24").up(), "v2").create(&netns)?;
        let route = |n: u8| Route::new(format!("20.0.{n}.0/24").as_str()).via("10.0.0.2");
        let _there = Route::create_all(&(0..200).map(route).collect::<Vec<_>>(), &netns)?;
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    drop(route(250).create(&netns).unwrap());
                }
            });
            for _ in 0..200 {
                let list = |list: &mut Vec<_>, route: RouteView<'_>| list.push(route.destination());
                // The fold fails if the list changed during each attempt.
                let Ok(mut destinations) = netns.fold_routes(Vec::new, list) else { continue };
                destinations
                    .retain(|net| net.to_string().starts_with("20.0.") && net.prefix_len() == 24);
                let count = destinations.len();
                destinations.dedup();
                assert!(matches!(count, 200 | 201) && destinations.len() == count, "{count}");
            }
            stop.store(true, Ordering::Relaxed);
        });
        Ok::<(), Error>(())
    });
}
