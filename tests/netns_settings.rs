//! Settings inside: typed and by name, over `/proc` and over netlink, put back when their owner goes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use netloom::{
    AcceptRa, ArpAccept, ArpAnnounce, ArpIgnore, Conf, Forwarding, Ipv4Conf, Namespace, Netns,
    RpFilter, Setting, Sysctl, VethEnd, VethPair,
};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Sets it, reads it back by type and by name, drops it, and sees the old value.
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
        there_and_back!(&red, Setting::ipv4_forwarding(), true, "1");
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
        // The default, nobody, can't be put back where its group 1 means nothing.
        let groups = std::fs::read_to_string("/proc/self/gid_map").unwrap();
        if groups.split_whitespace().nth(2).is_some_and(|count| count.len() > 5) {
            there_and_back!(&red, Setting::ping_group_range(), 0..=0, "0\t0");
        }
        // None of it has reached another namespace.
        let here = Netns::current().unwrap();
        assert_eq!(Setting::unprivileged_port_start().read(&here).unwrap(), 1024);
    });
}

#[test]
fn settings_over_netlink_are_those_of_proc() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let cable = VethPair::new("eth0", "peer").create(&red).unwrap();
        let link = cable.near();
        let names = [
            (Ipv4Conf::Forwarding, "forwarding"),
            (Ipv4Conf::ProxyArp, "proxy_arp"),
            (Ipv4Conf::AcceptRedirects, "accept_redirects"),
            (Ipv4Conf::SendRedirects, "send_redirects"),
            (Ipv4Conf::RpFilter, "rp_filter"),
            (Ipv4Conf::LogMartians, "log_martians"),
            (Ipv4Conf::ArpFilter, "arp_filter"),
            (Ipv4Conf::ArpAnnounce, "arp_announce"),
            (Ipv4Conf::ArpIgnore, "arp_ignore"),
            (Ipv4Conf::PromoteSecondaries, "promote_secondaries"),
            (Ipv4Conf::ArpAccept, "arp_accept"),
            (Ipv4Conf::ArpNotify, "arp_notify"),
            (Ipv4Conf::AcceptLocal, "accept_local"),
            (Ipv4Conf::RouteLocalnet, "route_localnet"),
        ];
        for (conf, name) in names {
            let shown = || red.sysctl(&format!("net.ipv4.conf.eth0.{name}")).unwrap();
            let before = shown();
            let other = u32::from(before == "0");
            let owner = conf.to(other).create(link).unwrap();
            assert_eq!(shown(), other.to_string(), "{name}");
            drop(owner);
            assert_eq!(shown(), before, "{name}");
        }
        // Somebody else's later change is left alone, and a link that is gone is no failure.
        let owner = Ipv4Conf::ArpNotify.to(1).create(link).unwrap();
        drop(Setting::arp_ignore("eth0").to(ArpIgnore::SameLink).create(&red).unwrap().keep());
        let second = Ipv4Conf::ArpIgnore.to(2).create(link).unwrap();
        let third = Ipv4Conf::ArpIgnore.to(3).create(link).unwrap();
        second.delete().unwrap();
        assert_eq!(link.ipv4_conf(Ipv4Conf::ArpIgnore).unwrap(), 3);
        let gone = link.clone();
        cable.delete().unwrap();
        owner.delete().unwrap();
        third.delete().unwrap();
        assert!(Ipv4Conf::ArpNotify.to(1).create(&gone).unwrap_err().is_not_found());
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
        let refused = Setting::ipv4_forwarding().to(true).create(&red).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(nix::libc::EROFS), "{refused}");
        assert!(refused.to_string().contains("net.ipv4.ip_forward"), "{refused}");
        let forwarding = Forwarding::ipv4().dev(cable.near()).create(&red).unwrap();
        assert_eq!(red.sysctl("net.ipv4.conf.eth0.forwarding").unwrap(), "1");
        drop(forwarding);
        umount2("/proc/sys", MntFlags::MNT_DETACH).unwrap();
    });
}

/// Who has neither `CAP_NET_RAW` nor `CAP_NET_BIND_SERVICE` goes by the settings.
#[test]
fn ports_and_pings_follow_their_settings() {
    const SYS_ADMIN: u32 = 1 << 21; // to go home
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
        // An ordinary user's namespace starts with another range than the machine's: to be none of ours.
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

/// A router that forwards IPv6 goes on hearing routers on the link it heard them on.
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
