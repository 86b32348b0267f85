//! Many routes: added at once, and listed.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::{Ipv4Net, Ipv6Net};
use netloom::{Netns, Owned, Route, Veth, VethEnd, VethPair};

use crate::harness::{contender, medians, settle, timed};
use crate::peers::{Nlink, Rtnetlink, run};
use crate::raw;
use crate::report::{BATCHES, Report};

const VIA: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const VIA6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);

/// Returns the destination of the route with this number.
pub fn to(n: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x1400_0000 + n)
}

fn to6(n: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits((0x2001_0db8 << 96) + u128::from(n))
}

/// Creates a link with addresses in the gateways' networks.
fn cable(host: &Netns) -> Owned<Veth> {
    let near = VethEnd::new("v1").address("10.0.0.2/24").address("fd00::2/64").up();
    VethPair::new(near, VethEnd::new("v2").up()).create(host).unwrap()
}

/// Measures `work` with a new link. The link's routes are deleted with the link, outside of the
/// measured time, because the kernel frees them asynchronously.
fn with_a_link(host: &Netns, work: &mut dyn FnMut()) -> Duration {
    settle(host);
    let cable = cable(host);
    let time = timed(work);
    drop(cable);
    time
}

/// Measures adding many routes, and listing them.
pub fn routes(report: &mut Report, quick: bool) {
    let many = if quick { 1_000 } else { 100_000 };
    let rounds = 10;
    let host = Netns::current().unwrap();
    let (rtnetlink, nlink, socket) = (Rtnetlink::here(), Nlink::here(), raw::open_in(&host));
    let destinations: Vec<_> = (0..many).map(to).collect();
    let ours: Vec<_> =
        destinations.iter().map(|to| Route::new(Ipv4Net::from(*to)).via(VIA)).collect();
    let datagrams = raw::ipv4_routes(destinations.iter().map(|to| (*to, VIA)));
    let lines: String =
        destinations.iter().map(|to| format!("route add {to} via {VIA}\n")).collect();
    let measured = medians(
        rounds,
        &mut [
            contender("netloom", || {
                let mut made = None;
                let time = with_a_link(&host, &mut || {
                    made = Some(Route::create_all(&ours, &host).unwrap())
                });
                drop(made.map(Owned::keep));
                time
            }),
            contender("raw replay", || {
                let send = |datagram| raw::exchange(&socket, datagram);
                with_a_link(&host, &mut || datagrams.iter().map(Vec::as_slice).for_each(send))
            }),
            contender("nlink", || with_a_link(&host, &mut || nlink.routes_in(&destinations))),
            contender("rtnetlink", || {
                with_a_link(&host, &mut || rtnetlink.routes_in(&destinations))
            }),
            contender(BATCHES, || with_a_link(&host, &mut || run("ip", &["-batch", "-"], &lines))),
        ],
    );
    report.add(format!("{many} IPv4 routes in, among peers"), &measured);

    let cable = cable(&host);
    Route::create_all(&ours, &host).unwrap().keep();
    let all = raw::all_routes();
    let least = many as usize;
    let lent =
        || host.fold_routes(|| 0, |count, route| *count += usize::from(route.table() == 254));
    let measured = medians(
        rounds,
        &mut [
            contender("netloom", || timed(|| assert!(host.routes().unwrap().len() >= least))),
            contender("lent", || timed(|| assert!(lent().unwrap() >= least))),
            contender("raw replay", || timed(|| assert!(raw::walk(&socket, &all, 28).0 >= least))),
            contender("nlink", || timed(|| assert!(nlink.routes_out() >= least))),
            contender("rtnetlink", || timed(|| assert!(rtnetlink.routes_out() >= least))),
            contender(BATCHES, || timed(|| run("ip", &["route", "show"], ""))),
        ],
    );
    report.add(format!("{many} routes out, by value"), &measured);
    let lent = [("netloom", measured[1].1), measured[2]];
    report.add(format!("{many} routes out, lent"), &lent);
    crate::memory::measure(report, &format!("{many} routes out"));
    drop(cable);
}

/// Measures IPv6 routes, each with its link.
pub fn routes6(report: &mut Report, quick: bool) {
    let many = if quick { 500 } else { 20_000 };
    let host = Netns::current().unwrap();
    let (rtnetlink, nlink, socket) = (Rtnetlink::here(), Nlink::here(), raw::open_in(&host));
    let destinations: Vec<_> = (0..many).map(to6).collect();
    let ours: Vec<_> =
        destinations.iter().map(|to| Route::new(Ipv6Net::from(*to)).via(VIA6).dev("v1")).collect();
    let lines: String =
        destinations.iter().map(|to| format!("route add {to} via {VIA6} dev v1\n")).collect();
    let link = || host.link("v1").unwrap().index().get();
    let measured = medians(
        10,
        &mut [
            contender("netloom", || {
                let mut made = None;
                let create = &mut || made = Some(Route::create_all(&ours, &host).unwrap());
                let time = with_a_link(&host, create);
                drop(made.map(Owned::keep));
                time
            }),
            contender("raw replay", || {
                let cable = cable(&host);
                let all = raw::ipv6_routes(destinations.iter().map(|to| (*to, VIA6)), link());
                settle(&host);
                let send = |datagram| raw::exchange(&socket, datagram);
                let time = timed(|| all.iter().map(Vec::as_slice).for_each(send));
                drop(cable);
                time
            }),
            contender("nlink", || {
                with_a_link(&host, &mut || nlink.routes6_in(&destinations, VIA6, link()))
            }),
            contender("rtnetlink", || {
                with_a_link(&host, &mut || rtnetlink.routes6_in(&destinations, VIA6, link()))
            }),
            contender(BATCHES, || with_a_link(&host, &mut || run("ip", &["-batch", "-"], &lines))),
        ],
    );
    report.add(format!("{many} IPv6 routes in, among peers"), &measured);
}
