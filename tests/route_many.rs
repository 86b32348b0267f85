//! Many routes with one owner: created in bulk, refused individually, deleted by their full keys.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use netloom::{Error, Namespace, Netns, Owned, Route, Veth, VethEnd, VethPair};

const MAIN: u32 = 254;

fn connected() -> Result<(Owned<Netns>, Owned<Veth>), Error> {
    let netns = Namespace::anonymous().create()?;
    let near = VethEnd::new("v1").address("10.0.0.2/24").address("fd00::2/64").up();
    let cable = VethPair::new(near, VethEnd::new("v2").up()).create(&netns)?;
    Ok((netns, cable))
}

fn v4(n: u32) -> Ipv4Net {
    Ipv4Net::new(Ipv4Addr::from_bits(0x1400_0000 + n), 32).unwrap()
}

fn v6(n: u128) -> Ipv6Net {
    Ipv6Net::new(Ipv6Addr::from_bits((0x2001_0db8 << 96) + n), 128).unwrap()
}

/// Counts netloom's own routes in the main table.
fn ours(netns: &Netns) -> usize {
    let count = |count: &mut usize, route: netloom::RouteView<'_>| {
        *count += usize::from(route.table() == MAIN && route.protocol() == 78);
    };
    netns.fold_routes(|| 0, count).unwrap()
}

#[test]
fn thousands_come_and_go_with_their_owner() {
    support::isolated(|| {
        let (netns, cable) = connected()?;
        let v4s = (0..3_050).map(|n| Route::new(v4(n)).via("10.0.0.1"));
        let v6s = (0..1_050).map(|n| Route::new(v6(n)).via("fd00::1").dev("v1"));
        let on_link = (0..150).map(|n| Route::new(v4(9_000 + n)).dev(cable.near()).metric(7));
        let routes: Vec<_> = v4s.chain(v6s).chain(on_link).collect();
        support::unchanged(&[&netns], || {
            let owner = Route::create_all(&routes, &netns).unwrap();
            assert_eq!((owner.len(), ours(&netns)), (routes.len(), routes.len()));
            drop(owner);
        });
        let owner = Route::create_all(&routes, &netns)?;
        // A route that was created separately stays.
        let _beside = Route::new(v4(0)).via("10.0.0.1").metric(50).create(&netns)?;
        let handle = owner.keep();
        assert_eq!(ours(&netns), routes.len() + 1);
        Owned::adopt(handle).delete()?;
        assert_eq!(ours(&netns), 1);
        Ok::<(), Error>(())
    });
}

#[test]
fn what_is_made_is_what_one_by_one_makes() {
    support::isolated(|| {
        let (netns, cable) = connected()?;
        let routes = [
            Route::default_via("10.0.0.1"),
            Route::default_via("fd00::1"),
            Route::new("10.9.0.0/16").dev(cable.near()).source("10.0.0.2").mtu(1400),
            Route::new("10.8.0.0/16").via("10.77.0.1").dev("v1").on_link().table(1000).metric(3),
            Route::new("fd01::/64").dev("v1"),
        ];
        let alone =
            routes.iter().map(|route| route.create(&netns)).collect::<Result<Vec<_>, _>>()?;
        let listed = netns.routes()?;
        drop(alone);
        let together = Route::create_all(&routes, &netns)?;
        let mut now = netns.routes()?;
        now.retain(|route| !listed.contains(route));
        assert_eq!((now, netns.routes()?.len()), (vec![], listed.len()));
        drop(together);
        Ok::<(), Error>(())
    });
}

#[test]
fn each_that_is_refused_is_told_with_its_place() {
    support::isolated(|| {
        let (netns, _cable) = connected()?;
        let there = Route::new(v4(250)).via("10.0.0.1").create(&netns)?;
        let route = |n| match n {
            3 | 299 => Route::new(v4(n)).via("192.0.2.1"), // no link has this gateway's network
            _ => Route::new(v4(n)).via("10.0.0.1"),
        };
        let routes: Vec<_> = (0..300).map(route).collect();
        let refused = Route::create_all(&routes, &netns).unwrap_err();
        assert_eq!(refused.places(), [3, 250, 299]);
        let errors = refused.errors();
        assert!(refused.to_string().starts_with("3 failed: number 3, "), "{refused}");
        assert!(errors[1].is_already_exists(), "{refused}");
        assert_eq!(errors[1].object(), "20.0.0.250/32 via 10.0.0.1");
        assert!(errors[2].to_string().contains("hint"), "{}", errors[2]);
        let others = refused.into_owned();
        assert_eq!((others.len(), ours(&netns)), (297, 298));
        drop(others);
        assert_eq!(ours(&netns), 1, "what was there before stays");

        // With `?`, the routes that were created are deleted.
        let all = || -> Result<(), Error> { Ok(Route::create_all(&routes, &netns).map(drop)?) };
        assert!(all().unwrap_err().raw_os_error().is_some());
        assert_eq!(ours(&netns), 1);
        drop(there);
        Ok::<(), Error>(())
    });
}

#[test]
fn what_can_be_known_wrong_is_refused_before_anything_is_made() {
    support::isolated(|| {
        let (netns, _cable) = connected()?;
        let good = Route::new("10.9.0.0/16").via("10.0.0.1");
        let bad =
            [good.clone(), Route::new("10.9.0.1/16").via("10.0.0.1"), Route::new("10.1.0.0/16")];
        let refused = Route::create_all(&bad, &netns).unwrap_err();
        assert_eq!(refused.places(), [1, 2], "{refused}");
        assert!(refused.into_owned().is_empty());
        let lost = [good.clone(), good.dev("nobody")];
        let refused = Route::create_all(&lost, &netns).unwrap_err();
        assert!(refused.places() == [1] && refused.errors()[0].is_not_found());
        assert_eq!(ours(&netns), 0);
        assert!(Route::create_all(&[], &netns)?.is_empty());
        Ok::<(), Error>(())
    });
}

#[test]
fn those_that_went_meanwhile_are_no_failure() {
    support::isolated(|| {
        let (netns, cable) = connected()?;
        let routes: Vec<_> = (0..250).map(|n| Route::new(v4(n)).via("10.0.0.1")).collect();
        let owner = Route::create_all(&routes, &netns)?;
        let handle = Owned::keep(owner);
        Owned::adopt(handle.clone()).delete()?;
        Owned::adopt(handle).delete()?;
        let owner = Route::create_all(&routes, &netns)?;
        cable.delete()?; // the kernel deletes the link's routes
        assert_eq!(ours(&netns), 0);
        owner.delete()?;
        Ok::<(), Error>(())
    });
}
