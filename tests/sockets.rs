//! Sockets opened inside and used outside, ping summaries, and waiting for links and listeners.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use netloom::nft::{Family, Table};
use netloom::{Address, Namespace, Netns, Owned, Ping, Veth, VethEnd, VethPair};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::stat::fstat;

use support::kernel::tables;
use support::process::{keep_capabilities, refuse_system_call};

const SOON: Duration = Duration::from_secs(30);

struct Two {
    red: Owned<Netns>,
    blue: Owned<Netns>,
    cable: Owned<Veth>,
}

/// Two namespaces connected by a cable: `10.0.0.1` and `10.0.0.2`, `fd00::1` and `fd00::2`.
fn two() -> Two {
    let [red, blue] = [(); 2].map(|()| Namespace::anonymous().create().unwrap());
    let end = |host: u8| {
        let v6 = Address::new(format!("fd00::{host}/64"));
        VethEnd::new("eth0").address(format!("10.0.0.{host}/24").as_str()).address(v6).up()
    };
    let cable = VethPair::new(end(1), end(2)).create_between(&red, &blue).unwrap();
    Two { red, blue, cable }
}

/// Echoes one connection's bytes.
fn echo(listener: std::net::TcpListener) -> thread::JoinHandle<SocketAddr> {
    thread::spawn(move || {
        let (mut stream, client) = listener.accept().unwrap();
        let mut bytes = [0; 5];
        stream.read_exact(&mut bytes).unwrap();
        stream.write_all(&bytes).unwrap();
        client
    })
}

#[test]
fn tcp_between_namespaces_from_outside_both() {
    support::isolated(|| {
        let Two { red, blue, cable } = two();
        for address in ["10.0.0.2:80", "[fd00::2]:80"] {
            red.wait_reachable(address.parse::<SocketAddr>().unwrap().ip(), SOON).unwrap();
            let server = echo(blue.tcp_listen(address).unwrap());
            let mut stream = red.tcp_connect(address, SOON).unwrap();
            stream.write_all(b"hello").unwrap();
            let mut back = [0; 5];
            stream.read_exact(&mut back).unwrap();
            assert_eq!(&back, b"hello");
            assert_eq!(server.join().unwrap(), stream.local_addr().unwrap());
        }
        // An address in use, and an address of another host.
        let _first = blue.tcp_listen("0.0.0.0:81").unwrap();
        let busy = blue.tcp_listen("0.0.0.0:81").unwrap_err();
        assert_eq!(busy.raw_os_error(), Some(nix::libc::EADDRINUSE), "{busy}");
        assert!(busy.to_string().contains("0.0.0.0:81") && busy.remedy().is_some(), "{busy}");
        let elsewhere = blue.tcp_listen("10.0.0.1:81").unwrap_err();
        assert_eq!(elsewhere.raw_os_error(), Some(nix::libc::EADDRNOTAVAIL), "{elsewhere}");
        assert!(!elsewhere.is_not_found(), "{elsewhere}");
        let refused = red.tcp_connect("10.0.0.2:99", SOON).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(nix::libc::ECONNREFUSED), "{refused}");
        let nowhere = red.tcp_connect("192.0.2.1:80", SOON).unwrap_err();
        assert_eq!(nowhere.raw_os_error(), Some(nix::libc::ENETUNREACH), "{nowhere}");
        for bad in ["10.0.0.2", "fd00::2", "web:80", ""] {
            let refused = red.tcp_connect(bad, SOON).unwrap_err();
            assert!(refused.is_invalid_input(), "{refused}");
        }
        drop(cable);
    });
}

/// Threads open sockets of every kind while the program forks and executes. Each socket must be in
/// its namespace, and no child may inherit one.
#[test]
fn sixteen_threads_open_every_kind_while_others_fork() {
    support::isolated(|| {
        let Two { red, blue, cable } = two();
        let home = Netns::current().unwrap();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let child = || {
                while !is_over.load(Ordering::Relaxed) {
                    // `ls` lists the descriptors that the child inherited.
                    let open = Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
                    let open = String::from_utf8(open.stdout).unwrap();
                    assert!(!open.contains("socket:") && !open.contains("net:["), "{open}");
                }
            };
            let children = [(); 2].map(|()| scope.spawn(child));
            let openers: Vec<_> = (0..16_u16)
                .map(|number| {
                    let (place, other) =
                        if number % 2 == 0 { (&red, &blue) } else { (&blue, &red) };
                    let home = &home;
                    scope.spawn(move || {
                        // Each round uses a new port: a child before its `exec` still holds the old
                        // sockets.
                        for port in (0..20).map(|round| 8000 + number * 20 + round) {
                            opens_every_kind(place, other, port);
                        }
                        assert_eq!(Netns::current().unwrap(), *home);
                    })
                })
                .collect();
            // The children stop before a panic is passed on.
            let outcomes: Vec<_> = openers.into_iter().map(ScopedJoinHandle::join).collect();
            is_over.store(true, Ordering::Relaxed);
            for outcome in outcomes.into_iter().chain(children.map(ScopedJoinHandle::join)) {
                outcome.unwrap();
            }
        });
        drop(cable);
    });
}

/// Opens one socket of each kind in `place`. None of them must be in `other`.
fn opens_every_kind(place: &Netns, other: &Netns, port: u16) {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let listener = place.tcp_listen(any).unwrap();
    assert!(place.listeners().unwrap().iter().any(|one| one.address == any));
    assert!(!other.listeners().unwrap().iter().any(|one| one.address == any));
    // The port is free in the other namespace, and taken in this one.
    drop(other.udp_bind(any).unwrap());
    let datagrams = place.udp_bind(any).unwrap();
    assert_eq!(place.udp_bind(any).unwrap_err().raw_os_error(), Some(nix::libc::EADDRINUSE));
    let raw = [place.raw_ipv4_socket(1).unwrap(), place.raw_ipv6_socket(58).unwrap()];
    for (socket, list) in raw.iter().zip(["raw", "raw6"]) {
        let list = place.run(|| fs::read_to_string(format!("/proc/thread-self/net/{list}")));
        let inode = format!(" {} ", fstat(socket).unwrap().st_ino);
        assert!(list.unwrap().unwrap().contains(&inode));
    }
    let all = [listener.as_fd(), datagrams.as_fd(), raw[0].as_fd(), raw[1].as_fd()];
    for socket in all {
        assert_eq!(fcntl(socket, FcntlArg::F_GETFD).unwrap(), FdFlag::FD_CLOEXEC.bits());
    }
    // Opens more of the library's own sockets at once than its pool keeps.
    assert_eq!(place.links().unwrap().len(), 2);
    let fresh = Namespace::anonymous().create().unwrap();
    let table = Table::new(Family::Inet, "t").create(&fresh).unwrap();
    assert_eq!(tables(&fresh).len(), 1);
    table.delete().unwrap();
}

#[test]
fn without_the_right_to_enter_sockets_are_opened_at_home_only() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        thread::scope(|scope| {
            let weak = scope.spawn(|| {
                keep_capabilities(0);
                let home = Netns::current().unwrap();
                for refused in [
                    red.tcp_listen("0.0.0.0:8080").unwrap_err(),
                    red.udp_bind("0.0.0.0:8080").unwrap_err(),
                    red.listeners().unwrap_err(),
                ] {
                    assert!(refused.is_permission_denied(), "{refused}");
                    assert!(refused.to_string().contains("CAP_SYS_ADMIN"), "{refused}");
                }
                assert_eq!(Netns::current().unwrap(), home);
                drop(home.tcp_listen("0.0.0.0:8080").unwrap());
            });
            weak.join().unwrap();
        });
    });
}

/// Simulates a C library that cannot start a bare thread by clone(2), so a std thread (clone3(2))
/// opens the socket.
#[test]
fn where_no_bare_thread_can_be_started_one_of_std_opens_them() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        thread::scope(|scope| {
            let opener = scope.spawn(|| {
                refuse_system_call(nix::libc::SYS_clone, nix::libc::EINVAL);
                let listener = red.tcp_listen("0.0.0.0:8080").unwrap();
                let found = red.listeners().unwrap();
                assert_eq!(found[0].address, listener.local_addr().unwrap());
            });
            opener.join().unwrap();
        });
    });
}

#[test]
fn a_connection_nobody_answers_times_out() {
    support::isolated(|| {
        let Two { red, blue, cable } = two();
        // No host has the address, for which the kernel asks for three seconds.
        let start = Instant::now();
        let timeout = Duration::from_millis(100);
        let error = red.tcp_connect("10.0.0.9:80", timeout).unwrap_err();
        assert!(error.is_timed_out() && error.to_string().contains("10.0.0.9:80"), "{error}");
        assert!(start.elapsed() >= timeout, "not before its time");
        drop((cable, blue));
    });
}

#[test]
fn udp_between_namespaces_and_by_one_link() {
    support::isolated(|| {
        let Two { red, blue, cable } = two();
        let receiver = blue.udp_bind("10.0.0.2:53").unwrap();
        receiver.set_read_timeout(Some(SOON)).unwrap();
        let sender = red.udp_bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        sender.send_to(b"one", "10.0.0.2:53").unwrap();
        let mut buffer = [0; 16];
        let (length, from) = receiver.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], from.ip()), (&b"one"[..], [10, 0, 0, 1].into()));

        // On a second cable: a socket bound to the first link does not receive packets from the
        // second.
        let other = VethPair::new(
            VethEnd::new("eth1").address("10.0.1.1/24").up(),
            VethEnd::new("eth1").address("10.0.1.2/24").up(),
        );
        let other = other.create_between(&red, &blue).unwrap();
        let bound = cable.peer().udp_bind("0.0.0.0:54").unwrap();
        bound.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        sender.send_to(b"by eth1", "10.0.1.2:54").ok();
        assert!(bound.recv_from(&mut buffer).is_err());
        sender.send_to(b"by eth0", "10.0.0.2:54").unwrap();
        bound.set_read_timeout(Some(SOON)).unwrap();
        assert_eq!(bound.recv(&mut buffer).unwrap(), 7);

        let listener = cable.peer().tcp_listen("0.0.0.0:80").unwrap();
        let server = thread::spawn(move || listener.accept().map(|(_, from)| from));
        let refused = red.tcp_connect("10.0.1.2:80", SOON).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(nix::libc::ECONNREFUSED), "{refused}");
        let stream = cable.near().tcp_connect("10.0.0.2:80", SOON).unwrap();
        assert_eq!(server.join().unwrap().unwrap(), stream.local_addr().unwrap());
        let gone = other.near().clone();
        other.delete().unwrap();
        assert!(gone.udp_bind("0.0.0.0:0").unwrap_err().is_not_found());
        drop(cable);
    });
}

#[test]
fn a_raw_socket_hears_the_answer_to_its_own_packet() {
    support::isolated(|| {
        let Two { red, blue: _blue, cable } = two();
        let socket = red.raw_ipv4_socket(1).unwrap();
        cable.near().bind_socket(&socket).unwrap();
        let target = nix::sys::socket::SockaddrIn::new(10, 0, 0, 2, 0);
        nix::sys::socket::connect(std::os::fd::AsRawFd::as_raw_fd(&socket), &target).unwrap();
        let mut socket = File::from(socket);
        // An echo request with its checksum.
        socket.write_all(&[8, 0, 0xf7, 0xfd, 0, 1, 0, 1]).unwrap();
        let mut answer = [0; 64];
        let length = socket.read(&mut answer).unwrap();
        assert_eq!(answer[20..length], [0, 0, 0xff, 0xfd, 0, 1, 0, 1]);
        drop(red.raw_ipv6_socket(58).unwrap());
        let error = cable.near().bind_socket(File::open("/dev/null").unwrap()).unwrap_err();
        assert_eq!(error.object(), "eth0");
        drop(cable);
    });
}

#[test]
fn a_ping_is_summed_up() {
    support::isolated(|| {
        let Two { red, blue, cable } = two();
        let quick = |target: &str| Ping::new(target).interval(Duration::from_millis(2));
        let summary = quick("10.0.0.2").count(5).size(1400).run(&red).unwrap();
        assert_eq!((summary.transmitted, summary.received, summary.errors), (5, 5, 0));
        assert_eq!((summary.times.len(), summary.duplicates), (5, 0));
        assert!(summary.min() <= summary.average() && summary.average() <= summary.max());
        let text = summary.to_string();
        assert!(text.contains("5 packets transmitted, 5 received, 0% packet loss"), "{text}");
        red.wait_reachable("fd00::2", SOON).unwrap();
        // Empty requests, and requests that need fragments.
        for size in [0, 4000, 65_507] {
            for target in ["10.0.0.2", "fd00::2"] {
                let summary = quick(target).count(2).size(size).run(&red).unwrap();
                assert_eq!(summary.received, 2, "{target} {size}: {summary}");
            }
        }

        // The second request finds the link down.
        let target = Ping::new("10.0.0.2").count(2).interval(Duration::from_secs(1));
        let target = target.timeout(Duration::from_millis(50));
        let summary = thread::scope(|scope| {
            let run = scope.spawn(|| target.run(&red).unwrap());
            thread::sleep(Duration::from_millis(300));
            blue.link("eth0").unwrap().set_down().unwrap();
            run.join().unwrap()
        });
        assert_eq!((summary.transmitted, summary.received), (2, 1), "{summary}");
        assert!((summary.loss() - 0.5).abs() < f64::EPSILON);

        let nowhere = quick("192.0.2.1").run(&red).unwrap_err();
        assert_eq!(nowhere.raw_os_error(), Some(nix::libc::ENETUNREACH), "{nowhere}");
        for bad in [quick("10.0.0.2").count(0), quick("10.0.0.2").size(65_508), quick("here")] {
            assert!(bad.run(&red).unwrap_err().is_invalid_input());
        }
        drop(cable);
    });
}

#[test]
fn a_network_that_comes_up_is_waited_for() {
    support::isolated(|| {
        let [red, blue] = [(); 2].map(|()| Namespace::anonymous().create().unwrap());
        let late = thread::scope(|scope| {
            let waiting = scope.spawn(|| red.wait_reachable("10.0.0.2", Duration::from_secs(5)));
            thread::sleep(Duration::from_millis(100));
            let end = |address| VethEnd::new("eth0").address(address).up();
            let pair = VethPair::new(end("10.0.0.1/24"), end("10.0.0.2/24"));
            let cable = pair.create_between(&red, &blue).unwrap();
            waiting.join().unwrap().unwrap();
            cable
        });
        drop(late);
        let error = red.wait_reachable("10.0.0.2", Duration::from_millis(100)).unwrap_err();
        assert!(error.is_timed_out(), "{error}");
        assert!(error.to_string().contains("ENETUNREACH"), "{error}");
        assert!(red.wait_reachable("nobody", SOON).unwrap_err().is_invalid_input());
    });
}

#[test]
fn a_listener_is_waited_for_and_listed() {
    support::isolated(|| {
        let Two { red, blue, cable } = two();
        assert_eq!(blue.listeners().unwrap(), []);
        let early = blue.wait_listening(8080, Duration::from_millis(20)).unwrap_err();
        assert!(early.is_timed_out() && early.object() == "8080", "{early}");
        let (listener, found) = thread::scope(|scope| {
            let waiting = scope.spawn(|| blue.wait_listening(8080, SOON));
            thread::sleep(Duration::from_millis(20));
            let listener = blue.tcp_listen("[::]:8080").unwrap();
            (listener, waiting.join().unwrap().unwrap())
        });
        assert_eq!(found.address, listener.local_addr().unwrap());
        let _other = blue.tcp_listen("10.0.0.2:22").unwrap();
        let mut ports: Vec<_> =
            blue.listeners().unwrap().iter().map(|one| one.address.to_string()).collect();
        ports.sort_unstable();
        assert_eq!(ports, ["10.0.0.2:22", "[::]:8080"]);
        assert_eq!(red.listeners().unwrap(), [], "each namespace has its own");
        // A connection is not listed as a listener.
        let _stream = red.tcp_connect("10.0.0.2:8080", SOON).unwrap();
        assert_eq!(blue.listeners().unwrap().len(), 2);
        let seen = support::tools::run(&support::Place::of_fd(&*blue), "ss", &["-ltnH"]);
        assert!(seen.is_none_or(|seen| seen.lines().count() == 2));
        drop(cable);
    });
}
