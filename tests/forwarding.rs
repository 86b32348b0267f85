//! Forwarding: by a whole namespace or by single links, and the previous state after the owner's
//! end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::env;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddrV6;
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use netloom::{Address, Forwarding, Namespace, Netns, Owned, RouteInfo, Sysctl, VethEnd, VethPair};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{MsgFlags, SockaddrIn6, sendto, setsockopt, sockopt};

use support::{by_hand, does_not_reach, reaches, refused};

const HELPER: &str = "NETLOOM_TEST_FORWARDING";

/// Forwards until its standard input ends. Tests with several programs start this helper.
#[test]
#[ignore = "a helper: another test starts it in a process of its own"]
fn program() {
    let what = env::var(HELPER).unwrap();
    let elsewhere = what.ends_with("elsewhere");
    if elsewhere {
        // A private mount namespace and /run, so that this program shares no file with the others.
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), none).unwrap();
    }
    let here = Netns::current().unwrap();
    let forwarding = if what.contains("ipv6") { Forwarding::ipv6() } else { Forwarding::ipv4() };
    let owner = if what.contains("enable") {
        forwarding.enable(&here).unwrap();
        None
    } else if what.contains("link") {
        Some(forwarding.dev("a").create(&here).unwrap())
    } else {
        Some(forwarding.create(&here).unwrap())
    };
    eprintln!("on");
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
    owner.map(Owned::delete).transpose().unwrap();
}

struct Program(Child);

impl Program {
    fn start(what: &str) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "program", "--ignored", "--nocapture"]).env(HELPER, what);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == "on"), "{what}");
        Self(child)
    }

    fn end(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn of_several_programs_the_last_one_restores_what_the_first_found() {
    support::isolated(|| {
        let here = Netns::current().unwrap();
        for family in ["ipv4", "ipv6"] {
            let elsewhere = format!("{family} elsewhere");
            let is_on = || on(&here, family, "all");
            for first_ends_first in [true, false] {
                let (first, second) = (Program::start(family), Program::start(&elsewhere));
                let own = families().into_iter().find(|(name, _)| *name == family).unwrap().1;
                let own = own.create(&here).unwrap();
                let (one, other) = if first_ends_first { (first, second) } else { (second, first) };
                one.end();
                assert!(is_on());
                drop(own);
                assert!(is_on());
                other.end();
                assert!(!is_on(), "{family} {first_ends_first}");
            }
            // The kernel ends the ownership of a killed program.
            let (first, second) = (Program::start(family), Program::start(&elsewhere));
            first.kill();
            assert!(is_on());
            second.end();
            assert!(!is_on(), "{family}: the first is killed");
        }
        assert_eq!(setting(&here, "net.ipv6.conf.default.accept_ra"), "1");
    });
}

#[test]
fn a_programs_link_forwards_when_anothers_switch_is_put_back() {
    support::isolated(|| {
        let here = Netns::current().unwrap();
        let _cable = VethPair::new("a", "b").create(&here).unwrap();
        for family in ["ipv4", "ipv6"] {
            for link_first in [true, false] {
                let start_link = || Program::start(&format!("{family} link elsewhere"));
                let before = link_first.then(start_link);
                let switch = Program::start(family);
                let link = before.unwrap_or_else(start_link);
                switch.end();
                assert!(on(&here, family, "a") && !on(&here, family, "b"), "{family}");
                link.end();
                assert!(!on(&here, family, "a"), "{family} {link_first}");
            }
        }
    });
}

/// Behaves like dockerd or a kubelet: writes 1 at start, and relies on the switch from then on.
fn daemon(here: &Netns) {
    let path = "/proc/sys/net/ipv4/ip_forward";
    here.run(|| std::fs::write(path, "1").unwrap()).unwrap();
}

#[test]
fn beside_a_daemon_that_wrote_the_switch_it_stays_on() {
    support::isolated(|| {
        let here = Netns::current().unwrap();
        let off = || by_hand(&here, "sysctl -q -w net.ipv4.ip_forward=0");
        // A daemon that uses netloom enables forwarding permanently, before or after another
        // daemon.
        daemon(&here);
        Program::start("ipv4 enable").end();
        assert!(on(&here, "ipv4", "all"));
        off();
        let ours = Program::start("ipv4 enable");
        daemon(&here);
        ours.end();
        assert!(on(&here, "ipv4", "all"));
        // A permanent setting also stays without another daemon.
        off();
        Forwarding::ipv4().enable(&here).unwrap();
        assert!(on(&here, "ipv4", "all"));
        daemon(&here);
        // An owner restores the previous value.
        Program::start("ipv4").end();
        assert!(on(&here, "ipv4", "all"));
        off();
    });
}

#[test]
fn links_that_go_meanwhile_refuse_nothing() {
    support::isolated(|| {
        let host = Namespace::anonymous().create().unwrap();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    drop(VethPair::new("come", "go").create(&host).unwrap());
                }
            });
            let all = (0..30).try_for_each(|_| {
                Forwarding::ipv6().create(&host)?.delete().map_err(netloom::Error::from)
            });
            done.store(true, Ordering::Relaxed);
            all.unwrap();
        });
        assert!(!on(&host, "ipv6", "all"));
    });
}

struct Line {
    left: Owned<Netns>,
    router: Owned<Netns>,
    right: Owned<Netns>,
    _cables: [Owned<netloom::Veth>; 2],
}

/// The addresses: `left` at 10.0.1.2, the router's `l` and `r`, `right` at 10.0.2.2; the same in
/// fd00:1 and fd00:2.
fn line() -> Line {
    let [left, router, right] = [(); 3].map(|()| Namespace::anonymous().create().unwrap());
    let cable = |number: u8, port: &str, netns: &Netns| {
        let port = VethEnd::new(port).address(format!("10.0.{number}.1/24"));
        let end = VethEnd::new("eth0").address(format!("10.0.{number}.2/24"));
        let port = port.address(format!("fd00:{number}::1/64")).up();
        let end = end.address(format!("fd00:{number}::2/64")).up();
        let end = end.gateway(format!("10.0.{number}.1")).gateway(format!("fd00:{number}::1"));
        VethPair::new(port, end).create_between(&router, netns).unwrap()
    };
    let cables = [cable(1, "l", &left), cable(2, "r", &right)];
    Line { left, router, right, _cables: cables }
}

fn setting(netns: &Netns, name: &str) -> String {
    netns.sysctl(name).unwrap()
}

#[test]
fn a_namespace_forwards_while_its_owner_is_there() {
    support::isolated(|| {
        let line = line();
        let here = Netns::current().unwrap();
        for (forwarding, name, target) in [
            (Forwarding::ipv4(), "net.ipv4.ip_forward", "10.0.2.2"),
            (Forwarding::ipv6(), "net.ipv6.conf.all.forwarding", "fd00:2::2"),
        ] {
            does_not_reach(&line.left, target);
            let on = forwarding.create(&line.router).unwrap();
            reaches(&line.left, target);
            assert_eq!(setting(&line.router, name), "1");
            for other in [&here, &*line.left, &*line.right] {
                assert_eq!(setting(other, name), "0");
            }
            on.delete().unwrap();
            assert_eq!(setting(&line.router, name), "0");
            does_not_reach(&line.left, target);
            drop(forwarding.create(&line.router).unwrap());
            does_not_reach(&line.left, target);
            let kept = forwarding.create(&line.router).unwrap().keep();
            reaches(&line.left, target);
            drop(Owned::adopt(kept));
            does_not_reach(&line.left, target);
        }
    });
}

/// Packets that enter by `l` are forwarded. Packets that enter by `r` are not, replies included.
#[test]
fn single_links_forward_what_comes_in_there() {
    support::isolated(|| {
        let line = line();
        let l = line.router.link("l").unwrap();
        let left = Forwarding::ipv4().dev(&l).create(&line.router).unwrap();
        assert_eq!(setting(&line.router, "net.ipv4.ip_forward"), "0");
        assert_eq!(setting(&line.router, "net.ipv4.conf.l.forwarding"), "1");
        assert_eq!(setting(&line.router, "net.ipv4.conf.r.forwarding"), "0");
        let heard = listens(&line.right, "10.0.2.2:9", &line.left);
        assert!(heard, "one way it goes");
        assert!(!listens(&line.left, "10.0.1.2:9", &line.right), "and not the other");
        does_not_reach(&line.left, "10.0.2.2");

        let both = Forwarding::ipv4().dev("r").create(&line.router).unwrap();
        reaches(&line.left, "10.0.2.2");
        reaches(&line.right, "10.0.1.2");
        drop(left);
        does_not_reach(&line.left, "10.0.2.2");
        drop(both);
        for link in ["l", "r"] {
            assert_eq!(setting(&line.router, &format!("net.ipv4.conf.{link}.forwarding")), "0");
        }

        let two = Forwarding::ipv4().dev("l").dev("r").create(&line.router).unwrap();
        reaches(&line.left, "10.0.2.2");
        two.delete().unwrap();
        does_not_reach(&line.left, "10.0.2.2");
    });
}

/// Returns whether a datagram from the client reaches the server.
fn listens(server: &Netns, address: &str, client: &Netns) -> bool {
    use std::net::UdpSocket;
    let socket = server.run(|| UdpSocket::bind(address)).unwrap().unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
    let sender = client.run(|| UdpSocket::bind("0.0.0.0:0")).unwrap().unwrap();
    sender.send_to(b"hello", address).unwrap();
    socket.recv_from(&mut [0; 16]).is_ok()
}

#[test]
fn what_was_on_before_stays_on() {
    support::isolated(|| {
        let line = line();
        let _mine = Sysctl::new("net.ipv4.ip_forward", 1).create(&line.router).unwrap();
        drop(Forwarding::ipv4().create(&line.router).unwrap());
        drop(Forwarding::ipv4().dev("l").create(&line.router).unwrap());
        reaches(&line.left, "10.0.2.2");
        assert_eq!(setting(&line.router, "net.ipv4.conf.l.forwarding"), "1");
    });
}

#[test]
fn router_advertisements_are_still_accepted() {
    support::isolated(|| {
        let line = line();
        let accept = |link: &str| setting(&line.router, &format!("net.ipv6.conf.{link}.accept_ra"));
        assert_eq!((accept("l"), accept("r")), ("1".into(), "1".into()));
        let on = Forwarding::ipv6().create(&line.router).unwrap();
        assert_eq!((accept("l"), accept("r")), ("2".into(), "2".into()));
        drop(on);
        assert_eq!((accept("l"), accept("r")), ("1".into(), "1".into()));
        let on = Forwarding::ipv6().dev("l").create(&line.router).unwrap();
        assert_eq!((accept("l"), accept("r")), ("2".into(), "1".into()));
        assert_eq!(setting(&line.router, "net.ipv6.conf.l.forwarding"), "1");
        assert_eq!(setting(&line.router, "net.ipv6.conf.all.forwarding"), "0");
        on.delete().unwrap();
        assert_eq!(
            (accept("l"), setting(&line.router, "net.ipv6.conf.l.forwarding")),
            ("1".into(), "0".into())
        );
    });
}

/// Sends a periodic router advertisement (RFC 4861) with a lifetime of 1,800 s.
fn advertise(router: &Netns, to: SocketAddrV6) {
    const ICMPV6: u8 = 58;
    const ROUTER_ADVERTISEMENT: u8 = 134;
    let socket = router.raw_ipv6_socket(ICMPV6).unwrap();
    // The receiver drops an advertisement with a hop limit below 255: a router forwarded it.
    setsockopt(&socket, sockopt::Ipv6Ttl, &255).unwrap();
    let [high, low] = 1800_u16.to_be_bytes();
    let message = [ROUTER_ADVERTISEMENT, 0, 0, 0, 64, 0, high, low, 0, 0, 0, 0, 0, 0, 0, 0];
    let to = SockaddrIn6::from(to);
    assert_eq!(sendto(socket.as_raw_fd(), &message, &to, MsgFlags::empty()), Ok(message.len()));
}

/// Returns whether a namespace learns its default route from a router on the other end of a new
/// cable.
fn learns_a_route(host: &Netns, neighbor: &Netns, name: &str, is_moved: bool) -> bool {
    let end = |address| VethEnd::new(name).address(address).up();
    let (here, there) = (end("fe80::1/64"), end("fe80::2/64"));
    let cable = if is_moved {
        let elsewhere = Namespace::anonymous().create().unwrap();
        let cable = VethPair::new(name, there).create_between(&elsewhere, neighbor).unwrap();
        cable.near().move_to(host).unwrap();
        Address::new("fe80::1/64").create(cable.near()).unwrap().keep();
        cable.near().set_up().unwrap();
        cable
    } else {
        VethPair::new(here, there).create_between(host, neighbor).unwrap()
    };
    let index = cable.near().index();
    let to = SocketAddrV6::new("fe80::1".parse().unwrap(), 0, 0, cable.peer().index().get());
    let end = Instant::now() + Duration::from_secs(if host_ignores(host, name) { 1 } else { 10 });
    while Instant::now() < end {
        advertise(neighbor, to);
        let routes = host.routes().unwrap();
        let is_learned = |route: &RouteInfo| {
            route.next_hops[0].link == Some(index)
                && route.is_default()
                && route.gateway() == Some("fe80::2".parse().unwrap())
        };
        if routes.iter().any(is_learned) {
            return true;
        }
        thread::sleep(Duration::from_millis(10));
    }
    false
}

/// Returns whether the host ignores router advertisements on the link, which makes a long wait
/// useless.
fn host_ignores(host: &Netns, link: &str) -> bool {
    setting(host, &format!("net.ipv6.conf.{link}.accept_ra")) == "1"
        && setting(host, "net.ipv6.conf.all.forwarding") == "1"
}

#[test]
fn links_that_come_later_accept_router_advertisements_too() {
    support::isolated(|| {
        let [host, neighbor] = [(); 2].map(|()| Namespace::anonymous().create().unwrap());
        let by_default = || setting(&host, "net.ipv6.conf.default.accept_ra");
        assert!(learns_a_route(&host, &neighbor, "before", false), "the test itself");
        let on = Forwarding::ipv6().create(&host).unwrap();
        let again = Forwarding::ipv6().create(&host).unwrap();
        assert_eq!(by_default(), "2");
        assert!(learns_a_route(&host, &neighbor, "made", false));
        assert!(learns_a_route(&host, &neighbor, "moved", true));
        on.delete().unwrap();
        assert_eq!(by_default(), "2");
        again.delete().unwrap();
        assert_eq!(by_default(), "1");
        // An owner of the forwarding switch alone leaves `accept_ra` at 1, so no route is learned.
        let _switch = Sysctl::new("net.ipv6.conf.all.forwarding", 1).create(&host).unwrap();
        assert!(!learns_a_route(&host, &neighbor, "ignored", false));
        // A host that refuses advertisements gets no route.
        let _none = Sysctl::new("net.ipv6.conf.default.accept_ra", 0).create(&host).unwrap();
        let _on = Forwarding::ipv6().create(&host).unwrap();
        assert_eq!(by_default(), "0");
    });
}

#[test]
fn a_link_that_is_not_there_undoes_what_was_done() {
    support::isolated(|| {
        let line = line();
        for forwarding in [Forwarding::ipv4(), Forwarding::ipv6()] {
            let error =
                refused(forwarding.dev("l").dev("nobody").create(&line.router), &["`nobody`"]);
            assert!(error.is_not_found());
        }
        for name in ["net.ipv4.conf.l.forwarding", "net.ipv6.conf.l.forwarding"] {
            assert_eq!(setting(&line.router, name), "0");
        }
        assert_eq!(setting(&line.router, "net.ipv6.conf.l.accept_ra"), "1");
        let elsewhere = line.left.link("eth0").unwrap();
        refused(Forwarding::ipv4().dev(&elsewhere).create(&line.router), &["another namespace"]);
    });
}

#[test]
fn a_link_that_went_is_no_failure() {
    support::isolated(|| {
        let router = Namespace::anonymous().create().unwrap();
        let cable = VethPair::new("a", "b").create(&router).unwrap();
        let on = Forwarding::ipv4().dev("a").create(&router).unwrap();
        let on6 = Forwarding::ipv6().dev("a").create(&router).unwrap();
        cable.delete().unwrap();
        on.delete().unwrap();
        on6.delete().unwrap();
    });
}

/// Returns whether packets of a family that enter by `link` are forwarded. `all` stands for the
/// namespace's switch.
fn on(netns: &Netns, family: &str, link: &str) -> bool {
    setting(netns, &format!("net/{family}/conf/{link}/forwarding")) == "1"
}

fn families() -> [(&'static str, Forwarding); 2] {
    [("ipv4", Forwarding::ipv4()), ("ipv6", Forwarding::ipv6())]
}

#[test]
fn a_link_forwards_until_the_last_of_its_owners_goes() {
    support::isolated(|| {
        let router = Namespace::anonymous().create().unwrap();
        let _cable = VethPair::new("a", "b").create(&router).unwrap();
        let again = Netns::from_fd(router.as_fd().try_clone_to_owned().unwrap()).unwrap();
        for (family, forwarding) in families() {
            let forwarding = forwarding.dev("a");
            let by_name =
                || Sysctl::new(format!("net.{family}.conf.a.forwarding"), 1).create(&router);
            for reversed in [false, true] {
                let mut owners = vec![
                    forwarding.create(&router).unwrap(),
                    forwarding.create(&again).unwrap(),
                    forwarding.create(&router).unwrap(),
                ];
                let sysctl = by_name().unwrap();
                if reversed {
                    owners.reverse();
                }
                while let Some(owner) = owners.pop() {
                    assert!(on(&router, family, "a"), "{family}, {} left", owners.len() + 1);
                    assert!(
                        family == "ipv4" || setting(&router, "net.ipv6.conf.a.accept_ra") == "2"
                    );
                    owner.delete().unwrap();
                }
                assert!(on(&router, family, "a"), "the sysctl by name is an owner, too");
                drop(sysctl);
                assert!(!on(&router, family, "a"), "{family}");
            }
            assert_eq!(setting(&router, "net.ipv6.conf.a.accept_ra"), "1");
        }
    });
}

#[test]
fn handles_of_one_namespace_share_what_is_held() {
    support::isolated(|| {
        let _dd = Namespace::named("dd").create().unwrap();
        let opened = || [Netns::open("dd").unwrap(), Netns::open("dd").unwrap()];
        let current = || [Netns::current().unwrap(), Netns::current().unwrap()];
        for ways in [opened(), current()] {
            for (family, forwarding) in families() {
                for first in [0, 1] {
                    let mut owners =
                        ways.each_ref().map(|way| Some(forwarding.create(way).unwrap()));
                    owners[first] = None;
                    assert!(on(&ways[0], family, "all"), "{family} {first}");
                    owners[1 - first] = None;
                    assert!(!on(&ways[0], family, "all"), "{family} {first}");
                }
            }
        }
    });
}

#[test]
fn a_renamed_link_is_put_back_and_a_stranger_of_its_old_name_left_alone() {
    support::isolated(|| {
        let router = Namespace::anonymous().create().unwrap();
        for (family, forwarding) in families() {
            let cable = VethPair::new("a", "b").create(&router).unwrap();
            let owner = forwarding.clone().dev(cable.near()).create(&router).unwrap();
            let sysctl =
                Sysctl::new(format!("net.{family}.conf.a.proxy_x"), 1).create(&router).unwrap_err();
            assert!(sysctl.is_not_found(), "{sysctl}");
            cable.near().rename("z").unwrap();
            let _stranger = VethPair::new("a", "c").create(&router).unwrap();
            let theirs = forwarding.clone().dev("a").create(&router).unwrap();
            assert!(on(&router, family, "z") && on(&router, family, "a"));
            owner.delete().unwrap();
            assert!(!on(&router, family, "z"), "{family}");
            assert!(on(&router, family, "a"), "{family}");
            assert_eq!(setting(&router, "net.ipv6.conf.z.accept_ra"), "1");
            // If the link is gone, the owner skips the link that now has the name.
            let owner = forwarding.clone().dev(cable.near()).create(&router).unwrap();
            cable.delete().unwrap();
            let _other = VethPair::new("z", "b").create(&router).unwrap();
            let other = Sysctl::new(format!("net.{family}.conf.z.forwarding"), 1);
            let other = other.create(&router).unwrap();
            owner.delete().unwrap();
            assert!(on(&router, family, "z"), "{family}");
            drop((other, theirs));
        }
    });
}

#[test]
fn the_switch_of_all_links_leaves_each_as_it_was() {
    support::isolated(|| {
        let router = Namespace::anonymous().create().unwrap();
        for (family, forwarding) in families() {
            let cable = VethPair::new("a", "b").create(&router).unwrap();
            let by_hand = |link: &str, value: &str| {
                let path = format!("/proc/sys/net/{family}/conf/{link}/forwarding");
                router.run(|| std::fs::write(path, value).unwrap()).unwrap();
            };
            by_hand("a", "1");
            by_hand("default", "1");
            let first = forwarding.create(&router).unwrap();
            assert!(on(&router, family, "b"));
            cable.near().rename("z").unwrap();
            let second = forwarding.create(&router).unwrap();
            // A link that appears while forwarding is on inherits `default`; link `b` gets a
            // separate owner.
            let _new = VethPair::new("n", "m").create(&router).unwrap();
            let own = forwarding.clone().dev("b").create(&router).unwrap();
            first.delete().unwrap();
            assert!(["all", "z", "b", "n"].iter().all(|link| on(&router, family, link)));
            second.delete().unwrap();
            assert!(!on(&router, family, "all") && !on(&router, family, "lo"));
            for link in ["z", "default", "n", "m", "b"] {
                assert!(on(&router, family, link), "{family} {link}");
            }
            own.delete().unwrap();
            assert!(!on(&router, family, "b"), "{family}: what it had before the switch");
            // Dropping the owner of a single link does not change the switch.
            let own = forwarding.clone().dev("lo").create(&router).unwrap();
            let all = forwarding.create(&router).unwrap();
            own.delete().unwrap();
            assert!(on(&router, family, "lo"), "{family}");
            // A setting that another program turned off meanwhile stays off.
            by_hand("z", "0");
            all.delete().unwrap();
            assert!(!on(&router, family, "lo") && !on(&router, family, "z"), "{family}");
            by_hand("default", "0");
        }
        // The kernel forbids redirects while it forwards, and allows them afterwards.
        let redirects = "net.ipv4.conf.all.accept_redirects";
        let forbidden = Sysctl::new(redirects, 0).create(&router).unwrap();
        drop(Forwarding::ipv4().create(&router).unwrap());
        assert_eq!(setting(&router, redirects), "0");
        drop(forbidden);
        assert_eq!(setting(&router, redirects), "1");
    });
}

#[test]
fn handles_tell_their_namespace_and_are_compared() {
    support::isolated(|| {
        let router = Namespace::anonymous().create().unwrap();
        let on = Forwarding::ipv4().create(&router).unwrap();
        let sysctl = Sysctl::new("net.ipv4.ip_forward", 1).create(&router).unwrap();
        let nat = netloom::NatRule::masquerade().source("10.0.0.0/8").create(&router).unwrap();
        for place in [on.namespace(), sysctl.namespace(), nat.namespace()] {
            assert_eq!(*place, *router);
        }
        assert_eq!(on.handle().clone(), *on);
        assert_ne!(*on, *Forwarding::ipv6().create(&router).unwrap());
    });
}
