//! Links, their options, and the objects added to them.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::{each_step_fails, every_step, ground, here, support};
use netloom::{
    Address, Bridge, BridgeVlan, Error, Link, Namespace, Netns, Owned, Route, Together, VethEnd,
    VethPair,
};

/// Creates each kind of link, from the list of kinds.
#[test]
fn each_kind() {
    support::isolated(|| {
        let host = Netns::current().unwrap();
        for (name, example) in crate::link::kind::EXAMPLES {
            if support::features::supported_kind(name, example(&host)).is_none() {
                continue;
            }
            each_step_fails(|| example(&host), |_, _| ());
            if *name == "vrf" {
                // The kernel adds these policy rules with the first VRF, and never deletes them.
                support::by_hand(&host, "ip rule delete priority 1000");
                support::by_hand(&host, "ip -6 rule delete priority 1000");
            }
        }
    });
}

/// Creates a second bridge with the name and address of a first, and loses the answers. The address
/// must not count as proof that the request created the bridge.
#[test]
fn an_address_that_was_asked_for_proves_nothing() {
    support::isolated(|| {
        let host = Netns::current().unwrap();
        let bridge = Bridge::new("br0").mac("02:00:00:00:00:09");
        let first = bridge.create(&host).unwrap();
        each_step_fails(
            || match bridge.create(&host) {
                Err(error) if error.is_already_exists() => Ok(()),
                result => result.map(drop),
            },
            |_, _| assert_eq!(host.link("br0").unwrap().index(), first.index()),
        );
    });
}

#[test]
fn bridges() {
    support::isolated(|| {
        every_step(
            &[
                "open the current namespace",
                "create bridge `br0`",
                "add address 10.0.0.1/24",
                "add address fd00::1/64",
                "set MTU of `br0`",
                "list ports of `br0`",
                "list bridge ports",
            ],
            || {
                let host = Netns::current()?;
                let bridge = Bridge::new("br0").address("10.0.0.1/24").address("fd00::1/64").up();
                let bridge = bridge.stp(true).create(&host)?;
                bridge.set_mtu(1400)?;
                bridge.ports()?;
                bridge.delete().map_err(Error::from)
            },
        );
    });
}

#[test]
fn veth_pairs_in_one_namespace() {
    support::isolated(|| {
        every_step(
            &[
                "open the current namespace",
                "create bridge `br0`",
                "set address generation of `br0`",
                "set up `br0`",
                "create veth pair `veth2`",
                "create veth pair `veth1`",
                "add address 10.0.0.1/24",
                "add route default via 10.0.0.254",
                "set address generation of `veth2`",
                "enslave `veth2`",
                "set up `veth2`",
                "look at link `veth1`",
                "look at link `veth2`",
            ],
            || {
                let host = Netns::current()?;
                let _bridge = Bridge::new("br0").no_ipv6_address().up().create(&host)?;
                let near = VethEnd::new("veth1").address("10.0.0.1/24").up().gateway("10.0.0.254");
                let far = VethEnd::new("veth2").master("br0").no_ipv6_address().up();
                VethPair::new(near, far).create(&host).map(drop)
            },
        );
    });
}

#[test]
fn veth_pairs_between_two_namespaces() {
    support::isolated(|| {
        every_step(
            &[
                "open the current namespace",
                "create a namespace",
                "create veth pair `veth1`",
                "add address 10.0.0.1/24",
                "add address 10.0.0.2/24",
                "set up `lo`",
                "set up `eth0`",
                "add route default via 10.0.0.1",
                "rename `veth1`",
                "set up `veth3`",
                "look at link `eth0`",
            ],
            || {
                let host = Netns::current()?;
                let red = Namespace::anonymous().create()?;
                let near = VethEnd::new("veth1").address("10.0.0.1/24");
                let far =
                    VethEnd::new("eth0").address("10.0.0.2/24").gateway("10.0.0.1").loopback_up();
                let cable = VethPair::new(near, far.up()).create_between(&host, &red)?;
                // Kernels before 6.3 rename a link only while it is down.
                cable.near().rename("veth3")?;
                cable.near().set_up()?;
                cable.peer().info().map(drop)
            },
        );
    });
}

#[test]
fn moves() {
    support::isolated(|| {
        every_step(
            &[
                "open the current namespace",
                "create a namespace",
                "create veth pair `veth1`",
                "move `veth2`",
                "move `veth1`",
                "set up `veth1`",
            ],
            || {
                let host = Netns::current()?;
                let red = Namespace::anonymous().create()?;
                let cable = VethPair::new("veth1", "veth2").create(&red)?;
                cable.peer().move_to(&host)?;
                cable.near().move_to(&host)?;
                cable.near().set_up()
            },
        );
    });
}

#[test]
fn changes() {
    support::isolated(|| {
        every_step(
            &[
                "open the current namespace",
                "create bridge `br0`",
                "create veth pair `veth1`",
                "set MAC address of `veth1`",
                "enslave `veth1`",
                "release `veth1`",
                "set up `veth1`",
                "set down `veth1`",
                "rename `veth1`",
            ],
            || {
                let host = Netns::current()?;
                let bridge = Bridge::new("br0").create(&host)?;
                let cable = VethPair::new("veth1", "veth2").create(&host)?;
                let near = cable.near().clone();
                near.set_mac("02:00:00:00:00:09")?;
                near.set_master(&bridge)?;
                near.release()?;
                near.set_up()?;
                near.set_down()?;
                near.rename("veth9")?;
                let kept = cable.keep();
                Owned::adopt(kept).delete().map_err(Error::from)
            },
        );
    });
}

#[test]
fn ports_of_a_bridge() {
    support::isolated(|| {
        let host = here();
        let bridge = Bridge::new("br0").create(&host).unwrap();
        every_step(
            &[
                "create veth pair `port1`",
                "set hairpin mode of `port1`",
                "isolate `port1`",
                "set promiscuous mode of `port1`",
                "list ports of `br0`",
                "list bridge ports",
            ],
            || {
                let near = VethEnd::new("port1").master(&bridge);
                let cable = VethPair::new(near, "port2").create(&host)?;
                cable.near().set_hairpin(true)?;
                cable.near().set_isolated(true)?;
                cable.near().set_promiscuous(true)?;
                bridge.ports().map(drop)
            },
        );
    });
}

#[test]
fn what_a_bridge_is_set_to() {
    support::isolated(|| {
        let host = here();
        every_step(&["create bridge `br0`", "look at bridge `br0`"], || {
            let bridge = Bridge::new("br0").link_local_learning(false).create(&host)?;
            bridge.bridge_info().map(drop)
        });
    });
}

/// Needs a kernel with VLAN filtering in bridges.
#[test]
fn vlans_of_a_port() {
    support::isolated(|| {
        let host = here();
        let bridge = Bridge::new("br0").vlan_filtering(true).create(&host);
        let Some(bridge) = support::features::supported("bridge-vlan-filtering", bridge) else {
            return;
        };
        let near = VethEnd::new("port1").master(&bridge);
        let cable = VethPair::new(near, "port2").create(&host).unwrap();
        let vlan = BridgeVlan::new(100).pvid().untagged();
        let made = vlan.create(cable.near());
        if support::features::supported("bridge-vlan-filtering", made).is_none() {
            return;
        }
        cable.near().leave_vlan(1).unwrap();
        every_step(&["list VLANs of `port1`", "join VLAN `port1`", "leave VLAN `port1`"], || {
            let _vlan = vlan.create(cable.near())?;
            cable.near().leave_vlan(100)
        });
        // The port is in two of these VLANs already, and must stay in them.
        let _there = BridgeVlan::range(203..=204).create(cable.near()).unwrap();
        every_step(&["list VLANs of `port1`", "join VLAN `port1`", "list VLANs of `br0`"], || {
            let _range = BridgeVlan::range(200..=209).create(cable.near())?;
            assert!(cable.near().vlans()?.len() >= 10);
            bridge.vlans().map(drop)
        });
        assert_eq!(cable.near().vlans().unwrap().len(), 2);
    });
}

/// Changes an existing bridge.
#[test]
fn vlan_filtering_of_a_bridge() {
    support::isolated(|| {
        let host = here();
        let bridge = Bridge::new("br0").create(&host).unwrap();
        let done = bridge.set_vlan_filtering(true);
        if support::features::supported("bridge-vlan-filtering", done).is_none() {
            return;
        }
        drop(bridge);
        every_step(
            &["create bridge `br0`", "set VLAN filtering of `br0`", "look at bridge `br0`"],
            || {
                let bridge = Bridge::new("br0").create(&host)?;
                bridge.set_vlan_filtering(true)?;
                let info = bridge.bridge_info()?;
                assert!(info.is_some_and(|info| info.vlan_filtering));
                Ok::<_, Error>(())
            },
        );
    });
}

#[test]
fn groups() {
    support::isolated(|| {
        every_step(
            &[
                "open the current namespace",
                "create veth pair `a0`",
                "create veth pair `a1`",
                "create veth pair `a2`",
            ],
            || {
                let host = Netns::current()?;
                let cable = |n| VethPair::new(format!("a{n}"), format!("b{n}")).create(&host);
                let cables = (0..3).map(cable).collect::<Result<Vec<_>, _>>()?;
                Together::new(cables).delete().map_err(Error::from) as Result<(), Error>
            },
        );
    });
}

#[test]
fn owners_together() {
    support::isolated(|| {
        every_step(
            &["open the current namespace", "create bridge `br0`", "create veth pair `veth1`"],
            || {
                let host = Netns::current()?;
                let bridge = Bridge::new("br0").create(&host)?;
                let cable = VethPair::new("veth1", "veth2").create(&host)?;
                drop(Together::new((bridge, cable)));
                Ok::<_, Error>(())
            },
        );
    });
}

#[test]
fn addresses_and_routes() {
    support::isolated(|| {
        let host = here();
        let cable = ground(&host);
        every_step(&["add address 10.9.0.1/24"], || {
            Address::new("10.9.0.1/24").create(cable.near()).map(drop)
        });
        every_step(&["add address fd00::9/64"], || {
            Address::new("fd00::9/64").create(cable.near()).map(drop)
        });
        every_step(&["add route 10.8.0.0/16 via 10.0.0.2"], || {
            Route::new("10.8.0.0/16").via("10.0.0.2").create(&host).map(drop)
        });
        every_step(&["add route 10.8.0.0/16 dev veth1 metric 7"], || {
            Route::new("10.8.0.0/16").dev("veth1").metric(7).create(&host).map(drop)
        });
        every_step(&["add route fd08::/64 dev veth1"], || {
            Route::new("fd08::/64").dev("veth1").create(&host).map(drop)
        });
        every_step(
            &["add route 10.7.0.0/16 via 10.0.0.2", "add route 10.6.0.0/16 via 10.0.0.2"],
            || {
                let routes =
                    ["10.7.0.0/16", "10.6.0.0/16"].map(|to| Route::new(to).via("10.0.0.2"));
                Route::create_all(&routes, &host).map(drop).map_err(Error::from)
            },
        );
        // These routes need two datagrams, which fail independently.
        let many: Vec<_> = (0..101)
            .map(|n| Route::new(Ipv4Net::from(Ipv4Addr::new(10, 5, 0, n))).via("10.0.0.2"))
            .collect();
        let named: Vec<_> = many.iter().map(|route| format!("add route {route}")).collect();
        let named: Vec<_> = named.iter().map(String::as_str).collect();
        every_step(&named, || Route::create_all(&many, &host).map(drop).map_err(Error::from));
        every_step(
            &[
                "look at link `veth1`",
                "list addresses",
                "set sysctl net/ipv4/conf/veth1/arp_notify=1",
                "announce addresses of `veth1`",
            ],
            || cable.near().announce(),
        );
    });
}

#[test]
fn what_was_there_before_stays() {
    support::isolated(|| {
        let host = here();
        let cable = ground(&host);
        let _first: Owned<Link> = Bridge::new("br0").create(&host).unwrap();
        drop(Address::new("10.0.0.9/24").create(cable.near()).unwrap());
        // These names are taken, but the answer that says so may be lost.
        every_step_of_refused(&["create bridge `br0`"], || {
            Bridge::new("br0").create(&host).map(drop)
        });
        every_step_of_refused(&["create veth pair `veth9`"], || {
            VethPair::new("veth9", "veth1").create(&host).map(drop)
        });
        every_step_of_refused(&["create veth pair `veth1`"], || {
            VethPair::new("veth1", "veth9").create(&host).map(drop)
        });
    });
}

/// Runs a program that the kernel refuses anyway. A fault besides must change nothing.
#[track_caller]
fn every_step_of_refused(named: &[&str], program: impl Fn() -> Result<(), Error>) {
    every_step(named, || match program() {
        Err(error) if error.is_already_exists() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => panic!("not refused"),
    });
}
