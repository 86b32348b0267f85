//! Settings of routes: each as netloom and `ip` list it, and its effect on packets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::cell::Cell;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::time::Duration;

use netloom::{
    Forwarding, Namespace, Netns, NextHop, Owned, Route, RouteInfo, RouteOption, RoutePreference,
    RouteType, Scope, Veth, VethEnd, VethPair,
};
use serde_json::{Value, json};

use support::{json, reaches};

fn netns() -> Owned<Netns> {
    Namespace::anonymous().create().unwrap()
}

/// Creates a cable from `eth{number}` at 10.0.{number}.2 to `eth0` of a router at 10.0.{number}.1,
/// with both families.
fn cable(number: u8, client: &Netns, router: &Netns) -> Owned<Veth> {
    let end = |name: String, host: u8| {
        VethEnd::new(name)
            .address(format!("10.0.{number}.{host}/24"))
            .address(format!("fd00:0:0:{number}::{host}/64"))
            .up()
            .loopback_up()
    };
    let pair = VethPair::new(end(format!("eth{number}"), 2), end("eth0".into(), 1));
    pair.create_between(client, router).unwrap()
}

/// Returns the routes that netloom created.
fn ours(netns: &Netns) -> Vec<RouteInfo> {
    let mut list = netns.routes().unwrap();
    list.retain(|route| route.protocol == 78 || route.protocol == 99);
    list
}

/// Creates each route alone, and compares netloom's text and the output of `ip -json -details`.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_setting_is_listed() {
    support::isolated(|| {
        let (client, routers) = (netns(), [netns(), netns()]);
        let _cables = [cable(1, &client, &routers[0]), cable(2, &client, &routers[1])];
        let plain = || Route::new("10.9.0.0/16").via("10.0.1.1");
        let six = || Route::new("fd09::/64").via("fd00:0:0:1::1");
        let hop = NextHop::new;
        let cases: Vec<(Route, &str, Value)> = vec![
            (
                plain().tos(0x10),
                "10.9.0.0/16 tos 0x10 via 10.0.1.1 dev eth1 proto 78",
                json!({"tos": "0x10"}),
            ),
            (
                plain().protocol(99).table(1000).metric(u32::MAX),
                "10.9.0.0/16 via 10.0.1.1 dev eth1 table 1000 proto 99 metric 4294967295",
                json!({"table": "1000", "metric": 4_294_967_295_u32}),
            ),
            (
                plain()
                    .mtu(1400)
                    .lock(RouteOption::Mtu)
                    .option(RouteOption::Rtt, 160)
                    .option(RouteOption::InitialCongestionWindow, 20)
                    .option(RouteOption::MinimumTimeout, 200)
                    .congestion_control("reno"),
                "10.9.0.0/16 via 10.0.1.1 dev eth1 proto 78 mtu lock 1400 rtt 20ms initcwnd 20 \
                 rto_min 200ms congctl reno",
                json!({"metrics": [{"mtu": 1400, "rtt": 20, "initcwnd": 20, "rto_min": 200, "congestion": "reno"}]}),
            ),
            (
                plain()
                    .option(RouteOption::Window, 5000)
                    .option(RouteOption::RttVariance, 40)
                    .option(RouteOption::SlowStartThreshold, 7)
                    .option(RouteOption::CongestionWindow, 8)
                    .advmss(1200)
                    .option(RouteOption::Reordering, 9)
                    .option(RouteOption::HopLimit, 33)
                    .option(RouteOption::InitialReceiveWindow, 11)
                    .option(RouteOption::QuickAck, 1)
                    .option(RouteOption::FastOpenWithoutCookie, 1),
                "10.9.0.0/16 via 10.0.1.1 dev eth1 proto 78 window 5000 rttvar 10ms ssthresh 7 cwnd 8 \
                 advmss 1200 reordering 9 hoplimit 33 initrwnd 11 quickack 1 fastopen_no_cookie 1",
                json!({"metrics": [{
                    "window": 5000, "rttvar": 10, "ssthresh": 7, "cwnd": 8, "advmss": 1200,
                    "reordering": 9, "hoplimit": 33, "initrwnd": 11, "quickack": 1,
                    "fastopen_no_cookie": 1,
                }]}),
            ),
            (
                Route::new("10.9.0.0/16")
                    .next_hop(hop().via("10.0.1.1").weight(3))
                    .next_hop(hop().via("10.77.0.1").dev("eth2").weight(256).on_link())
                    .source("10.0.1.2"),
                "10.9.0.0/16 proto 78 src 10.0.1.2 nexthop via 10.0.1.1 dev eth1 weight 3 \
                 nexthop via 10.77.0.1 dev eth2 weight 256 onlink",
                json!({"prefsrc": "10.0.1.2", "nexthops": [
                    {"gateway": "10.0.1.1", "dev": "eth1", "weight": 3, "flags": []},
                    {"gateway": "10.77.0.1", "dev": "eth2", "weight": 256, "flags": ["onlink"]},
                ]}),
            ),
            (
                Route::new("10.9.0.0/16").via("fd00:0:0:1::1"),
                "10.9.0.0/16 via fd00:0:0:1::1 dev eth1 proto 78",
                json!({"via": {"family": "inet6", "host": "fd00:0:0:1::1"}}),
            ),
            (
                Route::new("10.9.0.0/16")
                    .next_hop(hop().via("fd00:0:0:1::1"))
                    .next_hop(hop().via("10.0.2.1")),
                "10.9.0.0/16 proto 78 nexthop via fd00:0:0:1::1 dev eth1 weight 1 \
                 nexthop via 10.0.2.1 dev eth2 weight 1",
                json!({"nexthops": [
                    {"via": {"family": "inet6", "host": "fd00:0:0:1::1"}, "dev": "eth1", "weight": 1, "flags": []},
                    {"gateway": "10.0.2.1", "dev": "eth2", "weight": 1, "flags": []},
                ]}),
            ),
            (
                Route::local("10.9.0.0/16").dev("eth1"),
                "local 10.9.0.0/16 dev eth1 table 255 proto 78 scope host",
                json!({"type": "local", "table": "local", "scope": "host"}),
            ),
            (
                Route::blackhole("default"),
                "blackhole default proto 78",
                json!({"type": "blackhole"}),
            ),
            (
                Route::unreachable("10.9.0.0/16"),
                "unreachable 10.9.0.0/16 proto 78",
                json!({"type": "unreachable"}),
            ),
            (
                Route::prohibit("10.9.0.0/16"),
                "prohibit 10.9.0.0/16 proto 78",
                json!({"type": "prohibit"}),
            ),
            (
                Route::throw("10.9.0.0/16").table(7),
                "throw 10.9.0.0/16 table 7 proto 78",
                json!({"type": "throw"}),
            ),
            (
                Route::new("10.9.0.0/16").dev("eth1").kind(RouteType::Broadcast).scope(Scope::Link),
                "broadcast 10.9.0.0/16 dev eth1 table 255 proto 78 scope link",
                json!({"type": "broadcast", "scope": "link"}),
            ),
            (
                six().preference(RoutePreference::High).metric(5),
                "fd09::/64 via fd00:0:0:1::1 dev eth1 proto 78 metric 5 pref high",
                json!({"pref": "high", "metric": 5}),
            ),
            (
                six().from("fd00::/48").source("fd00:0:0:1::2"),
                "fd09::/64 from fd00::/48 via fd00:0:0:1::1 dev eth1 proto 78 src fd00:0:0:1::2 metric 1024",
                json!({"from": "fd00::/48", "prefsrc": "fd00:0:0:1::2"}),
            ),
            (
                Route::new("fd09::/64")
                    .next_hop(hop().via("fd00:0:0:1::1").weight(2))
                    .next_hop(hop().via("fd00:0:0:2::1"))
                    .mtu(1300),
                "fd09::/64 proto 78 metric 1024 mtu 1300 nexthop via fd00:0:0:1::1 dev eth1 weight 2 \
                 nexthop via fd00:0:0:2::1 dev eth2 weight 1",
                json!({"metrics": [{"mtu": 1300}]}),
            ),
            (
                Route::prohibit("fd09::/64"),
                "prohibit fd09::/64 dev lo proto 78 metric 1024",
                json!({"type": "prohibit"}),
            ),
            (
                Route::local("fd09::/64").dev("lo"),
                "local fd09::/64 dev lo table 255 proto 78 metric 1024",
                json!({"type": "local", "table": "local"}),
            ),
        ];
        let names = client.link_names().unwrap();
        for (route, line, theirs) in cases {
            let before = support::kernel::listed(&client);
            let owned = route.create(&client).unwrap();
            let listed = ours(&client);
            let [info] = listed.as_slice() else { panic!("{listed:?}") };
            assert_eq!(info.display(&names).to_string(), line);
            assert_eq!(owned.info().unwrap(), *info);
            let family = if line.contains("fd09") { "-6" } else { "-4" };
            let protocol = info.protocol;
            let list = format!("-details {family} route show table all proto {protocol}");
            if let Some(list) = json(&client, "ip", &list) {
                assert_eq!(list.len(), 1);
                for (key, value) in theirs.as_object().unwrap() {
                    assert_eq!(list[0][key], *value, "{key} of {route}");
                }
            }
            // A change that changes nothing has no effect, and the deletion leaves nothing.
            owned.change(|same| same).unwrap();
            assert_eq!(ours(&client), listed, "{route}");
            owned.delete().unwrap();
            assert_eq!(support::kernel::listed(&client), before, "{route}");
        }
    });
}

#[test]
fn an_ipv6_route_expires() {
    support::isolated(|| {
        let (client, router) = (netns(), netns());
        let _cable = cable(1, &client, &router);
        let route = Route::new("fd09::/64").dev("eth1");
        let lasting = route.clone().expires(Duration::from_millis(90_500)).create(&client).unwrap();
        let left = lasting.info().unwrap().expires.unwrap();
        assert!(left <= Duration::from_secs(91) && left > Duration::from_secs(80), "{left:?}");
        if let Some(theirs) = json(&client, "ip", "-6 route show fd09::/64") {
            assert!(theirs[0]["expires"].as_i64().is_some_and(|left| (80..=91).contains(&left)));
        }
        lasting.delete().unwrap();
        let brief = route.expires(Duration::from_secs(1)).create(&client).unwrap();
        assert!(client.route_to("fd09::1").is_ok());
        support::eventually("the lifetime is over", || client.route_to("fd09::1").is_err());
        drop(brief);
    });
}

/// Two next hops with equal weights each get about half of the flows. A next hop of weight 3 beside
/// one of weight 1 gets about three quarters.
#[test]
fn flows_spread_over_next_hops_by_weight() {
    support::isolated(|| {
        let (client, routers) = (netns(), [netns(), netns()]);
        let _cables = [cable(1, &client, &routers[0]), cable(2, &client, &routers[1])];
        let take_all = |router: &Owned<Netns>| {
            let routes = ["10.9.0.0/16", "fd09::/64"];
            let owners = routes.map(|to| Route::local(to).dev("lo").create(router).unwrap());
            let socket = router.run(|| UdpSocket::bind("[::]:9")).unwrap().unwrap();
            socket.set_nonblocking(true).unwrap();
            (socket, owners)
        };
        let sinks = [take_all(&routers[0]), take_all(&routers[1])];
        let counts = || {
            sinks
                .each_ref()
                .map(|(socket, _)| std::iter::from_fn(|| socket.recv(&mut [0; 8]).ok()).count())
        };
        let hop = |via: &str, weight| NextHop::new().via(via).weight(weight);
        for (to, gateways, any) in [
            ("10.9.0.0/16", ["10.0.1.1", "10.0.2.1"], "0.0.0.0:0"),
            ("fd09::/64", ["fd00:0:0:1::1", "fd00:0:0:2::1"], "[::]:0"),
        ] {
            for (weight, least, most) in [(1, 120, 280), (3, 240, 370)] {
                let route =
                    Route::new(to).next_hop(hop(gateways[0], weight)).next_hop(hop(gateways[1], 1));
                let _route = route.create(&client).unwrap();
                for gateway in gateways {
                    reaches(&client, gateway);
                }
                let from = client.run(|| UdpSocket::bind(any)).unwrap().unwrap();
                let arrived = Cell::new([0, 0]);
                for n in 0..400_u16 {
                    let [high, low] = n.to_be_bytes();
                    let target = if any.starts_with('0') {
                        format!("10.9.{high}.{}:9", low.max(1))
                    } else {
                        format!("[fd09::{n:x}]:9")
                    };
                    from.send_to(b"x", &target).unwrap();
                    if n % 100 < 99 {
                        continue;
                    }
                    // Receives the datagrams before a socket's buffer is full.
                    support::eventually("all datagrams arrive", || {
                        let ([before, earlier], [more, further]) = (arrived.get(), counts());
                        arrived.set([before + more, earlier + further]);
                        arrived.get().iter().sum::<usize>() == usize::from(n) + 1
                    });
                }
                let arrived = arrived.get();
                assert!((least..=most).contains(&arrived[0]), "{to} {weight}: {arrived:?}");
            }
        }
    });
}

#[test]
fn ipv4_goes_through_an_ipv6_gateway() {
    support::isolated(|| {
        let (client, router) = (netns(), netns());
        // The link between client and router has IPv6 addresses only.
        let end = |name, address| VethEnd::new(name).address(address).up().loopback_up();
        let pair = VethPair::new(end("eth0", "fd00::2/64"), end("eth0", "fd00::1/64"));
        let _cable = pair.create_between(&client, &router).unwrap();
        let address = |netns: &Netns, ip: &str| {
            netloom::Address::new(ip).create(&netns.link("lo").unwrap()).unwrap()
        };
        let _addresses = [address(&client, "10.1.0.1/32"), address(&router, "10.2.0.1/32")];
        let _there =
            Route::new("10.2.0.0/16").via("fd00::1").source("10.1.0.1").create(&client).unwrap();
        let _back = Route::new("10.1.0.0/16").via("fd00::2").create(&router).unwrap();
        reaches(&client, "10.2.0.1");
    });
}

/// A router replies for each type of route with a different ICMP message, or with none.
#[test]
fn each_type_has_its_icmp_answer() {
    support::isolated(|| {
        let (client, router) = (netns(), netns());
        let _cable = cable(1, &client, &router);
        let _on = [
            Forwarding::ipv4().create(&router).unwrap(),
            Forwarding::ipv6().create(&router).unwrap(),
        ];
        let rate = ["net.ipv4.icmp_ratelimit", "net.ipv6.icmp.ratelimit"];
        let _unlimited = rate.map(|name| netloom::Sysctl::new(name, 0).create(&router).unwrap());
        let _defaults = ["10.0.1.1", "fd00:0:0:1::1"]
            .map(|via| Route::default_via(via).create(&client).unwrap());
        // The codes of "destination unreachable": RFC 1812 5.2.7.1, RFC 4443 3.1.
        for (kind, icmp, icmpv6) in [
            (RouteType::Unreachable, Some(1), Some(0)),
            (RouteType::Prohibit, Some(13), Some(1)),
            (RouteType::Throw, Some(0), Some(0)),
            (RouteType::Blackhole, None, None),
        ] {
            for (to, target, code) in
                [("10.66.0.0/16", "10.66.0.1:9", icmp), ("fd66::/64", "[fd66::1]:9", icmpv6)]
            {
                let _route = Route::new(to).kind(kind).create(&router).unwrap();
                assert_eq!(unreachable_code(&client, target), code, "{kind} {to}");
            }
        }
    });
}

/// Sends a datagram, and returns the code of the ICMP message "destination unreachable", if it
/// comes.
fn unreachable_code(from: &Netns, target: &str) -> Option<u8> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
    let ipv6 = target.starts_with('[');
    let raw: OwnedFd = if ipv6 {
        from.raw_ipv6_socket(58).unwrap()
    } else {
        let open = || {
            socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Icmp)
        };
        from.run(open).unwrap().unwrap()
    };
    let raw = UdpSocket::from(raw);
    raw.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let any = if ipv6 { "[::]:0" } else { "0.0.0.0:0" };
    let udp = from.run(|| UdpSocket::bind(any)).unwrap().unwrap();
    udp.send_to(b"x", target).unwrap();
    let mut packet = [0; 512];
    // The raw socket also receives other ICMP messages.
    while let Ok(length) = raw.recv(&mut packet) {
        let message = if ipv6 { &packet[..length] } else { &packet[20..length] };
        if message[0] == if ipv6 { 1 } else { 3 } {
            return Some(message[1]);
        }
    }
    None
}
