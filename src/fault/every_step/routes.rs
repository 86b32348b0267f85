//! Routes that are appended, replaced, looked up and adopted.

use super::{every_step, ground, here, support};
use netloom::{Error, PolicyRule, Route, RouteFilter, RouteType};

#[test]
fn routes() {
    support::isolated(|| {
        let host = here();
        let _cable = ground(&host);
        every_step(&["append route fd08::/64 dev veth1"], || {
            Route::new("fd08::/64").dev("veth1").append(&host).map(drop)
        });
        every_step(&["replace route 10.8.0.0/16 via 10.0.0.2"], || {
            Route::new("10.8.0.0/16").via("10.0.0.2").replace(&host).map(drop)
        });
        let _kept = Route::new("10.8.0.0/16").via("10.0.0.2").create(&host).unwrap();
        every_step(&["change route 10.8.0.0/16 via 10.0.0.2"], || {
            Route::new("10.8.0.0/16").via("10.0.0.2").change(&host).map(drop)
        });
        every_step(&["find routes to 10.8.0.0/16 table 254", "read a route"], || {
            host.route("10.8.0.0/16")?.info().map(drop)
        });
        every_step(&["find the route to 10.8.0.1"], || host.route_to("10.8.0.1").map(drop));
        every_step(&["add route blackhole 10.4.0.0/16", "flush routes within 10.4.0.0/16"], || {
            let lost = Route::blackhole("10.4.0.0/16").create(&host)?;
            RouteFilter::new().within("10.4.0.0/16").flush(&host)?;
            lost.delete().map_err(Error::from)
        });
        every_step(
            &[
                "add route blackhole 10.4.0.0/16",
                "change a route",
                "change route prohibit 10.4.0.0/16 table 254",
            ],
            || {
                let lost = Route::blackhole("10.4.0.0/16").create(&host)?;
                lost.change(|route| route.kind(RouteType::Prohibit))
            },
        );
    });
}

#[test]
fn rules() {
    support::isolated(|| {
        let host = here();
        every_step(&["add rule from all lookup 77"], || {
            PolicyRule::ipv4().table(77).create(&host).map(drop)
        });
        let like = PolicyRule::ipv6().mark(5).table(77).priority(100);
        every_step(&["add rule 100: from all fwmark 0x5 lookup 77"], || {
            like.create(&host).map(drop)
        });
        every_step(&["replace rule 100: from all fwmark 0x5 lookup 77"], || {
            like.replace(&host).map(drop)
        });
        let _kept = like.create(&host).unwrap();
        every_step(
            &[
                "find rule 100: from all fwmark 0x5 lookup 77",
                "read rule 100: from all fwmark 0x5 lookup 77 proto 78",
            ],
            || host.rule(&like)?.info().map(drop),
        );
    });
}
