//! Settings of a namespace: by type and by name, over `/proc` and over netlink, restored by owners.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use netloom::{
    AcceptRa, ArpAccept, ArpAnnounce, ArpIgnore, Conf, Forwarding, Namespace, Netns, RpFilter,
    Setting, Sysctl, VethEnd, VethPair,
};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Sets a value, reads it back by type and by name, drops the owner, and checks the old value.
macro_rules! there_and_back {
    ($netns:expr, $setting:expr, $value:expr, $text:expr) => {
        let (netns, setting): (&Netns, _) = ($netns, $setting);
        let before = setting.read(netns).unwrap();
        let owner = setting.to($value).create(netns).unwrap();
        assert_eq!(setting.read(netns).unwrap(), $value, "{}", setting.name());
        assert_eq!(netns.sysctl(setting.name()).unwrap(), $text, "{}", setting.name());
        drop(owner);
        assert_eq!(setting.read(netns).unwrap(), before, "{}", setting.name());
    };
}

#[test]
fn the_usual_ones_have_types() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let _cable = VethPair::new("a.1", "b").create(&red).unwrap();
        there_and_back!(&red, Setting::ipv4_forwarding(Conf::All), true, "1");
        there_and_back!(&red, Setting::ipv6_forwarding("a.1"), true, "1");
        there_and_back!(&red, Setting::disable_ipv6("b"), true, "1");
        there_and_back!(&red, Setting::rp_filter("a.1"), RpFilter::Loose, "2");
        there_and_back!(&red, Setting::accept_ra(Conf::Default), AcceptRa::Always, "2");
        there_and_back!(&red, Setting::accept_local(Conf::All), true, "1");
        there_and_back!(&red, Setting::route_localnet("b"), true, "1");
        there_and_back!(&red, Setting::arp_ignore("b"), ArpIgnore::Never, "8");
        there_and_back!(&red, Setting::arp_announce("b"), ArpAnnounce::Best, "2");
        there_and_back!(&red, Setting::arp_accept("b"), ArpAccept::Always, "1");
        there_and_back!(&red, Setting::arp_notify("b"), true, "1");
        there_and_back!(&red, Setting::arp_filter("b"), true, "1");
        there_and_back!(&red, Setting::proxy_arp("b"), true, "1");
        there_and_back!(&red, Setting::unprivileged_port_start(), 80, "80");
        // The default range can't be restored if group 1 is not mapped.
        let groups = std::fs::read_to_string("/proc/self/gid_map").unwrap();
        if groups.split_whitespace().nth(2).is_some_and(|count| count.len() > 5) {
            there_and_back!(&red, Setting::ping_group_range(), 0..=0, "0\t0");
        }
        // No setting changed in another namespace.
        let here = Netns::current().unwrap();
        assert_eq!(Setting::unprivileged_port_start().read(&here).unwrap(), 1024);
    });
}

#[test]
fn settings_over_netlink_are_those_of_proc() {
    type Switch = fn(&netloom::Link) -> Setting<bool>;
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let cable = VethPair::new("eth0", "peer").create(&red).unwrap();
        let link = cable.near();
        let switches: [(Switch, &str); 10] = [
            (|link| Setting::ipv4_forwarding(link), "forwarding"),
            (|link| Setting::proxy_arp(link), "proxy_arp"),
            (|link| Setting::accept_redirects(link), "accept_redirects"),
            (|link| Setting::send_redirects(link), "send_redirects"),
            (|link| Setting::log_martians(link), "log_martians"),
            (|link| Setting::arp_filter(link), "arp_filter"),
            (|link| Setting::promote_secondaries(link), "promote_secondaries"),
            (|link| Setting::arp_notify(link), "arp_notify"),
            (|link| Setting::accept_local(link), "accept_local"),
            (|link| Setting::route_localnet(link), "route_localnet"),
        ];
        let shown = |name: &str| {
            let path = format!("/proc/sys/net/ipv4/conf/eth0/{name}");
            red.run(|| std::fs::read_to_string(path).unwrap().trim().to_owned()).unwrap()
        };
        let there_and_back = |sysctl: Sysctl, name: &str, other: &str| {
            let before = shown(name);
            let owner = sysctl.create(&red).unwrap();
            assert_eq!(shown(name), other, "{name}");
            drop(owner);
            assert_eq!(shown(name), before, "{name}");
        };
        for (setting, name) in switches {
            let other = shown(name) == "0";
            there_and_back(setting(link).to(other), name, if other { "1" } else { "0" });
        }
        there_and_back(Setting::rp_filter(link).to(RpFilter::Strict), "rp_filter", "1");
        there_and_back(Setting::arp_announce(link).to(ArpAnnounce::Best), "arp_announce", "2");
        there_and_back(Setting::arp_ignore(link).to(ArpIgnore::Never), "arp_ignore", "8");
        there_and_back(Setting::arp_accept(link).to(ArpAccept::Always), "arp_accept", "1");
        // A later change by another program remains, and a missing link is no failure.
        let owner = Setting::arp_notify(link).to(true).create(&red).unwrap();
        drop(Setting::arp_ignore("eth0").to(ArpIgnore::SameLink).create(&red).unwrap().keep());
        let second = Setting::arp_ignore(link).to(ArpIgnore::SameNetwork).create(&red).unwrap();
        let third = Setting::arp_ignore(link).to(ArpIgnore::NotHostScope).create(&red).unwrap();
        second.delete().unwrap();
        assert_eq!(Setting::arp_ignore(link).read(&red).unwrap(), ArpIgnore::NotHostScope);
        let gone = link.clone();
        cable.delete().unwrap();
        owner.delete().unwrap();
        third.delete().unwrap();
        assert!(Setting::arp_notify(&gone).to(true).create(&red).unwrap_err().is_not_found());
    });
}

#[test]
fn what_the_kernel_refuses_is_told_by_name() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let unknown = Sysctl::new("net.ipv4.no_such_setting", 1).create(&red).unwrap_err();
        assert!(unknown.is_not_found(), "{unknown}");
        assert!(unknown.to_string().contains("net.ipv4.no_such_setting=1"), "{unknown}");
        let unknown = red.sysctl("net.ipv4.no_such_setting").unwrap_err();
        assert!(unknown.is_not_found() && unknown.remedy().is_some(), "{unknown}");
        let nobody = Setting::rp_filter("nobody").read(&red).unwrap_err();
        assert!(nobody.is_not_found(), "{nobody}");
        let value = Sysctl::new("net.ipv4.ip_forward", "often").create(&red).unwrap_err();
        assert_eq!(value.raw_os_error(), Some(nix::libc::EINVAL), "{value}");
        assert!(value.remedy().is_some_and(|hint| hint.contains("value")), "{value}");
        let outside = Sysctl::new("kernel.hostname", "x").create(&red).unwrap_err();
        assert!(outside.is_invalid_input(), "{outside}");
    });
}

#[test]
fn where_proc_is_read_only_netlink_still_sets() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let cable = VethPair::new("eth0", "peer").create(&red).unwrap();
        let (none, bind) = (None::<&str>, MsFlags::MS_BIND);
        mount(Some("/proc/sys"), "/proc/sys", none, bind, none).unwrap();
        mount(none, "/proc/sys", none, bind | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, none)
            .unwrap();
        let refused = Setting::ipv4_forwarding(Conf::All).to(true).create(&red).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(nix::libc::EROFS), "{refused}");
        assert!(refused.to_string().contains("net/ipv4/conf/all/forwarding"), "{refused}");
        let forwarding = Forwarding::ipv4().dev(cable.near()).create(&red).unwrap();
        assert_eq!(red.sysctl("net.ipv4.conf.eth0.forwarding").unwrap(), "1");
        drop(forwarding);
        umount2("/proc/sys", MntFlags::MNT_DETACH).unwrap();
    });
}

/// Runs without `CAP_NET_RAW` and `CAP_NET_BIND_SERVICE`, so that the settings decide.
#[test]
fn ports_and_pings_follow_their_settings() {
    const SYS_ADMIN: u32 = 1 << 21; // to return home
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        red.link("lo").unwrap().set_up().unwrap();
        let tried = || {
            let tries = || {
                support::process::keep_capabilities(SYS_ADMIN);
                let here = netloom::Netns::current().unwrap();
                (here.ping("127.0.0.1").map(drop), here.tcp_listen("127.0.0.1:80").map(drop))
            };
            red.run(tries).unwrap()
        };
        // The initial range of an ordinary user's namespace may include this group: use a range
        // without it.
        let nobody = Setting::ping_group_range().to(1..=1).create(&red);
        let (ping, listen) = tried();
        if nobody.is_ok() || Setting::ping_group_range().read(&red).unwrap().is_empty() {
            assert!(ping.unwrap_err().to_string().contains("ping_group_range"));
        }
        let listen = listen.unwrap_err();
        assert!(listen.is_permission_denied(), "{listen}");
        assert!(listen.to_string().contains("ip_unprivileged_port_start"), "{listen}");

        let _range = Setting::ping_group_range().to(0..=0).create(&red).unwrap();
        let _ports = Setting::unprivileged_port_start().to(80).create(&red).unwrap();
        let (ping, listen) = tried();
        ping.unwrap();
        listen.unwrap();
        red.wait_reachable("127.0.0.1", Duration::from_secs(1)).unwrap();
    });
}

/// A router that forwards IPv6 still accepts advertisements on the link where it received them
/// before.
#[test]
fn ipv6_forwarding_keeps_router_advertisements() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let _cable = VethPair::new(VethEnd::new("eth0").up(), VethEnd::new("peer").up())
            .create(&red)
            .unwrap();
        let accepts = Setting::accept_ra("eth0");
        assert_eq!(accepts.read(&red).unwrap(), AcceptRa::UnlessForwarding);
        let forwarding = Forwarding::ipv6().create(&red).unwrap();
        assert_eq!(accepts.read(&red).unwrap(), AcceptRa::Always);
        assert!(Setting::ipv6_forwarding(Conf::All).read(&red).unwrap());
        drop(forwarding);
        assert_eq!(accepts.read(&red).unwrap(), AcceptRa::UnlessForwarding);
    });
}
