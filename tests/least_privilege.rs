//! `CAP_NET_ADMIN` in the user namespace that owns the network namespace is enough to configure the
//! network. Errors name any further capability.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fmt::Debug;
use std::fs;
use std::thread;
use std::time::Duration;

use netloom::nft::{Chain, Element, Family, Map, Rule, Set, Table, Transaction, Type, Verdict};
use netloom::{
    Address, Bridge, ConntrackFilter, Error, Firewall, Forwarding, Namespace, NatRule, Netns,
    Owned, PortForward, Route, Setting, Sysctl, VethEnd, VethPair,
};

use support::process::keep_capabilities;
use support::{leaves_nothing, refused};

const CAP_NET_ADMIN: u32 = 1 << 12;

/// Runs `work` on a thread that has `CAP_NET_ADMIN` alone.
fn with_net_admin_alone<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            keep_capabilities(CAP_NET_ADMIN);
            let status = fs::read_to_string("/proc/thread-self/status").unwrap();
            let effective = status.lines().find(|line| line.starts_with("CapEff:")).unwrap();
            assert_eq!(effective.split_whitespace().nth(1), Some("0000000000001000"));
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[test]
fn net_admin_is_enough_in_ones_own_namespace() {
    support::isolated(|| {
        let own = Namespace::anonymous().create().unwrap();
        own.link("lo").unwrap().set_up().unwrap();
        // Kept, because an ordinary user cannot restore the initial range.
        Setting::ping_group_range().to(0..=0).create(&own).unwrap().keep();
        own.run(|| with_net_admin_alone(|| leaves_nothing(everything))).unwrap();
    });
}

/// Uses every part of netloom with the capability that an ordinary user has in a user namespace of
/// their own.
fn everything() {
    let here = Netns::current().unwrap();
    here.link("lo").unwrap().set_up().unwrap();

    // Links, addresses and routes.
    let bridge = Bridge::new("br0").address("10.0.0.1/24").address("fd00::1/64").up();
    let bridge = bridge.create(&here).unwrap();
    let port = VethEnd::new("port1").master(&bridge).no_ipv6_address().up();
    let cable = VethPair::new(port, VethEnd::new("eth0").mtu(1400)).create(&here).unwrap();
    cable.peer().rename("eth9").unwrap();
    cable.peer().set_mac("02:00:00:00:00:09").unwrap();
    cable.peer().set_up().unwrap();
    cable.near().release().unwrap();
    cable.near().set_master(&bridge).unwrap();
    let _address = Address::new("10.0.9.1/24").create(cable.peer()).unwrap();
    let _route = Route::new("10.8.0.0/16").via("10.0.9.2").create(&here).unwrap();
    let _route6 = Route::new("fd08::/32").dev(&bridge).create(&here).unwrap();
    here.links().unwrap();
    here.addresses().unwrap();
    here.routes().unwrap();
    here.neighbors().unwrap();
    here.bridge_ports().unwrap();

    // Settings, by netlink and by their files.
    let _on = Forwarding::ipv4().dev(&bridge).create(&here).unwrap();
    let _conf = Setting::arp_notify(&bridge).to(true).create(&here).unwrap();
    let _all = Forwarding::ipv4().create(&here).unwrap();
    let _all6 = Forwarding::ipv6().create(&here).unwrap();
    let _sysctl = Sysctl::new("net.ipv4.conf.br0.rp_filter", 1).create(&here).unwrap();
    let _typed = Setting::unprivileged_port_start().to(80).create(&here).unwrap();

    // NAT and packet filters, held and persistent.
    let nat = NatRule::masquerade().source("10.0.0.0/24").create(&here).unwrap();
    nat.counter().unwrap();
    let _tagged = NatRule::masquerade().persistent("lab").create(&here).unwrap();
    let _published = PortForward::new(8080, "10.0.0.2").target_port(80).create(&here).unwrap();
    let _firewall = Firewall::new().network(&bridge).create(&here).unwrap();
    let set = Set::new("blocked", Type::Ipv4).element("10.0.0.7");
    let map = Map::verdicts("ports", Type::Port);
    let map = map.element(Element::new(80_u16).verdict(Verdict::Accept));
    let rule = Rule::new().tcp().dport(80).counter().accept();
    let table = Table::new(Family::Inet, "t").set(set).map(map).chain(Chain::new("c").rule(rule));
    let table = table.create(&here).unwrap();
    assert_eq!(table.read().unwrap().chains.len(), 1);
    let mut transaction = Transaction::new(&here);
    transaction.create_table(&Table::new(Family::Ip, "u").persistent("lab"));
    transaction.commit().unwrap();
    for table in here.nft_tables_with_tag("lab").unwrap() {
        drop(Owned::adopt(table));
    }
    assert!(here.nft_ruleset().unwrap().len() >= 3);

    // Connections and sockets.
    here.conntrack().unwrap();
    assert_eq!(ConntrackFilter::new().udp().mark(7).delete(&here).unwrap(), 0);
    here.listeners().unwrap();
    here.tcp_listen("127.0.0.1:0").unwrap();
    here.ping("127.0.0.1").unwrap();

    // Closures and commands in the current namespace need no `CAP_SYS_ADMIN`.
    assert_eq!(here.run(|| 7).unwrap() + here.worker().unwrap().run(|| 7).unwrap(), 14);
    assert!(here.command("true").status().unwrap().success());
}

/// The sockets that were opened in a namespace before the program gave up its privileges still
/// work.
#[test]
fn a_namespace_that_was_opened_before_is_configured_without_entering_it() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        // The nf_tables and conntrack sockets are opened in the namespace at their first use.
        drop(NatRule::masquerade().create(&red).unwrap());
        drop((red.nft_ruleset().unwrap(), red.conntrack().unwrap()));
        with_net_admin_alone(|| {
            let bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&red).unwrap();
            let _route = Route::new("10.8.0.0/16").dev(&bridge).create(&red).unwrap();
            let _nat = NatRule::masquerade().create(&red).unwrap();
            let _on = Forwarding::ipv4().dev(&bridge).create(&red).unwrap();
            red.conntrack().unwrap();
            let here = Netns::current().unwrap();
            let cable = VethPair::new("veth1", "veth2").create_between(&here, &red).unwrap();
            cable.near().rename("veth3").unwrap();
            cable.near().move_to(&red).unwrap();
            assert_eq!(here.links().unwrap().len(), 1);
        });
    });
}

/// The threads share one socket, because no second socket can be opened.
#[test]
fn threads_that_may_not_enter_share_the_socket_that_is_there() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        drop(red.conntrack().unwrap());
        with_net_admin_alone(|| {
            thread::scope(|scope| {
                for thread in 0..8 {
                    let red = &red;
                    scope.spawn(move || {
                        for number in 0..20 {
                            let bridge = Bridge::new(format!("br{thread}x{number}"));
                            let bridge = bridge.create(red).unwrap();
                            bridge.info().unwrap();
                            red.conntrack().unwrap();
                            bridge.delete().unwrap();
                        }
                    });
                }
            });
        });
        assert_eq!(red.links().unwrap().len(), 1);
    });
}

#[test]
fn what_takes_more_says_so() {
    fn takes<T: Debug>(result: Result<T, Error>, privilege: &str) {
        let error = refused(result, &[privilege]);
        assert!(error.is_permission_denied(), "{error}");
        let other = if privilege == "CAP_SYS_ADMIN" { "CAP_NET_ADMIN" } else { "CAP_SYS_ADMIN" };
        assert!(!error.to_string().contains(other), "{error}");
    }
    support::isolated(|| {
        let red = Namespace::named("red").create().unwrap();
        let file = fs::File::open("/run/netns/red").unwrap();
        let here = Netns::current().unwrap();
        with_net_admin_alone(|| {
            leaves_nothing(|| {
                takes(Namespace::anonymous().create(), "CAP_SYS_ADMIN");
                takes(Namespace::named("blue").create(), "CAP_SYS_ADMIN");
                takes(Namespace::named("blue").attach(&here), "CAP_SYS_ADMIN");
                takes(Netns::open("red"), "CAP_SYS_ADMIN");
                takes(Netns::from_path("/run/netns/red"), "CAP_SYS_ADMIN");
                takes(Netns::from_fd(file.try_clone().unwrap().into()), "CAP_SYS_ADMIN");
                takes(red.listeners(), "CAP_SYS_ADMIN");
                takes(red.tcp_listen("127.0.0.1:0"), "CAP_SYS_ADMIN");
                takes(red.tcp_connect("127.0.0.1:80", Duration::from_secs(1)), "CAP_SYS_ADMIN");
                takes(red.udp_bind("127.0.0.1:0"), "CAP_SYS_ADMIN");
                takes(Sysctl::new("net.ipv4.ip_forward", 1).create(&red), "CAP_SYS_ADMIN");
                takes(Setting::ipv4_forwarding(netloom::Conf::All).read(&red), "CAP_SYS_ADMIN");
                // The nf_tables and conntrack sockets are opened in the namespace at their first
                // use.
                takes(NatRule::masquerade().create(&red), "CAP_SYS_ADMIN");
                takes(Table::new(Family::Inet, "t").create(&red), "CAP_SYS_ADMIN");
                takes(Firewall::new().create(&red), "CAP_SYS_ADMIN");
                takes(red.conntrack(), "CAP_SYS_ADMIN");
                takes(red.nft_ruleset(), "CAP_SYS_ADMIN");
                takes(Forwarding::ipv6().create(&red), "CAP_SYS_ADMIN");
                takes(here.tcp_listen("0.0.0.0:80"), "CAP_NET_BIND_SERVICE");
                takes(red.run(|| ()), "CAP_SYS_ADMIN");
                takes(red.worker(), "CAP_SYS_ADMIN");
                takes(red.ping("127.0.0.1"), "CAP_SYS_ADMIN");
                takes(Forwarding::ipv4().create(&red), "CAP_SYS_ADMIN");
                takes(red.sysctl("net.ipv4.ip_forward"), "CAP_SYS_ADMIN");
                takes(red.command("true").status(), "CAP_SYS_ADMIN");
                takes(here.command("true").file("/etc/hosts", "x").status(), "CAP_SYS_ADMIN");
                takes(here.raw_ipv4_socket(1), "CAP_NET_RAW");
            });
        });
        // The same without any capability.
        thread::scope(|scope| {
            let work = || {
                keep_capabilities(0);
                takes(Bridge::new("br0").create(&here), "CAP_NET_ADMIN");
                takes(NatRule::masquerade().create(&here), "CAP_NET_ADMIN");
                takes(
                    Address::new("10.0.0.1/8").create(&here.link("lo").unwrap()),
                    "CAP_NET_ADMIN",
                );
                takes(here.nft_ruleset(), "CAP_NET_ADMIN");
            };
            scope.spawn(work).join().unwrap();
        });
    });
}
