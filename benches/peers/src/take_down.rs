//! Taking down the containers of one bridge, until their names are free again.

use netloom::{Bridge, Netns, Owned, Together, Veth};

use crate::harness::{Contender, contender, medians, settle, timed};
use crate::peers::{Calls, Nlink, Rtnetlink, ip};
use crate::raw;
use crate::raw::attach::Plan;
use crate::report::{BATCHES, Report};
use crate::work;

type Container = (Owned<Veth>, Owned<Netns>);

pub fn measure(report: &mut Report, quick: bool) {
    let many = if quick { 5 } else { 100 };
    let host = Netns::current().unwrap();
    let bridge = Bridge::new("br0").address("10.0.0.1/16").up().create(&host).unwrap();
    let (rtnetlink, nlink, socket) = (Rtnetlink::here(), Nlink::here(), raw::open_in(&host));
    let build = || (0..many).map(|n| work::cable(&host, &bridge, &Plan::number(n))).collect();
    let measured = medians(
        10,
        &mut [
            taking_down(&host, "netloom", &build, |all| drop(Together::new(all))),
            taking_down(&host, "raw replay", &build, |all| {
                let datagrams = raw::group_delete(&indexes(&all));
                datagrams.iter().for_each(|datagram| raw::exchange(&socket, datagram));
                close(all);
            }),
            taking_down(&host, "nlink", &build, |all| {
                nlink.remove_links(&indexes(&all));
                close(all);
            }),
            taking_down(&host, "rtnetlink", &build, |all| {
                rtnetlink.remove_links(&indexes(&all));
                close(all);
            }),
            taking_down(&host, BATCHES, &build, |all| {
                let line = |(cable, _): &Container| format!("link del {}\n", cable.near().name());
                ip(Calls::Batches, None, &all.iter().map(line).collect::<String>());
                close(all);
            }),
        ],
    );
    report.add(format!("{many} containers of one bridge taken down"), &measured);
    drop(bridge);
    settle(&host);
}

fn taking_down<'a>(
    host: &'a Netns,
    name: &'static str,
    build: &'a dyn Fn() -> Vec<Container>,
    take_down: impl Fn(Vec<Container>) + 'a,
) -> Contender<'a> {
    contender(name, move || {
        let all = build();
        let time = timed(|| take_down(all));
        assert_eq!(host.links().unwrap().len(), 2, "lo and the bridge");
        settle(host);
        time
    })
}

fn indexes(all: &[Container]) -> Vec<u32> {
    all.iter().map(|(cable, _)| cable.near().index().get()).collect()
}

/// Closes the namespaces after their links were deleted.
fn close(all: Vec<Container>) {
    for (cable, container) in all {
        cable.keep();
        drop(container);
    }
}
