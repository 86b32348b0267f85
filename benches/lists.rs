//! Adding routes by the hundred thousand, listing routes and links, and finding a link by name.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)] // a bench is no library

use std::cell::Cell;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

use criterion::{Criterion, criterion_group, criterion_main};
use ipnet::{Ipv4Net, Ipv6Net};
use netloom::{LinkView, Namespace, Netns, Owned, Route, RouteView, Together, VethEnd, VethPair};

mod harness;
mod raw;

use harness::{compare, contender, is_trial, settle, timed};

const VIA4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const VIA6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);

fn to4(n: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x1400_0000 + n)
}

fn to6(n: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits((0x2001_0db8 << 96) + u128::from(n))
}

struct Place {
    netns: Owned<Netns>,
    socket: OwnedFd,
    link: u32,
}

fn place() -> Place {
    let netns = Namespace::anonymous().create().unwrap();
    let near = VethEnd::new("v1").address("10.0.0.2/24").address("fd00::2/64").up();
    let cable = VethPair::new(near, VethEnd::new("v2").up()).create(&netns).unwrap().keep();
    let socket = raw::open_in(&netns);
    Place { socket, link: cable.near().index().get(), netns }
}

fn replay(socket: &OwnedFd, datagrams: &[Vec<u8>]) {
    for datagram in datagrams {
        raw::exchange(socket, datagram);
    }
}

fn routes(_: &mut Criterion) {
    let (many4, many6) = if is_trial() { (1_000, 500) } else { (100_000, 20_000) };
    let v4: Vec<_> = (0..many4).map(|n| Route::new(Ipv4Net::from(to4(n))).via(VIA4)).collect();
    let host = Netns::current().unwrap();
    let old = Cell::new(None);
    // The kernel's clean-up of the previous namespace's routes is not measured.
    let fresh = || {
        old.set(None);
        settle(&host);
        place()
    };
    let datagrams = raw::ipv4_routes((0..many4).map(|n| (to4(n), VIA4)));
    compare(
        "100000 IPv4 routes in",
        15,
        vec![
            contender("netloom", || {
                let place = fresh();
                let time = timed(|| Route::create_all(&v4, &place.netns).unwrap().keep());
                old.set(Some(place));
                time
            }),
            contender("raw replay", || {
                let place = fresh();
                let time = timed(|| replay(&place.socket, &datagrams));
                old.set(Some(place));
                time
            }),
        ],
    );
    compare(
        "20000 IPv6 routes in",
        15,
        vec![
            contender("netloom", || {
                let place = fresh();
                let v6: Vec<_> = (0..many6)
                    .map(|n| Route::new(Ipv6Net::from(to6(n))).via(VIA6).dev("v1"))
                    .collect();
                let time = timed(|| Route::create_all(&v6, &place.netns).unwrap().keep());
                old.set(Some(place));
                time
            }),
            contender("raw replay", || {
                let place = fresh();
                let datagrams = raw::ipv6_routes((0..many6).map(|n| (to6(n), VIA6)), place.link);
                let time = timed(|| replay(&place.socket, &datagrams));
                old.set(Some(place));
                time
            }),
        ],
    );

    let place = fresh();
    let _there = Route::create_all(&v4, &place.netns).unwrap();
    let all = raw::all_routes();
    let hops = |sum: &mut u64, route: RouteView<'_>| {
        let hop: u32 = route.next_hops().filter_map(|hop| hop.link).map(u32::from).sum();
        *sum += u64::from(route.destination().prefix_len()) + u64::from(hop + route.table());
    };
    compare(
        "100000 routes out",
        15,
        vec![
            contender("netloom, by value", || timed(|| place.netns.routes().unwrap())),
            contender("netloom, lent", || timed(|| place.netns.fold_routes(|| 0, hops).unwrap())),
            contender("raw walk", || timed(|| raw::walk(&place.socket, &all, 28))),
        ],
    );
}

fn links(_: &mut Criterion) {
    let many = if is_trial() { 20 } else { 1_000 };
    let netns = Namespace::anonymous().create().unwrap();
    let cable = |n| VethPair::new(format!("a{n}"), format!("b{n}")).create(&netns);
    let _there = (0..many / 2).map(cable).collect::<Result<Together<Vec<_>>, _>>().unwrap();
    let socket = raw::open_in(&netns);
    let all = raw::all_links();
    let names = |sum: &mut usize, link: LinkView<'_>| {
        *sum += link.name().len() + link.mtu() as usize + link.index().get() as usize;
    };
    compare(
        "1000 links out",
        51,
        vec![
            contender("netloom, by value", || timed(|| netns.links().unwrap())),
            contender("netloom, lent", || timed(|| netns.fold_links(|| 0, names).unwrap())),
            contender("raw walk", || timed(|| raw::walk(&socket, &all, 32))),
        ],
    );
    let request = raw::link_by_name("a7");
    let acknowledged = raw::acknowledged(&request);
    compare(
        "one link by name, a hundred times",
        51,
        vec![
            contender("netloom", || {
                timed(|| {
                    for _ in 0..100 {
                        drop(netns.link("a7").unwrap());
                    }
                })
            }),
            contender("raw get, acknowledged", || {
                timed(|| {
                    for _ in 0..100 {
                        raw::get_acknowledged(&socket, &acknowledged);
                    }
                })
            }),
            contender("raw get", || {
                timed(|| {
                    for _ in 0..100 {
                        raw::get(&socket, &request);
                    }
                })
            }),
        ],
    );
}

criterion_group!(benches, routes, links);
criterion_main!(benches);
